//! The events of an upstream on their way to one client.

use crate::directory::{Directory, SharedFlow};
use crate::forms::PAGE;
use crate::session::Session;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tolmach_dialect::Incoming;
use tolmach_dialect::placeholders::{placeholder_flow_id, placeholder_user_id};
use tolmach_domain::{
    Command, ConnectionId, Event, EventKind, FlowId, FlowKind, Message, MessageId, Origin,
    Timestamp, UserId,
};
use tolmach_server::EventSink;

/// The messages that are remembered, so that none is delivered twice and edits that do not name
/// their flows reach them.
const MAX_SEEN: usize = 1_024;

/// The flows of which the last message is remembered.
const MAX_FLOWS: usize = 1_024;

/// The events of one link: what its client was given, and what is to be given next.
pub(crate) struct Deliveries {
    /// `None` for HTTP requests, which get no events.
    sink: Option<EventSink>,
    /// The client's connection and its dialect.
    client: (ConnectionId, &'static str),
    directory: Arc<Directory>,
    seen: Seen,
    /// The last message of each flow that the client was given or read.
    last: HashMap<FlowId, LastMessage>,
    /// The login of the client.
    session: Option<Arc<Session>>,
    /// The message that is being sent.
    sending: Option<(FlowId, String)>,
    /// The event of that message, where it came before the answer.
    echo: Option<Message>,
    /// The last message of which the upstream has told no id, and its flow: no history and no event
    /// has it.
    invented: Option<(MessageId, FlowId)>,
    /// The answer of the directory about the flow that it was asked for last.
    is_shared: Option<(FlowId, SharedFlow)>,
}

/// The last message of a flow that a client was given or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastMessage {
    id: MessageId,
    posted_at: Timestamp,
}

impl LastMessage {
    fn of(message: &Message) -> Self {
        Self { id: message.id, posted_at: message.posted_at }
    }

    /// The messages after it. Without it in the page, those that are no older, as many as a page
    /// has.
    pub(crate) fn missed(self, mut page: Vec<Message>) -> Vec<Message> {
        match page.iter().position(|message| message.id == self.id) {
            Some(place) => {
                page.drain(..=place);
            }
            None => {
                page.retain(|message| message.posted_at >= self.posted_at);
                let max = usize::try_from(PAGE).unwrap_or(usize::MAX);
                page.drain(..page.len().saturating_sub(max));
            }
        }
        page
    }
}

/// The messages that were read or delivered last, with their flows.
#[derive(Default)]
struct Seen {
    order: VecDeque<MessageId>,
    flows: HashMap<MessageId, FlowId>,
}

impl Seen {
    /// Notes a message. Returns false if it was noted before.
    fn insert(&mut self, message: &Message) -> bool {
        if self.flows.insert(message.id, message.flow).is_some() {
            return false;
        }
        self.order.push_back(message.id);
        if self.order.len() > MAX_SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.flows.remove(&oldest);
        }
        true
    }
}

