//! The client's end: asks to requests, replies to outcomes, pushes to notices.

use crate::{NOW, client, hear, say};
use tolmach_dialect::{Ask, Echo, Frame, Line, Session, ViolationKind};
use tolmach_dialect_kit::world::{self, CHAT, flow_id, message_id};
use tolmach_domain::{
    Answer, Authority, Command, Content, ContentType, Credentials, EventKind, Fault,
    FlowKindFilter, GrantKind, HistoryRange, NewMessage, Secret, UserRef,
};

fn history(window: HistoryRange) -> Command {
    Command::History { flow: flow_id(CHAT), kinds: FlowKindFilter::Any, window }
}

fn asks(client: &mut dyn Session, number: u32, command: Command) -> Vec<String> {
    say(client, &Line::Ask(Ask::new(Echo::new(number), Credentials::Connection, command)))
}

fn row(room: i64, id: i64) -> String {
    format!(
        r#"{{"type":"READ_MSG","status":"SUCCESS","room_id":{room},"message_id":{id},"msg_type":"TEXT","message":"m","date":"2023-11-14T22:13:20.250000Z","sender":"bob"}}"#
    )
}

const FENCE: &str = r#"{"type":"SEARCH_USER","user":[]}"#;

/// The numbers of the messages of the one history that was heard, with the number of its ask.
fn page(lines: &[Line]) -> (u32, Vec<i64>) {
    match lines {
        [Line::Reply(reply)] => match &reply.outcome {
            Ok(Answer::History(page)) => (
                *reply.echo.get().expect("the echo is handed back"),
                page.messages.iter().map(|message| message.id.get()).collect(),
            ),
            other => panic!("{other:?} was heard"),
        },
        other => panic!("{other:?} was heard"),
    }
}

