//! The ledger of a round: the messages that were sent and acknowledged, and what each reader
//! received and when. At the end it is compared with the history.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Everything that happened in one round. Texts are unique in it.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    messages: HashMap<String, SentMessage>,
    /// The time of the newest acknowledgement of each writer.
    served: HashMap<String, Instant>,
    subscriptions: Vec<Subscription>,
}

struct SentMessage {
    sent_at: Instant,
    acknowledged_at: Option<Instant>,
}

/// One connection of a reader, from joining the flow to its end.
struct Subscription {
    reader: String,
    begun_at: Instant,
    /// The texts that it read when it joined; `None` if its dialect cannot read.
    read: Option<Vec<String>>,
    received: Vec<(String, Instant)>,
    is_open: bool,
}

/// The number of a reader's connection in the ledger.
#[derive(Clone, Copy)]
pub(crate) struct SubscriptionId(usize);

/// The findings of one round, or the sum of several.
#[derive(Default, Clone)]
pub(crate) struct Findings {
    pub(crate) acknowledged: usize,
    pub(crate) missing: usize,
    pub(crate) duplicates: usize,
    pub(crate) inversions: usize,
    pub(crate) gaps: usize,
    /// The time from the end of the fault until every writer was served again, and every open
    /// reader had received what was acknowledged before.
    pub(crate) recovery: Duration,
    /// One line each.
    pub(crate) violations: Vec<String>,
}

/// The end of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultEnd {
    pub(crate) at: Instant,
    /// The longest time after it in which an open reader may lack a message that was acknowledged
    /// before.
    pub(crate) catch_up_within: Duration,
}

impl Ledger {
    /// Adds a message that a writer is about to send.
    pub(crate) fn send(&self, text: &str) {
        self.entries()
            .messages
            .entry(text.to_owned())
            .or_insert_with(|| SentMessage { sent_at: Instant::now(), acknowledged_at: None });
    }

    /// Notes that a writer's message was acknowledged.
    pub(crate) fn acknowledge(&self, writer: &str, text: &str) {
        let now = Instant::now();
        let mut entries = self.entries();
        if let Some(message) = entries.messages.get_mut(text) {
            message.acknowledged_at.get_or_insert(now);
        }
        entries.served.insert(writer.to_owned(), now);
    }

    /// Adds a reader's new connection, with the texts that it read if its dialect can.
    pub(crate) fn subscribe(&self, reader: &str, read: Option<Vec<String>>) -> SubscriptionId {
        let mut entries = self.entries();
        entries.subscriptions.push(Subscription {
            reader: reader.to_owned(),
            begun_at: Instant::now(),
            read,
            received: Vec::new(),
            is_open: true,
        });
        SubscriptionId(entries.subscriptions.len() - 1)
    }

    /// Notes that a reader's connection received a message.
    pub(crate) fn receive(&self, SubscriptionId(number): SubscriptionId, text: String) {
        self.entries().subscriptions[number].received.push((text, Instant::now()));
    }

    /// Notes the end of a reader's connection.
    pub(crate) fn close(&self, SubscriptionId(number): SubscriptionId) {
        self.entries().subscriptions[number].is_open = false;
    }

    /// The number of writers with an acknowledgement since this time.
    pub(crate) fn served_since(&self, time: Instant) -> usize {
        self.entries().served.values().filter(|served| **served >= time).count()
    }

    /// The number of readers with an open connection.
    pub(crate) fn open_readers(&self) -> usize {
        self.entries().readers(|subscription| subscription.is_open)
    }

    /// The number of readers with an open connection that has received a message.
    pub(crate) fn receiving_readers(&self) -> usize {
        let is_receiving =
            |subscription: &Subscription| subscription.is_open && !subscription.received.is_empty();
        self.entries().readers(is_receiving)
    }

    /// The number of acknowledged messages that open readers lack, by reader.
    pub(crate) fn lacking(&self) -> BTreeMap<String, usize> {
        let entries = self.entries();
        let open = entries.subscriptions.iter().filter(|subscription| subscription.is_open);
        let counts = open.map(|subscription| {
            let lacking = entries.lacking(subscription, Instant::now()).count();
            (subscription.reader.clone(), lacking)
        });
        counts.filter(|(_, lacking)| *lacking > 0).collect()
    }

