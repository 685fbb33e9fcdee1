//! Requests of a link: the forms that the upstream's wire has for them, and what stands in for
//! those that it has not.

use crate::completion::{
    changes_of_histories, complete, event_of, flow_of_list, history_of_changes, known_user,
};
use crate::forms::{Forms, PAGE, is_repeatable};
use crate::link::LinkTask;
use crate::session::Session;
use crate::transport::{Answered, Attempt, Draft, now};
use std::sync::Arc;
use tolmach_dialect::{Request, Subscription};
use tolmach_domain::{
    Answer, Authority, Command, Event, EventKind, Fault, FlowId, FlowKind, FlowKindFilter,
    HistoryRange, Message, MessagePage, NewFlow, Timestamp, User, UserRef,
};
use tolmach_server::UpstreamOutcome;

/// The most flows whose histories stand in for one request of changes.
const MAX_HISTORIES: usize = 32;

/// The most changes that stand in for one history.
const MAX_CHANGES: u32 = 1_000;

/// The text of a request for which the upstream's wire has none.
pub(crate) const NO_SUCH_REQUEST: &str = "the server behind this bridge has no such request";

/// The reason why a request has no answer.
pub(crate) enum Refusal {
    /// The upstream's wire has no request for it.
    Unsupported,
    /// It was refused, or the upstream cannot be reached.
    Fault(Fault),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(fault) => fault,
            Refusal::Unsupported => Fault::invalid("request", NO_SUCH_REQUEST),
        }
    }
}

/// The caller of a request.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) authority: Authority,
    pub(crate) session: Option<&'a Arc<Session>>,
}

impl LinkTask {
    /// Carries out a request of the client.
    pub(crate) async fn carry_out(
        &mut self,
        session: Option<Arc<Session>>,
        request: Request,
    ) -> UpstreamOutcome {
        let Request { authority, client_tag, mut command, .. } = request;
        let operation = command.name();
        if let Some(session) = &session {
            self.deliveries.set_session(session);
        }
        let caller = Caller { authority, session: session.as_ref() };
        let (outcome, session) = match &command {
            Command::Register(_) | Command::Login { .. } => match self.log_in(&command).await {
                Ok((answer, session)) => (Ok(answer), Some(session)),
                Err(refusal) => (Err(refusal), session),
            },
            Command::Refresh { token } => match self.refresh(token).await {
                Ok((answer, session)) => (Ok(answer), Some(session)),
                Err(refusal) => (Err(refusal), session),
            },
            Command::Logout { login } => {
                let outcome = self.log_out(login.as_deref(), caller).await;
                (outcome.map(|()| Answer::LoggedOut), None)
            }
            Command::GetUser { user: UserRef::Me } => (self.own_user(caller).await, session),
            Command::CreateProfile(profile) => {
                (self.create_profile(profile, caller).await, session)
            }
            _ => {
                let mut outcome = self.answer(&mut command, caller).await;
                if let (Ok((answer, caused)), Some(session)) = (&mut outcome, &session) {
                    self.deliver_caused(&command, answer, caused, session, client_tag);
                }
                (outcome.map(|(answer, _)| answer), session)
            }
        };
        let name = match &outcome {
            Ok(_) => "ok",
            Err(Refusal::Unsupported) => "unsupported",
            Err(Refusal::Fault(fault)) => fault.name(),
        };
        self.counter.count(operation, name);
        let principal = session.filter(|_| !matches!(outcome, Ok(Answer::AccountDeleted { .. })));
        let principal = principal.map(|session| session.principal());
        UpstreamOutcome { principal, outcome: outcome.map_err(Fault::from) }
    }

