//! The ledger.

use super::transaction::Batch;
use crate::read::user_party;
use crate::sql::{self, get};
use sea_orm::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use tolmach_domain::{Timestamp, UserId};
use tolmach_engine::ports::{
    LEDGER_CLIENTS_PER_DAY, LedgerClient, LedgerDay, LedgerEntry, LedgerUse, PruneCount, StoreError,
};

/// The rows that one transaction removes at most when the entries of a user are removed.
const REMOVED: u64 = 200;

/// The uses of clients, without two of one operation and day.
type Uses = BTreeMap<(String, LedgerDay), LedgerUse>;

/// A client of the table.
struct Row {
    id: i64,
    last_day: LedgerDay,
}

type Rows = HashMap<Vec<u8>, Row>;

impl Batch {
    pub(crate) async fn add_to_ledger(
        &mut self,
        entries: &[LedgerEntry],
    ) -> Result<(), StoreError> {
        let active = self.active_users(entries).await?;
        let mut clients: BTreeMap<LedgerClient, Uses> = BTreeMap::new();
        for LedgerEntry { client, used } in entries {
            if client.user.is_none_or(|user| active.contains(&user.get())) {
                add_use(clients.entry(client.clone()).or_default(), used);
            }
        }
        let mut rows = self.ledger_rows(clients.keys()).await?;
        let excess = self.excess_clients(&clients, &rows).await?;
        for client in excess {
            let uses = clients.remove(&client).unwrap_or_default();
            let other = clients.entry(client.other()).or_default();
            uses.values().for_each(|used| add_use(other, used));
        }
        let others = clients.keys().filter(|client| !rows.contains_key(&key_hash(client)));
        let found = self.ledger_rows(others).await?;
        rows.extend(found);
        self.insert_clients(&clients, &mut rows).await?;
        self.set_days(&clients, &rows).await?;
        self.add_uses(&clients, &rows).await
    }

    /// Those of the users of entries that are not deleted.
    async fn active_users(&self, entries: &[LedgerEntry]) -> Result<HashSet<i64>, StoreError> {
        let users = entries.iter().filter_map(|entry| entry.client.user).map(UserId::get);
        let rows = self.by_id(&sql::ACTIVE_USERS, users).await?;
        rows.iter().map(|row| get(row, "id")).collect()
    }

