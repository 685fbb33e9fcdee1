//! Login counters.

use crate::error::corrupt;
use crate::sql::{self, get};
use sea_orm::{ConnectionTrait, Value};
use std::collections::HashMap;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{Counter, CounterKey, StoreError};

/// The counters of these keys, in this order, without those that have expired.
pub(crate) async fn login_counters<C: ConnectionTrait>(
    database: &C,
    keys: &[CounterKey],
    now: Timestamp,
) -> Result<Vec<Option<Counter>>, StoreError> {
    let mut found: HashMap<Vec<u8>, Counter> = HashMap::new();
    for list in sql::padded_lists(keys) {
        let values = list.into_iter().map(|key| Value::from(key.0.to_vec()));
        for row in sql::LOGIN_COUNTERS.rows(database, values.len(), values.collect()).await? {
            let count = u32::try_from(get::<i64>(&row, "amount")?).map_err(corrupt)?;
            let counter =
                Counter { count, expires_at: Timestamp::from_micros(get(&row, "expires_at")?) };
            found.insert(get(&row, "key_hash")?, counter);
        }
    }
    found.retain(|_, counter| now < counter.expires_at);
    Ok(keys.iter().map(|key| found.get(key.0.as_slice()).copied()).collect())
}
