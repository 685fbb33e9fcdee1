//! The requests of one connection, in their order.

use super::step::{AuthContext, Step};
use crate::backlog::FlowBacklog;
use crate::submission::{Completed, Outcome, PendingCommit};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tolmach_domain::Command;

/// The most messages of one connection that are being committed at once.
const MAX_PENDING: usize = 128;
/// The most bytes of them, unless it is one message.
const MAX_PENDING_BYTES: usize = 256 << 10;

/// The requests of one connection, in their order.
///
/// Messages of one context follow each other to the store, which keeps their order, without waiting
/// for each other's commit. Every other step waits until everything before it is answered, and the
/// read marks of the answers are moved. A response whose flow lags waits for the delivery of that
/// flow, and all later ones wait for it.
#[derive(Default)]
pub(super) struct Pipeline {
    /// Steps that wait for those before them.
    waiting: VecDeque<Step>,
    in_flight: Option<InFlight>,
    read_marks: Option<ReadMarks>,
    /// Messages of one context that are being committed, in the order in which they were sent.
    pending: VecDeque<Pending>,
    /// The content of those messages, in bytes.
    pending_bytes: usize,
    delayed: Option<Box<Delayed>>,
    /// The time at which responses stop waiting for delivery, while one of them has to.
    delayed_until: Option<Instant>,
}

/// A request that is being carried out.
pub(super) type InFlight = BoxFuture<'static, Submitted>;

/// The read marks of answers while they are being moved.
pub(super) type ReadMarks = BoxFuture<'static, ()>;

/// A request that was submitted.
pub(super) struct Submitted {
    pub(super) outcome: Outcome,
    pub(super) context: AuthContext,
    /// The content of the message that it sends, in bytes.
    pub(super) bytes: usize,
}

/// A request that was carried out.
pub(super) struct Answered {
    pub(super) completed: Completed,
    pub(super) context: AuthContext,
}

/// A message that is being committed.
struct Pending {
    commit: PendingCommit,
    context: AuthContext,
    bytes: usize,
}

/// A response that waits for the delivery of its flow.
struct Delayed {
    answered: Box<Answered>,
    room: BoxFuture<'static, ()>,
}

/// A change of the pipeline.
pub(super) enum Advance {
    /// The request that was being carried out was submitted, or is answered.
    Submitted(Option<Box<Answered>>),
    /// The read marks were moved.
    ReadMarksMoved,
    /// The first pending message was committed.
    Committed(Box<Answered>),
    /// The response that waited for delivery may go.
    Delivered(Box<Answered>),
}

