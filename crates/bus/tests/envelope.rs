//! The wire between nodes: events are decoded as encoded, and every form ever sent stays readable.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tolmach_bus::{Envelope, InvalidEnvelope, decode, encode};
use tolmach_domain::{
    Attachment, AttachmentKind, ConnectionId, Content, ContentType, Event, EventKind, Flow, FlowId,
    FlowKind, ID_LIMIT, Message, MessageId, Origin, PhotoKey, SessionId, Timestamp, UserId,
    UserSummary, Version,
};
use tolmach_engine::ErrorChain;

const DIALECTS: [&str; 2] = ["action", "mode"];

fn id<Id: TryFrom<i64>>(number: i64) -> Id {
    Id::try_from(number).ok().expect("numbers of these tests are ids")
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + second * 1_000_000 + 123_456)
}

fn summary(number: i64, login: &str, name: &str) -> UserSummary {
    UserSummary {
        id: id(number),
        login: login.into(),
        username: name.into(),
        name: format!("{name} \"Q\"\n").as_str().into(),
    }
}

fn message() -> Message {
    Message {
        id: id(31),
        flow: id(7),
        flow_kind: FlowKind::Group,
        author: summary(1, "anna", "Анна"),
        content: Content::text("Добрый день\u{0} \"\\\u{2028}🙂"),
        posted: Version(4),
        version: Version(4),
        posted_at: time(0),
        edited_at: None,
        deleted_at: None,
        changed_at: time(1),
    }
}

/// A message with all optional fields.
fn full_message() -> Message {
    let attachment = |kind, data: &str| Attachment { kind, data: data.into() };
    Message {
        id: id(ID_LIMIT - 1),
        flow_kind: FlowKind::Channel,
        content: Content {
            text: "text".into(),
            content_type: ContentType::Other("application/x-dance".into()),
            attachments: vec![
                attachment(AttachmentKind::Picture, "cGlj"),
                attachment(AttachmentKind::Video, "dmlk"),
                attachment(AttachmentKind::Audio, "YXVk"),
                attachment(AttachmentKind::Document, ""),
            ],
            emoji: Some("8J+Zgg==".into()),
            reply_to: Some(id(30)),
        },
        version: Version(9),
        edited_at: Some(time(5)),
        deleted_at: Some(time(6)),
        ..message()
    }
}

fn flow() -> Flow {
    Flow {
        id: id(7),
        kind: FlowKind::Chat,
        title: String::new(),
        info: String::new(),
        owner: None,
        photo: None,
        version: Version(0),
        created_at: time(0),
        changed_at: time(0),
    }
}

/// Events of every kind, by the name of their fixture.
fn fixtures() -> BTreeMap<&'static str, Event> {
    let kinds = [
        ("posted", EventKind::Posted(message())),
        ("posted_in_full", EventKind::Posted(full_message())),
        (
            "edited",
            EventKind::Edited(Message {
                version: Version(5),
                edited_at: Some(time(2)),
                ..message()
            }),
        ),
        (
            "deleted",
            EventKind::Deleted {
                flow: id(7),
                by: id(1),
                messages: vec![(id(31), Version(6)), (id(33), Version(7))],
            },
        ),
        (
            "flow_created",
            EventKind::FlowCreated {
                flow: flow(),
                members: vec![summary(1, "anna", "Анна"), summary(2, "boris", "Борис")],
            },
        ),
        (
            "flow_created_in_full",
            EventKind::FlowCreated {
                flow: Flow {
                    kind: FlowKind::Group,
                    title: "Кухня".into(),
                    info: "{\"tea\"}".into(),
                    owner: Some(id(2)),
                    photo: Some(PhotoKey {
                        key: "flows/7.png".into(),
                        media_type: "image/png".into(),
                    }),
                    version: Version(3),
                    ..flow()
                },
                members: vec![summary(2, "boris", "Борис")],
            },
        ),
        ("flow_deleted", EventKind::FlowDeleted { flow: id(7), by: id(1) }),
        (
            "members_added",
            EventKind::MembersAdded {
                flow: id(7),
                users: vec![summary(3, "vera", "Вера")],
                version: Version(12),
            },
        ),
        ("members_removed", EventKind::MembersRemoved { flow: id(7), users: vec![id(3), id(4)] }),
        (
            "typing",
            EventKind::Typing { flow: id(7), user: summary(1, "anna", "Анна"), active: true },
        ),
        ("sessions_ended", EventKind::SessionsEnded { user: id(1), session: Some(id(5)) }),
        ("all_sessions_ended", EventKind::SessionsEnded { user: id(1), session: None }),
    ];
    let origin = |tag: Option<&'static [u8]>| Origin {
        connection: ConnectionId(u64::MAX),
        dialect: "mode",
        client_tag: tag.map(Bytes::from_static),
    };
    let event = |name, kind| Event {
        occurred_at: time(3),
        committed_at: (name != "typing").then(|| time(4)),
        origin: match name {
            "posted" => Some(origin(Some(b"\"request\"\xff"))),
            "typing" => Some(origin(None)),
            _ => None,
        },
        kind,
    };
    kinds.map(|(name, kind)| (name, event(name, kind))).into()
}

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/v1")
        .join(name)
        .with_extension("json");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A failure means that events of other nodes are not understood: correct the code. For a new form
