//! Trials of [`FlowStore::acquaintances`](crate::ports::FlowStore::acquaintances).

use super::fixture::{Fixture, new_message};
use crate::ports::{FlowLimits, PostMessage};
use tolmach_domain::User;

/// Those of the users whom `viewer` is acquainted with, by login.
async fn acquaintances<'a>(fixture: &Fixture, viewer: &User, users: &[&'a User]) -> Vec<&'a str> {
    let ids: Vec<_> = users.iter().map(|user| user.id).collect();
    let found = fixture.store.acquaintances(viewer.id, &ids).await.expect("the store answers");
    let found = users.iter().filter(|user| found.contains(&user.id));
    found.map(|user| user.login.as_str()).collect()
}

/// Being added to a flow is no act; it counts for both sides.
pub async fn members_who_both_acted_in_a_flow_are_acquaintances(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let all = [&anna, &boris, &clara];
    let group = fixture.group(&anna, &[&boris, &clara]).await;
    for viewer in all {
        assert_eq!(acquaintances(fixture, viewer, &[&boris, &clara]).await, [""; 0]);
    }
    assert_eq!(acquaintances(fixture, &boris, &all).await, [""; 0], "only the owner has acted");
    let first = fixture.post(&group, &boris, "hello").await;
    for (viewer, others, expected) in [
        (&anna, [&boris, &clara], vec!["boris"]),
        (&boris, [&anna, &clara], vec!["anna"]),
        (&clara, [&anna, &boris], vec![]),
    ] {
        assert_eq!(acquaintances(fixture, viewer, &others).await, expected, "{}", viewer.login);
    }
    fixture.delete(&boris, &[&first]).await;
    assert_eq!(acquaintances(fixture, &anna, &[&boris]).await, ["boris"], "it was an act");
    assert_eq!(acquaintances(fixture, &anna, &[]).await, [""; 0]);
    // Membership ends the acquaintance, and a new one begins without an act.
    let (users, now) = ([boris.id], fixture.tick());
    let removed = fixture.store.remove_members(group.id, anna.id, &users, None, now).await;
    removed.expect("the owner may remove");
    assert_eq!(acquaintances(fixture, &anna, &[&boris]).await, [""; 0]);
    let now = fixture.tick();
    let added =
        fixture.store.add_members(group.id, anna.id, &users, FlowLimits::NONE, None, now).await;
    added.expect("the owner may add");
    assert_eq!(acquaintances(fixture, &anna, &[&boris]).await, [""; 0]);
}

/// The user who opens the chat acts, also where the other one created it.
pub async fn opening_a_chat_is_an_act(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    for (by, with, expected) in [(&anna, &boris, vec![]), (&boris, &anna, vec!["anna"])] {
        let now = fixture.tick();
        let opened = fixture.store.open_chat(by.id, with.id, FlowLimits::NONE, None, now).await;
        opened.expect("both users exist");
        assert_eq!(acquaintances(fixture, &boris, &[&anna]).await, expected, "{}", by.login);
    }
    let now = fixture.tick();
    fixture.store.delete_user(anna.id, now).await.expect("the user exists");
    assert_eq!(acquaintances(fixture, &boris, &[&anna]).await, [""; 0]);
}

/// An administrator who is not a member acts in no flow.
pub async fn a_post_as_administrator_is_no_act(fixture: &mut Fixture) {
    let [anna, admin] = fixture.users(["anna", "admin"]).await;
    let group = fixture.group(&anna, &[]).await;
    let now = fixture.tick();
    let message = PostMessage { administrator: true, ..new_message(group.id, &admin, "hello") };
    fixture.store.post(message, now).await.expect("administrators may post");
    assert_eq!(acquaintances(fixture, &admin, &[&anna]).await, [""; 0]);
    assert_eq!(acquaintances(fixture, &anna, &[&admin]).await, [""; 0]);
}