impl Pipeline {
    /// True if no request is being carried out.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none()
            && self.read_marks.is_none()
            && self.pending.is_empty()
            && self.delayed.is_none()
    }

    /// True if there is room for the steps of one more frame.
    pub(super) fn accepts_frames(&self) -> bool {
        self.waiting.is_empty()
            && self.in_flight.is_none()
            && self.read_marks.is_none()
            && self.delayed.is_none()
            && self.pending.len() < MAX_PENDING
            && self.pending_bytes < MAX_PENDING_BYTES
    }

    /// The bytes that the requests hold. Those that wait or are being carried out are of the last
    /// frame, which had `last_frame_bytes`: no more are read meanwhile.
    pub(super) fn held_bytes(&self, last_frame_bytes: usize) -> usize {
        let of_last_frame = !self.waiting.is_empty() || self.in_flight.is_some();
        self.pending_bytes + if of_last_frame { last_frame_bytes } else { 0 }
    }

    /// Returns a step if it may run now, and keeps it otherwise.
    pub(super) fn admit(&mut self, step: Step) -> Option<Step> {
        if self.waiting.is_empty() && self.may_run(&step) {
            return Some(step);
        }
        self.waiting.push_back(step);
        None
    }

    /// Keeps steps that come before every step that waits.
    pub(super) fn insert_first(&mut self, steps: impl DoubleEndedIterator<Item = Step>) {
        steps.rev().for_each(|step| self.waiting.push_front(step));
    }

    /// The next step that waits, if it may run now.
    pub(super) fn next_step(&mut self) -> Option<Step> {
        if self.waiting.front().is_some_and(|step| !self.may_run(step)) {
            return None;
        }
        let step = self.waiting.pop_front();
        if step.is_none() {
            // An idle connection keeps no memory for steps.
            self.waiting = VecDeque::new();
        }
        step
    }

    fn may_run(&self, step: &Step) -> bool {
        if self.in_flight.is_some() || self.read_marks.is_some() || self.delayed.is_some() {
            return false;
        }
        let Some(Pending { context, .. }) = self.pending.back() else { return true };
        match step {
            Step::Request(request) => {
                matches!(request.command, Command::Send(_))
                    && context.is_of(request)
                    && self.pending.len() < MAX_PENDING
                    && self.pending_bytes + content_bytes(&request.command) <= MAX_PENDING_BYTES
            }
            Step::Reject(_) | Step::End(_) => false,
        }
    }

    /// Keeps a request that is being carried out.
    pub(super) fn start(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }

    /// Keeps the work that moves read marks. Later steps wait for it.
    pub(super) fn move_read_marks(&mut self, read_marks: ReadMarks) {
        self.read_marks = Some(read_marks);
    }

    /// True while read marks are being moved.
    pub(super) fn moves_read_marks(&self) -> bool {
        self.read_marks.is_some()
    }

    /// Takes a submitted request. Returns it if it was carried out, and everything before it is
    /// answered.
    pub(super) fn submitted(&mut self, submitted: Submitted) -> Option<Box<Answered>> {
        let Submitted { outcome, context, bytes } = submitted;
        let commit: PendingCommit = match outcome {
            Outcome::Completed(completed) if self.pending.is_empty() && self.delayed.is_none() => {
                return Some(Box::new(Answered { completed, context }));
            }
            Outcome::Completed(completed) => Box::pin(std::future::ready(completed)),
            Outcome::Pending(commit) => commit,
        };
        self.pending_bytes += bytes;
        self.pending.push_back(Pending { commit, context, bytes });
        None
    }

    /// Returns an answered request if its response may go now. If the flow that it changed lags,
    /// the response is kept until it was delivered.
    ///
    /// Consecutive responses wait until one common time, so that none of them waits longer than
    /// `max_delay` after its commit: a server that is stuck must not stop its writers for ever.
    pub(super) fn delay(
        &mut self,
        answered: Box<Answered>,
        lagging: Option<Arc<FlowBacklog>>,
        max_delay: Duration,
    ) -> Option<Box<Answered>> {
        let Some(backlog) = lagging else {
            self.delayed_until = None;
            return Some(answered);
        };
        let now = Instant::now();
        let until = *self.delayed_until.get_or_insert(now + max_delay);
        if until <= now {
            if self.pending.is_empty() {
                self.delayed_until = None;
            }
            return Some(answered);
        }
        crate::metrics::response_delayed();
        let room = Box::pin(async move {
            // The response goes in either case.
            let _ = timeout_at(until, backlog.wait_until_drained()).await;
        });
        self.delayed = Some(Box::new(Delayed { answered, room }));
        None
    }

    /// Waits for the next change. Pending for ever while the pipeline is idle.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Advance> {
        if let Some(in_flight) = &mut self.in_flight
            && let Poll::Ready(submitted) = in_flight.as_mut().poll(context)
        {
            self.in_flight = None;
            return Poll::Ready(Advance::Submitted(self.submitted(submitted)));
        }
        if let Some(read_marks) = &mut self.read_marks
            && read_marks.as_mut().poll(context).is_ready()
        {
            self.read_marks = None;
            return Poll::Ready(Advance::ReadMarksMoved);
        }
        match self.delayed.take() {
            Some(mut delayed) => {
                if delayed.room.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Advance::Delivered(delayed.answered));
                }
                self.delayed = Some(delayed);
                Poll::Pending
            }
            None => self.poll_committed(context).map(Advance::Committed),
        }
    }

    /// Waits for the commit of the first pending message. Pending for ever while there is none.
    pub(super) fn poll_committed(&mut self, context: &mut Context<'_>) -> Poll<Box<Answered>> {
        if let Some(first) = self.pending.front_mut()
            && let Poll::Ready(completed) = first.commit.as_mut().poll(context)
            && let Some(Pending { context, bytes, .. }) = self.pending.pop_front()
        {
            self.pending_bytes -= bytes;
            return Poll::Ready(Box::new(Answered { completed, context }));
        }
        Poll::Pending
    }
}