    /// Compares the round with the histories that readers of all dialects read, by reader.
    pub(crate) fn judge(
        &self,
        histories: &[(String, Vec<String>)],
        fault_end: FaultEnd,
    ) -> Findings {
        let entries = self.entries();
        let mut findings =
            Findings { recovery: entries.slowest_service(fault_end.at), ..Findings::default() };
        let Some((first, whole)) = histories.first() else {
            findings.violations.push("no dialect could read the history".to_owned());
            return findings;
        };
        let mut positions: HashMap<&str, usize> = HashMap::new();
        for (position, text) in whole.iter().enumerate() {
            if let Some(before) = positions.insert(text, position) {
                findings.duplicates += 1;
                findings.violations.push(format!(
                    "{text:?} is stored twice, at {before} and {position} in the history of {first}"
                ));
            }
        }
        for (reader, history) in &histories[1..] {
            if history != whole {
                findings.inversions += 1;
                findings.violations.push(difference((reader, history), (first, whole)));
            }
        }
        for (text, message) in &entries.messages {
            if message.acknowledged_at.is_none() {
                continue;
            }
            findings.acknowledged += 1;
            if !positions.contains_key(text.as_str()) {
                findings.missing += 1;
                findings.violations.push(format!(
                    "{text:?} was acknowledged and is not in the history of {first}"
                ));
            }
        }
        for subscription in &entries.subscriptions {
            entries.judge(subscription, &positions, whole, fault_end, &mut findings);
        }
        findings
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn readers(&self, is_counted: impl Fn(&Subscription) -> bool) -> usize {
        let counted = self.subscriptions.iter().filter(|subscription| is_counted(subscription));
        counted.map(|subscription| &subscription.reader).collect::<BTreeSet<_>>().len()
    }

    /// The time from the end of the fault to the first acknowledgement of the slowest writer.
    fn slowest_service(&self, fault_end: Instant) -> Duration {
        let mut first: HashMap<&str, Instant> = HashMap::new();
        for (text, message) in &self.messages {
            if let Some(at) = message.acknowledged_at.filter(|at| *at >= fault_end) {
                let writer = text.split(' ').next().unwrap_or_default();
                first.entry(writer).and_modify(|first| *first = at.min(*first)).or_insert(at);
            }
        }
        first.into_values().map(|at| at - fault_end).max().unwrap_or_default()
    }

    /// The messages acknowledged before `until` that a reader must have received and has not.
    fn lacking<'a>(
        &'a self,
        subscription: &'a Subscription,
        until: Instant,
    ) -> impl Iterator<Item = &'a str> {
        let known: BTreeSet<&str> = subscription
            .received
            .iter()
            .map(|(text, _)| text)
            .chain(subscription.read.iter().flatten())
            .map(String::as_str)
            .collect();
        self.messages.iter().filter_map(move |(text, message)| {
            let acknowledged = message.acknowledged_at.is_some_and(|at| at < until);
            // A reader that cannot read the history receives only what is sent after it joined.
            let is_due = subscription.read.is_some() || message.sent_at > subscription.begun_at;
            (acknowledged && is_due && !known.contains(text.as_str())).then_some(text.as_str())
        })
    }

    fn judge(
        &self,
        subscription: &Subscription,
        positions: &HashMap<&str, usize>,
        whole: &[String],
        fault_end: FaultEnd,
        findings: &mut Findings,
    ) {
        let reader = &subscription.reader;
        let mut received = Vec::new();
        for (text, _) in &subscription.received {
            match positions.get(text.as_str()) {
                Some(position) => received.push(*position),
                None => {
                    findings.missing += 1;
                    findings
                        .violations
                        .push(format!("{reader} received {text:?}, which is not in the history"));
                }
            }
        }
        for pair in received.windows(2).filter(|pair| pair[0] >= pair[1]) {
            findings.inversions += 1;
            findings.violations.push(format!(
                "{reader} received {:?} before {:?}",
                whole[pair[0]], whole[pair[1]]
            ));
        }
        // No gap from the first message after joining, to the newest one if it is still open.
        let read = subscription.read.as_ref().map(|read| {
            let positions = read.iter().filter_map(|text| positions.get(text.as_str()));
            positions.max().map_or(0, |last| last + 1)
        });
        let known: BTreeSet<usize> = received.iter().copied().collect();
        let begin = read.or(known.first().copied());
        let end = if subscription.is_open {
            Some(whole.len())
        } else {
            known.last().map(|last| last + 1)
        };
        for position in begin
            .zip(end)
            .map_or(0..0, |(begin, end)| begin..end)
            .filter(|position| !known.contains(position))
        {
            findings.gaps += 1;
            findings.violations.push(format!(
                "{reader} never received {:?}, at {position} of {}",
                whole[position],
                whole.len()
            ));
        }
        if subscription.is_open && subscription.begun_at <= fault_end.at {
            self.judge_catching_up(subscription, fault_end, findings);
        }
    }

    /// A reader that was open all the time soon receives what was acknowledged before the fault's
    /// end.
    fn judge_catching_up(
        &self,
        subscription: &Subscription,
        fault_end: FaultEnd,
        findings: &mut Findings,
    ) {
        let is_before = |text: &str| {
            let message = self.messages.get(text);
            let acknowledged_at = message.and_then(|message| message.acknowledged_at);
            acknowledged_at.is_some_and(|at| at < fault_end.at)
        };
        for (text, at) in subscription.received.iter().filter(|(text, _)| is_before(text)) {
            let after = at.saturating_duration_since(fault_end.at);
            findings.recovery = findings.recovery.max(after);
            if after > fault_end.catch_up_within {
                findings.gaps += 1;
                findings.violations.push(format!(
                    "{} received {text:?} only {:.1} s after the end of the fault",
                    subscription.reader,
                    after.as_secs_f64()
                ));
            }
        }
    }
}

impl Findings {
    /// Adds the findings of another round.
    pub(crate) fn add(&mut self, other: Findings) {
        self.acknowledged += other.acknowledged;
        self.missing += other.missing;
        self.duplicates += other.duplicates;
        self.inversions += other.inversions;
        self.gaps += other.gaps;
        self.recovery = self.recovery.max(other.recovery);
        self.violations.extend(other.violations);
    }
}

fn difference((reader, history): (&str, &[String]), (other, whole): (&str, &[String])) -> String {
    let position = history.iter().zip(whole).take_while(|(one, other)| one == other).count();
    format!(
        "{reader} reads {} messages and {other} {}; they differ at {position}: {:?} and {:?}",
        history.len(),
        whole.len(),
        history.get(position),
        whole.get(position)
    )
}
