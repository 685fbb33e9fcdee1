//! The kind of credentials that a dialect's wire carries.

use crate::fixtures::{CredentialsKind, time};
use crate::play::connections::Connections;
use crate::play::failure::PlayError;
use crate::play::responses::{outcome_for, request_of};
use crate::play::sides::Sides;
use crate::stories::{Step, stories};
use tolmach_dialect::{Correlation, Credentials, Request};

/// The kind of credentials that arrives unchanged, or else one that arrives at all, or else one
/// that can be encoded, so that the defect is seen.
pub(crate) fn credentials_kind(sides: Sides<'_>) -> CredentialsKind {
    let steps: Vec<Step> = stories().into_iter().flat_map(|story| story.steps).collect();
    let fits = |kind: CredentialsKind, accept: &dyn Fn(&Credentials, &Request) -> bool, broken| {
        steps.iter().any(|step| {
            let Step::Exchange(exchange) = step else { return false };
            if !exchange.authenticated {
                return false;
            }
            let request = request_of(exchange, kind, Correlation::NONE);
            let respond =
                &mut |decoded: &Request, _| Ok(Some(outcome_for(exchange, &decoded.command)));
            let completed =
                Connections::new(sides).request(time(10), exchange.persona, &request, respond);
            match completed {
                Ok(completed) => accept(&completed.request.credentials, &request),
                Err(PlayError::Defect(_)) => broken,
                Err(PlayError::Unsupported(_)) => false,
            }
        })
    };
    let unchanged = |kind: &CredentialsKind| {
        fits(*kind, &|decoded, request| *decoded == request.credentials, false)
    };
    let arriving = |kind: &CredentialsKind| fits(*kind, &carries, false);
    let encodable = |kind: &CredentialsKind| fits(*kind, &|_, _| true, true);
    let find = |fits: &dyn Fn(&CredentialsKind) -> bool| {
        CredentialsKind::ALL.into_iter().find(|kind| fits(kind))
    };
    find(&unchanged)
        .or_else(|| find(&arriving))
        .or_else(|| find(&encodable))
        .unwrap_or(CredentialsKind::Connection)
}

/// True if the decoded credentials are what this wire carries of the request's.
pub(crate) fn carries(decoded: &Credentials, request: &Request) -> bool {
    match (decoded, &request.credentials) {
        (Credentials::Connection, _) => true,
        (Credentials::Nothing, encoded) => *encoded == Credentials::Nothing,
        (Credentials::TokenOf(user, _), Credentials::TokenOf(encoded, _)) if user != encoded => {
            false
        }
        (decoded, encoded) => secret_of(decoded) == secret_of(encoded),
    }
}

/// The text of a token.
fn secret_of(credentials: &Credentials) -> Option<&str> {
    match credentials {
        Credentials::Nothing | Credentials::Connection => None,
        Credentials::Token(secret)
        | Credentials::TokenOf(_, secret)
        | Credentials::Bearer(secret) => Some(secret.expose()),
    }
}