    /// The rows of those of these clients that have one.
    async fn ledger_rows<'a>(
        &self,
        clients: impl Iterator<Item = &'a LedgerClient>,
    ) -> Result<Rows, StoreError> {
        let hashes: Vec<Vec<u8>> = clients.map(key_hash).collect();
        let mut found = HashMap::new();
        for list in sql::padded_lists(&hashes) {
            let length = list.len();
            let values = list.into_iter().map(Value::from).collect();
            for row in sql::LEDGER_CLIENTS.rows(&self.transaction, length, values).await? {
                let last_day = LedgerDay(get(&row, "last_day")?);
                found.insert(get(&row, "key_hash")?, Row { id: get(&row, "id")?, last_day });
            }
        }
        Ok(found)
    }

    /// The new clients beyond those that their parties may have.
    async fn excess_clients(
        &self,
        clients: &BTreeMap<LedgerClient, Uses>,
        rows: &Rows,
    ) -> Result<Vec<LedgerClient>, StoreError> {
        let new = clients.iter().filter(|(client, _)| !rows.contains_key(&key_hash(client)));
        let new: Vec<(&LedgerClient, &Uses)> = new.collect();
        let Some(since) = new.iter().filter_map(|(_, uses)| first_day(uses)).min() else {
            return Ok(Vec::new());
        };
        let parties: Vec<String> = new.iter().map(|(client, _)| client.party()).collect();
        let mut numbers: HashMap<String, u64> = HashMap::new();
        let mut listed = parties.clone();
        listed.sort_unstable();
        listed.dedup();
        for list in sql::padded_lists(&listed) {
            let times = [since.0, since.start().micros()].map(Value::from);
            let values = times.into_iter().chain(list.iter().map(|party| party.as_str().into()));
            let values = values.collect();
            for row in sql::NEW_LEDGER_CLIENTS.rows(&self.transaction, list.len(), values).await? {
                numbers.insert(get(&row, "party")?, get::<i64>(&row, "number")?.unsigned_abs());
            }
        }
        let mut excess = Vec::new();
        for ((client, _), party) in new.into_iter().zip(parties) {
            let number = numbers.entry(party).or_default();
            if *number >= LEDGER_CLIENTS_PER_DAY as u64 {
                excess.push(client.clone());
            }
            *number += 1;
        }
        Ok(excess)
    }

    /// Inserts the clients that have no row.
    async fn insert_clients(
        &self,
        clients: &BTreeMap<LedgerClient, Uses>,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let new = clients.iter().filter(|(client, _)| !rows.contains_key(&key_hash(client)));
        let new: Vec<(&LedgerClient, &Uses)> = new.collect();
        for chunk in sql::chunks(&new) {
            let mut values = Vec::with_capacity(chunk.len() * 9);
            for (client, uses) in chunk {
                let first_at = uses.values().map(|used| used.first_at).min();
                let last_day = last_day(uses).unwrap_or_default();
                values.extend([
                    key_hash(client).into(),
                    client.party().into(),
                    client.user.map(UserId::get).into(),
                    client.address.as_str().into(),
                    client.agent.as_str().into(),
                    client.dialect.as_str().into(),
                    client.revision.as_str().into(),
                    first_at.map_or(0, Timestamp::micros).into(),
                    last_day.0.into(),
                ]);
            }
            let inserted =
                sql::INSERT_LEDGER_CLIENTS.rows(&self.transaction, chunk.len(), values).await?;
            for row in inserted {
                // The day was inserted, so that it is not set again.
                let row_of_client = Row { id: get(&row, "id")?, last_day: LedgerDay(i64::MAX) };
                rows.insert(get(&row, "key_hash")?, row_of_client);
            }
        }
        Ok(())
    }

    /// Sets the last days of clients that were there before.
    async fn set_days(
        &self,
        clients: &BTreeMap<LedgerClient, Uses>,
        rows: &Rows,
    ) -> Result<(), StoreError> {
        let mut by_day: BTreeMap<LedgerDay, Vec<i64>> = BTreeMap::new();
        for (client, uses) in clients {
            if let (Some(row), Some(day)) = (rows.get(&key_hash(client)), last_day(uses))
                && row.last_day < day
            {
                by_day.entry(day).or_default().push(row.id);
            }
        }
        for (day, ids) in by_day {
            for list in sql::padded_lists(&ids) {
                let values = [day.0, day.0].into_iter().chain(list.iter().copied());
                let values = values.map(Value::from).collect();
                sql::SET_LEDGER_DAYS.execute(&self.transaction, list.len(), values).await?;
            }
        }
        Ok(())
    }

    async fn add_uses(
        &self,
        clients: &BTreeMap<LedgerClient, Uses>,
        rows: &Rows,
    ) -> Result<(), StoreError> {
        let mut uses = Vec::new();
        for (client, of_client) in clients {
            if let Some(row) = rows.get(&key_hash(client)) {
                uses.extend(of_client.values().map(|used| (row.id, used)));
            }
        }
        for chunk in sql::chunks(&uses) {
            let mut values = Vec::with_capacity(chunk.len() * 6);
            for (client, used) in chunk {
                values.extend([
                    (*client).into(),
                    used.operation.as_str().into(),
                    used.day.0.into(),
                    i64::try_from(used.requests).unwrap_or(i64::MAX).into(),
                    used.first_at.micros().into(),
                    used.last_at.micros().into(),
                ]);
            }
            sql::ADD_LEDGER_USES.execute(&self.transaction, chunk.len(), values).await?;
        }
        Ok(())
    }

    /// Removes some of the entries of a user. Returns true if there may be more.
    pub(crate) async fn remove_from_ledger(&mut self, user: UserId) -> Result<bool, StoreError> {
        let mut left = REMOVED;
        let values = vec![user_party(user.get()).into(), REMOVED.cast_signed().into()];
        let clients = sql::rows(&self.transaction, sql::SOME_LEDGER_CLIENTS, values).await?;
        for client in clients {
            let client: i64 = get(&client, "id")?;
            let values = vec![client.into(), left.cast_signed().into()];
            let sql = sql::REMOVE_LEDGER_USES_OF_CLIENT;
            left -= sql::execute(&self.transaction, sql, values).await?.min(left);
            if left == 0 {
                return Ok(true);
            }
            sql::execute(&self.transaction, sql::REMOVE_LEDGER_CLIENT, vec![client.into()]).await?;
            left -= 1;
            if left == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes what is older than a day, at most so many rows.
    pub(super) async fn prune_ledger(
        &self,
        before: LedgerDay,
        left: &mut u64,
        removed: &mut Vec<PruneCount>,
    ) -> Result<(), StoreError> {
        for sql in [sql::REMOVE_OLD_LEDGER_USES, sql::REMOVE_OLD_LEDGER_CLIENTS] {
            if *left == 0 {
                break;
            }
            let values = vec![before.0.into(), left.cast_signed().into()];
            let records = sql::execute(&self.transaction, sql, values).await?;
            let bytes = records * sql::LEDGER_ROW_BYTES;
            PruneCount { kind: "ledger rows", records, bytes }.add_to(removed);
            *left = left.saturating_sub(records);
        }
        Ok(())
    }
}

fn add_use(uses: &mut Uses, used: &LedgerUse) {
    uses.entry((used.operation.clone(), used.day))
        .and_modify(|found| found.add(used))
        .or_insert_with(|| used.clone());
}

fn first_day(uses: &Uses) -> Option<LedgerDay> {
    uses.keys().map(|(_, day)| *day).min()
}

fn last_day(uses: &Uses) -> Option<LedgerDay> {
    uses.keys().map(|(_, day)| *day).max()
}

/// The hash of everything that tells clients apart, so that one short index finds them.
fn key_hash(client: &LedgerClient) -> Vec<u8> {
    let LedgerClient { user, address, agent, dialect, revision } = client;
    let mut digest = Sha256::new();
    digest.update(user.map_or(0, UserId::get).to_be_bytes());
    for text in [address, agent, dialect, revision] {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().to_vec()
}
