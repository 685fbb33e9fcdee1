//! Users, flows, messages and their parts.

use crate::fixtures;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tolmach_domain::{
    Attachment, AttachmentKind, Content, ContentType, Flow, FlowId, FlowKind, FlowKindFilter,
    FlowSummary, ID_LIMIT, Message, MessageId, Photo, PhotoKey, Secret, Timestamp, User, UserId,
    UserSummary, Version,
};

/// Text of any characters, control characters and all.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => vec(proptest::char::any(), 1..60).prop_map(String::from_iter),
        1 => "[a-z ]{1,24}",
    ]
}

/// Text that may be a name: not empty, without control characters, without a space at either end.
pub fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z][a-zA-Z0-9._-]{0,30}", "[а-яё一-龥🙂-🙏]{1,16}"]
}

/// A login.
pub fn login() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,30}"
}

pub(crate) fn email() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,10}@example\\.(org|net)"
}

pub(crate) fn secret() -> impl Strategy<Value = Secret> {
    "[a-zA-Z0-9 !%&+/=?-]{1,40}".prop_map(Secret::new)
}

pub(crate) fn encoded() -> impl Strategy<Value = String> {
    "([A-Za-z0-9+/]{4}){0,5}"
}

pub(crate) fn number() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1..100_i64, 1 => Just(ID_LIMIT - 1), 1 => 1..ID_LIMIT]
}

/// A user's id.
pub fn user_id() -> impl Strategy<Value = UserId> {
    number().prop_map(fixtures::user_id)
}

/// A flow's id.
pub fn flow_id() -> impl Strategy<Value = FlowId> {
    number().prop_map(fixtures::flow_id)
}

/// A message's id.
pub fn message_id() -> impl Strategy<Value = MessageId> {
    number().prop_map(fixtures::message_id)
}

/// A time of this century.
pub fn timestamp() -> impl Strategy<Value = Timestamp> {
    (1_000_000_000_000_000..4_000_000_000_000_000_i64).prop_map(Timestamp::from_micros)
}

pub(crate) fn version() -> impl Strategy<Value = Version> {
    (1..1_000_000_i64).prop_map(Version)
}

pub(crate) fn photo() -> impl Strategy<Value = Photo> {
    // An image, because some wires look into the content.
    Just(fixtures::photo())
}

pub(crate) fn photo_key() -> impl Strategy<Value = PhotoKey> {
    "[a-z0-9]{1,20}".prop_map(|key| PhotoKey { key, media_type: "image/png".to_owned() })
}

/// A user.
pub fn user() -> BoxedStrategy<User> {
    (
        (user_id(), login(), name(), name(), option::of(email()), option::of("\\+[0-9]{7,12}")),
        (
            text(),
            option::of(encoded()),
            option::of(photo_key()),
            any::<(bool, bool, bool)>(),
            timestamp(),
            timestamp(),
        ),
    )
        .prop_map(
            |(
                (id, login, username, name, email, phone),
                (bio, avatar, photo, (bot, admin, business), created_at, changed_at),
            )| {
                User {
                    id,
                    login,
                    username,
                    name,
                    email,
                    phone,
                    bio,
                    avatar,
                    photo,
                    bot,
                    admin,
                    business,
                    profile: true,
                    created_at,
                    changed_at,
                    deleted_at: None,
                }
            },
        )
        .boxed()
}

/// A user as others see it.
pub fn user_summary() -> impl Strategy<Value = UserSummary> {
    user().prop_map(|user| user.summary())
}

pub(crate) fn flow_kind() -> impl Strategy<Value = FlowKind> {
    prop_oneof![Just(FlowKind::Chat), Just(FlowKind::Group), Just(FlowKind::Channel)]
}

pub(crate) fn kind_of(kinds: FlowKindFilter) -> BoxedStrategy<FlowKind> {
    match kinds {
        FlowKindFilter::Any => flow_kind().boxed(),
        FlowKindFilter::Chat => Just(FlowKind::Chat).boxed(),
        FlowKindFilter::Shared => {
            prop_oneof![Just(FlowKind::Group), Just(FlowKind::Channel)].boxed()
        }
    }
}

