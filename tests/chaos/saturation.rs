//! A room whose writers produce more than the gateway can deliver, whatever its speed: writers of
//! every dialect send without waiting for responses, beside those that wait, to many readers. No
//! reader is closed, no writer starves, and memory stays bounded.

use crate::environment::{Environment, metric};
use crate::raw_connection::{RawConnection, RawSender};
use crate::stalled_readers::closed_as_slow;
use crate::users::{Failure, HISTORY_FORMS, TestUser, messages, subscriptions};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tolmach_client::{Client, Notification};
use tolmach_domain::{EventKind, FlowId};

/// The readers beside those of every round.
const READERS: usize = 400;
/// The readers that connect at once.
const CONNECTING: usize = 16;

/// The messages that are counted.
const MESSAGES: usize = 2_000;
/// The bytes of a message.
pub(crate) const MESSAGE_BYTES: usize = 16 << 10;

/// The largest resident size of the gateway, in bytes. A debug build takes about a third of it
/// without load. In unbounded queues, each of the counted messages and its frame of each of the
/// five dialects take about 190 MiB.
const MEMORY_LIMIT: u64 = 192 << 20;

/// A writer gets at least this part of an equal share.
const MIN_SHARE: usize = 10;

/// The time after which a step is given up.
const STEP_TIMEOUT: Duration = Duration::from_secs(240);

/// The beginning of the names of writers that do not wait for responses.
const FLOODING: &str = "flooding";

/// Floods the flow until enough messages have arrived, beside the writers of the round.
pub(crate) async fn flood(environment: &Environment, flow: FlowId) -> Result<(), Failure> {
    let node = environment.nodes[0].address()?;
    // First, while the history that it reads is short.
    let counting_reader = connect_counting_reader(environment, node, flow).await?;
    let mut readers = JoinSet::new();
    for mut reader in connect_readers(environment, node, flow).await? {
        readers.spawn(async move { reader.discard_until_closed().await });
    }
    let (closed_before, delayed_before) = (closed_as_slow(node).await?, delayed(node).await?);
    let flooding = watch::Sender::new(true);
    let mut writers = JoinSet::new();
    let mut receivers = JoinSet::new();
    for writer in &environment.writers {
        let (sender, mut receiver) = open_writer(writer, node, flow).await?.split();
        writers.spawn(write(sender, writer.clone(), flow, flooding.subscribe()));
        receivers.spawn(async move { receiver.discard_until_closed().await });
    }
    let counting = count_messages(counting_reader, environment.writers.len(), flow);
    let counts = tokio::select! {
        counts = timeout(STEP_TIMEOUT, counting) => {
            counts.map_err(|_| "too few messages arrive")??
        }
        Some(_) = readers.join_next() => return Err("a reader was closed".to_owned()),
        Some(_) = receivers.join_next() => return Err("a writer was closed".to_owned()),
        Some(ended) = writers.join_next() => {
            let failure = ended.map_err(|error| error.to_string()).flatten().err();
            return Err(format!("a writer failed: {failure:?}"));
        }
    };
    let memory = environment.peak_memory();
    eprintln!(
        "DEBUG {counts:?} {} MiB delayed {}",
        memory >> 20,
        delayed(node).await? - delayed_before
    );
    flooding.send_replace(false);
    let ending = async {
        while let Some(sender) = writers.join_next().await {
            sender.map_err(|error| error.to_string())??.close().await?;
        }
        // The gateway closes after everything that was sent is answered.
        while receivers.join_next().await.is_some() {}
        Ok::<_, Failure>(())
    };
    timeout(STEP_TIMEOUT, ending).await.map_err(|_| "writers are not served to their end")??;
    if let Some(ended) = readers.try_join_next() {
        return Err(format!("a reader was closed: {ended:?}"));
    }
    let closed = closed_as_slow(node).await? - closed_before;
    if closed > 0 {
        return Err(format!("{closed} connections that read were closed as slow readers"));
    }
    if delayed(node).await? == delayed_before {
        return Err("no writer was delayed, so the gateway kept up with all of them".to_owned());
    }
    if memory > MEMORY_LIMIT {
        return Err(format!(
            "the gateway took {} MiB; expected at most {} MiB",
            memory >> 20,
            MEMORY_LIMIT >> 20
        ));
    }
    check_shares(environment, &counts)
}

