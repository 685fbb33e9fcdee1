//! `tolmach demo`: a client of each dialect, all in one conversation, with every frame shown.
//!
//! The story is told in canonical lines and each dialect's own client side says them, so a new
//! dialect joins by itself. What a dialect cannot say is done by the operator, or not at all where
//! it is not to be missed.

mod transcript;

use super::Failure;
use crate::config::{Config, Sources};
use crate::server::Server;
use crate::world::World;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tolmach_client::{Client, Heard, Told, Trouble, Witness, proofs};
use tolmach_dialect::Dialect;
use tolmach_domain::{
    Answer, Authority, Command, Content, Credentials, EventKind, FlowId, FlowKind, FlowKindFilter,
    GrantKind, HistoryRange, NewFlow, NewMessage, Profile, Registration, Secret, Timestamp, Tokens,
    User, UserId,
};
use tolmach_engine::ports::UserChange;
use tolmach_engine::{Engine, Request};
use transcript::Transcript;

const NAMES: [&str; 8] = ["anna", "boris", "clara", "daniil", "emma", "fedor", "greta", "hugo"];
/// Nobody but this process ever reaches the gateway that it is for.
const PASSWORD: &str = "correct horse battery staple";
const TITLE: &str = "The interpreters";
/// A read of the whole conversation is never this long.
const HISTORY: u32 = 100;

pub(super) async fn run() -> Result<String, Failure> {
    perform(Transcript::to_stdout()).await
}

async fn perform(transcript: Transcript) -> Result<String, Failure> {
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::Failed(format!("no temporary folder can be made: {error}")))?;
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen: {error}")))?;
    let address = listener.local_addr().map_err(|error| Failure::Failed(error.to_string()))?;
    let dialects = crate::dialects::all();
    // The defaults, whatever surrounds this process; only hashing is as quick as it can be.
    let ids: Vec<_> = dialects.iter().map(|dialect| dialect.manifest().id).collect();
    let flags = vec![
        ("demo", "http.listen", address.to_string()),
        ("demo", "auth.bcrypt_cost", "4".to_owned()),
    ];
    let mut config = Config::load(Sources { flags, ..Sources::default() }, &ids)?;
    // Everybody is to hear the others at once, also where clients of old would rather ask.
    config.dialects.values_mut().for_each(|options| options.push = Some(true));
    // Of its own: nobody reads it, and it leaves the process's alone.
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let world = World::open(&config, folder.path()).await?;
    let stop = CancellationToken::new();
    let server =
        Server::new(world.engine.clone(), world.bus.clone(), &config, listener, metrics).await?;
    let serving = tokio::spawn(server.serve(stop.clone()));
    let told = tell(&world.engine, &dialects, address, &Arc::new(transcript)).await;
    stop.cancel();
    let served = serving.await;
    world.close().await;
    let summary = told?;
    served.map_err(|error| Failure::Failed(format!("the gateway did not end well: {error}")))?;
    Ok(summary)
}

/// The story: all join, all meet in a group, each says hello, each hears the others, all remember
/// the same.
async fn tell(
    engine: &Engine,
    dialects: &[Arc<dyn Dialect>],
    address: SocketAddr,
    transcript: &Arc<Transcript>,
) -> Result<String, Failure> {
    let mut clients = Vec::new();
    let mut users = Vec::new();
    transcript.chapter("Everybody joins, each through a dialect of their own");
    for (number, dialect) in dialects.iter().enumerate() {
        let name =
            NAMES.get(number).map_or_else(|| format!("guest{number}"), |name| (*name).to_owned());
        let mut client =
            Client::new(name, dialect.clone(), address, transcript.clone() as Arc<dyn Witness>);
        users.push(join(engine, &mut client, transcript).await?.id);
        clients.push(client);
    }
    transcript.chapter("They meet in a group");
    let flow = meet(engine, &mut clients, &users, transcript).await?;
    for client in &mut clients {
        recall(client, flow).await?;
    }
    transcript.chapter("Each says hello");
    for client in &mut clients {
        say_hello(client, flow).await?;
    }
    let hellos: Vec<_> = clients.iter().map(hello).collect();
    let mut heard_live = 0;
    for (number, client) in clients.iter_mut().enumerate() {
        let others: BTreeSet<_> = hellos
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != number)
            .map(|(_, hello)| hello.clone())
            .collect();
        if client.dialect().manifest().capabilities.pushes_posted {
            for hello in others {
                hear(client, &hello).await?;
            }
            heard_live += 1;
        }
    }
    transcript.chapter("All remember the same conversation");
    for client in &mut clients {
        let Some(remembered) = recall(client, flow).await? else {
            transcript.remark(&format!("{} cannot ask for what was said", client.name()));
            continue;
        };
        if remembered != hellos {
            return Err(Failure::Failed(format!(
                "{} remembers {remembered:?}, and what was said is {hellos:?}",
                client.name()
            )));
        }
    }
    Ok(format!(
        "\n{} clients of {} dialects talked; {heard_live} heard every other the moment it spoke.\n",
        clients.len(),
        dialects.len()
    ))
}

