//! The dialects that connections use, with the requests of a run in each.

use crate::result::BenchResult;
use crate::users::{BenchUser, PASSWORD};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tolmach_cli::dialects;
use tolmach_dialect::{Correlation, Dialect, DialectClient, Request};
use tolmach_dialect_declared::{BUILT_IN, Declared};
use tolmach_domain::{
    Command, Content, Credentials, FlowId, FlowKindFilter, GrantKind, HistoryRange, NewMessage,
    Secret,
};

/// One profile for each dialect, and one for a revision that is a file.
static PROFILES: [Profile; 6] = [
    Profile {
        id: "mode",
        credentials: CredentialsKind::Token,
        first_request: FirstRequest::ListFlows,
        delivers_to_author: false,
    },
    Profile {
        id: "sndmsg",
        credentials: CredentialsKind::Connection,
        first_request: FirstRequest::Login,
        delivers_to_author: false,
    },
    Profile {
        id: "morelia",
        credentials: CredentialsKind::TokenOf,
        first_request: FirstRequest::ListFlows,
        delivers_to_author: false,
    },
    Profile {
        id: "bearer",
        credentials: CredentialsKind::Bearer,
        first_request: FirstRequest::History,
        delivers_to_author: true,
    },
    Profile {
        id: "action",
        credentials: CredentialsKind::Bearer,
        first_request: FirstRequest::GetFlow,
        delivers_to_author: true,
    },
    Profile {
        id: "action-2025-04",
        credentials: CredentialsKind::Bearer,
        first_request: FirstRequest::GetFlow,
        delivers_to_author: false,
    },
];

/// The differences between dialects that matter to a run.
#[derive(Debug, PartialEq, Eq)]
struct Profile {
    /// The id of the dialect, or the name of a revision's file without its ending.
    id: &'static str,
    credentials: CredentialsKind,
    first_request: FirstRequest,
    /// True if authors receive their own messages as events, like everyone else; false if they
    /// receive only a response.
    delivers_to_author: bool,
}

/// The form in which requests carry credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CredentialsKind {
    Token,
    TokenOf,
    Bearer,
    Connection,
}

/// The request after whose response a connection is subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstRequest {
    /// Subscribes to all flows of the user.
    ListFlows,
    /// Subscribes to all flows of the user.
    Login,
    /// Subscribes to one flow.
    History,
    /// Subscribes to one flow.
    GetFlow,
}

/// A dialect that connections use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wire(&'static Profile);

impl Wire {
    /// `mode`, for runs that do not compare dialects.
    pub(crate) const MODE: Wire = Wire(&PROFILES[0]);

    /// The client side of the dialect.
    pub(crate) fn client(self) -> BenchResult<&'static dyn DialectClient> {
        static ALL: LazyLock<Vec<Arc<dyn Dialect>>> = LazyLock::new(dialects::all);
        static REVISIONS: LazyLock<Vec<(&str, Declared)>> = LazyLock::new(revisions);
        if let Some((_, revision)) = REVISIONS.iter().find(|(name, _)| *name == self.0.id) {
            return Ok(revision);
        }
        let dialect = ALL.iter().find(|dialect| dialect.manifest().id == self.0.id);
        let dialect = dialect.ok_or_else(|| UnknownDialect(self.0.id.to_owned()).to_string())?;
        Ok(dialect.client().ok_or_else(|| format!("the dialect {self} has no client"))?)
    }

    /// True if authors receive their own messages as events, like everyone else; false if they
    /// receive only a response.
    pub(crate) fn delivers_to_author(self) -> bool {
        self.0.delivers_to_author
    }

    /// True if a connection is subscribed to one flow, false if to all flows of its user.
    pub(crate) fn subscribes_to_one_flow(self) -> bool {
        match self.0.first_request {
            FirstRequest::History | FirstRequest::GetFlow => true,
            FirstRequest::ListFlows | FirstRequest::Login => false,
        }
    }

    /// The request after whose response a connection is subscribed: to `flow`, or to all flows of
    /// the user.
    pub(crate) fn first_request(
        self,
        user: &BenchUser,
        flow: Option<FlowId>,
    ) -> BenchResult<Request> {
        let one_flow = || flow.ok_or_else(|| format!("a connection of {self} needs a flow"));
        Ok(match self.0.first_request {
            FirstRequest::ListFlows => self.request(user, list_flows()),
            FirstRequest::Login => login_request(user, GrantKind::Connection),
            FirstRequest::History => {
                let history = Command::History {
                    flow: one_flow()?,
                    kinds: FlowKindFilter::Shared,
                    range: HistoryRange::Newest { limit: 1, offset: 0 },
                    mark_read: false,
                };
                self.request(user, history)
            }
            FirstRequest::GetFlow => {
                let (flow, kinds) = (one_flow()?, FlowKindFilter::Any);
                self.request(user, Command::GetFlow { flow, kinds, members: true })
            }
        })
    }

    /// A request to send a text to a group.
    pub(crate) fn send_request(self, user: &BenchUser, flow: FlowId, text: String) -> Request {
        let message = NewMessage {
            flow,
            kinds: FlowKindFilter::Shared,
            content: Content::text(text),
            key: None,
        };
        self.request(user, Command::Send(Box::new(message)))
    }

    /// A request for all messages of a group, in a dialect that has such a request.
    pub(crate) fn history_request(self, user: &BenchUser, flow: FlowId) -> Request {
        let history = Command::History {
            flow,
            kinds: FlowKindFilter::Any,
            range: HistoryRange::All,
            mark_read: false,
        };
        self.request(user, history)
    }

    /// The kind of tokens that a login gives whose later requests carry these credentials.
    pub(crate) fn grant_kind(self) -> GrantKind {
        match self.0.credentials {
            CredentialsKind::Token | CredentialsKind::TokenOf => GrantKind::Token,
            CredentialsKind::Bearer => GrantKind::Pair,
            CredentialsKind::Connection => GrantKind::Connection,
        }
    }

    /// A request with the credentials of a user.
    pub(crate) fn request(self, user: &BenchUser, command: Command) -> Request {
        let credentials = match self.0.credentials {
            CredentialsKind::Token => Credentials::Token(user.token.clone()),
            CredentialsKind::TokenOf => Credentials::TokenOf(user.id, user.token.clone()),
            CredentialsKind::Bearer => Credentials::Bearer(user.access.clone()),
            CredentialsKind::Connection => Credentials::Connection,
        };
        Request::new(Correlation::NONE, credentials, command)
    }
}

