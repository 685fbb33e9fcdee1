//! One step through a proxy.

use crate::fixtures::{CredentialsKind, Persona};
use crate::play::{
    Connections, Defect, Marker, PlayError, RecordedStep, WireEntry, outcome_for, request_of,
};
use crate::stories::Exchange;
use crate::translation::completion::{
    complete_outcome, count_event, implied_answer, request_tokens,
};
use tolmach_dialect::{Correlation, Credentials, Incoming, Request, Response};
use tolmach_domain::{ConnectionId, Event, EventKind, Origin, Timestamp};

/// The two ends of a proxy: it is a server of the source and a client of the target.
pub(crate) struct Link<'l, 'd> {
    /// The connections of the source dialect.
    pub(crate) source: &'l mut Connections<'d>,
    /// The connections of the target dialect.
    pub(crate) target: &'l mut Connections<'d>,
    /// The kinds of credentials of source and target.
    pub(crate) credentials: [CredentialsKind; 2],
    /// The ids of source and target.
    pub(crate) ids: [&'static str; 2],
}

/// The frames of both ends in one step.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Of the exchange, if it came through the proxy.
    pub(crate) exchange: Option<BothEnds>,
    /// Of its event, if that did.
    pub(crate) event: Option<BothEnds>,
}

/// Entries of both ends.
#[derive(Debug)]
pub(crate) struct BothEnds {
    /// Between the source's clients and the proxy.
    pub(crate) source: Vec<WireEntry>,
    /// Between the proxy and the target's server.
    pub(crate) target: Vec<WireEntry>,
}

/// A step as native peers play it: `None` where the dialect has no frame for it.
#[derive(Clone, Copy)]
pub(crate) struct Natives<'n> {
    /// The exchange, of source and target.
    pub(crate) exchange: (Option<&'n RecordedStep>, Option<&'n RecordedStep>),
    /// The event, of source and target.
    pub(crate) event: (Option<&'n RecordedStep>, Option<&'n RecordedStep>),
}

/// A request that has gone through and may still wait for its response.
pub(crate) struct Pending {
    source: (ConnectionId, Request),
    target: (ConnectionId, Request),
    answered: bool,
}

impl Link<'_, '_> {
    /// Plays a step: through the proxy where both dialects have it natively, else each end for
    /// itself, so that both stay in step with their recordings.
    pub(crate) fn play(
        &mut self,
        now: Timestamp,
        exchange: Option<&Exchange>,
        event: Option<&EventKind>,
        natives: Natives<'_>,
        linked: bool,
    ) -> Result<Passed, PlayError> {
        let mut passed = Passed::default();
        let mut pending = None;
        let mut origins = [None, None];
        if let Some(exchange) = exchange {
            let (source, target) = (natives.exchange.0.is_some(), natives.exchange.1.is_some());
            if linked && source && target {
                let link = self.request(now, exchange)?;
                let origin = |(connection, request): &(ConnectionId, Request), dialect| {
                    let client_tag = request.client_tag.clone();
                    Some(Origin { connection: *connection, dialect, client_tag })
                };
                origins = [origin(&link.source, self.ids[0]), origin(&link.target, self.ids[1])];
                pending = Some(link);
            } else {
                let [source_kind, target_kind] = self.credentials;
                if source {
                    let played = play_alone(self.source, self.ids[0], source_kind, now, exchange);
                    origins[0] = Some(played?);
                }
                if target {
                    let played = play_alone(self.target, self.ids[1], target_kind, now, exchange);
                    origins[1] = Some(played?);
                }
            }
        }
        let [source_origin, target_origin] = origins;
        let mut so_far = BothEnds { source: take(self.source), target: take(self.target) };
        let Some(kind) = event else {
            if let (Some(pending), Some(exchange)) = (pending, exchange) {
                self.settle(now, exchange, pending, &[])?;
                so_far.source.extend(take(self.source));
                passed.exchange = Some(so_far);
            }
            return Ok(passed);
        };
        let event = Event::new(now, kind.clone());
        let received =
            self.target.deliver(now, &Event { origin: target_origin, ..event.clone() }, None)?;
        let target_entries = take(self.target);
        if let (Some(pending), Some(exchange)) = (pending, exchange) {
            let incoming: Vec<Incoming> = received
                .iter()
                .filter(|received| received.persona == exchange.persona)
                .flat_map(|received| received.incoming.clone())
                .collect();
            self.settle(now, exchange, pending, &incoming)?;
            so_far.source.extend(take(self.source));
            passed.exchange = Some(so_far);
        }
        let (source_native, target_native) = natives.event;
        let through = linked && source_native.is_some() && target_native.is_some();
        if !through || closes(source_native) || closes(target_native) {
            // A close carries nothing that could be passed on.
            self.source.deliver(now, &Event { origin: source_origin, ..event }, None)?;
            take(self.source);
            return Ok(passed);
        }
        let mut reached: Vec<&Persona> = Vec::new();
        for received in received {
            if reached.contains(&received.persona) {
                continue;
            }
            for incoming in received.incoming {
                let Incoming::Event(event) = incoming else { continue };
                let mut event = Event { origin: source_origin.clone(), ..Event::clone(&event) };
                count_event(&mut event.kind, kind);
                self.source.deliver(now, &event, Some(received.persona))?;
                reached.push(received.persona);
            }
        }
        passed.event = Some(BothEnds { source: take(self.source), target: target_entries });
        Ok(passed)
    }

