//! The serving rules that are in force, and the state of one client under them.

use crate::Engine;
use crate::address_group::address_group;
use crate::ports::{
    Deprecation, MAX_RULES, NewRule, Rule, RuleEffect, RuleSubject, Share, StoreError,
};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::net::IpAddr;
use tolmach_domain::{Fault, Timestamp, UserId};

/// The text of a request that is refused for good. The shortest bound of a wire is 64 letters.
const NO_LONGER_SERVED: &str = "this version is no longer served";

/// All rules, as they were at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSet {
    revision: i64,
    rules: Vec<Rule>,
}

/// A client, as far as rules are about it.
#[derive(Debug, Clone, Copy)]
pub struct RuledClient<'a> {
    /// The id of its dialect.
    pub dialect: &'a str,
    /// Its revision.
    pub revision: &'a str,
    /// Its user.
    pub user: RuledUser,
    /// Its address.
    pub address: IpAddr,
    /// Its `User-Agent` header.
    pub user_agent: Option<&'a str>,
}

/// The user of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuledUser {
    /// A user who has proven to be this one.
    Known(UserId),
    /// Nobody yet. A share counts the client's address instead.
    Unknown,
    /// The request that is looked at proves the user: rules about users and shares wait for that.
    Pending,
}

/// The state of a client in the life cycle of its dialect and revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// The reason why it is refused now, if it is.
    pub refusal: Option<Refusal>,
    /// The announcement that it is to be told.
    pub deprecation: Option<Deprecation>,
    /// The time at which the state may change without a change of the rules.
    pub until: Option<Timestamp>,
}

impl Lifecycle {
    /// True if nothing is to be done.
    pub fn is_permitted(&self) -> bool {
        self.refusal.is_none() && self.deprecation.is_none()
    }

    /// A short stable name, for metrics.
    pub fn name(&self) -> &'static str {
        match (&self.refusal, &self.deprecation) {
            (Some(Refusal::Brownout { .. }), _) => "brownout",
            (Some(Refusal::Final), _) => "refused",
            (None, Some(_)) => "deprecated",
            (None, None) => "permitted",
        }
    }
}

/// The reason why a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A brownout, until this time.
    Brownout {
        /// The end of the window.
        until: Timestamp,
    },
    /// Its dialect or revision is served no longer.
    Final,
}

impl Refusal {
    /// The fault that its requests are refused with.
    pub fn fault(self, now: Timestamp) -> Fault {
        match self {
            Self::Brownout { until } => Fault::TooMany { retry_after: until.since(now) },
            Self::Final => Fault::invalid("request", NO_LONGER_SERVED),
        }
    }
}

impl RuleSet {
    /// These rules, which were read at this revision or a later one.
    pub fn new(revision: i64, rules: Vec<Rule>) -> Self {
        Self { revision, rules }
    }

    /// The revision.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The rules, ordered by number.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The state of a client. Of the rules in force that it fits, the most specific decides: one
    /// about a user before one about a network, a user agent, a share, a revision and a dialect, in
    /// this order; of equally specific ones the strictest. The announcement is that of the most
    /// specific rule with one, unless a rule before it permits the client.
    pub fn lifecycle(&self, client: &RuledClient<'_>, now: Timestamp) -> Lifecycle {
        let mut lifecycle = Lifecycle::default();
        let mut in_force = Vec::new();
        for rule in self.rules.iter().filter(|rule| fits(rule, client)) {
            let changes = [lifecycle.until, next_change(&rule.effect, now)];
            lifecycle.until = changes.into_iter().flatten().min();
            in_force.extend(strictness(&rule.effect, now).map(|strict| (strict, rule)));
        }
        in_force.sort_by_key(|(strict, rule)| Reverse((specificity(&rule.subject), *strict)));
        lifecycle.refusal = in_force.first().and_then(|(_, rule)| match &rule.effect {
            RuleEffect::Brownout(windows) => {
                let end = windows.iter().filter_map(|window| window.end_at(now)).max();
                end.map(|until| Refusal::Brownout { until })
            }
            RuleEffect::Refused { .. } => Some(Refusal::Final),
            // Routes are not in force here.
            RuleEffect::Permitted
            | RuleEffect::Deprecated(_)
            | RuleEffect::Served { .. }
            | RuleEffect::Mirrored { .. } => None,
        });
        let effects = in_force.iter().map(|(_, rule)| &rule.effect);
        let mut not_excepted = effects.take_while(|effect| **effect != RuleEffect::Permitted);
        lifecycle.deprecation = not_excepted.find_map(|effect| match effect {
            RuleEffect::Deprecated(deprecation) => Some(deprecation.clone()),
            _ => None,
        });
        lifecycle
    }
}

