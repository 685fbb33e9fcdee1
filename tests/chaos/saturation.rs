//! A room whose writers produce more than the gateway can deliver, whatever its speed: a writer of
//! every dialect sends without waiting for responses, beside one that waits, to many readers. No
//! reader is closed, no writer starves, no message is lost, and memory stays bounded.

use crate::environment::{Environment, metric};
use crate::progress::Progress;
use crate::raw_connection::{RawConnection, RawSender};
use crate::stalled_readers::closed_as_slow;
use crate::subscribers::{NO_PINGS, connect};
use crate::users::{Failure, TestUser, messages, request};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tolmach_client::{Client, Notification, Outcome};
use tolmach_domain::{EventKind, FlowId};

/// The options of the gateway. The bound on what waits for one reader is far below what is sent,
/// and above what a busy machine delays.
const OPTIONS: [(&str, &str); 2] = [("LIMITS__SEND_QUEUE_BYTES", "4MiB"), NO_PINGS];

/// The readers. With so many the gateway takes longer to deliver a message than to store it.
const READERS: usize = 400;

/// The messages that are counted.
const MESSAGES: usize = 4_000;
/// The bytes of a message.
const MESSAGE_BYTES: usize = 16 << 10;

/// The largest resident size of the gateway, in bytes. In unbounded queues, the messages and their
/// frames of five dialects alone would take up to 375 MiB.
const MEMORY_LIMIT: u64 = 192 << 20;

/// Each writer gets at least this part of an equal share.
const MIN_SHARE: usize = 20;

/// The time after which a step is given up.
const STEP_TIMEOUT: Duration = Duration::from_secs(240);

/// Runs the trial.
pub(crate) async fn writers_flooding(progress: Arc<Progress>) -> Result<(), Failure> {
    let environment = Environment::single(&OPTIONS).await?;
    let node = environment.nodes[0].address()?;
    let users = environment.writers.iter().chain(&environment.readers);
    let members: Vec<_> = users.map(|user| user.id).collect();
    let flow = environment.writers[0].create_group(node, "flood", &members).await?;
    let flood = flood(&environment, &progress, node, flow).await;
    flood.map_err(|failure| format!("{failure}\n{}", environment.logs()))
}

