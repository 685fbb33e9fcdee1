//! The canonical conversations, as data: every use case, every fault and every event at least once.
//!
//! A dialect tells what it can say of them. Ids, times and tokens are the fixed ones of
//! [`crate::world`].

use crate::world::{
    self, ANN, BOB, CAROL, CHANNEL, CHAT, GROUP, NO_FLOW, Speaker, flow_id, message, message_id,
    moment, photo, rich_content, user, user_id,
};
use std::time::Duration;
use tolmach_domain::{
    Answer, Authority, Command, Content, ContentType, EventKind, Fault, FlowId, FlowKind,
    FlowKindFilter, GrantKind, HistoryRange, MessagePage, NewFlow, NewMessage, PhotoOf, Profile,
    RecoveryIdentifier, Registration, Secret, UserRef, Version,
};

/// The operation under which a dialect declares that it has no administrators: what they ask is
/// told in a story of its own.
pub const ADMINISTRATOR: &str = "administrator";

/// A conversation.
#[derive(Debug, Clone)]
pub struct Story {
    /// Its name: the transcript's file name.
    pub name: &'static str,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One step of a [`Story`].
#[derive(Debug, Clone)]
pub enum Step {
    /// Somebody asks and is answered.
    Exchange(Box<Exchange>),
    /// Something happens elsewhere.
    Happening(Box<EventKind>),
}

/// An ask, its reply and what everybody hears of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Who asks.
    pub speaker: &'static Speaker,
    /// Whether the ask proves who asks.
    pub proven: bool,
    /// In which right.
    pub authority: Authority,
    /// What sets it apart from the other exchanges of its operation.
    pub about: String,
    /// What is asked.
    pub command: Command,
    /// What it is answered with.
    pub outcome: Result<Answer, Fault>,
    /// What everybody hears of it.
    pub event: Option<EventKind>,
}

impl Exchange {
    fn granted(speaker: &'static Speaker, about: &str, command: Command) -> Self {
        let outcome = Ok(world::answer(speaker, &command));
        Self {
            speaker,
            proven: true,
            authority: Authority::Member,
            about: about.to_owned(),
            command,
            outcome,
            event: None,
        }
    }

    fn refused(speaker: &'static Speaker, command: Command, fault: Fault) -> Self {
        let about = format!("refused, {}", fault.name());
        Self {
            speaker,
            proven: true,
            authority: Authority::Member,
            about,
            command,
            outcome: Err(fault),
            event: None,
        }
    }

    fn answered(self, answer: Answer) -> Self {
        Self { outcome: Ok(answer), ..self }
    }

    fn unproven(self) -> Self {
        Self { proven: false, ..self }
    }

    fn by_administrator(self) -> Self {
        Self { authority: Authority::Administrator, ..self }
    }

    fn heard_as(self, event: EventKind) -> Self {
        Self { event: Some(event), ..self }
    }

    /// The name under which its loss is declared: the command's, or [`ADMINISTRATOR`].
    pub fn operation(&self) -> &'static str {
        match self.authority {
            Authority::Member => self.command.name(),
            Authority::Administrator => ADMINISTRATOR,
        }
    }

    /// What a transcript calls it.
    pub fn title(&self) -> String {
        let right =
            if self.authority == Authority::Administrator { " as administrator" } else { "" };
        let about =
            if self.about.is_empty() { String::new() } else { format!(" ({})", self.about) };
        format!("{}: {}{right}{about}", self.speaker.login, self.command.name())
    }
}

impl From<Exchange> for Step {
    fn from(exchange: Exchange) -> Self {
        Step::Exchange(Box::new(exchange))
    }
}

/// All stories.
pub fn stories() -> Vec<Story> {
    vec![account(), chat(), group(), administrator(), faults()]
}

