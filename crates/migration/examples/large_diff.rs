//! Measures a comparison of large captures: a generated capture of a given number of frames, and
//! the same of a server with other ids, in which every 10,000th answer lacks a field.
//!
//! `cargo run --profile dist -p tolmach-migration --example large_diff -- 1000000`

use serde_json::json;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tolmach_capture::{
    CapturedFrame, Header, Line, Open, Reader, Recorder, Sender, Transport, Writer,
};
use tolmach_dialect::{DOC, Dialect, Frame};
use tolmach_dialect_mode::Mode;
use tolmach_migration::compare::{Capture, Meanings, compare};

/// The connections that are open at a time.
const CONNECTIONS: u64 = 1_000;
/// The frames between two differences.
const DIFFERENCE: u64 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let frames: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("large-diff-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (a, b) = (folder.join("a.jsonl"), folder.join("b.jsonl"));
    generate(&a, frames, 0)?;
    generate(&b, frames, 1_000_000_000)?;
    let dialect: Arc<dyn Dialect> = Arc::new(Mode::default());
    let meanings = Meanings::new([dialect]);
    let started = Instant::now();
    let report = compare(open(&a)?, open(&b)?, &meanings, None)?;
    let elapsed = started.elapsed();
    let bytes = std::fs::metadata(&a)?.len();
    std::fs::remove_dir_all(&folder)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{frames} frames, {bytes} bytes a capture: {:.1} s", elapsed.as_secs_f64())?;
    writeln!(out, "{:?}", report.total)?;
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find(|line| line.starts_with("VmHWM"));
        writeln!(out, "{}", peak.unwrap_or_default())?;
    }
    Ok(())
}

fn open(path: &Path) -> std::io::Result<Capture<BufReader<File>>> {
    let name = path.display().to_string();
    Ok(Capture { reader: Reader::new(name.clone(), BufReader::new(File::open(path)?)), name })
}

/// Writes a capture: every connection asks for messages of a chat, and gets three.
fn generate(path: &Path, frames: u64, other: u64) -> Result<(), Box<dyn Error>> {
    let file = BufWriter::new(File::create(path)?);
    let mut writer = Writer::new(file, Header::new(Recorder::Gateway, Vec::new()))?;
    for connection in 0..CONNECTIONS {
        writer.write(&Line::Open(Box::new(Open {
            connection,
            at: 0,
            transport: Transport::WebSocket,
            dialect: Some("mode".to_owned()),
            revision: Some(DOC.to_owned()),
            request: None,
            address: None,
            user: None,
            continued: false,
            of: None,
        })))?;
    }
    for number in 0..frames / 2 {
        let connection = number % CONNECTIONS;
        let chat = connection + 1 + other;
        let message = |place| {
            let mut message = json!({
                "message_id": number * 3 + place + 1 + other, "from_id": chat, "from_name": "ann",
                "content": format!("message {place}"), "content_type": "text",
                "content_time": number as f64 + 0.25,
            });
            if other > 0 && number % DIFFERENCE == 7 {
                message["content_type"].take();
            }
            message
        };
        let request = json!({
            "mode": "getMessages", "timestamp": 1.5, "token": format!("token-{connection}"),
            "chat_id": chat,
        });
        let answer = json!({
            "mode": "getMessages", "timestamp": 1.5, "status": 200,
            "messages": [message(0), message(1), message(2)],
        });
        for (from, value) in [(Sender::Client, request), (Sender::Server, answer)] {
            let frame = Frame::text(value.to_string());
            let frame = CapturedFrame::new(connection, number, from, &frame);
            writer.write(&Line::Frame(Box::new(frame)))?;
        }
    }
    writer.finish()?.flush()?;
    Ok(())
}
