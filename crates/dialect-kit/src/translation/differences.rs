//! Differences between frames.

use crate::frame_text::inline;
use crate::play::WireEntry;
use crate::project::json_of;
use serde_json::Value;
use std::collections::BTreeSet;
use tolmach_dialect::Frame;

/// The places in which the frames of one end differ from a native peer's. Connections receive an
/// event in no particular order.
pub(crate) fn differences(
    end: &str,
    played: &[WireEntry],
    native: &[WireEntry],
    of_end: fn(&WireEntry) -> bool,
) -> Vec<String> {
    let sorted = |entries: &[WireEntry]| {
        let mut kept: Vec<WireEntry> =
            entries.iter().filter(|entry| of_end(entry)).cloned().collect();
        kept.sort_by_cached_key(|entry| match entry {
            WireEntry::Client(frame) | WireEntry::Server(frame) => inline(frame),
            _ => String::new(),
        });
        kept
    };
    let (played, native) = (sorted(played), sorted(native));
    if played == native {
        return Vec::new();
    }
    if played.len() != native.len() {
        return vec![format!(
            "{end}: {} frames where a native peer sends {}",
            played.len(),
            native.len()
        )];
    }
    let mut places = BTreeSet::new();
    for (played, native) in played.iter().zip(&native).filter(|(played, native)| played != native) {
        match (played, native) {
            (WireEntry::Client(played), WireEntry::Client(native))
            | (WireEntry::Server(played), WireEntry::Server(native)) => {
                places.extend(
                    frame_differences(played, native)
                        .into_iter()
                        .map(|place| format!("{end} {place}")),
                );
            }
            _ => {
                places.insert(format!("{end} connection"));
            }
        }
    }
    places.into_iter().collect()
}

fn frame_differences(played: &Frame, native: &Frame) -> Vec<String> {
    let json = |frame: &Frame| {
        json_of(frame).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
    };
    let mut places = Vec::new();
    match (json(played), json(native)) {
        (Some(played), Some(native)) if played != native => {
            value_differences("", &played, &native, &mut places)
        }
        _ if played.payload() != native.payload() => places.push(format!(
            "payload: {} where a native peer sends {}",
            inline(played),
            inline(native)
        )),
        _ => {}
    }
    match (played, native) {
        (Frame::Request(a), Frame::Request(b))
            if a.uri() != b.uri() || a.method() != b.method() =>
        {
            places.push(format!(
                "address: {} {} where a native peer sends {} {}",
                a.method(),
                a.uri(),
                b.method(),
                b.uri()
            ));
        }
        (Frame::Response(a), Frame::Response(b)) if a.status() != b.status() => {
            places.push(format!("status: {} where a native peer sends {}", a.status(), b.status()));
        }
        _ => {}
    }
    if places.is_empty() {
        places.push(format!(
            "form: {} where a native peer sends {}",
            inline(played),
            inline(native)
        ));
    }
    places
}

fn value_differences(path: &str, played: &Value, native: &Value, places: &mut Vec<String>) {
    match (played, native) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                value_differences(
                    &format!("{path}/{key}"),
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    places,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (played, native)) in a.iter().zip(b).enumerate() {
                value_differences(&format!("{path}/{index}"), played, native, places);
            }
        }
        _ if played != native => {
            places.push(format!("{path}: {played} where a native peer sends {native}"))
        }
        _ => {}
    }
}