/// Says the first of these that the client's dialect has words for; `None` where it has none. A
/// refusal ends the demo.
async fn say(client: &mut Client, commands: &[Command]) -> Result<Option<Answer>, Failure> {
    match client.say_any(commands).await? {
        Told::Answer(answer) => Ok(Some(answer)),
        Told::Refused(fault) => Err(client.trouble("asking", fault).into()),
        Told::Unsayable => Ok(None),
    }
}

/// Waits until the client has heard these words.
async fn hear(client: &mut Client, words: &str) -> Result<(), Failure> {
    let posted = |heard: &Heard| match heard {
        Heard::Notice(notice) => {
            matches!(&notice.kind, EventKind::Posted(message) if message.content.text == words)
                .then_some(())
        }
        Heard::Closed(_) => None,
    };
    Ok(client.hear(words, posted).await?)
}

/// A failure by an answer that belongs to something else.
fn puzzled(client: &Client, answer: &Answer) -> Failure {
    client.trouble("understanding", format!("this answers something else: {answer:?}")).into()
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble.to_string())
    }
}

/// What this client says to the others.
fn hello(client: &Client) -> String {
    format!("{} says hello over {}", client.name(), client.dialect().manifest().id)
}

/// Makes the client an account, through its own dialect where it can, and logs it in.
async fn join(
    engine: &Engine,
    client: &mut Client,
    transcript: &Transcript,
) -> Result<User, Failure> {
    let name = client.name().to_owned();
    let registration = |grant| Registration {
        login: Some(name.clone()),
        password: Secret::new(PASSWORD),
        username: None,
        email: Some(format!("{name}@example.org")),
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: true,
        grant,
    };
    let registrations: Vec<_> =
        [GrantKind::Pair, GrantKind::Token, GrantKind::Connection, GrantKind::Nothing]
            .into_iter()
            .map(|grant| Command::Register(Box::new(registration(grant))))
            .collect();
    let mut granted = match say(client, &registrations).await? {
        Some(Answer::Granted(grant)) => Some(grant),
        Some(answer) => return Err(puzzled(client, &answer)),
        None => {
            transcript.remark(&format!(
                "{name} cannot register over this dialect: the operator makes the account"
            ));
            engine.create_account(registration(GrantKind::Nothing), engine.now()).await?;
            None
        }
    };
    let user = engine.account(&name).await?;
    if granted.as_ref().is_none_or(|grant| grant.tokens == Tokens::Nothing) {
        let login = |grant| Command::Login {
            identifier: name.clone(),
            password: Secret::new(PASSWORD),
            grant,
        };
        let logins = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection].map(login);
        granted = match say(client, &logins).await? {
            Some(Answer::Granted(grant)) => Some(grant),
            Some(answer) => return Err(puzzled(client, &answer)),
            None => None,
        };
    }
    let proofs = match granted {
        Some(grant) => proofs(user.id, &grant.tokens),
        None => {
            transcript.remark(&format!(
                "{name} cannot log in over this dialect: the operator hands out a token"
            ));
            vec![Credentials::Bearer(engine.operator_token(&name).await?), Credentials::Connection]
        }
    };
    client.prove_by(proofs);
    if !user.profile {
        let profile = Profile {
            username: name.clone(),
            name: name.clone(),
            bio: "Met in the demo".to_owned(),
            photo: None,
        };
        if say(client, &[Command::CreateProfile(Box::new(profile))]).await?.is_none() {
            let change = UserChange { profile: Some(true), ..UserChange::default() };
            engine.change_account(user.id, change, None, engine.now()).await?;
        }
    }
    Ok(user)
}

