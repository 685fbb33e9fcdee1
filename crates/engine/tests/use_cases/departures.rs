//! Leaving groups and channels.

use crate::fixture::{Fixture, PNG};
use bytes::Bytes;
use tolmach_domain::*;

fn leave(flow: FlowId, user: UserId) -> Command {
    Command::RemoveMembers { flow, users: vec![user] }
}

#[tokio::test]
async fn a_member_who_is_not_the_owner_removes_themselves_and_no_other() {
    let fixture = Fixture::new();
    let (owner_id, owner) = fixture.user("owner").await;
    let (member_id, member) = fixture.user("member").await;
    let (other_id, _) = fixture.user("other").await;
    let flow = fixture.group(&owner, &[member_id, other_id]).await;
    for users in [vec![other_id], vec![owner_id], vec![member_id, other_id]] {
        let outcome = fixture.execute(&member, Command::RemoveMembers { flow, users }).await;
        assert_eq!(outcome, Err(Fault::NotOwner));
    }
    let left = fixture.execute(&member, leave(flow, member_id)).await;
    assert_eq!(left, Ok(Answer::MembersRemoved { flow, users: vec![member_id] }));
    assert_eq!(fixture.send(&member, flow, "late").await, Err(Fault::NoSuchFlow));
    assert_eq!(fixture.execute(&member, leave(flow, member_id)).await, Err(Fault::NoSuchFlow));
}

#[tokio::test]
async fn the_owner_leaves_alone_and_the_next_owner_may_add_members() {
    let fixture = Fixture::new();
    let (owner_id, owner) = fixture.user("owner").await;
    let (member_id, member) = fixture.user("member").await;
    let (other_id, _) = fixture.user("other").await;
    let flow = fixture.group(&owner, &[member_id]).await;
    let both = Command::RemoveMembers { flow, users: vec![owner_id, member_id] };
    assert!(matches!(
        fixture.execute(&owner, both).await,
        Err(Fault::Invalid { field: "users", .. })
    ));
    assert!(fixture.execute(&owner, leave(flow, owner_id)).await.is_ok());
    let add = Command::AddMembers { flow, users: vec![other_id] };
    assert_eq!(fixture.execute(&owner, add.clone()).await, Err(Fault::NoSuchFlow));
    assert!(fixture.execute(&member, add).await.is_ok());
}

#[tokio::test]
async fn nothing_is_left_of_a_group_without_members() {
    let fixture = Fixture::new();
    let (owner_id, owner) = fixture.user("owner").await;
    let photo = Photo { media_type: "image/png".into(), content: Bytes::from_static(PNG) };
    let group = Command::CreateFlow(Box::new(NewFlow {
        kind: FlowKind::Group,
        title: "G".into(),
        info: String::new(),
        members: vec![],
        photo: Some(photo),
        key: None,
    }));
    let Ok(Answer::FlowCreated { flow, .. }) = fixture.execute(&owner, group).await else {
        panic!()
    };
    assert_eq!(fixture.blobs.keys().len(), 1);
    assert!(fixture.execute(&owner, leave(flow, owner_id)).await.is_ok());
    assert_eq!(fixture.blobs.keys(), Vec::<String>::new());
    assert_eq!(fixture.send(&owner, flow, "gone").await, Err(Fault::NoSuchFlow));
}

#[tokio::test]
async fn a_chat_cannot_be_left() {
    let fixture = Fixture::new();
    let (anna_id, anna) = fixture.user("anna").await;
    let (boris_id, _) = fixture.user("boris").await;
    let open = Command::OpenChat { with: UserRef::Id(boris_id) };
    let Ok(Answer::ChatOpened { flow, .. }) = fixture.execute(&anna, open).await else { panic!() };
    assert_eq!(fixture.execute(&anna, leave(flow, anna_id)).await, Err(Fault::WrongKind));
}
