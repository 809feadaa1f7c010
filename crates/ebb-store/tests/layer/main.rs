//! Does the layer keep its promises, and the same ones on each database?

mod crash;
mod home;
mod persons;
mod postgres;
mod reading;
mod sqlite;
mod sums;
mod traffic;
mod writing;

/// Runs each test on all three places.
#[macro_export]
macro_rules! everywhere {
    ($($test:ident),* $(,)?) => {
        $(mod $test {
            use ebb_store::Kind;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn memory() { super::$test($crate::home::Home::new(Kind::Memory).await).await }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() { super::$test($crate::home::Home::new(Kind::Sqlite).await).await }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() { super::$test($crate::home::Home::new(Kind::Postgres).await).await }
        })*
    };
}
