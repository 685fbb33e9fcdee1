//! Writers and readers of every dialect in one group, while a fault is injected.

use crate::environment::Environment;
use crate::ledger::{FaultEnd, Findings, Ledger};
use crate::progress::Progress;
use crate::users::{Failure, RETRY_DELAY, TestUser, post, retry_while_unavailable};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tolmach_client::{Client, Notification};
use tolmach_domain::{EventKind, FlowId};

/// The load of a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// The time between two messages of one writer.
    pub(crate) interval: Duration,
    /// The bytes of each message beside its number.
    pub(crate) padding: usize,
    /// The longest time after the fault in which an open reader may lack a message that was
    /// acknowledged before.
    pub(crate) catch_up_within: Duration,
}

/// The time after which a round is given up.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);

/// The state that all clients of a round share.
struct Round {
    environment: Arc<Environment>,
    progress: Arc<Progress>,
    ledger: Ledger,
    flow: FlowId,
    interval: Duration,
    padding: String,
    writing: watch::Sender<bool>,
    reading: watch::Sender<bool>,
}

/// Runs a round: clients write and read, `inject` causes a fault and ends it, and the ledger is
/// compared with the history.
pub(crate) async fn round<F: Future<Output = Result<(), Failure>>>(
    environment: &Arc<Environment>,
    progress: &Arc<Progress>,
    number: u64,
    load: Load,
    inject: impl FnOnce(FlowId) -> F,
) -> Result<Findings, Failure> {
    let Load { interval, padding, catch_up_within } = load;
    progress.begin_step("connecting");
    let members: Vec<_> =
        environment.writers.iter().chain(&environment.readers).map(|user| user.id).collect();
    let flow = environment.writers[0]
        .create_group(environment.nodes[0].address()?, &format!("round {number}"), &members)
        .await?;
    let round = Arc::new(Round {
        environment: environment.clone(),
        progress: progress.clone(),
        ledger: Ledger::default(),
        flow,
        interval,
        padding: "=".repeat(padding),
        writing: watch::Sender::new(true),
        reading: watch::Sender::new(true),
    });
    let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
    for node in 0..environment.nodes.len() {
        for reader in &environment.readers {
            readers.spawn(round.clone().read(reader.clone(), node));
        }
    }
    for (node, writer) in environment.writers.iter().enumerate() {
        writers.spawn(round.clone().write(writer.clone(), node % environment.nodes.len()));
    }
    let begun_at = Instant::now();
    let (writer_count, reader_count) = (writers.len(), readers.len());
    round
        .wait_until("every client writes or reads", || {
            round.ledger.served_since(begun_at) == writer_count
                && round.ledger.receiving_readers() == reader_count
        })
        .await?;
    progress.begin_step("the fault is injected");
    inject(flow).await?;
    let fault_end = FaultEnd { at: Instant::now(), catch_up_within };
    progress.begin_step("the fault is over");
    round
        .wait_until("every writer is served again", || {
            round.ledger.served_since(fault_end.at) == writer_count
        })
        .await?;
    round.writing.send_replace(false);
    while writers.join_next().await.is_some() {}
    round
        .wait_until("every reader has received everything", || {
            round.ledger.open_readers() == reader_count && round.ledger.lacking().is_empty()
        })
        .await?;
    progress.begin_step("reading the history");
    let findings = round.ledger.judge(&round.histories().await?, fault_end);
    round.reading.send_replace(false);
    while readers.join_next().await.is_some() {}
    Ok(findings)
}

impl Round {
    /// Posts one message after the other. A message that was not acknowledged is sent again if it
    /// has a retry key.
    async fn write(self: Arc<Self>, user: TestUser, mut node: usize) {
        /// Keys are unique for an author over all rounds.
        static NEXT_KEY: AtomicU64 = AtomicU64::new(1);
        let has_key = user.has_retry_key();
        let mut writing = self.writing.subscribe();
        let mut client: Option<Client> = None;
        let mut unanswered: Option<(String, String)> = None;
        let mut count = 0_u32;
        // A message with a key is sent until it is acknowledged, also after the end.
        while *writing.borrow() || (has_key && unanswered.is_some()) {
            let Some(connected) = &mut client else {
                match self.join(&user, node).await {
                    Ok((connected, _)) => client = Some(connected),
                    Err(_) => {
                        node = (node + 1) % self.environment.nodes.len();
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                }
                continue;
            };
            let (text, key) = unanswered.take().filter(|_| has_key).unwrap_or_else(|| {
                count += 1;
                (
                    format!("{} {count} {}", user.login, self.padding),
                    NEXT_KEY.fetch_add(1, Ordering::Relaxed).to_string(),
                )
            });
            self.ledger.send(&text);
            match post(connected, self.flow, &text, has_key.then(|| key.clone())).await {
                Ok(true) => {
                    self.ledger.acknowledge(&user.login, &text);
                    self.progress.count_message();
                }
                Ok(false) => {
                    unanswered = Some((text, key));
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                Err(_) => {
                    unanswered = Some((text, key));
                    client = None;
                    node = (node + 1) % self.environment.nodes.len();
                }
            }
            // An error means that the interval is over.
            let _ = tokio::time::timeout(self.interval, writing.wait_for(|writing| !writing)).await;
        }
    }

    /// Reads at one node, over as many connections as it takes.
    async fn read(self: Arc<Self>, user: TestUser, node: usize) {
        let mut reading = self.reading.subscribe();
        let name = format!("{} at node {node}", user.login);
        while *reading.borrow() {
            let Ok((mut client, texts)) = self.join(&user, node).await else {
                tokio::time::sleep(RETRY_DELAY).await;
                continue;
            };
            let subscription = self.ledger.subscribe(&name, texts);
            loop {
                let notification = tokio::select! {
                    notification = client.next_notification() => notification,
                    _ = reading.wait_for(|reading| !reading) => return,
                };
                match notification {
                    Ok(Notification::Event(event)) => {
                        if let EventKind::Posted(message) = &event.kind
                            && message.flow == self.flow
                        {
                            self.ledger.receive(subscription, message.content.text.clone());
                        }
                    }
                    Ok(Notification::Closed(_)) | Err(_) => break,
                }
            }
            self.ledger.close(subscription);
        }
    }

    async fn join(
        &self,
        user: &TestUser,
        node: usize,
    ) -> Result<(Client, Option<Vec<String>>), Failure> {
        user.join(self.environment.nodes[node].address()?, self.flow).await
    }

    /// The history of the flow over every dialect that can read it, at every node.
    async fn histories(&self) -> Result<Vec<(String, Vec<String>)>, Failure> {
        let mut histories = Vec::new();
        for (number, node) in self.environment.nodes.iter().enumerate() {
            for reader in &self.environment.readers {
                if let Some(history) = self.history(reader, node.address()?).await? {
                    histories.push((format!("{} at node {number}", reader.login), history));
                }
            }
        }
        Ok(histories)
    }

    /// Reads again while the store is unavailable, as a client does. Any other refusal is an error.
    async fn history(
        &self,
        reader: &TestUser,
        node: SocketAddr,
    ) -> Result<Option<Vec<String>>, Failure> {
        retry_while_unavailable(ROUND_TIMEOUT, || reader.history(node, self.flow)).await
    }

    async fn wait_until(&self, condition: &str, is_true: impl Fn() -> bool) -> Result<(), Failure> {
        let begun_at = Instant::now();
        while !is_true() {
            if begun_at.elapsed() > ROUND_TIMEOUT {
                return Err(format!(
                    "not so after {ROUND_TIMEOUT:?}: {condition}; messages that readers lack: {:?}",
                    self.ledger.lacking()
                ));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
