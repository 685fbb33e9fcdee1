//! Rooms full of listeners: what is posted, and whom it has reached.

use crate::Outcome;
use crate::wire::{Peer, Socket, Speech, Wire, next_text};
use crate::world::Member;
use futures_util::stream::{BoxStream, SplitSink};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::future::pending;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tolmach_domain::FlowId;

/// Stands before a message's number in its text.
const MARK: &str = "message number ";
/// The digits of a message's number.
const DIGITS: usize = 8;
/// The length of a message's text, in bytes.
const TEXT: usize = 100;
/// Messages that one run may post.
const MESSAGES: usize = 1 << 16;

/// Somebody in a room.
pub(crate) enum Attendee {
    /// A connection to the floor, which carries this frame with another number each time.
    Plain(Socket, Utf8Bytes),
    /// A connection of `member` to Tolmach.
    Speaking { peer: Peer, wire: Wire, member: Member, flow: FlowId },
}

impl Attendee {
    fn returns_own(&self) -> bool {
        match self {
            Attendee::Plain(..) => true,
            Attendee::Speaking { wire, .. } => wire.returns_own(),
        }
    }

    fn listen(self, tally: &Arc<Tally>, listening: &mut JoinSet<Outcome<()>>) {
        let socket = match self {
            Attendee::Plain(socket, _) => socket,
            Attendee::Speaking { peer, .. } => peer.into_parts().0,
        };
        listening.spawn(listen(socket.boxed(), None, tally.clone()));
    }

    /// Listens too, and gives the means to post.
    fn post(self, told: u32, tally: &Arc<Tally>, listening: &mut JoinSet<Outcome<()>>) -> Poster {
        let returns_own = self.returns_own();
        let (socket, voice) = match self {
            Attendee::Plain(socket, template) => (socket, Voice::Template(template)),
            Attendee::Speaking { peer, wire, member, flow } => {
                let (socket, speech) = peer.into_parts();
                (
                    socket,
                    Voice::Speech {
                        speech: Arc::new(Mutex::new(speech)),
                        wire,
                        member: Box::new(member),
                        flow,
                    },
                )
            }
        };
        let (sink, stream) = socket.split();
        let speech = match &voice {
            Voice::Template(_) => None,
            Voice::Speech { speech, .. } => Some((speech.clone(), returns_own)),
        };
        listening.spawn(listen(stream.boxed(), speech, tally.clone()));
        Poster { sink, voice, told: if returns_own { told } else { told - 1 } }
    }
}

type SharedSpeech = Arc<Mutex<Speech>>;

enum Voice {
    Template(Utf8Bytes),
    Speech { speech: SharedSpeech, wire: Wire, member: Box<Member>, flow: FlowId },
}

/// Somebody who posts.
struct Poster {
    sink: SplitSink<Socket, Message>,
    voice: Voice,
    /// How many are told of each of its messages.
    told: u32,
}

impl Poster {
    async fn post(&mut self, number: usize) -> Outcome<()> {
        let messages = match &self.voice {
            Voice::Template(template) => vec![Message::Text(numbered(template, number)?)],
            Voice::Speech { speech, wire, member, flow } => {
                lock(speech).ask(wire.say(member, *flow, text(number)))?
            }
        };
        for message in messages {
            self.sink.send(message).await?;
        }
        Ok(())
    }
}

/// Rooms in which one message after the other is posted.
pub(crate) struct Rooms {
    posters: Vec<Poster>,
    listening: JoinSet<Outcome<()>>,
    tally: Arc<Tally>,
    /// How many are in each room.
    size: usize,
    posted: usize,
}

impl Rooms {
    /// Rooms of as many attendees each, the first `posters` of whom post; of several rooms each
    /// room's, in turn.
    pub(crate) fn open(rooms: Vec<Vec<Attendee>>, posters: usize) -> Outcome<Self> {
        let size = rooms.first().map_or(0, Vec::len);
        if size < 2 || posters == 0 || posters > size {
            return Err("a room has two members or more, of whom one or more post".into());
        }
        let told = u32::try_from(size)?;
        let (tally, mut listening, mut posting) =
            (Arc::new(Tally::new()?), JoinSet::new(), Vec::new());
        for room in rooms {
            for (place, attendee) in room.into_iter().enumerate() {
                if place < posters {
                    posting.push((place, attendee.post(told, &tally, &mut listening)));
                } else {
                    attendee.subscribe(&tally, &mut listening);
                }
            }
        }
        posting.sort_by_key(|(place, _)| *place);
        let posters = posting.into_iter().map(|(_, poster)| poster).collect();
        Ok(Self { posters, listening, tally, size, posted: 0 })
    }