/// Every fault. An exhaustive match in the tests keeps it whole.
pub fn all_faults() -> Vec<Fault> {
    vec![
        Fault::Unauthenticated,
        Fault::WrongCredentials { login_exists: false },
        Fault::WrongCredentials { login_exists: true },
        Fault::LoginTaken,
        Fault::NoProfile,
        Fault::ProfileExists,
        Fault::NoSuchUser,
        Fault::NoSuchFlow,
        Fault::NoSuchMessage,
        Fault::NoPhoto,
        Fault::WrongKind,
        Fault::NotOwner,
        Fault::NotAuthor,
        Fault::NotAdministrator,
        Fault::NoBusiness,
        Fault::AlreadyMember,
        Fault::NotMember,
        Fault::KeyReused,
        Fault::invalid("text", "at least one character is expected"),
        Fault::TooMany { retry_after: Duration::from_secs(30) },
        Fault::Unavailable,
        Fault::Internal,
    ]
}

fn register(login: &str) -> Command {
    Command::Register(Box::new(Registration {
        login: Some(login.to_owned()),
        password: Secret::new(ANN.password),
        username: Some(login.to_owned()),
        email: Some(format!("{login}@example.org")),
        phone: Some("+15550001".to_owned()),
        bot: false,
        bio: Some("I am new".to_owned()),
        avatar: Some("QVZBVEFS".to_owned()),
        profile: true,
        grant: GrantKind::Token,
    }))
}

fn login(identifier: &str, password: &str) -> Command {
    Command::Login {
        identifier: identifier.to_owned(),
        password: Secret::new(password),
        grant: GrantKind::Token,
    }
}

fn log_in(speaker: &'static Speaker) -> Step {
    Exchange::granted(speaker, "", login(speaker.login, speaker.password)).unproven().into()
}

fn list_flows(limit: Option<u32>, offset: u32, members: bool) -> Command {
    Command::ListFlows { limit, offset, members }
}

fn send(flow: i64, kinds: FlowKindFilter, content: Content) -> Command {
    Command::Send(Box::new(NewMessage { flow: flow_id(flow), kinds, content, key: None }))
}

/// A granted send, heard by the others.
fn sent(
    speaker: &'static Speaker,
    about: &str,
    flow: i64,
    kinds: FlowKindFilter,
    content: Content,
) -> Step {
    let event = EventKind::Posted(world::posted(speaker, flow_id(flow), content.clone()));
    Exchange::granted(speaker, about, send(flow, kinds, content)).heard_as(event).into()
}

fn history(flow: i64, kinds: FlowKindFilter, window: HistoryRange) -> Command {
    Command::History { flow: flow_id(flow), kinds, window }
}

const NEWEST: HistoryRange = HistoryRange::Newest { limit: 100, offset: 0 };

