//! Flows, their messages and photos.

use crate::fixture::{Fixture, PNG};
use bytes::Bytes;
use tolmach_domain::*;
use tolmach_engine::ports::{Bus, Signal};

#[tokio::test]
async fn a_photo_is_an_image_by_its_content_and_is_visible_to_members() {
    let fixture = Fixture::new();
    let (_, owner) = fixture.user("owner").await;
    let (_, stranger) = fixture.user("stranger").await;
    let create = |content: &[u8]| {
        let photo =
            Photo { media_type: "image/png".into(), content: Bytes::copy_from_slice(content) };
        Command::CreateFlow(Box::new(NewFlow {
            kind: FlowKind::Group,
            title: "G".into(),
            info: String::new(),
            members: vec![],
            photo: Some(photo),
            key: None,
        }))
    };
    for content in [
        &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..],
        b"<html>",
        b"",
        b"%PDF-1.7",
        &vec![0x89; PHOTO_LIMIT + 1],
    ] {
        assert!(
            matches!(
                fixture.execute(&owner, create(content)).await,
                Err(Fault::Invalid { field: "photo", .. })
            ),
            "{} bytes",
            content.len()
        );
    }
    assert_eq!(fixture.blobs.keys(), Vec::<String>::new());
    let answer = fixture.execute(&owner, create(PNG)).await.unwrap();
    let Answer::FlowCreated { flow, .. } = answer else { panic!("{answer:?}") };
    let photo = || Command::GetPhoto { of: PhotoOf::Flow(flow) };
    assert_eq!(fixture.execute(&stranger, photo()).await, Err(Fault::NoSuchFlow));
    match fixture.execute(&owner, photo()).await.unwrap() {
        Answer::Photo(photo) => {
            assert_eq!((photo.media_type.as_str(), &photo.content[..]), ("image/png", PNG))
        }
        other => panic!("{other:?}"),
    }
    fixture
        .execute(&owner, Command::DeleteFlow { flow, kinds: FlowKindFilter::Shared })
        .await
        .unwrap();
    assert_eq!(fixture.blobs.keys(), Vec::<String>::new(), "the photo is deleted with its flow");
}

#[tokio::test]
async fn a_pair_of_different_users_has_one_chat() {
    let fixture = Fixture::new();
    let (alice_id, alice) = fixture.user("alice").await;
    let (bob_id, bob) = fixture.user("bob").await;
    let open = |with| Command::OpenChat { with };
    let Ok(Answer::ChatOpened { flow, created: true, .. }) =
        fixture.execute(&alice, open(UserRef::Id(bob_id))).await
    else {
        panic!()
    };
    for (credentials, with) in
        [(&alice, UserRef::Login("BOB".into())), (&bob, UserRef::Id(alice_id))]
    {
        match fixture.execute(credentials, open(with)).await {
            Ok(Answer::ChatOpened { flow: same, created: false, .. }) => assert_eq!(same, flow),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        fixture.execute(&alice, open(UserRef::Id(alice_id))).await,
        Err(Fault::Invalid { field: "user", .. })
    ));
    assert_eq!(
        fixture.execute(&alice, open(UserRef::Login("nobody".into()))).await,
        Err(Fault::NoSuchUser)
    );
    assert_eq!(
        fixture.execute(&alice, Command::AddMembers { flow, users: vec![bob_id] }).await,
        Err(Fault::WrongKind)
    );
    assert_eq!(
        fixture
            .execute(
                &alice,
                Command::GetFlow { flow, kinds: FlowKindFilter::Shared, members: false }
            )
            .await,
        Err(Fault::WrongKind)
    );
}

#[tokio::test]
async fn only_the_owner_writes_in_a_channel() {
    let fixture = Fixture::new();
    let (_, owner) = fixture.user("owner").await;
    let (reader_id, reader) = fixture.user("reader").await;
    let channel = NewFlow {
        kind: FlowKind::Channel,
        title: "News".into(),
        info: String::new(),
        members: vec![reader_id],
        photo: None,
        key: None,
    };
    let Ok(Answer::FlowCreated { flow, .. }) =
        fixture.execute(&owner, Command::CreateFlow(Box::new(channel))).await
    else {
        panic!()
    };
    assert!(fixture.send(&owner, flow, "news").await.is_ok());
    assert_eq!(fixture.send(&reader, flow, "I object").await, Err(Fault::NotOwner));
    assert_eq!(fixture.texts(&reader, flow).await, ["news"]);
}

/// MoreliaTalk's clients have no other request for it.
#[tokio::test]
async fn a_flow_of_the_kind_chat_is_the_chat_of_two() {
    let fixture = Fixture::new();
    let (alice_id, alice) = fixture.user("alice").await;
    let (bob_id, bob) = fixture.user("bob").await;
    let (clara_id, _) = fixture.user("clara").await;
    let chat = |members: &[UserId]| {
        Command::CreateFlow(Box::new(NewFlow {
            kind: FlowKind::Chat,
            title: "pair".into(),
            info: String::new(),
            members: members.to_vec(),
            photo: None,
            key: None,
        }))
    };
    let created = fixture.execute(&alice, chat(&[alice_id, bob_id])).await;
    let Ok(Answer::FlowCreated { flow, title }) = &created else { panic!("{created:?}") };
    assert_eq!(title, "");
    assert!(fixture.send(&bob, *flow, "hello").await.is_ok());
    assert_eq!(fixture.execute(&bob, chat(&[alice_id])).await, created);
    for members in [&[][..], &[alice_id], &[bob_id, clara_id]] {
        let refused = fixture.execute(&alice, chat(members)).await;
        assert!(matches!(&refused, Err(Fault::Invalid { field: "users", .. })), "{refused:?}");
    }
    let nobody = UserId::new(999).unwrap();
    assert_eq!(fixture.execute(&alice, chat(&[nobody])).await, Err(Fault::NoSuchUser));
}