async fn flood(
    environment: &Environment,
    progress: &Progress,
    node: SocketAddr,
    flow: FlowId,
) -> Result<(), Failure> {
    progress.begin_step("connecting");
    let counting_reader = connect_counting_reader(environment, node, flow).await?;
    let mut readers = JoinSet::new();
    for mut reader in connect(environment, &[node; READERS], flow).await? {
        readers.spawn(async move {
            reader.discard_until_closed().await;
            reader.dialect_id()
        });
    }
    let mut connections = Vec::new();
    for user in &environment.writers {
        let waiting = user.join(node, flow).await?.0;
        connections.push((user.clone(), waiting, open_writer(user, node, flow).await?));
    }
    progress.begin_step("writing");
    let flooding = watch::Sender::new(true);
    let (mut writers, mut receivers, mut waiting) =
        (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for (user, client, connection) in connections {
        let (sender, mut receiver) = connection.split();
        let dialect = user.dialect.manifest().id;
        receivers.spawn(async move {
            receiver.discard_until_closed().await;
            dialect
        });
        waiting.spawn(write_waiting(client, user.clone(), flow, flooding.subscribe()));
        writers.spawn(write_flooding(sender, user, flow, flooding.subscribe()));
    }
    let names: Vec<_> = environment.writers.iter().flat_map(names_of).collect();
    let counting = count_messages(counting_reader, progress, flow, &names);
    let counts = tokio::select! {
        counts = timeout(STEP_TIMEOUT, counting) => {
            counts.map_err(|_| "too few messages arrive")??
        }
        Some(closed) = readers.join_next() => return Err(format!("a reader ended: {closed:?}")),
        Some(closed) = receivers.join_next() => return Err(format!("a writer ended: {closed:?}")),
        Some(failed) = waiting.join_next() => return Err(format!("a writer ended: {failed:?}")),
        Some(failed) = writers.join_next() => {
            let failure = failed.map_err(|error| error.to_string()).flatten().err();
            return Err(format!("a writer ended: {failure:?}"));
        }
    };
    let memory = environment.peak_memory();
    progress.begin_step("waiting for the responses");
    flooding.send_replace(false);
    let ending = async {
        while let Some(ended) = waiting.join_next().await {
            ended.map_err(|error| error.to_string())??;
        }
        while let Some(sender) = writers.join_next().await {
            sender.map_err(|error| error.to_string())??.close().await?;
        }
        // The gateway closes a connection after the responses to everything that was sent on it.
        while receivers.join_next().await.is_some() {}
        Ok::<_, Failure>(())
    };
    timeout(STEP_TIMEOUT, ending).await.map_err(|_| "writers are not served to their end")??;
    if let Some(closed) = readers.try_join_next() {
        return Err(format!("a reader ended: {closed:?}"));
    }
    let closed = closed_as_slow(&environment.nodes[0]).await?;
    if closed > 0 {
        return Err(format!("{closed} connections that read were closed as slow readers"));
    }
    if metric(&environment.nodes[0], "tolmach_delayed_responses_total", &[]).await? == 0 {
        return Err("no response was delayed, so the gateway kept up with all writers".to_owned());
    }
    if memory > MEMORY_LIMIT {
        let (memory, limit) = (memory >> 20, MEMORY_LIMIT >> 20);
        return Err(format!("the gateway took {memory} MiB; expected at most {limit} MiB"));
    }
    let minimum = MESSAGES / names.len() / MIN_SHARE;
    if counts.values().any(|count| *count < minimum) {
        return Err(format!("a writer has fewer than {minimum} messages: {counts:?}"));
    }
    Ok(())
}

/// The names of a user's writer that waits for responses, and of the one that does not: the
/// beginnings of their messages.
fn names_of(user: &TestUser) -> [String; 2] {
    [user.login.clone(), format!("flooding-{}", user.login)]
}

/// A reader of the first dialect that pushes messages.
async fn connect_counting_reader(
    environment: &Environment,
    node: SocketAddr,
    flow: FlowId,
) -> Result<Client, Failure> {
    let pushes = |user: &&TestUser| user.dialect.manifest().capabilities.pushes_posted;
    let user = environment.readers.iter().find(pushes).ok_or("no dialect pushes messages")?;
    Ok(user.join(node, flow).await?.0)
}

/// A writer's connection, which has posted message 0.
async fn open_writer(
    user: &TestUser,
    node: SocketAddr,
    flow: FlowId,
) -> Result<RawConnection, Failure> {
    let [_, name] = names_of(user);
    let credentials = user.credentials(node).await?;
    RawConnection::open(user, &credentials, node, &messages(flow, &text_of(&name, 0), None)).await
}

fn text_of(writer: &str, number: u32) -> String {
    format!("{writer} {number} {}", "=".repeat(MESSAGE_BYTES))
}

/// Sends messages as fast as the socket takes them.
async fn write_flooding(
    mut sender: RawSender,
    user: TestUser,
    flow: FlowId,
    flooding: watch::Receiver<bool>,
) -> Result<RawSender, Failure> {
    let [_, name] = names_of(&user);
    let mut number = 0;
    while *flooding.borrow() {
        number += 1;
        sender.send(&messages(flow, &text_of(&name, number), None)).await?;
    }
    Ok(sender)
}

/// Sends each message after the response to the one before.
async fn write_waiting(
    mut client: Client,
    user: TestUser,
    flow: FlowId,
    flooding: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let [name, _] = names_of(&user);
    let mut number = 0;
    while *flooding.borrow() {
        let commands = messages(flow, &text_of(&name, number), None);
        match request(STEP_TIMEOUT, "posting", &mut client, &commands).await? {
            Outcome::Answer(_) => number += 1,
            outcome => return Err(format!("{name}: {outcome:?}")),
        }
    }
    Ok(())
}

/// Counts the messages of each writer as they arrive at one reader, once every writer has begun.
/// Fails if one of them is missing or out of order.
async fn count_messages(
    mut client: Client,
    progress: &Progress,
    flow: FlowId,
    names: &[String],
) -> Result<BTreeMap<String, usize>, Failure> {
    let mut next_numbers: BTreeMap<String, u32> = BTreeMap::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    while counts.values().sum::<usize>() < MESSAGES {
        let event = match client.next_notification().await.map_err(|error| error.to_string())? {
            Notification::Event(event) => event,
            Notification::Closed(code) => {
                return Err(format!("the counting reader was closed with {code:?}"));
            }
        };
        let EventKind::Posted(message) = &event.kind else { continue };
        if message.flow != flow {
            continue;
        }
        let mut words = message.content.text.split(' ');
        let name = words.next().unwrap_or_default();
        let number: Option<u32> = words.next().and_then(|number| number.parse().ok());
        let next = next_numbers.entry(name.to_owned()).or_default();
        if number != Some(*next) {
            return Err(format!("{name}: expected message {next}, found {number:?}"));
        }
        *next += 1;
        progress.count_message();
        if next_numbers.len() == names.len() {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    let missing = names.iter().filter(|name| !counts.contains_key(*name));
    let missing: Vec<_> = missing.map(|name| (name.clone(), 0)).collect();
    counts.extend(missing);
    Ok(counts)
}
