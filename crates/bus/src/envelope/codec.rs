//! Encoding and decoding.

use super::event::Kind;
use super::origin::Origin;
use serde::{Deserialize, Serialize};
use tolmach_domain::{Event, InvalidId, Timestamp};

/// The version that this node writes.
const VERSION: u32 = 1;

/// An event with its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The node that published it.
    pub node: u64,
    /// The number of the event among that node's events.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}

/// Error of decoding an envelope.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEnvelope {
    /// The version is unknown.
    #[error("an envelope has version {0}; this node reads version {VERSION}")]
    Version(u32),
    /// The JSON is malformed, or the kind of event is unknown.
    #[error("the JSON is not an envelope of version {VERSION}")]
    Malformed(#[from] serde_json::Error),
    /// A number is not an id.
    #[error("an envelope has an invalid id")]
    Id(#[from] InvalidId),
    /// The client's tag is not base64.
    #[error("an envelope has a tag that is not base64")]
    Tag(#[from] base64::DecodeError),
}

/// The bytes that every envelope of a node begins with, and no envelope of another node, so that a
/// node recognizes its own without decoding them. They are the first fields of [`Wire`].
pub(crate) fn prefix_of(node: u64) -> String {
    format!("{{\"v\":{VERSION},\"node\":{node},")
}

/// Encodes an event.
///
/// # Errors
/// None in practice: encoding needs memory only.
pub fn encode(node: u64, sequence: u64, event: &Event) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(event.size() + 384);
    let wire = Wire {
        v: VERSION,
        node,
        seq: sequence,
        occurred_at: event.occurred_at.micros(),
        committed_at: event.committed_at.map(Timestamp::micros),
        origin: event.origin.as_ref().map(Origin::from),
        event: Kind::from(&event.kind),
    };
    serde_json::to_writer(&mut bytes, &wire)?;
    Ok(bytes)
}

/// Decodes an envelope. `dialects` are the ids that an origin may name; the origin of a request in
/// another dialect is left out, because no session of this node can use it.
///
/// # Errors
/// [`InvalidEnvelope`]: receivers must read the store.
pub fn decode(bytes: &[u8], dialects: &[&'static str]) -> Result<Envelope, InvalidEnvelope> {
    let wire: Wire<'_> = match serde_json::from_slice(bytes) {
        Ok(wire) => wire,
        Err(error) => {
            let version = serde_json::from_slice(bytes).map(|Header { v }| v);
            return Err(version
                .ok()
                .filter(|version| *version != VERSION)
                .map_or(InvalidEnvelope::Malformed(error), InvalidEnvelope::Version));
        }
    };
    if wire.v != VERSION {
        return Err(InvalidEnvelope::Version(wire.v));
    }
    let origin = wire.origin.map(|origin| origin.into_domain(dialects)).transpose()?.flatten();
    let event = Event {
        occurred_at: Timestamp::from_micros(wire.occurred_at),
        committed_at: wire.committed_at.map(Timestamp::from_micros),
        origin,
        kind: wire.event.try_into()?,
    };
    Ok(Envelope { node: wire.node, sequence: wire.seq, event })
}

/// The fields of every version.
#[derive(Deserialize)]
struct Header {
    v: u32,
}

/// An envelope in JSON. The order of the fields is fixed: [`prefix_of`] holds the first two.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    v: u32,
    node: u64,
    seq: u64,
    #[serde(rename = "at")]
    occurred_at: i64,
    #[serde(rename = "moment", skip_serializing_if = "Option::is_none")]
    committed_at: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin<'a>>,
    event: Kind<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{EventKind, FlowId, UserId};

    #[test]
    fn an_envelope_begins_with_the_prefix_of_its_node_and_of_no_other() {
        let kind = EventKind::FlowDeleted {
            flow: FlowId::new(7).expect("7 is an id"),
            by: UserId::new(1).expect("1 is an id"),
        };
        let event = Event::new(Timestamp::from_micros(1), kind);
        for node in [0, 1, 12, u64::MAX] {
            let bytes = encode(node, 3, &event).expect("an event is encodable");
            for other in [0, 1, 12, u64::MAX] {
                let begins = bytes.starts_with(prefix_of(other).as_bytes());
                assert_eq!(begins, node == other, "an envelope of {node}, the prefix of {other}");
            }
        }
    }
}
