//! `tolmach lifecycle`

use super::operator::load_config;
use crate::arguments::Location;
use crate::backend::Backend;
use crate::config::Config;
use crate::configured_dialects::configured_dialects;
use crate::dialects::DialectError;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::lifecycle_arguments::{ClearedRules, ClientArguments, LifecycleCommand, Version};
use crate::table::table;
use std::collections::BTreeMap;
use tolmach_domain::{Fault, UserId};
use tolmach_engine::ports::{Deprecation, NewRule, Rule, RuleEffect, RuleSubject, Window};
use tolmach_server::UnknownRevision;

pub(crate) async fn run(
    location: &Location,
    command: LifecycleCommand,
) -> Result<String, CliError> {
    let config = load_config(location)?;
    if let Some(version) = command.version() {
        check_version(&config, version)?;
    }
    let backend = Backend::open(&config, &location.data).await?;
    let done = carry_out(&backend, command).await;
    backend.close().await;
    done
}

impl LifecycleCommand {
    /// The version that it sets a rule about.
    fn version(&self) -> Option<&Version> {
        match self {
            Self::List | Self::Clear { .. } => None,
            Self::Permit { clients }
            | Self::Deprecate { clients, .. }
            | Self::Brownout { clients, .. }
            | Self::Refuse { clients, .. } => Some(&clients.version),
        }
    }
}

/// Fails if a dialect or revision does not exist.
pub(super) fn check_version(config: &Config, version: &Version) -> Result<(), UsageError> {
    let dialects = configured_dialects(config).map_err(UsageError::from)?;
    let manifests = dialects.iter().map(|one| one.dialect.manifest());
    check(version, manifests).map_err(UsageError::from)
}

fn check<'a>(
    version: &Version,
    mut manifests: impl Iterator<Item = &'a tolmach_dialect::Manifest>,
) -> Result<(), DialectError> {
    let found = manifests.find(|manifest| manifest.id == version.dialect);
    let manifest = found.ok_or_else(|| DialectError::Unknown { id: version.dialect.clone() })?;
    let Some(revision) = &version.revision else { return Ok(()) };
    if manifest.revisions.contains(&revision.as_str()) {
        return Ok(());
    }
    let existing = manifest.revisions.to_vec();
    Err(UnknownRevision { dialect: manifest.id, revision: revision.clone(), existing }.into())
}

async fn carry_out(backend: &Backend, command: LifecycleCommand) -> Result<String, CliError> {
    let now = backend.engine.now();
    let (clients, effect) = match command {
        LifecycleCommand::List => return list(backend).await,
        LifecycleCommand::Clear { rules } => return clear(backend, &rules).await,
        LifecycleCommand::Permit { clients } => (clients, RuleEffect::Permitted),
        LifecycleCommand::Deprecate { clients, since, sunset, link } => {
            let since = since.unwrap_or(now);
            (clients, RuleEffect::Deprecated(Deprecation { since, sunset, link }))
        }
        LifecycleCommand::Brownout { clients, windows } => (clients, RuleEffect::Brownout(windows)),
        LifecycleCommand::Refuse { clients, from } => {
            (clients, RuleEffect::Refused { from: from.unwrap_or(now) })
        }
    };
    let subject = subject(backend, clients).await?;
    let number = backend.engine.set_rule(NewRule { subject, effect }).await?;
    Ok(format!("rule {number}\n"))
}

async fn subject(backend: &Backend, clients: ClientArguments) -> Result<RuleSubject, CliError> {
    let ClientArguments { version, user, address, user_agent, share } = clients;
    let user = match user {
        Some(user) => Some(user_number(backend, user).await?),
        None => None,
    };
    let dialect = Some(version.dialect);
    let revision = version.revision;
    let subject = RuleSubject { dialect, revision, user, ..RuleSubject::default() };
    Ok(RuleSubject { network: address, user_agent, share, ..subject })
}

/// The user with this login or e-mail address, or else with this number.
async fn user_number(backend: &Backend, text: String) -> Result<UserId, CliError> {
    match backend.engine.account(&text).await {
        Ok(user) => return Ok(user.id),
        Err(Fault::NoSuchUser) => {}
        Err(fault) => return Err(fault.into()),
    }
    let by_number = match text.parse() {
        Ok(number) => backend.engine.stored_user(number).await?.map(|user| user.id),
        Err(_) => None,
    };
    by_number.ok_or_else(|| RuntimeError::NoSuchAccount(text).into())
}

async fn clear(backend: &Backend, cleared: &[ClearedRules]) -> Result<String, CliError> {
    let rules = lifecycle_rules(backend).await?;
    let mut numbers = Vec::new();
    for selection in cleared {
        let of_selection = rules.iter().filter(|rule| is_cleared(selection, rule));
        let found: Vec<i64> = of_selection.map(|rule| rule.number).collect();
        if found.is_empty() {
            return Err(RuntimeError::NoSuchRule(selection.to_string()).into());
        }
        numbers.extend(found);
    }
    let removed = backend.engine.remove_rules(&numbers).await?;
    Ok(format!("{removed} removed\n"))
}

