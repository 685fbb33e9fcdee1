//! Messages in one room.
//!
//! So many messages are under way at once, each posted by a member of its own; the next one is posted when one has reached
//! everybody.

use crate::server::{Server, Subject, data_folder};
use crate::wire::{Socket, next_text, plain, source};
use crate::world::many;
use crate::{Outcome, Target, world};
use futures_util::stream::{BoxStream, SplitSink};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use serde_json::json;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// Connections that are made at once.
const AT_ONCE: usize = 32;
/// Stands before a message's number in its text.
const MARK: &str = "message number ";
/// The digits of a message's number.
const DIGITS: usize = 8;
/// The length of a message's text, in bytes.
const TEXT: usize = 100;

/// Messages in one room.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// How many are in the room
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// How many messages are under way at once
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// How many messages are measured; a tenth as many go before
    #[arg(long, default_value_t = 1_000)]
    messages: usize,
}

/// Measures the server's CPU per delivered frame, in microseconds, and the time from posting to delivery.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<serde_json::Value> {
    let Arguments { target, members, in_flight, messages } = arguments;
    if members < 2 || !(1..=members).contains(&in_flight) || messages == 0 {
        return Err("a room has two members or more, of whom as many post as messages are under way".into());
    }
    let data = data_folder()?;
    let server = Server::start(target.subject, data.path())?;
    let rehearsal = messages.div_ceil(10).max(in_flight);
    let total = rehearsal + messages;
    let room = Room::open(&server, &arguments, total).await?;
    // Whoever is acknowledged instead of told counts as reached by the acknowledgement.
    let told = if target.subject == Subject::Tolmach && !target.wire.returns_own() { members - 1 } else { members };
    let tally = Arc::new(Tally::new(total, rehearsal, told, in_flight)?);
    let (mut posters, mut listening) = (Vec::new(), JoinSet::new());
    for (index, socket) in room.sockets.into_iter().enumerate() {
        let stream = if index < in_flight {
            let (sink, stream) = socket.split();
            posters.push(sink);
            stream.boxed()
        } else {
            socket.boxed()
        };
        listening.spawn(listen(stream, tally.clone()));
    }
    let posting = async {
        post(&mut posters, &room.frames[..rehearsal], 0, &tally).await?;
        tally.settled().await?;
        let (cpu, started) = (server.cpu()?, Instant::now());
        post(&mut posters, &room.frames[rehearsal..], rehearsal, &tally).await?;
        tally.settled().await?;
        Outcome::Ok((server.cpu()? - cpu, started.elapsed()))
    };
    let (cpu, elapsed) = tokio::select! {
        posted = posting => posted?,
        ended = listening.join_next() => return Err(format!("a listener ended: {ended:?}").into()),
    };
    let deliveries = (messages * members) as f64;
    let times = tally.times.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(json!({
        "deliveries": messages * members,
        "cpu_us_per_delivery": cpu.as_secs_f64() * 1e6 / deliveries,
        "deliveries_per_second": deliveries / elapsed.as_secs_f64(),
        "delivery_us_p50": times.value_at_quantile(0.5),
        "delivery_us_p99": times.value_at_quantile(0.99),
        "frame_bytes": room.frame_bytes,
    }))
}

/// Everybody in the room, connected, and what is to be posted.
struct Room {
    sockets: Vec<Socket>,
    /// Each by the member of its index, counted round those who post.
    frames: Vec<Utf8Bytes>,
    /// The size of one frame as it is delivered.
    frame_bytes: usize,
}

impl Room {
    async fn open(server: &Server, arguments: &Arguments, total: usize) -> Outcome<Self> {
        let (address, Target { subject, wire }) = (server.address, arguments.target);
        let frame_bytes = wire.told(text(0))?.len();
        if subject == Subject::Floor {
            let sockets = many(arguments.members, AT_ONCE, move |index| plain(address, source(index), "/room")).await?;
            let frames = (0..total).map(|number| wire.told(text(number))).collect::<Outcome<_>>()?;
            return Ok(Self { sockets, frames, frame_bytes });
        }
        let members = Arc::new(world::members(address, wire, arguments.members).await?);
        let flow = world::group(address, &members).await?;
        let posters = arguments.in_flight;
        let frames = (0..total).map(|number| wire.said(&members[number % posters], flow, text(number))).collect::<Outcome<_>>()?;
        let sockets = many(members.len(), AT_ONCE, move |index| {
            let members = members.clone();
            async move { wire.enter(address, source(index), &members[index], Some(flow)).await }
        })
        .await?;
        Ok(Self { sockets, frames, frame_bytes })
    }
}

