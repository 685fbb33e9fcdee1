//! Malformed frames, made of well-formed ones.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};
use serde_json::Value;
use tolmach_dialect::Frame;

/// The JSON texts that replace each value of a frame: other types, edges of ranges, numbers beyond
/// every type.
const IMPOSTORS: [&str; 22] = [
    "null",
    "true",
    "false",
    "\"\"",
    "\"x\"",
    "\"1\"",
    "\"\\u0000\\ud83d\\udd11\"",
    "0",
    "-0",
    "-1",
    "1.5",
    "1e3",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "18446744073709551616",
    "-9223372036854775809",
    "1e308",
    "-1e999",
    "[]",
    "[null,{},\"x\",1]",
    "{}",
];

/// The deepest nesting: some thousand times what a dialect reads.
const DEEP: usize = 100_000;

/// A malformed frame.
pub(crate) struct Attack {
    /// The name in messages.
    pub(crate) name: String,
    /// The frame.
    pub(crate) frame: Frame,
}

/// Every malformed frame that is made of a well-formed one.
pub(crate) fn attacks(frame: &Frame) -> Vec<Attack> {
    let mut all = Vec::new();
    let payload = frame.payload();
    let mut put = |name: String, payload: Vec<u8>| {
        all.extend(with_payload(frame, payload).map(|frame| Attack { name, frame }))
    };
    for (name, text) in [
        ("nothing", ""),
        ("a space", " "),
        ("null", "null"),
        ("a list", "[]"),
        ("an empty object", "{}"),
        ("a text", "\"x\""),
    ] {
        put(format!("{name} for the whole"), text.into());
    }
    put(
        "a lone number beyond every type".to_owned(),
        format!("1{}", "0".repeat(5000)).into_bytes(),
    );
    put("a deep list".to_owned(), "[".repeat(DEEP).into_bytes());
    put("a deep object".to_owned(), "{\"a\":".repeat(DEEP).into_bytes());
    put(
        "a closed deep list".to_owned(),
        [&b"["[..], &b"]"[..]].map(|bracket| bracket.repeat(DEEP)).concat(),
    );
    put("an endless text".to_owned(), [&b"\""[..], &b"\\".repeat(DEEP)[..]].concat());
    for cut in 0..32 {
        let at = payload.len() * cut / 32;
        put(format!("cut after {at} bytes"), payload[..at].to_vec());
    }
    put("twice in a row".to_owned(), [payload.as_ref(), payload.as_ref()].concat());
    put("with a byte order mark".to_owned(), [&b"\xef\xbb\xbf"[..], payload.as_ref()].concat());
    if let Ok(value) = serde_json::from_slice::<Value>(payload) {
        for (name, text) in impostors(&value) {
            put(name, text.into_bytes());
        }
    }
    match frame {
        Frame::Text(bytes) => all.push(Attack {
            name: "as a binary frame".to_owned(),
            frame: Frame::Binary(bytes.clone()),
        }),
        Frame::Binary(bytes) | Frame::Value(bytes) => all.push(Attack {
            name: "as a text frame".to_owned(),
            frame: text_or_binary(bytes.to_vec()),
        }),
        Frame::Request(request) => all.extend(heads(request)),
        Frame::Response(response) => {
            for status in [100, 204, 302, 418, 599, 999] {
                let mut response = response.clone();
                if let Ok(status) = http::StatusCode::from_u16(status) {
                    *response.status_mut() = status;
                }
                all.push(Attack {
                    name: format!("with status {status}"),
                    frame: Frame::Response(response),
                });
            }
        }
    }
    all
}

/// The same kind of frame with another payload. A text frame stays UTF-8, as its contract demands.
pub(crate) fn with_payload(frame: &Frame, payload: Vec<u8>) -> Option<Frame> {
    Some(match frame {
        Frame::Text(_) => text_or_binary(payload),
        Frame::Binary(_) => Frame::Binary(payload.into()),
        Frame::Value(_) => Frame::Value(payload.into()),
        Frame::Request(request) if request.body().is_empty() => {
            // A request without a body gets one only where that is not the same request.
            if payload.is_empty() {
                return None;
            }
            Frame::request(request.clone().map(|_| payload.into()))
        }
        Frame::Request(request) => Frame::request(request.clone().map(|_| payload.into())),
        Frame::Response(response) => Frame::response(response.clone().map(|_| payload.into())),
    })
}

fn text_or_binary(payload: Vec<u8>) -> Frame {
    match String::from_utf8(payload) {
        Ok(text) => Frame::text(text),
        Err(error) => Frame::Binary(error.into_bytes().into()),
    }
}

