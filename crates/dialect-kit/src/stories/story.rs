//! The parts of a story.

use crate::fixtures::{self, Persona};
use tolmach_domain::{Answer, Authority, Command, EventKind, Fault};

/// The operation of all requests of an administrator: a story of its own, because most dialects
/// have no administrators.
pub const ADMINISTRATOR: &str = "administrator";

/// A conversation.
#[derive(Debug, Clone)]
pub struct Story {
    /// The name of the story and of its transcript.
    pub name: &'static str,
    /// The exchanges and events, in order.
    pub steps: Vec<Step>,
}

/// One step of a [`Story`].
#[derive(Debug, Clone)]
pub enum Step {
    /// A request with its response.
    Exchange(Box<Exchange>),
    /// An event that no request of the story causes.
    Event(Box<EventKind>),
}

/// A request, its response and the event that it causes.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The user who makes the request.
    pub persona: &'static Persona,
    /// True if the request has the persona's credentials.
    pub authenticated: bool,
    /// The right that the request claims.
    pub authority: Authority,
    /// The difference to other exchanges of the same operation: part of the title.
    pub note: String,
    /// The command.
    pub command: Command,
    /// The answer, or the fault that the command is refused with.
    pub outcome: Result<Answer, Fault>,
    /// The event, delivered to every subscribed connection after the response.
    pub event: Option<EventKind>,
}

impl Exchange {
    pub(crate) fn granted(persona: &'static Persona, note: &str, command: Command) -> Self {
        let outcome = Ok(fixtures::answer(persona, &command));
        Self {
            persona,
            authenticated: true,
            authority: Authority::Member,
            note: note.to_owned(),
            command,
            outcome,
            event: None,
        }
    }

    pub(crate) fn refused(persona: &'static Persona, command: Command, fault: Fault) -> Self {
        let note = format!("refused, {}", fault.name());
        Self {
            persona,
            authenticated: true,
            authority: Authority::Member,
            note,
            command,
            outcome: Err(fault),
            event: None,
        }
    }

    pub(crate) fn answered_with(self, answer: Answer) -> Self {
        Self { outcome: Ok(answer), ..self }
    }

    pub(crate) fn unauthenticated(self) -> Self {
        Self { authenticated: false, ..self }
    }

    pub(crate) fn by_administrator(self) -> Self {
        Self { authority: Authority::Administrator, ..self }
    }

    pub(crate) fn with_event(self, event: EventKind) -> Self {
        Self { event: Some(event), ..self }
    }

    /// The operation: the command's name, or [`ADMINISTRATOR`].
    pub fn operation(&self) -> &'static str {
        match self.authority {
            Authority::Member => self.command.name(),
            Authority::Administrator => ADMINISTRATOR,
        }
    }

    /// The title in transcripts.
    pub fn title(&self) -> String {
        let right =
            if self.authority == Authority::Administrator { " as administrator" } else { "" };
        let note = if self.note.is_empty() { String::new() } else { format!(" ({})", self.note) };
        format!("{}: {}{right}{note}", self.persona.login, self.command.name())
    }
}

impl From<Exchange> for Step {
    fn from(exchange: Exchange) -> Self {
        Step::Exchange(Box::new(exchange))
    }
}