    /// Posts so many messages, the next one when fewer than `in_flight` have not reached everybody.
    /// A tenth as many go before.
    pub(crate) async fn flight(
        &mut self,
        in_flight: usize,
        messages: usize,
        cpu: impl Fn() -> Outcome<Duration>,
    ) -> Outcome<Value> {
        let Self { posters, listening, tally, size, posted } = self;
        let posting = async {
            let (mut before, mut started) = (cpu()?, Instant::now());
            for (count, rehearsed) in
                [(messages.div_ceil(10).max(in_flight), false), (messages, true)]
            {
                if rehearsed {
                    (before, started) = (cpu()?, Instant::now());
                    tally.forget(*posted);
                }
                for _ in 0..count {
                    tally.fewer_than(in_flight).await;
                    post(posters, posted, tally).await?;
                }
                tally.fewer_than(1).await;
            }
            Outcome::Ok((cpu()? - before, started.elapsed()))
        };
        let (cpu, elapsed) = unless_a_listener_ends(listening, posting).await?;
        Ok(figures(tally, messages * *size, cpu, elapsed))
    }

    /// Posts messages at the pace at which so many frames a second are delivered, whether or not
    /// earlier ones have arrived.
    pub(crate) async fn pace(
        &mut self,
        deliveries_per_second: f64,
        length: Duration,
        cpu: impl Fn() -> Outcome<Duration>,
    ) -> Outcome<Value> {
        let Self { posters, listening, tally, size, posted } = self;
        let messages =
            (deliveries_per_second * length.as_secs_f64() / *size as f64).ceil().max(1.0) as u32;
        let interval = length / messages;
        let posting = async {
            tally.forget(*posted);
            let (before, started) = (cpu()?, Instant::now());
            // The first comes after a rest too, whatever was said before.
            for number in 1..=messages {
                tokio::time::sleep_until((started + interval * number).into()).await;
                post(posters, posted, tally).await?;
            }
            tally.fewer_than(1).await;
            Outcome::Ok((cpu()? - before, started.elapsed()))
        };
        let (cpu, elapsed) = unless_a_listener_ends(listening, posting).await?;
        Ok(figures(tally, messages as usize * *size, cpu, elapsed))
    }

    /// A frame as one was told of it; `None` before any was.
    pub(crate) fn sample(&self) -> Option<String> {
        lock(&self.tally.sample).as_ref().map(|frame| frame.as_str().to_owned())
    }
}

async fn post(posters: &mut [Poster], posted: &mut usize, tally: &Tally) -> Outcome<()> {
    let (number, count) = (*posted, posters.len());
    let poster = &mut posters[number % count];
    *posted += 1;
    tally.posted(number, poster.told)?;
    poster.post(number).await
}

async fn unless_a_listener_ends<T>(
    listening: &mut JoinSet<Outcome<()>>,
    work: impl Future<Output = Outcome<T>>,
) -> Outcome<T> {
    let ended = async {
        match listening.join_next().await {
            Some(ended) => ended,
            None => pending().await,
        }
    };
    tokio::select! {
        done = work => done,
        ended = ended => Err(format!("a listener ended: {ended:?}").into()),
    }
}

fn figures(tally: &Tally, deliveries: usize, cpu: Duration, elapsed: Duration) -> Value {
    let times = lock(&tally.times);
    json!({
        "deliveries": deliveries,
        "cpu_us_per_delivery": cpu.as_secs_f64() * 1e6 / deliveries as f64,
        "deliveries_per_second": deliveries as f64 / elapsed.as_secs_f64(),
        "delivery_us_p50": times.value_at_quantile(0.5),
        "delivery_us_p99": times.value_at_quantile(0.99),
    })
}

/// What was posted and whom it has reached.
struct Tally {
    started: Instant,
    messages: Vec<Posted>,
    /// Messages that have not reached everybody.
    under_way: AtomicUsize,
    reached_all: Notify,
    /// Messages with a lower number are not timed.
    first_timed: AtomicUsize,
    /// Microseconds from posting to delivery.
    times: Mutex<Histogram<u64>>,
    sample: Mutex<Option<Utf8Bytes>>,
}

#[derive(Default)]
struct Posted {
    /// Nanoseconds after the tally was started.
    at: AtomicU64,
    /// How many it has yet to reach.
    left: AtomicU32,
}

impl Tally {
    fn new() -> Outcome<Self> {
        Ok(Self {
            started: Instant::now(),
            messages: (0..MESSAGES).map(|_| Posted::default()).collect(),
            under_way: AtomicUsize::new(0),
            reached_all: Notify::new(),
            first_timed: AtomicUsize::new(0),
            times: Mutex::new(Histogram::new(2)?),
            sample: Mutex::new(None),
        })
    }

    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Times only messages from this one on.
    fn forget(&self, first: usize) {
        self.first_timed.store(first, Ordering::Relaxed);
        lock(&self.times).clear();
    }

