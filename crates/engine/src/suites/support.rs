//! Tasks and polling, without a runtime.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// A task of a trial, or a future that waits for its end.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a task; the future that it returns waits for its end and panics if the task did.
pub type Spawn = fn(Task) -> Task;

/// The value of a future that is ready at its first poll.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Lets the other tasks run once.
pub(super) async fn turn() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
