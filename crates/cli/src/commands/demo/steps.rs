//! The steps of the story, each through the dialect of one client.

use super::transcript::Transcript;
use crate::error::{CliError, RuntimeError};
use tolmach_client::{Client, ClientError, Notification, Outcome, credentials_of};
use tolmach_domain::{
    Answer, Authority, Command, Content, Credentials, EventKind, FlowId, FlowKind, FlowKindFilter,
    Grant, GrantKind, HistoryRange, NewFlow, NewMessage, Profile, Registration, Secret, Timestamp,
    Tokens, User, UserId,
};
use tolmach_engine::ports::UserChange;
use tolmach_engine::{Engine, Submission};

/// The password of every account: only this process reaches the gateway that they are on.
const PASSWORD: &str = "correct horse battery staple";
const GROUP_TITLE: &str = "The interpreters";
/// More messages than the demo sends.
const HISTORY_LIMIT: u32 = 100;
/// The filters of flows that a dialect may be limited to.
const KINDS: [FlowKindFilter; 2] = [FlowKindFilter::Shared, FlowKindFilter::Any];

/// Registers the client through its own dialect where that is possible, and logs it in.
pub(super) async fn join(
    engine: &Engine,
    client: &mut Client,
    transcript: &Transcript,
) -> Result<User, CliError> {
    let name = client.name().to_owned();
    let granted = register(engine, client, transcript).await?;
    let user = engine.account(&name).await?;
    let granted = match granted {
        Some(grant) if grant.tokens != Tokens::Nothing => Some(grant),
        _ => log_in(client).await?,
    };
    let credentials = match granted {
        Some(grant) => credentials_of(user.id, &grant.tokens),
        None => {
            transcript.remark(&format!(
                "{name} cannot log in over this dialect: the operator issues a token"
            ));
            vec![Credentials::Bearer(engine.operator_token(&name).await?), Credentials::Connection]
        }
    };
    client.set_credentials(credentials);
    if !user.profile {
        create_profile(engine, client, user.id).await?;
    }
    Ok(user)
}

/// Creates a group of all users, through the first dialect that can.
pub(super) async fn create_group(
    engine: &Engine,
    clients: &mut [Client],
    users: &[UserId],
    transcript: &Transcript,
) -> Result<FlowId, CliError> {
    let group = NewFlow {
        kind: FlowKind::Group,
        title: GROUP_TITLE.to_owned(),
        info: String::new(),
        members: users.to_vec(),
        photo: None,
        key: None,
    };
    let command = Command::CreateFlow(Box::new(group));
    for client in clients.iter_mut() {
        match request(client, std::slice::from_ref(&command)).await? {
            Some(Answer::FlowCreated { flow, .. }) => return Ok(flow),
            Some(answer) => return Err(unexpected(client, &answer).into()),
            None => {}
        }
    }
    transcript.remark("none of these dialects can create a group: the operator creates it");
    let owner = clients.first().map(Client::name);
    let owner = owner.ok_or_else(|| RuntimeError::Demo("no dialect has a client side".into()))?;
    create_group_as_operator(engine, owner, command).await
}

/// Sends this client's greeting to the group.
pub(super) async fn greet(client: &mut Client, group: FlowId) -> Result<(), CliError> {
    let messages = KINDS.map(|kinds| {
        let content = Content::text(greeting(client));
        Command::Send(Box::new(NewMessage { flow: group, kinds, content, key: None }))
    });
    match request(client, &messages).await? {
        Some(Answer::Sent { .. }) => Ok(()),
        Some(answer) => Err(unexpected(client, &answer).into()),
        None => {
            let text = format!("{}'s dialect cannot send to a group", client.name());
            Err(RuntimeError::Demo(text).into())
        }
    }
}

/// The message that this client sends.
pub(super) fn greeting(client: &Client) -> String {
    format!("{} says hello over {}", client.name(), client.dialect().manifest().id)
}

/// Waits until a message with this text is pushed to the client.
pub(super) async fn wait_for_message(client: &mut Client, text: &str) -> Result<(), ClientError> {
    let is_it = |notification: &Notification| match notification {
        Notification::Event(event) => match &event.kind {
            EventKind::Posted(message) if message.content.text == text => Some(()),
            _ => None,
        },
        Notification::Closed(_) => None,
    };
    client.wait_for(text, is_it).await
}

