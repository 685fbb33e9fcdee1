//! `tolmach route`

use super::lifecycle::check_version;
use super::operator::load_config;
use crate::arguments::Location;
use crate::backend::Backend;
use crate::config::Config;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::lifecycle_arguments::Version;
use crate::route_arguments::{RouteCommand, Target};
use crate::table::table;
use tolmach_engine::HERE;
use tolmach_engine::ports::{NewRule, Rule, RuleEffect, RuleSubject, Share};

pub(crate) async fn run(location: &Location, command: RouteCommand) -> Result<String, CliError> {
    let config = load_config(location)?;
    let route = Route::of(command);
    if let Route::Set { target, is_mirror, .. } = &route {
        check_server(&config, &target.to, *is_mirror)?;
        if let Some(version) = &target.dialect {
            check_version(&config, version)?;
        }
    }
    let backend = Backend::open(&config, &location.data).await?;
    let done = carry_out(&backend, route).await;
    backend.close().await;
    done
}

/// A command, with the route that it sets.
enum Route {
    List,
    Set { user: Option<String>, share: Option<Share>, target: Target, is_mirror: bool },
    Remove(Vec<i64>),
    Rollback,
}

impl Route {
    fn of(command: RouteCommand) -> Self {
        let set = |user, share, target| Self::Set { user, share, target, is_mirror: false };
        match command {
            RouteCommand::List => Self::List,
            RouteCommand::All { target } => set(None, None, target),
            RouteCommand::Pin { user, target } => set(Some(user), None, target),
            RouteCommand::Canary { share, target } => set(None, Some(share), target),
            RouteCommand::Mirror { user, share, target } => {
                Self::Set { user, share, target, is_mirror: true }
            }
            RouteCommand::Stop { rules } => Self::Remove(rules),
            RouteCommand::Rollback => Self::Rollback,
        }
    }
}

/// Fails if there is no server with this name, or if it is no other one where a mirror is wanted.
fn check_server(config: &Config, name: &str, is_mirror: bool) -> Result<(), UsageError> {
    let upstreams = config.bridge.upstreams.keys().map(String::as_str);
    let here = Some(HERE).filter(|_| !is_mirror);
    let servers: Vec<&str> = upstreams.chain(here).collect();
    if servers.contains(&name) {
        return Ok(());
    }
    let existing = match servers.as_slice() {
        [] => "none: the configuration has no section bridge.NAME".to_owned(),
        servers => servers.join(", "),
    };
    Err(UsageError::NoSuchServer { name: name.to_owned(), existing })
}

async fn carry_out(backend: &Backend, route: Route) -> Result<String, CliError> {
    let (user, share, target, is_mirror) = match route {
        Route::List => return Ok(listing(&routes(backend).await?)),
        Route::Remove(numbers) => return remove(backend, &numbers).await,
        Route::Rollback => {
            let numbers: Vec<i64> = routes(backend)
                .await?
                .iter()
                .filter(|rule| !is_general(rule))
                .map(|rule| rule.number)
                .collect();
            return remove(backend, &numbers).await;
        }
        Route::Set { user, share, target, is_mirror } => (user, share, target, is_mirror),
    };
    let Target { to, dialect } = target;
    let effect = match is_mirror {
        true => RuleEffect::Mirrored { to },
        false => RuleEffect::Served { by: Some(to).filter(|to| to != HERE) },
    };
    let login = match user {
        Some(user) => Some(login(backend, &user).await?),
        None => None,
    };
    let (dialect, revision) = dialect.map_or((None, None), |version| {
        let Version { dialect, revision } = version;
        (Some(dialect), revision)
    });
    let subject = RuleSubject { dialect, revision, login, share, ..RuleSubject::default() };
    let number = backend.engine.set_rule(NewRule { subject, effect }).await?;
    Ok(format!("rule {number}\n"))
}

/// The login that routes know a user by: see [`Engine::routed_login`](tolmach_engine::Engine).
async fn login(backend: &Backend, text: &str) -> Result<String, CliError> {
    if text.is_empty() {
        return Err(UsageError::NoLogin.into());
    }
    let (login, _) = backend.engine.routed_login(text).await?;
    Ok(login)
}