/// The rank among equally specific rules; `None` while the rule is not in force, and for routes.
fn strictness(effect: &RuleEffect, now: Timestamp) -> Option<u8> {
    match effect {
        RuleEffect::Permitted => Some(0),
        RuleEffect::Deprecated(_) => Some(1),
        RuleEffect::Brownout(windows) => {
            windows.iter().any(|window| window.end_at(now).is_some()).then_some(2)
        }
        RuleEffect::Refused { from } => (*from <= now).then_some(3),
        RuleEffect::Served { .. } | RuleEffect::Mirrored { .. } => None,
    }
}

/// The next time at which a rule begins or ends to be in force.
fn next_change(effect: &RuleEffect, now: Timestamp) -> Option<Timestamp> {
    match effect {
        RuleEffect::Permitted
        | RuleEffect::Deprecated(_)
        | RuleEffect::Served { .. }
        | RuleEffect::Mirrored { .. } => None,
        RuleEffect::Brownout(windows) => {
            windows.iter().filter_map(|window| window.next_change(now)).min()
        }
        RuleEffect::Refused { from } => (now < *from).then_some(*from),
    }
}

/// The rank of a subject: the greater decides.
fn specificity(subject: &RuleSubject) -> (bool, u16, bool, bool, bool, bool) {
    let RuleSubject { dialect, revision, user, login: _, network, user_agent, share } = subject;
    let network = network.map_or(0, |network| 1 + u16::from(network.prefix_len()));
    (
        user.is_some(),
        network,
        user_agent.is_some(),
        share.is_some(),
        revision.is_some(),
        dialect.is_some(),
    )
}

fn fits(rule: &Rule, client: &RuledClient<'_>) -> bool {
    let RuleSubject { dialect, revision, user, login, network, user_agent, share } = &rule.subject;
    // Of a client only the user's number is known here.
    login.is_none()
        && dialect.as_deref().is_none_or(|dialect| dialect == client.dialect)
        && revision.as_deref().is_none_or(|revision| revision == client.revision)
        && user.is_none_or(|user| client.user == RuledUser::Known(user))
        && network.is_none_or(|network| network.contains(&client.address.to_canonical()))
        && user_agent
            .as_deref()
            .is_none_or(|part| client.user_agent.is_some_and(|agent| agent.contains(part)))
        && share.is_none_or(|share| contains(share, &rule.effect, client))
}

/// True if a client belongs to a share: by a hash of its user, or of its address while it has none.
/// A larger share contains the smaller ones of the same effect; shares of different effects are
/// independent.
fn contains(share: Share, effect: &RuleEffect, client: &RuledClient<'_>) -> bool {
    let client = match client.user {
        RuledUser::Known(user) => format!("user {user}"),
        RuledUser::Unknown => format!("address {}", address_group(client.address)),
        RuledUser::Pending => return false,
    };
    is_in_share(share, effect, &client)
}

/// True if a share of this effect contains the client that a text stands for.
pub(crate) fn is_in_share(share: Share, effect: &RuleEffect, client: &str) -> bool {
    let hash = Sha256::digest(format!("{} {client}", effect.name()));
    let number = hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    number % u64::from(Share::WHOLE) < u64::from(share.hundredths())
}

impl Engine {
    /// The number of changes of rules so far.
    pub async fn rules_revision(&self) -> Result<i64, StoreError> {
        self.ports.store.rules_revision().await
    }

    /// All rules.
    pub async fn rules(&self) -> Result<RuleSet, StoreError> {
        // Read first: a change between the two reads shows as another revision the next time.
        let revision = self.ports.store.rules_revision().await?;
        Ok(RuleSet::new(revision, self.ports.store.rules().await?))
    }

    /// Stores a rule and returns its number; see
    /// [`RuleStore::set_rule`](crate::ports::RuleStore::set_rule).
    pub async fn set_rule(&self, rule: NewRule) -> Result<i64, StoreError> {
        self.ports.store.set_rule(rule, MAX_RULES).await
    }

    /// Removes rules; see [`RuleStore::remove_rules`](crate::ports::RuleStore::remove_rules).
    pub async fn remove_rules(&self, numbers: &[i64]) -> Result<u64, StoreError> {
        self.ports.store.remove_rules(numbers).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: i64 = 1_800_000_000_000_000;

    fn now() -> Timestamp {
        Timestamp::from_micros(NOW)
    }

    fn user(number: i64) -> UserId {
        UserId::new(number).unwrap()
    }

    fn client(user: RuledUser) -> RuledClient<'static> {
        RuledClient {
            dialect: "mode",
            revision: "literal",
            user,
            address: [10, 1, 2, 3].into(),
            user_agent: Some("Dash/1.2"),
        }
    }

