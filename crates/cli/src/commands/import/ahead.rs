//! Records whose times are yet to come, as the clock of the server that is followed may be ahead.

use std::collections::HashSet;
use std::time::Duration;
use tolmach_domain::Timestamp;
use tolmach_world::{Id, Record, Time};

/// The most by which a clock is ahead. A later time is wrong, and refused.
const MOST: Duration = Duration::from_secs(3_600);

/// The records of one pass that wait for a later one: those of times after its beginning, and
/// others that must not come before them.
pub(super) struct Ahead {
    begun_at: Timestamp,
    users: HashSet<Id>,
    /// Those that wait, and those of messages that wait.
    flows: HashSet<Id>,
}

impl Ahead {
    pub(super) fn new(begun_at: Timestamp) -> Self {
        Self { begun_at, users: HashSet::new(), flows: HashSet::new() }
    }

    /// True if a record waits. It does too if its user or its flow does, and if it follows a
    /// message of its flow that waits: messages keep their order, and memberships come after them.
    pub(super) fn has(&mut self, record: &Record) -> bool {
        let (begun_at, last) = (self.begun_at, self.begun_at.after(MOST));
        let is_ahead = |time: Time| time.0 > begun_at && time.0 <= last;
        match record {
            Record::World(_) => false,
            Record::User(user) => {
                let waits = user.created_at.is_some_and(is_ahead);
                self.users.extend(waits.then_some(user.id));
                waits
            }
            Record::Flow(flow) => {
                let mut users = flow.pair.iter().flatten().chain([&flow.owner]);
                let waits = flow.created_at.is_some_and(is_ahead)
                    || users.any(|user| self.users.contains(user));
                self.flows.extend(waits.then_some(flow.id));
                waits
            }
            Record::Message(message) => {
                let waits = is_ahead(message.posted_at)
                    || self.users.contains(&message.author)
                    || self.flows.contains(&message.flow);
                self.flows.extend(waits.then_some(message.flow));
                waits
            }
            Record::Member(member) => {
                self.users.contains(&member.user) || self.flows.contains(&member.flow)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// True for each record that waits in a pass that begins at 10 o'clock.
    fn waiting<const N: usize>(records: [Value; N]) -> [bool; N] {
        let mut ahead = Ahead::new(Timestamp::parse_rfc3339("2025-01-01T10:00:00Z").unwrap());
        records.map(|record| ahead.has(&Record::parse(record.to_string().as_bytes()).unwrap()))
    }

    fn user(id: u64, time: &str) -> Value {
        json!({"user": {"id": id, "login": "ann", "created_at": format!("2025-01-01T{time}Z")}})
    }

    fn group(id: u64, owner: u64, time: &str) -> Value {
        json!({"flow": {"id": id, "kind": "group", "owner": owner, "title": "all",
            "created_at": format!("2025-01-01T{time}Z")}})
    }

    fn message(flow: u64, author: u64, time: &str) -> Value {
        json!({"message": {"id": 7, "flow": flow, "author": author, "text": "hello",
            "posted_at": format!("2025-01-01T{time}Z")}})
    }

    fn member(flow: u64, user: u64) -> Value {
        json!({"member": {"flow": flow, "user": user}})
    }

    #[test]
    fn a_time_waits_from_the_beginning_of_the_pass_to_an_hour_after_it() {
        for (time, waits) in [
            ("09:59:59", false),
            ("10:00:00", false),
            ("10:00:00.000001", true),
            ("11:00:00", true),
            ("11:00:00.000001", false),
        ] {
            let found = waiting([user(1, time), group(2, 5, time), message(3, 5, time)]);
            assert_eq!(found, [waits; 3], "{time}");
        }
    }

    #[test]
    fn what_refers_to_a_record_that_waits_waits_too() {
        let (past, future) = ("09:00:00", "10:00:01");
        let found = waiting([
            user(1, future),
            user(2, past),
            group(1, 1, past),
            group(2, 2, past),
            group(3, 2, past),
            message(1, 2, past),
            message(2, 2, past),
            message(3, 1, past),
            member(1, 2),
            member(2, 1),
            member(2, 2),
            member(3, 2),
        ]);
        let [t, f] = [true, false];
        assert_eq!(found, [t, f, t, f, f, t, f, t, t, t, f, t]);
    }

    #[test]
    fn messages_of_a_conversation_keep_their_order() {
        let (past, future) = ("09:00:00", "10:00:01");
        let found = waiting([
            message(1, 5, past),
            message(1, 5, future),
            message(1, 5, past),
            message(2, 5, past),
            member(1, 5),
            member(2, 5),
        ]);
        assert_eq!(found, [false, true, true, false, true, false]);
    }
}
