//! The serving rules that this node follows.

use crate::metrics;
use crate::sync::lock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tolmach_engine::ports::StoreError;
use tolmach_engine::{Engine, ErrorChain, RuleSet};

/// The time between two reads of the revision: a change is followed within twice this time.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// The time between two summaries in the log.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);

/// The serving rules that this node follows. While the store cannot be read, they stay.
pub(crate) struct ServingRules {
    current: Mutex<Arc<RuleSet>>,
    /// The number of the present rules in their order on this node; 0 while there are none.
    generation: AtomicU64,
    /// The connections and HTTP requests refused since the last summary.
    refused: AtomicU64,
}

impl ServingRules {
    pub(crate) fn new(rules: RuleSet) -> Arc<Self> {
        let new = Self {
            current: Mutex::default(),
            generation: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        new.replace(rules);
        Arc::new(new)
    }

    /// The number of the present rules, for clients to know whether they have changed; 0 while
    /// there are none.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The present rules.
    pub(crate) fn current(&self) -> Arc<RuleSet> {
        lock(&self.current).clone()
    }

    pub(crate) fn replace(&self, rules: RuleSet) {
        metrics::rules_revision(rules.revision());
        let generation = match rules.rules() {
            [] => 0,
            // A revision of 0 has no rules.
            _ => rules.revision().unsigned_abs(),
        };
        *lock(&self.current) = Arc::new(rules);
        self.generation.store(generation, Ordering::Release);
    }

    /// Counts a connection or an HTTP request that is refused.
    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Follows the rules of the store, and calls `changed` after each change, and at first.
    pub(crate) async fn follow(self: Arc<Self>, engine: Arc<Engine>, changed: impl Fn() + Send) {
        let mut times = interval(READ_INTERVAL);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut failing, mut summarised) = (false, Instant::now());
        let mut followed = None;
        loop {
            times.tick().await;
            let outcome = self.read(&engine).await;
            metrics::rules_read(outcome.is_ok());
            let revision = Some(self.current().revision());
            if followed != revision {
                followed = revision;
                changed();
            }
            match &outcome {
                Err(error) if !failing => tracing::warn!(
                    error = %ErrorChain(error),
                    "the serving rules cannot be read, the last ones stay"
                ),
                Ok(()) if failing => tracing::info!("the serving rules are read again"),
                _ => {}
            }
            failing = outcome.is_err();
            if summarised.elapsed() >= SUMMARY_INTERVAL {
                summarised = Instant::now();
                let count = self.refused.swap(0, Ordering::Relaxed);
                if count > 0 {
                    tracing::info!(count, "connections and requests were refused by serving rules");
                }
            }
        }
    }

    /// Reads the rules, if they have changed.
    pub(crate) async fn read(&self, engine: &Engine) -> Result<(), StoreError> {
        if engine.rules_revision().await? == self.current().revision() {
            return Ok(());
        }
        let rules = engine.rules().await?;
        let (revision, count) = (rules.revision(), rules.rules().len());
        tracing::info!(revision, count, "the serving rules have changed");
        self.replace(rules);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::options::Limits;
    use crate::test_support::{TestServer, toy};
    use tolmach_domain::Timestamp;
    use tolmach_engine::ports::{NewRule, RuleEffect, RuleSubject, Store};

    #[tokio::test]
    async fn a_change_of_the_store_is_followed_and_a_lost_store_keeps_the_last_rules() {
        let server = TestServer::new(toy(), Limits::default()).await;
        let (engine, rules) = (&server.backend.engine, &server.state.rules);
        assert_eq!(rules.generation(), 0);
        let effect = RuleEffect::Refused { from: Timestamp::default() };
        let rule = NewRule { subject: RuleSubject::default(), effect };
        let number = engine.set_rule(rule.clone()).await.unwrap();
        assert_eq!(rules.generation(), 0, "the store was not read since");
        rules.read(engine).await.unwrap();
        assert_eq!(rules.current().rules().len(), 1);
        let generation = rules.generation();
        assert_ne!(generation, 0);
        engine.remove_rules(&[number]).await.unwrap();
        rules.read(engine).await.unwrap();
        assert_eq!((rules.generation(), rules.current().rules()), (0, &[][..]));
        engine.set_rule(rule).await.unwrap();
        rules.read(engine).await.unwrap();
        assert!(![0, generation].contains(&rules.generation()), "they are looked at again");
        server.backend.store.close().await;
        rules.read(engine).await.unwrap_err();
        assert_eq!(rules.current().rules().len(), 1);
    }
}
