//! The requests of stories and the responses to them.

use crate::fixtures::{CredentialsKind, Persona, time};
use crate::stories::Exchange;
use tolmach_dialect::{Correlation, Request};
use tolmach_domain::{Answer, Command, Credentials, Fault, GrantKind, Timestamp};

/// Marks a request, so that its response is known by the correlation that is handed back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marker(pub(crate) u64);

/// The time of a step, in recordings as in translations.
pub(crate) fn step_time(index: usize) -> Timestamp {
    time(10 + u64::try_from(index).unwrap_or(u64::MAX))
}

/// The request of an exchange, with credentials of this kind.
pub(crate) fn request_of(
    exchange: &Exchange,
    credentials: CredentialsKind,
    correlation: Correlation,
) -> Request {
    let credentials = if exchange.authenticated {
        credentials.of(exchange.persona)
    } else {
        Credentials::Nothing
    };
    Request {
        authority: exchange.authority,
        ..Request::new(correlation, credentials, exchange.command.clone())
    }
}

/// The outcome of an exchange for the command as the server decoded it.
pub(crate) fn outcome_for(exchange: &Exchange, decoded: &Command) -> Result<Answer, Fault> {
    let mut outcome = exchange.outcome.clone();
    if let Ok(answer) = &mut outcome {
        fit_grant(exchange.persona, decoded, answer);
    }
    outcome
}

/// Replaces the tokens of a grant by those of the kind that the command requests, as an engine
/// does, or a proxy that keeps its own tokens.
pub(crate) fn fit_grant(persona: &Persona, command: &Command, answer: &mut Answer) {
    let kind = match command {
        Command::Register(registration) => registration.grant,
        Command::Login { grant, .. } => *grant,
        Command::Refresh { .. } => GrantKind::Pair,
        _ => return,
    };
    if let Answer::Granted(grant) = answer {
        grant.tokens = persona.grant(kind).tokens;
    }
}
