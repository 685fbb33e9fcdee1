//! A story played up to one of its steps.

use crate::play::connections::{Completed, Connections};
use crate::play::dialect_pair::DialectPair;
use crate::play::failure::PlayError;
use crate::play::recording::Recording;
use crate::play::responses::{outcome_for, request_of, step_time};
use crate::stories::{Exchange, Step, Story};
use tolmach_dialect::{Correlation, Request};
use tolmach_domain::{Event, EventKind, Origin};

/// A story with the recording of the steps that the dialect has frames for.
#[derive(Clone, Copy)]
pub(crate) struct Replay<'a> {
    /// The dialect.
    pub(crate) pair: DialectPair<'a>,
    /// Its recording.
    pub(crate) recording: &'a Recording,
    /// The story.
    pub(crate) story: &'a Story,
}

impl<'a> Replay<'a> {
    /// All connections just before the step at `index`.
    pub(crate) fn up_to(&self, index: usize) -> Result<Connections<'a>, PlayError> {
        let mut connections = Connections::new(self.pair);
        for (earlier, step) in self.story.steps[..index].iter().enumerate() {
            let (exchange, kind) = match step {
                Step::Exchange(exchange) => (Some(exchange), exchange.event.as_ref()),
                Step::Event(kind) => (None, Some(kind.as_ref())),
            };
            let exchange = exchange.filter(|_| self.is_played(earlier, false));
            let origin = exchange
                .map(|exchange| self.exchange(&mut connections, earlier, exchange))
                .transpose()?;
            if let Some(kind) = kind.filter(|_| self.is_played(earlier, true)) {
                connections.deliver(step_time(earlier), &event(earlier, kind, origin), None)?;
            }
        }
        drop(connections.take_entries());
        Ok(connections)
    }

    /// Plays the exchange of the step at `index`.
    pub(crate) fn exchange(
        &self,
        connections: &mut Connections<'a>,
        index: usize,
        exchange: &Exchange,
    ) -> Result<Origin, PlayError> {
        let request = request_of(exchange, self.recording.credentials, Correlation::NONE);
        let respond = &mut |decoded: &Request, _| Ok(Some(outcome_for(exchange, &decoded.command)));
        let now = step_time(index);
        let Completed { connection, request, .. } =
            connections.request(now, exchange.persona, &request, respond)?;
        Ok(Origin { connection, dialect: self.pair.id(), client_tag: request.client_tag })
    }

    fn is_played(&self, index: usize, is_event: bool) -> bool {
        self.recording.find(self.story.name, index, is_event).is_some()
    }
}

/// The event of the step at `index`.
pub(crate) fn event(index: usize, kind: &EventKind, origin: Option<Origin>) -> Event {
    Event { origin, ..Event::new(step_time(index), kind.clone()) }
}
