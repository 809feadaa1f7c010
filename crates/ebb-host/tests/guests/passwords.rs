//! Does a guest's console ask for the password that its owner set, from the next start on?

use crate::bench::{self, Bench, account, guest};
use ebb_driver::protocol::{Is, Target, Want};
use tokio::net::UnixStream;

/// Hashes of `horse` and `battery`.
pub const HORSE: &str = "$6$ebb$ADADiyC8TosnRiIXDyfNGn8iTG6sLV0A.ROcl5k81tCfADMEP1B6Z97nEp7C4Lk.HuHeNd2T8tNHOZg9zajTe.";
const BATTERY: &str = "$6$ebb$h1ktNEEAcxjcdeqeLquphZAJzYP.JTmWiBWlUqkdsT3iZ903gdIwzZkO05gI/3lgkZbQTMOUPKzHZkHy9iHvF0";

#[tokio::test(flavor = "multi_thread")]
async fn the_console_asks_for_the_password_from_the_next_start_on() {
    let mut bench = Bench::new("password").await;
    let id = guest(1);
    let order = |bench: &Bench, generation, hash| bench.order(id, account(1), generation).password(hash);
    bench.desire([order(&bench, 1, HORSE)]).await;
    bench.until_running(id).await;
    bench.until_printed(id, "ebb-guest: ready").await;
    let mut console = bench.stream(id, Target::Console).await.unwrap();
    attempt(&mut console, "battery").await;
    bench::read_until(&mut console, "Login incorrect").await;
    bench::read_until(&mut console, "login: ").await;
    bench::write(&mut console, "root\n").await;
    bench::read_until(&mut console, "Password: ").await;
    bench::write(&mut console, "horse\n").await;
    bench::read_until(&mut console, "guest-1:~# ").await;
    bench::write(&mut console, "id -un; grep -c horse /etc/shadow\n").await;
    let said = bench::read_until(&mut console, "guest-1:~# ").await;
    assert!(said.contains("root\r\n0\r\n"), "{said}");

    // Another one, while it runs: it holds from the next start on.
    bench.desire([order(&bench, 2, BATTERY)]).await;
    bench::write(&mut console, "exit\n").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    attempt(&mut console, "horse").await;
    bench::read_until(&mut console, "guest-1:~# ").await;
    let force_at = bench::now();
    bench.desire([order(&bench, 3, BATTERY).want(Want::Off { force_at })]).await;
    bench.until(id, |is| matches!(is, Is::Off { .. })).await;
    bench.desire([order(&bench, 4, BATTERY)]).await;
    bench.until_running(id).await;
    bench.until_printed_again(id, "ebb-guest: ready", 2).await;
    let mut console = bench.stream(id, Target::Console).await.unwrap();
    attempt(&mut console, "battery").await;
    bench::read_until(&mut console, "guest-1:~# ").await;
    bench.leave_no_trace().await;
}

async fn attempt(console: &mut UnixStream, password: &str) {
    bench::write(console, "\n").await;
    bench::read_until(console, "Password: ").await;
    bench::write(console, &format!("{password}\n")).await;
}
