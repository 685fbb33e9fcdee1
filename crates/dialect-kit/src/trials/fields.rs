//! The places of values.

use crate::fixtures::{ANN, BOB, CAROL};
use crate::frame_text::inline;
use crate::kit::Kit;
use crate::play::WireEntry;
use crate::problems::{Outcome, Problems};
use crate::trials::entries::each_entry;
use std::collections::BTreeSet;
use tolmach_dialect::{FieldMap, FieldRole, FieldValue, Frame, Location, Route, Sender};

/// The day of the stories, as wires write it, and the seconds of its beginning and end.
const DAY: &str = "2023-11-14";
const SECONDS: std::ops::Range<f64> = 1_699_920_000.0..1_700_006_400.0;

/// Every value of the stories stands at a place that the manifest has a rule for: secrets at places
/// of secrets, tokens at places of tokens, times at places of times. A dialect without any rules is
/// not held to it; recorders replace all its texts.
pub fn values_have_places(kit: &Kit) -> Outcome {
    let rules = kit.dialect.manifest().field_rules(kit.revision());
    if rules.is_empty() {
        return Ok(());
    }
    let map = FieldMap::new(rules);
    let mut problems = BTreeSet::new();
    let mut request: Option<(String, String)> = None;
    each_entry(kit, |title, entry, scripted| {
        // A script's client may send anything.
        let (sender, frame) = match entry {
            WireEntry::Client(_) if scripted => return,
            WireEntry::Client(frame) => (Sender::Client, frame.clone()),
            WireEntry::Server(frame) => (Sender::Server, frame.clone()),
            WireEntry::Opened(parts) => {
                let opening = http::Request::from_parts((**parts).clone(), Default::default());
                (Sender::Client, Frame::request(opening))
            }
            WireEntry::Closed(_) | WireEntry::Remark(_) => return,
        };
        if let Frame::Request(parts) = &frame {
            request = Some((parts.method().to_string(), parts.uri().path().to_owned()));
        }
        let route = request.as_ref().map(|(method, path)| Route { method, path });
        let mut found = |value: &FieldValue<'_>| {
            // A request id may be an object.
            let is_foreign = scripted && value.location == Location::Key;
            if let Some(problem) = problem(value).filter(|_| !is_foreign) {
                problems.insert(format!("{title}: {} {problem}", inline(&frame)));
            }
            None
        };
        // A response may be a photo.
        let edited = map.edit(sender, route, &frame, &mut found);
        if edited.is_err() && !matches!(frame, Frame::Response(_)) {
            problems.insert(format!("{title}: {} is no literal", inline(&frame)));
        }
    })?;
    Problems::none_or(problems.into_iter().collect())
}

/// The problem of a value, in words.
fn problem(value: &FieldValue<'_>) -> Option<String> {
    let key = &value.key;
    let (text, role) = (&*value.text, value.role);
    let personas = [&ANN, &BOB, &CAROL];
    let is_token = |text: &str| {
        personas.iter().any(|one| text.contains(one.token) || text.contains(one.refresh))
    };
    let is_password = personas.iter().any(|one| text == one.password);
    let of_headers = matches!(value.location, Location::Header | Location::Path);
    let expected = if is_token(text) {
        Some(FieldRole::Token)
    } else if of_headers || matches!(text, "null" | "None" | "true" | "false" | "True" | "False") {
        return None;
    } else if is_password {
        Some(FieldRole::Secret)
    } else if is_time(value) {
        Some(FieldRole::Time)
    } else {
        None
    };
    match (expected, role) {
        (Some(expected), role) if role != Some(expected) => {
            Some(format!("has {text} at {key}, whose role is {role:?} and not {expected:?}"))
        }
        (_, None) => Some(format!("has {text} at {key}, which no rule of the manifest is about")),
        _ => None,
    }
}

/// True for a time of the stories.
fn is_time(value: &FieldValue<'_>) -> bool {
    let seconds = value.text.parse::<f64>().ok();
    value.text.starts_with(DAY)
        || seconds.is_some_and(|seconds| {
            SECONDS.contains(&seconds) || SECONDS.contains(&(seconds / 1_000.0))
        })
}
