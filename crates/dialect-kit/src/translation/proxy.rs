//! Stories through a proxy.

use crate::fixtures::{CredentialsKind, time};
use crate::play::{
    Connections, DialectPair, PlayError, RecordedStep, Recording, WireEntry, outcome_for,
    request_of, step_time,
};
use crate::stories::{Exchange, Step, Story, stories};
use crate::translation::completion::may_answer;
use crate::translation::differences::differences;
use crate::translation::finding::{Finding, Passage};
use crate::translation::link::{BothEnds, Link, Natives, play_alone};
use std::collections::{BTreeMap, BTreeSet};
use tolmach_dialect::{Correlation, Request};
use tolmach_domain::{Event, Fault};

/// Plays every story through a proxy from `source` to `target`.
pub(crate) fn translate_stories(
    (source, native_source): (DialectPair<'_>, &Recording),
    (target, native_target): (DialectPair<'_>, &Recording),
) -> Vec<Finding> {
    let proxy = Proxy { source, target, native_source, native_target };
    stories().iter().flat_map(|story| proxy.play(story)).collect()
}

/// Plays one exchange through a proxy from a dialect to itself, after a login where its wire has
/// one. `None` if the dialect has no frame for it.
pub(crate) fn translate_alone(
    pair: DialectPair<'_>,
    credentials: CredentialsKind,
    login: &Exchange,
    exchange: &Exchange,
) -> Option<Passage> {
    let id = pair.id();
    let logged_in = || {
        let mut connections = Connections::new(pair);
        match play_alone(&mut connections, id, credentials, time(1), login) {
            Ok(_) => drop(connections.take_entries()),
            Err(_) => connections = Connections::new(pair),
        }
        connections
    };
    let mut decoded = None;
    let request = request_of(exchange, credentials, Correlation::NONE);
    let respond = &mut |request: &Request, _| {
        decoded = Some(request.command.clone());
        Ok(Some(outcome_for(exchange, &request.command)))
    };
    let native = logged_in().request(time(2), exchange.persona, &request, respond);
    if let (Some(decoded), Ok(answer)) = (&decoded, &exchange.outcome)
        && !may_answer(decoded, answer)
    {
        return None;
    }
    match native {
        Ok(_) => {}
        Err(PlayError::Unsupported(_)) => return None,
        Err(PlayError::Defect(defect)) => return Some(Passage::Broken(defect)),
    }
    let (mut source, mut target) = (logged_in(), logged_in());
    let mut link = Link {
        source: &mut source,
        target: &mut target,
        credentials: [credentials; 2],
        ids: [id; 2],
    };
    let outcome = link
        .request(time(2), exchange)
        .and_then(|pending| link.settle(time(2), exchange, pending, &[]));
    Some(match outcome {
        Err(error) => error.into(),
        Ok(()) => Passage::Differs(
            [
                differences("server", &source.entries, &target.entries, WireEntry::is_server),
                differences("client", &target.entries, &source.entries, WireEntry::is_client),
            ]
            .concat(),
        ),
    })
}

struct Proxy<'a> {
    source: DialectPair<'a>,
    target: DialectPair<'a>,
    native_source: &'a Recording,
    native_target: &'a Recording,
}

impl Proxy<'_> {
    /// Plays a story. A step that cannot come through has left a connection waiting, so the story
    /// starts again with both ends played natively there.
    fn play(&self, story: &Story) -> Vec<Finding> {
        let mut apart: BTreeMap<usize, Finding> = BTreeMap::new();
        loop {
            match self.attempt(story, &apart.keys().copied().collect()) {
                Ok(mut findings) => {
                    findings.extend(apart.into_values());
                    return findings;
                }
                Err((index, finding)) => {
                    if apart.insert(index, finding).is_some() {
                        // It fails natively too: the recording's own trials name the problem.
                        return apart.into_values().collect();
                    }
                }
            }
        }
    }

    fn attempt(
        &self,
        story: &Story,
        apart: &BTreeSet<usize>,
    ) -> Result<Vec<Finding>, (usize, Finding)> {
        let (mut source, mut target) =
            (Connections::new(self.source), Connections::new(self.target));
        let mut findings = Vec::new();
        for (index, step) in story.steps.iter().enumerate() {
            let now = step_time(index);
            let (exchange, event) = match step {
                Step::Exchange(exchange) => (Some(exchange.as_ref()), exchange.event.as_ref()),
                Step::Event(kind) => (None, Some(kind.as_ref())),
            };
            let (title, operation, fault) = match (exchange, event) {
                (Some(exchange), _) => {
                    let fault = exchange.outcome.as_ref().err().map(Fault::name);
                    (exchange.title(), exchange.operation(), fault)
                }
                (None, event) => {
                    let name = event.map(|kind| Event::new(now, kind.clone()).name());
                    ("everybody".to_owned(), name.unwrap_or_default(), None)
                }
            };
            let title = format!("story {}, {title}", story.name);
            let natives = Natives {
                exchange: self.natives(story, index, false),
                event: self.natives(story, index, true),
            };
            let mut link = Link {
                source: &mut source,
                target: &mut target,
                credentials: [self.native_source.credentials, self.native_target.credentials],
                ids: [self.source.id(), self.target.id()],
            };
            let linked = !apart.contains(&index);
            let passed = link.play(now, exchange, event, natives, linked).map_err(|error| {
                let outcome = error.into();
                (index, Finding { title: title.clone(), operation, fault, outcome })
            })?;
            if let Some(places) = compare(natives.exchange, passed.exchange.as_ref()) {
                let outcome = Passage::Differs(places);
                findings.push(Finding { title: title.clone(), operation, fault, outcome });
            }
            if let (Some(places), (Some(native), _)) =
                (compare(natives.event, passed.event.as_ref()), natives.event)
            {
                let operation = native.operation;
                let title = format!("{title}, {operation}");
                let outcome = Passage::Differs(places);
                findings.push(Finding { title, operation, fault: None, outcome });
            }
        }
        Ok(findings)
    }

    /// A step as native peers of both dialects play it.
    fn natives(
        &self,
        story: &Story,
        index: usize,
        is_event: bool,
    ) -> (Option<&RecordedStep>, Option<&RecordedStep>) {
        (
            self.native_source.find(story.name, index, is_event),
            self.native_target.find(story.name, index, is_event),
        )
    }
}

/// The places in which both ends differ from native peers.
fn compare(
    natives: (Option<&RecordedStep>, Option<&RecordedStep>),
    passed: Option<&BothEnds>,
) -> Option<Vec<String>> {
    let ((Some(source), Some(target)), Some(passed)) = (natives, passed) else { return None };
    let mut places = differences("server", &passed.source, &source.entries, WireEntry::is_server);
    places.extend(differences("client", &passed.target, &target.entries, WireEntry::is_client));
    Some(places)
}