    fn mode() -> RuleSubject {
        RuleSubject { dialect: Some("mode".into()), ..RuleSubject::default() }
    }

    fn refused() -> RuleEffect {
        RuleEffect::Refused { from: now() }
    }

    fn deprecated() -> RuleEffect {
        RuleEffect::Deprecated(Deprecation { since: now(), sunset: None, link: None })
    }

    fn brownout(windows: &str) -> RuleEffect {
        RuleEffect::Brownout(windows.split(',').map(|window| window.parse().unwrap()).collect())
    }

    fn rules(rules: impl IntoIterator<Item = (RuleSubject, RuleEffect)>) -> RuleSet {
        let rules = rules.into_iter().zip(1..);
        let rules = rules.map(|((subject, effect), number)| Rule { number, subject, effect });
        RuleSet::new(1, rules.collect())
    }

    fn state(set: &RuleSet, client: &RuledClient<'_>) -> &'static str {
        set.lifecycle(client, now()).name()
    }

    #[test]
    fn a_rule_is_about_the_clients_that_fit_everything_that_it_gives() {
        let revision = |name: &str| RuleSubject { revision: Some(name.into()), ..mode() };
        let network = |text: &str| RuleSubject { network: text.parse().ok(), ..mode() };
        let agent = |text: &str| RuleSubject { user_agent: Some(text.into()), ..mode() };
        for (subject, fits) in [
            (RuleSubject::default(), true),
            (mode(), true),
            (RuleSubject { dialect: Some("morelia".into()), ..RuleSubject::default() }, false),
            (revision("literal"), true),
            (revision("doc"), false),
            (RuleSubject { user: Some(user(7)), ..mode() }, true),
            (RuleSubject { user: Some(user(8)), ..mode() }, false),
            (network("10.0.0.0/8"), true),
            (network("11.0.0.0/8"), false),
            (agent("Dash"), true),
            (agent("dash"), false),
            (RuleSubject { revision: Some("doc".into()), ..agent("Dash") }, false),
        ] {
            let set = rules([(subject.clone(), refused())]);
            let expected = if fits { "refused" } else { "permitted" };
            assert_eq!(state(&set, &client(RuledUser::Known(user(7)))), expected, "{subject:?}");
        }
        let mapped = RuledClient {
            address: "::ffff:10.1.2.3".parse().unwrap(),
            ..client(RuledUser::Unknown)
        };
        assert_eq!(state(&rules([(network("10.0.0.0/8"), refused())]), &mapped), "refused");
        let unnamed = RuledClient { user_agent: None, ..client(RuledUser::Unknown) };
        assert_eq!(state(&rules([(agent("Dash"), refused())]), &unnamed), "permitted");
    }

    #[test]
    fn the_most_specific_rule_decides_and_the_strictest_of_equal_ones() {
        let whole = Share::new(Share::WHOLE).ok();
        let of_user = RuleSubject { user: Some(user(7)), ..mode() };
        let of_network = |text: &str| RuleSubject { network: text.parse().ok(), ..mode() };
        let of_agent = RuleSubject { user_agent: Some("Dash".into()), ..mode() };
        let of_share = RuleSubject { share: whole, ..mode() };
        let of_revision = RuleSubject { revision: Some("literal".into()), ..mode() };
        let order = [
            of_user,
            of_network("10.1.2.0/24"),
            of_network("10.0.0.0/8"),
            of_agent,
            of_share,
            of_revision,
            mode(),
            RuleSubject::default(),
        ];
        for pair in order.windows(2) {
            let [specific, general] = [&pair[0], &pair[1]].map(Clone::clone);
            for (first, second, expected) in [
                (RuleEffect::Permitted, refused(), "permitted"),
                (refused(), RuleEffect::Permitted, "refused"),
                (deprecated(), refused(), "deprecated"),
            ] {
                let rows = [(general.clone(), second), (specific.clone(), first)];
                for rows in [rows.clone(), [rows[1].clone(), rows[0].clone()]] {
                    let found = state(&rules(rows), &client(RuledUser::Known(user(7))));
                    assert_eq!(found, expected, "{specific:?} before {general:?}");
                }
            }
        }
        let always = brownout("2000-01-01T00:00:00Z/2100-01-01T00:00:00Z");
        let effects = [RuleEffect::Permitted, deprecated(), always, refused()];
        for strictest in 0..effects.len() {
            let equal = effects.iter().take(strictest + 1).map(|effect| (mode(), effect.clone()));
            let found = state(&rules(equal), &client(RuledUser::Unknown));
            assert_eq!(found, effects[strictest].name());
        }
    }

    #[test]
    fn a_rule_outside_of_its_time_leaves_the_decision_to_the_next_one() {
        let later = now().after(Duration::from_secs(60));
        let dated = format!("{}/2100-01-01T00:00:00Z", later.rfc3339());
        let of_user = RuleSubject { user: Some(user(7)), ..mode() };
        let set = rules([
            (of_user.clone(), brownout(&dated)),
            (of_user, RuleEffect::Refused { from: later.after(Duration::from_secs(60)) }),
            (mode(), deprecated()),
        ]);
        let client = client(RuledUser::Known(user(7)));
        let before = set.lifecycle(&client, now());
        assert_eq!((before.name(), before.until), ("deprecated", Some(later)));
        let during = set.lifecycle(&client, later);
        assert_eq!(during.until, Some(later.after(Duration::from_secs(60))));
        let Some(Refusal::Brownout { until }) = during.refusal else { panic!("{during:?}") };
        assert_eq!(until, Timestamp::parse_rfc3339("2100-01-01T00:00:00Z").unwrap());
        assert!(during.deprecation.is_some(), "it is told beside the refusal");
        let after = set.lifecycle(&client, later.after(Duration::from_secs(60)));
        assert_eq!(after.refusal, Some(Refusal::Final));
    }

    #[test]
    fn an_exception_hides_the_announcement_of_a_more_general_rule() {
        let of_user = RuleSubject { user: Some(user(7)), ..mode() };
        let set = rules([(mode(), deprecated()), (of_user, RuleEffect::Permitted)]);
        let [own, other] =
            [7, 8].map(|number| set.lifecycle(&client(RuledUser::Known(user(number))), now()));
        assert_eq!((own.name(), other.name()), ("permitted", "deprecated"));
    }

    #[test]
    fn a_brownout_tells_the_time_that_is_left_and_a_final_refusal_its_reason() {
        let until = now().after(Duration::from_secs(90));
        let retry_after = Duration::from_secs(90);
        assert_eq!(Refusal::Brownout { until }.fault(now()), Fault::TooMany { retry_after });
        assert!(matches!(
            Refusal::Final.fault(now()),
            Fault::Invalid { field: "request", reason } if reason.len() <= 64
        ));
    }

    #[test]
    fn a_share_is_deterministic_close_to_its_size_and_within_every_larger_one() {
        const CLIENTS: i64 = 1_000;
        let set = |share: &str| {
            let share = share.parse().ok();
            rules([(RuleSubject { share, ..mode() }, refused())])
        };
        let of_user = |number| client(RuledUser::Known(user(number)));
        let of_address = |number: i64| {
            let [.., high, low] = number.to_be_bytes();
            RuledClient { address: [10, 0, high, low].into(), ..client(RuledUser::Unknown) }
        };
        let mut before: Vec<bool> = vec![false; 2 * CLIENTS as usize];
        for (share, least, most) in [
            ("1", 2, 20),
            ("10", 75, 125),
            ("25", 215, 285),
            ("50", 460, 540),
            ("100", 1_000, 1_000),
        ] {
            let set = set(share);
            let users = (1..=CLIENTS).map(of_user);
            let clients: Vec<_> = users.chain((1..=CLIENTS).map(of_address)).collect();
            let refused = |client: &RuledClient<'_>| state(&set, client) == "refused";
            let members: Vec<bool> = clients.iter().map(refused).collect();
            assert_eq!(members, clients.iter().map(refused).collect::<Vec<_>>());
            for half in members.chunks(CLIENTS as usize) {
                let count = half.iter().filter(|member| **member).count();
                assert!((least..=most).contains(&count), "{count} of {CLIENTS} in {share} %");
            }
            let kept = before.iter().zip(&members).all(|(before, now)| !before || *now);
            assert!(kept, "a member of a smaller share is in {share} %");
            before = members;
        }
    }

    #[test]
    fn rules_about_users_and_shares_wait_for_the_proof_of_the_user() {
        let share = Share::new(Share::WHOLE).ok();
        let of_share = rules([(RuleSubject { share, ..mode() }, refused())]);
        let of_user = rules([(RuleSubject { user: Some(user(7)), ..mode() }, refused())]);
        for (set, pending, unknown) in
            [(of_share, "permitted", "refused"), (of_user, "permitted", "permitted")]
        {
            assert_eq!(state(&set, &client(RuledUser::Pending)), pending);
            assert_eq!(state(&set, &client(RuledUser::Unknown)), unknown);
            assert_eq!(state(&set, &client(RuledUser::Known(user(7)))), "refused");
        }
        let of_dialect = rules([(mode(), refused())]);
        assert_eq!(state(&of_dialect, &client(RuledUser::Pending)), "refused");
    }
}
