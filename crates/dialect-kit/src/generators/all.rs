//! Proptest strategies for lines: whatever the engine may accept, not only what the stories say.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;
use tolmach_dialect::{Ask, Echo, Notice, Reply};
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Changes, Command, Content, ContentType, Credentials,
    EventKind, Fault, Flow, FlowId, FlowKind, FlowKindFilter, FlowSummary, Grant, GrantKind,
    HistoryRange, ID_LIMIT, Message, MessageId, MessagePage, NewFlow, NewMessage, Photo, PhotoKey,
    PhotoOf, Profile, RecoveryIdentifier, Registration, Secret, Timestamp, Tokens, User, UserId,
    UserRef, UserSummary, Version,
};

use crate::stories::all_faults;
use crate::world;

/// Text of any characters, control characters and all.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => vec(proptest::char::any(), 1..60).prop_map(String::from_iter),
        1 => "[a-z ]{1,24}",
    ]
}

/// Text that may be a name: something to see, no control characters, no space at either end.
pub fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z][a-zA-Z0-9._-]{0,30}", "[а-яё一-龥🙂-🙏]{1,16}"]
}

/// A login.
pub fn login() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,30}"
}

fn email() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,10}@example\\.(org|net)"
}

fn secret() -> impl Strategy<Value = Secret> {
    "[a-zA-Z0-9 !%&+/=?-]{1,40}".prop_map(Secret::new)
}

fn encoded() -> impl Strategy<Value = String> {
    "([A-Za-z0-9+/]{4}){0,5}"
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1..100_i64, 1 => Just(ID_LIMIT - 1), 1 => 1..ID_LIMIT]
}

/// A user's id.
pub fn user_id() -> impl Strategy<Value = UserId> {
    number().prop_map(world::user_id)
}

/// A flow's id.
pub fn flow_id() -> impl Strategy<Value = FlowId> {
    number().prop_map(world::flow_id)
}

/// A message's id.
pub fn message_id() -> impl Strategy<Value = MessageId> {
    number().prop_map(world::message_id)
}

/// A moment of this century.
pub fn timestamp() -> impl Strategy<Value = Timestamp> {
    (1_000_000_000_000_000..4_000_000_000_000_000_i64).prop_map(Timestamp::from_micros)
}

fn version() -> impl Strategy<Value = Version> {
    (1..1_000_000_i64).prop_map(Version)
}

fn photo() -> impl Strategy<Value = Photo> {
    // Wires that look into the content find an image.
    Just(world::photo())
}

