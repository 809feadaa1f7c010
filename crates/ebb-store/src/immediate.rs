//! How does a future run to its end on a thread that has no runtime?
//!
//! With SQLite each read is ready at once, so a decision never has to wait and is simply polled. One that does wait
//! awaits something besides its reads: it would hold everybody's transaction open for as long, so it is refused.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

/// Polls until the future is done; `None` if it waits for something that is not already there.
pub(crate) fn finish<T>(future: impl Future<Output = T>) -> Option<T> {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    // A combinator may return early and wake itself, to be fair to others: that is no waiting.
    while woken.0.swap(false, SeqCst) {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
    }
    None
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}
