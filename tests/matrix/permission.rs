//! Permissions: one table in canonical terms, tried over every dialect. Users read, change and
//! receive only what their role allows, and a refused request changes nothing.

use crate::cluster::{ADMINISTRATOR, BUSINESS, Cluster, single_node, two_nodes};
use crate::dialects::{by_id, id_of, may_decode};
use crate::frame_record::frame_record;
use crate::requests::{
    TargetFlow, create_group, find_message, list_flows, messages_of, named, new_group, open_chat,
    post, unique,
};
use crate::translation::losses_of;
use crate::users::{Failure, TestUser, anonymous_client, client_name, failure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tolmach_cli::dialects::ids;
use tolmach_client::{Client, Outcome};
use tolmach_dialect::Dialect;
use tolmach_domain::{
    Answer, Authority, Command, Credentials, Fault, MessageId, PhotoOf, Secret, UserId, UserRef,
};

/// The role of the user who makes a request. An administrator's requests claim that right if the
/// dialect can express it, and are a stranger's else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Anonymous,
    Stranger,
    Member,
    Owner,
    Administrator,
}

/// The order of the table's columns.
const ROLES: [Role; 5] =
    [Role::Anonymous, Role::Stranger, Role::Member, Role::Owner, Role::Administrator];

/// The object of a request, as its user sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    /// The group of the owner and the member; the user's own message there; the user.
    Own,
    /// A message of another member of that group; another user.
    Others,
    /// A group without any of the users, or a message there.
    Elsewhere,
}

/// The outcome of a request; `None` if no such request is made.
type Expected = Option<Result<(), &'static str>>;

const GRANTED: Expected = Some(Ok(()));
const UNAUTHENTICATED: Expected = Some(Err("unauthenticated"));
const NO_FLOW: Expected = Some(Err("no_such_flow"));
const NO_MESSAGE: Expected = Some(Err("no_such_message"));
const NOT_OWNER: Expected = Some(Err("not_owner"));
const NOT_AUTHOR: Expected = Some(Err("not_author"));
const NO_BUSINESS: Expected = Some(Err("no_business"));
const NO_PHOTO: Expected = Some(Err("no_photo"));
const WRONG: Expected = Some(Err("wrong_credentials"));

/// The removal of oneself from a flow.
const LEAVE: &str = "leave";