fn photo_key() -> impl Strategy<Value = PhotoKey> {
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
pub fn person() -> impl Strategy<Value = UserSummary> {
    user().prop_map(|user| user.summary())
}

fn flow_kind() -> impl Strategy<Value = FlowKind> {
    prop_oneof![Just(FlowKind::Chat), Just(FlowKind::Group), Just(FlowKind::Channel)]
}

fn kind_of(kinds: FlowKindFilter) -> BoxedStrategy<FlowKind> {
    match kinds {
        FlowKindFilter::Any => flow_kind().boxed(),
        FlowKindFilter::Chat => Just(FlowKind::Chat).boxed(),
        FlowKindFilter::Shared => {
            prop_oneof![Just(FlowKind::Group), Just(FlowKind::Channel)].boxed()
        }
    }
}

fn kinds() -> impl Strategy<Value = FlowKindFilter> {
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

/// What a message says.
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
    // Every wire says plain text, few say more.
    prop_oneof![1 => text().prop_map(Content::text), 1 => rich].boxed()
}

/// A message.
pub fn message() -> BoxedStrategy<Message> {
    (message_id(), flow(), person(), content(), version(), timestamp(), option::of(timestamp()))
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

/// A flow as the user with the number 1 sees it, who is one of its members.
fn overview(kinds: FlowKindFilter, with_members: bool) -> BoxedStrategy<FlowSummary> {
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
                .map(|(number, user)| User { id: world::user_id(number), ..user })
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

fn grant_kind() -> impl Strategy<Value = GrantKind> {
    prop_oneof![
        Just(GrantKind::Nothing),
        Just(GrantKind::Connection),
        Just(GrantKind::Token),
        Just(GrantKind::Pair)
    ]
}

fn who() -> impl Strategy<Value = UserRef> {
    prop_oneof![
        Just(UserRef::Me),
        user_id().prop_map(UserRef::Id),
        login().prop_map(UserRef::Login)
    ]
}

fn registration() -> BoxedStrategy<Registration> {
    (
        (
            option::of(login()),
            secret(),
            option::of(name()),
            option::of(email()),
            option::of("\\+[0-9]{7,12}"),
        ),
        (any::<(bool, bool)>(), option::of(text()), option::of(encoded()), grant_kind()),
    )
        .prop_map(
            |((login, password, username, email, phone), ((bot, profile), bio, avatar, grant))| {
                Registration {
                    login,
                    password,
                    username,
                    email,
                    phone,
                    bot,
                    bio,
                    avatar,
                    profile,
                    grant,
                }
            },
        )
        .boxed()
}

fn window() -> impl Strategy<Value = HistoryRange> {
    prop_oneof![
        (1..1000_u32, 0..1000_u32)
            .prop_map(|(limit, offset)| HistoryRange::Newest { limit, offset }),
        Just(HistoryRange::All),
        Just(HistoryRange::Unread)
    ]
}

/// A command.
pub fn command() -> BoxedStrategy<Command> {
    let people = || vec(user_id(), 1..4);
    let accounts = prop_oneof![
        registration().prop_map(|registration| Command::Register(Box::new(registration))),
        (prop_oneof![login().boxed(), email().boxed()], secret(), grant_kind()).prop_map(
            |(identifier, password, grant)| Command::Login { identifier, password, grant }
        ),
        secret().prop_map(|token| Command::Refresh { token }),
        option::of(login()).prop_map(|login| Command::Logout { login }),
        email().prop_map(|email| Command::Recover { known: RecoveryIdentifier::Email(email) }),
        login().prop_map(|login| Command::Recover { known: RecoveryIdentifier::Login(login) }),
        (secret(), secret())
            .prop_map(|(token, password)| Command::ResetPassword { token, password }),
        (login(), secret())
            .prop_map(|(login, password)| Command::DeleteAccount { login, password }),
        (name(), name(), text(), option::of(photo())).prop_map(|(username, name, bio, photo)| {
            Command::CreateProfile(Box::new(Profile { username, name, bio, photo }))
        }),
        who().prop_map(|who| Command::GetUser { who }),
        (name(), 1..=50_u32).prop_map(|(query, limit)| Command::SearchUsers { query, limit }),
        user_id().prop_map(|user| Command::GetPhoto { of: PhotoOf::User(user) }),
        flow_id().prop_map(|flow| Command::GetPhoto { of: PhotoOf::Flow(flow) }),
    ];
    let flows = prop_oneof![
        who().prop_map(|with| Command::OpenChat { with }),
        (any::<bool>(), name(), text(), people(), option::of(photo()), option::of("[!-~]{1,20}"))
            .prop_map(|(channel, title, info, members, photo, key)| {
                let kind = if channel { FlowKind::Channel } else { FlowKind::Group };
                Command::CreateFlow(Box::new(NewFlow { kind, title, info, members, photo, key }))
            }),
        (flow_id(), kinds()).prop_map(|(flow, kinds)| Command::DeleteFlow { flow, kinds }),
        (flow_id(), kinds(), any::<bool>()).prop_map(|(flow, kinds, members)| Command::GetFlow {
            flow,
            kinds,
            members
        }),
        (flow_id(), people()).prop_map(|(flow, users)| Command::AddMembers { flow, users }),
        (flow_id(), people()).prop_map(|(flow, users)| Command::RemoveMembers { flow, users }),
        (option::of(0..1000_u32), 0..1000_u32, any::<bool>())
            .prop_map(|(limit, offset, members)| Command::ListFlows { limit, offset, members }),
    ];
    let messages = prop_oneof![
        (flow_id(), kinds(), content(), option::of("[1-9][0-9]{0,8}")).prop_map(
            |(flow, kinds, content, key)| Command::Send(Box::new(NewMessage {
                flow,
                kinds,
                content,
                key
            }))
        ),
        (message_id(), option::of(flow_id()), text())
            .prop_map(|(message, flow, text)| Command::Edit { message, flow, text }),
        (vec(message_id(), 1..4), option::of(flow_id()))
            .prop_map(|(messages, flow)| Command::Delete { messages, flow }),
        (flow_id(), kinds(), window()).prop_map(|(flow, kinds, window)| Command::History {
            flow,
            kinds,
            window
        }),
        (timestamp(), option::of(flow_id()), 1..=1000_u32)
            .prop_map(|(since, flow, limit)| Command::GetChanges { since, flow, limit }),
        (flow_id(), any::<bool>()).prop_map(|(flow, active)| Command::ShowTyping { flow, active }),
    ];
    prop_oneof![1 => accounts, 1 => flows, 2 => messages].boxed()
}

/// An ask with any proof.
pub fn ask() -> impl Strategy<Value = Ask> {
    let proof = prop_oneof![
        Just(Credentials::Nothing),
        Just(Credentials::Connection),
        secret().prop_map(Credentials::Token),
        (user_id(), secret()).prop_map(|(user, token)| Credentials::TokenOf(user, token)),
        "[a-z]{4,8}\\.[a-z]{4,8}\\.[a-z]{4,8}"
            .prop_map(|token| Credentials::Bearer(Secret::new(token))),
    ];
    (proof, command()).prop_map(|(proof, command)| Ask::new(Echo::NONE, proof, command))
}

/// A fault.
pub fn fault() -> BoxedStrategy<Fault> {
    prop_oneof![
        4 => proptest::sample::select(all_faults()),
        1 => "[a-z ]{1,30}".prop_map(|reason| Fault::invalid("text", reason)),
        1 => (1..3600_u64).prop_map(|seconds| Fault::TooMany { retry_after: Duration::from_secs(seconds) }),
    ]
    .boxed()
}

/// What a command may be granted with.
pub fn answer(command: &Command) -> BoxedStrategy<Answer> {
    match command.clone() {
        Command::Register(registration) => granted(registration.grant),
        Command::Login { grant, .. } => granted(grant),
        Command::Refresh { .. } => granted(GrantKind::Pair),
        Command::Logout { .. } => Just(Answer::LoggedOut).boxed(),
        Command::Recover { .. } => Just(Answer::RecoveryAccepted).boxed(),
        Command::ResetPassword { .. } => Just(Answer::PasswordReset).boxed(),
        Command::DeleteAccount { .. } => {
            user_id().prop_map(|user| Answer::AccountDeleted { user }).boxed()
        }
        Command::CreateProfile(_) => Just(Answer::ProfileCreated).boxed(),
        Command::GetUser { .. } => user().prop_map(|user| Answer::User(Box::new(user))).boxed(),
        Command::SearchUsers { limit, .. } => {
            vec(user(), 0..=usize::try_from(limit).unwrap_or(usize::MAX).min(4))
                .prop_map(Answer::Users)
                .boxed()
        }
        Command::GetPhoto { .. } => vec(any::<u8>(), 1..64)
            .prop_map(|tail| {
                let content = Bytes::from([&b"\x89PNG\r\n\x1a\n"[..], &tail].concat());
                Answer::Photo(Photo { media_type: "image/png".to_owned(), content })
            })
            .boxed(),
        Command::OpenChat { .. } => (flow_id(), person(), any::<bool>())
            .prop_map(|(flow, with, created)| Answer::ChatOpened {
                flow,
                with: Some(with),
                created,
            })
            .boxed(),
        Command::CreateFlow(new) => flow_id()
            .prop_map(move |flow| Answer::FlowCreated { flow, title: new.title.clone() })
            .boxed(),
        Command::DeleteFlow { flow, .. } => Just(Answer::FlowDeleted { flow }).boxed(),
        Command::GetFlow { flow, kinds, members } => overview(kinds, members)
            .prop_map(move |overview| Answer::Flow(Box::new(overview_of(flow, overview))))
            .boxed(),
        Command::AddMembers { flow, users } => Just(Answer::MembersAdded { flow, users }).boxed(),
        Command::RemoveMembers { flow, users } => {
            Just(Answer::MembersRemoved { flow, users }).boxed()
        }
        Command::ListFlows { limit, members, .. } => {
            let most =
                limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX).min(4);
            vec(overview(FlowKindFilter::Any, members), 0..=most).prop_map(Answer::Flows).boxed()
        }
        Command::Send(draft) => (message(), kind_of(draft.kinds), any::<bool>())
            .prop_map(move |(message, flow_kind, repeated)| {
                let message = Message {
                    flow: draft.flow,
                    flow_kind,
                    content: draft.content.clone(),
                    edited_at: None,
                    ..message
                };
                Answer::Sent { message: Some(Box::new(message)), repeated }
            })
            .boxed(),
        Command::Edit { message: id, text, .. } => message()
            .prop_map(move |message| {
                let content = Content { text: text.clone(), ..message.content };
                Answer::Edited(Box::new(Message {
                    id,
                    content,
                    edited_at: Some(message.posted_at),
                    ..message
                }))
            })
            .boxed(),
        Command::Delete { messages, .. } => (0..=messages.len())
            .prop_map(move |count| Answer::Deleted {
                deleted: messages[..count].to_vec(),
                left: messages[count..].to_vec(),
            })
            .boxed(),
        Command::History { flow, kinds, window } => {
            let most = match window {
                HistoryRange::Newest { limit, .. } => {
                    usize::try_from(limit).unwrap_or(usize::MAX).min(4)
                }
                HistoryRange::All | HistoryRange::Unread => 4,
            };
            (vec(message(), 0..=most), kind_of(kinds))
                .prop_map(move |(messages, flow_kind)| {
                    let messages: Vec<Message> = (1..)
                        .zip(messages)
                        .map(|(posted, message)| Message {
                            flow,
                            flow_kind,
                            posted: Version(posted),
                            version: Version(posted),
                            ..message
                        })
                        .collect();
                    let version = messages.last().map_or(Version(0), |message| message.version);
                    Answer::History(Box::new(MessagePage { flow, messages, version }))
                })
                .boxed()
        }
        Command::GetChanges { .. } => (
            vec(message(), 0..3),
            vec(overview(FlowKindFilter::Any, true), 0..3),
            option::of(user()),
            timestamp(),
            any::<bool>(),
        )
            .prop_map(|(messages, flows, user, until, more)| {
                Answer::Changes(Box::new(Changes {
                    messages,
                    flows,
                    user: user.map(Box::new),
                    until,
                    more,
                }))
            })
            .boxed(),
        Command::ShowTyping { .. } => Just(Answer::TypingShown).boxed(),
    }
}

fn granted(kind: GrantKind) -> BoxedStrategy<Answer> {
    (user(), "[a-z]{4,8}\\.[a-z]{4,8}\\.[a-z]{4,8}", secret())
        .prop_map(move |(user, access, refresh)| {
            let tokens = match kind {
                GrantKind::Nothing => Tokens::Nothing,
                GrantKind::Connection => Tokens::Connection,
                GrantKind::Token => Tokens::Token(Secret::new(access)),
                GrantKind::Pair => Tokens::Pair { access: Secret::new(access), refresh },
            };
            Answer::Granted(Box::new(Grant { user: Some(Box::new(user)), tokens }))
        })
        .boxed()
}

fn overview_of(flow: FlowId, overview: FlowSummary) -> FlowSummary {
    let last = overview.last.map(|message| Message { flow, ..message });
    FlowSummary { flow: Flow { id: flow, ..overview.flow }, last, ..overview }
}

/// A reply to `command`, from whoever proved to be `identity`.
pub fn reply(command: &Command) -> impl Strategy<Value = Reply> + use<> {
    let outcome = prop_oneof![3 => answer(command).prop_map(Ok), 1 => fault().prop_map(Err)];
    (outcome, user_id()).prop_map(|(outcome, user)| {
        let identity = Some(tolmach_domain::Identity { user, session: None });
        Reply { echo: Echo::NONE, identity, outcome }
    })
}

/// Something that happens.
pub fn event() -> BoxedStrategy<EventKind> {
    prop_oneof![
        message().prop_map(EventKind::Posted),
        (message(), timestamp()).prop_map(|(message, at)| EventKind::Edited(Message {
            edited_at: Some(at),
            ..message
        })),
        (flow_id(), user_id(), vec(message_id(), 1..4)).prop_map(|(flow, by, ids)| {
            EventKind::Deleted {
                flow,
                by,
                messages: ids.into_iter().zip((1..).map(Version)).collect(),
            }
        }),
        (flow(), vec(person(), 2..4))
            .prop_map(|(flow, members)| EventKind::FlowCreated { flow, members }),
        (flow_id(), user_id()).prop_map(|(flow, by)| EventKind::FlowDeleted { flow, by }),
        (flow_id(), vec(person(), 1..3), version())
            .prop_map(|(flow, users, version)| EventKind::MembersAdded { flow, users, version }),
        (flow_id(), vec(user_id(), 1..3))
            .prop_map(|(flow, users)| EventKind::MembersRemoved { flow, users }),
        (flow_id(), person(), any::<bool>()).prop_map(|(flow, user, active)| EventKind::Typing {
            flow,
            user,
            active
        }),
        user_id().prop_map(|user| EventKind::SessionsEnded { user, session: None }),
    ]
    .boxed()
}

/// A notice without an origin.
pub fn notice() -> impl Strategy<Value = Notice> {
    (timestamp(), event()).prop_map(|(at, kind)| Event::new(at, kind))
}