#[tokio::test]
async fn typing_is_published_but_not_stored() {
    let fixture = Fixture::new();
    let (_, owner) = fixture.user("owner").await;
    let flow = fixture.group(&owner, &[]).await;
    let mut receivers = fixture.bus.receivers(1);
    assert_eq!(
        fixture.execute(&owner, Command::ShowTyping { flow, active: true }).await,
        Ok(Answer::TypingShown)
    );
    let Some(Signal::Events(events)) = receivers[0].next().await else {
        panic!("the bus is alive")
    };
    assert_eq!(events[0].flow(), Some(flow));
    assert!(matches!(&events[0].kind, EventKind::Typing { active: true, .. }));
    assert_eq!(fixture.texts(&owner, flow).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_repeated_key_creates_one_group_and_stores_one_photo() {
    let fixture = Fixture::new();
    let (_, alice) = fixture.user("alice").await;
    let (bob_id, bob) = fixture.user("bob").await;
    let group = |title: &str, photo: Option<&[u8]>, members: &[UserId], key: &str| {
        let photo = photo.map(|content| Photo {
            media_type: "image/png".into(),
            content: Bytes::copy_from_slice(content),
        });
        let (title, members, key) = (title.to_owned(), members.to_vec(), Some(key.to_owned()));
        Command::CreateFlow(Box::new(NewFlow {
            kind: FlowKind::Group,
            title,
            info: String::new(),
            members,
            photo,
            key,
        }))
    };
    let first = fixture.execute(&alice, group("G", Some(PNG), &[bob_id], "key")).await.unwrap();
    let again = fixture.execute(&alice, group("G", Some(PNG), &[bob_id, bob_id], "key")).await;
    assert_eq!(again, Ok(first.clone()), "naming a member twice is the same request");
    assert_eq!(fixture.blobs.keys().len(), 1);
    for other in [
        group("H", Some(PNG), &[bob_id], "key"),
        group("G", None, &[bob_id], "key"),
        group("G", Some(PNG), &[], "key"),
    ] {
        assert_eq!(fixture.execute(&alice, other).await, Err(Fault::KeyReused));
    }
    assert_eq!(fixture.blobs.keys().len(), 1);
    assert_ne!(
        fixture.execute(&bob, group("G", Some(PNG), &[bob_id], "key")).await,
        Ok(first),
        "keys of different owners are different"
    );
    for key in ["", " ", "a\nb", &"k".repeat(256)] {
        assert!(
            matches!(
                fixture.execute(&alice, group("G", None, &[], key)).await,
                Err(Fault::Invalid { field: "key", .. })
            ),
            "{key:?}"
        );
    }
}

#[tokio::test]
async fn reading_a_whole_history_moves_the_read_mark_if_the_request_says_so() {
    let fixture = Fixture::new();
    let (_, alice) = fixture.user("alice").await;
    let (bob_id, bob) = fixture.user("bob").await;
    let flow = fixture.group(&alice, &[bob_id]).await;
    fixture.send(&alice, flow, "first").await.unwrap();
    let read = async |range, mark_read| {
        let kinds = FlowKindFilter::Any;
        let history = Command::History { flow, kinds, range, mark_read };
        match fixture.execute(&bob, history).await {
            Ok(Answer::History(page)) => page.messages.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read(HistoryRange::All, true).await, 1);
    assert_eq!(read(HistoryRange::Unread, false).await, 0, "the first message was read");
    fixture.send(&alice, flow, "second").await.unwrap();
    assert_eq!(read(HistoryRange::All, false).await, 2);
    assert_eq!(read(HistoryRange::Unread, false).await, 1, "the second was not");
    assert_eq!(read(HistoryRange::Unread, false).await, 0, "reading unread messages marks them");
}

#[tokio::test]
async fn a_summary_for_no_viewer_has_all_members() {
    let fixture = Fixture::new();
    let (alice_id, alice) = fixture.user("alice").await;
    let (bob_id, _) = fixture.user("bob").await;
    let flow = fixture.group(&alice, &[bob_id]).await;
    let message = fixture.send(&alice, flow, "hello").await.unwrap();
    let summary = fixture.engine.flow_summary(flow).await.unwrap().expect("the flow exists");
    let members: Vec<UserId> = summary.members.iter().map(|member| member.id).collect();
    assert_eq!((members, summary.read), (vec![alice_id, bob_id], Version(0)));
    assert_eq!(
        (summary.flow.id, summary.last, summary.first),
        (flow, Some(message.clone()), Some(message.id))
    );
    let absent = FlowId::new(999).unwrap();
    assert_eq!(fixture.engine.flow_summary(absent).await, Ok(None));
}
