//! The dialects under test.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use tolmach_dialect::{Configure, Dialect, DialectClient, Event, OptionTable, Request, Transport};
use tolmach_dialect_kit::fixtures::{self, CredentialsKind, Persona};
use tolmach_dialect_kit::stories::{Exchange, Step, all_faults, stories};
use tolmach_dialect_kit::{Project, Schemas};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{Credentials, EventKind, Fault};

/// A dialect, or a revision of one, with the data that its sessions are fed with.
pub(crate) struct Subject {
    /// The dialect.
    pub(crate) dialect: Box<dyn Dialect>,
    /// The schemas of its frames. None for a dialect that is an input itself: no bound or schema of
    /// its frames is known.
    pub(crate) schemas: Option<Schemas>,
    /// The form in which its wire carries credentials.
    pub(crate) credentials: CredentialsKind,
}

/// The exchanges, events and faults of the stories, which inputs name by their numbers.
pub(crate) struct Material {
    /// Every exchange.
    pub(crate) exchanges: Vec<Exchange>,
    /// Every event, once.
    pub(crate) events: Vec<Event>,
    /// Every fault.
    pub(crate) faults: Vec<Fault>,
}

static SUBJECTS: LazyLock<BTreeMap<&'static str, Subject>> = LazyLock::new(|| {
    [
        subject(tolmach_dialect_mode::Mode::default(), CredentialsKind::Token),
        subject(tolmach_dialect_sndmsg::SndMsg::default(), CredentialsKind::Connection),
        subject(morelia(), CredentialsKind::TokenOf),
        subject(tolmach_dialect_bearer::Bearer, CredentialsKind::Bearer),
        subject(tolmach_dialect_action::Action::default(), CredentialsKind::Bearer),
    ]
    .into_iter()
    .map(|subject| (subject.id(), subject))
    .collect()
});

static MATERIAL: LazyLock<Material> = LazyLock::new(|| {
    let (mut exchanges, mut events) = (Vec::new(), Vec::<EventKind>::new());
    for step in stories().into_iter().flat_map(|story| story.steps) {
        let event = match step {
            Step::Exchange(exchange) => {
                let event = exchange.event.clone();
                exchanges.push(*exchange);
                event
            }
            Step::Event(event) => Some(*event),
        };
        events.extend(event.filter(|event| !events.contains(event)));
    }
    let events = events.into_iter().map(|kind| Event::new(fixtures::time(5), kind)).collect();
    Material { exchanges, events, faults: all_faults() }
});

/// The project whose transcripts and schemas are read.
pub(crate) fn project() -> Project {
    Project::of_crate(env!("CARGO_MANIFEST_DIR"))
}

/// Every dialect under test, by its id.
pub(crate) fn subjects() -> &'static BTreeMap<&'static str, Subject> {
    &SUBJECTS
}

/// The data of the stories.
pub(crate) fn material() -> &'static Material {
    &MATERIAL
}

/// The dialect with its pushes, which are off by default.
fn morelia() -> Morelia {
    let options = OptionTable::from_iter([("push".to_owned(), true.into())]);
    Morelia::configure(options).expect("the dialect has this option")
}

/// A dialect whose frames have schemas.
pub(crate) fn subject(dialect: impl Dialect, credentials: CredentialsKind) -> Subject {
    let id = dialect.manifest().id;
    let schemas = project().schemas(id).unwrap_or_else(|error| panic!("{error}"));
    Subject { dialect: Box::new(dialect), schemas: Some(schemas), credentials }
}

/// The form in which the wire of the dialect with this id carries credentials.
pub(crate) fn credentials_of_wire(id: &str) -> CredentialsKind {
    subjects().get(id).map_or(CredentialsKind::Token, |subject| subject.credentials)
}

impl Subject {
    /// The dialect's id.
    pub(crate) fn id(&self) -> &'static str {
        self.dialect.manifest().id
    }

    /// The client's side.
    pub(crate) fn client(&self) -> &dyn DialectClient {
        self.dialect.client().expect("every dialect here has a client")
    }

    /// True if a request for this path that opens no WebSocket is one of its frames.
    pub(crate) fn takes_http(&self, path: &str) -> bool {
        let endpoints = self.dialect.manifest().endpoints;
        let mut http = endpoints.iter().filter(|endpoint| endpoint.transport == Transport::Http);
        // Inputs have any path below the root of an interface.
        http.any(|endpoint| endpoint.path.ends_with("/**") || endpoint.path == path)
    }

    /// The request of an exchange, with the credentials of this wire.
    pub(crate) fn request(&self, exchange: &Exchange) -> Request {
        let credentials = match exchange.authenticated {
            true => self.credentials_of(exchange.persona),
            false => Credentials::Nothing,
        };
        let mut request = Request::new(Default::default(), credentials, exchange.command.clone());
        request.authority = exchange.authority;
        request
    }

    fn credentials_of(&self, persona: &Persona) -> Credentials {
        self.credentials.of(persona)
    }
}

impl Material {
    /// The exchange of this number.
    pub(crate) fn exchange(&self, number: usize) -> &Exchange {
        &self.exchanges[number % self.exchanges.len()]
    }

    /// The number of the exchange with this title in transcripts.
    pub(crate) fn exchange_named(&self, title: &str) -> Option<usize> {
        self.exchanges.iter().position(|exchange| exchange.title() == title)
    }

    /// The event of this number.
    pub(crate) fn event(&self, number: usize) -> &Event {
        &self.events[number % self.events.len()]
    }

    /// The fault of this number.
    pub(crate) fn fault(&self, number: usize) -> &Fault {
        &self.faults[number % self.faults.len()]
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "gateway")]
    #[test]
    fn every_dialect_of_the_gateway_is_fuzzed() {
        let mut ids = tolmach_cli::dialects::ids();
        ids.sort_unstable();
        assert_eq!(super::subjects().keys().copied().collect::<Vec<_>>(), ids);
    }
}
