//! Examples against frames.

use crate::frame_text::inline;
use serde_json::{Map, Value};
use tolmach_dialect::Frame;

/// Checks the frames of two connections against examples. A value in which the two differ depends
/// on the connection and is not compared; spaces between values are not compared either, but the
/// order of keys is.
pub(crate) fn check_frames(
    examples: &[&str],
    frames: &[Frame],
    elsewhere: &[Frame],
) -> Result<(), String> {
    if frames.len() != examples.len() || elsewhere.len() != frames.len() {
        let sent: Vec<String> = frames.iter().map(inline).collect();
        return Err(format!("the server session encodes {} frames: {sent:?}", frames.len()));
    }
    for ((example, frame), elsewhere) in examples.iter().zip(frames).zip(elsewhere) {
        let text = String::from_utf8_lossy(frame.payload());
        if compact(example) == compact(&text) {
            continue;
        }
        let values = [example.as_bytes(), frame.payload(), elsewhere.payload()]
            .map(serde_json::from_slice::<Value>);
        let [Ok(example), Ok(own), Ok(elsewhere)] = values else {
            return Err(format!("the server session encodes {}", inline(frame)));
        };
        let depends_on_connection = own != elsewhere;
        if !depends_on_connection || !same_but(&example, &own, &elsewhere) {
            return Err(format!("the server session encodes {}", inline(frame)));
        }
    }
    Ok(())
}

/// True if `example` is `own` wherever `own` is `elsewhere`.
fn same_but(example: &Value, own: &Value, elsewhere: &Value) -> bool {
    match (example, own, elsewhere) {
        (Value::Object(example), Value::Object(own), Value::Object(elsewhere)) => {
            example.len() == own.len()
                && own.iter().all(|(key, own)| match (example.get(key), elsewhere.get(key)) {
                    (Some(example), Some(elsewhere)) => same_but(example, own, elsewhere),
                    _ => false,
                })
        }
        (Value::Array(example), Value::Array(own), Value::Array(elsewhere))
            if example.len() == own.len() && own.len() == elsewhere.len() =>
        {
            let elsewhere = own.iter().zip(elsewhere);
            example
                .iter()
                .zip(elsewhere)
                .all(|(example, (own, there))| same_but(example, own, there))
        }
        (example, own, elsewhere) => own != elsewhere || example == own,
    }
}

/// A JSON text without the spaces between its values.
fn compact(text: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    text.chars()
        .filter(|char| {
            let keep = in_string || !char.is_ascii_whitespace();
            match char {
                '"' if !escaped => in_string = !in_string,
                _ => {}
            }
            escaped = in_string && *char == '\\' && !escaped;
            keep
        })
        .collect()
}

/// A server's frame for a client that made the same request in its own words: where the client's
/// frame and the example of the request differ in a field (a request id, a time), an answer that
/// repeats the example's value repeats the client's instead.
pub(crate) fn in_own_words(answer: &str, request: &str, own_request: &Frame) -> Frame {
    let values = [answer.as_bytes(), request.as_bytes(), own_request.payload()]
        .map(serde_json::from_slice::<Value>);
    let [Ok(Value::Object(mut fields)), Ok(Value::Object(request)), Ok(Value::Object(own))] =
        values
    else {
        return Frame::text(answer.to_owned());
    };
    for (key, value) in &mut fields {
        if let (Some(example), Some(own)) = (request.get(key), own.get(key))
            && example == value
        {
            value.clone_from(own);
        }
    }
    Frame::text(Value::Object(fields).to_string())
}

/// The place of the frame that has most fields in common with the example of a request.
pub(crate) fn most_alike(request: &str, frames: &[Frame]) -> Option<usize> {
    let fields = |bytes: &[u8]| serde_json::from_slice::<Map<String, Value>>(bytes).ok();
    let request = fields(request.as_bytes()).unwrap_or_default();
    let common = |frame: &Frame| {
        let own = fields(frame.payload()).unwrap_or_default();
        request.iter().filter(|(key, value)| own.get(*key) == Some(*value)).count()
    };
    (0..frames.len()).max_by_key(|place| common(&frames[*place]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_in_strings_are_kept() {
        assert_eq!(compact(r#"{"a b": "c \" d\\", "e": 1}"#), r#"{"a b":"c \" d\\","e":1}"#);
    }

    #[test]
    fn only_values_that_depend_on_the_connection_may_differ() {
        let own = [Frame::text(r#"{"id":1,"text":"a"}"#)];
        let elsewhere = [Frame::text(r#"{"id":2,"text":"a"}"#)];
        for (example, matches) in [
            (r#"{"id": 1, "text": "a"}"#, true),
            (r#"{"id": 7, "text": "a"}"#, true),
            (r#"{"id": 7, "text": "b"}"#, false),
            (r#"{"id": 7}"#, false),
        ] {
            assert_eq!(check_frames(&[example], &own, &elsewhere).is_ok(), matches, "{example}");
        }
        assert!(check_frames(&[r#"{"text":"a","id":1}"#], &own, &own).is_err(), "the keys' order");
        assert!(check_frames(&["{}", "{}"], &own, &elsewhere).is_err());
    }

    #[test]
    fn an_answer_repeats_what_the_clients_own_request_has() {
        let own = Frame::text(r#"{"do":"list","id":5}"#);
        let answer = in_own_words(r#"{"id":1,"do":"list","n":1}"#, r#"{"do":"list","id":1}"#, &own);
        let expected: Value = serde_json::json!({"id": 5, "do": "list", "n": 1});
        assert_eq!(serde_json::from_slice::<Value>(answer.payload()).ok(), Some(expected));
    }
}
