//! The ledger.

use crate::error::corrupt;
use crate::rows::user_id;
use crate::sql::{self, get};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use std::collections::HashMap;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{
    LedgerClient, LedgerClientId, LedgerDay, LedgerPage, LedgerPosition, LedgerQuery, LedgerRecord,
    LedgerRevision, LedgerScope, LedgerUse, StoreError,
};

/// The revisions that the ledger has clients of: each is found by the index, from the one before.
pub(crate) async fn ledger_revisions<C: ConnectionTrait>(
    database: &C,
) -> Result<Vec<LedgerRevision>, StoreError> {
    let mut revisions: Vec<LedgerRevision> = Vec::new();
    loop {
        let after = revisions.last();
        let after = after.map_or(("", ""), |last| (&*last.dialect, &*last.revision));
        let values = vec![after.0.into(), after.1.into()];
        match sql::row(database, sql::NEXT_LEDGER_REVISION, values).await? {
            Some(row) => revisions.push(LedgerRevision {
                dialect: get(&row, "dialect")?,
                revision: get(&row, "revision")?,
            }),
            None => return Ok(revisions),
        }
    }
}

/// The numbers of clients of each revision since a day.
pub(crate) async fn count_ledger_clients<C: ConnectionTrait>(
    database: &C,
    since: LedgerDay,
) -> Result<Vec<(LedgerRevision, u64)>, StoreError> {
    let mut counts = Vec::new();
    for revision in ledger_revisions(database).await? {
        let values =
            vec![(&*revision.dialect).into(), (&*revision.revision).into(), since.0.into()];
        let row = sql::row(database, sql::COUNT_LEDGER_CLIENTS, values).await?;
        let count = row.map_or(Ok(0), |row| get::<i64>(&row, "number"))?;
        counts.push((revision, count.unsigned_abs()));
    }
    Ok(counts)
}

/// A page of clients.
pub(crate) async fn ledger_page<C: ConnectionTrait>(
    database: &C,
    query: &LedgerQuery,
) -> Result<LedgerPage, StoreError> {
    let (statement, mut values): (&str, Vec<Value>) = match &query.scope {
        LedgerScope::Revision(LedgerRevision { dialect, revision }) => {
            let values = vec![dialect.as_str().into(), revision.as_str().into()];
            (&sql::LEDGER_CLIENTS_OF_REVISION, values)
        }
        LedgerScope::User(user) => {
            (&sql::LEDGER_CLIENTS_OF_PARTY, vec![user_party(user.get()).into()])
        }
    };
    let begin = LedgerPosition {
        day: LedgerDay(query.since.0.saturating_sub(1)),
        id: LedgerClientId(i64::MAX),
    };
    let after = query.after.map_or(begin, |after| after.max(begin));
    values.extend([after.day.0.into(), after.id.0.into(), i64::from(query.limit).into()]);
    let rows = sql::rows(database, statement, values).await?;
    let mut page = LedgerPage::default();
    for row in &rows {
        let (record, last_day) = record(row)?;
        page.next = Some(LedgerPosition { day: last_day, id: record.id });
        page.records.push(record);
    }
    page.next = page.next.filter(|_| rows.len() == query.limit as usize);
    let ids: Vec<i64> = page.records.iter().map(|record| record.id.0).collect();
    let mut uses = uses(database, query.since, &ids).await?;
    for record in &mut page.records {
        record.uses = uses.remove(&record.id.0).unwrap_or_default();
        record
            .uses
            .sort_by(|one, other| (one.day, &one.operation).cmp(&(other.day, &other.operation)));
    }
    Ok(page)
}

/// The party of a user: that of [`LedgerClient::party`].
pub(crate) fn user_party(user: i64) -> String {
    format!("user {user}")
}

fn record(row: &QueryResult) -> Result<(LedgerRecord, LedgerDay), StoreError> {
    let user: Option<i64> = get(row, "user_id")?;
    let client = LedgerClient {
        user: user.map(user_id).transpose()?,
        address: get(row, "address")?,
        agent: get(row, "agent")?,
        dialect: get(row, "dialect")?,
        revision: get(row, "revision")?,
    };
    let record = LedgerRecord {
        id: LedgerClientId(get(row, "id")?),
        client,
        login: get(row, "login")?,
        first_at: Timestamp::from_micros(get(row, "first_at")?),
        uses: Vec::new(),
    };
    Ok((record, LedgerDay(get(row, "last_day")?)))
}

/// The requests of clients since a day, by client.
async fn uses<C: ConnectionTrait>(
    database: &C,
    since: LedgerDay,
    clients: &[i64],
) -> Result<HashMap<i64, Vec<LedgerUse>>, StoreError> {
    let mut uses: HashMap<i64, Vec<LedgerUse>> = HashMap::new();
    // A list repeats its last value, which finds no row twice.
    for list in sql::padded_lists(clients) {
        let values = std::iter::once(since.0).chain(list.iter().copied()).map(Value::from);
        for row in sql::LEDGER_USES.rows(database, list.len(), values.collect()).await? {
            let used = LedgerUse {
                operation: get(&row, "operation")?,
                day: LedgerDay(get(&row, "day")?),
                requests: u64::try_from(get::<i64>(&row, "requests")?).map_err(corrupt)?,
                first_at: Timestamp::from_micros(get(&row, "first_at")?),
                last_at: Timestamp::from_micros(get(&row, "last_at")?),
            };
            uses.entry(get(&row, "client_id")?).or_default().push(used);
        }
    }
    Ok(uses)
}