/// The texts of the group's messages, oldest first, as this client reads them; `None` where its
/// dialect has no request for them. In a dialect that subscribes to a flow by reading it, the
/// client is subscribed afterwards.
pub(super) async fn read_history(
    client: &mut Client,
    group: FlowId,
) -> Result<Option<Vec<String>>, CliError> {
    let messages = match request(client, &history_commands(group)).await? {
        Some(Answer::History(page)) => page.messages,
        Some(Answer::Changes(changes)) => changes.messages,
        Some(answer) => return Err(unexpected(client, &answer).into()),
        None => {
            // A dialect without histories may subscribe to a flow by a request for it.
            let get = |kinds| Command::GetFlow { flow: group, kinds, members: false };
            request(client, &KINDS.map(get)).await?;
            return Ok(None);
        }
    };
    Ok(Some(messages.into_iter().map(|message| message.content.text).collect()))
}

/// Every form of a request for a whole history; each dialect has one of them at most.
fn history_commands(flow: FlowId) -> Vec<Command> {
    let ranges = [HistoryRange::Newest { limit: HISTORY_LIMIT, offset: 0 }, HistoryRange::All];
    let mut commands = Vec::new();
    for kinds in KINDS {
        for range in ranges {
            for mark_read in [false, true] {
                commands.push(Command::History { flow, kinds, range, mark_read });
            }
        }
    }
    let (since, limit) = (Timestamp::default(), HISTORY_LIMIT);
    commands.push(Command::GetChanges { since, flow: Some(flow), limit });
    commands
}

/// Registers the client, or has the operator do it; the grant, where the client did it.
async fn register(
    engine: &Engine,
    client: &mut Client,
    transcript: &Transcript,
) -> Result<Option<Grant>, CliError> {
    let name = client.name().to_owned();
    let registration = |grant| Registration {
        username: None,
        email: Some(format!("{name}@example.org")),
        ..Registration::new(name.clone(), Secret::new(PASSWORD), grant)
    };
    let registrations =
        [GrantKind::Pair, GrantKind::Token, GrantKind::Connection, GrantKind::Nothing]
            .map(|grant| Command::Register(Box::new(registration(grant))));
    match request(client, &registrations).await? {
        Some(Answer::Granted(grant)) => Ok(Some(*grant)),
        Some(answer) => Err(unexpected(client, &answer).into()),
        None => {
            transcript.remark(&format!(
                "{name} cannot register over this dialect: the operator adds the account"
            ));
            engine.create_account(registration(GrantKind::Nothing), engine.now()).await?;
            Ok(None)
        }
    }
}

/// Logs the client in; `None` where its dialect has no login.
async fn log_in(client: &mut Client) -> Result<Option<Grant>, CliError> {
    let logins = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection].map(|grant| {
        let (identifier, password) = (client.name().into(), Secret::new(PASSWORD));
        Command::Login { identifier, password, grant }
    });
    match request(client, &logins).await? {
        Some(Answer::Granted(grant)) => Ok(Some(*grant)),
        Some(answer) => Err(unexpected(client, &answer).into()),
        None => Ok(None),
    }
}

/// Creates the profile that an account needs to be seen by others.
async fn create_profile(
    engine: &Engine,
    client: &mut Client,
    user: UserId,
) -> Result<(), CliError> {
    let name = client.name().to_owned();
    let bio = "Met in the demo".to_owned();
    let profile = Profile { username: name.clone(), name, bio, photo: None };
    if request(client, &[Command::CreateProfile(Box::new(profile))]).await?.is_none() {
        let change = UserChange { profile: Some(true), ..UserChange::default() };
        engine.change_account(user, change, None, engine.now()).await?;
    }
    Ok(())
}

async fn create_group_as_operator(
    engine: &Engine,
    owner: &str,
    command: Command,
) -> Result<FlowId, CliError> {
    let token = engine.operator_token(owner).await?;
    let caller = engine.authenticate(&Credentials::Bearer(token), None).await?;
    let authority = Authority::Member;
    let submission = Submission { caller, authority, origin: None, address: None, command };
    match engine.execute(submission).await.outcome? {
        Answer::FlowCreated { flow, .. } => Ok(flow),
        answer => Err(RuntimeError::Demo(format!("the group was answered with {answer:?}")).into()),
    }
}

/// Makes the first of these requests that the client's dialect has; `None` where it has none. A
/// fault ends the demo.
async fn request(client: &mut Client, commands: &[Command]) -> Result<Option<Answer>, ClientError> {
    match client.request_any(commands).await? {
        Outcome::Answer(answer) => Ok(Some(answer)),
        Outcome::Refused(fault) => Err(client.error("requesting", fault)),
        Outcome::Unsupported => Ok(None),
    }
}

/// The error about an answer to another request.
fn unexpected(client: &Client, answer: &Answer) -> ClientError {
    client.error("requesting", format!("{answer:?} answers another request"))
}
