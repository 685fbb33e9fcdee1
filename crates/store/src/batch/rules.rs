//! Serving rules.

use super::transaction::Batch;
use crate::sql::{self, get};
use sea_orm::Value;
use tolmach_domain::{Timestamp, UserId};
use tolmach_engine::ports::{NewRule, RuleEffect, RuleSubject, Share, StoreError, too_many_rules};

impl Batch {
    pub(crate) async fn set_rule(&mut self, rule: NewRule, limit: u32) -> Result<i64, StoreError> {
        let slot = rule.slot();
        let counted =
            sql::row(&self.transaction, sql::COUNT_OTHER_RULES, vec![slot.as_str().into()]).await?;
        let others: i64 = counted.map_or(Ok(0), |row| get(&row, "count"))?;
        if others >= i64::from(limit) {
            return Err(too_many_rules(limit).into());
        }
        let mut values = vec![Value::from(slot)];
        values.extend(subject_values(rule.subject));
        values.extend(effect_values(&rule.effect));
        let set = sql::row(&self.transaction, sql::SET_RULE, values).await?;
        let set = set.ok_or_else(|| StoreError::failed("a rule that was set has no number"))?;
        self.count_rule_change().await?;
        get(&set, "id")
    }

    pub(crate) async fn remove_rules(&mut self, numbers: &[i64]) -> Result<u64, StoreError> {
        let mut removed = 0;
        for number in numbers {
            let statement = "DELETE FROM serving_rule WHERE id = $1";
            removed += sql::execute(&self.transaction, statement, vec![(*number).into()]).await?;
        }
        if removed > 0 {
            self.count_rule_change().await?;
        }
        Ok(removed)
    }

    async fn count_rule_change(&mut self) -> Result<(), StoreError> {
        sql::execute(&self.transaction, sql::COUNT_RULE_CHANGE, Vec::new()).await.map(drop)
    }
}

fn subject_values(subject: RuleSubject) -> [Value; 7] {
    let RuleSubject { dialect, revision, user, login, network, user_agent, share } = subject;
    [
        dialect.into(),
        revision.into(),
        user.map(UserId::get).into(),
        login.into(),
        network.map(|network| network.to_string()).into(),
        user_agent.into(),
        share.map(Share::hundredths).map(i64::from).into(),
    ]
}

fn effect_values(effect: &RuleEffect) -> [Value; 6] {
    let upstream = match effect {
        RuleEffect::Served { by } => by.clone(),
        RuleEffect::Mirrored { to } => Some(to.clone()),
        _ => None,
    };
    let (begins_at, sunset, link, windows) = match effect {
        RuleEffect::Permitted | RuleEffect::Served { .. } | RuleEffect::Mirrored { .. } => {
            (None, None, None, None)
        }
        RuleEffect::Deprecated(deprecation) => {
            let link = deprecation.link.clone();
            (Some(deprecation.since), deprecation.sunset, link, None)
        }
        RuleEffect::Brownout(windows) => {
            let windows: Vec<String> = windows.iter().map(ToString::to_string).collect();
            (None, None, None, Some(windows.join(",")))
        }
        RuleEffect::Refused { from } => (Some(*from), None, None, None),
    };
    [
        effect.name().into(),
        begins_at.map(Timestamp::micros).into(),
        sunset.map(Timestamp::micros).into(),
        link.into(),
        windows.into(),
        upstream.into(),
    ]
}
