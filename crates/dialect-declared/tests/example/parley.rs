//! The dialect of `examples/dialect-file`.

use tolmach_dialect::{Dialect, Frame, Handshake, Incoming};
use tolmach_dialect_declared::{Declared, DialectFile};
use tolmach_dialect_kit::fixtures;
use tolmach_domain::{ConnectionId, EventKind};

fn parley() -> Declared {
    let text = include_str!("../../../../examples/dialect-file/dialects/parley.toml");
    let file = Declared::compile(DialectFile { name: "parley.toml", text }, &[]);
    file.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_example_compiles_without_warnings() {
    let file = parley();
    assert!(file.warnings().is_empty(), "{:?}", file.warnings());
}

#[test]
fn a_client_reads_events_that_are_named_by_another_key_than_responses() {
    let file = parley();
    let client = file.client().expect("a file has a client's side");
    let request = tolmach_dialect::websocket_request("/parley");
    let handshake = Handshake::new(ConnectionId(1)).request(&request);
    let mut session = client.connect(&handshake).unwrap_or_else(|_| panic!("it connects"));
    let said = r#"{"event":"said","room":"1","line":"2","from":"bob","text":"hi","kind":"plain",
        "at":1700000001000}"#;
    let mut incoming = Vec::new();
    let decoded = session.decode(fixtures::time(0), &Frame::text(said), &mut incoming);
    assert!(decoded.is_ok(), "{decoded:?}");
    let [Incoming::Event(event)] = incoming.as_slice() else { panic!("{incoming:?}") };
    assert!(
        matches!(&event.kind, EventKind::Posted(message) if message.content.text == "hi"),
        "{event:?}"
    );
}