/// A JSON value with each of its places taken by each impostor, left out, doubled, or nested too
/// deep.
fn impostors(value: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    // Some impostors are no value that serde_json can hold, so they are put into the text at a
    // mark.
    const MARK: &str = "@tolmach-impostor@";
    let quoted = format!("\"{MARK}\"");
    let deep = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    for pointer in pointers(value) {
        let mut marked = value.clone();
        let Some(place) = marked.pointer_mut(&pointer) else { continue };
        *place = Value::String(MARK.to_owned());
        let marked = marked.to_string();
        for impostor in IMPOSTORS {
            all.push((
                format!("{impostor} at \"{pointer}\""),
                marked.replacen(&quoted, impostor, 1),
            ));
        }
        all.push((format!("deep nesting at \"{pointer}\""), marked.replacen(&quoted, &deep, 1)));
        let Some((parent, key)) = pointer.rsplit_once('/') else { continue };
        let mut without = value.clone();
        if let Some(Value::Object(object)) = without.pointer_mut(parent) {
            object.remove(&key.replace("~1", "/").replace("~0", "~"));
            all.push((format!("nothing at \"{pointer}\""), without.to_string()));
        }
    }
    if let Value::Object(object) = value {
        let text = value.to_string();
        for key in object.keys() {
            let key = Value::String(key.clone()).to_string();
            all.push((format!("{key} twice"), text.replacen('{', &format!("{{{key}:[],"), 1)));
        }
        let more = if object.is_empty() { "" } else { "," };
        all.push((
            "deep nesting in an unknown field".to_owned(),
            text.replacen('{', &format!("{{\"unknown-field\":{deep}{more}"), 1),
        ));
    }
    all
}

/// The place of every value, the whole included.
fn pointers(value: &Value) -> Vec<String> {
    fn collect(value: &Value, at: String, all: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    collect(
                        value,
                        format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                        all,
                    );
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    collect(value, format!("{at}/{index}"), all);
                }
            }
            _ => {}
        }
        all.push(at);
    }
    let mut all = Vec::new();
    collect(value, String::new(), &mut all);
    all
}

/// A request with other addresses, methods and headers.
fn heads(request: &http::Request<Bytes>) -> Vec<Attack> {
    let mut all = Vec::new();
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let mut addresses = vec![
        format!("{path}/"),
        format!("{path}/more"),
        format!("{path}?limit=-1&offset=x&limit=1e9&=&%"),
        format!("/{path}"),
    ];
    let segments: Vec<&str> = path.split('/').collect();
    for index in 1..segments.len() {
        for impostor in [
            "",
            "0",
            "-1",
            "+1",
            "1.0",
            "99999999999999999999",
            "9007199254740992",
            "%00",
            "%ff",
            "%zz",
            "..",
            "%2e%2e%2f",
            "é",
        ] {
            let mut segments = segments.clone();
            segments[index] = impostor;
            addresses.push(format!("{}?{query}", segments.join("/")));
        }
    }
    for address in addresses {
        if let Ok(address) = address.parse::<PathAndQuery>() {
            let mut request = request.clone();
            *request.uri_mut() = Uri::from(address.clone());
            all.push(Attack { name: format!("at {address}"), frame: Frame::request(request) });
        }
    }
    for method in
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"]
    {
        if let Ok(method) = http::Method::from_bytes(method.as_bytes()) {
            let mut request = request.clone();
            *request.method_mut() = method.clone();
            all.push(Attack {
                name: format!("with the method {method}"),
                frame: Frame::request(request),
            });
        }
    }
    let names: Vec<HeaderName> = request.headers().keys().cloned().collect();
    for name in names {
        let mut without = request.clone();
        without.headers_mut().remove(&name);
        all.push(Attack { name: format!("without {name}"), frame: Frame::request(without) });
        for impostor in [
            &b""[..],
            b"x",
            b"Bearer",
            b"Bearer ",
            b"Bearer a b",
            b"bearer \xff\xfe",
            b"multipart/form-data",
            b"multipart/form-data; boundary=\"",
            b"multipart/form-data; boundary=x",
            b"application/json; charset=\xff",
            b"text/plain",
        ] {
            if let Ok(value) = HeaderValue::from_bytes(impostor) {
                let mut with = request.clone();
                with.headers_mut().insert(name.clone(), value);
                all.push(Attack {
                    name: format!("with {name}: {}", impostor.escape_ascii()),
                    frame: Frame::request(with),
                });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_frame_is_attacked() {
        let value: Value = serde_json::from_str(r#"{"a":{"b/c":[1,2]},"d":null}"#).unwrap();
        assert_eq!(pointers(&value), ["/a/b~1c/0", "/a/b~1c/1", "/a/b~1c", "/a", "/d", ""]);
        let texts: Vec<String> = impostors(&value).into_iter().map(|(_, text)| text).collect();
        for expected in [
            r#"{"a":{"b/c":[-1e999,2]},"d":null}"#,
            r#"{"a":{},"d":null}"#,
            r#"{"a":{"b/c":[1,2]}}"#,
            r#"{"a":[],"a":{"b/c":[1,2]},"d":null}"#,
            "18446744073709551616",
        ] {
            assert!(texts.iter().any(|text| text == expected), "{expected}");
        }
    }

    #[test]
    fn a_text_frame_stays_text_only_while_it_is_utf8() {
        let frame = Frame::text("{}");
        assert_eq!(with_payload(&frame, b"[]".to_vec()), Some(Frame::text("[]")));
        assert_eq!(with_payload(&frame, vec![0xff]), Some(Frame::Binary(vec![0xff].into())));
    }
}
