//! Durable messages: acknowledged means committed.
//!
//! Every sender writes in a group of its own, so that storing is what is measured, and not fan-out.

use crate::Outcome;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::stores::{Database, Kind};
use crate::wire::{Peer, Wire, source};
use crate::world::{CHEAP, Member, World, many};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tolmach_domain::{Answer, FlowId};

/// The length of a message's text, in bytes.
pub(crate) const TEXT: usize = 200;
/// Connections that are made at once.
const AT_ONCE: usize = 64;

/// Durable messages.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Where they are kept
    #[arg(long)]
    pub(crate) store: Kind,
    /// How many send at once, each the next message after the acknowledgement of the one before;
    /// several, one after the other
    #[arg(long, value_delimiter = ',', default_value = "1,64,512")]
    connections: Vec<usize>,
    /// How many messages wait for their acknowledgements at once on the one connection that does
    /// not wait
    #[arg(long, default_value_t = 256)]
    pipelined: usize,
    /// For how many seconds each
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Measures how many messages a second the gateway acknowledges, sent with `mode`.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<Value> {
    let Arguments { store, connections, pipelined, seconds } = arguments;
    let most = connections
        .iter()
        .copied()
        .max()
        .filter(|most| *most > 0)
        .ok_or("one connection or more is expected")?;
    let data = data_folder()?;
    let database = Database::start(store, data.path())?;
    let world = World::open(&database.url()).await?;
    let members = world.members("member", most, CHEAP).await?;
    let flows = world.groups(&members, most, 1).await?;
    world.close().await;
    let server = Server::start(Subject::Tolmach, data.path(), &[Setting::store(database.url())])?;
    let (address, members) = (server.address, Arc::new(members));
    let connect = move |index: usize| {
        let (member, flow) = (members[index].clone(), flows[index]);
        async move {
            let mut sender = Sender {
                peer: Wire::Mode.enter(address, source(index), &member, None).await?,
                member,
                flow,
            };
            sender.send().await?;
            Ok(sender)
        }
    };
    let mut measured = Map::new();
    for count in connections {
        let senders = many(count, AT_ONCE, connect.clone()).await?;
        let cpu = server.cpu()?;
        let sent = race(senders, seconds, |mut sender: Sender| async move {
            sender.send().await.map(|()| sender)
        })
        .await?;
        measured.insert(format!("from_{count}"), sent.json(server.cpu()? - cpu));
    }
    let sender = connect(0).await?;
    let cpu = server.cpu()?;
    let sent = pipeline(sender, pipelined, Duration::try_from_secs_f64(seconds)?).await?;
    measured.insert("pipelined".to_owned(), sent.json(server.cpu()? - cpu));
    Ok(measured.into())
}

/// Somebody who sends in a group.
pub(crate) struct Sender {
    pub(crate) peer: Peer,
    pub(crate) member: Member,
    pub(crate) flow: FlowId,
}

impl Sender {
    pub(crate) async fn begin(&mut self) -> Outcome<()> {
        self.peer.begin(Wire::Mode.say(&self.member, self.flow, "x".repeat(TEXT))).await
    }

    async fn acknowledged(&mut self) -> Outcome<()> {
        match self.peer.answer().await? {
            Answer::Sent { .. } => Ok(()),
            answer => Err(format!("an acknowledgement was expected, not {answer:?}").into()),
        }
    }

    /// Sends one message and waits until it is acknowledged.
    pub(crate) async fn send(&mut self) -> Outcome<()> {
        self.begin().await?;
        self.acknowledged().await
    }
}

/// What was sent, or asked, and answered.
pub(crate) struct Sent {
    pub(crate) count: u64,
    elapsed: Duration,
    /// Microseconds to the answers.
    times: Histogram<u64>,
}

impl Sent {
    fn of(times: Histogram<u64>, elapsed: Duration) -> Outcome<Self> {
        if times.is_empty() {
            return Err("nothing was sent".into());
        }
        Ok(Self { count: times.len(), elapsed, times })
    }

    pub(crate) fn json(&self, cpu: Duration) -> Value {
        json!({
            "per_second": self.count as f64 / self.elapsed.as_secs_f64(),
            "answer_us_p50": self.times.value_at_quantile(0.5),
            "answer_us_p99": self.times.value_at_quantile(0.99),
            "cpu_us_each": cpu.as_secs_f64() * 1e6 / self.count as f64,
        })
    }
}

/// Lets every sender send over and over for so long, all starting at once.
pub(crate) async fn race<S, F>(
    senders: Vec<S>,
    seconds: f64,
    send: impl Fn(S) -> F + Clone + Send + Sync + 'static,
) -> Outcome<Sent>
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
    Sent::of(times, started.elapsed())
}

/// Sends for so long with so many messages waiting for their acknowledgements.
async fn pipeline(mut sender: Sender, waiting: usize, length: Duration) -> Outcome<Sent> {
    let (mut times, mut sent, started) =
        (Histogram::<u64>::new(2)?, VecDeque::new(), Instant::now());
    loop {
        while sent.len() < waiting && started.elapsed() < length {
            sender.begin().await?;
            sent.push_back(Instant::now());
        }
        let Some(at) = sent.pop_front() else { return Sent::of(times, started.elapsed()) };
        sender.acknowledged().await?;
        times.record(u64::try_from(at.elapsed().as_micros())?)?;
    }
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
