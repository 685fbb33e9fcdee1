//! The dialects that recorded connections may be of.

use crate::config::Config;
use crate::configured_dialects::configured_dialects;
use crate::error::UsageError;
use crate::named_dialects::NamedDialects;
use http::request::Parts;
use std::sync::Arc;
use tolmach_capture::KnownDialect;
use tolmach_dialect::{Dialect, Frame, Handshake, Recognition, Revision};
use tolmach_domain::ConnectionId;

/// The dialects that connections may be of.
pub(super) struct RecordedDialects {
    dialects: Vec<Arc<dyn Dialect>>,
    /// True if all connections are of the only one.
    is_given: bool,
}

/// A dialect that was recognised, in a revision.
#[derive(Clone)]
pub(super) struct Recognised {
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) revision: Revision,
}

impl Recognised {
    /// The same for a capture.
    pub(super) fn known(&self) -> KnownDialect {
        let manifest = self.dialect.manifest();
        KnownDialect {
            id: manifest.id.to_owned(),
            revision: self.revision.to_owned(),
            rules: manifest.field_rules(self.revision),
        }
    }

    /// The same in another revision.
    pub(super) fn at(&self, revision: Revision) -> Self {
        Self { dialect: self.dialect.clone(), revision }
    }
}

impl RecordedDialects {
    /// The dialect with this name, or else all that are configured.
    pub(super) fn of(config: &Config, name: Option<&str>) -> Result<Self, UsageError> {
        let is_given = name.is_some();
        let dialects = match name {
            Some(name) => {
                let named = NamedDialects::load(config).map_err(UsageError::NamedDialect)?;
                vec![named.find(name).map_err(UsageError::NamedDialect)?]
            }
            None => {
                let configured = configured_dialects(config)?;
                configured.into_iter().map(|one| one.dialect).collect()
            }
        };
        Ok(Self { dialects, is_given })
    }

    /// The dialect that was given.
    pub(super) fn given(&self) -> Option<Recognised> {
        let only = self.dialects.first().filter(|_| self.is_given)?;
        let revision = only.manifest().revisions.first()?;
        Some(Recognised { dialect: only.clone(), revision })
    }

    /// The dialect of a connection: the one that was given, or that claims the path and the first
    /// frame. `None` where none does, or several do.
    pub(super) fn recognise(
        &self,
        request: Option<&Parts>,
        is_websocket: bool,
        first: Option<&Frame>,
    ) -> Option<Recognised> {
        if let Some(given) = self.given() {
            return Some(given);
        }
        let mut handshake = Handshake::new(ConnectionId(0)).websocket(is_websocket);
        if let Some(request) = request {
            handshake = handshake.request(request).websocket(is_websocket);
        }
        if let Some(first) = first {
            handshake = handshake.first_frame(first);
        }
        let path = request.map(|request| request.uri.path());
        if let Some(path) = path
            && let Some(own) = self.dialects.iter().find(|dialect| serves(&***dialect, path))
        {
            let revision = match own.recognise(&handshake) {
                Recognition::Certain(revision) => revision,
                Recognition::No => own.manifest().revisions.first()?,
            };
            return Some(Recognised { dialect: own.clone(), revision });
        }
        let mut claims =
            self.dialects.iter().filter_map(|dialect| match dialect.recognise(&handshake) {
                Recognition::Certain(revision) => {
                    Some(Recognised { dialect: dialect.clone(), revision })
                }
                Recognition::No => None,
            });
        let claim = claims.next();
        claim.filter(|_| claims.next().is_none())
    }
}

/// True if a path is one of a dialect's own.
fn serves(dialect: &dyn Dialect, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    dialect.manifest().endpoints.iter().any(|endpoint| match endpoint.path.strip_suffix("/**") {
        Some(prefix) => {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        None => endpoint.path.trim_end_matches('/') == path && !path.is_empty(),
    })
}