#[test]
fn a_history_is_whole_when_the_fence_behind_it_is_answered() {
    for (window, read, expected) in [
        (HistoryRange::All, "ALL", vec![11, 12, 13]),
        (HistoryRange::Unread, "RESENT", vec![11, 12, 13]),
        (HistoryRange::Newest { limit: 1, offset: 1 }, "ALL", vec![12]),
        (HistoryRange::Newest { limit: 9, offset: 9 }, "ALL", vec![]),
    ] {
        let mut client = client();
        let request = format!(r#"{{"type":"READ_MSG","read":"{read}","room_id":1}}"#);
        assert_eq!(
            asks(&mut *client, 1, history(window)),
            [&request, r#"{"type":"SEARCH_USER","user":""}"#]
        );
        // The last one is pushed before it is read as well.
        for id in [13, 11, 12, 13] {
            assert!(hear(&mut *client, &row(CHAT, id)).is_empty());
        }
        let elsewhere = hear(&mut *client, &row(2, 21));
        assert!(matches!(&elsewhere[..], [Line::Notice(_)]), "another room's message is new");
        assert_eq!(page(&hear(&mut *client, FENCE)), (1, expected));
        assert!(matches!(&hear(&mut *client, &row(CHAT, 14))[..], [Line::Notice(_)]));
    }
}

#[test]
fn histories_are_told_apart_by_their_fences() {
    let mut client = client();
    asks(&mut *client, 1, history(HistoryRange::All));
    asks(&mut *client, 2, history(HistoryRange::All));
    asks(&mut *client, 3, history(HistoryRange::Unread));
    hear(&mut *client, &row(CHAT, 11));
    assert_eq!(page(&hear(&mut *client, FENCE)), (1, vec![11]));
    let refused = hear(
        &mut *client,
        r#"{"type":"READ_MSG","status":"ROOM_DOES_NOT_EXIST","detail":"no such room"}"#,
    );
    assert!(
        matches!(&refused[..], [Line::Reply(reply)] if reply.outcome == Err(Fault::NoSuchFlow) && reply.echo.get() == Some(&2_u32))
    );
    assert!(hear(&mut *client, FENCE).is_empty());
    assert_eq!(
        page(&hear(&mut *client, r#"{"type":"READ_MSG","status":"SUCCESS","room_id":1}"#)),
        (3, vec![])
    );
    assert!(
        hear(&mut *client, r#"{"type":"SEARCH_USER","status":"ERROR","detail":"internal error"}"#)
            .is_empty()
    );
}

#[test]
fn an_edit_and_a_deletion_are_placed_by_what_was_heard_of_the_message() {
    let mut client = client();
    hear(&mut *client, &row(CHAT, 11));
    for (id, flow, author) in [(11, CHAT, "bob"), (12, 9_007_199_254_740_991, "")] {
        let edited =
            hear(&mut *client, &format!(r#"{{"type":"EDIT_MSG","id":{id},"new_msg":"x"}}"#));
        let [Line::Notice(edited)] = &edited[..] else { panic!("{edited:?} was heard") };
        let EventKind::Edited(message) = &edited.kind else { panic!("{edited:?} was heard") };
        assert_eq!(
            (message.flow, &*message.author.login, &*message.content.text),
            (flow_id(flow), author, "x")
        );
        let deleted = hear(&mut *client, &format!(r#"{{"type":"DELETE_MSG","id":{id}}}"#));
        let [Line::Notice(deleted)] = &deleted[..] else { panic!("{deleted:?} was heard") };
        assert_eq!(deleted.flow(), Some(flow_id(flow)));
    }
}

#[test]
fn a_push_is_told_from_the_reply_to_an_ask_about_something_else() {
    let mut client = client();
    asks(&mut *client, 1, Command::Delete { messages: vec![message_id(11)], flow: None });
    assert!(matches!(
        &hear(&mut *client, r#"{"type":"DELETE_MSG","id":12}"#)[..],
        [Line::Notice(_)]
    ));
    assert!(matches!(
        &hear(&mut *client, r#"{"type":"DELETE_MSG","id":11}"#)[..],
        [Line::Reply(_)]
    ));
    assert!(matches!(
        &hear(&mut *client, r#"{"type":"DELETE_MSG","id":11}"#)[..],
        [Line::Notice(_)]
    ));
    asks(&mut *client, 2, Command::OpenChat { with: UserRef::Login("Bob".to_owned()) });
    assert!(matches!(
        &hear(&mut *client, r#"{"type":"CREATE_ROOM","id":2,"customer":"carol"}"#)[..],
        [Line::Notice(_)]
    ));
    assert!(matches!(
        &hear(&mut *client, r#"{"type":"CREATE_ROOM","id":1,"customer":"bob"}"#)[..],
        [Line::Reply(_)]
    ));
}

#[test]
fn what_the_wire_cannot_say_is_a_loss() {
    let emoji_only = Content { emoji: Some("RQ==".into()), ..Content::default() };
    let ask = |command| Ask::new(Echo::NONE, Credentials::Connection, command);
    for ask in [
        ask(Command::Login {
            identifier: "ann".into(),
            password: Secret::new("p"),
            grant: GrantKind::Nothing,
        }),
        ask(Command::OpenChat { with: UserRef::Me }),
        ask(Command::Delete { messages: vec![message_id(11), message_id(12)], flow: None }),
        ask(Command::Send(Box::new(NewMessage {
            flow: flow_id(CHAT),
            kinds: FlowKindFilter::Any,
            content: emoji_only,
            key: None,
        }))),
        ask(Command::Logout { login: None }),
        Ask { proof: Credentials::Token(Secret::new("t")), ..ask(history(HistoryRange::All)) },
        Ask { authority: Authority::Administrator, ..ask(history(HistoryRange::All)) },
    ] {
        let mut frames = Vec::new();
        client().encode(*NOW, &Line::Ask(ask), &mut frames).expect_err("the wire cannot say it");
        assert!(frames.is_empty());
    }
}

#[test]
fn types_that_the_wire_does_not_know_are_sent_as_text() {
    for (content_type, said) in [
        (ContentType::Text, "TEXT"),
        (ContentType::Image, "IMAGE"),
        (ContentType::File, "FILE"),
        (ContentType::Sticker, "TEXT"),
        (ContentType::Other("location".into()), "TEXT"),
    ] {
        let content = Content { content_type, ..Content::text("m") };
        let draft =
            NewMessage { flow: flow_id(CHAT), kinds: FlowKindFilter::Any, content, key: None };
        let expected = format!(
            r#"{{"type":"SND_MSG","username":"ann","room_id":1,"message":"m","msg_type":"{said}"}}"#
        );
        assert_eq!(asks(&mut *client(), 1, Command::Send(Box::new(draft))), [expected]);
    }
}

#[test]
fn asks_wait_for_their_replies_in_bounded_number() {
    let mut client = client();
    let search = || Command::SearchUsers { query: "a".to_owned(), limit: 50 };
    (0..1023).for_each(|number| drop(asks(&mut *client, number, search())));
    let mut frames = Vec::new();
    let one_more = |command| Line::Ask(Ask::new(Echo::NONE, Credentials::Connection, command));
    client
        .encode(*NOW, &one_more(history(HistoryRange::All)), &mut frames)
        .expect_err("a history takes two places");
    client.encode(*NOW, &one_more(search()), &mut frames).expect("one place is left");
    client.encode(*NOW, &one_more(search()), &mut frames).expect_err("none is left");
}

#[test]
fn nonsense_of_a_server_is_a_violation() {
    for text in [
        r#"{"type":"SND_MSG","status":"SUCCESS","room_id":1,"message_id":11,"date":"2023-11-14T22:13:20.250000Z"}"#,
        r#"{"type":"READ_MSG","status":"SUCCESS","room_id":1}"#,
        r#"{"type":"READ_MSG","status":"SUCCESS","room_id":1,"message_id":11}"#,
        r#"{"type":"EDIT_MSG","id":[11],"new_msg":"x"}"#,
        r#"{"type":"CREATE_ROOM","id":0,"customer":"bob"}"#,
        r#"{"type":"ERROR","status":"ERROR","detail":"JSON is expected"}"#,
        r#"{"type":"RESPONSE_LOGIN","status":"LOGIN_OK"}"#,
        r#"{"status":"SUCCESS"}"#,
    ] {
        let mut lines = Vec::new();
        let violation = client().decode(*NOW, &Frame::text(text), &mut lines).expect_err(text);
        assert_eq!((violation.kind, violation.answer), (ViolationKind::Shape, None), "{text}");
        assert!(lines.is_empty());
    }
    let uneven = r#"{"type":"OLD_DIALOGS","dialogs":["bob"],"id":[1,2],"first_massage_id":[0]}"#;
    let mut client = client();
    asks(&mut *client, 1, Command::ListFlows { limit: None, offset: 0, members: false });
    client
        .decode(world::moment(0), &Frame::text(uneven), &mut Vec::new())
        .expect_err("the lists do not belong together");
}
