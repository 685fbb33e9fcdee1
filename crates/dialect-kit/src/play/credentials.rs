//! The kind of credentials that a dialect's wire carries.

use crate::fixtures::{CredentialsKind, time};
use crate::play::connections::Connections;
use crate::play::dialect_pair::DialectPair;
use crate::play::failure::PlayError;
use crate::play::responses::{outcome_for, request_of};
use crate::stories::{Exchange, Step, stories};
use tolmach_dialect::{Correlation, Credentials, Request};

/// The kind of credentials with which most exchanges can be encoded; of several, one that arrives
/// unchanged, or else one that arrives at all.
pub(crate) fn credentials_kind(pair: DialectPair<'_>) -> CredentialsKind {
    let exchanges: Vec<Exchange> = stories()
        .into_iter()
        .flat_map(|story| story.steps)
        .filter_map(|step| match step {
            Step::Exchange(exchange) if exchange.authenticated => Some(*exchange),
            _ => None,
        })
        .collect();
    let arrivals = CredentialsKind::ALL.map(|kind| Arrivals::of(pair, kind, &exchanges));
    // The last of several maxima is taken, and the earlier kind is meant.
    let best = arrivals
        .iter()
        .rev()
        .max_by_key(|arrivals| (arrivals.encoded, arrivals.unchanged > 0, arrivals.carried > 0));
    best.map_or(CredentialsKind::Connection, |arrivals| arrivals.kind)
}

/// The exchanges that one kind of credentials gets through.
struct Arrivals {
    kind: CredentialsKind,
    /// The number of exchanges that can be encoded.
    encoded: usize,
    /// The number of those that are decoded with what this wire carries of the credentials.
    carried: usize,
    /// The number of those that are decoded with the same credentials.
    unchanged: usize,
}

impl Arrivals {
    fn of(pair: DialectPair<'_>, kind: CredentialsKind, exchanges: &[Exchange]) -> Self {
        let mut arrivals = Self { kind, encoded: 0, carried: 0, unchanged: 0 };
        for exchange in exchanges {
            let request = request_of(exchange, kind, Correlation::NONE);
            let respond =
                &mut |decoded: &Request, _| Ok(Some(outcome_for(exchange, &decoded.command)));
            let completed =
                Connections::new(pair).request(time(10), exchange.persona, &request, respond);
            match completed {
                Ok(completed) => {
                    let decoded = &completed.request.credentials;
                    arrivals.encoded += 1;
                    arrivals.carried += usize::from(carries(decoded, &request));
                    arrivals.unchanged += usize::from(*decoded == request.credentials);
                }
                Err(PlayError::Defect(_)) => arrivals.encoded += 1,
                Err(PlayError::Unsupported(_)) => {}
            }
        }
        arrivals
    }
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
