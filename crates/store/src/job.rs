//! Jobs of the writer.

use crate::batch::Batch;
use crate::scope::Scope;
use async_trait::async_trait;
use std::future::Future;
use std::pin::Pin;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tolmach_domain::{FlowId, Timestamp};
use tolmach_engine::ports::{PostMessage, Posted, StoreError};

/// One change in the queue.
pub(crate) struct Job {
    pub(crate) work: Work,
    /// Its approximate size in bytes.
    pub(crate) size: usize,
    pub(crate) space: JobSpace,
}

/// The space of a job in the queue, released when it is answered: in its owner's share, and in the
/// whole, unless it was the owner's only job and found the queue full.
pub(crate) type JobSpace = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// The work of a job.
pub(crate) enum Work {
    /// Posts a message; several in a row are posted together.
    Post(Box<Post>),
    /// Anything else.
    Other(Box<dyn Task>, Scope),
}

/// A message to post, and the channel to its caller.
pub(crate) struct Post {
    pub(crate) message: PostMessage,
    pub(crate) now: Timestamp,
    pub(crate) answer: oneshot::Sender<Result<Posted, StoreError>>,
}

/// A change of any kind, and the channel to its caller.
#[async_trait]
pub(crate) trait Task: Send {
    /// Makes the change. The error, if any, is returned beside the answer, so that the writer
    /// undoes the change.
    async fn apply(self: Box<Self>, batch: &mut Batch) -> (Answer, Option<StoreError>);
    /// Answers that the change was not made.
    fn fail(self: Box<Self>, error: StoreError);
    /// True if its caller no longer waits.
    fn is_abandoned(&self) -> bool;
}

/// Sends a caller the result of its change, given the result of the commit.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A [`Task`] from a closure.
pub(crate) struct Change<T, F> {
    pub(crate) change: F,
    pub(crate) answer: oneshot::Sender<Result<T, StoreError>>,
}

#[async_trait]
impl<T, F> Task for Change<T, F>
where
    T: Send + 'static,
    F: for<'a> FnOnce(&'a mut Batch) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
{
    async fn apply(self: Box<Self>, batch: &mut Batch) -> (Answer, Option<StoreError>) {
        let outcome = (self.change)(batch).await;
        let error = outcome.as_ref().err().cloned();
        (answer(self.answer, outcome), error)
    }

    fn fail(self: Box<Self>, error: StoreError) {
        answer(self.answer, Err(error))(Ok(()));
    }

    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}

/// The answer to a caller.
pub(crate) fn answer<T: Send + 'static>(
    caller: oneshot::Sender<Result<T, StoreError>>,
    outcome: Result<T, StoreError>,
) -> Answer {
    Box::new(move |committed| {
        // A caller that no longer waits got a timeout.
        let _ = caller.send(committed.and(outcome));
    })
}

impl Work {
    pub(crate) fn fail(self, error: StoreError) {
        match self {
            Work::Post(post) => answer(post.answer, Err(error))(Ok(())),
            Work::Other(task, _) => task.fail(error),
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Work::Post(post) => post.answer.is_closed(),
            Work::Other(task, _) => task.is_abandoned(),
        }
    }

    /// The flows that events are published of, in the order of their commits.
    pub(crate) fn flows(&self) -> &[FlowId] {
        match self {
            Work::Post(post) => std::slice::from_ref(&post.message.flow),
            Work::Other(_, Scope::Flows(flows)) => flows,
            Work::Other(..) => &[],
        }
    }

    /// The message to post.
    pub(crate) fn message(&self) -> Option<&PostMessage> {
        match self {
            Work::Post(post) => Some(&post.message),
            Work::Other(..) => None,
        }
    }
}
