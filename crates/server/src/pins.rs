//! Pins: the revisions that an operator chooses for connections.

use http::header::USER_AGENT;
use ipnet::IpNet;
use std::net::IpAddr;
use tolmach_dialect::{Manifest, Revision};

/// The revision of the connections that fit. Everything that is given has to fit.
///
/// It acts at the handshake, and is stronger than the first frame.
///
/// ```
/// use tolmach_server::Pin;
///
/// let pin = Pin { user_agent: Some("Dash".into()), ..Pin::new("literal") };
/// assert_eq!(pin.path, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The name of a revision of the dialect.
    pub revision: String,
    /// The path; a slash at its end makes no difference.
    pub path: Option<String>,
    /// A network with the client's address.
    pub address: Option<IpNet>,
    /// The login of the user whose token the handshake has, without regard to case. A connection
    /// that logs in later has no user at its handshake.
    pub user: Option<String>,
    /// A part of the `User-Agent` header.
    pub user_agent: Option<String>,
}

impl Pin {
    /// A pin that every connection fits.
    pub fn new(revision: impl Into<String>) -> Self {
        Self { revision: revision.into(), path: None, address: None, user: None, user_agent: None }
    }

    /// True if everything but the user fits.
    fn fits_head(&self, head: &http::request::Parts, address: IpAddr) -> bool {
        let without_slash = |path: &str| path.trim_end_matches('/').to_owned();
        let agent = || head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        self.path
            .as_deref()
            .is_none_or(|path| without_slash(path) == without_slash(head.uri.path()))
            && self.address.is_none_or(|network| network.contains(&address))
            && self
                .user_agent
                .as_deref()
                .is_none_or(|part| agent().is_some_and(|agent| agent.contains(part)))
    }
}

/// A revision that is asked for and that its dialect has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{dialect} has no revision {revision:?}; it has {}", existing.join(", "))]
pub struct UnknownRevision {
    /// The id of the dialect.
    pub dialect: &'static str,
    /// The name that is unknown.
    pub revision: String,
    /// The names of the dialect's revisions.
    pub existing: Vec<Revision>,
}

/// The pins of a dialect, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pins(Vec<(Revision, Pin)>);

impl Pins {
    /// Looks the revisions up.
    pub(crate) fn new(manifest: &Manifest, pins: &[Pin]) -> Result<Self, UnknownRevision> {
        let revision_of = |pin: &Pin| {
            let found = manifest.revisions.iter().find(|name| **name == pin.revision);
            let unknown = || UnknownRevision {
                dialect: manifest.id,
                revision: pin.revision.clone(),
                existing: manifest.revisions.to_vec(),
            };
            Ok((*found.ok_or_else(unknown)?, pin.clone()))
        };
        Ok(Self(pins.iter().map(revision_of).collect::<Result<_, _>>()?))
    }

    /// The pins that a handshake fits, except perhaps for the user: their revisions, and the logins
    /// of their users.
    pub(crate) fn fitting<'a>(
        &'a self,
        head: &'a http::request::Parts,
        address: IpAddr,
    ) -> impl Iterator<Item = (Revision, Option<&'a str>)> {
        let fitting = self.0.iter().filter(move |(_, pin)| pin.fits_head(head, address));
        fitting.map(|(revision, pin)| (*revision, pin.user.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::toy;

    fn head(path: &str, agent: &str) -> http::request::Parts {
        let request = http::Request::get(path).header(USER_AGENT, agent).body(()).unwrap();
        request.into_parts().0
    }

    #[test]
    fn everything_that_a_pin_gives_has_to_fit() {
        let pin = Pin {
            path: Some("/toy/".into()),
            address: Some("10.0.0.0/8".parse().unwrap()),
            user_agent: Some("Dash".into()),
            ..Pin::new("doc")
        };
        let pins = Pins::new(&toy(), &[pin]).unwrap();
        for (path, address, agent, fits) in [
            ("/toy", "10.1.2.3", "x Dash/1", true),
            ("/toy/?token=1", "10.1.2.3", "Dash", true),
            ("/other", "10.1.2.3", "Dash", false),
            ("/toy", "11.1.2.3", "Dash", false),
            ("/toy", "10.1.2.3", "dash", false),
        ] {
            let head = head(path, agent);
            let found = pins.fitting(&head, address.parse().unwrap()).next();
            assert_eq!(found, fits.then_some(("doc", None)), "{path} {address} {agent}");
        }
    }

    #[test]
    fn an_unknown_revision_is_an_error_that_names_those_that_exist() {
        let error = Pins::new(&toy(), &[Pin::new("docs")]).unwrap_err();
        assert_eq!(error.to_string(), "toy has no revision \"docs\"; it has doc");
    }
}