/// What was posted and whom it has reached.
struct Tally {
    started: Instant,
    /// Nanoseconds after `started`, by the message's number.
    posted: Vec<AtomicU64>,
    reached: Vec<AtomicU32>,
    /// How many are to be reached by each.
    told: usize,
    /// Messages with a lower number are not timed.
    rehearsal: usize,
    /// One permit for each message that may yet be posted.
    room: Semaphore,
    in_flight: u32,
    /// Microseconds from posting to delivery.
    times: Mutex<Histogram<u64>>,
}

impl Tally {
    fn new(total: usize, rehearsal: usize, told: usize, in_flight: usize) -> Outcome<Self> {
        Ok(Self {
            started: Instant::now(),
            posted: (0..total).map(|_| AtomicU64::new(0)).collect(),
            reached: (0..total).map(|_| AtomicU32::new(0)).collect(),
            told,
            rehearsal,
            room: Semaphore::new(in_flight),
            in_flight: u32::try_from(in_flight)?,
            times: Mutex::new(Histogram::new(2)?),
        })
    }

    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    async fn post(&self, number: usize, poster: &mut SplitSink<Socket, Message>, frame: Utf8Bytes) -> Outcome<()> {
        self.room.acquire().await?.forget();
        self.posted[number].store(self.nanoseconds(), Ordering::Relaxed);
        Ok(poster.send(Message::Text(frame)).await?)
    }

    fn arrived(&self, number: usize) -> Outcome<()> {
        let (posted, reached) = self.posted.get(number).zip(self.reached.get(number)).ok_or("a message arrived that nobody posted")?;
        if number >= self.rehearsal {
            let time = self.nanoseconds().saturating_sub(posted.load(Ordering::Relaxed)) / 1_000;
            self.times.lock().unwrap_or_else(PoisonError::into_inner).record(time)?;
        }
        let reached = reached.fetch_add(1, Ordering::Relaxed) as usize + 1;
        if reached > self.told {
            return Err("a message arrived more often than there are members".into());
        }
        if reached == self.told {
            self.room.add_permits(1);
        }
        Ok(())
    }

    /// Waits until everything that was posted has reached everybody.
    async fn settled(&self) -> Outcome<()> {
        drop(self.room.acquire_many(self.in_flight).await?);
        Ok(())
    }
}

async fn post(posters: &mut [SplitSink<Socket, Message>], frames: &[Utf8Bytes], first: usize, tally: &Tally) -> Outcome<()> {
    let count = posters.len();
    for (number, frame) in (first..).zip(frames) {
        tally.post(number, &mut posters[number % count], frame.clone()).await?;
    }
    Ok(())
}

async fn listen(mut stream: BoxStream<'static, Result<Message, Error>>, tally: Arc<Tally>) -> Outcome<()> {
    while let Some(frame) = next_text(&mut stream).await? {
        if let Some(number) = number(&frame) {
            tally.arrived(number)?;
        }
    }
    Err("the server closed a connection".into())
}

/// The text of the message with this number.
fn text(number: usize) -> String {
    let mark = format!("{MARK}{number:0DIGITS$}");
    format!("{mark:.<TEXT$}")
}

/// The number of the message that a frame carries; `None` for any other frame.
fn number(frame: &str) -> Option<usize> {
    let start = frame.find(MARK)? + MARK.len();
    frame.get(start..start + DIGITS)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Wire;

    #[test]
    fn a_message_is_known_by_its_number_in_every_wire() {
        for message in [0, 7, 99_999_999] {
            assert_eq!(text(message).len(), TEXT);
            for wire in [Wire::Bearer, Wire::Mode] {
                assert_eq!(number(&wire.told(text(message)).unwrap()), Some(message), "{wire:?}");
            }
        }
        for frame in [r#"{"type":"history","messages":[]}"#, "message number 1", "message number abcdefgh", ""] {
            assert_eq!(number(frame), None, "{frame}");
        }
    }

    #[tokio::test]
    async fn a_message_makes_room_for_the_next_once_it_has_reached_everybody() {
        let tally = Tally::new(2, 0, 3, 1).unwrap();
        tally.room.acquire().await.unwrap().forget();
        for (reached, room) in [(1, 0), (2, 0), (3, 1)] {
            tally.arrived(0).unwrap();
            assert_eq!(tally.room.available_permits(), room, "after {reached}");
        }
        assert!(tally.arrived(0).is_err(), "nobody is told twice");
        assert!(tally.arrived(2).is_err(), "nobody posted it");
    }
}