    /// Has the upstream push the events of a subscription, which it did before if it
    /// `was_received`. With `must_connect`, a socket is opened for it at once. Returns false if the
    /// upstream cannot be reached.
    pub(crate) async fn receive_as(
        &mut self,
        session: &Arc<Session>,
        subscription: Subscription,
        was_received: bool,
        must_connect: bool,
    ) -> bool {
        let caller = Caller { authority: Authority::Member, session: Some(session) };
        let is_reachable = |outcome: Result<Answer, Refusal>| {
            !matches!(outcome, Err(Refusal::Fault(Fault::Unavailable)))
        };
        let list = Command::ListFlows { limit: None, offset: 0, members: false };
        if self.transport.has_listener(session) {
            // Some servers begin with the last message of each flow, which is no news.
            let listed = self.first(&list, caller).await.map(|(answer, _)| answer);
            if let Ok(Answer::Flows(flows)) = &listed
                && !was_received
            {
                for message in flows.iter().filter_map(|summary| summary.last.as_ref()) {
                    // Of a flow that the client has read, it may be missed.
                    if !self.missed_after.contains_key(&message.flow) {
                        self.deliveries.note(message);
                    }
                }
            }
            return is_reachable(listed) && self.transport.listen(session).await;
        }
        if let Subscription::Flow(flow) = subscription {
            let join = Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true };
            if self.transport.is_of_socket(&join, session) {
                let joined = self.first(&join, caller).await.map(|(answer, _)| answer);
                return is_reachable(joined);
            }
        }
        if must_connect {
            let listed = self.first(&list, caller).await.map(|(answer, _)| answer);
            return is_reachable(listed);
        }
        true
    }

    /// Gives the client the messages that came while the upstream was lost. If it is lost once
    /// more, the rest is given after that.
    pub(crate) async fn catch_up(&mut self, session: &Arc<Session>) {
        let caller = Caller { authority: Authority::Member, session: Some(session) };
        let mut left = std::mem::take(&mut self.missed_after).into_iter();
        while let Some((flow, last)) = left.next() {
            let page = match self.history(flow, caller).await {
                Ok(Answer::History(page)) => page,
                Err(Refusal::Fault(Fault::Unavailable)) => {
                    // It is older than the message that the new loss has noted.
                    self.missed_after.insert(flow, last);
                    self.missed_after.extend(left);
                    self.lost();
                    return;
                }
                Ok(_) | Err(_) => continue,
            };
            let own = session.account().user.id;
            for mut message in last.missed(page.messages) {
                self.deliveries.complete_message(&mut message);
                if message.author.id == own {
                    // Its own client has the answer to it.
                    self.deliveries.note(&message);
                } else {
                    let event = Event::new(message.posted_at, EventKind::Posted(message));
                    self.deliveries.deliver(&event);
                }
            }
            self.deliveries.room().await;
        }
    }

    /// Makes a request once, or twice where that does no harm.
    pub(crate) async fn attempt(
        &mut self,
        command: Command,
        caller: Caller<'_>,
    ) -> Result<Box<Answered>, Refusal> {
        let Caller { authority, session } = caller;
        let mut draft = Draft::new(command, authority, session);
        let (mut is_renewed, mut is_repeated) = (false, false);
        loop {
            if session.is_some_and(|session| session.is_ended()) {
                return Err(Refusal::Fault(Fault::Unauthenticated));
            }
            match self.transport.request(&mut draft, &mut self.deliveries).await {
                Attempt::Unsupported => return Err(Refusal::Unsupported),
                Attempt::Answered(answered) => {
                    self.shared.reached(None);
                    if matches!(answered.outcome, Err(Fault::Unauthenticated))
                        && !is_renewed
                        && let Some(session) = session
                        && self.renew(session, draft.used_token()).await
                    {
                        is_renewed = true;
                        continue;
                    }
                    return Ok(answered);
                }
                Attempt::Unreachable => {
                    self.shared.reached(Some("it cannot be reached"));
                    self.lost();
                    return Err(Refusal::Fault(Fault::Unavailable));
                }
                Attempt::Lost => {
                    self.lost();
                    let is_keyed = match draft.command() {
                        Command::Send(message) => {
                            message.key.is_some() && self.transport.knows_repeated_messages()
                        }
                        _ => false,
                    };
                    if is_repeated || !(is_keyed || is_repeatable(draft.command())) {
                        self.shared.reached(Some("it does not answer"));
                        return Err(Refusal::Fault(Fault::Unavailable));
                    }
                    is_repeated = true;
                }
            }
        }
    }

    /// Makes a request in the first form that the wire has. Returns its answer and the events that
    /// came with it.
    async fn first(
        &mut self,
        command: &Command,
        caller: Caller<'_>,
    ) -> Result<(Answer, Vec<Arc<Event>>), Refusal> {
        let mut form_of_flow = None;
        if let Command::Edit { message, flow: None, text } = command
            && let Some(flow) = self.deliveries.flow_of(*message)
        {
            let (message, flow, text) = (*message, Some(flow), text.clone());
            form_of_flow = Some(Command::Edit { message, flow, text });
        }
        if let Command::Delete { messages, flow: None, all_or_none } = command
            && let Some(flow) = messages.first().and_then(|first| self.deliveries.flow_of(*first))
        {
            let (messages, flow, all_or_none) = (messages.clone(), Some(flow), *all_or_none);
            form_of_flow = Some(Command::Delete { messages, flow, all_or_none });
        }
        let is_shared = |flow| self.deliveries.is_shared(flow);
        let forms = Forms::new(command, &self.shared.directory, is_shared).chain(form_of_flow);
        // The fault that a form was refused with, and the kinds of flow that it named.
        let mut refused: Option<(Fault, Vec<_>)> = None;
        for form in forms {
            let kinds = kinds_of(&form);
            if refused.as_ref().is_some_and(|(_, tried)| tried.contains(&kinds)) {
                continue;
            }
            let answered = match self.attempt(form, caller).await {
                Err(Refusal::Unsupported) => continue,
                Err(refusal) => return Err(refusal),
                Ok(answered) => answered,
            };
            match answered.outcome {
                Ok(answer) => return Ok((answer, answered.caused)),
                Err(fault @ (Fault::NoSuchFlow | Fault::WrongKind))
                    if kinds_of(command) == Some(FlowKindFilter::Any) =>
                {
                    // Another kind of flow may be what the number means on this wire.
                    refused.get_or_insert((fault, Vec::new())).1.push(kinds);
                }
                Err(fault) => return Err(Refusal::Fault(fault)),
            }
        }
        Err(refused.map_or(Refusal::Unsupported, |(fault, _)| Refusal::Fault(fault)))
    }

    /// The answer to a command, with the events that came with it.
    async fn answer(
        &mut self,
        command: &mut Command,
        caller: Caller<'_>,
    ) -> Result<(Answer, Vec<Arc<Event>>), Refusal> {
        if let Command::Send(message) = &mut *command
            && message.key.is_none()
            && self.transport.knows_repeated_messages()
        {
            // A message that the upstream may have can be sent once more.
            message.key = Some(self.transport.new_key());
        }
        self.deliveries.sending(command);
        let found = match self.first(command, caller).await {
            Err(Refusal::Unsupported) => {
                self.stand_in(command, caller).await.map(|answer| (answer, Vec::new()))
            }
            found => found,
        };
        let echo = self.deliveries.sent();
        let (mut answer, caused) = match (found, echo) {
            (Ok((Answer::Sent { message: None, repeated: false }, caused)), echo) => {
                let message = echo.map(Box::new);
                (Answer::Sent { message, repeated: false }, caused)
            }
            (Ok(found), _) => found,
            (Err(Refusal::Fault(Fault::Unavailable)), Some(echo)) => {
                // The answer is lost, but its event tells that the message was taken.
                (Answer::Sent { message: Some(Box::new(echo)), repeated: false }, Vec::new())
            }
            (Err(refusal), echo) => {
                if let Some(echo) = echo {
                    // Another client of the same user has sent the same text.
                    let event = Event::new(echo.posted_at, EventKind::Posted(echo));
                    self.deliveries.deliver(&event);
                }
                return Err(refusal);
            }
        };
        if let (Command::Send(new), Answer::Sent { message: sent @ None, repeated: false }) =
            (&*command, &mut answer)
        {
            let pushed = caused.iter().find_map(|event| match &event.kind {
                EventKind::Posted(message) if message.flow == new.flow => Some(message.clone()),
                _ => None,
            });
            let as_sent = || {
                let author = caller.session?.account().summary();
                let id = self.transport.new_message_id();
                self.deliveries.invented(id, new.flow);
                let flow = (new.flow, FlowKind::Chat);
                Some(Message::new(id, flow, author, new.content.clone(), now()))
            };
            *sent = pushed.or_else(as_sent).map(Box::new);
        }
        let shared = self.shared.clone();
        let session = caller.session.map(|session| &**session);
        let answer = complete(command, answer, session, &mut self.deliveries, &shared.directory);
        shared.directory.learn_answer(&answer);
        Ok((answer, caused))
    }

    /// Gives the client the event of its own change, and others that came with the answer.
    fn deliver_caused(
        &mut self,
        command: &Command,
        answer: &Answer,
        caused: &[Arc<Event>],
        session: &Arc<Session>,
        client_tag: Option<bytes::Bytes>,
    ) {
        if caused.is_empty() && !self.deliveries.wants_own() {
            // Its client has the answer; what the upstream tells of the message is no news.
            if let Answer::Sent { message: Some(message), repeated: false } = answer {
                self.deliveries.note(message);
            }
            return;
        }
        let own = event_of(now(), command, answer, session, &self.deliveries);
        for event in caused {
            // The event of the change itself is given as the client's own.
            if own.as_ref().is_none_or(|own| own.name() != event.name()) {
                self.deliveries.deliver(event);
            }
        }
        if let Some(own) = own {
            self.deliveries.deliver_own(own, client_tag);
        }
    }

    /// The answer to a command that the wire has no request for, out of others that it has.
    async fn stand_in(&mut self, command: &Command, caller: Caller<'_>) -> Result<Answer, Refusal> {
        match command {
            Command::GetFlow { .. } => {
                let flows = self.flows(caller).await?;
                Ok(flow_of_list(command, flows, &self.shared.directory).map_err(Refusal::Fault)?)
            }
            Command::History { flow, range, .. } => {
                let changes = Command::GetChanges {
                    since: Timestamp::default(),
                    flow: Some(*flow),
                    limit: MAX_CHANGES,
                };
                match self.first(&changes, caller).await {
                    Ok((Answer::Changes(changes), _)) => {
                        let page = MessagePage::new(*flow, changes.messages);
                        Ok(Answer::History(Box::new(history_of_changes(*range, page))))
                    }
                    Err(Refusal::Unsupported) => self.last_message(*flow, caller).await,
                    Ok(_) => Err(Refusal::Fault(Fault::Internal)),
                    Err(refusal) => Err(refusal),
                }
            }
            Command::GetChanges { since, flow, limit } => {
                let flows = match flow {
                    Some(_) => Vec::new(),
                    None => self.flows(caller).await?,
                };
                let read = flows.iter().map(|summary| summary.flow.id).take(MAX_HISTORIES);
                let mut messages = Vec::new();
                for flow in flow.iter().copied().chain(read).collect::<Vec<_>>() {
                    match self.history(flow, caller).await? {
                        Answer::History(page) => messages.extend(page.messages),
                        _ => return Err(Refusal::Fault(Fault::Internal)),
                    }
                }
                let changes = changes_of_histories(*since, messages, flows, *limit);
                Ok(Answer::Changes(Box::new(changes)))
            }
            Command::Delete { messages, flow, all_or_none: false } if messages.len() > 1 => {
                let (mut deleted, mut left) = (Vec::new(), Vec::new());
                for message in messages {
                    let one = Command::Delete {
                        messages: vec![*message],
                        flow: *flow,
                        all_or_none: false,
                    };
                    match self.first(&one, caller).await {
                        Ok(_) => deleted.push(*message),
                        Err(Refusal::Fault(
                            Fault::NoSuchMessage | Fault::NotAuthor | Fault::NoSuchFlow,
                        )) => left.push(*message),
                        Err(refusal) => return Err(refusal),
                    }
                }
                Ok(Answer::Deleted { deleted, left })
            }
            Command::OpenChat { with } => self.chat_as_flow(with, caller).await,
            Command::GetUser { user } => {
                known_user(user, &self.shared.directory).map_err(Refusal::Fault)
            }
            Command::SearchUsers { query, .. } => {
                let known = self.shared.directory.user(&UserRef::Login(query.clone()));
                Ok(Answer::Users(known.into_iter().collect()))
            }
            _ => Err(Refusal::Unsupported),
        }
    }

    /// The chat with a user, on a wire where a chat is created like any flow: the one that is
    /// there, or a new one.
    async fn chat_as_flow(
        &mut self,
        with: &UserRef,
        caller: Caller<'_>,
    ) -> Result<Answer, Refusal> {
        let session = caller.session.ok_or(Refusal::Unsupported)?;
        let me = session.account().user.id;
        let known = match with {
            UserRef::Id(id) => Some(*id),
            with => self.shared.directory.user(with).map(|user| user.id),
        };
        let other = known.filter(|other| *other != me).ok_or(Refusal::Unsupported)?;
        let members = vec![me, other];
        let new = NewFlow {
            kind: FlowKind::Chat,
            title: String::new(),
            info: String::new(),
            members: members.clone(),
            photo: None,
            key: None,
        };
        let flows = self.flows(caller).await?;
        let existing = flows.iter().find(|summary| {
            let is_one = |member: &User| members.contains(&member.id);
            summary.flow.kind == FlowKind::Chat
                && summary.members.iter().any(|member| member.id == other)
                && summary.members.iter().all(is_one)
        });
        let (flow, created) = match existing {
            Some(summary) => (summary.flow.id, false),
            None => match self.first(&Command::CreateFlow(Box::new(new)), caller).await? {
                (Answer::FlowCreated { flow, .. }, _) => (flow, true),
                _ => return Err(Refusal::Fault(Fault::Internal)),
            },
        };
        let login = self.shared.directory.login(other);
        let with = login.map(|login| User::named(other, login).summary());
        Ok(Answer::ChatOpened { flow, with, created })
    }

    /// The flows of the caller.
    async fn flows(
        &mut self,
        caller: Caller<'_>,
    ) -> Result<Vec<tolmach_domain::FlowSummary>, Refusal> {
        let list = Command::ListFlows { limit: None, offset: 0, members: true };
        match self.first(&list, caller).await? {
            (Answer::Flows(flows), _) => Ok(flows),
            _ => Err(Refusal::Fault(Fault::Internal)),
        }
    }

    /// The newest messages of a flow.
    async fn history(&mut self, flow: FlowId, caller: Caller<'_>) -> Result<Answer, Refusal> {
        let range = HistoryRange::Newest { limit: PAGE, offset: 0 };
        let history =
            Command::History { flow, kinds: FlowKindFilter::Any, range, mark_read: false };
        match self.first(&history, caller).await {
            Ok((answer, _)) => Ok(answer),
            Err(Refusal::Unsupported) => self.last_message(flow, caller).await,
            Err(refusal) => Err(refusal),
        }
    }

    /// The history of a flow on a wire that gives no more of it than its last message.
    async fn last_message(&mut self, flow: FlowId, caller: Caller<'_>) -> Result<Answer, Refusal> {
        let get = Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true };
        match self.first(&get, caller).await? {
            (Answer::Flow(summary), _) => {
                let messages = summary.last.into_iter().collect();
                Ok(Answer::History(Box::new(MessagePage::new(flow, messages))))
            }
            _ => Err(Refusal::Fault(Fault::Internal)),
        }
    }
}

fn kinds_of(command: &Command) -> Option<FlowKindFilter> {
    match command {
        Command::History { kinds, .. }
        | Command::GetFlow { kinds, .. }
        | Command::DeleteFlow { kinds, .. } => Some(*kinds),
        Command::Send(message) => Some(message.kinds),
        _ => None,
    }
}
