//! Serving rules.

use super::memory_store::MemoryStore;
use super::state::State;
use crate::ports::{NewRule, Rule, RuleStore, StoreError, too_many_rules};
use async_trait::async_trait;

#[async_trait]
impl RuleStore for MemoryStore {
    async fn rules_revision(&self) -> Result<i64, StoreError> {
        self.read(|state| state.rules_revision).await
    }

    async fn rules(&self) -> Result<Vec<Rule>, StoreError> {
        self.read(|state| state.rules.clone()).await
    }

    async fn set_rule(&self, rule: NewRule, limit: u32) -> Result<i64, StoreError> {
        self.change(|state| state.set_rule(rule, limit)).await
    }

    async fn remove_rules(&self, numbers: &[i64]) -> Result<u64, StoreError> {
        self.change(|state| {
            let before = state.rules.len();
            state.rules.retain(|rule| !numbers.contains(&rule.number));
            let removed = before - state.rules.len();
            if removed > 0 {
                state.rules_revision += 1;
            }
            Ok(removed as u64)
        })
        .await
    }
}

impl State {
    fn set_rule(&mut self, rule: NewRule, limit: u32) -> Result<i64, StoreError> {
        let slot = rule.slot();
        let NewRule { subject, effect } = rule;
        let of = |rule: &Rule| {
            NewRule { subject: rule.subject.clone(), effect: rule.effect.clone() }.slot()
        };
        let number = match self.rules.iter().position(|rule| of(rule) == slot) {
            Some(index) => {
                let number = self.rules[index].number;
                self.rules[index] = Rule { number, subject, effect };
                number
            }
            None if self.rules.len() >= limit as usize => return Err(too_many_rules(limit).into()),
            None => {
                self.last_rule += 1;
                self.rules.push(Rule { number: self.last_rule, subject, effect });
                self.last_rule
            }
        };
        self.rules_revision += 1;
        Ok(number)
    }
}
