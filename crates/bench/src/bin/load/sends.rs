//! Durable messages, each acknowledged before its sender sends the next.
//!
//! Every sender writes in a group of its own, so that storing is what is measured, and not fan-out.

use crate::server::{Server, Subject, data_folder};
use crate::wire::{Peer, Wire, now};
use crate::{Outcome, world};
use hdrhistogram::Histogram;
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tolmach_bus::InProcess;
use tolmach_domain::{Content, FlowKind, Kinds};
use tolmach_engine::ports::{NewFlow, NewMessage, NewUser, Store};
use tolmach_store::{Options, SqlStore};

/// The length of a message's text, in bytes.
const TEXT: usize = 200;

/// Durable messages.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// How many send at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// For how many seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// Measures how many messages a second the gateway acknowledges, sent with `mode`.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<serde_json::Value> {
    let data = data_folder()?;
    let server = Server::start(Subject::Tolmach, data.path())?;
    let members = world::members(server.address, Wire::Mode, arguments.connections).await?;
    let mut senders = Vec::new();
    for member in members {
        let flow = world::group(server.address, std::slice::from_ref(&member)).await?;
        let mut peer = Peer::mode(server.address).await?;
        // The first one binds the connection to its user.
        peer.send(&member, flow, "x".repeat(TEXT)).await?;
        senders.push((peer, member, flow));
    }
    let cpu = server.cpu()?;
    let sent = race(senders, arguments.seconds, |(mut peer, member, flow)| async move {
        peer.send(&member, flow, "x".repeat(TEXT)).await?;
        Ok((peer, member, flow))
    })
    .await?;
    let cpu = (server.cpu()? - cpu).as_secs_f64() * 1e6 / sent.count as f64;
    let mut measured = sent.json();
    measured["cpu_us_per_send"] = json!(cpu);
    Ok(measured)
}

/// Measures how many messages a second the store alone acknowledges when each has a transaction of its own: the same disk,
/// schema and synchronisation, without any wire.
pub(crate) async fn measure_baseline(arguments: Arguments) -> Outcome<serde_json::Value> {
    let data = data_folder()?;
    let url = format!("sqlite://{}?mode=rwc", data.path().join("tolmach.sqlite").display());
    let options = Options { batch_jobs: 1, ..Options::default() };
    let store = SqlStore::open(&url, Arc::new(InProcess::default()), options).await?;
    let mut senders = Vec::new();
    for number in 0..arguments.connections {
        let owner = store.create_user(user(format!("member-{number}")), now()).await?.person();
        let group = NewFlow {
            kind: FlowKind::Group,
            title: "a room".into(),
            info: String::new(),
            owner: owner.id,
            photo: None,
            members: Vec::new(),
            key: None,
        };
        senders.push((store.clone(), owner, store.create_flow(group, None, now()).await?.0.id));
    }
    let sent = race(senders, arguments.seconds, |(store, author, flow)| async move {
        let content = Content::text("x".repeat(TEXT));
        let message =
            NewMessage { author: author.clone(), flow, kinds: Kinds::Any, content, key: None, administrator: false, origin: None };
        store.post(message, now()).await?;
        Ok((store, author, flow))
    })
    .await?;
    store.close().await;
    Ok(sent.json())
}

fn user(login: String) -> NewUser {
    NewUser {
        id: None,
        username: login.clone(),
        name: login.clone(),
        login,
        email: None,
        phone: None,
        bio: String::new(),
        avatar: None,
        photo: None,
        bot: false,
        admin: false,
        business: false,
        profile: true,
        password_hash: None,
    }
}

/// What was sent.
struct Sent {
    count: u64,
    elapsed: Duration,
    /// Microseconds from sending to the acknowledgement.
    times: Histogram<u64>,
}

impl Sent {
    fn json(&self) -> serde_json::Value {
        json!({
            "sends": self.count,
            "sends_per_second": self.count as f64 / self.elapsed.as_secs_f64(),
            "acknowledged_us_p50": self.times.value_at_quantile(0.5),
            "acknowledged_us_p99": self.times.value_at_quantile(0.99),
        })
    }
}

/// Lets every sender send over and over for so long, all starting at once.
async fn race<S, F>(senders: Vec<S>, seconds: f64, send: impl Fn(S) -> F + Clone + Send + Sync + 'static) -> Outcome<Sent>
where
    S: Send + 'static,
    F: Future<Output = Outcome<S>> + Send,
{
    let duration = Duration::try_from_secs_f64(seconds)?;
    let start = Arc::new(Barrier::new(senders.len() + 1));
    let mut racing = JoinSet::new();
    for mut sender in senders {
        let (start, send) = (start.clone(), send.clone());
        racing.spawn(async move {
            let mut times = Histogram::<u64>::new(2)?;
            start.wait().await;
            let started = Instant::now();
            while started.elapsed() < duration {
                let sent = Instant::now();
                sender = send(sender).await?;
                times.record(u64::try_from(sent.elapsed().as_micros())?)?;
            }
            Outcome::Ok(times)
        });
    }
    start.wait().await;
    let started = Instant::now();
    let mut times = Histogram::<u64>::new(2)?;
    while let Some(own) = racing.join_next().await {
        times.add(own??)?;
    }
    if times.is_empty() {
        return Err("nothing was sent".into());
    }
    Ok(Sent { count: times.len(), elapsed: started.elapsed(), times })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_acknowledged_send_is_counted_and_a_failed_one_fails_the_race() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let count = Arc::new(AtomicU64::new(0));
        let counted = race(vec![count.clone(), count.clone()], 0.001, |count| async move {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(count)
        });
        assert_eq!(counted.await.unwrap().count, count.load(Ordering::Relaxed));
        assert!(race(vec![()], 0.001, |()| async { Err("refused".into()) }).await.is_err());
        assert!(race(vec![()], 0.0, |()| async { Ok(()) }).await.is_err(), "nothing was sent");
    }
}
