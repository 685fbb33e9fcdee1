//! Request ids: a client's side numbers its requests itself, and the captured client numbered them
//! otherwise.

use bytes::Bytes;
use serde_json::Value;
use std::collections::VecDeque;
use tolmach_dialect::{FieldRole, FieldRule, Frame, Place};

/// The most values that are remembered: more than requests may wait for their responses.
const MAX_VALUES: usize = 2048;
/// The deepest place of a value, in keys.
const MAX_DEPTH: usize = 4;

/// The values that the captured client had in its frames where the client's side has others.
#[derive(Debug, Default)]
pub(super) struct RequestIds {
    exchanged: VecDeque<Exchanged>,
    /// The places of request ids in the server's frames, beside those in the client's.
    places: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Exchanged {
    place: Vec<String>,
    captured: Value,
    own: Value,
}

impl RequestIds {
    /// Nothing is exchanged yet. The dialect's rules say where request ids stand.
    pub(super) fn new(rules: &[FieldRule]) -> Self {
        let place = |rule: &FieldRule| match rule.place {
            Place::Body(place) if rule.role == FieldRole::Correlation => {
                Some(place.split('/').map(str::to_owned).collect())
            }
            _ => None,
        };
        let mut places: Vec<Vec<String>> = rules.iter().filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        Self { exchanged: VecDeque::new(), places }
    }

    /// Notes in which values a frame of the client's side differs from the captured one.
    pub(super) fn note(&mut self, own: &Frame, captured: &Frame) {
        let (Some(own), Some(captured)) = (object(own), object(captured)) else { return };
        self.compare(&mut Vec::new(), &own, &captured);
    }

    fn compare(&mut self, place: &mut Vec<String>, own: &Value, captured: &Value) {
        match (own, captured) {
            (Value::Object(own), Value::Object(captured)) if place.len() < MAX_DEPTH => {
                for (key, value) in own {
                    let Some(other) = captured.get(key) else { continue };
                    place.push(key.clone());
                    self.compare(place, value, other);
                    place.pop();
                }
            }
            (Value::String(_) | Value::Number(_), Value::String(_) | Value::Number(_))
                if own != captured =>
            {
                if self.exchanged.len() == MAX_VALUES {
                    self.exchanged.pop_front();
                }
                let (own, captured) = (own.clone(), captured.clone());
                self.exchanged.push_back(Exchanged { place: place.clone(), captured, own });
            }
            _ => {}
        }
    }

    /// A captured frame of the server with the values of the client's side. `None` if there is
    /// none in it.
    pub(super) fn exchange(&self, frame: &Frame) -> Option<Frame> {
        if self.exchanged.is_empty() {
            return None;
        }
        let mut value = object(frame)?;
        let mut is_changed = false;
        // The newest first: a client may use an id again.
        for Exchanged { place, captured, own } in self.exchanged.iter().rev() {
            for place in std::iter::once(place).chain(&self.places) {
                if let Some(found) = at(&mut value, place)
                    && found == captured
                {
                    *found = own.clone();
                    is_changed = true;
                }
            }
            if is_changed {
                break;
            }
        }
        let bytes = Bytes::from(value.to_string());
        is_changed.then_some(match frame {
            Frame::Binary(_) => Frame::Binary(bytes),
            Frame::Value(_) => Frame::Value(bytes),
            _ => Frame::Text(bytes),
        })
    }
}

/// The object of a message or raw value. Requests of HTTP have no ids.
fn object(frame: &Frame) -> Option<Value> {
    match frame {
        Frame::Text(bytes) | Frame::Binary(bytes) | Frame::Value(bytes) => {
            serde_json::from_slice(bytes).ok().filter(Value::is_object)
        }
        Frame::Request(_) | Frame::Response(_) => None,
    }
}

fn at<'v>(value: &'v mut Value, place: &[String]) -> Option<&'v mut Value> {
    place.iter().try_fold(value, |value, key| value.get_mut(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_frame_gets_the_id_of_the_clients_side() {
        let mut ids = RequestIds::default();
        let own = Frame::text(r#"{"action":"list","request_id":4294967297}"#);
        ids.note(&own, &Frame::text(r#"{"action":"list","request_id":"a-1"}"#));
        for (captured, expected) in [
            (r#"{"data":[],"request_id":"a-1"}"#, Some(r#"{"data":[],"request_id":4294967297}"#)),
            (r#"{"data":[],"request_id":"a-2"}"#, None),
            (r#"{"id":"a-1"}"#, None),
            ("TEST", None),
        ] {
            let found = ids.exchange(&Frame::text(captured));
            assert_eq!(found, expected.map(Frame::text), "{captured}");
        }
    }

    #[test]
    fn a_place_of_the_rules_is_looked_at_too() {
        let rules = [FieldRule::body("meta/re", FieldRole::Correlation)];
        let mut ids = RequestIds::new(&rules);
        ids.note(&Frame::text(r#"{"id":1}"#), &Frame::text(r#"{"id":"x"}"#));
        let found = ids.exchange(&Frame::text(r#"{"meta":{"re":"x"}}"#));
        assert_eq!(found, Some(Frame::text(r#"{"meta":{"re":1}}"#)));
    }

    #[test]
    fn values_that_are_remembered_are_bounded() {
        let mut ids = RequestIds::default();
        for number in 0..=MAX_VALUES {
            let captured = format!(r#"{{"id":"c{number}"}}"#);
            ids.note(&Frame::text(format!(r#"{{"id":{number}}}"#)), &Frame::text(captured));
        }
        assert_eq!(ids.exchanged.len(), MAX_VALUES);
        assert_eq!(ids.exchange(&Frame::text(r#"{"id":"c0"}"#)), None);
        let found = ids.exchange(&Frame::text(r#"{"id":"c1"}"#));
        assert_eq!(found, Some(Frame::text(r#"{"id":1}"#)));
    }
}
