//! What is each server told to be, by user-data alone?

/// Counts the questions that it was asked, and remembers them.
pub const DATABASE: &str = r#"#!/bin/sh
cat >/bin/rows <<'END'
#!/bin/sh
read -r who
n=$(($(cat /data/rows 2>/dev/null || echo 0) + 1))
echo $n >/data/rows
echo "row $n for $who"
END
chmod +x /bin/rows
nc -ll -p 5432 -e /bin/rows &
echo database-is-there
"#;

/// Its page is what the database says.
pub fn web(database: &str) -> String {
    let page = format!("echo \"$(hostname) has $(hostname | nc -w 5 {database} 5432)\"");
    serving("page", &page)
}

/// Asks one backend after the other, and goes on to the next one where there is no answer.
/// The time is `timeout`'s: the wget there dies of its own -T.
pub fn balancer(backends: [&str; 2]) -> String {
    let [one, two] = backends;
    let site = format!(
        "n=$(cat /tmp/turn 2>/dev/null || echo 0)
echo $((n + 1)) >/tmp/turn
set -- {one} {two}
[ $((n % 2)) = 0 ] || set -- {two} {one}
for backend; do timeout 5 wget -q -O - http://$backend/cgi-bin/page && exit; done
echo nobody answers"
    );
    serving("site", &site)
}

fn serving(name: &str, program: &str) -> String {
    format!(
        r#"#!/bin/sh
mkdir -p /tmp/www/cgi-bin
cat >/tmp/www/cgi-bin/{name} <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
{program}
END
chmod +x /tmp/www/cgi-bin/{name}
httpd -h /tmp/www
echo {name}-is-there
"#
    )
}

/// Answers each datagram. A whole one is read at once: what is left of it would be lost.
pub const GAME: &str = r#"#!/bin/sh
cat >/bin/play <<'END'
#!/bin/sh
echo "played $(dd bs=1500 count=1 2>/dev/null)"
END
chmod +x /bin/play
while :; do netcat -u -l -p 7777 -e /bin/play; done &
echo game-is-there
"#;
