//! Serving rules.

use crate::error::corrupt;
use crate::rows::user_id;
use crate::sql::{self, get};
use sea_orm::{ConnectionTrait, QueryResult};
use std::fmt::Display;
use std::str::FromStr;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{Deprecation, Rule, RuleEffect, RuleSubject, Share, StoreError};

/// The number of changes of rules.
pub(crate) async fn rules_revision<C: ConnectionTrait>(database: &C) -> Result<i64, StoreError> {
    let row = sql::row(database, sql::RULES_REVISION, Vec::new()).await?;
    row.map_or(Ok(0), |row| get(&row, "revision"))
}

/// All rules, ordered by number.
pub(crate) async fn rules<C: ConnectionTrait>(database: &C) -> Result<Vec<Rule>, StoreError> {
    sql::rows(database, sql::RULES, Vec::new()).await?.iter().map(rule).collect()
}

fn rule(row: &QueryResult) -> Result<Rule, StoreError> {
    let share: Option<i64> = get(row, "share")?;
    let share =
        share.map(|share| Share::new(u16::try_from(share).map_err(corrupt)?).map_err(corrupt));
    let subject = RuleSubject {
        dialect: get(row, "dialect")?,
        revision: get(row, "revision")?,
        user: get::<Option<i64>>(row, "user_id")?.map(user_id).transpose()?,
        login: get(row, "login")?,
        network: get::<Option<String>>(row, "network")?.map(|text| parse(&text)).transpose()?,
        user_agent: get(row, "user_agent")?,
        share: share.transpose()?,
    };
    Ok(Rule { number: get(row, "id")?, subject, effect: effect(row)? })
}

fn effect(row: &QueryResult) -> Result<RuleEffect, StoreError> {
    let name: String = get(row, "effect")?;
    let begins_at = || {
        let time = time(row, "begins_at")?;
        time.ok_or_else(|| corrupt("a serving rule without a beginning"))
    };
    Ok(match name.as_str() {
        "permitted" => RuleEffect::Permitted,
        "deprecated" => RuleEffect::Deprecated(Deprecation {
            since: begins_at()?,
            sunset: time(row, "sunset_at")?,
            link: get(row, "link")?,
        }),
        "brownout" => {
            let windows: Option<String> = get(row, "windows")?;
            let windows = windows.unwrap_or_default();
            RuleEffect::Brownout(windows.split(',').map(parse).collect::<Result<_, _>>()?)
        }
        "refused" => RuleEffect::Refused { from: begins_at()? },
        "served" => RuleEffect::Served { by: get(row, "upstream")? },
        "mirrored" => {
            let to: Option<String> = get(row, "upstream")?;
            let to = to.ok_or_else(|| corrupt("a mirroring rule without an upstream"))?;
            RuleEffect::Mirrored { to }
        }
        name => return Err(corrupt(format!("a serving rule with the effect {name:?}"))),
    })
}

fn time(row: &QueryResult, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_micros))
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error| corrupt(format!("{text:?}: {error}")))
}