fn is_cleared(selection: &ClearedRules, rule: &Rule) -> bool {
    match selection {
        ClearedRules::Number(number) => rule.number == *number,
        ClearedRules::Version(Version { dialect, revision }) => {
            rule.subject.dialect.as_ref() == Some(dialect) && rule.subject.revision == *revision
        }
    }
}

async fn list(backend: &Backend) -> Result<String, CliError> {
    let rules = lifecycle_rules(backend).await?;
    let mut logins = BTreeMap::new();
    for user in rules.iter().filter_map(|rule| rule.subject.user) {
        logins.insert(user, backend.engine.login(user).await?.unwrap_or_default());
    }
    Ok(listing(&rules, &logins))
}

/// The rules about versions: those about servers are of `tolmach route`.
async fn lifecycle_rules(backend: &Backend) -> Result<Vec<Rule>, CliError> {
    let rules = backend.engine.rules().await?;
    Ok(rules.rules().iter().filter(|rule| !rule.effect.is_route()).cloned().collect())
}

fn listing(rules: &[Rule], logins: &BTreeMap<UserId, String>) -> String {
    let row = |rule: &Rule| {
        let RuleSubject { dialect, revision, .. } = &rule.subject;
        let version = [dialect.as_deref(), revision.as_deref()];
        [
            rule.number.to_string(),
            version.into_iter().flatten().collect::<Vec<_>>().join("/"),
            clients(&rule.subject, logins),
            rule.effect.name().to_owned(),
            details(&rule.effect),
        ]
    };
    table(["RULE", "VERSION", "CLIENTS", "STATE", "TIME"], rules.iter().map(row))
}

fn clients(subject: &RuleSubject, logins: &BTreeMap<UserId, String>) -> String {
    let RuleSubject { user, network, user_agent, share, .. } = subject;
    let mut parts = Vec::new();
    parts.extend(user.map(|user| {
        let login = logins.get(&user).map(String::as_str).unwrap_or_default();
        format!("user {user} ({login})")
    }));
    parts.extend(network.map(|network| network.to_string()));
    parts.extend(user_agent.as_ref().map(|agent| format!("{agent:?}")));
    parts.extend(share.map(|share| format!("{share} %")));
    if parts.is_empty() { "all".to_owned() } else { parts.join(", ") }
}

fn details(effect: &RuleEffect) -> String {
    match effect {
        RuleEffect::Permitted | RuleEffect::Served { .. } | RuleEffect::Mirrored { .. } => {
            String::new()
        }
        RuleEffect::Deprecated(Deprecation { since, sunset, link }) => {
            let sunset = sunset.map(|time| format!(", sunset {}", time.rfc3339()));
            let link = link.as_ref().map(|link| format!(", {link}"));
            let since = since.rfc3339();
            format!("since {since}{}{}", sunset.unwrap_or_default(), link.unwrap_or_default())
        }
        RuleEffect::Brownout(windows) => {
            windows.iter().map(Window::to_string).collect::<Vec<_>>().join(", ")
        }
        RuleEffect::Refused { from } => format!("from {}", from.rfc3339()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::Timestamp;

    #[test]
    fn a_listing_has_the_clients_and_the_times_of_each_rule() {
        let time = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let mode = RuleSubject { dialect: Some("mode".into()), ..RuleSubject::default() };
        let literal = RuleSubject { revision: Some("literal".into()), ..mode.clone() };
        let user = UserId::new(7).unwrap();
        let announced = Deprecation {
            since: time("2026-12-01T00:00:00Z"),
            sunset: Some(time("2027-03-01T00:00:00Z")),
            link: Some("https://example.org".into()),
        };
        let rules = [
            (1, mode.clone(), RuleEffect::Deprecated(announced)),
            (
                2,
                RuleSubject {
                    share: "10".parse().ok(),
                    network: "10.0.0.0/8".parse().ok(),
                    ..literal.clone()
                },
                RuleEffect::Brownout(vec![Window::Daily { from: 600, until: 615 }]),
            ),
            (4, literal, RuleEffect::Refused { from: time("2027-03-01T00:00:00Z") }),
            (5, RuleSubject { user: Some(user), ..mode }, RuleEffect::Permitted),
        ];
        let rules = rules.map(|(number, subject, effect)| Rule { number, subject, effect });
        let logins = BTreeMap::from([(user, "ann".to_owned())]);
        assert_eq!(
            listing(&rules, &logins),
            "RULE  VERSION       CLIENTS           STATE       TIME\n\
             1     mode          all               deprecated  since 2026-12-01T00:00:00Z, \
             sunset 2027-03-01T00:00:00Z, https://example.org\n\
             2     mode/literal  10.0.0.0/8, 10 %  brownout    10:00-10:15\n\
             4     mode/literal  all               refused     from 2027-03-01T00:00:00Z\n\
             5     mode          user 7 (ann)      permitted\n"
        );
        let of = |text: &str| {
            let selection: ClearedRules = text.parse().unwrap();
            let cleared = rules.iter().filter(|rule| is_cleared(&selection, rule));
            cleared.map(|rule| rule.number).collect::<Vec<_>>()
        };
        assert_eq!(of("mode"), [1, 5]);
        assert_eq!(of("mode/literal"), [2, 4]);
        assert_eq!((of("5"), of("3"), of("morelia")), (vec![5], vec![], vec![]));
    }
}