/// The content of a message that a command sends, in bytes.
pub(super) fn content_bytes(command: &Command) -> usize {
    match command {
        Command::Send(message) => message.content.size(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backlog::Backlogs;
    use futures_util::FutureExt;
    use std::future::{pending, poll_fn, ready};
    use tolmach_dialect::{Correlation, Request, Response, Violation, ViolationKind};
    use tolmach_domain::{
        Authority, Content, Credentials, Fault, FlowId, FlowKindFilter, NewMessage, UserRef,
    };

    fn request(command: Command) -> Step {
        let request = Request::new(Correlation::NONE, Credentials::Connection, command);
        Step::Request(Box::new(request))
    }

    fn message(bytes: usize) -> Command {
        Command::Send(Box::new(NewMessage {
            flow: FlowId::new(1).unwrap(),
            kinds: FlowKindFilter::Any,
            content: Content::text("x".repeat(bytes)),
            key: None,
        }))
    }

    fn context() -> AuthContext {
        AuthContext {
            credentials: Credentials::Connection,
            authority: Authority::Member,
            wide_ids: Box::default(),
            is_login: false,
            readable: None,
            flow_read: None,
            copy: None,
        }
    }

    /// A request that was carried out, known by its fault.
    fn completed(fault: Fault) -> Completed {
        Completed::without_flow(Response::new(Correlation::NONE, Err(fault)))
    }

    fn answered(fault: Fault) -> Box<Answered> {
        Box::new(Answered { completed: completed(fault), context: context() })
    }

    fn submitted(outcome: Outcome, bytes: usize) -> Submitted {
        Submitted { outcome, context: context(), bytes }
    }

    fn uncommitted(bytes: usize) -> Submitted {
        submitted(Outcome::Pending(Box::pin(pending())), bytes)
    }

    fn fault(answered: &Answered) -> Fault {
        answered.completed.response.outcome.clone().unwrap_err()
    }

    fn advance(pipeline: &mut Pipeline) -> Option<Advance> {
        poll_fn(|context| pipeline.poll(context)).now_or_never()
    }

    #[test]
    fn only_messages_of_one_context_follow_each_other() {
        let read = || request(Command::GetUser { user: UserRef::Me });
        let other = || {
            let mut request = Request::new(Correlation::NONE, Credentials::Nothing, message(1));
            request.authority = Authority::Administrator;
            Step::Request(Box::new(request))
        };
        let violation =
            || Step::Reject(Violation { kind: ViolationKind::Shape, answer: None, close: None });
        for (name, before, step, runs) in [
            ("nothing before", 0, read(), true),
            ("a message after a message", 1, request(message(1)), true),
            ("of another user", 1, other(), false),
            ("another request", 1, read(), false),
            ("a violation", 1, violation(), false),
            ("after as many as may be", MAX_PENDING, request(message(1)), false),
            ("up to the bytes", 1, request(message(MAX_PENDING_BYTES - 1)), true),
            ("past the bytes", 1, request(message(MAX_PENDING_BYTES)), false),
            ("alone, of any size", 0, request(message(2 * MAX_PENDING_BYTES)), true),
        ] {
            let mut pipeline = Pipeline::default();
            for _ in 0..before {
                assert!(pipeline.submitted(uncommitted(1)).is_none());
            }
            assert_eq!(pipeline.admit(step).is_some(), runs, "{name}");
            assert_eq!(pipeline.accepts_frames(), runs, "{name}");
            assert_eq!(pipeline.is_idle(), before == 0, "{name}");
        }
    }

    #[test]
    fn no_frame_is_read_while_as_many_bytes_as_may_be_are_pending() {
        let mut pipeline = Pipeline::default();
        assert!(pipeline.submitted(uncommitted(MAX_PENDING_BYTES - 1)).is_none());
        assert!(pipeline.accepts_frames());
        assert!(pipeline.submitted(uncommitted(1)).is_none());
        assert!(!pipeline.accepts_frames());
    }

    #[test]
    fn requests_are_answered_in_their_order() {
        let mut pipeline = Pipeline::default();
        let first = Outcome::Pending(Box::pin(ready(completed(Fault::NotOwner))));
        assert!(pipeline.submitted(submitted(first, 1)).is_none());
        let second = Outcome::Completed(completed(Fault::NotAuthor));
        assert!(pipeline.submitted(submitted(second, 1)).is_none());
        for expected in [Fault::NotOwner, Fault::NotAuthor] {
            let Some(Advance::Committed(answered)) = advance(&mut pipeline) else { panic!() };
            assert_eq!(fault(&answered), expected);
        }
        assert!(advance(&mut pipeline).is_none() && pipeline.is_idle());
        let third = Outcome::Completed(completed(Fault::NoPhoto));
        let answered = pipeline.submitted(submitted(third, 0)).unwrap();
        assert_eq!(fault(&answered), Fault::NoPhoto);
    }

    #[tokio::test]
    async fn responses_wait_for_delivery_and_later_ones_for_them() {
        let hour = Duration::from_secs(3600);
        let backlog = FlowBacklog::new(Backlogs::new(1));
        let tracked = backlog.track(2);
        let mut pipeline = Pipeline::default();
        assert!(pipeline.delay(answered(Fault::NotOwner), None, hour).is_some());
        let lagging = Some(backlog.clone());
        assert!(pipeline.delay(answered(Fault::NotOwner), lagging, hour).is_none());
        assert!(!pipeline.is_idle() && !pipeline.accepts_frames());
        let second = Outcome::Completed(completed(Fault::NotAuthor));
        assert!(pipeline.submitted(submitted(second, 0)).is_none());
        assert!(advance(&mut pipeline).is_none());
        drop(tracked);
        let Some(Advance::Delivered(first)) = advance(&mut pipeline) else { panic!() };
        assert_eq!(fault(&first), Fault::NotOwner);
        let Some(Advance::Committed(second)) = advance(&mut pipeline) else { panic!() };
        assert_eq!(fault(&second), Fault::NotAuthor);
        assert!(pipeline.is_idle());
    }

    #[test]
    fn consecutive_responses_wait_until_one_common_time() {
        let backlog = FlowBacklog::new(Backlogs::new(1));
        let _tracked = backlog.track(2);
        let mut pipeline = Pipeline::default();
        assert!(pipeline.submitted(uncommitted(1)).is_none());
        let mut delay = |max_delay| {
            let lagging = Some(backlog.clone());
            pipeline.delay(answered(Fault::NotOwner), lagging, max_delay).is_some()
        };
        assert!(delay(Duration::ZERO), "the time is over at once");
        assert!(delay(Duration::from_secs(3600)), "it is over for those after it as well");
        pipeline.pending.clear();
        let lagging = Some(backlog.clone());
        let max_delay = Duration::from_secs(3600);
        assert!(pipeline.delay(answered(Fault::NotOwner), lagging, max_delay).is_some());
        let lagging = Some(backlog);
        assert!(
            pipeline.delay(answered(Fault::NotOwner), lagging, max_delay).is_none(),
            "a new time begins after the last of them"
        );
    }
}
