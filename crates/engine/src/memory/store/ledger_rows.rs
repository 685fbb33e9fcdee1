//! The clients of the ledger, with what they used.

use crate::ports::{
    LEDGER_CLIENTS_PER_DAY, LedgerClient, LedgerClientId, LedgerDay, LedgerEntry, LedgerPage,
    LedgerPosition, LedgerQuery, LedgerRecord, LedgerRevision, LedgerScope, LedgerUse,
};
use std::collections::BTreeMap;
use tolmach_domain::{Timestamp, UserId};

/// The clients of the ledger.
#[derive(Default)]
pub(super) struct Ledger {
    last_id: i64,
    clients: BTreeMap<LedgerClient, Client>,
}

struct Client {
    id: LedgerClientId,
    first_at: Timestamp,
    last_day: LedgerDay,
    uses: BTreeMap<(LedgerDay, String), LedgerUse>,
}

impl Ledger {
    /// Adds the requests of a client.
    pub(super) fn add(&mut self, entry: &LedgerEntry) {
        let LedgerEntry { client, used } = entry;
        let mut key = client.clone();
        if !self.clients.contains_key(client) {
            let party = client.party();
            let today = self.clients.iter().filter(|(other, found)| {
                LedgerDay::of(found.first_at) >= used.day && other.party() == party
            });
            if today.count() >= LEDGER_CLIENTS_PER_DAY {
                key = client.other();
            }
        }
        let last_id = &mut self.last_id;
        let client = self.clients.entry(key).or_insert_with(|| {
            *last_id += 1;
            Client {
                id: LedgerClientId(*last_id),
                first_at: used.first_at,
                last_day: used.day,
                uses: BTreeMap::new(),
            }
        });
        client.last_day = client.last_day.max(used.day);
        client
            .uses
            .entry((used.day, used.operation.clone()))
            .and_modify(|found| found.add(used))
            .or_insert_with(|| used.clone());
    }

    /// Removes the entries of a user.
    pub(super) fn forget(&mut self, user: UserId) {
        self.clients.retain(|client, _| client.user != Some(user));
    }

    /// Removes what is older than a day, and returns the number of rows that a database would have
    /// for it.
    pub(super) fn prune(&mut self, before: LedgerDay) -> u64 {
        let mut removed = 0;
        self.clients.retain(|_, client| {
            let uses = client.uses.len();
            client.uses.retain(|(day, _), _| *day >= before);
            removed += (uses - client.uses.len()) as u64;
            removed += u64::from(client.uses.is_empty());
            !client.uses.is_empty()
        });
        removed
    }

    /// The number of rows that [`prune`](Self::prune) would remove.
    pub(super) fn prunable(&self, before: LedgerDay) -> u64 {
        let of = |client: &Client| {
            let old = client.uses.keys().filter(|(day, _)| *day < before).count() as u64;
            old + u64::from(client.last_day < before)
        };
        self.clients.values().map(of).sum()
    }

    /// The number of clients of each revision since a day.
    pub(super) fn count(&self, since: LedgerDay) -> BTreeMap<LedgerRevision, u64> {
        let mut counts = BTreeMap::new();
        for (client, found) in &self.clients {
            let LedgerClient { dialect, revision, .. } = client.clone();
            *counts.entry(LedgerRevision { dialect, revision }).or_default() +=
                u64::from(found.last_day >= since);
        }
        counts
    }

    /// A page of clients, without the logins of their users.
    pub(super) fn page(&self, query: &LedgerQuery) -> LedgerPage {
        let position = |client: &Client| LedgerPosition { day: client.last_day, id: client.id };
        let mut found: Vec<(&LedgerClient, &Client)> = self
            .clients
            .iter()
            .filter(|(key, client)| {
                let in_scope = match &query.scope {
                    LedgerScope::Revision(LedgerRevision { dialect, revision }) => {
                        (&key.dialect, &key.revision) == (dialect, revision)
                    }
                    LedgerScope::User(user) => key.user == Some(*user),
                };
                in_scope
                    && client.last_day >= query.since
                    && query.after.is_none_or(|after| position(client) > after)
            })
            .collect();
        found.sort_by_key(|(_, client)| position(client));
        found.truncate(query.limit as usize);
        let next = found.last().filter(|_| found.len() == query.limit as usize);
        let next = next.map(|(_, client)| position(client));
        let record = |(key, client): (&LedgerClient, &Client)| LedgerRecord {
            id: client.id,
            client: key.clone(),
            login: None,
            first_at: client.first_at,
            uses: client.uses.values().filter(|used| used.day >= query.since).cloned().collect(),
        };
        LedgerPage { records: found.into_iter().map(record).collect(), next }
    }
}
