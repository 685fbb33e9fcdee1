//! Permissions by role.

use crate::fixture::{Fixture, message as send};
use tolmach_domain::*;
use tolmach_engine::ports::{Clock, UserChange};

/// The outcome of each command for an anonymous caller, a stranger, a member and the owner.
#[tokio::test]
async fn permissions_in_a_group() {
    type Make = fn(FlowId, MessageId, UserId) -> Command;
    let denied = Err(Fault::NoSuchFlow);
    type Outcome = Result<(), Fault>;
    let rows: Vec<(&str, Make, Outcome, Outcome, Outcome)> = vec![
        ("send", |flow, _, _| send(flow, "hello"), denied.clone(), Ok(()), Ok(())),
        (
            "history",
            |flow, _, _| Command::History {
                flow,
                kinds: FlowKindFilter::Any,
                range: HistoryRange::All,
                mark_read: false,
            },
            denied.clone(),
            Ok(()),
            Ok(()),
        ),
        (
            "get_flow",
            |flow, _, _| Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true },
            denied.clone(),
            Ok(()),
            Ok(()),
        ),
        (
            "get_photo",
            |flow, _, _| Command::GetPhoto { of: PhotoOf::Flow(flow) },
            denied.clone(),
            Err(Fault::NoPhoto),
            Err(Fault::NoPhoto),
        ),
        (
            "get_changes",
            |flow, _, _| Command::GetChanges {
                since: Timestamp::default(),
                flow: Some(flow),
                limit: 10,
            },
            denied.clone(),
            Ok(()),
            Ok(()),
        ),
        (
            "show_typing",
            |flow, _, _| Command::ShowTyping { flow, active: true },
            denied.clone(),
            Ok(()),
            Ok(()),
        ),
        (
            "edit",
            |_, message, _| Command::Edit { message, flow: None, text: "new".into() },
            Err(Fault::NoSuchMessage),
            Err(Fault::NotAuthor),
            Ok(()),
        ),
        (
            "add_members",
            |flow, _, other| Command::AddMembers { flow, users: vec![other] },
            denied.clone(),
            Err(Fault::NotOwner),
            Ok(()),
        ),
        (
            "remove_members",
            |flow, _, other| Command::RemoveMembers { flow, users: vec![other] },
            denied.clone(),
            Err(Fault::NotOwner),
            Ok(()),
        ),
        (
            "delete",
            |_, message, _| Command::Delete {
                messages: vec![message],
                flow: None,
                all_or_none: false,
            },
            Err(Fault::NoSuchMessage),
            Err(Fault::NotAuthor),
            Ok(()),
        ),
        (
            "delete_flow",
            |flow, _, _| Command::DeleteFlow { flow, kinds: FlowKindFilter::Any },
            denied.clone(),
            Err(Fault::NotOwner),
            Ok(()),
        ),
    ];
    let fixture = Fixture::new();
    let (_, owner) = fixture.user("owner").await;
    let (member_id, member) = fixture.user("member").await;
    let (_, stranger) = fixture.user("stranger").await;
    let (newcomer, _) = fixture.user("newcomer").await;
    let flow = fixture.group(&owner, &[member_id]).await;
    let message = fixture.send(&owner, flow, "the owner's").await.unwrap().id;
    for (name, make, as_stranger, as_member, as_owner) in rows {
        let command = || make(flow, message, newcomer);
        assert_eq!(command().name(), name);
        for (who, credentials, expected) in [
            ("an anonymous caller", &Credentials::Nothing, Err(Fault::Unauthenticated)),
            ("a stranger", &stranger, as_stranger),
            ("a member", &member, as_member),
            ("the owner", &owner, as_owner),
        ] {
            assert_eq!(
                fixture.execute(credentials, command()).await.map(|_| ()),
                expected,
                "{name} by {who}"
            );
        }
    }
    assert_eq!(fixture.send(&owner, flow, "gone").await, Err(Fault::NoSuchFlow));
}

#[tokio::test]
async fn an_administrator_reads_everything_but_writes_only_where_a_member_has_business() {
    let fixture = Fixture::new();
    let (owner_id, owner) = fixture.user("owner").await;
    let (admin_id, admin) = fixture.user("admin").await;
    let flow = fixture.group(&owner, &[]).await;
    let message = fixture.send(&owner, flow, "hello").await.unwrap().id;
    let read = || Command::History {
        flow,
        kinds: FlowKindFilter::Any,
        range: HistoryRange::All,
        mark_read: false,
    };
    assert_eq!(
        fixture.execute_as(&admin, Authority::Administrator, read()).await,
        Err(Fault::NotAdministrator)
    );
    let change = |change: UserChange, user| {
        fixture.engine.change_account(user, change, None, fixture.clock.now())
    };
    change(UserChange { admin: Some(true), ..UserChange::default() }, admin_id).await.unwrap();
    assert!(fixture.execute_as(&admin, Authority::Administrator, read()).await.is_ok());
    assert_eq!(
        fixture.execute(&admin, read()).await,
        Err(Fault::NoSuchFlow),
        "the right must be claimed"
    );
    let edit = || Command::Edit { message, flow: Some(flow), text: "no".into() };
    let delete =
        || Command::Delete { messages: vec![message], flow: Some(flow), all_or_none: false };
    for command in [send(flow, "x"), edit(), delete()] {
        assert_eq!(
            fixture.execute_as(&admin, Authority::Administrator, command).await,
            Err(Fault::NoBusiness)
        );
    }
    change(UserChange { business: Some(true), ..UserChange::default() }, owner_id).await.unwrap();
    assert!(
        fixture
            .execute_as(&admin, Authority::Administrator, send(flow, "from the administrator"))
            .await
            .is_ok()
    );
    assert_eq!(
        fixture.execute_as(&admin, Authority::Administrator, edit()).await,
        Err(Fault::NotAuthor)
    );
    assert!(fixture.execute_as(&admin, Authority::Administrator, delete()).await.is_ok());
    assert_eq!(fixture.texts(&owner, flow).await, ["from the administrator"]);
}
