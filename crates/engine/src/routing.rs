//! Routes: the serving rules that say which server serves a user, and which one gets copies of the
//! user's requests.

use crate::ports::{Rule, RuleEffect, RuleSubject};
use crate::rules::is_in_share;
use crate::{Engine, RuleSet};
use std::collections::BTreeSet;
use tolmach_domain::{Fault, UserId};

/// The name of the gateway itself among the servers that routes choose.
pub const HERE: &str = "here";

/// A client whose user is known by login, as routes are about it.
#[derive(Debug, Clone, Copy)]
pub struct RoutedClient<'a> {
    /// The id of its dialect.
    pub dialect: &'a str,
    /// Its revision.
    pub revision: &'a str,
    /// The login of its user, in lower case.
    pub login: &'a str,
}

impl RuleSet {
    /// True if there is a route.
    pub fn has_routes(&self) -> bool {
        self.rules().iter().any(|rule| rule.effect.is_route())
    }

    /// The names of the upstreams that routes lead to.
    pub fn upstreams(&self) -> BTreeSet<&str> {
        let named = self.rules().iter().filter_map(|rule| match &rule.effect {
            RuleEffect::Served { by } => by.as_deref(),
            _ => None,
        });
        named.collect()
    }

    /// The names of the upstreams that get copies of requests.
    pub fn mirrors(&self) -> BTreeSet<&str> {
        let named = self.rules().iter().filter_map(|rule| match &rule.effect {
            RuleEffect::Mirrored { to } => Some(to.as_str()),
            _ => None,
        });
        named.collect()
    }

    /// The name of the upstream that serves a client; `None` for the gateway itself, which serves
    /// those without a route. The most specific route decides: one about a user before one about a
    /// share, a revision and a dialect, in this order.
    pub fn upstream_of(&self, client: &RoutedClient<'_>) -> Option<&str> {
        let is_server = |effect: &RuleEffect| matches!(effect, RuleEffect::Served { .. });
        match &self.route(client, is_server)?.effect {
            RuleEffect::Served { by } => by.as_deref(),
            _ => None,
        }
    }

    /// The name of the upstream that gets copies of a client's requests, by the most specific route
    /// as that of [`Self::upstream_of`].
    pub fn mirror_of(&self, client: &RoutedClient<'_>) -> Option<&str> {
        let is_mirror = |effect: &RuleEffect| matches!(effect, RuleEffect::Mirrored { .. });
        match &self.route(client, is_mirror)?.effect {
            RuleEffect::Mirrored { to } => Some(to),
            _ => None,
        }
    }

    /// The most specific route of one kind.
    fn route(
        &self,
        client: &RoutedClient<'_>,
        is_wanted: impl Fn(&RuleEffect) -> bool,
    ) -> Option<&Rule> {
        let wanted = self.rules().iter().filter(|rule| is_wanted(&rule.effect));
        wanted.filter(|rule| fits(rule, client)).max_by_key(|rule| specificity(&rule.subject))
    }
}

impl Engine {
    /// The login that routes know a user by, in lower case, and the user's account here: a login or
    /// an e-mail address of this world is the account's login, any other text itself.
    pub async fn routed_login(&self, text: &str) -> Result<(String, Option<UserId>), Fault> {
        match self.account(text).await {
            Ok(user) => Ok((user.login.to_lowercase(), Some(user.id))),
            Err(Fault::NoSuchUser) => Ok((text.to_lowercase(), None)),
            Err(fault) => Err(fault),
        }
    }
}

fn fits(rule: &Rule, client: &RoutedClient<'_>) -> bool {
    let RuleSubject { dialect, revision, user, login, network, user_agent, share } = &rule.subject;
    // Routes are about logins: a user of another server has no number here.
    (user.is_none() && network.is_none() && user_agent.is_none())
        && dialect.as_deref().is_none_or(|dialect| dialect == client.dialect)
        && revision.as_deref().is_none_or(|revision| revision == client.revision)
        && login.as_deref().is_none_or(|login| login == client.login)
        && share.is_none_or(|share| {
            is_in_share(share, &rule.effect, &format!("login {}", client.login))
        })
}