fn account() -> Story {
    let profile = |photo| {
        Command::CreateProfile(Box::new(Profile {
            username: "ann-the-user".to_owned(),
            name: "Ann Archer".to_owned(),
            bio: "I am ann".to_owned(),
            photo,
        }))
    };
    let get_user = |who| Command::GetUser { who };
    let search = |query: &str| Command::SearchUsers { query: query.to_owned(), limit: 50 };
    let deletion = |password: &str| Command::DeleteAccount {
        login: ANN.login.to_owned(),
        password: Secret::new(password),
    };
    let reset = || Command::ResetPassword {
        token: Secret::new("recovery-token"),
        password: Secret::new("new password"),
    };
    let refresh = || Command::Refresh { token: Secret::new(ANN.refresh) };
    let user_photo = || Command::GetPhoto { of: PhotoOf::User(BOB.user()) };
    Story {
        name: "account",
        steps: vec![
            Exchange::refused(&ANN, register("bob"), Fault::LoginTaken).unproven().into(),
            Exchange::refused(
                &ANN,
                register("ann"),
                Fault::invalid("password", "at least one byte is expected"),
            )
            .unproven()
            .into(),
            Exchange::granted(&ANN, "", register("ann")).unproven().into(),
            Exchange::refused(
                &ANN,
                login("ann", "wrong"),
                Fault::WrongCredentials { login_exists: true },
            )
            .unproven()
            .into(),
            Exchange::refused(
                &ANN,
                login("nobody", "wrong"),
                Fault::WrongCredentials { login_exists: false },
            )
            .unproven()
            .into(),
            Exchange::refused(
                &ANN,
                login("ann", "wrong"),
                Fault::TooMany { retry_after: Duration::from_secs(30) },
            )
            .unproven()
            .into(),
            Exchange::granted(&ANN, "by e-mail", login("ann@example.org", ANN.password))
                .unproven()
                .into(),
            log_in(&ANN),
            Exchange::granted(&ANN, "", refresh()).unproven().into(),
            Exchange::refused(&ANN, refresh(), Fault::Unauthenticated).unproven().into(),
            Exchange::refused(&ANN, get_user(UserRef::Me), Fault::NoProfile).into(),
            Exchange::granted(&ANN, "with a photo", profile(Some(photo()))).into(),
            Exchange::granted(&ANN, "without a photo", profile(None)).into(),
            Exchange::refused(&ANN, profile(None), Fault::ProfileExists).into(),
            Exchange::granted(&ANN, "oneself", get_user(UserRef::Me)).into(),
            Exchange::granted(&ANN, "by id", get_user(UserRef::Id(BOB.user()))).into(),
            Exchange::granted(&ANN, "by login", get_user(UserRef::Login("bob".to_owned()))).into(),
            Exchange::refused(&ANN, get_user(UserRef::Id(user_id(404))), Fault::NoSuchUser).into(),
            Exchange::granted(&ANN, "of a user", user_photo()).into(),
            Exchange::refused(&ANN, user_photo(), Fault::NoPhoto).into(),
            Exchange::granted(&ANN, "some match", search("O")).into(),
            Exchange::granted(&ANN, "nobody matches", search("zzz")).into(),
            Exchange::refused(&ANN, search("o"), Fault::Unauthenticated).into(),
            Exchange::granted(
                &ANN,
                "by e-mail",
                Command::Recover { known: RecoveryIdentifier::Email("ann@example.org".to_owned()) },
            )
            .unproven()
            .into(),
            Exchange::granted(
                &ANN,
                "by login",
                Command::Recover { known: RecoveryIdentifier::Login("ann".to_owned()) },
            )
            .unproven()
            .into(),
            Exchange::granted(&ANN, "", reset()).unproven().into(),
            Exchange::refused(&ANN, reset(), Fault::Unauthenticated).unproven().into(),
            Exchange::refused(
                &ANN,
                deletion("wrong"),
                Fault::WrongCredentials { login_exists: true },
            )
            .unproven()
            .into(),
            Exchange::refused(
                &ANN,
                Command::Logout { login: Some("bob".to_owned()) },
                Fault::Unauthenticated,
            )
            .into(),
            Exchange::granted(
                &ANN,
                "naming oneself",
                Command::Logout { login: Some("ann".to_owned()) },
            )
            .into(),
            log_in(&ANN),
            Exchange::granted(&ANN, "", Command::Logout { login: None }).into(),
            log_in(&BOB),
            Exchange::granted(&BOB, "", list_flows(None, 0, false)).into(),
            Exchange::granted(
                &BOB,
                "to hear of the end",
                history(CHAT, FlowKindFilter::Chat, NEWEST),
            )
            .into(),
            Step::Happening(Box::new(EventKind::SessionsEnded {
                user: BOB.user(),
                session: BOB.identity().session,
            })),
            log_in(&ANN),
            Exchange::granted(&ANN, "", deletion(ANN.password)).unproven().into(),
        ],
    }
}

