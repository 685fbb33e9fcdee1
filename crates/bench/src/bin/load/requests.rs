//! Requests that are answered without the store, each after the answer to the one before.
//!
//! Tolmach is asked for something that `mode` does not have; the floor echoes the same bytes.

use crate::Outcome;
use crate::server::{Server, Subject, data_folder};
use crate::wire::{Peer, Socket, Wire, next_text, plain, source, unanswerable};
use crate::world::many;
use futures_util::SinkExt;
use hdrhistogram::Histogram;
use serde_json::json;
use std::time::Instant;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tolmach_dialect::{Ask, Echo};
use tolmach_domain::{Command, Credentials};

/// Requests that are answered without the store.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// Which server
    #[arg(long)]
    subject: Subject,
    /// How many ask at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many requests each of them makes; a tenth as many go before
    #[arg(long, default_value_t = 5_000)]
    requests: usize,
}

/// Measures the server's CPU per request, in microseconds, and the time to the answer.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<serde_json::Value> {
    let Arguments { subject, connections, requests } = arguments;
    if connections == 0 || requests == 0 {
        return Err("one connection and one request or more are expected".into());
    }
    let data = data_folder()?;
    let server = Server::start(subject, data.path(), &[])?;
    let address = server.address;
    let sockets = many(connections, connections, move |index| async move {
        match subject {
            Subject::Floor => plain(address, source(index), "/echo").await,
            Subject::Tolmach => {
                Ok(Peer::dial(address, source(index), Wire::Mode, &nothing()).await?.into_parts().0)
            }
        }
    })
    .await?;
    let (sockets, _) = ask(sockets, requests.div_ceil(10)).await?;
    let (cpu, started) = (server.cpu()?, Instant::now());
    let (_sockets, times) = ask(sockets, requests).await?;
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

/// Anything that `mode` can be asked: what is said on the connection is another thing.
fn nothing() -> Ask {
    Ask::new(
        Echo::NONE,
        Credentials::Nothing,
        Command::ListFlows { limit: None, offset: 0, members: false },
    )
}

/// Lets everybody ask this often; microseconds to the answers.
async fn ask(sockets: Vec<Socket>, requests: usize) -> Outcome<(Vec<Socket>, Histogram<u64>)> {
    let mut asking = JoinSet::new();
    for mut socket in sockets {
        asking.spawn(async move {
            let mut times = Histogram::<u64>::new(2)?;
            for _ in 0..requests {
                let asked = Instant::now();
                socket.send(Message::Text(unanswerable())).await?;
                next_text(&mut socket).await?.ok_or("the server closed the connection")?;
                times.record(u64::try_from(asked.elapsed().as_micros())?)?;
            }
            Outcome::Ok((socket, times))
        });
    }
    let (mut sockets, mut times) = (Vec::new(), Histogram::new(2)?);
    while let Some(asked) = asking.join_next().await {
        let (socket, own) = asked??;
        times.add(own)?;
        sockets.push(socket);
    }
    Ok((sockets, times))
}
