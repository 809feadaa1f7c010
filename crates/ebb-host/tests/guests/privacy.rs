//! What does a process find that runs under the user of one guest, or of the tool that reads images? Nothing of anybody else's.

use crate::bench::{self, Bench, account, disk, guest, image_id, snapshot, there};
use ebb_driver::protocol::Source;
use ebb_model::volume::{DiskOf, VolumeId};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Reads names from its input and tries each in every way.
const TRY: &str = r#"while read -r path; do
  cat "$path" >/dev/null 2>&1 && echo "READ $path"
  ls "$path/" >/dev/null 2>&1 && echo "LISTED $path"
  ( : >>"$path" ) 2>/dev/null && echo "WROTE $path"
  ln "$path" /tmp/ebb-privacy-link 2>/dev/null && echo "LINKED $path" && rm -f /tmp/ebb-privacy-link
done
echo tried"#;

/// What a user gets by these names.
fn try_as(uid: u32, names: &[String]) -> Vec<String> {
    let ids = [format!("--reuid={uid}"), format!("--regid={uid}")];
    let mut child = Command::new("setpriv")
        .args(ids)
        .args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "sh", "-c", TRY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let names = names.join("\n") + "\n";
    let writer = std::thread::spawn(move || input.write_all(names.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines.pop().as_deref(), Some("tried"));
    lines
}

fn all_under(dir: &Path, found: &mut Vec<String>) {
    found.push(dir.display().to_string());
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.path() {
            path if entry.file_type().unwrap().is_dir() => all_under(&path, found),
            path => found.push(path.display().to_string()),
        }
    }
}

/// The doors that the kernel opens to a process.
fn of_process(pid: u32) -> Vec<String> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let mut names: Vec<String> = ["mem", "environ", "maps", "root/etc/passwd", "cwd/vmlinuz", "cwd/qmp", "cwd"]
        .map(|name| proc.join(name).display().to_string())
        .into();
    let fds = std::fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
    names.extend(fds.map(|fd| fd.path().display().to_string()));
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_user_finds_nothing_of_anybody_elses() {
    let mut bench = Bench::new("privacy").await;
    let (one, two) = (guest(1), guest(2));
    let (a, b) = (disk(1), disk(2));
    let (snap, image) = (VolumeId::Snapshot(snapshot(1)), VolumeId::Image(image_id(1)));
    let orders = [bench.order(one, account(1), 1).firm().disks([a]), bench.order(two, account(2), 1).disks([b])];
    let blank = |disk| there(VolumeId::Disk(disk), Source::Blank, 1);
    bench.desire_with(orders, [blank(a), blank(b)]).await;
    for id in [one, two] {
        bench.until_running(id).await;
    }
    let of = |disk| Source::Disk { disk: DiskOf::Data(disk) };
    bench.desire_with([], [there(snap, of(b), 1), there(image, of(b), 1)]).await;
    bench.until_there(snap).await;
    bench.until_there(image).await;

    let data = bench.config.data.canonicalize().unwrap();
    let mut names = vec![];
    all_under(&data, &mut names);
    names.push(bench.config.socket.display().to_string());
    assert!(names.len() > 30, "there is something to be found: {names:?}");
    let (mine, theirs) = (bench.processes(one)[0], bench.processes(two)[0]);
    names.extend(of_process(theirs));
    names.extend(of_process(std::process::id()));
    let uid = |pid: u32| std::fs::metadata(format!("/proc/{pid}")).unwrap().uid();
    assert_ne!(uid(mine), uid(theirs));
    let tool = bench::first_uid() - 1;
    for user in [uid(mine), uid(theirs), tool, 65534] {
        let found = try_as(user, &names);
        let theirs_own = |line: &String| user == uid(theirs) && line.contains(&format!("/proc/{theirs}/"));
        let found: Vec<&String> = found.iter().filter(|line| !theirs_own(line)).collect();
        // The directory may be passed through, since the socket may lie in it; nothing in it can be read.
        assert!(found.is_empty(), "user {user}: {found:#?}");
    }
    // They may not be ended or looked into either, and the control sockets answer nobody.
    let words =
        format!("kill -0 {theirs} && echo CAN KILL; kill -0 {} && echo CAN KILL THE HOST; true", std::process::id());
    let ids = [format!("--reuid={}", uid(mine)), format!("--regid={}", uid(mine))];
    let output = Command::new("setpriv").args(ids).args(["--clear-groups", "sh", "-c", &words]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    // What a QEMU has open: its own layers, and those it may only read are not open for writing.
    let open = bench.written_by(mine);
    assert_eq!(open.len(), 2, "{open:?}");
    let others = bench.written_by(theirs);
    assert!(open.is_disjoint(&others) && others.len() == 2, "{others:?}");
    bench.leave_no_trace().await;
}
