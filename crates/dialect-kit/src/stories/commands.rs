//! Commands and exchanges that several stories have.

use crate::fixtures::{self, ANN, Persona, flow_id};
use crate::stories::story::{Exchange, Step};
use tolmach_domain::{
    Command, Content, EventKind, FlowKindFilter, GrantKind, HistoryRange, NewMessage, Registration,
    Secret,
};

pub(crate) fn register(login: &str) -> Command {
    Command::Register(Box::new(Registration {
        login: Some(login.to_owned()),
        password: Secret::new(ANN.password),
        username: Some(login.to_owned()),
        email: Some(format!("{login}@example.org")),
        phone: Some("+15550001".to_owned()),
        bot: false,
        bio: Some("I am new".to_owned()),
        avatar: Some("QVZBVEFS".to_owned()),
        profile: true,
        grant: GrantKind::Token,
    }))
}

pub(crate) fn login(identifier: &str, password: &str) -> Command {
    Command::Login {
        identifier: identifier.into(),
        password: Secret::new(password),
        grant: GrantKind::Token,
    }
}

pub(crate) fn log_in(persona: &'static Persona) -> Step {
    Exchange::granted(persona, "", login(persona.login, persona.password)).unauthenticated().into()
}

pub(crate) fn list_flows(limit: Option<u32>, offset: u32, members: bool) -> Command {
    Command::ListFlows { limit, offset, members }
}

pub(crate) fn send(flow: i64, kinds: FlowKindFilter, content: Content) -> Command {
    Command::Send(Box::new(NewMessage { flow: flow_id(flow), kinds, content, key: None }))
}

/// A granted send, delivered to the others.
pub(crate) fn sent(
    persona: &'static Persona,
    note: &str,
    flow: i64,
    kinds: FlowKindFilter,
    content: Content,
) -> Step {
    let event = EventKind::Posted(fixtures::posted(persona, flow_id(flow), content.clone()));
    Exchange::granted(persona, note, send(flow, kinds, content)).with_event(event).into()
}

pub(crate) fn history(flow: i64, kinds: FlowKindFilter, range: HistoryRange) -> Command {
    let mark_read = !matches!(range, HistoryRange::Newest { .. });
    Command::History { flow: flow_id(flow), kinds, range, mark_read }
}

pub(crate) const NEWEST: HistoryRange = HistoryRange::Newest { limit: 100, offset: 0 };
