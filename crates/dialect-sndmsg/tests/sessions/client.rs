//! The client's side: requests are encoded, replies and pushes decoded.

use crate::{NOW, client, encode, read, request};
use tolmach_dialect::{ClientSession, Correlation, Frame, Incoming, InvalidReply, Request};
use tolmach_dialect_kit::fixtures::{CHAT, flow_id, message_id};
use tolmach_domain::{
    Answer, Authority, Command, Content, ContentType, Credentials, EventKind, Fault,
    FlowKindFilter, GrantKind, HistoryRange, NewMessage, Secret, UserRef,
};

fn history(range: HistoryRange) -> Command {
    let (flow, kinds) = (flow_id(CHAT), FlowKindFilter::Any);
    Command::History { flow, kinds, range, mark_read: true }
}

fn encode_numbered(client: &mut dyn ClientSession, number: u32, command: Command) -> Vec<String> {
    encode(client, &Request { correlation: Correlation::new(number), ..request(command) })
}

fn row(room: i64, id: i64) -> String {
    const REST: &str = concat!(
        r#""msg_type":"TEXT","message":"m","#,
        r#""date":"2023-11-14T22:13:20.250000Z","sender":"bob""#
    );
    format!(r#"{{"type":"READ_MSG","status":"SUCCESS","room_id":{room},"message_id":{id},{REST}}}"#)
}

/// The reply to a search that finds no user, which a client puts behind a history.
const FENCE: &str = r#"{"type":"SEARCH_USER","user":[]}"#;

/// The ids of the messages of the one history that was read, with the number of its request.
fn page(incoming: &[Incoming]) -> (u32, Vec<i64>) {
    match incoming {
        [Incoming::Response(response)] => match &response.outcome {
            Ok(Answer::History(page)) => (
                *response.correlation.get().expect("the correlation is handed back"),
                page.messages.iter().map(|message| message.id.get()).collect(),
            ),
            other => panic!("{other:?} instead of a history"),
        },
        other => panic!("{other:?} instead of one response"),
    }
}

#[test]
fn a_history_is_complete_when_the_fence_behind_it_is_answered() {
    for (range, word, expected) in [
        (HistoryRange::All, "ALL", vec![11, 12, 13]),
        (HistoryRange::Unread, "RESENT", vec![11, 12, 13]),
        (HistoryRange::Newest { limit: 1, offset: 1 }, "ALL", vec![12]),
        (HistoryRange::Newest { limit: 9, offset: 9 }, "ALL", vec![]),
    ] {
        let mut client = client();
        let request = format!(r#"{{"type":"READ_MSG","read":"{word}","room_id":1}}"#);
        assert_eq!(
            encode_numbered(&mut *client, 1, history(range)),
            [&request, r#"{"type":"SEARCH_USER","user":""}"#]
        );
        // The last one is pushed before it is read as well.
        for id in [13, 11, 12, 13] {
            assert!(read(&mut *client, &row(CHAT, id)).is_empty());
        }
        let elsewhere = read(&mut *client, &row(2, 21));
        assert!(matches!(&elsewhere[..], [Incoming::Event(_)]), "a message of another room is new");
        assert_eq!(page(&read(&mut *client, FENCE)), (1, expected));
        assert!(matches!(&read(&mut *client, &row(CHAT, 14))[..], [Incoming::Event(_)]));
    }
}

#[test]
fn histories_are_matched_by_their_fences() {
    let mut client = client();
    encode_numbered(&mut *client, 1, history(HistoryRange::All));
    encode_numbered(&mut *client, 2, history(HistoryRange::All));
    encode_numbered(&mut *client, 3, history(HistoryRange::Unread));
    read(&mut *client, &row(CHAT, 11));
    assert_eq!(page(&read(&mut *client, FENCE)), (1, vec![11]));
    let refused = read(
        &mut *client,
        r#"{"type":"READ_MSG","status":"ROOM_DOES_NOT_EXIST","detail":"no such room"}"#,
    );
    assert!(matches!(
        &refused[..],
        [Incoming::Response(response)] if response.outcome == Err(Fault::NoSuchFlow)
            && response.correlation.get() == Some(&2_u32)
    ));
    assert!(read(&mut *client, FENCE).is_empty());
    assert_eq!(
        page(&read(&mut *client, r#"{"type":"READ_MSG","status":"SUCCESS","room_id":1}"#)),
        (3, vec![])
    );
    assert!(
        read(&mut *client, r#"{"type":"SEARCH_USER","status":"ERROR","detail":"internal error"}"#)
            .is_empty()
    );
}

#[test]
fn an_edit_or_a_deletion_has_the_room_and_the_author_of_a_known_message() {
    let mut client = client();
    read(&mut *client, &row(CHAT, 11));
    for (id, flow, author) in [(11, CHAT, "bob"), (12, 9_007_199_254_740_991, "")] {
        let edited =
            read(&mut *client, &format!(r#"{{"type":"EDIT_MSG","id":{id},"new_msg":"x"}}"#));
        let [Incoming::Event(edited)] = &edited[..] else { panic!("{edited:?}") };
        let EventKind::Edited(message) = &edited.kind else { panic!("{edited:?}") };
        assert_eq!(
            (message.flow, &*message.author.login, &*message.content.text),
            (flow_id(flow), author, "x")
        );
        let deleted = read(&mut *client, &format!(r#"{{"type":"DELETE_MSG","id":{id}}}"#));
        let [Incoming::Event(deleted)] = &deleted[..] else { panic!("{deleted:?}") };
        assert_eq!(deleted.flow(), Some(flow_id(flow)));
    }
}

#[test]
fn a_frame_about_something_else_than_the_request_is_a_push() {
    let mut client = client();
    encode_numbered(
        &mut *client,
        1,
        Command::Delete { messages: vec![message_id(11)], flow: None, all_or_none: false },
    );
    assert!(matches!(
        &read(&mut *client, r#"{"type":"DELETE_MSG","id":12}"#)[..],
        [Incoming::Event(_)]
    ));
    assert!(matches!(
        &read(&mut *client, r#"{"type":"DELETE_MSG","id":11}"#)[..],
        [Incoming::Response(_)]
    ));
    assert!(matches!(
        &read(&mut *client, r#"{"type":"DELETE_MSG","id":11}"#)[..],
        [Incoming::Event(_)]
    ));
    encode_numbered(&mut *client, 2, Command::OpenChat { with: UserRef::Login("Bob".to_owned()) });
    assert!(matches!(
        &read(&mut *client, r#"{"type":"CREATE_ROOM","id":2,"customer":"carol"}"#)[..],
        [Incoming::Event(_)]
    ));
    assert!(matches!(
        &read(&mut *client, r#"{"type":"CREATE_ROOM","id":1,"customer":"bob"}"#)[..],
        [Incoming::Response(_)]
    ));
}

#[test]
fn requests_without_a_frame_are_unsupported() {
    let emoji_only = Content { emoji: Some("RQ==".into()), ..Content::default() };
    for request in [
        request(Command::Login {
            identifier: "ann".into(),
            password: Secret::new("p"),
            grant: GrantKind::Nothing,
        }),
        request(Command::OpenChat { with: UserRef::Me }),
        request(Command::Delete {
            messages: vec![message_id(11), message_id(12)],
            flow: None,
            all_or_none: false,
        }),
        request(Command::Send(Box::new(NewMessage {
            flow: flow_id(CHAT),
            kinds: FlowKindFilter::Any,
            content: emoji_only,
            key: None,
        }))),
        request(Command::Logout { login: None }),
        Request {
            credentials: Credentials::Token(Secret::new("t")),
            ..request(history(HistoryRange::All))
        },
        Request { authority: Authority::Administrator, ..request(history(HistoryRange::All)) },
    ] {
        let mut frames = Vec::new();
        client().request(*NOW, &request, &mut frames).expect_err("the wire has no frame for it");
        assert!(frames.is_empty());
    }
}

#[test]
fn types_that_the_wire_does_not_have_are_sent_as_text() {
    for (content_type, name) in [
        (ContentType::Text, "TEXT"),
        (ContentType::Image, "IMAGE"),
        (ContentType::File, "FILE"),
        (ContentType::Sticker, "TEXT"),
        (ContentType::Other("location".into()), "TEXT"),
    ] {
        let content = Content { content_type, ..Content::text("m") };
        let message =
            NewMessage { flow: flow_id(CHAT), kinds: FlowKindFilter::Any, content, key: None };
        let expected = format!(
            r#"{{"type":"SND_MSG","username":"ann","room_id":1,"message":"m","msg_type":"{name}"}}"#
        );
        assert_eq!(
            encode_numbered(&mut *client(), 1, Command::Send(Box::new(message))),
            [expected]
        );
    }
}

#[test]
fn the_number_of_pending_requests_is_bounded() {
    let mut client = client();
    let search = || Command::SearchUsers { query: "a".to_owned(), limit: 50 };
    (0..1023).for_each(|number| drop(encode_numbered(&mut *client, number, search())));
    let mut one_more = |command| client.request(*NOW, &request(command), &mut Vec::new());
    one_more(history(HistoryRange::All)).expect_err("a history takes two places");
    one_more(search()).expect("one place is left");
    one_more(search()).expect_err("none is left");
}

#[test]
fn invalid_frames_of_a_server_are_refused() {
    for text in [
        concat!(
            r#"{"type":"SND_MSG","status":"SUCCESS","room_id":1,"message_id":11,"#,
            r#""date":"2023-11-14T22:13:20.250000Z"}"#
        ),
        r#"{"type":"READ_MSG","status":"SUCCESS","room_id":1}"#,
        r#"{"type":"READ_MSG","status":"SUCCESS","room_id":1,"message_id":11}"#,
        r#"{"type":"EDIT_MSG","id":[11],"new_msg":"x"}"#,
        r#"{"type":"CREATE_ROOM","id":0,"customer":"bob"}"#,
        r#"{"type":"ERROR","status":"ERROR","detail":"JSON is expected"}"#,
        r#"{"type":"RESPONSE_LOGIN","status":"LOGIN_OK"}"#,
        r#"{"type":"REQUEST_LOGIN","status":"LOGIN_OK"}"#,
        r#"{"type":"ERROR","status":"SUCCESS"}"#,
        r#"{"status":"SUCCESS"}"#,
    ] {
        let mut incoming = Vec::new();
        let decoded = client().decode(*NOW, &Frame::text(text), &mut incoming);
        assert_eq!(decoded, Err(InvalidReply::SHAPE), "{text}");
        assert!(incoming.is_empty());
    }
    let uneven = r#"{"type":"OLD_DIALOGS","dialogs":["bob"],"id":[1,2],"first_massage_id":[0]}"#;
    let mut client = client();
    encode_numbered(&mut *client, 1, Command::ListFlows { limit: None, offset: 0, members: false });
    client
        .decode(*NOW, &Frame::text(uneven), &mut Vec::new())
        .expect_err("the lists have different lengths");
}