/// The revisions that are files, by the name of the file without its ending.
fn revisions() -> Vec<(&'static str, Declared)> {
    let revisions = BUILT_IN.iter().filter_map(|file| {
        let name = file.name.strip_suffix(".toml")?;
        Some((name, Declared::compile(*file, BUILT_IN).ok()?))
    });
    revisions.collect()
}

impl fmt::Display for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.id)
    }
}

impl FromStr for Wire {
    type Err = UnknownDialect;

    fn from_str(id: &str) -> Result<Self, UnknownDialect> {
        let profile = PROFILES.iter().find(|profile| profile.id == id);
        profile.map(Wire).ok_or_else(|| UnknownDialect(id.to_owned()))
    }
}

/// A dialect that does not exist or has no profile.
#[derive(Debug)]
pub(crate) struct UnknownDialect(String);

impl fmt::Display for UnknownDialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(id) = self;
        if dialects::ids().contains(&&**id) {
            write!(formatter, "the dialect {id} has no profile in {}; add one", file!())
        } else {
            let ids = dialects::ids().join(", ");
            write!(formatter, "there is no dialect {id:?}; the dialects are {ids}")
        }
    }
}

impl std::error::Error for UnknownDialect {}

/// A login with the password of every user.
pub(crate) fn login_request(user: &BenchUser, grant: GrantKind) -> Request {
    let (identifier, password) = (user.login.as_str().into(), Secret::new(PASSWORD));
    let login = Command::Login { identifier, password, grant };
    Request::new(Correlation::NONE, Credentials::Nothing, login)
}

/// A request without credentials, for a connection that sends frames of its own.
pub(crate) fn anonymous_request() -> Request {
    Request::new(Correlation::NONE, Credentials::Nothing, list_flows())
}

/// A frame of `mode` with an unknown mode, which the gateway answers without the store.
pub(crate) fn unknown_mode_frame() -> Utf8Bytes {
    Utf8Bytes::from_static(concat!(
        r#"{"mode":"ping","timestamp":1700000000.0,"#,
        r#""token":"0000000000000000000000000000000000000000000"}"#
    ))
}

fn list_flows() -> Command {
    Command::ListFlows { limit: None, offset: 0, members: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_has_one_profile() {
        for id in PROFILES.iter().map(|profile| profile.id).chain(dialects::ids()) {
            let wire: Wire = id.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(wire.to_string(), id);
            assert!(wire.client().is_ok(), "{id}");
        }
        assert_eq!(PROFILES.len(), dialects::ids().len() + 1);
        assert_eq!(Wire::MODE.to_string(), "mode");
    }

    #[test]
    fn an_unknown_dialect_is_an_error_that_lists_all() {
        let error = "mood".parse::<Wire>().unwrap_err().to_string();
        assert!(error.contains("\"mood\"") && error.contains("mode, sndmsg"), "{error}");
    }
}
