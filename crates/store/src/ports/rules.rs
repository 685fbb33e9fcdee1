//! Serving rules.

use crate::read;
use crate::scope::Scope;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_engine::ports::{NewRule, Rule, RuleStore, StoreError};

#[async_trait]
impl RuleStore for SqlStore {
    async fn rules_revision(&self) -> Result<i64, StoreError> {
        self.read(|| read::rules_revision(&self.readers)).await
    }

    async fn rules(&self) -> Result<Vec<Rule>, StoreError> {
        self.read(|| read::rules(&self.readers)).await
    }

    async fn set_rule(&self, rule: NewRule, limit: u32) -> Result<i64, StoreError> {
        self.write_in(None, Scope::NoFlow, 0, move |batch| Box::pin(batch.set_rule(rule, limit)))
            .await
    }

    async fn remove_rules(&self, numbers: &[i64]) -> Result<u64, StoreError> {
        let numbers = numbers.to_vec();
        self.write_in(None, Scope::NoFlow, 0, move |batch| {
            Box::pin(async move { batch.remove_rules(&numbers).await })
        })
        .await
    }
}