async fn routes(backend: &Backend) -> Result<Vec<Rule>, CliError> {
    let rules = backend.engine.rules().await?;
    Ok(rules.rules().iter().filter(|rule| rule.effect.is_route()).cloned().collect())
}

/// True for a route of `tolmach route all`, which a rollback goes back to.
fn is_general(rule: &Rule) -> bool {
    let RuleSubject { login, share, .. } = &rule.subject;
    let is_served = matches!(rule.effect, RuleEffect::Served { .. });
    is_served && login.is_none() && share.is_none()
}

async fn remove(backend: &Backend, numbers: &[i64]) -> Result<String, CliError> {
    let routes = routes(backend).await?;
    let is_route = |number: &&i64| routes.iter().any(|rule| rule.number == **number);
    if let Some(unknown) = numbers.iter().find(|number| !is_route(number)) {
        return Err(RuntimeError::NoSuchRule(unknown.to_string()).into());
    }
    let removed = backend.engine.remove_rules(numbers).await?;
    Ok(format!("{removed} removed\n"))
}

fn listing(rules: &[Rule]) -> String {
    let row = |rule: &Rule| {
        let RuleSubject { dialect, revision, login, share, .. } = &rule.subject;
        let version: Vec<&str> =
            [dialect, revision].into_iter().flatten().map(String::as_str).collect();
        let users = match (login, share) {
            (Some(login), _) => format!("user {login}"),
            (None, Some(share)) => format!("{share} %"),
            (None, None) => "all".to_owned(),
        };
        let server = match &rule.effect {
            RuleEffect::Served { by } => by.as_deref().unwrap_or(HERE),
            RuleEffect::Mirrored { to } => to,
            _ => "",
        };
        let version = if version.is_empty() { "all".to_owned() } else { version.join("/") };
        let effect = rule.effect.name().to_owned();
        [rule.number.to_string(), users, version, effect, server.to_owned()]
    };
    table(["RULE", "USERS", "DIALECT", "ROUTE", "SERVER"], rules.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_engine::ErrorChain;

    #[test]
    fn a_listing_has_the_users_and_the_server_of_each_route_and_a_rollback_keeps_the_general_ones()
    {
        let all = RuleSubject::default;
        let mode = || RuleSubject { dialect: Some("mode".into()), ..all() };
        let served = |by: Option<&str>| RuleEffect::Served { by: by.map(str::to_owned) };
        let rules = [
            (1, all(), served(Some("old"))),
            (2, RuleSubject { revision: Some("doc".into()), ..mode() }, served(None)),
            (5, RuleSubject { share: "10".parse().ok(), ..all() }, served(None)),
            (6, RuleSubject { login: Some("ann".into()), ..mode() }, served(Some("old"))),
            (7, all(), RuleEffect::Mirrored { to: "old".into() }),
        ];
        let rules = rules.map(|(number, subject, effect)| Rule { number, subject, effect });
        assert_eq!(
            listing(&rules),
            "RULE  USERS     DIALECT   ROUTE     SERVER\n\
             1     all       all       served    old\n\
             2     all       mode/doc  served    here\n\
             5     10 %      all       served    here\n\
             6     user ann  mode      served    old\n\
             7     all       all       mirrored  old\n"
        );
        let kept = rules.iter().filter(|rule| is_general(rule)).map(|rule| rule.number);
        assert_eq!(kept.collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn an_error_names_the_servers_that_there_are() {
        let old = "[bridge.old]\nurl = \"ws://a:1\"\ndialect = \"mode\"";
        for (file, name, is_mirror, expected) in [
            (old, "older", false, Some("there is no server \"older\": the servers are old, here")),
            (old, "old", true, None),
            (old, "here", false, None),
            (old, "here", true, Some("the servers are old")),
            ("", "old", true, Some("the servers are none: the configuration has no section")),
        ] {
            let checked = check_server(&Config::with_file(file), name, is_mirror);
            let error = checked.err().map(|error| ErrorChain(&error).to_string());
            let is_expected = match (&error, expected) {
                (Some(error), Some(expected)) => error.contains(expected),
                (error, expected) => error.is_none() && expected.is_none(),
            };
            assert!(is_expected, "{name}: {error:?}");
        }
    }
}
