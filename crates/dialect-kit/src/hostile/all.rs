//! Frames as a hostile or broken peer sends them, and what they may cause: an error, never a panic.

use crate::play::{Staged, encode, open, parts_of};
use crate::project::{Direction, Schemas};
use crate::transcript::inline;
use crate::world::{self, Speaker, moment};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tolmach_dialect::{
    DOC, Dialect, Frame, Line, Opening, Reply, Session, Settings, Side, Violation,
};
use tolmach_domain::{ConnectionId, Fault};

/// What stands in for each value of a frame, as JSON text: other types, edges of ranges, numbers
/// beyond every type.
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

/// How deep the deepest frame nests: some thousand times what a dialect reads.
const DEEP: usize = 100_000;

/// One frame with a name for messages.
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) frame: Frame,
}

/// Every attack that is made of a well-formed frame.
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

/// The same kind of frame with another payload. A text frame stays UTF-8, as its contract says.
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

/// A JSON value with each of its places taken by each impostor, left out, said twice, or nested too
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
            all.push((format!("{key} said twice"), text.replacen('{', &format!("{{{key}:[],"), 1)));
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

/// Lets a server hear a frame, and answers whatever it asks, once granted and once refused. What
/// went wrong otherwise.
pub(crate) fn attack_server(
    dialect: &dyn Dialect,
    staged: &mut Staged,
    schemas: &Schemas,
    frame: &Frame,
) -> Result<(), String> {
    for granted in [true, false] {
        match frame {
            Frame::Request(request) if !staged.websocket => {
                let parts = parts_of(request);
                let opened = guarded("opening", || {
                    open(dialect, &parts, None, Side::Server, ConnectionId(1))
                })?;
                match opened {
                    Ok(mut server) => {
                        hear(server.as_mut(), staged.speaker, schemas, frame, granted, true)?;
                    }
                    Err(refusal) => {
                        said(schemas, &Frame::Response(refusal.response), "the refusal")?
                    }
                }
            }
            _ => {
                hear(staged.server.as_mut(), staged.speaker, schemas, frame, granted, false)?;
            }
        }
    }
    Ok(())
}

/// Whether the connection is still open.
fn hear(
    server: &mut dyn Session,
    speaker: &'static Speaker,
    schemas: &Schemas,
    frame: &Frame,
    granted: bool,
    exchange: bool,
) -> Result<bool, String> {
    let lines = match decode(server, frame)? {
        Ok(lines) => lines,
        Err(violation) => {
            if violation.answer.is_none() && violation.close.is_none() {
                return Err(format!(
                    "the {} violation is neither answered nor closes the connection",
                    violation.kind.name()
                ));
            }
            if let Some(answer) = &violation.answer {
                if exchange && !matches!(answer, Frame::Response(_)) {
                    return Err(format!(
                        "an HTTP request is answered with a {} frame",
                        answer.kind()
                    ));
                }
                if server.revision() == DOC {
                    said(
                        schemas,
                        answer,
                        &format!("the answer to a {} violation", violation.kind.name()),
                    )?;
                }
            } else if exchange {
                return Err("an HTTP request is left without an answer".to_owned());
            }
            return Ok(violation.close.is_none());
        }
    };
    for line in lines {
        let Line::Ask(ask) = line else {
            return Err("a server hears a reply or a notice".to_owned());
        };
        let outcome =
            if granted { Ok(world::answer(speaker, &ask.command)) } else { Err(Fault::Internal) };
        let name = ask.command.name();
        let reply =
            Line::Reply(Reply { echo: ask.echo, identity: Some(speaker.identity()), outcome });
        let frames = guarded("answering", || encode(server, moment(1), &reply))?;
        match frames {
            Ok(frames) if server.revision() == DOC => {
                for frame in frames {
                    said(schemas, &frame, &format!("the answer to {name}"))?;
                }
            }
            Ok(_) => {}
            Err(_) if granted => {}
            Err(trouble) => {
                return Err(format!(
                    "{name} is heard, and its refusal cannot be said: {trouble:?}"
                ));
            }
        }
    }
    Ok(true)
}

/// Lets a client hear a frame.
pub(crate) fn attack_client(client: &mut dyn Session, frame: &Frame) -> Result<(), String> {
    if let Ok(lines) = decode(client, frame)?
        && lines.iter().any(|line| matches!(line, Line::Ask(_)))
    {
        return Err("a client hears an ask".to_owned());
    }
    Ok(())
}

/// Whether a frame is recognised, on a shared door; never a panic.
pub(crate) fn attack_recognition(
    dialect: &dyn Dialect,
    request: &http::request::Parts,
    frame: &Frame,
) -> Result<(), String> {
    let mut request = request.clone();
    for path in ["/", "/ws"] {
        request.uri = Uri::from_static(path);
        let opening = Opening {
            request: Some(&request),
            first: Some(frame),
            connection: ConnectionId(1),
            websocket: true,
            settings: Settings::default(),
        };
        guarded("recognising", || dialect.recognise(&opening))?;
    }
    Ok(())
}

fn decode(
    session: &mut dyn Session,
    frame: &Frame,
) -> Result<Result<Vec<Line>, Box<Violation>>, String> {
    // A line that is already there shows whether a violation leaves `out` as it was.
    let sentinel = Line::Notice(std::sync::Arc::new(tolmach_dialect::Event::new(
        moment(0),
        tolmach_domain::EventKind::SessionsEnded { user: world::user_id(1), session: None },
    )));
    let mut out = vec![sentinel];
    let outcome =
        guarded("decoding", || session.decode(moment(1), frame, &mut out).map_err(Box::new))?;
    if !matches!(out.first(), Some(Line::Notice(_))) {
        return Err("decoding overwrites lines that were already put out".to_owned());
    }
    match outcome {
        Ok(()) => Ok(Ok(out.split_off(1))),
        Err(_) if out.len() != 1 => {
            Err(format!("a violation leaves {} lines behind", out.len() - 1))
        }
        Err(violation) => Ok(Err(violation)),
    }
}

fn said(schemas: &Schemas, frame: &Frame, what: &str) -> Result<(), String> {
    match schemas.check(frame, Direction::Answer) {
        Some(Err(error)) => Err(format!("{what}, {}, {error}", inline(frame))),
        _ => Ok(()),
    }
}

fn guarded<T>(what: &str, action: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("{what} panics: {}", message.unwrap_or_default())
    })
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