    /// Makes the request of an exchange at the source's end and passes it on to the target's.
    pub(crate) fn request(
        &mut self,
        now: Timestamp,
        exchange: &Exchange,
    ) -> Result<Pending, PlayError> {
        let request = request_of(exchange, self.credentials[0], Correlation::new(Marker(0)));
        let marker = now.micros().unsigned_abs();
        let target_kind = self.credentials[1];
        let target = &mut *self.target;
        let mut passed = None;
        let mut respond = |decoded: &Request, connection: ConnectionId| {
            let credentials = if exchange.authenticated {
                target_kind.of(exchange.persona)
            } else {
                Credentials::Nothing
            };
            let correlation = Correlation::new(Marker(marker));
            let mut onward = Request { correlation, credentials, ..decoded.clone() };
            request_tokens(&mut onward.command, &exchange.command);
            let respond =
                &mut |decoded: &Request, _| Ok(Some(outcome_for(exchange, &decoded.command)));
            let completed = target.request(now, exchange.persona, &onward, respond)?;
            let outcome = response_among(&completed.incoming, marker).map(|response| {
                complete_outcome(exchange, &decoded.command, response.outcome.clone())
            });
            passed = Some(Pending {
                source: (connection, decoded.clone()),
                target: (completed.connection, completed.request),
                answered: outcome.is_some(),
            });
            Ok(outcome)
        };
        let completed = self.source.request(now, exchange.persona, &request, &mut respond)?;
        passed.ok_or_else(|| {
            let name = completed.request.command.name();
            Defect::round_trip(format!("{name} was requested and never passed on")).into()
        })
    }

    /// Responds to a request that still waits: by a response that came with the event, by the event
    /// itself, or by the absence of a refusal.
    pub(crate) fn settle(
        &mut self,
        now: Timestamp,
        exchange: &Exchange,
        pending: Pending,
        incoming: &[Incoming],
    ) -> Result<(), PlayError> {
        if pending.answered || exchange.outcome.is_err() {
            return Ok(());
        }
        let (connection, request) = pending.source;
        let outcome = response_among(incoming, now.micros().unsigned_abs())
            .map(|response| response.outcome.clone())
            .or_else(|| implied_answer(&request.command, incoming).map(Ok));
        if let Some(outcome) = outcome {
            let outcome = complete_outcome(exchange, &request.command, outcome);
            self.source.respond_later(now, connection, &request, outcome)?;
        }
        Ok(())
    }
}

/// Plays an exchange at one end alone.
pub(crate) fn play_alone(
    connections: &mut Connections<'_>,
    dialect: &'static str,
    credentials: CredentialsKind,
    now: Timestamp,
    exchange: &Exchange,
) -> Result<Origin, PlayError> {
    let request = request_of(exchange, credentials, Correlation::NONE);
    let respond = &mut |decoded: &Request, _| Ok(Some(outcome_for(exchange, &decoded.command)));
    let completed = connections.request(now, exchange.persona, &request, respond)?;
    let client_tag = completed.request.client_tag;
    Ok(Origin { connection: completed.connection, dialect, client_tag })
}

fn take(connections: &mut Connections<'_>) -> Vec<WireEntry> {
    connections.take_entries().0
}

fn closes(step: Option<&RecordedStep>) -> bool {
    step.is_some_and(|step| step.entries.iter().any(|entry| matches!(entry, WireEntry::Closed(_))))
}

fn response_among(incoming: &[Incoming], marker: u64) -> Option<&Response> {
    incoming.iter().find_map(|incoming| match incoming {
        Incoming::Response(response)
            if response.correlation.get::<Marker>() == Some(&Marker(marker)) =>
        {
            Some(response)
        }
        _ => None,
    })
}