/// add a fixture beside the old one.
#[test]
fn every_form_ever_sent_is_decoded() {
    for (name, event) in fixtures() {
        let read =
            decode(&fixture(name), &DIALECTS).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read, Envelope { node: 7, sequence: u64::MAX, event }, "{name}");
    }
}

#[test]
fn every_fixture_belongs_to_an_event() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.retain(|file| file != "posted_by_a_later_release.json");
    files.sort();
    assert!(
        files.iter().map(|file| file.trim_end_matches(".json")).eq(fixtures().into_keys()),
        "{files:?}"
    );
    let mut kinds: Vec<&str> = fixtures().values().map(Event::name).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "deleted",
            "edited",
            "flow_created",
            "flow_deleted",
            "members_added",
            "members_removed",
            "posted",
            "sessions_ended",
            "typing"
        ]
    );
}

/// Nodes of older releases decode the events of this one.
#[test]
fn events_are_encoded_as_in_the_fixtures() {
    for (name, event) in fixtures() {
        let written = String::from_utf8(encode(7, u64::MAX, &event).unwrap()).unwrap();
        assert_eq!(written, String::from_utf8(fixture(name)).unwrap().trim_end(), "{name}");
    }
}

#[test]
fn unknown_fields_are_ignored() {
    let read = decode(&fixture("posted_by_a_later_release"), &DIALECTS).unwrap();
    assert_eq!(read.event, fixtures()["posted"]);
}

#[test]
fn an_origin_in_a_dialect_that_is_not_served_is_left_out() {
    let read = decode(&fixture("posted"), &["action"]).unwrap();
    assert_eq!(read.event, Event { origin: None, ..fixtures()["posted"].clone() });
}

#[test]
fn an_invalid_envelope_names_the_reason() {
    let posted = String::from_utf8(fixture("posted")).unwrap();
    for (bytes, expected) in [
        (String::new(), "is not an envelope of version 1: EOF"),
        ("[1]".into(), "is not an envelope of version 1"),
        (r#"{"v":1}"#.into(), "missing field `node`"),
        (r#"{"v":2}"#.into(), "has version 2; this node reads version 1"),
        (posted.replace("\"v\":1", "\"v\":2"), "has version 2; this node reads version 1"),
        (posted.replace("posted\":{", "painted\":{"), "unknown variant `painted`"),
        (posted.replace("\"flow\":7", "\"flow\":0"), "invalid id"),
        (posted.replace("\"tag\":\"", "\"tag\":\"?"), "that is not base64"),
    ] {
        let error = decode(bytes.as_bytes(), &DIALECTS).expect_err(&bytes);
        let error = ErrorChain(&error).to_string();
        assert!(error.contains(expected), "{error:?}, expected {expected:?}");
    }
    assert!(matches!(decode(b"\xff", &DIALECTS), Err(InvalidEnvelope::Malformed(_))));
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..40).prop_map(String::from_iter)
}

fn number<Id: TryFrom<i64> + std::fmt::Debug>() -> impl Strategy<Value = Id> {
    prop_oneof![1..100_i64, 1..ID_LIMIT].prop_map(id)
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_micros)
}

fn version() -> impl Strategy<Value = Version> {
    any::<i64>().prop_map(Version)
}

fn any_user() -> impl Strategy<Value = UserSummary> {
    (number(), text(), text(), text()).prop_map(|(id, login, username, name)| UserSummary {
        id,
        login: login.as_str().into(),
        username: username.as_str().into(),
        name: name.as_str().into(),
    })
}

