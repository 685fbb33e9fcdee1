//! The fixed world in which the stories happen: who there is, what was said, and what any command
//! is answered with.

use bytes::Bytes;
use std::time::Duration;
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Changes, Command, Content, ContentType, Credentials, Flow,
    FlowId, FlowKind, FlowSummary, Grant, GrantKind, HistoryRange, Identity, Message, MessageId,
    MessagePage, Photo, PhotoKey, Secret, SessionId, Timestamp, Tokens, User, UserId, UserRef,
    Version,
};

/// The moment at which every story begins. Not a whole second, so that a form which cuts the
/// fraction shows it.
const BEGINNING: i64 = 1_700_000_000_250_000;

/// A one-pixel image: the smallest file that shows its media type.
const PIXEL: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
\0\0\0\rIDATx\xdac\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\0\0\0\0IEND\xaeB`\x82";

/// Somebody who has connections in the stories.
#[derive(Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The number of the user's id.
    pub number: i64,
    /// The login, and the name in transcripts.
    pub login: &'static str,
    /// The password.
    pub password: &'static str,
    /// Every form of token has this text, so that one dialect's proof can be compared with
    /// another's.
    pub token: &'static str,
    /// What a login hands out beside it where the wire has pairs.
    pub refresh: &'static str,
}

/// The owner of the group and the channel.
pub static ANN: Speaker = Speaker {
    number: 1,
    login: "ann",
    password: "correct horse",
    token: "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.YW5uLWhhcy1oZXItdG9rZW4",
    refresh: "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.YW5uLWNhbi1yZWZyZXNo",
};

/// A member of every flow.
pub static BOB: Speaker = Speaker {
    number: 2,
    login: "bob",
    password: "battery staple",
    token: "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6Mn0.Ym9iLWhhcy1oaXMtdG9rZW4",
    refresh: "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6Mn0.Ym9iLWNhbi1yZWZyZXNo",
};

/// A member of the group who comes and goes; an administrator.
pub static CAROL: Speaker = Speaker {
    number: 3,
    login: "carol",
    password: "tr0ub4dor",
    token: "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6M30.Y2Fyb2wtaGFzLWhlci10b2tlbg",
    refresh: "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6M30.Y2Fyb2wtY2FuLXJlZnJlc2g",
};

impl Speaker {
    /// Who it is.
    pub fn user(&self) -> UserId {
        user_id(self.number)
    }

    /// Who a proof of this speaker proves to be.
    pub fn identity(&self) -> Identity {
        let session = SessionId::new(self.number + 100)
            .expect("the numbers of the speakers are small and positive");
        Identity { user: self.user(), session: Some(session) }
    }

    /// The token as a secret.
    pub fn secret(&self) -> Secret {
        Secret::new(self.token)
    }

    /// What a login of this speaker is answered with, in the form that was asked for.
    pub fn grant(&self, kind: GrantKind) -> Grant {
        let tokens = match kind {
            GrantKind::Nothing => Tokens::Nothing,
            GrantKind::Connection => Tokens::Connection,
            GrantKind::Token => Tokens::Token(self.secret()),
            GrantKind::Pair => {
                Tokens::Pair { access: self.secret(), refresh: Secret::new(self.refresh) }
            }
        };
        Grant { user: Some(Box::new(user(self.number))), tokens }
    }
}

/// How a dialect's wire proves who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// [`Credentials::Bearer`].
    Bearer,
    /// [`Credentials::TokenOf`].
    TokenOf,
    /// [`Credentials::Token`].
    Token,
    /// [`Credentials::Connection`].
    Connection,
}

impl Voice {
    /// Every voice; where two fit equally, the earlier is taken.
    pub const ALL: [Voice; 4] = [Voice::Bearer, Voice::TokenOf, Voice::Token, Voice::Connection];

    /// The proof that `speaker` gives in this voice.
    pub fn proof(self, speaker: &Speaker) -> Credentials {
        match self {
            Voice::Bearer => Credentials::Bearer(speaker.secret()),
            Voice::TokenOf => Credentials::TokenOf(speaker.user(), speaker.secret()),
            Voice::Token => Credentials::Token(speaker.secret()),
            Voice::Connection => Credentials::Connection,
        }
    }
}

/// The chat of [`ANN`] and [`BOB`].
pub const CHAT: i64 = 1;
/// The group.
pub const GROUP: i64 = 2;
/// The channel.
pub const CHANNEL: i64 = 3;
/// A flow that nobody is in.
pub const NO_FLOW: i64 = 404;

/// The moment this many seconds into a story.
pub fn moment(seconds: u64) -> Timestamp {
    Timestamp::from_micros(BEGINNING).after(Duration::from_secs(seconds))
}

/// The user id with this number.
pub fn user_id(number: i64) -> UserId {
    UserId::new(number).expect("the world's numbers are small and positive")
}

/// The flow id with this number.
pub fn flow_id(number: i64) -> FlowId {
    FlowId::new(number).expect("the world's numbers are small and positive")
}

/// The message id with this number.
pub fn message_id(number: i64) -> MessageId {
    MessageId::new(number).expect("the world's numbers are small and positive")
}

/// A user of this world; any number has one.
pub fn user(number: i64) -> User {
    let login = match number {
        1 => "ann".to_owned(),
        2 => "bob".to_owned(),
        3 => "carol".to_owned(),
        other => format!("user{other}"),
    };
    let name = match number {
        1 => "Ann Archer".to_owned(),
        2 => "Боб \"B\" Бейкер".to_owned(),
        3 => "Carol Cook".to_owned(),
        other => format!("User {other}"),
    };
    User {
        id: user_id(number),
        username: format!("{login}-the-user"),
        email: Some(format!("{login}@example.org")),
        phone: Some(format!("+1555000{number}")),
        bio: format!("I am {login}"),
        avatar: Some("QVZBVEFS".to_owned()),
        photo: Some(PhotoKey {
            key: format!("users/{number}"),
            media_type: "image/png".to_owned(),
        }),
        bot: false,
        admin: number == CAROL.number,
        business: number == BOB.number,
        profile: true,
        created_at: moment(0),
        changed_at: moment(0),
        deleted_at: None,
        login,
        name,
    }
}

/// A flow of this world: 1 is a chat, 3 a channel, any other a group.
pub fn flow(number: i64) -> Flow {
    let (kind, title, info) = match number {
        CHAT => (FlowKind::Chat, "", ""),
        CHANNEL => (FlowKind::Channel, "News", "What is new"),
        _ => (FlowKind::Group, "Друзья & co", "Those who meet on Fridays"),
    };
    Flow {
        id: flow_id(number),
        kind,
        title: title.to_owned(),
        info: info.to_owned(),
        owner: Some(ANN.user()),
        photo: (number == GROUP)
            .then(|| PhotoKey { key: "flows/2".to_owned(), media_type: "image/png".to_owned() }),
        version: Version(2),
        created_at: moment(0),
        changed_at: moment(2),
    }
}

/// The members of a flow, ordered by id.
pub fn members(number: i64) -> Vec<User> {
    let count = if number == CHAT { 2 } else { 3 };
    (1..=count).map(user).collect()
}

/// A flow as a member sees it.
pub fn overview(number: i64, with_members: bool) -> FlowSummary {
    FlowSummary {
        flow: flow(number),
        members: if with_members || number == CHAT { members(number) } else { Vec::new() },
        last: Some(message(number, 2)),
        first: Some(message_number(number, 1)),
        read: Version(1),
    }
}

/// The message of a flow that took this version: by turns the speakers', its id made of both
/// numbers.
pub fn message(flow_number: i64, version: i64) -> Message {
    let author = if version % 2 == 1 { ANN.number } else { BOB.number };
    Message {
        id: message_number(flow_number, version),
        flow: flow_id(flow_number),
        flow_kind: flow(flow_number).kind,
        author: user(author).summary(),
        content: Content::text(format!(
            "Line {version} of flow {flow_number}: \"quoted\", ключ, 🗝"
        )),
        posted: Version(version),
        version: Version(version),
        posted_at: moment(version.unsigned_abs()),
        edited_at: None,
        deleted_at: None,
        changed_at: moment(version.unsigned_abs()),
    }
}

/// Made of both numbers; a flow of any number has messages, since a hostile peer names any.
fn message_number(flow_number: i64, version: i64) -> MessageId {
    message_id(flow_number % 1_000_000 * 10 + version)
}

/// A message with everything that any of the wires can carry.
pub fn rich_content() -> Content {
    Content {
        text: "See the attached".to_owned(),
        content_type: ContentType::Text,
        attachments: vec![
            Attachment { kind: AttachmentKind::Picture, data: "UElDVFVSRQ==".to_owned() },
            Attachment { kind: AttachmentKind::Video, data: "VklERU8=".to_owned() },
            Attachment { kind: AttachmentKind::Audio, data: "QVVESU8=".to_owned() },
            Attachment { kind: AttachmentKind::Document, data: "RE9DVU1FTlQ=".to_owned() },
        ],
        emoji: Some("RU1PSkk=".to_owned()),
        reply_to: Some(message_id(CHAT * 10 + 1)),
    }
}

/// The image that photos show.
pub fn photo() -> Photo {
    Photo { media_type: "image/png".to_owned(), content: Bytes::from_static(PIXEL) }
}

/// The page of a flow that holds its first two messages.
pub fn page(number: i64) -> MessagePage {
    MessagePage {
        flow: flow_id(number),
        messages: vec![message(number, 1), message(number, 2)],
        version: Version(2),
    }
}

/// What this world answers `command` of `speaker` with, when it is granted.
pub fn answer(speaker: &Speaker, command: &Command) -> Answer {
    match command {
        Command::Register(registration) => {
            Answer::Granted(Box::new(speaker.grant(registration.grant)))
        }
        Command::Login { grant, .. } => Answer::Granted(Box::new(speaker.grant(*grant))),
        Command::Refresh { .. } => Answer::Granted(Box::new(speaker.grant(GrantKind::Pair))),
        Command::Logout { .. } => Answer::LoggedOut,
        Command::Recover { .. } => Answer::RecoveryAccepted,
        Command::ResetPassword { .. } => Answer::PasswordReset,
        Command::DeleteAccount { .. } => Answer::AccountDeleted { user: speaker.user() },
        Command::CreateProfile(_) => Answer::ProfileCreated,
        Command::GetUser { who } => Answer::User(Box::new(user(number_of(speaker, who)))),
        Command::SearchUsers { query, limit } => Answer::Users(
            (1..=3)
                .map(user)
                .filter(|user| !query.is_empty() && user.login.contains(&query.to_lowercase()))
                .take(usize::try_from(*limit).unwrap_or(usize::MAX))
                .collect(),
        ),
        Command::GetPhoto { .. } => Answer::Photo(photo()),
        Command::OpenChat { with } => Answer::ChatOpened {
            flow: flow_id(CHAT),
            with: Some(
                user(if speaker.number == ANN.number {
                    number_of(speaker, with)
                } else {
                    ANN.number
                })
                .summary(),
            ),
            created: true,
        },
        Command::CreateFlow(new) => Answer::FlowCreated {
            flow: flow_id(if new.kind == FlowKind::Channel { CHANNEL } else { GROUP }),
            title: new.title.clone(),
        },
        Command::DeleteFlow { flow, .. } => Answer::FlowDeleted { flow: *flow },
        Command::GetFlow { flow, members, .. } => {
            Answer::Flow(Box::new(overview(flow.get(), *members)))
        }
        Command::AddMembers { flow, users } => {
            Answer::MembersAdded { flow: *flow, users: users.clone() }
        }
        Command::RemoveMembers { flow, users } => {
            Answer::MembersRemoved { flow: *flow, users: users.clone() }
        }
        Command::ListFlows { limit, offset, members } => Answer::Flows(
            [GROUP, CHAT, CHANNEL]
                .into_iter()
                .skip(usize::try_from(*offset).unwrap_or(usize::MAX))
                .take(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX))
                .map(|number| overview(number, *members))
                .collect(),
        ),
        Command::Send(draft) => Answer::Sent {
            message: Some(Box::new(posted(speaker, draft.flow, draft.content.clone()))),
            repeated: false,
        },
        Command::Edit { message: id, text, .. } => Answer::Edited(Box::new(edited(*id, text))),
        Command::Delete { messages, .. } => {
            Answer::Deleted { deleted: messages.clone(), left: Vec::new() }
        }
        Command::History { flow, window, .. } => Answer::History(Box::new(history(*flow, *window))),
        Command::GetChanges { flow, .. } => {
            let number = flow.map_or(GROUP, FlowId::get);
            Answer::Changes(Box::new(Changes {
                messages: vec![message(number, 1), message(number, 2)],
                flows: vec![overview(number, true)],
                user: Some(Box::new(user(speaker.number))),
                until: moment(2),
                more: false,
            }))
        }
        Command::ShowTyping { .. } => Answer::TypingShown,
    }
}

/// The message that a send of `speaker` makes: its version follows [`page`]'s.
pub fn posted(speaker: &Speaker, flow: FlowId, content: Content) -> Message {
    Message { author: user(speaker.number).summary(), content, ..message(flow.get(), 3) }
}

/// A message of this world, edited.
pub fn edited(id: MessageId, text: &str) -> Message {
    let (flow_number, version) = (id.get() / 10, id.get() % 10);
    Message {
        content: Content::text(text),
        version: Version(4),
        edited_at: Some(moment(4)),
        changed_at: moment(4),
        ..message(flow_number.max(1), version.max(1))
    }
}

fn number_of(speaker: &Speaker, who: &UserRef) -> i64 {
    match who {
        UserRef::Me => speaker.number,
        UserRef::Id(id) => id.get(),
        UserRef::Login(login) => {
            (1..=3).find(|number| user(*number).login == *login).unwrap_or(BOB.number)
        }
    }
}

fn history(flow: FlowId, window: HistoryRange) -> MessagePage {
    let whole = page(flow.get());
    let messages = match window {
        HistoryRange::All => whole.messages,
        HistoryRange::Unread => whole.messages.into_iter().skip(1).collect(),
        HistoryRange::Newest { limit, offset } => {
            let mut newest: Vec<Message> = whole
                .messages
                .into_iter()
                .rev()
                .skip(usize::try_from(offset).unwrap_or(usize::MAX))
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .collect();
            newest.reverse();
            newest
        }
    };
    MessagePage { messages, ..whole }
}
