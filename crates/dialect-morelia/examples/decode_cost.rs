//! The cost of decoding a request: parsing and validating it and making its command, beside parsing
//! the same bytes alone.
//!
//! `cargo run --release -p tolmach-dialect-morelia --example decode_cost` prints a row for each
//! request: nanoseconds of both, and their ratio. The aim is 3 at most.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::hint::black_box;
use std::time::Instant;
use tolmach_dialect::{Dialect, Frame, Handshake, ServerSession};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{ConnectionId, Timestamp};

/// The number of runs, of which the fastest counts: other programs can only slow a run down.
const RUNS: usize = 15;

fn main() {
    let handshake = Handshake::new(ConnectionId(1)).websocket(true);
    let Ok(mut server) = Morelia::default().accept(&handshake) else {
        return println!("the handshake is rejected");
    };
    println!(
        "{:<24} {:>10} {:>12} {:>12} {:>6}",
        "request", "bytes", "parse ns", "decode ns", "ratio"
    );
    for (name, text) in [
        (
            "all_flow",
            include_str!("../../../protocols/morelia/examples/all_flow.request.json").to_owned(),
        ),
        (
            "get_update",
            include_str!("../../../protocols/morelia/examples/get_update.request.json").to_owned(),
        ),
        (
            "send_message",
            include_str!("../../../protocols/morelia/examples/send_message.request.json")
                .to_owned(),
        ),
        (
            "register_user",
            include_str!("../../../protocols/morelia/examples/register_user.request.json")
                .to_owned(),
        ),
        ("send_message, 1 MiB", with_a_file(1 << 20)),
    ] {
        // As clients write it: without the spaces of the example.
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
            return println!("{name} is no JSON");
        };
        let frame = Frame::text(value.to_string());
        let bytes = frame.payload().clone();
        let count = (20_000_000 / (bytes.len() + 1000)).max(10);
        let parse = fastest(count, || {
            black_box(serde_json::from_slice::<serde_json::Value>(black_box(&bytes)).is_ok());
        });
        let decode = fastest(count, || decode(server.as_mut(), &frame));
        println!(
            "{name:<24} {:>10} {parse:>12.0} {decode:>12.0} {:>6.2}",
            bytes.len(),
            decode / parse
        );
    }
}

fn decode(server: &mut dyn ServerSession, frame: &Frame) {
    let mut requests = Vec::new();
    black_box(server.decode(Timestamp::default(), black_box(frame), &mut requests).is_ok());
    assert_eq!(requests.len(), 1, "each example is a request");
    black_box(requests);
}

/// Nanoseconds of one call, in the fastest of the runs.
fn fastest(count: usize, mut call: impl FnMut()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        (0..count).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / count as f64
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

fn with_a_file(size: usize) -> String {
    let picture = "QUJD".repeat(size / 4);
    format!(
        r#"{{"type":"send_message","data":{{"flow":{{"id":1}},"message":{{"id":1,"text":"Hello",
            "time":1.5,"file":{{"picture":"{picture}"}}}},"user":{{"id":1,"auth_id":"t"}},
            "meta":null}},"jsonapi":{{"version":1.0}},"meta":null}}"#
    )
}