fn flow_kind() -> impl Strategy<Value = FlowKind> {
    prop_oneof![Just(FlowKind::Chat), Just(FlowKind::Group), Just(FlowKind::Channel)]
}

fn any_flow() -> impl Strategy<Value = Flow> {
    let photo = (text(), text()).prop_map(|(key, media_type)| PhotoKey { key, media_type });
    let named = (text(), text(), option::of(number()), option::of(photo));
    (number(), flow_kind(), named, version(), timestamp(), timestamp()).prop_map(
        |(id, kind, (title, info, owner, photo), version, created_at, changed_at)| Flow {
            id,
            kind,
            title,
            info,
            owner,
            photo,
            version,
            created_at,
            changed_at,
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    let kind = prop_oneof![
        Just(AttachmentKind::Picture),
        Just(AttachmentKind::Video),
        Just(AttachmentKind::Audio),
        Just(AttachmentKind::Document)
    ];
    let content_type = prop_oneof![
        Just(ContentType::Text),
        Just(ContentType::Image),
        Just(ContentType::File),
        Just(ContentType::Sticker),
        text().prop_map(|name| ContentType::Other(name.into()))
    ];
    let attachments = vec((kind, text()).prop_map(|(kind, data)| Attachment { kind, data }), 0..3);
    (text(), content_type, attachments, option::of(text()), option::of(number())).prop_map(
        |(text, content_type, attachments, emoji, reply_to)| Content {
            text,
            content_type,
            attachments,
            emoji,
            reply_to,
        },
    )
}

fn any_message() -> impl Strategy<Value = Message> {
    let place = (number(), number(), flow_kind());
    let moments = (timestamp(), option::of(timestamp()), option::of(timestamp()), timestamp());
    (place, any_user(), content(), version(), version(), moments).prop_map(
        |(
            (id, flow, flow_kind),
            author,
            content,
            posted,
            version,
            (posted_at, edited_at, deleted_at, changed_at),
        )| Message {
            id,
            flow,
            flow_kind,
            author,
            content,
            posted,
            version,
            posted_at,
            edited_at,
            deleted_at,
            changed_at,
        },
    )
}

fn kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        any_message().prop_map(EventKind::Posted),
        any_message().prop_map(EventKind::Edited),
        (number(), number(), vec((number::<MessageId>(), version()), 0..4))
            .prop_map(|(flow, by, messages)| EventKind::Deleted { flow, by, messages }),
        (any_flow(), vec(any_user(), 0..3))
            .prop_map(|(flow, members)| EventKind::FlowCreated { flow, members }),
        (number(), number()).prop_map(|(flow, by)| EventKind::FlowDeleted { flow, by }),
        (number(), vec(any_user(), 0..3), version())
            .prop_map(|(flow, users, version)| EventKind::MembersAdded { flow, users, version }),
        (number(), vec(number::<UserId>(), 0..3))
            .prop_map(|(flow, users)| EventKind::MembersRemoved { flow, users }),
        (number::<FlowId>(), any_user(), any::<bool>())
            .prop_map(|(flow, user, active)| EventKind::Typing { flow, user, active }),
        (number(), option::of(number::<SessionId>()))
            .prop_map(|(user, session)| EventKind::SessionsEnded { user, session }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let tag = option::of(vec(any::<u8>(), 0..20).prop_map(Bytes::from));
    let origin = (any::<u64>(), proptest::sample::select(&DIALECTS[..]), tag).prop_map(
        |(connection, dialect, tag)| Origin {
            connection: ConnectionId(connection),
            dialect,
            client_tag: tag,
        },
    );
    (timestamp(), option::of(timestamp()), option::of(origin), kind()).prop_map(
        |(at, moment, origin, kind)| Event { occurred_at: at, committed_at: moment, origin, kind },
    )
}

proptest! {
    #[test]
    fn every_event_is_decoded_as_encoded(node: u64, sequence: u64, event in any_event()) {
        let bytes = encode(node, sequence, &event).unwrap();
        prop_assert_eq!(decode(&bytes, &DIALECTS).unwrap(), Envelope { node, sequence, event });
    }

    #[test]
    fn noise_is_refused_without_a_panic(
        bytes in vec(any::<u8>(), 0..200),
        at in 0..100_usize,
        event in any_event(),
    ) {
        let mut damaged = encode(1, 1, &event).unwrap();
        let at = at % damaged.len();
        damaged.splice(at..at + 1, bytes);
        let _ = decode(&damaged, &DIALECTS);
    }
}
