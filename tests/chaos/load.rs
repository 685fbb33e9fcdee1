//! Writers and readers of every dialect in one group, while something breaks.

use crate::ledger::{Findings, Ledger};
use crate::people::{Person, Trouble, send};
use crate::stand::Stand;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tolmach_client::{Client, Heard};
use tolmach_domain::{EventKind, FlowId};

/// What is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Between two messages of one writer.
    pub(crate) pace: Duration,
    /// Bytes that each message carries beside its number.
    pub(crate) ballast: usize,
}

/// Before somebody who was refused or cut off tries again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long everybody may take to be served again before a round is given up. Only ever reached by
/// a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What everybody in a round shares.
struct Round {
    stand: Arc<Stand>,
    ledger: Ledger,
    flow: FlowId,
    pace: Duration,
    /// What each message carries beside its number.
    ballast: String,
    writing: watch::Sender<bool>,
    reading: watch::Sender<bool>,
}

/// Has everybody write and read, `trouble` happen meanwhile, and judges what came of it. Trouble is
/// over when it returns.
pub(crate) async fn round<F: Future<Output = Result<(), Trouble>>>(
    stand: &Arc<Stand>,
    number: u64,
    Load { pace, ballast }: Load,
    trouble: impl FnOnce(FlowId) -> F,
) -> Result<Findings, Trouble> {
    let everybody: Vec<_> =
        stand.writers.iter().chain(&stand.readers).map(|person| person.id).collect();
    let flow = stand.writers[0]
        .group(stand.nodes[0].address()?, &format!("round {number}"), &everybody)
        .await?;
    let round = Arc::new(Round {
        stand: stand.clone(),
        ledger: Ledger::default(),
        flow,
        pace,
        ballast: "=".repeat(ballast),
        writing: watch::Sender::new(true),
        reading: watch::Sender::new(true),
    });
    let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
    for node in 0..stand.nodes.len() {
        for reader in &stand.readers {
            readers.spawn(round.clone().listen(reader.clone(), node));
        }
    }
    for (node, writer) in stand.writers.iter().enumerate() {
        writers.spawn(round.clone().write(writer.clone(), node % stand.nodes.len()));
    }
    let begun = Instant::now();
    let (some_writers, some_readers) = (writers.len(), readers.len());
    round
        .until("everybody writes and listens", || {
            round.ledger.served_since(begun) == some_writers
                && round.ledger.hearing() == some_readers
        })
        .await?;
    trouble(flow).await?;
    let healed = Instant::now();
    round
        .until("every writer is served again", || round.ledger.served_since(healed) == some_writers)
        .await?;
    round.writing.send_replace(false);
    while writers.join_next().await.is_some() {}
    round
        .until("every reader has heard everything", || {
            round.ledger.connected() == some_readers && round.ledger.behind().is_empty()
        })
        .await?;
    let findings = round.ledger.judge(&round.histories().await?, healed);
    round.reading.send_replace(false);
    while readers.join_next().await.is_some() {}
    Ok(findings)
}

impl Round {
    /// Says one message after the other. What was not acknowledged is said again where the wire
    /// makes that harmless.
    async fn write(self: Arc<Self>, person: Person, mut node: usize) {
        /// Keys are unique for an author, over all rounds.
        static KEY: AtomicU64 = AtomicU64::new(1);
        let mut writing = self.writing.subscribe();
        let mut client: Option<Client> = None;
        let mut unanswered: Option<(String, String)> = None;
        let mut count = 0_u32;
        // What may be retried is, also after the end, until it is known to be stored.
        while *writing.borrow() || (person.keyed && unanswered.is_some()) {
            let Some(connected) = &mut client else {
                match self.enter(&person, node).await {
                    Ok((connected, _)) => client = Some(connected),
                    Err(_) => {
                        node = (node + 1) % self.stand.nodes.len();
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                continue;
            };
            let (text, key) = unanswered.take().filter(|_| person.keyed).unwrap_or_else(|| {
                count += 1;
                (
                    format!("{} {count} {}", person.login, self.ballast),
                    KEY.fetch_add(1, Ordering::Relaxed).to_string(),
                )
            });
            self.ledger.say(&text);
            match send(connected, self.flow, &text, person.keyed.then(|| key.clone())).await {
                Ok(true) => self.ledger.acknowledge(&person.login, &text),
                Ok(false) => {
                    unanswered = Some((text, key));
                    tokio::time::sleep(PAUSE).await;
                }
                Err(_) => {
                    unanswered = Some((text, key));
                    client = None;
                    node = (node + 1) % self.stand.nodes.len();
                }
            }
            // The pace, unless it is over.
            let _ = tokio::time::timeout(self.pace, writing.wait_for(|writing| !writing)).await;
        }
    }

    /// Listens at one node, over as many connections as it takes.
    async fn listen(self: Arc<Self>, person: Person, node: usize) {
        let mut reading = self.reading.subscribe();
        let name = format!("{} at node {node}", person.login);
        while *reading.borrow() {
            let Ok((mut client, read)) = self.enter(&person, node).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let listening = self.ledger.enter(&name, read);
            loop {
                let heard = tokio::select! {
                    heard = client.listen() => heard,
                    _ = reading.wait_for(|reading| !reading) => return,
                };
                match heard {
                    Ok(Heard::Notice(notice)) => {
                        if let EventKind::Posted(message) = &notice.kind
                            && message.flow == self.flow
                        {
                            self.ledger.hear(listening, message.content.text.clone());
                        }
                    }
                    Ok(Heard::Closed(_)) | Err(_) => break,
                }
            }
            self.ledger.leave(listening);
        }
    }

    async fn enter(
        &self,
        person: &Person,
        node: usize,
    ) -> Result<(Client, Option<Vec<String>>), Trouble> {
        person.enter(self.stand.nodes[node].address()?, self.flow).await
    }

    /// What was said, as every dialect that can read tells it at every node.
    async fn histories(&self) -> Result<Vec<(String, Vec<String>)>, Trouble> {
        let mut histories = Vec::new();
        for (number, node) in self.stand.nodes.iter().enumerate() {
            for reader in &self.stand.readers {
                if let Some(history) = self.history(reader, node.address()?).await? {
                    histories.push((format!("{} at node {number}", reader.login), history));
                }
            }
        }
        Ok(histories)
    }

    /// As a client asks: again where it is told that the store cannot be reached just now. Any
    /// other refusal is a violation.
    async fn history(
        &self,
        reader: &Person,
        node: SocketAddr,
    ) -> Result<Option<Vec<String>>, Trouble> {
        let begun = Instant::now();
        loop {
            match reader.history(node, self.flow).await {
                Err(trouble)
                    if trouble.ends_with("Refused(Unavailable)") && begun.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(PAUSE).await
                }
                read => return read,
            }
        }
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) -> Result<(), Trouble> {
        let begun = Instant::now();
        while !is_so() {
            if begun.elapsed() > PATIENCE {
                return Err(format!(
                    "not so after {PATIENCE:?}: {what}; behind: {:?}",
                    self.ledger.behind()
                ));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
