//! The flows that a change locks on PostgreSQL, where messages are posted meanwhile.

use std::collections::BTreeSet;
use std::fmt::Write;
use tolmach_domain::{FlowId, UserId};

/// The flows whose row, members or messages a change may write. Changes other than new messages
/// take turns, so that nothing else needs a lock.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// Any, or a key that rows of other tables refer to: no message is posted meanwhile.
    All,
    /// None but new ones.
    NoFlow,
    /// These.
    Flows(Vec<FlowId>),
    /// The chat of two users.
    Chat(UserId, UserId),
}

/// The flows that the changes of a transaction lock, before the first of them is made.
#[derive(Debug, Default)]
pub(crate) struct LockedFlows {
    pub(crate) all: bool,
    flows: BTreeSet<FlowId>,
    chats: BTreeSet<(UserId, UserId)>,
}

impl LockedFlows {
    /// All flows.
    pub(crate) fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    pub(crate) fn add(&mut self, scope: &Scope) {
        match scope {
            Scope::All => self.all = true,
            Scope::NoFlow => {}
            Scope::Flows(flows) => self.flows.extend(flows),
            Scope::Chat(one, other) => {
                self.chats.insert((*one.min(other), *one.max(other)));
            }
        }
    }

    /// Ids of flows, and pairs of members as the column `flow.pair` has them: each a list with
    /// commas.
    pub(crate) fn lists(&self) -> [String; 2] {
        let pairs = self.chats.iter().map(|(lower, higher)| format!("{lower}:{higher}"));
        [list(self.flows.iter()), list(pairs)]
    }
}

fn list<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{item}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scopes_of_a_transaction_are_joined() {
        let user = |number| UserId::new(number).unwrap();
        let mut locked = LockedFlows::default();
        for scope in [
            Scope::NoFlow,
            Scope::Flows(vec![FlowId::new(9).unwrap(), FlowId::new(2).unwrap()]),
            Scope::Flows(vec![FlowId::new(9).unwrap()]),
            Scope::Chat(user(4), user(3)),
        ] {
            locked.add(&scope);
        }
        assert_eq!(locked.lists(), ["2,9", "3:4"]);
        assert!(!locked.all);
        locked.add(&Scope::All);
        assert!(locked.all);
        assert_eq!(LockedFlows::all().lists(), ["", ""]);
    }
}
