//! Mirroring: requests that another server has answered are made at the upstream as well, and the
//! answers compared. Nobody waits for it.
//!
//! One task makes them one after the other, in the order in which they were answered, so that a
//! read at the upstream follows the same writes. What it has no room for is dropped.

use crate::caches::of_latest;
use crate::metrics;
use crate::mirrored_answers::differences;
use crate::mirrored_ids::IdPairs;
use crate::options::BridgeOptions;
use crate::requests::NO_SUCH_REQUEST;
use moka::sync::Cache;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tolmach_dialect::{Correlation, Request};
use tolmach_domain::{Answer, Authority, Command, Credentials, Fault, FlowSummary, User};
use tolmach_engine::{Principal, flow_summary_size, message_size, user_size};
use tolmach_server::{MirrorSlot, MirroredRequest, UpstreamConnection, UpstreamOutcome};

/// The size of a request and its answer without what they contain, in bytes.
const RECORD_BYTES: usize = 1_024;
/// The time between two looks at the flows of one user, where one is not known at the upstream.
const LIST_PAUSE: Duration = Duration::from_secs(10);
/// The lines about differences that the log has in one period at most.
const MAX_LOGGED: u32 = 10;
/// That period.
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// Opens the side of a client of a dialect towards the upstream.
type Open = Arc<dyn Fn(&'static str) -> Box<dyn UpstreamConnection> + Send + Sync>;

/// The copies of requests for an upstream.
pub(crate) struct Mirror {
    upstream: Arc<str>,
    open: Open,
    max_sessions: u64,
    session_lifetime: Duration,
    waiting: Arc<Waiting>,
    /// Started with the first copy.
    jobs: OnceLock<mpsc::UnboundedSender<Job>>,
}

/// The memory of the copies that wait, and of those whose requests are being carried out.
struct Waiting {
    max_bytes: usize,
    bytes: AtomicUsize,
    /// The number of times that what waits was dropped.
    epoch: AtomicU64,
    gauge: ::metrics::Gauge,
}

/// A part of that memory, free again when it is dropped.
struct Room {
    bytes: usize,
    epoch: u64,
    waiting: Arc<Waiting>,
}

impl Room {
    fn take(waiting: &Arc<Waiting>, bytes: usize) -> Option<Self> {
        let epoch = waiting.epoch.load(Ordering::Relaxed);
        let mut room = Self { bytes: 0, epoch, waiting: waiting.clone() };
        room.grow(bytes).then_some(room)
    }

    /// Returns false if there is not so much more.
    fn grow(&mut self, bytes: usize) -> bool {
        let Waiting { max_bytes, bytes: held, gauge, .. } = &*self.waiting;
        let more = |held: usize| Some(held + bytes).filter(|sum| sum <= max_bytes);
        let is_taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if is_taken {
            gauge.increment(bytes as f64);
            self.bytes += bytes;
        }
        is_taken
    }

    /// True unless what waited was dropped since.
    fn is_current(&self) -> bool {
        self.epoch == self.waiting.epoch.load(Ordering::Relaxed)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.waiting.gauge.decrement(self.bytes as f64);
    }
}

/// The room for the copy of a request that is being carried out.
struct Slot {
    mirror: Arc<Mirror>,
    room: Room,
}

impl MirrorSlot for Slot {
    fn fill(self: Box<Self>, request: MirroredRequest, outcome: &Result<Answer, Fault>) {
        let Self { mirror, mut room } = *self;
        if room.grow(answer_size(outcome)) {
            mirror.give(Job { request, outcome: outcome.clone(), room });
        } else {
            mirror.count_dropped(&request.command);
        }
    }
}

/// A copy that waits, or is being made.
struct Job {
    request: MirroredRequest,
    /// The answer of the mirrored server, or the fault that it refused the request with.
    outcome: Result<Answer, Fault>,
    room: Room,
}

impl Mirror {
    /// `upstream` is its name, for metrics and logs.
    pub(crate) fn new(
        upstream: &str,
        options: &BridgeOptions,
        open: impl Fn(&'static str) -> Box<dyn UpstreamConnection> + Send + Sync + 'static,
    ) -> Self {
        let upstream: Arc<str> = upstream.into();
        let gauge = metrics::mirror_waiting(&upstream);
        let (bytes, epoch) = (AtomicUsize::new(0), AtomicU64::new(0));
        let max_bytes = options.mirror_queue_bytes;
        Self {
            upstream,
            open: Arc::new(open),
            max_sessions: options.max_sessions,
            session_lifetime: options.session_lifetime,
            waiting: Arc::new(Waiting { max_bytes, bytes, epoch, gauge }),
            jobs: OnceLock::new(),
        }
    }

    /// Room for the copy of a request that is about to be carried out, if there is some.
    pub(crate) fn begin(self: &Arc<Self>, command: &Command) -> Option<Box<dyn MirrorSlot>> {
        match Room::take(&self.waiting, RECORD_BYTES + command_size(command)) {
            Some(room) => Some(Box::new(Slot { mirror: self.clone(), room })),
            None => {
                self.count_dropped(command);
                None
            }
        }
    }

    fn give(&self, job: Job) {
        let jobs = self.jobs.get_or_init(|| {
            let (sender, jobs) = mpsc::unbounded_channel();
            tokio::spawn(self.worker().run(jobs));
            sender
        });
        // The task ends only after the sender.
        let _ = jobs.send(job);
    }

    fn count_dropped(&self, command: &Command) {
        metrics::mirrored(&self.upstream, command.name(), "dropped");
    }

    /// Drops the copies that wait.
    pub(crate) fn drop_waiting(&self) {
        self.waiting.epoch.fetch_add(1, Ordering::Relaxed);
    }

    fn worker(&self) -> Worker {
        Worker {
            upstream: self.upstream.clone(),
            open: self.open.clone(),
            ids: IdPairs::new(),
            sessions: of_latest(self.max_sessions).time_to_idle(self.session_lifetime).build(),
            listed: of_latest(self.max_sessions).time_to_live(LIST_PAUSE).build(),
            log: Log { since: Instant::now(), written: 0, left_out: 0 },
        }
    }
}

/// The task that makes copies of requests at the upstream.
struct Worker {
    upstream: Arc<str>,
    open: Open,
    ids: IdPairs,
    /// The callers of users who have logged in, by login.
    sessions: Cache<Arc<str>, Principal>,
    /// The users whose flows were looked at a short time ago.
    listed: Cache<Arc<str>, ()>,
    log: Log,
}

impl Worker {
    async fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        while let Some(mut job) = jobs.recv().await {
            let operation = job.request.command.name();
            let outcome = if job.room.is_current() { self.make(&mut job).await } else { "dropped" };
            metrics::mirrored(&self.upstream, operation, outcome);
        }
    }

    /// Makes a copy of a request, and compares the answers. Returns the word for metrics.
    async fn make(&mut self, Job { request, outcome: ours, .. }: &mut Job) -> &'static str {
        let is_login = match &request.command {
            Command::Register(_) | Command::Login { .. } => true,
            // Their tokens are of one server, and their letters go to people.
            Command::Refresh { .. } | Command::Recover { .. } | Command::ResetPassword { .. } => {
                return "skipped";
            }
            _ => false,
        };
        let caller = self.sessions.get(&request.login).filter(|_| !is_login);
        if caller.is_none() && !is_login {
            return "skipped";
        }
        let mut command = request.command.clone();
        let mut connection = (self.open)(request.dialect);
        if !self.ids.translate(&mut command) {
            if let Some(caller) = caller {
                self.learn_flows(&mut *connection, caller, request).await;
            }
            command = request.command.clone();
            if !self.ids.translate(&mut command) {
                return "skipped";
            }
        }
        let made = connection.submit(caller, copy(request.authority, command)).await;
        let UpstreamOutcome { principal, outcome: theirs } = made;
        match (&*ours, &theirs) {
            (_, Err(Fault::Unavailable)) => return "unavailable",
            (_, Err(Fault::Invalid { reason, .. })) if reason == NO_SUCH_REQUEST => {
                return "unsupported";
            }
            (_, Err(Fault::Unauthenticated) | Ok(Answer::LoggedOut)) if !is_login => {
                self.sessions.invalidate(&request.login);
            }
            // A login that the upstream alone grants is no proof of identity.
            (Ok(Answer::Granted(_)), Ok(Answer::Granted(_))) => {
                if let Some(principal) = principal {
                    self.sessions.insert(request.login.clone(), principal);
                }
            }
            _ => {}
        }
        if let (Ok(ours), Ok(theirs)) = (&*ours, &theirs) {
            self.ids.learn(&request.login, ours, theirs);
        }
        let fields = differences(ours, &theirs);
        if fields.is_empty() {
            return "same";
        }
        self.log.difference(&self.upstream, request, &fields);
        "different"
    }

    /// Learns which flows of a user are the same at both servers.
    async fn learn_flows(
        &mut self,
        connection: &mut dyn UpstreamConnection,
        caller: Principal,
        request: &mut MirroredRequest,
    ) {
        if self.listed.contains_key(&request.login) {
            return;
        }
        self.listed.insert(request.login.clone(), ());
        let Some(ours) = (&mut request.flows).await else { return };
        // It was read, and is not read again.
        request.flows = Box::pin(std::future::ready(None));
        let list = Command::ListFlows { limit: None, offset: 0, members: true };
        let made = connection.submit(Some(caller), copy(Authority::Member, list)).await;
        if let Ok(Answer::Flows(theirs)) = made.outcome {
            self.ids.learn_flows(&request.login, &ours, &theirs);
        }
    }
}

