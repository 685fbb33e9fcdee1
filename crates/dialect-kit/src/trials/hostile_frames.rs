//! Malformed, mutated and arbitrary frames.

use crate::fixtures::time;
use crate::frame_text::{describe, inline};
use crate::hostile::{
    Attack, Rules, Sample, attack_client, attack_recognition, attack_server, attacks, samples,
    with_payload,
};
use crate::kit::Kit;
use crate::play::PreparedRequest;
use crate::problems::{Outcome, Problems};
use crate::project::{Schemas, json_of};
use crate::trials::runner::run;
use proptest::collection::vec;
use proptest::prelude::{any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::strategy::Strategy;
use serde_json::Value;
use std::collections::BTreeSet;
use tolmach_dialect::{Dialect, Frame};

/// Wrong types, impossible numbers, missing and doubled keys, deep nesting and cut frames, at every
/// place of one frame of each operation, cause no panic on either side. A violation leaves nothing
/// behind and is answered in the dialect's form, and so is whatever is accepted.
pub fn malformed_frames_are_answered(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let dialect = kit.dialect.as_ref();
    let mut problems = Vec::new();
    for sample in samples(kit)? {
        malformed_requests(dialect, rules_of(kit, &schemas), &sample, &mut problems);
        malformed_replies(&sample, &mut problems);
    }
    Problems::none_or(problems)
}

/// Frames of the stories with bytes changed, left out and put in at random do no harm on either
/// side.
pub fn mutated_frames_are_answered(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let samples = samples(kit)?;
    let edits = vec((any::<u16>(), 0..3_u8, any::<u8>()), 1..6);
    run(kit, 512, &(any::<Index>(), edits), |(index, edits)| {
        let sample = index.get(&samples);
        if let Some(frame) = mutated(&sample.client, &edits) {
            attack(kit, &schemas, sample, &frame)?;
        }
        for frame in sample.server.iter().filter_map(|frame| mutated(frame, &edits)) {
            attack_own_client(sample, &frame)?;
        }
        Ok(())
    })
}

/// Arbitrary bytes, arbitrary text and arbitrary JSON made of the dialect's own words do no harm on
/// either side.
pub fn arbitrary_bytes_are_harmless(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let samples = samples(kit)?;
    let words: BTreeSet<String> = samples
        .iter()
        .filter_map(|sample| json_of(&sample.client))
        .flat_map(|json| words(&json))
        .collect();
    if words.is_empty() {
        return Err(Problems::one("no frame of a request is a JSON object"));
    }
    let payload = prop_oneof![
        vec(any::<u8>(), 0..256),
        "\\PC{0,64}".prop_map(String::into_bytes),
        json_of_words(words.into_iter().collect()).prop_map(|value| value.to_string().into_bytes()),
    ];
    run(kit, 1024, &(payload, any::<Index>()), |(payload, index)| {
        let sample = index.get(&samples);
        let mut frames: Vec<Frame> =
            with_payload(&sample.client, payload.clone()).into_iter().collect();
        if sample.is_websocket() {
            frames.push(Frame::Binary(payload.clone().into()));
            frames.push(Frame::Value(payload.clone().into()));
        }
        for frame in &frames {
            attack(kit, &schemas, sample, frame)?;
            attack_own_client(sample, frame)?;
        }
        match sample.server.first().and_then(|frame| with_payload(frame, payload)) {
            Some(frame) => attack_own_client(sample, &frame),
            None => Ok(()),
        }
    })
}

fn malformed_requests(
    dialect: &dyn Dialect,
    rules: Rules<'_>,
    sample: &Sample<'_>,
    problems: &mut Vec<String>,
) {
    let mut prepared = sample.prepare();
    let mut refused = Vec::new();
    for Attack { name, frame } in attacks(&sample.client) {
        // A session that has survived an attack goes on, as a connection does; another is replaced.
        let attacked = attack_server(dialect, &mut prepared, rules, &frame);
        let recognised = attack_recognition(dialect, &sample.opening, &frame);
        match attacked.and_then(|is_request| recognised.map(|()| is_request)) {
            Ok(true) => {}
            Ok(false) => refused.push(frame),
            Err(problem) => {
                let title = &sample.title;
                problems.push(format!("{title}, {name}: {problem} (frame: {})", inline(&frame)));
                prepared = sample.prepare();
            }
        }
    }
    if !prepared.websocket || refusal_of_good(&mut prepared, sample).is_none() {
        return;
    }
    // A malformed frame may be a request that bars the good one, such as a room that is joined
    // once. A connection of its own gets only those that are refused.
    let mut prepared = sample.prepare();
    for frame in &refused {
        match attack_server(dialect, &mut prepared, rules, frame) {
            Ok(false) => {}
            Ok(true) => prepared = sample.prepare(),
            Err(_) => return,
        }
    }
    let Some(after) = refusal_of_good(&mut prepared, sample) else { return };
    let title = &sample.title;
    problems.push(format!("{title}: after malformed frames a good one is not decoded: {after}"));
}

/// The refusal of a sample's own frame.
fn refusal_of_good(prepared: &mut PreparedRequest, sample: &Sample<'_>) -> Option<String> {
    match prepared.server.decode(time(1), &sample.client) {
        Ok(Ok(_)) => None,
        Ok(Err(violation)) => Some(describe(&violation)),
        Err(defect) => Some(defect.message),
    }
}

fn malformed_replies(sample: &Sample<'_>, problems: &mut Vec<String>) {
    for server in &sample.server {
        let Some(mut client) = sample.prepare().client else { return };
        for Attack { name, frame } in attacks(server) {
            if let Err(problem) = attack_client(client.as_mut(), &frame) {
                problems.push(format!(
                    "{}, {name} to the client: {problem} (frame: {})",
                    sample.title,
                    inline(&frame)
                ));
                match sample.prepare().client {
                    Some(fresh) => client = fresh,
                    None => return,
                }
            }
        }
    }
}

fn rules_of<'a>(kit: &Kit, schemas: &'a Schemas) -> Rules<'a> {
    Rules { schemas, answers_refusals: kit.answers_refusals }
}

