//! The values of a raw TCP stream: the network may divide the bytes in any way, and the values are
//! the same.

use crate::input::{self, joined};
use crate::subject::subjects;
use crate::transcripts;
use serde_json::{Deserializer, Value};
use tolmach_server::fuzzing::{RawValues, raw_values};

/// The messages of the transcripts, back to back and in parts.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        b"{\"a\":\"}{][\"}{}\n[1, [2]] null 12 \"word\"{}".to_vec(),
        joined(&[b"{\"a\":\"\\".to_vec(), b"\"}\"}{".to_vec(), b"}".to_vec()]),
    ];
    for id in subjects().keys() {
        for input in transcripts::for_servers(id) {
            let messages: Vec<Vec<u8>> = input::records(&input)
                .filter(|(kind, _)| *kind == input::kind::TEXT)
                .map(|(_, content)| content.to_vec())
                .collect();
            if !messages.is_empty() {
                seeds.extend([messages.concat(), joined(&messages)]);
            }
        }
    }
    seeds
}

/// Reads the records of an input as the parts of a stream.
///
/// # Panics
///
/// If the values depend on the parts, if bytes are lost or added, or if values that a JSON parser
/// finds in the stream are found otherwise.
pub(crate) fn run(input: &[u8]) {
    let parts: Vec<&[u8]> = input::values(input).collect();
    let stream = parts.concat();
    let RawValues { values, bytes } = raw_values([&stream[..]]);
    assert!(stream.starts_with(&bytes), "the bytes of the stream are changed");
    let byte_by_byte = stream.chunks(1);
    for other in [raw_values(parts.iter().copied()), raw_values(byte_by_byte)] {
        assert_eq!(other.values, values, "the values depend on the parts");
        assert_eq!(other.bytes, bytes, "the bytes depend on the parts");
    }
    let parsed: Result<Vec<Value>, _> = Deserializer::from_slice(&stream).into_iter().collect();
    let Ok(parsed) = parsed else { return };
    if parsed.iter().all(|value| value.is_object() || value.is_array()) {
        let read = |value: &Vec<u8>| serde_json::from_slice(value).ok();
        let found: Vec<Option<Value>> = values.iter().map(read).collect();
        assert_eq!(found, parsed.into_iter().map(Some).collect::<Vec<_>>());
    }
}
