//! Does somebody at this machine want it back? A file says so for as long as it is there (rules §2.13).

use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Interval;

const LOOK_EVERY: Duration = Duration::from_millis(500);

pub struct Signal {
    /// Without one nobody ever asks.
    file: Option<PathBuf>,
    looks: Interval,
    wanted: bool,
}

impl Signal {
    pub fn new(file: Option<PathBuf>) -> Signal {
        let mut signal = Signal { file, looks: tokio::time::interval(LOOK_EVERY), wanted: false };
        signal.wanted = signal.is_there();
        signal
    }

    /// As it was last seen.
    pub fn wanted(&self) -> bool {
        self.wanted
    }

    /// Comes back with a change. Nothing is lost when it is not waited for to the end.
    pub async fn changed(&mut self) -> bool {
        if self.file.is_none() {
            std::future::pending::<()>().await;
        }
        loop {
            self.looks.tick().await;
            let now = self.is_there();
            if std::mem::replace(&mut self.wanted, now) != now {
                return now;
            }
        }
    }

    fn is_there(&self) -> bool {
        self.file.as_ref().is_some_and(|file| std::fs::symlink_metadata(file).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_comes_and_goes_is_seen() {
        let file = std::env::temp_dir().join(format!("ebb-return-{}", std::process::id()));
        let _ = std::fs::remove_file(&file);
        let mut signal = Signal::new(Some(file.clone()));
        assert!(!signal.wanted());
        std::fs::write(&file, "").expect("a file");
        assert!(signal.changed().await);
        std::fs::remove_file(&file).expect("it is there");
        assert!(!signal.changed().await);
        assert!(!signal.wanted());
    }
}
