//! Requests that the gateway answers without the store, each sent after the answer to the one
//! before. Their frames name an unknown `mode`; the floor echoes the same bytes.

use crate::concurrent::map_concurrently;
use crate::connection::Connection;
use crate::result::BenchResult;
use crate::server::{Server, Subject, data_folder};
use crate::websocket::{WebSocket, connect_to_path, next_text, source_address};
use crate::wire::{Wire, anonymous_request, unknown_mode_frame};
use futures_util::SinkExt;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Instant;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

/// Requests that are answered without the store.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The server under test
    #[arg(long)]
    subject: Subject,
    /// The connections, each with one request in flight
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The requests of each connection, after a tenth as many that are not measured
    #[arg(long, default_value_t = 5_000)]
    requests: usize,
}

/// Measures the server's CPU per request, in microseconds, and the time to the answer.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { subject, connections, requests } = arguments;
    if connections == 0 || requests == 0 {
        return Err("one connection and one request or more are expected".into());
    }
    let data = data_folder()?;
    let server = Server::start(subject, data.path(), &[])?;
    let address = server.address;
    let sockets = map_concurrently(connections, connections, move |index| async move {
        let source = source_address(index);
        match subject {
            Subject::Floor => connect_to_path(address, source, "/echo").await,
            Subject::Tolmach => {
                let request = anonymous_request();
                let opened = Connection::open(address, source, Wire::MODE, &request).await?;
                Ok(opened.into_parts().0)
            }
        }
    })
    .await?;
    let (sockets, _) = request_all(sockets, requests.div_ceil(10)).await?;
    let (cpu, started) = (server.cpu()?, Instant::now());
    let (_sockets, times) = request_all(sockets, requests).await?;
    let (cpu, elapsed) = (server.cpu()? - cpu, started.elapsed());
    let count = (connections * requests) as f64;
    Ok(json!({
        "requests": connections * requests,
        "cpu_us_each": cpu.as_secs_f64() * 1e6 / count,
        "per_second": count / elapsed.as_secs_f64(),
        "answer_us_p50": times.value_at_quantile(0.5),
        "answer_us_p99": times.value_at_quantile(0.99),
    }))
}

/// Makes this many requests on every connection; gives the microseconds to the answers.
async fn request_all(
    sockets: Vec<WebSocket>,
    requests: usize,
) -> BenchResult<(Vec<WebSocket>, Histogram<u64>)> {
    let mut loops = JoinSet::new();
    for mut socket in sockets {
        loops.spawn(async move {
            let mut times = Histogram::<u64>::new(2)?;
            for _ in 0..requests {
                let sent = Instant::now();
                socket.send(Message::Text(unknown_mode_frame())).await?;
                next_text(&mut socket).await?.ok_or("the server closed the connection")?;
                times.record(u64::try_from(sent.elapsed().as_micros())?)?;
            }
            BenchResult::Ok((socket, times))
        });
    }
    let (mut sockets, mut times) = (Vec::new(), Histogram::new(2)?);
    while let Some(finished) = loops.join_next().await {
        let (socket, of_connection) = finished??;
        times.add(of_connection)?;
        sockets.push(socket);
    }
    Ok((sockets, times))
}
