//! Rooms that are all opened at once, as after the loss of a node. Clients that are refused come
//! back when they are told to.

use crate::connection::Connection;
use crate::databases::{Database, DatabaseKind};
use crate::result::{BenchError, BenchResult};
use crate::seeder::Seeder;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::sync::lock;
use crate::users::{BenchUser, LOWEST_COST};
use crate::websocket::{WebSocket, connect_tcp, source_address};
use crate::wire::Wire;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tolmach_domain::{Command, FlowId, FlowKindFilter, HistoryRange};

/// The length of a message's text, in bytes.
const TEXT_BYTES: usize = 100;
/// The dialect whose rooms are opened: the handshake itself asks for the history.
const WIRE: &str = "bearer";
/// The messages of the history that a room is opened with, if it has as many.
const PAGE: u32 = 50;
/// The time between two questions for readiness.
const INTERVAL: Duration = Duration::from_millis(100);
/// The time after which a client comes back that was told none.
const UNTOLD: Duration = Duration::from_secs(1);
const READINESS: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n";

/// Rooms opened at once.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The database
    #[arg(long)]
    pub(crate) store: DatabaseKind,
    /// The rooms, each opened by a user of its own
    #[arg(long, default_value_t = 5_000)]
    rooms: usize,
    /// The messages in each room
    #[arg(long, default_value_t = 20)]
    messages: usize,
}

/// Measures the times until the rooms are open, the refusals, and whether the gateway stays ready.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { store, rooms, messages } = arguments;
    if rooms == 0 {
        return Err("one room or more is expected".into());
    }
    let data = data_folder()?;
    let database = Database::start(store, data.path())?;
    let seeder = Seeder::open(&database.url()).await?;
    let users = seeder.users("member", rooms, LOWEST_COST).await?;
    let flows = seeder.groups(&users, rooms, 1).await?;
    seeder.post_to_each(&users, &flows, messages, TEXT_BYTES).await?;
    seeder.close().await;
    let server = Server::start(Subject::Tolmach, data.path(), &[Setting::store(database.url())])?;
    let (address, wire) = (server.address, WIRE.parse()?);

    let start = Arc::new(Barrier::new(rooms + 1));
    let mut opening = JoinSet::new();
    for (number, (user, flow)) in users.into_iter().zip(flows).enumerate() {
        let client = Client { address, source: source_address(number), wire, user, flow };
        let start = start.clone();
        opening.spawn(async move {
            start.wait().await;
            client.open().await
        });
    }
    let (cpu, database_cpu) = (server.cpu()?, database.processor_times());
    start.wait().await;
    let began = Instant::now();
    let readiness = Arc::new(Mutex::new(Readiness::default()));
    let asking = tokio::spawn(ask_for_readiness(address, readiness.clone()));
    let (mut served, mut refusals, mut sockets) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(opened) = opening.join_next().await {
        let opened = opened??;
        served.push(began.elapsed());
        refusals.extend(opened.refusals);
        sockets.push(opened.socket);
    }
    let database_cpu = database.processor_times().since(&database_cpu);
    let cpu = server.cpu()? - cpu;
    asking.abort();

    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / rooms as f64;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let untold = refusals.iter().filter(|refusal| refusal.retry_after.is_none());
    let longest = refusals.iter().map(|refusal| refusal.waited).max();
    let readiness = lock(&readiness);
    Ok(json!({
        "rooms": served.len(),
        "open_ms_p50": served.get(rooms / 2).copied().map(millis),
        "open_ms_last": served.last().copied().map(millis),
        "cpu_us_each": each(cpu),
        "database_cpu_us_each": each(database_cpu),
        "refusals": refusals.len(),
        "refusals_without_a_time": untold.clone().count(),
        "a_refusal_without_a_time": untold.map(|refusal| refusal.text.as_str()).next(),
        "refusal_ms_longest": longest.map(millis),
        "readiness_checks": readiness.checks,
        "not_ready": readiness.not_ready,
        "readiness_ms_longest": millis(readiness.longest),
    }))
}

/// A client that opens its room.
struct Client {
    address: SocketAddr,
    source: Ipv4Addr,
    wire: Wire,
    user: BenchUser,
    flow: FlowId,
}

/// A room that is open.
struct Opened {
    /// Kept open until all rooms are.
    socket: WebSocket,
    refusals: Vec<Refusal>,
}

/// An attempt that failed.
struct Refusal {
    /// The time from the attempt to its refusal.
    waited: Duration,
    /// The time after which the client was told to come back.
    retry_after: Option<Duration>,
    text: String,
}

impl Client {
    /// Tries until the room is open. The run has a limit.
    async fn open(self) -> BenchResult<Opened> {
        let mut refusals = Vec::new();
        loop {
            let began = Instant::now();
            match self.try_to_open().await {
                Ok(socket) => return Ok(Opened { socket, refusals }),
                Err(error) => {
                    let retry_after = retry_after(&error);
                    let (waited, text) = (began.elapsed(), error.to_string());
                    refusals.push(Refusal { waited, retry_after, text });
                    sleep(retry_after.unwrap_or(UNTOLD)).await;
                }
            }
        }
    }

    async fn try_to_open(&self) -> BenchResult<WebSocket> {
        let history = Command::History {
            flow: self.flow,
            kinds: FlowKindFilter::Shared,
            range: HistoryRange::Newest { limit: PAGE, offset: 0 },
            mark_read: false,
        };
        let request = self.wire.request(&self.user, history);
        let mut connection =
            Connection::open(self.address, self.source, self.wire, &request).await?;
        connection.request(request).await?;
        Ok(connection.into_parts().0)
    }
}

/// The time after which a refused client is told to come back.
fn retry_after(error: &BenchError) -> Option<Duration> {
    match error.downcast_ref()? {
        WebSocketError::Http(response) => seconds(response.headers()),
        _ => None,
    }
}

fn seconds(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The answers to questions for readiness.
#[derive(Default)]
struct Readiness {
    checks: usize,
    not_ready: usize,
    longest: Duration,
}

/// Asks at intervals, as a balancer does, each time by a new connection.
async fn ask_for_readiness(address: SocketAddr, readiness: Arc<Mutex<Readiness>>) {
    loop {
        let asked = Instant::now();
        let is_ready = is_ready(address).await.unwrap_or(false);
        {
            let mut readiness = lock(&readiness);
            readiness.checks += 1;
            readiness.not_ready += usize::from(!is_ready);
            readiness.longest = readiness.longest.max(asked.elapsed());
        }
        sleep(INTERVAL).await;
    }
}

async fn is_ready(address: SocketAddr) -> BenchResult<bool> {
    let mut stream = connect_tcp(address, Ipv4Addr::LOCALHOST).await?;
    stream.write_all(READINESS).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Response};

    #[test]
    fn a_refusal_may_tell_a_time_in_seconds() {
        for (value, expected) in [
            (Some("3"), Some(Duration::from_secs(3))),
            (Some("Wed, 21 Oct 2015 07:28:00 GMT"), None),
            (None, None),
        ] {
            let mut response = Response::new(None);
            if let Some(value) = value {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(value));
            }
            let error: BenchError = WebSocketError::Http(Box::new(response)).into();
            assert_eq!(retry_after(&error), expected, "{value:?}");
        }
        assert_eq!(retry_after(&"the server closed the connection".into()), None);
    }
}