fn chat() -> Story {
    let open = |who| Command::OpenChat { with: who };
    let edit = |id: i64| Command::Edit {
        message: message_id(id),
        flow: Some(flow_id(CHAT)),
        text: "Better put".to_owned(),
    };
    let delete = |ids: &[i64]| Command::Delete {
        messages: ids.iter().copied().map(message_id).collect(),
        flow: Some(flow_id(CHAT)),
    };
    let deleted = |ids: &[i64]| EventKind::Deleted {
        flow: flow_id(CHAT),
        by: ANN.user(),
        messages: ids
            .iter()
            .zip(5..)
            .map(|(id, version)| (message_id(*id), Version(version)))
            .collect(),
    };
    let typing = |active| Command::ShowTyping { flow: flow_id(CHAT), active };
    let types =
        |active| EventKind::Typing { flow: flow_id(CHAT), user: user(ANN.number).summary(), active };
    let get_chat =
        || Command::GetFlow { flow: flow_id(CHAT), kinds: FlowKindFilter::Chat, members: true };
    let changes =
        |flow: Option<FlowId>| Command::GetChanges { since: moment(0), flow, limit: 1000 };
    let keyed = || {
        Command::Send(Box::new(NewMessage {
            flow: flow_id(CHAT),
            kinds: FlowKindFilter::Any,
            content: Content::text("Said twice"),
            key: Some("7".to_owned()),
        }))
    };
    let repeated = Answer::Sent {
        message: Some(Box::new(world::posted(&ANN, flow_id(CHAT), Content::text("Said twice")))),
        repeated: true,
    };
    let empty_page = || {
        Answer::History(Box::new(MessagePage {
            flow: flow_id(CHAT),
            messages: Vec::new(),
            version: Version(0),
        }))
    };
    let of_type =
        |content_type| Content { content_type, ..Content::text("https://example.org/picture.png") };
    Story {
        name: "chat",
        steps: vec![
            log_in(&ANN),
            log_in(&BOB),
            Exchange::refused(&ANN, open(UserRef::Login("nobody".to_owned())), Fault::NoSuchUser)
                .into(),
            Exchange::refused(
                &ANN,
                open(UserRef::Id(ANN.user())),
                Fault::invalid("user", "another user than oneself is expected"),
            )
            .into(),
            Exchange::granted(&ANN, "by login", open(UserRef::Login("bob".to_owned())))
                .heard_as(EventKind::FlowCreated {
                    flow: world::flow(CHAT),
                    members: vec![user(1).summary(), user(2).summary()],
                })
                .into(),
            Exchange::granted(&ANN, "by id", open(UserRef::Id(BOB.user()))).into(),
            Exchange::granted(&BOB, "", list_flows(None, 0, false)).into(),
            Exchange::granted(&ANN, "", list_flows(None, 0, false)).into(),
            Exchange::granted(&ANN, "a part", list_flows(Some(1), 1, false)).into(),
            Exchange::granted(&ANN, "with members", list_flows(None, 0, true)).into(),
            Exchange::granted(&ANN, "none", list_flows(None, 0, false))
                .answered(Answer::Flows(Vec::new()))
                .into(),
            Exchange::granted(&BOB, "", get_chat()).into(),
            Exchange::granted(&ANN, "", get_chat()).into(),
            Exchange::refused(
                &ANN,
                Command::GetFlow {
                    flow: flow_id(NO_FLOW),
                    kinds: FlowKindFilter::Chat,
                    members: true,
                },
                Fault::NoSuchFlow,
            )
            .into(),
            Exchange::granted(&BOB, "the newest", history(CHAT, FlowKindFilter::Chat, NEWEST))
                .into(),
            Exchange::granted(&ANN, "the newest", history(CHAT, FlowKindFilter::Chat, NEWEST))
                .into(),
            Exchange::granted(
                &ANN,
                "a part",
                history(CHAT, FlowKindFilter::Chat, HistoryRange::Newest { limit: 1, offset: 1 }),
            )
            .into(),
            Exchange::granted(&ANN, "all", history(CHAT, FlowKindFilter::Any, HistoryRange::All))
                .into(),
            Exchange::granted(
                &ANN,
                "the unread",
                history(CHAT, FlowKindFilter::Any, HistoryRange::Unread),
            )
            .into(),
            Exchange::granted(&ANN, "nothing newest", history(CHAT, FlowKindFilter::Chat, NEWEST))
                .answered(empty_page())
                .into(),
            Exchange::granted(
                &ANN,
                "nothing at all",
                history(CHAT, FlowKindFilter::Any, HistoryRange::All),
            )
            .answered(empty_page())
            .into(),
            Exchange::refused(
                &ANN,
                history(NO_FLOW, FlowKindFilter::Any, HistoryRange::All),
                Fault::NoSuchFlow,
            )
            .into(),
            Exchange::refused(
                &ANN,
                history(NO_FLOW, FlowKindFilter::Chat, NEWEST),
                Fault::NoSuchFlow,
            )
            .into(),
            sent(
                &ANN,
                "text",
                CHAT,
                FlowKindFilter::Any,
                Content::text("Hello, \"Bob\"!\nПривет 👋"),
            ),
            sent(&BOB, "back", CHAT, FlowKindFilter::Any, Content::text("Hello yourself")),
            sent(&ANN, "a picture", CHAT, FlowKindFilter::Any, of_type(ContentType::Image)),
            sent(&ANN, "a file", CHAT, FlowKindFilter::Any, of_type(ContentType::File)),
            sent(&ANN, "a sticker", CHAT, FlowKindFilter::Any, of_type(ContentType::Sticker)),
            sent(
                &ANN,
                "another type",
                CHAT,
                FlowKindFilter::Any,
                of_type(ContentType::Other("location".into())),
            ),
            sent(&ANN, "everything", CHAT, FlowKindFilter::Any, rich_content()),
            Exchange::granted(&ANN, "repeated", keyed()).answered(repeated).into(),
            Exchange::refused(
                &ANN,
                send(NO_FLOW, FlowKindFilter::Any, Content::text("Anybody?")),
                Fault::NoSuchFlow,
            )
            .into(),
            Exchange::granted(&ANN, "", edit(11))
                .heard_as(EventKind::Edited(world::edited(message_id(11), "Better put")))
                .into(),
            Exchange::refused(&ANN, edit(12), Fault::NotAuthor).into(),
            Exchange::refused(&ANN, edit(19), Fault::NoSuchMessage).into(),
            Exchange::granted(&ANN, "one", delete(&[11])).heard_as(deleted(&[11])).into(),
            Exchange::granted(&ANN, "several", delete(&[13, 15]))
                .heard_as(deleted(&[13, 15]))
                .into(),
            Exchange::granted(&ANN, "some are left", delete(&[13, 12]))
                .answered(Answer::Deleted {
                    deleted: vec![message_id(13)],
                    left: vec![message_id(12)],
                })
                .heard_as(deleted(&[13]))
                .into(),
            Exchange::refused(&ANN, delete(&[12]), Fault::NoSuchMessage).into(),
            Exchange::granted(&ANN, "begins", typing(true)).heard_as(types(true)).into(),
            Exchange::granted(&ANN, "stops", typing(false)).heard_as(types(false)).into(),
            Exchange::refused(
                &ANN,
                Command::ShowTyping { flow: flow_id(NO_FLOW), active: true },
                Fault::NoSuchFlow,
            )
            .into(),
            Exchange::granted(&ANN, "everywhere", changes(None)).into(),
            Exchange::granted(&ANN, "in one flow", changes(Some(flow_id(CHAT)))).into(),
            Exchange::refused(&ANN, changes(Some(flow_id(NO_FLOW))), Fault::NoSuchFlow).into(),
            Exchange::granted(
                &ANN,
                "a chat",
                Command::DeleteFlow { flow: flow_id(CHAT), kinds: FlowKindFilter::Any },
            )
            .heard_as(EventKind::FlowDeleted { flow: flow_id(CHAT), by: ANN.user() })
            .into(),
        ],
    }
}