/// Connections that are subscribed to the flow.
async fn connect_readers(
    environment: &Environment,
    node: SocketAddr,
    flow: FlowId,
) -> Result<Vec<RawConnection>, Failure> {
    // The history comes last: some dialects can only read all of it.
    let mut commands = subscriptions(flow);
    commands.rotate_left(HISTORY_FORMS);
    let readers = environment.readers.iter().cycle().take(READERS);
    let connecting = readers.map(|reader| RawConnection::open(reader, node, &commands));
    iter(connecting).buffer_unordered(CONNECTING).try_collect().await
}

async fn open_writer(
    writer: &TestUser,
    node: SocketAddr,
    flow: FlowId,
) -> Result<RawConnection, Failure> {
    let text = format!("{FLOODING}-{} 0", writer.login);
    RawConnection::open(writer, node, &messages(flow, &text, None)).await
}

/// Sends messages as fast as the socket takes them.
async fn write(
    mut sender: RawSender,
    writer: TestUser,
    flow: FlowId,
    flooding: watch::Receiver<bool>,
) -> Result<RawSender, Failure> {
    let padding = "=".repeat(MESSAGE_BYTES);
    let mut count = 0_u32;
    while *flooding.borrow() {
        count += 1;
        let text = format!("{FLOODING}-{} {count} {padding}", writer.login);
        sender.send(&messages(flow, &text, None)).await?;
    }
    Ok(sender)
}

async fn connect_counting_reader(
    environment: &Environment,
    node: SocketAddr,
    flow: FlowId,
) -> Result<Client, Failure> {
    let pushes = |user: &&TestUser| user.dialect.manifest().capabilities.pushes_posted;
    let reader = environment.readers.iter().find(pushes).ok_or("no dialect pushes messages")?;
    Ok(reader.join(node, flow).await?.0)
}

/// Counts the messages of each writer as they arrive at one reader, from when every flooding writer
/// has begun.
async fn count_messages(
    mut client: Client,
    flooding_writers: usize,
    flow: FlowId,
) -> Result<BTreeMap<String, usize>, Failure> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut begun, mut total) = (false, 0);
    while total < MESSAGES {
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
        let writer = message.content.text.split(' ').next().unwrap_or_default();
        *counts.entry(writer.to_owned()).or_default() += 1;
        total += 1;
        if !begun {
            let writing = counts.keys().filter(|writer| writer.starts_with(FLOODING)).count();
            begun = writing == flooding_writers;
            if begun {
                counts.clear();
                total = 0;
            }
        }
    }
    Ok(counts)
}

/// Writers that wait for responses and writers that do not get their shares.
fn check_shares(
    environment: &Environment,
    counts: &BTreeMap<String, usize>,
) -> Result<(), Failure> {
    let names = environment
        .writers
        .iter()
        .flat_map(|writer| [writer.login.clone(), format!("{FLOODING}-{}", writer.login)]);
    let names: Vec<_> = names.collect();
    let minimum = MESSAGES / names.len() / MIN_SHARE;
    for name in &names {
        let count = counts.get(name).copied().unwrap_or_default();
        if count < minimum {
            return Err(format!("{name} has {count} of {MESSAGES} messages: {counts:?}"));
        }
    }
    Ok(())
}

/// The number of responses that waited for the delivery of their flow.
async fn delayed(node: SocketAddr) -> Result<u64, Failure> {
    metric(node, "tolmach_delayed_responses_total", &[]).await
}
