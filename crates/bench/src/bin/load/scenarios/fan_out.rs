//! Messages in one group: one in flight, many in flight, and at a fixed rate.

use crate::group_load::GroupLoad;
use crate::participant::{connect_floor_group, connect_group};
use crate::result::BenchResult;
use crate::seeder::seed_group;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::wire::Wire;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

/// Messages in one group.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The server under test
    #[arg(long)]
    subject: Subject,
    /// The dialects of the members, in turn
    #[arg(long, value_delimiter = ',', default_value = "mode")]
    wire: Vec<Wire>,
    /// The frame that the floor carries: the sample of a run with Tolmach
    #[arg(long, required_if_eq("subject", "floor"))]
    frame: Option<String>,
    /// The members of the group
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// The messages that are measured with one in flight
    #[arg(long, default_value_t = 150)]
    single: usize,
    /// The messages that are measured with many in flight
    #[arg(long, default_value_t = 2_000)]
    many: usize,
    /// The messages in flight then, each of another member
    #[arg(long, default_value_t = 32)]
    in_flight: usize,
    /// Deliveries a second at the fixed rate
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// The seconds at the fixed rate
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The gateway records all connections
    #[arg(long)]
    record: bool,
}

/// Measures the server's CPU per delivered frame, in microseconds, and the time from posting to
/// delivery.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { subject, wire, frame, members, single, many, .. } = arguments;
    let Arguments { in_flight, rate, seconds, record, .. } = arguments;
    let data = data_folder()?;
    let (server, group) = match subject {
        Subject::Floor => {
            let server = Server::start(Subject::Floor, data.path(), &[])?;
            let frame = frame.unwrap_or_default().into();
            let group = connect_floor_group(server.address, frame, members).await?;
            (server, group)
        }
        Subject::Tolmach => {
            let (users, flow) = seed_group(data.path(), members).await?;
            let mut settings = vec![Setting::PUSH];
            settings.extend(record.then_some(Setting::RECORD));
            let server = Server::start(Subject::Tolmach, data.path(), &settings)?;
            let group = connect_group(server.address, wire, users, flow).await?;
            (server, group)
        }
    };
    let mut load = GroupLoad::start(vec![group], in_flight)?;
    let single = load.post_in_flight(1, single, || server.cpu()).await?;
    let many = load.post_in_flight(in_flight, many, || server.cpu()).await?;
    let duration = Duration::try_from_secs_f64(seconds)?;
    let paced = load.post_at_rate(rate, duration, || server.cpu()).await?;
    let sample = load.sample().ok_or("no message was delivered")?;
    let mut figures = json!({
        "frame_bytes": sample.len(),
        "sample": sample,
        "single": single,
        "many": many,
        "paced": paced,
    });
    if record {
        figures["unrecorded_frames"] = unrecorded(data.path())?.into();
    }
    Ok(figures)
}

/// The frames that the captures of a gateway with this data folder lack.
fn unrecorded(data: &Path) -> BenchResult<u64> {
    let mut missing = 0;
    for capture in std::fs::read_dir(data.join("captures"))? {
        for line in BufReader::new(File::open(capture?.path())?).lines() {
            let line = line?;
            if line.starts_with(r#"{"type":"gap""#) {
                let gap: Value = serde_json::from_str(&line)?;
                missing += gap["frames"].as_u64().unwrap_or_default();
            }
        }
    }
    Ok(missing)
}
