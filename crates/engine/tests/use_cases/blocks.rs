//! Blocking users.

use crate::fixture::Fixture;
use tolmach_domain::*;
use tolmach_engine::ports::{Bus, Signal};

#[tokio::test]
async fn a_user_blocks_lists_and_unblocks_others() {
    let fixture = Fixture::new();
    let (anna_id, anna) = fixture.user("anna").await;
    let (boris_id, boris) = fixture.user("boris").await;
    let block = |user| Command::Block { user };
    for user in [UserRef::Me, UserRef::Id(anna_id)] {
        assert!(matches!(
            fixture.execute(&anna, block(user)).await,
            Err(Fault::Invalid { field: "user", .. })
        ));
    }
    let absent = UserRef::Login("absent".into());
    assert_eq!(fixture.execute(&anna, block(absent)).await, Err(Fault::NoSuchUser));
    for user in [UserRef::Id(boris_id), UserRef::Login("BORIS".into())] {
        let outcome = fixture.execute(&anna, block(user)).await;
        assert_eq!(outcome, Ok(Answer::Blocked { user: boris_id }));
    }
    let listed = async |credentials: &Credentials| match fixture
        .execute(credentials, Command::ListBlocked)
        .await
    {
        Ok(Answer::Users(users)) => users.into_iter().map(|user| user.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(listed(&anna).await, [boris_id]);
    assert_eq!(listed(&boris).await, []);
    let open = || Command::OpenChat { with: UserRef::Id(anna_id) };
    assert_eq!(fixture.execute(&boris, open()).await, Err(Fault::NoSuchUser));
    let unblock = Command::Unblock { user: UserRef::Id(boris_id) };
    assert_eq!(fixture.execute(&anna, unblock).await, Ok(Answer::Unblocked { user: boris_id }));
    assert!(fixture.execute(&boris, open()).await.is_ok());
}

#[tokio::test]
async fn the_typing_of_a_blocked_user_is_accepted_and_not_shown() {
    let fixture = Fixture::new();
    let (anna_id, anna) = fixture.user("anna").await;
    let (boris_id, boris) = fixture.user("boris").await;
    let open = Command::OpenChat { with: UserRef::Id(anna_id) };
    let Ok(Answer::ChatOpened { flow: chat, .. }) = fixture.execute(&boris, open).await else {
        panic!()
    };
    let group = fixture.group(&anna, &[boris_id]).await;
    fixture.execute(&anna, Command::Block { user: UserRef::Id(boris_id) }).await.unwrap();
    let mut receivers = fixture.bus.receivers(1);
    for flow in [chat, group] {
        let typing = Command::ShowTyping { flow, active: true };
        assert_eq!(fixture.execute(&boris, typing).await, Ok(Answer::TypingShown));
    }
    let Some(Signal::Events(events)) = receivers[0].next().await else {
        panic!("the bus is alive")
    };
    let shown: Vec<_> = events.iter().filter_map(|event| event.flow()).collect();
    assert_eq!(shown, [group], "only in the group, and nothing before it");
    assert_eq!(fixture.send(&boris, chat, "hello?").await, Err(Fault::NoSuchFlow));
    assert!(fixture.send(&boris, group, "hello, all").await.is_ok());
}
