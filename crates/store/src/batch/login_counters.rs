//! Login counters.

use super::transaction::Batch;
use crate::{read, sql};
use sea_orm::Value;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{Counter, CounterKey, StoreError};

impl Batch {
    pub(crate) async fn increment_login_counters(
        &mut self,
        keys: &[CounterKey],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Vec<Counter>, StoreError> {
        self.now = self.now.max(now);
        let mut counted = read::login_counters(&self.transaction, keys, now).await?;
        for (key, counter) in keys.iter().zip(&mut counted) {
            let earlier = counter.unwrap_or(Counter { count: 0, expires_at });
            let Counter { count, expires_at } =
                *counter.insert(Counter { count: earlier.count.saturating_add(1), ..earlier });
            let values = vec![
                Value::from(key.0.to_vec()),
                i64::from(count).into(),
                expires_at.micros().into(),
            ];
            sql::execute(&self.transaction, sql::PUT_LOGIN_COUNTER, values).await?;
        }
        Ok(counted.into_iter().flatten().collect())
    }

    pub(crate) async fn clear_login_counters(
        &mut self,
        keys: &[CounterKey],
    ) -> Result<(), StoreError> {
        for key in keys {
            sql::execute(
                &self.transaction,
                "DELETE FROM login_counter WHERE key_hash = $1",
                vec![key.0.to_vec().into()],
            )
            .await?;
        }
        Ok(())
    }
}
