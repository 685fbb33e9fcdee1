//! Trials of [`RuleStore`](crate::ports::RuleStore).

use super::fixture::{Fixture, HOUR};
use crate::ports::{
    Deprecation, NewRule, Rule, RuleEffect, RuleSubject, Share, StoreError, Window,
};
use tolmach_domain::{Fault, Timestamp, UserId};

const LIMIT: u32 = 10;

fn mode() -> RuleSubject {
    RuleSubject { dialect: Some("mode".into()), ..RuleSubject::default() }
}

/// Every field of a subject and of every effect, beside their absence.
pub async fn a_rule_is_read_as_it_was_set(fixture: &mut Fixture) {
    let now = fixture.tick();
    let store = fixture.store.clone();
    let subject = RuleSubject {
        dialect: Some("mode".into()),
        revision: Some("literal".into()),
        user: UserId::new(7).ok(),
        login: Some("анна \"x\"".into()),
        network: "2001:db8::/32".parse().ok(),
        user_agent: Some("Dash = \"1\" ю".into()),
        share: Share::new(1_225).ok(),
    };
    let windows = vec![
        Window::Daily { from: 23 * 60, until: 30 },
        Window::Dated { from: now, until: now.after(HOUR) },
    ];
    let link = Some("https://example.org/migrate".to_owned());
    let effects = [
        RuleEffect::Permitted,
        RuleEffect::Deprecated(Deprecation { since: now, sunset: None, link: None }),
        RuleEffect::Brownout(windows),
        RuleEffect::Refused { from: now },
        RuleEffect::Served { by: None },
        RuleEffect::Mirrored { to: "old".into() },
    ];
    let announced = Deprecation { since: now, sunset: Some(now.after(HOUR)), link };
    let rules = effects.into_iter().map(|effect| NewRule { subject: subject.clone(), effect });
    let general = NewRule { subject: mode(), effect: RuleEffect::Deprecated(announced) };
    let mut expected = Vec::new();
    for NewRule { subject, effect } in rules.chain([general]) {
        let rule = NewRule { subject: subject.clone(), effect: effect.clone() };
        let number = store.set_rule(rule, LIMIT).await.expect("there is room");
        expected.push(Rule { number, subject, effect });
    }
    assert!(expected.is_sorted_by(|one, next| one.number < next.number));
    assert_eq!(store.rules().await, Ok(expected));
    assert_eq!(fixture.published(), [], "rules are no events");
}

/// Nothing else changes the revision, so that a gateway reads the rules when it has changed.
pub async fn the_revision_of_rules_changes_with_them(fixture: &mut Fixture) {
    let store = fixture.store.clone();
    let revision = async || store.rules_revision().await.expect("the store answers");
    let refused = |from| NewRule { subject: mode(), effect: RuleEffect::Refused { from } };
    let mut last = revision().await;
    assert_eq!((last, store.rules().await), (0, Ok(Vec::new())));
    let mut numbers = Vec::new();
    for from in [Timestamp::default(), fixture.tick()] {
        numbers.push(store.set_rule(refused(from), LIMIT).await.expect("there is room"));
        let next = revision().await;
        assert!(next > last);
        last = next;
    }
    assert_eq!(numbers[0], numbers[1], "a rule that is replaced keeps its number");
    let served = |by: Option<&str>| NewRule {
        subject: mode(),
        effect: RuleEffect::Served { by: by.map(str::to_owned) },
    };
    for by in [None, Some("old"), Some("new")] {
        let number = store.set_rule(served(by), LIMIT).await.expect("there is room");
        let found = store.rules().await.expect("the store answers");
        let set = found.iter().find(|rule| rule.number == number).expect("it was set");
        assert_eq!((&set.effect, found.len()), (&served(by).effect, 2));
    }
    let route = store.rules().await.expect("the store answers")[1].number;
    assert_eq!(store.remove_rules(&[route]).await, Ok(1));
    last = revision().await;
    let unknown = route + 1;
    assert_eq!(store.remove_rules(&[unknown]).await, Ok(0));
    assert_eq!(revision().await, last, "nothing was removed");
    assert_eq!(store.remove_rules(&[numbers[0], unknown]).await, Ok(1));
    assert!(revision().await > last);
    assert_eq!(store.rules().await, Ok(Vec::new()));
    let again = store.set_rule(refused(Timestamp::default()), LIMIT).await.expect("there is room");
    assert!(again > numbers[0], "a number is not given out again");
}

/// The rule that would be one too many is refused; replacing one is not.
pub async fn the_number_of_rules_is_limited(fixture: &mut Fixture) {
    let store = fixture.store.clone();
    let of_user = |user| NewRule {
        subject: RuleSubject { user: UserId::new(user).ok(), ..mode() },
        effect: RuleEffect::Permitted,
    };
    for user in 1..=2 {
        assert!(store.set_rule(of_user(user), 2).await.is_ok());
    }
    let revision = store.rules_revision().await;
    let refused = store.set_rule(of_user(3), 2).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(Fault::Invalid { field: "rules", .. }))),
        "{refused:?}"
    );
    assert_eq!(store.rules_revision().await, revision);
    assert!(store.set_rule(of_user(2), 2).await.is_ok());
    assert_eq!(store.rules().await.expect("the store answers").len(), 2);
}
