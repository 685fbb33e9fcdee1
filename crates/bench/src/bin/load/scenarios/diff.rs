//! A comparison of two large captures by `tolmach diff`.

use crate::result::BenchResult;
use crate::server::{data_folder, peak_memory, tolmach};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The connections that are open at a time.
const CONNECTIONS: u64 = 1_000;
/// The number of the first answer that differs.
const FIRST_DIFFERENCE: u64 = 7;
/// The answers between two that differ.
const DIFFERENCE: u64 = 10_000;
/// The amount by which the ids of the second server are larger.
const OTHER_IDS: u64 = 1_000_000_000;
/// The exit code of a comparison that has found differences.
const DIFFERS: i32 = 1;
/// The time between two looks at the process.
const INTERVAL: Duration = Duration::from_millis(20);

/// A comparison of two captures.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The frames of each capture, requests and answers
    #[arg(long, default_value_t = 1_000_000)]
    frames: u64,
}

/// Measures the time of a comparison, in seconds, and the peak of its resident memory, in bytes.
///
/// The captures are of clients of `mode`, each of which asks for the messages of its chat again and
/// again, and gets three new ones. The second server has other ids, and of some answers a field is
/// null.
pub(crate) fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { frames } = arguments;
    let folder = data_folder()?;
    let (a, b) = (folder.path().join("a.jsonl"), folder.path().join("b.jsonl"));
    let bytes = write_capture(&a, frames, 0)?;
    write_capture(&b, frames, OTHER_IDS)?;
    let mut command = tolmach("diff", folder.path())?;
    command.arg(&a).arg(&b).args(["--format", "json"]).stdout(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn()?;
    let mut peak = 0;
    let status: ExitStatus = loop {
        // Zero once the process has ended.
        peak = peak_memory(child.id())?.max(peak);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(INTERVAL);
    };
    let elapsed = started.elapsed();
    let expected = if frames / 2 > FIRST_DIFFERENCE { DIFFERS } else { 0 };
    if status.code() != Some(expected) {
        return Err(format!("the comparison ended with {status}").into());
    }
    Ok(json!({
        "frames": frames,
        "capture_bytes": bytes,
        "seconds": elapsed.as_secs_f64(),
        "peak_bytes": peak,
    }))
}

/// Writes the capture of a server whose ids are larger by `more`. Gives its bytes.
fn write_capture(path: &Path, frames: u64, more: u64) -> BenchResult<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, r#"{{"type":"capture","form":"tolmach-capture/1","recorder":"gateway"}}"#)?;
    for connection in 0..CONNECTIONS {
        let open = json!({
            "type": "open", "connection": connection, "at": 0, "transport": "websocket",
            "dialect": "mode", "revision": "doc",
        });
        writeln!(file, "{open}")?;
    }
    for number in 0..frames / 2 {
        let connection = number % CONNECTIONS;
        let chat = connection + 1 + more;
        let request = json!({
            "mode": "getMessages", "timestamp": 1.5, "token": format!("token-{connection}"),
            "chat_id": chat,
        });
        let is_different = more > 0 && number % DIFFERENCE == FIRST_DIFFERENCE;
        let kind = if is_different { Value::Null } else { "text".into() };
        let message = |place| {
            json!({
                "message_id": number * 3 + place + 1 + more, "from_id": chat, "from_name": "ann",
                "content": format!("message {place}"), "content_type": kind,
                "content_time": number as f64 + 0.25,
            })
        };
        let answer = json!({
            "mode": "getMessages", "timestamp": 1.5, "status": 200,
            "messages": [message(0), message(1), message(2)],
        });
        for (from, frame) in [("client", request), ("server", answer)] {
            let line = json!({
                "type": "frame", "connection": connection, "at": number, "from": from,
                "kind": "text", "text": frame.to_string(),
            });
            writeln!(file, "{line}")?;
        }
    }
    file.flush()?;
    Ok(file.get_ref().metadata()?.len())
}