pub(crate) fn kinds() -> impl Strategy<Value = FlowKindFilter> {
    prop_oneof![Just(FlowKindFilter::Any), Just(FlowKindFilter::Chat), Just(FlowKindFilter::Shared)]
}

/// A flow; a chat has no title.
pub fn flow() -> BoxedStrategy<Flow> {
    (
        flow_id(),
        flow_kind(),
        name(),
        text(),
        option::of(user_id()),
        option::of(photo_key()),
        version(),
        timestamp(),
        timestamp(),
    )
        .prop_map(|(id, kind, title, info, owner, photo, version, created_at, changed_at)| Flow {
            id,
            kind,
            title: if kind == FlowKind::Chat { String::new() } else { title },
            info,
            owner,
            photo,
            version,
            created_at,
            changed_at,
        })
        .boxed()
}

/// The content of a message.
pub fn content() -> BoxedStrategy<Content> {
    let content_type = prop_oneof![
        4 => Just(ContentType::Text),
        1 => Just(ContentType::Image),
        1 => Just(ContentType::File),
        1 => Just(ContentType::Sticker),
        1 => "x-[a-z]{1,60}".prop_map(|other| ContentType::Other(other.into())),
    ];
    let kind = prop_oneof![
        Just(AttachmentKind::Picture),
        Just(AttachmentKind::Video),
        Just(AttachmentKind::Audio),
        Just(AttachmentKind::Document)
    ];
    let attachment = (kind, encoded()).prop_map(|(kind, data)| Attachment { kind, data });
    let rich = (
        text(),
        content_type,
        vec(attachment, 0..3),
        option::of(encoded()),
        option::of(message_id()),
    )
        .prop_map(|(text, content_type, attachments, emoji, reply_to)| Content {
            text,
            content_type,
            attachments,
            emoji,
            reply_to,
        });
    // Every wire carries plain text, few carry more.
    prop_oneof![1 => text().prop_map(Content::text), 1 => rich].boxed()
}

/// A message.
pub fn message() -> BoxedStrategy<Message> {
    (
        message_id(),
        flow(),
        user_summary(),
        content(),
        version(),
        timestamp(),
        option::of(timestamp()),
    )
        .prop_map(|(id, flow, author, content, posted, posted_at, edited_at)| Message {
            id,
            flow: flow.id,
            flow_kind: flow.kind,
            author,
            content,
            posted,
            version: posted,
            posted_at,
            edited_at,
            deleted_at: None,
            changed_at: edited_at.unwrap_or(posted_at),
        })
        .boxed()
}

/// A flow as the user with the number 1 sees it, a member.
pub(crate) fn flow_summary(
    kinds: FlowKindFilter,
    with_members: bool,
) -> BoxedStrategy<FlowSummary> {
    (flow(), vec(user(), 2..4), option::of(message()), version())
        .prop_map(move |(flow, members, last, read)| {
            let kind = match kinds {
                FlowKindFilter::Chat => FlowKind::Chat,
                FlowKindFilter::Shared if flow.kind == FlowKind::Chat => FlowKind::Group,
                FlowKindFilter::Any | FlowKindFilter::Shared => flow.kind,
            };
            let title = match (kind, flow.title.is_empty()) {
                (FlowKind::Chat, _) => String::new(),
                (_, true) => "untitled".to_owned(),
                (_, false) => flow.title,
            };
            let flow = Flow { kind, title, ..flow };
            let count = match (kind, with_members) {
                (FlowKind::Chat, _) => 2,
                (_, true) => members.len(),
                (_, false) => 0,
            };
            let members = (1..)
                .zip(members)
                .take(count)
                .map(|(number, user)| User { id: fixtures::user_id(number), ..user })
                .collect();
            let last = last.map(|message| Message { flow: flow.id, flow_kind: kind, ..message });
            FlowSummary {
                first: last.as_ref().map(|message| message.id),
                flow,
                members,
                last,
                read,
            }
        })
        .boxed()
}
