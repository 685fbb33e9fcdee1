//! Looking up the revision that is pinned for a connection.

use crate::routes::Routes;
use crate::served_dialect::ServedDialect;
use crate::state::ServerState;
use std::net::IpAddr;
use std::sync::Arc;
use tolmach_dialect::{Handshake, Revision};

/// The revision of the first pin of a dialect that a connection fits.
pub(crate) async fn pinned_revision(
    state: &ServerState,
    served: &ServedDialect,
    handshake: &Handshake<'_>,
    address: IpAddr,
) -> Option<Revision> {
    let mut login = None;
    for (revision, user) in served.pins.fitting(handshake.request?, address) {
        let Some(user) = user else { return Some(revision) };
        if login.is_none() {
            login = Some(login_of(state, served, handshake).await.unwrap_or_default());
        }
        if login.as_ref().is_some_and(|login| login.to_lowercase() == user.to_lowercase()) {
            return Some(revision);
        }
    }
    None
}

/// The dialect of the shared paths, and its revision, that a pin chooses for a connection whose
/// first frame no dialect claims.
pub(crate) async fn pinned_dialect<'a>(
    state: &ServerState,
    routes: &'a Routes,
    handshake: &Handshake<'_>,
    address: IpAddr,
) -> Option<(&'a Arc<ServedDialect>, Revision)> {
    for served in routes.shared_dialects() {
        if let Some(revision) = pinned_revision(state, served, handshake, address).await {
            return Some((served, revision));
        }
    }
    None
}

/// The login of the user whose token a handshake has.
async fn login_of(
    state: &ServerState,
    served: &ServedDialect,
    handshake: &Handshake<'_>,
) -> Option<String> {
    let credentials = {
        let mut session = served.dialect.accept(handshake).ok()?;
        match session.expected_body() {
            Some(expected) => expected.credentials,
            None => {
                let mut requests = Vec::new();
                session.initial_requests(state.engine.now(), &mut requests);
                requests.into_iter().next()?.credentials
            }
        }
    };
    let principal = state.engine.authenticate(&credentials, None).await.ok()??;
    state.engine.login(principal.identity.user).await.ok()?
}