/// Sends a frame to a fresh server session, and has it recognised.
fn attack(kit: &Kit, schemas: &Schemas, sample: &Sample<'_>, frame: &Frame) -> Result<(), String> {
    let dialect = kit.dialect.as_ref();
    attack_server(dialect, &mut sample.prepare(), rules_of(kit, schemas), frame)
        .and_then(|_| attack_recognition(dialect, &sample.opening, frame))
        .map_err(|problem| format!("{}: {problem} (frame: {})", sample.title, inline(frame)))
}

/// Sends a frame to a fresh client session, if the dialect has one.
fn attack_own_client(sample: &Sample<'_>, frame: &Frame) -> Result<(), String> {
    match sample.prepare().client {
        Some(mut client) => attack_client(client.as_mut(), frame).map_err(|problem| {
            format!("{}, to the client: {problem} (frame: {})", sample.title, inline(frame))
        }),
        None => Ok(()),
    }
}

/// A frame with some of its bytes changed.
fn mutated(frame: &Frame, edits: &[(u16, u8, u8)]) -> Option<Frame> {
    let mut payload = frame.payload().to_vec();
    for (at, kind, byte) in edits {
        let at = usize::from(*at) % (payload.len() + 1);
        match kind {
            0 => payload.insert(at, *byte),
            1 if at < payload.len() => {
                payload.remove(at);
            }
            _ => {
                if let Some(place) = payload.get_mut(at) {
                    *place = *byte;
                }
            }
        }
    }
    with_payload(frame, payload)
}

/// Every key and every text of a JSON document.
fn words(json: &[u8]) -> Vec<String> {
    fn collect(value: &Value, all: &mut Vec<String>) {
        match value {
            Value::String(text) => all.push(text.clone()),
            Value::Array(list) => list.iter().for_each(|value| collect(value, all)),
            Value::Object(object) => {
                for (key, value) in object {
                    all.push(key.clone());
                    collect(value, all);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut all = Vec::new();
    if let Ok(value) = serde_json::from_slice(json) {
        collect(&value, &mut all);
    }
    all
}

fn json_of_words(words: Vec<String>) -> impl Strategy<Value = Value> {
    let word = select(words);
    let leaf = prop_oneof![
        3 => word.clone().prop_map(Value::String),
        1 => any::<Option<bool>>().prop_map(Value::from),
        2 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        2 => (1..30_i64).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((word.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}
