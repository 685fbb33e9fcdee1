//! The relay: bytes go on as they come, and a copy of them is read beside.

use super::budget::{Budget, Share};
use super::conversation::{Conversation, TapEvent};
use bytes::{Bytes, BytesMut};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tolmach_capture::GapReason;
use tolmach_dialect::Sender;

/// The most bytes of one read.
const READ_BYTES: usize = 16 << 10;
/// The reads of a connection whose copies may wait to be looked at: 4 MiB at most.
const MAX_COPIES: usize = 256;
/// The most bytes of all connections together that wait to be looked at, or for the rest of their
/// frames. A connection that would need more is relayed, and its frames are a gap.
const MAX_KEPT: usize = 256 << 20;
/// The time that the upstream may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a connection could not be accepted: the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Gets the events of one connection.
pub trait TapObserver: Send {
    /// Something was sent, or is missing.
    fn event(&mut self, event: TapEvent);
}

/// The transport of the connections of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapTransport {
    /// HTTP/1.1 and WebSockets.
    Http,
    /// JSON values on raw TCP.
    Values,
}

/// A relay from a listener to a server.
#[derive(Debug)]
pub struct Relay {
    /// The listener.
    pub listener: TcpListener,
    /// The host and port of the server.
    pub upstream: String,
    /// The transport.
    pub transport: TapTransport,
}

/// A copy of what one side has sent; `None` for the end of its stream.
type CopiedBytes = (Sender, Option<(Bytes, Share)>);

/// The loss of copies of a connection.
#[derive(Debug, Default)]
struct Loss {
    has_happened: AtomicBool,
    happening: Notify,
}

impl Relay {
    /// Relays connections until `shutdown` resolves, which ends them. `observe` gives the observer
    /// of a connection; `failed` is told of connections that the server did not take.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()>,
        mut observe: impl FnMut(SocketAddr) -> Box<dyn TapObserver>,
        failed: impl Fn(io::Error) + Send + Sync + 'static,
    ) {
        let failed = Arc::new(failed);
        let budget = Budget::new(MAX_KEPT);
        let mut connections = JoinSet::new();
        let mut watches = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.listener.accept() => accepted,
            };
            let (client, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    failed(error);
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (observer, upstream) = (observe(address), self.upstream.clone());
            let (is_of_values, failed) = (self.transport == TapTransport::Values, failed.clone());
            let (copies, received) = mpsc::channel(MAX_COPIES);
            let loss = Arc::new(Loss::default());
            let tap = |from| Tap {
                from,
                copies: copies.clone(),
                loss: loss.clone(),
                budget: budget.clone(),
            };
            let taps = (tap(Sender::Client), tap(Sender::Server));
            // Reading a large frame does not hold up the bytes that go on.
            watches.spawn(watch(received, loss, is_of_values, budget.clone(), observer));
            connections.spawn(async move {
                if let Err(error) = relay(client, &upstream, taps).await {
                    failed(error);
                }
            });
            // Those that have ended need not be kept.
            while connections.try_join_next().is_some() {}
            while watches.try_join_next().is_some() {}
        }
        connections.shutdown().await;
        // The observers see everything that was read until now.
        while watches.join_next().await.is_some() {}
    }
}

/// Relays one connection until both sides have ended it.
async fn relay(
    client: TcpStream,
    upstream: &str,
    (requests, responses): (Tap, Tap),
) -> io::Result<()> {
    let server = timeout(CONNECT_TIMEOUT, TcpStream::connect(upstream)).await;
    let server = server.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // A connection that is reset ends the same way for the other side.
    tokio::join!(requests.copy(from_client, to_server), responses.copy(from_server, to_client));
    Ok(())
}

/// One direction of a connection.
struct Tap {
    from: Sender,
    copies: mpsc::Sender<CopiedBytes>,
    loss: Arc<Loss>,
    budget: Arc<Budget>,
}

impl Tap {
    async fn copy(self, mut source: OwnedReadHalf, mut target: OwnedWriteHalf) {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            match source.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            let bytes = buffer.split().freeze();
            self.show(Some(bytes.clone()));
            if target.write_all(&bytes).await.is_err() {
                break;
            }
        }
        self.show(None);
        // Fails only where the other side has ended too.
        let _ = target.shutdown().await;
    }

    /// Shows a copy. One that finds no room is lost, and all after it.
    fn show(&self, bytes: Option<Bytes>) {
        if !self.loss.has_happened.load(Ordering::Relaxed) && !self.has_room(bytes) {
            self.loss.has_happened.store(true, Ordering::Relaxed);
            self.loss.happening.notify_one();
        }
    }

    fn has_room(&self, bytes: Option<Bytes>) -> bool {
        let mut share = Share::new(&self.budget);
        share.resize(bytes.as_ref().map_or(0, Bytes::len))
            && self.copies.try_send((self.from, bytes.map(|bytes| (bytes, share)))).is_ok()
    }
}