/// The rank of a subject: the greater decides. Two routes of one rank fit no client together, as
/// the later one replaces the earlier one.
fn specificity(subject: &RuleSubject) -> (bool, bool, bool, bool) {
    let RuleSubject { dialect, revision, login, share, .. } = subject;
    (login.is_some(), share.is_some(), revision.is_some(), dialect.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Share;

    fn served(by: Option<&str>) -> RuleEffect {
        RuleEffect::Served { by: by.map(str::to_owned) }
    }

    fn rules(rules: impl IntoIterator<Item = (RuleSubject, RuleEffect)>) -> RuleSet {
        let rules = rules.into_iter().zip(1..);
        let rules = rules.map(|((subject, effect), number)| Rule { number, subject, effect });
        RuleSet::new(1, rules.collect())
    }

    fn client(login: &str) -> RoutedClient<'_> {
        RoutedClient { dialect: "mode", revision: "doc", login }
    }

    fn all() -> RuleSubject {
        RuleSubject::default()
    }

    fn of_dialect(dialect: &str) -> RuleSubject {
        RuleSubject { dialect: Some(dialect.into()), ..all() }
    }

    fn of_login(login: &str) -> RuleSubject {
        RuleSubject { login: Some(login.into()), ..all() }
    }

    fn of_share(hundredths: u16) -> RuleSubject {
        RuleSubject { share: Share::new(hundredths).ok(), ..all() }
    }

    #[test]
    fn the_most_specific_route_decides_and_without_one_the_gateway_serves() {
        assert_eq!(rules([]).upstream_of(&client("ann")), None);
        let set = rules([
            (all(), served(Some("old"))),
            (of_dialect("mode"), served(Some("newer"))),
            (of_share(Share::WHOLE), served(Some("newest"))),
            (of_login("ann"), served(None)),
        ]);
        assert_eq!(set.upstream_of(&client("ann")), None);
        assert_eq!(set.upstream_of(&client("bob")), Some("newest"));
        let without_share = rules([
            (all(), served(Some("old"))),
            (of_dialect("mode"), served(Some("newer"))),
            (RuleSubject { revision: Some("doc".into()), ..of_dialect("mode") }, served(None)),
        ]);
        assert_eq!(without_share.upstream_of(&client("bob")), None);
        let literal = RoutedClient { revision: "literal", ..client("bob") };
        assert_eq!(without_share.upstream_of(&literal), Some("newer"));
        let other = RoutedClient { dialect: "bearer", ..client("bob") };
        assert_eq!(without_share.upstream_of(&other), Some("old"));
        assert_eq!(set.upstreams(), BTreeSet::from(["newer", "newest", "old"]));
    }

    #[test]
    fn a_mirror_is_no_server_and_a_state_of_the_life_cycle_is_no_route() {
        let mirrored = || RuleEffect::Mirrored { to: "old".into() };
        let set = rules([(of_dialect("mode"), mirrored()), (all(), RuleEffect::Permitted)]);
        assert!(set.has_routes());
        assert_eq!(set.upstream_of(&client("ann")), None);
        assert_eq!(set.mirror_of(&client("ann")), Some("old"));
        assert_eq!(set.mirror_of(&RoutedClient { dialect: "bearer", ..client("ann") }), None);
        assert_eq!((set.upstreams().len(), set.mirrors()), (0, BTreeSet::from(["old"])));
        assert!(!rules([(all(), RuleEffect::Permitted)]).has_routes());
    }

    #[test]
    fn a_share_has_the_same_logins_at_every_time_and_keeps_them_when_it_grows() {
        let logins: Vec<String> = (0..1_000).map(|number| format!("user{number}")).collect();
        let members = |hundredths| {
            let set = rules([(of_share(hundredths), served(Some("old")))]);
            let served = logins.iter().map(|login| set.upstream_of(&client(login)).is_some());
            served.collect::<Vec<bool>>()
        };
        let (tenth, half) = (members(1_000), members(5_000));
        assert_eq!(tenth, members(1_000));
        let count = |members: &[bool]| members.iter().filter(|member| **member).count();
        assert!((70..130).contains(&count(&tenth)), "{}", count(&tenth));
        assert!((430..570).contains(&count(&half)), "{}", count(&half));
        assert!(tenth.iter().zip(&half).all(|(before, after)| !before || *after));
        assert_eq!(count(&members(Share::WHOLE)), 1_000);
    }
}