fn group() -> Story {
    let create_keyed = |kind, photo, key: Option<&str>| {
        let title = world::flow(if kind == FlowKind::Group { GROUP } else { CHANNEL });
        Command::CreateFlow(Box::new(NewFlow {
            kind,
            title: title.title,
            info: title.info,
            members: vec![BOB.user(), CAROL.user()],
            photo,
            key: key.map(str::to_owned),
        }))
    };
    let create = |kind, photo| create_keyed(kind, photo, None);
    let create_with_key = || create_keyed(FlowKind::Group, None, Some(r#"8e03978e-"40d5""#));
    let created = |number| EventKind::FlowCreated {
        flow: world::flow(number),
        members: world::members(number).iter().map(tolmach_domain::User::summary).collect(),
    };
    let get =
        |members| Command::GetFlow { flow: flow_id(GROUP), kinds: FlowKindFilter::Shared, members };
    let add = |users: &[i64]| Command::AddMembers {
        flow: flow_id(GROUP),
        users: users.iter().copied().map(user_id).collect(),
    };
    let remove = |users: &[i64]| Command::RemoveMembers {
        flow: flow_id(GROUP),
        users: users.iter().copied().map(user_id).collect(),
    };
    let flow_photo = || Command::GetPhoto { of: PhotoOf::Flow(flow_id(GROUP)) };
    let delete = || Command::DeleteFlow { flow: flow_id(GROUP), kinds: FlowKindFilter::Shared };
    Story {
        name: "group",
        steps: vec![
            log_in(&ANN),
            log_in(&BOB),
            Exchange::granted(&BOB, "", list_flows(None, 0, false)).into(),
            Exchange::refused(&ANN, create(FlowKind::Group, None), Fault::NoSuchUser).into(),
            Exchange::granted(&ANN, "a group", create(FlowKind::Group, None))
                .heard_as(created(GROUP))
                .into(),
            Exchange::granted(&ANN, "a group, with a key", create_with_key())
                .heard_as(created(GROUP))
                .into(),
            Exchange::refused(&ANN, create_with_key(), Fault::KeyReused).into(),
            Exchange::granted(&ANN, "a group with a photo", create(FlowKind::Group, Some(photo())))
                .heard_as(created(GROUP))
                .into(),
            Exchange::granted(&ANN, "a channel", create(FlowKind::Channel, None))
                .heard_as(created(CHANNEL))
                .into(),
            Exchange::granted(&BOB, "with members", get(true)).into(),
            Exchange::granted(&ANN, "with members", get(true)).into(),
            Exchange::granted(&ANN, "without members", get(false)).into(),
            Exchange::refused(&ANN, get(false), Fault::NoSuchFlow).into(),
            Exchange::granted(&ANN, "of a group", flow_photo()).into(),
            Exchange::refused(&ANN, flow_photo(), Fault::NoPhoto).into(),
            Exchange::granted(
                &BOB,
                "the newest of a group",
                history(GROUP, FlowKindFilter::Shared, NEWEST),
            )
            .into(),
            Exchange::granted(
                &ANN,
                "the newest of a group",
                history(GROUP, FlowKindFilter::Shared, NEWEST),
            )
            .into(),
            sent(&ANN, "to a group", GROUP, FlowKindFilter::Shared, Content::text("Hello, all")),
            sent(&BOB, "to a group", GROUP, FlowKindFilter::Shared, Content::text("Hello, Ann")),
            Exchange::refused(
                &ANN,
                send(CHAT, FlowKindFilter::Shared, Content::text("Hello?")),
                Fault::WrongKind,
            )
            .into(),
            Step::Happening(Box::new(EventKind::Posted(message(GROUP, 5)))),
            Exchange::granted(&ANN, "", add(&[4, 5]))
                .heard_as(EventKind::MembersAdded {
                    flow: flow_id(GROUP),
                    users: vec![user(4).summary(), user(5).summary()],
                    version: Version(7),
                })
                .into(),
            Exchange::refused(&ANN, add(&[2]), Fault::AlreadyMember).into(),
            Exchange::refused(&BOB, add(&[6]), Fault::NotOwner).into(),
            Exchange::granted(&ANN, "", remove(&[3, 4]))
                .heard_as(EventKind::MembersRemoved {
                    flow: flow_id(GROUP),
                    users: vec![user_id(3), user_id(4)],
                })
                .into(),
            Exchange::refused(&ANN, remove(&[6]), Fault::NotMember).into(),
            Exchange::refused(&BOB, remove(&[1]), Fault::NotOwner).into(),
            Step::Happening(Box::new(EventKind::MembersRemoved {
                flow: flow_id(GROUP),
                users: vec![BOB.user()],
            })),
            Exchange::refused(&ANN, delete(), Fault::NotOwner).into(),
            Exchange::granted(&ANN, "a group", delete())
                .heard_as(EventKind::FlowDeleted { flow: flow_id(GROUP), by: ANN.user() })
                .into(),
        ],
    }
}

fn administrator() -> Story {
    let get =
        || Command::GetFlow { flow: flow_id(CHAT), kinds: FlowKindFilter::Chat, members: true };
    let edit = || Command::Edit {
        message: message_id(13),
        flow: Some(flow_id(CHAT)),
        text: "Put by an administrator".to_owned(),
    };
    let delete = || Command::Delete {
        messages: vec![message_id(11), message_id(12)],
        flow: Some(flow_id(CHAT)),
    };
    let steps = vec![
        Exchange::refused(&CAROL, list_flows(None, 0, true), Fault::NotAdministrator),
        Exchange::granted(&CAROL, "", list_flows(None, 0, true)),
        Exchange::refused(&CAROL, get(), Fault::NoSuchFlow),
        Exchange::granted(&CAROL, "", get()),
        Exchange::refused(
            &CAROL,
            send(CHAT, FlowKindFilter::Any, Content::text("May I?")),
            Fault::NoBusiness,
        ),
        Exchange::granted(&CAROL, "", send(CHAT, FlowKindFilter::Any, Content::text("I may")))
            .heard_as(EventKind::Posted(world::posted(
                &CAROL,
                flow_id(CHAT),
                Content::text("I may"),
            ))),
        Exchange::granted(&CAROL, "", edit())
            .heard_as(EventKind::Edited(world::edited(message_id(13), "Put by an administrator"))),
        Exchange::granted(&CAROL, "", delete()).heard_as(EventKind::Deleted {
            flow: flow_id(CHAT),
            by: CAROL.user(),
            messages: vec![(message_id(11), Version(5)), (message_id(12), Version(6))],
        }),
    ];
    Story {
        name: "administrator",
        steps: steps.into_iter().map(|exchange| exchange.by_administrator().into()).collect(),
    }
}

/// Every fault in answer to the two commands that every wire has: one of a conversation, one of an
/// account.
fn faults() -> Story {
    let mut steps = vec![log_in(&ANN)];
    for fault in all_faults() {
        steps.push(Exchange::refused(&ANN, list_flows(None, 0, false), fault).into());
    }
    steps.push(
        Exchange::granted(
            &ANN,
            "",
            Command::GetFlow { flow: flow_id(CHAT), kinds: FlowKindFilter::Chat, members: true },
        )
        .into(),
    );
    for fault in all_faults() {
        steps.push(
            Exchange::refused(
                &ANN,
                send(CHAT, FlowKindFilter::Any, Content::text("Heard?")),
                fault,
            )
            .into(),
        );
    }
    Story { name: "faults", steps }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// One more than the greatest number that the exhaustive matches below give.
    const COMMANDS: usize = 24;
    const FAULTS: usize = 21;
    const EVENTS: usize = 9;

    fn command_number(command: &Command) -> usize {
        match command {
            Command::Register(_) => 0,
            Command::Login { .. } => 1,
            Command::Refresh { .. } => 2,
            Command::Logout { .. } => 3,
            Command::Recover { .. } => 4,
            Command::ResetPassword { .. } => 5,
            Command::DeleteAccount { .. } => 6,
            Command::CreateProfile(_) => 7,
            Command::GetUser { .. } => 8,
            Command::SearchUsers { .. } => 9,
            Command::GetPhoto { .. } => 10,
            Command::OpenChat { .. } => 11,
            Command::CreateFlow(_) => 12,
            Command::DeleteFlow { .. } => 13,
            Command::GetFlow { .. } => 14,
            Command::AddMembers { .. } => 15,
            Command::RemoveMembers { .. } => 16,
            Command::ListFlows { .. } => 17,
            Command::Send(_) => 18,
            Command::Edit { .. } => 19,
            Command::Delete { .. } => 20,
            Command::History { .. } => 21,
            Command::GetChanges { .. } => 22,
            Command::ShowTyping { .. } => 23,
        }
    }

    fn fault_number(fault: &Fault) -> usize {
        match fault {
            Fault::Unauthenticated => 0,
            Fault::WrongCredentials { .. } => 1,
            Fault::LoginTaken => 2,
            Fault::NoProfile => 3,
            Fault::ProfileExists => 4,
            Fault::NoSuchUser => 5,
            Fault::NoSuchFlow => 6,
            Fault::NoSuchMessage => 7,
            Fault::NoPhoto => 8,
            Fault::WrongKind => 9,
            Fault::NotOwner => 10,
            Fault::NotAuthor => 11,
            Fault::NotAdministrator => 12,
            Fault::NoBusiness => 13,
            Fault::AlreadyMember => 14,
            Fault::NotMember => 15,
            Fault::Invalid { .. } => 16,
            Fault::TooMany { .. } => 17,
            Fault::Unavailable => 18,
            Fault::Internal => 19,
            Fault::KeyReused => 20,
        }
    }

    fn event_number(event: &EventKind) -> usize {
        match event {
            EventKind::Posted(_) => 0,
            EventKind::Edited(_) => 1,
            EventKind::Deleted { .. } => 2,
            EventKind::FlowCreated { .. } => 3,
            EventKind::FlowDeleted { .. } => 4,
            EventKind::MembersAdded { .. } => 5,
            EventKind::MembersRemoved { .. } => 6,
            EventKind::Typing { .. } => 7,
            EventKind::SessionsEnded { .. } => 8,
        }
    }

    #[test]
    fn every_command_fault_and_event_is_told() {
        let (mut commands, mut faults, mut events) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for step in stories().into_iter().flat_map(|story| story.steps) {
            match step {
                Step::Exchange(exchange) => {
                    commands.insert(command_number(&exchange.command));
                    faults.extend(exchange.outcome.as_ref().err().map(fault_number));
                    events.extend(exchange.event.as_ref().map(event_number));
                }
                Step::Happening(event) => {
                    events.insert(event_number(&event));
                }
            }
        }
        assert_eq!(commands, (0..COMMANDS).collect());
        assert_eq!(faults, (0..FAULTS).collect());
        assert_eq!(events, (0..EVENTS).collect());
    }

    #[test]
    fn no_two_exchanges_of_a_story_share_a_title_and_a_command_but_differ_in_outcome() {
        for story in stories() {
            let mut told: Vec<(String, Command, Result<Answer, Fault>)> = Vec::new();
            for step in story.steps {
                let Step::Exchange(exchange) = step else { continue };
                let clash = told.iter().any(|(title, command, outcome)| {
                    *title == exchange.title()
                        && *command == exchange.command
                        && *outcome != exchange.outcome
                });
                // The two wrong credentials differ in what only one wire may reveal.
                assert!(
                    !clash || exchange.about.contains("wrong_credentials"),
                    "{}: {}",
                    story.name,
                    exchange.title()
                );
                told.push((exchange.title(), exchange.command, exchange.outcome));
            }
        }
    }
}
