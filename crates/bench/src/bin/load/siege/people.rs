//! The people who use a gateway while it is attacked: one posts at a steady rate, others receive.

use crate::connection::{ClientCodec, Connection};
use crate::numbered_text::{number_in, text_of};
use crate::result::BenchResult;
use crate::sync::lock;
use crate::users::BenchUser;
use crate::websocket::{WebSocket, next_text};
use crate::wire::Wire;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;
use tolmach_domain::FlowId;

/// The people: an author and the members who receive.
pub(super) const COUNT: usize = 5;
/// The time between two messages.
const INTERVAL: Duration = Duration::from_millis(10);
/// The longest time that a delivery counts as; a message that never arrives counts so too.
const LONGEST: Duration = Duration::from_secs(10);

/// An author and the members of the author's group, connected.
pub(super) struct People {
    sink: SplitSink<WebSocket, Message>,
    /// Encodes the author's requests; a task decodes the responses, for which the session waits.
    codec: Arc<Mutex<ClientCodec>>,
    author: BenchUser,
    group: FlowId,
    /// The number of the next message.
    next: usize,
    deliveries: Arc<Mutex<Deliveries>>,
    receivers: JoinSet<BenchResult<()>>,
}

/// Deliveries of one period.
#[derive(Default)]
struct Deliveries {
    /// The number of the period's first message.
    first: usize,
    /// The times at which the period's messages were due.
    due: Vec<Instant>,
    /// For each message, the number of members that have received it and the time of the last.
    received: Vec<(usize, Option<Instant>)>,
}

/// Times from the moment at which a message was due to its last delivery, in microseconds.
pub(super) struct Times(Histogram<u64>);

impl Times {
    pub(super) fn figures(&self) -> Value {
        let milliseconds = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        json!({
            "messages": self.0.len(),
            "ms_p50": milliseconds(0.5),
            "ms_p99": milliseconds(0.99),
            "ms_max": self.0.max() as f64 / 1e3,
        })
    }
}

impl People {
    /// Connects all of `users` to a group: the first posts.
    pub(super) async fn connect(
        server: SocketAddr,
        users: Vec<BenchUser>,
        group: FlowId,
    ) -> BenchResult<Self> {
        let deliveries = Arc::new(Mutex::new(Deliveries::default()));
        let mut receivers = JoinSet::new();
        let mut users = users.into_iter();
        let author = users.next().ok_or("an author is expected")?;
        for user in users {
            let wire = Wire::MODE;
            let member =
                Connection::subscribe(server, Ipv4Addr::LOCALHOST, wire, &user, Some(group));
            receivers.spawn(receive(member.await?.into_parts().0, deliveries.clone()));
        }
        let wire = Wire::MODE;
        let connection =
            Connection::subscribe(server, Ipv4Addr::LOCALHOST, wire, &author, Some(group)).await?;
        let (socket, codec) = connection.into_parts();
        let (sink, mut responses) = socket.split();
        let codec = Arc::new(Mutex::new(codec));
        let decoder = codec.clone();
        receivers.spawn(async move {
            while let Some(frame) = next_text(&mut responses).await? {
                lock(&decoder).decode(frame)?;
            }
            Err("the server closed the author's connection".into())
        });
        Ok(Self { sink, codec, author, group, next: 0, deliveries, receivers })
    }

    /// Posts messages for `duration`, waits for their deliveries, and gives the times of them.
    pub(super) async fn use_for(&mut self, duration: Duration) -> BenchResult<Times> {
        let (first, started) = (self.next, Instant::now());
        *lock(&self.deliveries) = Deliveries { first, ..Deliveries::default() };
        let mut ticks = interval(INTERVAL);
        // A late message is timed from the moment at which it was due.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while started.elapsed() < duration {
            let due = ticks.tick().await.into_std();
            {
                let mut deliveries = lock(&self.deliveries);
                deliveries.due.push(due);
                deliveries.received.push((0, None));
            }
            let text = text_of(self.next);
            self.next += 1;
            let request = Wire::MODE.send_request(&self.author, self.group, text);
            let messages = lock(&self.codec).encode(request)?;
            for message in messages {
                self.sink.send(message).await?;
            }
        }
        let deadline = Instant::now() + LONGEST;
        while !lock(&self.deliveries).complete() && Instant::now() < deadline {
            tokio::time::sleep(INTERVAL).await;
        }
        if let Some(ended) = self.receivers.try_join_next() {
            ended??;
        }
        lock(&self.deliveries).times()
    }
}

impl Deliveries {
    fn record(&mut self, number: usize) {
        let index = number.checked_sub(self.first);
        if let Some((count, last)) = index.and_then(|index| self.received.get_mut(index)) {
            *count += 1;
            *last = Some(Instant::now());
        }
    }

    fn complete(&self) -> bool {
        self.received.iter().all(|(count, _)| *count >= COUNT - 1)
    }

    fn times(&self) -> BenchResult<Times> {
        let mut times = Histogram::new(3)?;
        for (due, (count, last)) in self.due.iter().zip(&self.received) {
            let time = match last {
                Some(last) if *count >= COUNT - 1 => last.saturating_duration_since(*due),
                _ => LONGEST,
            };
            times.record(u64::try_from(time.min(LONGEST).as_micros())?)?;
        }
        Ok(Times(times))
    }
}

async fn receive(mut socket: WebSocket, deliveries: Arc<Mutex<Deliveries>>) -> BenchResult<()> {
    while let Some(text) = next_text(&mut socket).await? {
        if let Some(number) = number_in(&text) {
            lock(&deliveries).record(number);
        }
    }
    Err("the server closed the connection of a member".into())
}