/// The copy of a request: of what its wire has around it, the upstream gets nothing.
fn copy(authority: Authority, command: Command) -> Request {
    let request = Request::new(Correlation::NONE, Credentials::Nothing, command);
    Request { authority, ..request }
}

/// The differences that were logged lately.
struct Log {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl Log {
    /// Logs the fields of a difference, unless many were logged lately. No value is written: it may
    /// be a text of people.
    fn difference(
        &mut self,
        upstream: &Arc<str>,
        request: &MirroredRequest,
        fields: &BTreeSet<String>,
    ) {
        if self.since.elapsed() >= LOG_PERIOD {
            if self.left_out > 0 {
                let count = self.left_out;
                tracing::info!(upstream = &**upstream, count, "further answers differed");
            }
            *self = Self { since: Instant::now(), written: 0, left_out: 0 };
        }
        if self.written >= MAX_LOGGED {
            self.left_out += 1;
            return;
        }
        self.written += 1;
        tracing::info!(
            upstream = &**upstream,
            dialect = request.dialect,
            operation = request.command.name(),
            fields = fields.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            "the mirror's answer differs"
        );
    }
}

/// The memory of what a request contains, in bytes, about.
fn command_size(command: &Command) -> usize {
    match command {
        Command::Send(message) => message.content.size(),
        Command::Edit { text, .. } => text.len(),
        Command::CreateFlow(new) => {
            let photo = new.photo.as_ref().map_or(0, |photo| photo.content.len());
            new.title.len() + new.info.len() + photo + 8 * new.members.len()
        }
        Command::CreateProfile(profile) => {
            profile.bio.len() + profile.photo.as_ref().map_or(0, |photo| photo.content.len())
        }
        Command::Register(registration) => {
            let texts = [&registration.bio, &registration.avatar];
            texts.into_iter().flatten().map(String::len).sum()
        }
        Command::AddMembers { users, .. } | Command::RemoveMembers { users, .. } => 8 * users.len(),
        Command::Delete { messages, .. } => 8 * messages.len(),
        _ => 0,
    }
}

/// The memory of what an answer contains, in bytes, about.
fn answer_size(outcome: &Result<Answer, Fault>) -> usize {
    let users = |users: &[User]| users.iter().map(user_size).sum::<usize>();
    let flows = |flows: &[FlowSummary]| flows.iter().map(flow_summary_size).sum::<usize>();
    match outcome {
        Ok(Answer::Users(found)) => users(found),
        Ok(Answer::User(user)) => user_size(user),
        Ok(Answer::Photo(photo)) => photo.content.len(),
        Ok(Answer::Flow(summary)) => flow_summary_size(summary),
        Ok(Answer::Flows(found)) => flows(found),
        Ok(Answer::Sent { message: Some(message), .. }) => message_size(message),
        Ok(Answer::Edited(message)) => message_size(message),
        Ok(Answer::History(page)) => page.messages.iter().map(message_size).sum(),
        Ok(Answer::Changes(changes)) => {
            changes.messages.iter().map(message_size).sum::<usize>() + flows(&changes.flows)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::{BoxFuture, pending, ready};
    use std::sync::Mutex;
    use tolmach_dialect::Subscription;
    use tolmach_domain::{
        Content, FlowId, FlowKindFilter, Grant, Identity, NewMessage, SessionId, Timestamp, Tokens,
        UserId,
    };

    /// An upstream that logs everybody in, and notes what else it is asked for.
    #[derive(Clone, Default)]
    struct Toy {
        asked: Arc<Mutex<Vec<String>>>,
        is_silent: bool,
    }

    fn principal() -> Principal {
        let identity = Identity { user: UserId::new(9).unwrap(), session: SessionId::new(1).ok() };
        Principal { identity, expires_at: Timestamp::default() }
    }

    impl UpstreamConnection for Toy {
        fn authenticate(&mut self, _: Credentials) -> BoxFuture<'static, Result<Principal, Fault>> {
            ready(Ok(principal())).boxed()
        }

        fn submit(
            &mut self,
            _: Option<Principal>,
            request: Request,
        ) -> BoxFuture<'static, UpstreamOutcome> {
            self.asked.lock().unwrap().push(request.command.name().to_owned());
            if self.is_silent {
                return pending().boxed();
            }
            let outcome = match request.command {
                Command::Login { .. } => Ok(granted()),
                _ => Err(Fault::NoSuchFlow),
            };
            ready(UpstreamOutcome { principal: Some(principal()), outcome }).boxed()
        }

        fn subscribe(&mut self, _: Option<SessionId>, _: Subscription) {}
    }

    fn granted() -> Answer {
        Answer::Granted(Box::new(Grant { user: None, tokens: Tokens::Nothing }))
    }

    type Answered = Result<Answer, Fault>;

    fn request(command: Command) -> MirroredRequest {
        MirroredRequest {
            login: "ann".into(),
            dialect: "toy",
            authority: Authority::Member,
            command,
            flows: ready(None).boxed(),
        }
    }

    fn login() -> (Command, Answered) {
        let password = tolmach_domain::Secret::new("password");
        let grant = tolmach_domain::GrantKind::Nothing;
        (Command::Login { identifier: "ann".into(), password, grant }, Ok(granted()))
    }

    fn message(bytes: usize) -> (Command, Answered) {
        let (flow, kinds) = (FlowId::new(1).unwrap(), FlowKindFilter::Any);
        let content = Content::text("x".repeat(bytes));
        let new = NewMessage { flow, kinds, content, key: None };
        (Command::Send(Box::new(new)), Err(Fault::NoSuchFlow))
    }

    fn list() -> (Command, Answered) {
        let list = Command::ListFlows { limit: None, offset: 0, members: false };
        (list, Ok(Answer::Flows(Vec::new())))
    }

    /// A mirror whose copies wait in so many bytes.
    fn mirror(toy: &Toy, bytes: usize) -> Arc<Mirror> {
        let options = BridgeOptions { mirror_queue_bytes: bytes, ..BridgeOptions::default() };
        let toy = toy.clone();
        Arc::new(Mirror::new("old", &options, move |_| Box::new(toy.clone())))
    }

    /// Carries out a request, and has it mirrored if there is room.
    fn carry_out(mirror: &Arc<Mirror>, (command, outcome): (Command, Answered)) {
        if let Some(slot) = mirror.begin(&command) {
            slot.fill(request(command), &outcome);
        }
    }

    fn held(mirror: &Mirror) -> usize {
        mirror.waiting.bytes.load(Ordering::Relaxed)
    }

    async fn settle(mirror: &Mirror) {
        while held(mirror) > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn copies_are_dropped_where_there_is_no_room_and_nothing_waits_for_the_upstream() {
        let toy = Toy { is_silent: true, ..Toy::default() };
        let bytes = RECORD_BYTES + command_size(&message(1_000).0);
        let mirror = mirror(&toy, 2 * bytes);
        for _ in 0..2 {
            carry_out(&mirror, message(1_000));
        }
        assert_eq!(held(&mirror), 2 * bytes);
        carry_out(&mirror, message(0));
        assert_eq!(held(&mirror), 2 * bytes, "it was dropped");
    }

    #[test]
    fn a_copy_takes_room_before_its_request_is_carried_out_and_more_for_the_answer() {
        let (command, _) = message(1_000);
        let bytes = RECORD_BYTES + command_size(&command);
        let mirror = mirror(&Toy::default(), 2 * bytes);
        let slots = [(); 2].map(|()| mirror.begin(&command));
        assert!(slots.iter().all(Option::is_some), "at the bound");
        assert!(mirror.begin(&command).is_none(), "past the bound");
        let [slot, refused] = slots;
        let answer = Ok(Answer::User(Box::new(User::named(UserId::new(1).unwrap(), "ann"))));
        // Outside of a runtime, so that this fails if a copy is given to the task.
        slot.unwrap().fill(request(command), &answer);
        assert_eq!(held(&mirror), bytes, "there was no room for the answer");
        drop(refused);
        assert_eq!(held(&mirror), 0);
    }

    #[tokio::test]
    async fn a_copy_is_made_as_the_user_who_has_logged_in_and_with_the_ids_of_the_upstream_only() {
        let toy = Toy::default();
        let mirror = mirror(&toy, 1 << 20);
        let asked = || std::mem::take(&mut *toy.asked.lock().unwrap());
        carry_out(&mirror, list());
        settle(&mirror).await;
        assert_eq!(asked(), [""; 0], "nobody has logged in");
        carry_out(&mirror, login());
        carry_out(&mirror, list());
        settle(&mirror).await;
        assert_eq!(asked(), ["login", "list_flows"]);
        carry_out(&mirror, message(1));
        settle(&mirror).await;
        assert_eq!(asked(), [""; 0], "the flow has no id there");
    }

    #[tokio::test]
    async fn a_login_that_only_the_mirror_grants_proves_nobody() {
        let toy = Toy::default();
        let mirror = mirror(&toy, 1 << 20);
        let (login, _) = login();
        carry_out(&mirror, (login, Err(Fault::NoSuchUser)));
        carry_out(&mirror, list());
        settle(&mirror).await;
        assert_eq!(*toy.asked.lock().unwrap(), ["login"]);
    }

    #[tokio::test]
    async fn what_waits_is_dropped_when_the_mirror_ends() {
        let toy = Toy::default();
        let mirror = mirror(&toy, 1 << 20);
        carry_out(&mirror, login());
        let (list, flows) = list();
        let slot = mirror.begin(&list).unwrap();
        mirror.drop_waiting();
        slot.fill(request(list), &flows);
        carry_out(&mirror, login());
        settle(&mirror).await;
        assert_eq!(*toy.asked.lock().unwrap(), ["login"], "the one after the end of the others");
    }
}