    fn posted(&self, number: usize, told: u32) -> Outcome<()> {
        let message = self
            .messages
            .get(number)
            .ok_or_else(|| format!("one run posts at most {MESSAGES} messages"))?;
        message.at.store(self.nanoseconds(), Ordering::Relaxed);
        message.left.store(told, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn arrived(&self, number: usize) -> Outcome<()> {
        let message = self.messages.get(number).ok_or("a message arrived that nobody posted")?;
        if number >= self.first_timed.load(Ordering::Relaxed) {
            let time =
                self.nanoseconds().saturating_sub(message.at.load(Ordering::Relaxed)) / 1_000;
            lock(&self.times).record(time)?;
        }
        let left = message
            .left
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Err(_) => {
                return Err(
                    "a message arrived that nobody posted, or more often than there are members"
                        .into(),
                );
            }
            Ok(1) => {
                self.under_way.fetch_sub(1, Ordering::Relaxed);
                self.reached_all.notify_one();
            }
            Ok(_) => {}
        }
        Ok(())
    }

    /// Waits until fewer messages than this are under way. One task may wait.
    async fn fewer_than(&self, count: usize) {
        while self.under_way.load(Ordering::Relaxed) >= count {
            self.reached_all.notified().await;
        }
    }

    fn hear(&self, frame: Utf8Bytes) -> Outcome<()> {
        if let Some(number) = number(&frame) {
            self.arrived(number)?;
            lock(&self.sample).get_or_insert(frame);
        }
        Ok(())
    }
}

/// Counts what arrives. An author's session hears it first, where it has one: an acknowledgement
/// tells nothing of a message unless this wire has no other.
async fn listen(
    mut stream: BoxStream<'static, Result<Message, Error>>,
    author: Option<(SharedSpeech, bool)>,
    tally: Arc<Tally>,
) -> Outcome<()> {
    while let Some(frame) = next_text(&mut stream).await? {
        let told = match &author {
            None => true,
            Some((speech, returns_own)) => lock(speech).hear(frame.clone())?.notice || *returns_own,
        };
        if told {
            tally.hear(frame)?;
        }
    }
    Err("the server closed a connection".into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text of the message with this number.
fn text(number: usize) -> String {
    let mark = format!("{MARK}{number:0DIGITS$}");
    format!("{mark:.<TEXT$}")
}

/// Where in a frame the number of its message is.
fn place(frame: &str) -> Option<std::ops::Range<usize>> {
    let start = frame.find(MARK)? + MARK.len();
    frame.get(start..start + DIGITS)?;
    Some(start..start + DIGITS)
}

/// The number of the message that a frame carries; `None` for any other frame.
fn number(frame: &str) -> Option<usize> {
    frame[place(frame)?].parse().ok()
}

/// The same frame for another message.
fn numbered(frame: &str, number: usize) -> Outcome<Utf8Bytes> {
    let mut numbered = frame.to_owned();
    numbered.replace_range(
        place(frame).ok_or("the floor's frame carries no message")?,
        &format!("{number:0DIGITS$}"),
    );
    Ok(numbered.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_number_and_can_be_given_another() {
        let frame = format!(r#"{{"text":"{}"}}"#, text(7));
        assert_eq!((text(7).len(), number(&frame)), (TEXT, Some(7)));
        let other = numbered(&frame, 99_999_999).unwrap();
        assert_eq!((other.len(), number(&other)), (frame.len(), Some(99_999_999)));
        for frame in [
            r#"{"type":"history","messages":[]}"#,
            "message number 1",
            "message number abcdefgh",
            "",
        ] {
            assert_eq!(number(frame), None, "{frame}");
        }
        assert!(numbered("message number 1", 1).is_err());
    }

    #[tokio::test]
    async fn a_message_is_under_way_until_it_has_reached_everybody() {
        let tally = Tally::new().unwrap();
        tally.posted(0, 3).unwrap();
        for (reached, under_way) in [(1, 1), (2, 1), (3, 0)] {
            tally.arrived(0).unwrap();
            assert_eq!(tally.under_way.load(Ordering::Relaxed), under_way, "after {reached}");
        }
        tally.fewer_than(1).await;
        assert!(tally.arrived(0).is_err(), "nobody is told twice");
        assert!(tally.arrived(2).is_err(), "nobody posted it");
        assert!(tally.posted(MESSAGES, 1).is_err());
    }
}