/// The name of the command that an operation of the table is.
pub(crate) fn command_of(operation: &'static str) -> &'static str {
    if operation == LEAVE { "remove_members" } else { operation }
}

struct Row {
    operation: &'static str,
    object: Object,
    /// By role, in the order of [`ROLES`].
    expected: [Expected; 5],
}

const fn row(operation: &'static str, object: Object, expected: [Expected; 5]) -> Row {
    Row { operation, object, expected }
}

/// Rows of one operation are tried in this order, on one [`Setup`].
const TABLE: [Row; 34] = [
    row("list_flows", Object::Own, [UNAUTHENTICATED, GRANTED, GRANTED, GRANTED, GRANTED]),
    row("history", Object::Own, [UNAUTHENTICATED, NO_FLOW, GRANTED, GRANTED, GRANTED]),
    row("history", Object::Elsewhere, [UNAUTHENTICATED, NO_FLOW, NO_FLOW, NO_FLOW, GRANTED]),
    row("get_changes", Object::Own, [UNAUTHENTICATED, NO_FLOW, GRANTED, GRANTED, None]),
    row("get_changes", Object::Elsewhere, [UNAUTHENTICATED, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("get_flow", Object::Own, [UNAUTHENTICATED, NO_FLOW, GRANTED, GRANTED, GRANTED]),
    row("get_flow", Object::Elsewhere, [UNAUTHENTICATED, NO_FLOW, NO_FLOW, NO_FLOW, GRANTED]),
    row("get_photo", Object::Own, [UNAUTHENTICATED, NO_FLOW, NO_PHOTO, NO_PHOTO, None]),
    row("get_photo", Object::Elsewhere, [UNAUTHENTICATED, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("send", Object::Own, [UNAUTHENTICATED, NO_FLOW, GRANTED, GRANTED, GRANTED]),
    row("send", Object::Elsewhere, [UNAUTHENTICATED, NO_FLOW, NO_FLOW, NO_FLOW, NO_BUSINESS]),
    row("edit", Object::Own, [UNAUTHENTICATED, None, GRANTED, GRANTED, None]),
    row("edit", Object::Others, [UNAUTHENTICATED, NO_MESSAGE, NOT_AUTHOR, NOT_AUTHOR, NOT_AUTHOR]),
    row(
        "edit",
        Object::Elsewhere,
        [UNAUTHENTICATED, NO_MESSAGE, NO_MESSAGE, NO_MESSAGE, NO_BUSINESS],
    ),
    row("delete", Object::Own, [UNAUTHENTICATED, None, GRANTED, GRANTED, None]),
    row("delete", Object::Others, [UNAUTHENTICATED, NO_MESSAGE, NOT_AUTHOR, NOT_AUTHOR, GRANTED]),
    row(
        "delete",
        Object::Elsewhere,
        [UNAUTHENTICATED, NO_MESSAGE, NO_MESSAGE, NO_MESSAGE, NO_BUSINESS],
    ),
    row("show_typing", Object::Own, [UNAUTHENTICATED, NO_FLOW, GRANTED, GRANTED, None]),
    row("show_typing", Object::Elsewhere, [UNAUTHENTICATED, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("add_members", Object::Own, [UNAUTHENTICATED, NO_FLOW, NOT_OWNER, GRANTED, None]),
    row("add_members", Object::Elsewhere, [UNAUTHENTICATED, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("remove_members", Object::Own, [UNAUTHENTICATED, NO_FLOW, NOT_OWNER, GRANTED, None]),
    row(LEAVE, Object::Elsewhere, [UNAUTHENTICATED, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row(LEAVE, Object::Own, [UNAUTHENTICATED, NO_FLOW, GRANTED, GRANTED, None]),
    row("delete_flow", Object::Elsewhere, [UNAUTHENTICATED, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("delete_flow", Object::Own, [UNAUTHENTICATED, NO_FLOW, NOT_OWNER, GRANTED, None]),
    row("open_chat", Object::Others, [UNAUTHENTICATED, GRANTED, GRANTED, GRANTED, None]),
    row("block", Object::Others, [UNAUTHENTICATED, GRANTED, GRANTED, GRANTED, None]),
    row("list_blocked", Object::Own, [UNAUTHENTICATED, GRANTED, GRANTED, GRANTED, None]),
    row("unblock", Object::Others, [UNAUTHENTICATED, GRANTED, GRANTED, GRANTED, None]),
    row("create_flow", Object::Own, [UNAUTHENTICATED, GRANTED, GRANTED, GRANTED, None]),
    row("get_user", Object::Own, [UNAUTHENTICATED, GRANTED, GRANTED, GRANTED, None]),
    row("delete_account", Object::Others, [WRONG, WRONG, WRONG, WRONG, None]),
    row(
        "logout",
        Object::Others,
        [UNAUTHENTICATED, UNAUTHENTICATED, UNAUTHENTICATED, UNAUTHENTICATED, None],
    ),
];

/// The operations of the table, each once.
pub(crate) fn operations() -> Vec<&'static str> {
    let mut operations: Vec<_> = TABLE.iter().map(|row| row.operation).collect();
    operations.dedup();
    operations
}

/// Every row holds over a dialect at one gateway.
pub(crate) fn at_one_node(dialect: &str) -> Result<(), Failure> {
    try_all(&single_node(), dialect)
}

/// Every row holds over a dialect for users at two nodes of a cluster.
pub(crate) fn across_nodes(dialect: &str) -> Result<(), Failure> {
    two_nodes().map_or(Ok(()), |cluster| try_all(&cluster, dialect))
}

fn try_all(cluster: &Cluster, dialect: &str) -> Result<(), Failure> {
    let failures: Vec<_> = operations()
        .into_iter()
        .filter_map(|operation| {
            let failure = try_rows(cluster, dialect, operation).err()?;
            Some(format!("{operation}: {failure}"))
        })
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn try_rows(cluster: &Cluster, dialect: &str, operation: &'static str) -> Result<(), Failure> {
    cluster.block_on(async {
        let mut setup = Setup::new(cluster, dialect).await?;
        let mut supported = false;
        for row in TABLE.iter().filter(|row| row.operation == operation) {
            for (role, expected) in ROLES.into_iter().zip(row.expected) {
                if let Some(expected) = expected {
                    supported |= setup.attempt(row, role, expected).await?;
                }
            }
        }
        let is_lost = losses_of(dialect)?.whole().any(|lost| lost == command_of(operation));
        if supported == is_lost {
            return Err(format!("supported here is {supported}, lost in the stories is {is_lost}"));
        }
        setup.outsiders_received_nothing()
    })
}

/// A group with a few messages, another group, and the users who make requests.
struct Setup {
    dialect: Arc<dyn Dialect>,
    stranger: TestUser,
    member: TestUser,
    owner: TestUser,
    administrator: TestUser,
    /// The owner of the group elsewhere.
    bystander: TestUser,
    business: UserId,
    group: TargetFlow,
    elsewhere: TargetFlow,
    /// The gateway of strangers.
    last: SocketAddr,
    /// The name of anonymous clients, which is no login.
    anonymous: String,
    /// A text that only members may receive.
    inside: String,
    /// A text that only the bystander may receive.
    foreign: String,
    /// By author, and by the kind of row that uses them.
    messages: BTreeMap<(UserId, &'static str), MessageId>,
    /// True after a request with the right of an administrator, who may read everything.
    administered: bool,
}

const FOR_OWN: &str = "own";
const FOR_OTHERS: &str = "others";

impl Setup {
    async fn new(cluster: &Cluster, dialect: &str) -> Result<Self, Failure> {
        // Owners are at one node, the other users at the other one.
        let (first, last) = (cluster.first(), cluster.last());
        let mut owner = TestUser::register(&unique("owner"), dialect, first).await?;
        let mut member = TestUser::register(&unique("member"), dialect, last).await?;
        let stranger = TestUser::register(&unique("stranger"), dialect, last).await?;
        let mut bystander = TestUser::register(&unique("bystander"), dialect, first).await?;
        let administrator = TestUser::existing(ADMINISTRATOR, last).await?;
        let business = TestUser::existing(BUSINESS, last).await?.id;
        let (inside, foreign) =
            (format!("{} inside", unique("secret")), format!("{} foreign", unique("secret")));
        let group = new_group(&mut owner, &inside, &[member.id, business]).await?;
        let elsewhere = new_group(&mut bystander, &foreign, &[]).await?;
        let mut messages = BTreeMap::new();
        for (author, flow, secret) in [
            (&mut owner, group, &inside),
            (&mut member, group, &inside),
            (&mut bystander, elsewhere, &foreign),
        ] {
            for purpose in [FOR_OWN, FOR_OTHERS] {
                let text = format!("{secret} {}", unique("text"));
                post(author.client(ids()[0]).await?, flow, &text).await?;
                messages.insert((author.id, purpose), find_message(author, flow, &text).await?);
            }
        }
        Ok(Self {
            dialect: by_id(dialect),
            stranger,
            member,
            owner,
            administrator,
            bystander,
            business,
            group,
            elsewhere,
            last,
            anonymous: unique("anonymous"),
            inside,
            foreign,
            messages,
            administered: false,
        })
    }

    /// The requests of a row, in every form that a dialect may have for them.
    fn commands(&self, row: &Row, role: Role) -> Vec<Command> {
        let flow = self.flow(row.object);
        let message = self.message(row.object, role);
        let other = &self.bystander;
        let commands = match row.operation {
            "list_flows" => list_flows(),
            "history" | "get_changes" => flow.history(),
            "get_flow" => flow.get(),
            "get_photo" => vec![Command::GetPhoto { of: PhotoOf::Flow(flow.id) }],
            "send" => flow.send(&unique("an attempt ")),
            "edit" => flow.edit(message, &unique("an attempt ")),
            "delete" => flow.delete_message(message),
            "show_typing" => vec![Command::ShowTyping { flow: flow.id, active: true }],
            "add_members" => vec![Command::AddMembers { flow: flow.id, users: vec![other.id] }],
            "remove_members" => {
                vec![Command::RemoveMembers { flow: flow.id, users: vec![self.business] }]
            }
            LEAVE => {
                let users = vec![self.id_of(role)];
                vec![Command::RemoveMembers { flow: flow.id, users }]
            }
            "block" => named(other).map(|user| Command::Block { user }).to_vec(),
            "unblock" => named(other).map(|user| Command::Unblock { user }).to_vec(),
            "list_blocked" => vec![Command::ListBlocked],
            "delete_flow" => flow.delete(),
            "open_chat" => open_chat(other),
            "create_flow" => create_group(&unique("a group "), &[other.id]),
            "get_user" => {
                vec![
                    Command::GetUser { user: UserRef::Me },
                    Command::GetUser { user: UserRef::Id(other.id) },
                ]
            }
            "delete_account" => vec![Command::DeleteAccount {
                user: None,
                login: other.login.clone(),
                password: Secret::new("a guess"),
            }],
            "logout" => {
                let mut commands = vec![Command::Logout { login: Some(other.login.clone()) }];
                // Without a login it ends the caller's own session: only where that is refused.
                if role == Role::Anonymous {
                    commands.push(Command::Logout { login: None });
                }
                commands
            }
            other => panic!("the table has no operation {other}"),
        };
        let name = command_of(row.operation);
        commands.into_iter().filter(|command| command.name() == name).collect()
    }

    fn id_of(&self, role: Role) -> UserId {
        match role {
            Role::Anonymous | Role::Stranger => self.stranger.id,
            Role::Member => self.member.id,
            Role::Owner => self.owner.id,
            Role::Administrator => self.administrator.id,
        }
    }

    fn flow(&self, object: Object) -> TargetFlow {
        if object == Object::Elsewhere { self.elsewhere } else { self.group }
    }

    fn message(&self, object: Object, role: Role) -> MessageId {
        let (owner, member, bystander) = (self.owner.id, self.member.id, self.bystander.id);
        let key = match (object, role) {
            (Object::Elsewhere, _) => (bystander, FOR_OTHERS),
            (Object::Own, Role::Owner) => (owner, FOR_OWN),
            (Object::Own, _) => (member, FOR_OWN),
            (Object::Others, Role::Member) => (owner, FOR_OTHERS),
            (Object::Others, _) => (member, FOR_OTHERS),
        };
        self.messages[&key]
    }

    /// Makes the request of a row. Gives `false` if the dialect does not support it.
    async fn attempt(
        &mut self,
        row: &Row,
        role: Role,
        expected: Result<(), &'static str>,
    ) -> Result<bool, Failure> {
        let commands = self.commands(row, role);
        let before = if expected.is_err() { Some(self.state().await?) } else { None };
        let supported = match role {
            Role::Anonymous => {
                self.attempt_as_impostor(row, &commands).await?;
                self.attempt_unauthenticated(row, &commands, expected).await?
            }
            Role::Administrator => self.attempt_as_administrator(row, &commands, expected).await?,
            Role::Stranger | Role::Member | Role::Owner => {
                let flow = self.flow(row.object);
                let dialect = id_of(&self.dialect);
                let client = self.user(role).client(dialect).await?;
                let outcome = request(client, flow, &commands).await?;
                self.judge(row, role, expected, &outcome)?
            }
        };
        if let Some(before) = before {
            let after = self.state().await?;
            if before != after {
                return Err(format!(
                    "{}, {role:?}, {:?}: refused, but {before:?} became {after:?}",
                    row.operation, row.object
                ));
            }
        }
        Ok(supported)
    }

    fn user(&mut self, role: Role) -> &mut TestUser {
        match role {
            Role::Anonymous | Role::Stranger => &mut self.stranger,
            Role::Member => &mut self.member,
            Role::Owner => &mut self.owner,
            Role::Administrator => &mut self.administrator,
        }
    }

    /// Makes the request without credentials, and with each kind of forged ones.
    async fn attempt_unauthenticated(
        &self,
        row: &Row,
        commands: &[Command],
        expected: Result<(), &'static str>,
    ) -> Result<bool, Failure> {
        let forged = || Secret::new("Zm9yZ2Vk.Zm9yZ2Vk.Zm9yZ2Vk");
        let mut supported = false;
        for credentials in [
            Credentials::Nothing,
            Credentials::Connection,
            Credentials::Token(forged()),
            Credentials::TokenOf(self.owner.id, forged()),
            Credentials::Bearer(forged()),
        ] {
            let mut client = anonymous_client(&self.anonymous, &self.dialect, self.last);
            client.set_credentials(vec![credentials.clone()]);
            let outcome = request(&mut client, self.flow(row.object), commands).await?;
            // A forged token is refused before the request's own password is compared.
            let is_forged = !matches!(credentials, Credentials::Nothing | Credentials::Connection);
            supported |= if is_forged
                && row.expected[0] == WRONG
                && outcome == Outcome::Refused(Fault::Unauthenticated)
            {
                true
            } else {
                self.judge(row, Role::Anonymous, expected, &outcome)?
            };
        }
        Ok(supported)
    }

    /// Makes the request with the stranger's token and the owner's id, on wires where a request has
    /// both: that grants no more than the stranger's own id.
    async fn attempt_as_impostor(
        &mut self,
        row: &Row,
        commands: &[Command],
    ) -> Result<(), Failure> {
        let own = self.stranger.client(id_of(&self.dialect)).await?.credentials();
        let stolen = own.iter().find_map(|credentials| match credentials {
            Credentials::TokenOf(_, token) => {
                Some(Credentials::TokenOf(self.owner.id, token.clone()))
            }
            _ => None,
        });
        let Some(stolen) = stolen else { return Ok(()) };
        let mut client = anonymous_client(&self.anonymous, &self.dialect, self.last);
        client.set_credentials(vec![stolen]);
        let outcome = request(&mut client, self.flow(row.object), commands).await?;
        let [_, as_stranger, ..] = row.expected;
        match outcome {
            Outcome::Answer(_) if as_stranger != GRANTED => Err(format!(
                "{}, an impostor, {:?}: expected a refusal, found {outcome:?}",
                row.operation, row.object
            )),
            Outcome::Answer(_) | Outcome::Refused(_) | Outcome::Unsupported => Ok(()),
        }
    }

    async fn attempt_as_administrator(
        &mut self,
        row: &Row,
        commands: &[Command],
        expected: Result<(), &'static str>,
    ) -> Result<bool, Failure> {
        let flow = self.flow(row.object);
        let dialect = id_of(&self.dialect);
        let client = self.administrator.client(dialect).await?;
        client.set_authority(Authority::Administrator);
        let read = client.request_any(&flow.get()).await.map_err(failure)?;
        let outcome = request(client, flow, commands).await?;
        client.set_authority(Authority::Member);
        self.administered |= read != Outcome::Unsupported || outcome != Outcome::Unsupported;
        if outcome != Outcome::Unsupported {
            return self.judge(row, Role::Administrator, expected, &outcome);
        }
        let [_, as_stranger, ..] = row.expected;
        let Some(as_stranger) = as_stranger else { return Ok(false) };
        let client = self.administrator.client(dialect).await?;
        let outcome = request(client, flow, commands).await?;
        self.judge(row, Role::Administrator, as_stranger, &outcome)
    }

    /// Compares an outcome with the table. Gives `false` if the dialect does not support the
    /// request.
    fn judge(
        &self,
        row: &Row,
        role: Role,
        expected: Result<(), &'static str>,
        outcome: &Outcome,
    ) -> Result<bool, Failure> {
        let found = match outcome {
            Outcome::Answer(_) => Ok(()),
            Outcome::Refused(fault) => Err(fault.name()),
            Outcome::Unsupported => return Ok(false),
        };
        let is_expected = match (expected, found) {
            (Ok(()), Ok(())) => true,
            (Err(sent), Err(decoded)) => may_decode(id_of(&self.dialect), sent, decoded),
            (Ok(()), Err(_)) | (Err(_), Ok(())) => false,
        };
        if is_expected {
            return Ok(true);
        }
        Err(format!(
            "{}, {role:?}, {:?}: expected {expected:?}, found {outcome:?}",
            row.operation, row.object
        ))
    }

    /// The messages and members of both groups, read by their owners.
    async fn state(&mut self) -> Result<Vec<String>, Failure> {
        let mut state = Vec::new();
        for (owner, flow) in [(&mut self.owner, self.group), (&mut self.bystander, self.elsewhere)]
        {
            state.extend(
                messages_of(&owner.request_over_any(&flow.history()).await?)?
                    .into_iter()
                    .map(|(_, text)| text),
            );
            match owner.request_over_any(&flow.get()).await? {
                Answer::Flow(summary) => state
                    .extend(summary.members.iter().map(|member| format!("member {}", member.id))),
                answer => return Err(format!("a flow is answered with {answer:?}")),
            }
        }
        Ok(state)
    }

    /// No frame to a user has a text of a flow that the user is not in.
    fn outsiders_received_nothing(&self) -> Result<(), Failure> {
        let mut outsiders = vec![
            (&*self.anonymous, &self.inside),
            (&*self.anonymous, &self.foreign),
            (&*self.stranger.login, &self.inside),
            (&*self.stranger.login, &self.foreign),
            (&*self.member.login, &self.foreign),
            (&*self.owner.login, &self.foreign),
        ];
        // Other trials have the same administrator read everything over other dialects.
        let administrator = client_name(ADMINISTRATOR, id_of(&self.dialect));
        if !self.administered {
            outsiders.extend([(&*administrator, &self.inside), (&*administrator, &self.foreign)]);
        }
        for (login, secret) in outsiders {
            if let Some(frame) = frame_record().received_by(login, secret).first() {
                return Err(format!("{login} received {secret:?}: {frame}"));
            }
        }
        let own = frame_record().received_by(&self.owner.login, &self.inside);
        if own.is_empty() {
            return Err(format!(
                "{} received none of its own texts, so the scan proves nothing",
                self.owner.login
            ));
        }
        Ok(())
    }
}

/// Reads the flow and its history first, because some wires need that before other requests, and
/// ignores how these are answered. Then makes the request.
async fn request(
    client: &mut Client,
    flow: TargetFlow,
    commands: &[Command],
) -> Result<Outcome, Failure> {
    client.request_any(&flow.get()).await.map_err(failure)?;
    client.request_any(&flow.history()).await.map_err(failure)?;
    client.request_any(commands).await.map_err(failure)
}