/// Reads the copies of a connection.
async fn watch(
    mut copies: mpsc::Receiver<CopiedBytes>,
    loss: Arc<Loss>,
    is_of_values: bool,
    budget: Arc<Budget>,
    mut observer: Box<dyn TapObserver>,
) {
    let mut conversation = Conversation::new(is_of_values);
    let mut kept = Share::new(&budget);
    let mut events = Vec::new();
    loop {
        let copied = tokio::select! {
            biased;
            copied = copies.recv() => copied,
            () = loss.happening.notified() => {
                conversation.give_up(GapReason::Full, &mut events);
                kept.resize(0);
                events.drain(..).for_each(|event| observer.event(event));
                continue;
            }
        };
        match copied {
            Some((from, Some((bytes, share)))) => {
                conversation.push(from, &bytes, &mut events);
                drop(share);
                if !kept.resize(conversation.kept()) {
                    conversation.give_up(GapReason::TooLarge, &mut events);
                }
            }
            Some((from, None)) => conversation.end(from, &mut events),
            None => break,
        }
        events.drain(..).for_each(|event| observer.event(event));
    }
    if loss.has_happened.load(Ordering::Relaxed) {
        conversation.give_up(GapReason::Full, &mut events);
    }
    events.drain(..).for_each(|event| observer.event(event));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tolmach_dialect::Frame;

    /// The values of a connection.
    type Values = Vec<(Sender, Vec<u8>)>;

    struct Frames(Arc<Mutex<Values>>);

    impl TapObserver for Frames {
        fn event(&mut self, event: TapEvent) {
            if let TapEvent::Frame(from, Frame::Value(value)) = event {
                self.0.lock().unwrap().push((from, value.to_vec()));
            }
        }
    }

    #[tokio::test]
    async fn a_connection_beyond_the_memory_of_all_is_a_gap() {
        struct Gaps(mpsc::UnboundedSender<String>);
        impl TapObserver for Gaps {
            fn event(&mut self, event: TapEvent) {
                self.0.send(format!("{event:?}")).unwrap();
            }
        }
        let budget = Budget::new(100);
        let (copies, received) = mpsc::channel(MAX_COPIES);
        let loss = Arc::new(Loss::default());
        let (seen, mut events) = mpsc::unbounded_channel();
        let observer = Box::new(Gaps(seen));
        let watching = tokio::spawn(watch(received, loss.clone(), true, budget.clone(), observer));
        let tap = Tap { from: Sender::Client, copies, loss, budget: budget.clone() };
        for bytes in [&b"{}"[..], b"{\"a\":\"", &[b'x'; 60], &[b'x'; 34]] {
            tap.show(Some(Bytes::copy_from_slice(bytes)));
            while tap.copies.capacity() < MAX_COPIES {
                tokio::task::yield_now().await;
            }
        }
        assert!(events.recv().await.unwrap().starts_with("Frame"));
        assert!(events.try_recv().is_err(), "100 bytes are kept");
        tap.show(Some(Bytes::from_static(b"x")));
        assert_eq!(events.recv().await.unwrap(), "Gap(0, Full)");
        assert!(Share::new(&budget).resize(100), "nothing is kept any more");
        tap.show(Some(Bytes::from_static(b"{}")));
        drop(tap);
        watching.await.unwrap();
        assert_eq!(events.recv().await, None);
    }

    #[tokio::test]
    async fn every_byte_goes_on_and_its_values_are_seen() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = server.local_addr().unwrap().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (frames, relay) =
            (seen.clone(), Relay { listener, upstream, transport: TapTransport::Values });
        let relay = tokio::spawn(relay.run(
            std::future::pending(),
            move |_| Box::new(Frames(frames.clone())),
            |error| panic!("{error}"),
        ));
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        let large = format!("[\"{}\"]", "x".repeat(100_000));
        for text in ["{\"a\":1}", "TEST{}", &large] {
            client.write_all(text.as_bytes()).await.unwrap();
            let mut received = vec![0; text.len()];
            accepted.read_exact(&mut received).await.unwrap();
            assert_eq!(received, text.as_bytes());
        }
        accepted.write_all(b"[1]").await.unwrap();
        drop(accepted);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"[1]");
        drop(client);
        while Arc::strong_count(&seen) > 2 {
            tokio::task::yield_now().await;
        }
        let expected = ["{\"a\":1}", "TEST", "{}", &large, "[1]"];
        let seen = seen.lock().unwrap();
        assert_eq!(
            seen.iter().map(|(_, value)| &value[..]).collect::<Vec<_>>(),
            expected.map(str::as_bytes)
        );
        relay.abort();
    }
}