/// Makes a group of all, through the first dialect that can.
async fn meet(
    engine: &Engine,
    clients: &mut [Client],
    users: &[UserId],
    transcript: &Transcript,
) -> Result<FlowId, Failure> {
    let group = NewFlow {
        kind: FlowKind::Group,
        title: TITLE.to_owned(),
        info: String::new(),
        members: users.to_vec(),
        photo: None,
        key: None,
    };
    let command = Command::CreateFlow(Box::new(group));
    for client in clients.iter_mut() {
        match say(client, std::slice::from_ref(&command)).await? {
            Some(Answer::FlowCreated { flow, .. }) => return Ok(flow),
            Some(answer) => return Err(puzzled(client, &answer)),
            None => {}
        }
    }
    transcript.remark("none of these dialects can make a group: the operator makes it");
    let owner = clients
        .first()
        .map(|client| client.name().to_owned())
        .ok_or_else(|| Failure::Failed("there is no dialect".into()))?;
    let token = engine.operator_token(&owner).await?;
    let caller = engine.authenticate(&Credentials::Bearer(token), None).await?;
    match engine
        .execute(Request {
            caller,
            authority: Authority::Member,
            origin: None,
            address: None,
            command,
        })
        .await
        .outcome?
    {
        Answer::FlowCreated { flow, .. } => Ok(flow),
        answer => Err(Failure::Failed(format!("the group was answered with {answer:?}"))),
    }
}

async fn say_hello(client: &mut Client, flow: FlowId) -> Result<(), Failure> {
    let draft = |kinds| {
        Command::Send(Box::new(NewMessage {
            flow,
            kinds,
            content: Content::text(hello(client)),
            key: None,
        }))
    };
    match say(client, &[draft(FlowKindFilter::Shared), draft(FlowKindFilter::Any)]).await? {
        Some(Answer::Sent { .. }) => Ok(()),
        Some(answer) => Err(puzzled(client, &answer)),
        None => Err(Failure::Failed(format!("{} cannot say anything in a group", client.name()))),
    }
}

/// What was said, oldest first, as this client reads it; `None` where its dialect cannot ask. From
/// then on it hears what is said, where its dialect tells.
async fn recall(client: &mut Client, flow: FlowId) -> Result<Option<Vec<String>>, Failure> {
    let windows = [HistoryRange::Newest { limit: HISTORY, offset: 0 }, HistoryRange::All];
    let mut commands: Vec<_> = [FlowKindFilter::Shared, FlowKindFilter::Any]
        .into_iter()
        .flat_map(|kinds| windows.map(|window| Command::History { flow, kinds, window }))
        .collect();
    commands.push(Command::GetChanges {
        since: Timestamp::default(),
        flow: Some(flow),
        limit: HISTORY,
    });
    let messages = match say(client, &commands).await? {
        Some(Answer::History(page)) => page.messages,
        Some(Answer::Changes(changes)) => changes.messages,
        Some(answer) => return Err(puzzled(client, &answer)),
        None => {
            // Looking at the group may be what opens it.
            say(
                client,
                &[FlowKindFilter::Shared, FlowKindFilter::Any].map(|kinds| Command::GetFlow {
                    flow,
                    kinds,
                    members: false,
                }),
            )
            .await?;
            return Ok(None);
        }
    };
    Ok(Some(messages.into_iter().map(|message| message.content.text).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn everybody_hears_everybody() {
        let paper = Paper::default();
        let summary = perform(Transcript::new(false, Box::new(paper.clone()))).await;
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let pushing = crate::dialects::all()
            .iter()
            .filter(|dialect| dialect.manifest().capabilities.pushes_posted)
            .count();
        assert!(
            summary
                .as_ref()
                .is_ok_and(|summary| summary.contains(&format!("; {pushing} heard every other"))),
            "{summary:?}\n{text}"
        );
        for dialect in crate::dialects::all() {
            for way in ["→", "←"] {
                let label = format!("{:8} {way} ", dialect.manifest().id);
                assert!(text.contains(&label), "{label} is not in\n{text}");
            }
        }
        assert!(!text.contains('\u{1b}'), "it was to be without colours");
    }
}