impl Deliveries {
    pub(crate) fn new(
        sink: Option<EventSink>,
        client: (ConnectionId, &'static str),
        directory: Arc<Directory>,
    ) -> Self {
        Self {
            sink,
            client,
            directory,
            seen: Seen::default(),
            last: HashMap::new(),
            session: None,
            sending: None,
            echo: None,
            invented: None,
            is_shared: None,
        }
    }

    /// Requests and events are of this login from now on. The flows of another one are forgotten.
    pub(crate) fn set_session(&mut self, session: &Arc<Session>) {
        if self.session.as_ref().is_some_and(|before| before.id != session.id) {
            self.last.clear();
        }
        self.session = Some(session.clone());
    }

    /// Waits until the client has taken enough of what it was given.
    pub(crate) async fn room(&self) {
        if let Some(sink) = &self.sink {
            sink.room().await;
        }
    }

    /// The flow of a message that was read or delivered.
    pub(crate) fn flow_of(&self, message: MessageId) -> Option<FlowId> {
        let invented = self.invented.filter(|(id, _)| *id == message).map(|(_, flow)| flow);
        let flow = invented.or_else(|| self.seen.flows.get(&message).copied());
        flow.filter(|flow| *flow != placeholder_flow_id())
    }

    /// The flows that the client knows, each with its last message.
    pub(crate) fn last_messages(&self) -> impl Iterator<Item = (FlowId, LastMessage)> {
        self.last.iter().map(|(flow, message)| (*flow, *message))
    }

    /// The upstream has told no id of a message that was sent to a flow: it has this one.
    pub(crate) fn invented(&mut self, id: MessageId, flow: FlowId) {
        self.invented = Some((id, flow));
    }

    /// See [`Directory::is_shared`].
    pub(crate) fn is_shared(&mut self, flow: FlowId) -> bool {
        let known = self.is_shared.filter(|(of, _)| *of == flow).map(|(_, known)| known);
        let known = self.directory.shared_flow(flow, known);
        self.is_shared = Some((flow, known));
        known.is_shared
    }

    /// Notes a message that the client has read, or that is older than its subscription.
    pub(crate) fn note(&mut self, message: &Message) {
        let is_known = self.last.contains_key(&message.flow);
        let is_invented = self.invented.is_some_and(|(id, _)| id == message.id);
        if !is_invented {
            self.seen.insert(message);
        }
        if (is_known && !is_invented) || (!is_known && self.last.len() < MAX_FLOWS) {
            self.last.insert(message.flow, LastMessage::of(message));
        }
    }

    /// A message is being sent: an event of it is the echo, which comes with the answer.
    pub(crate) fn sending(&mut self, command: &Command) {
        self.echo = None;
        self.sending = match command {
            Command::Send(message) => Some((message.flow, message.content.text.clone())),
            _ => None,
        };
    }

    /// The message was answered. Returns its event, if that has come.
    pub(crate) fn sent(&mut self) -> Option<Message> {
        self.sending = None;
        self.echo.take()
    }

    /// Gives the client the events among what came in a frame.
    pub(crate) fn deliver_all(&mut self, incoming: &[Incoming]) {
        for incoming in incoming {
            if let Incoming::Event(event) = incoming {
                self.deliver(event);
            }
        }
    }

    /// Gives the client an event of the upstream, unless it has it already.
    pub(crate) fn deliver(&mut self, event: &Event) {
        if self.session.as_ref().is_some_and(|session| session.is_ended()) {
            return;
        }
        let mut event = event.clone();
        self.complete(&mut event.kind);
        self.directory.learn_event(&event.kind);
        if let EventKind::Posted(message) = &event.kind {
            if self.is_echo(message) {
                self.echo = Some(message.clone());
                return;
            }
            if !self.seen.insert(message) {
                return;
            }
            self.note(message);
        }
        self.push(event);
    }

    /// True if the client has a use for the events of its own requests.
    pub(crate) fn wants_own(&self) -> bool {
        self.sink.as_ref().is_some_and(EventSink::wants_own)
    }

    /// Gives the client the event of its own request, whose messages are those of the answer.
    pub(crate) fn deliver_own(&mut self, mut event: Event, client_tag: Option<Bytes>) {
        match &mut event.kind {
            EventKind::Posted(message) => self.note(message),
            kind => self.complete(kind),
        }
        let (connection, dialect) = self.client;
        event.origin = Some(Origin { connection, dialect, client_tag });
        self.push(event);
    }

    /// Completes what other wires leave out of a message.
    pub(crate) fn complete_message(&mut self, message: &mut Message) {
        if message.flow_kind == FlowKind::Chat && self.is_shared(message.flow) {
            message.flow_kind = FlowKind::Group;
        }
        let author = &mut message.author;
        if let Some(session) = &self.session {
            let mut account = session.account();
            if author.id == account.user.id {
                *author = account.summary();
                return;
            }
            let own = &account.user;
            // Elsewhere the name of an author may be one that anybody can choose.
            let is_login = |user: UserId, login: &str| user == placeholder_user_id(login);
            let is_named = !own.login.is_empty()
                && (is_login(own.id, &own.login) || is_login(author.id, &author.login))
                && author.login.to_lowercase() == own.login.to_lowercase();
            if is_named {
                *author = account.summary();
                return;
            }
        }
        if let Some(login) = self.directory.login(author.id) {
            author.login = login.into();
        }
    }

    fn complete(&mut self, kind: &mut EventKind) {
        match kind {
            EventKind::Posted(message) | EventKind::Edited(message) => {
                if message.flow == placeholder_flow_id()
                    && let Some(flow) = self.flow_of(message.id)
                {
                    message.flow = flow;
                }
                self.complete_message(message);
            }
            EventKind::Deleted { flow, messages, .. } => {
                if *flow == placeholder_flow_id()
                    && let Some(known) = messages.first().and_then(|(id, _)| self.flow_of(*id))
                {
                    *flow = known;
                }
            }
            _ => {}
        }
    }

    fn is_echo(&self, message: &Message) -> bool {
        let is_own = self.session.as_ref().is_none_or(|session| {
            message.author.id == session.account().user.id || message.author.login.is_empty()
        });
        is_own
            && self.echo.is_none()
            && self
                .sending
                .as_ref()
                .is_some_and(|(flow, text)| message.flow == *flow && message.content.text == *text)
    }

    fn push(&self, event: Event) {
        if let Some(sink) = &self.sink {
            sink.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Account;
    use tolmach_domain::{Content, FlowKindFilter, NewMessage, SessionId, User, UserSummary};

    fn message(id: i64, flow: i64, author: i64, text: &str) -> Message {
        Message::new(
            MessageId::new(id).unwrap(),
            (FlowId::new(flow).unwrap(), FlowKind::Chat),
            UserSummary::named(UserId::new(author).unwrap(), format!("user {author}")),
            Content::text(text),
            Timestamp::default(),
        )
    }

    fn deliveries() -> Deliveries {
        let mut deliveries =
            Deliveries::new(None, (ConnectionId(1), "toy"), Arc::new(Directory::new()));
        let account = Account::new(User::named(UserId::new(1).unwrap(), "user 1"));
        deliveries.set_session(&Arc::new(Session::new(SessionId::new(1).unwrap(), account)));
        deliveries
    }

    fn posted(message: Message) -> Event {
        Event::new(Timestamp::default(), EventKind::Posted(message))
    }

    #[test]
    fn the_event_of_a_message_that_is_being_sent_is_kept_for_its_answer() {
        let mut deliveries = deliveries();
        let flow = FlowId::new(5).unwrap();
        let content = Content::text("hello");
        let kinds = FlowKindFilter::Any;
        let new = NewMessage { flow, kinds, content, key: None };
        deliveries.sending(&Command::Send(Box::new(new)));
        deliveries.deliver(&posted(message(1, 5, 2, "hello")));
        deliveries.deliver(&posted(message(2, 6, 1, "hello")));
        deliveries.deliver(&posted(message(3, 5, 1, "hello")));
        assert_eq!(deliveries.sent().map(|echo| echo.id.get()), Some(3));
        deliveries.deliver(&posted(message(4, 5, 1, "hello")));
        assert!(deliveries.sent().is_none(), "nothing is being sent");
    }

    #[test]
    fn the_last_message_of_each_flow_is_remembered() {
        let mut deliveries = deliveries();
        deliveries.note(&message(1, 5, 1, "one"));
        deliveries.deliver(&posted(message(2, 5, 2, "two")));
        let (flow, last) = (FlowId::new(5).unwrap(), message(2, 5, 2, "two"));
        let last_messages =
            |deliveries: &Deliveries| deliveries.last_messages().collect::<Vec<_>>();
        assert_eq!(last_messages(&deliveries), [(flow, LastMessage::of(&last))]);
        assert_eq!(deliveries.flow_of(last.id), Some(flow));
        assert_eq!(deliveries.flow_of(MessageId::new(9).unwrap()), None);
        deliveries.invented(MessageId::new(3).unwrap(), flow);
        deliveries.note(&message(3, 5, 1, "three"));
        assert_eq!(last_messages(&deliveries), [(flow, LastMessage::of(&last))]);
        assert_eq!(deliveries.flow_of(MessageId::new(3).unwrap()), Some(flow));
    }

    #[test]
    fn the_flows_of_the_latest_messages_are_remembered_and_no_more() {
        let mut deliveries = deliveries();
        let last = i64::try_from(MAX_SEEN).unwrap() + 1;
        for id in 1..=last {
            deliveries.note(&message(id, 5, 1, "text"));
            deliveries.note(&message(id, 5, 1, "again"));
        }
        let flow = |id| deliveries.flow_of(MessageId::new(id).unwrap()).map(FlowId::get);
        assert_eq!([1, 2, last].map(flow), [None, Some(5), Some(5)]);
        assert_eq!(deliveries.seen.order.len(), MAX_SEEN);
    }

    #[test]
    fn messages_after_the_last_one_are_missed_or_without_it_those_that_are_no_older() {
        let at = |id, seconds| Message {
            posted_at: Timestamp::from_micros(seconds),
            ..message(id, 5, 2, "text")
        };
        let page = || vec![at(1, 10), at(2, 20), at(3, 30)];
        let ids = |last: Message, page| {
            let missed = LastMessage::of(&last).missed(page).into_iter();
            missed.map(|message| message.id.get()).collect::<Vec<_>>()
        };
        assert_eq!(ids(at(2, 20), page()), [3]);
        assert_eq!(ids(at(9, 20), page()), [2, 3]);
        let many = (1..=i64::from(PAGE) + 5).map(|id| at(id, 30)).collect();
        let last = ids(at(1_000, 20), many);
        assert_eq!((last.len(), last[0]), (100, 6));
    }

    #[test]
    fn nothing_is_delivered_to_a_login_that_has_ended() {
        let mut deliveries = deliveries();
        let session = deliveries.session.clone().unwrap();
        session.end();
        deliveries.deliver(&posted(message(1, 5, 2, "private")));
        assert_eq!(deliveries.last_messages().count(), 0);
    }

    #[test]
    fn an_author_with_the_login_of_a_user_for_a_name_is_another_user() {
        let mut deliveries = deliveries();
        let mut other = message(1, 5, 2, "hello");
        other.author.login = "user 1".into();
        deliveries.complete_message(&mut other);
        assert_eq!(other.author.id.get(), 2);
        other.author = tolmach_dialect::placeholders::placeholder_user("User 1");
        deliveries.complete_message(&mut other);
        assert_eq!(other.author.id.get(), 1, "the wire names users by their logins");
    }
}
