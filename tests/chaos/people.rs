//! Who writes and who reads: one account for each dialect and purpose, and connections of theirs to
//! any node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tolmach_client::{Client, Told, Way, Witness, proofs};
use tolmach_dialect::{Dialect, Frame};
use tolmach_domain::{
    Answer, Command, Content, Credentials, FlowId, FlowKind, FlowKindFilter, Grant, GrantKind,
    HistoryRange, NewFlow, NewMessage, Secret, Timestamp, Tokens, UserId,
};

/// The password of everybody here.
pub(crate) const PASSWORD: &str = "Tr0ub4dor-and-3-staples";

/// How long a client waits for anything before it gives up and connects anew.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// The same, for one of a crowd that comes in at once.
const AMONG_MANY: Duration = Duration::from_secs(60);

/// Messages read at once: the most that any dialect gives.
const PAGE: u32 = 1_000;

/// What went wrong, for people.
pub(crate) type Trouble = String;

/// A dialect, and whether its wire carries a key that makes a retry harmless.
pub(crate) struct Spoken {
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) keyed: bool,
}

/// Every dialect.
pub(crate) fn dialects() -> [Spoken; 5] {
    [
        Spoken { dialect: Arc::new(tolmach_dialect_mode::Mode), keyed: false },
        Spoken { dialect: Arc::new(tolmach_dialect_sndmsg::SndMsg), keyed: false },
        Spoken { dialect: Arc::new(tolmach_dialect_morelia::Morelia), keyed: true },
        Spoken { dialect: Arc::new(tolmach_dialect_bearer::Bearer), keyed: false },
        Spoken { dialect: Arc::new(tolmach_dialect_action::Action::default()), keyed: false },
    ]
}

/// Frames are the business of other tests.
struct Nobody;

impl Witness for Nobody {
    fn frame(&self, _: &str, _: &'static str, _: Way, _: &Frame) {}
}

/// Somebody with an account, who speaks one dialect.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) login: String,
    pub(crate) id: UserId,
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) keyed: bool,
}

impl Person {
    /// A connection to this node, logged in.
    pub(crate) async fn connect(&self, node: SocketAddr) -> Result<Client, Trouble> {
        within("logging in", self.come(node)).await
    }

    async fn come(&self, node: SocketAddr) -> Result<Client, Trouble> {
        let mut client = self.visitor(&self.dialect, node);
        let grants = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection];
        let proven = match self.log_in(&mut client, &grants).await? {
            Some(grant) => proofs(self.id, &grant.tokens),
            None => self.borrowed_proofs(node).await?,
        };
        client.prove_by(proven);
        Ok(client)
    }

    /// A connection that is in a flow, so that it may speak there and hears; with what it read
    /// there, oldest first, if its dialect can read.
    pub(crate) async fn enter(
        &self,
        node: SocketAddr,
        flow: FlowId,
    ) -> Result<(Client, Option<Vec<String>>), Trouble> {
        let mut client = self.connect(node).await?;
        let read = within("entering", read(&mut client, flow)).await?;
        if read.is_none() {
            // Looking at a flow may be what opens it.
            let looks = [true, false].map(|members| Command::GetFlow {
                flow,
                kinds: FlowKindFilter::Shared,
                members,
            });
            match within("entering", async { client.say_any(&looks).await.map_err(text) }).await? {
                Told::Answer(_) | Told::Unsayable => {}
                Told::Refused(fault) => return Err(client.trouble("entering", fault).to_string()),
            }
        }
        Ok((client, read))
    }

    /// A connection that hears what is said in a flow from now on, and has read next to nothing of
    /// what was.
    pub(crate) async fn watch(&self, node: SocketAddr, flow: FlowId) -> Result<Client, Trouble> {
        let mut client = within_limit(AMONG_MANY, "logging in", self.come(node)).await?;
        let newest = |kinds| Command::History {
            flow,
            kinds,
            window: HistoryRange::Newest { limit: 1, offset: 0 },
        };
        let mut commands = [FlowKindFilter::Shared, FlowKindFilter::Any].map(newest).to_vec();
        commands.push(Command::GetFlow { flow, kinds: FlowKindFilter::Shared, members: true });
        commands.push(Command::ListFlows { limit: None, offset: 0, members: false });
        match within_limit(AMONG_MANY, "watching", async {
            client.say_any(&commands).await.map_err(text)
        })
        .await?
        {
            Told::Answer(_) => Ok(client),
            told => Err(client.trouble("watching", format!("{told:?}")).to_string()),
        }
    }

    /// Everything that was said in a flow, as this one's dialect tells it; `None` where it cannot
    /// ask.
    pub(crate) async fn history(
        &self,
        node: SocketAddr,
        flow: FlowId,
    ) -> Result<Option<Vec<String>>, Trouble> {
        let mut client = self.connect(node).await?;
        within("reading", read(&mut client, flow)).await
    }

    /// A new group of these people; in whichever dialect can make one.
    pub(crate) async fn group(
        &self,
        node: SocketAddr,
        title: &str,
        members: &[UserId],
    ) -> Result<FlowId, Trouble> {
        let group = NewFlow {
            kind: FlowKind::Group,
            title: title.to_owned(),
            info: String::new(),
            members: members.to_vec(),
            photo: None,
            key: None,
        };
        for spoken in dialects() {
            let mut client = Self { dialect: spoken.dialect, ..self.clone() }.connect(node).await?;
            match client
                .say_any(&[Command::CreateFlow(Box::new(group.clone()))])
                .await
                .map_err(text)?
            {
                Told::Answer(Answer::FlowCreated { flow, .. }) => return Ok(flow),
                Told::Unsayable => {}
                told => {
                    return Err(client.trouble("making a group", format!("{told:?}")).to_string());
                }
            }
        }
        Err("no dialect can make a group".to_owned())
    }

    fn visitor(&self, dialect: &Arc<dyn Dialect>, node: SocketAddr) -> Client {
        Client::new(self.login.clone(), dialect.clone(), node, Arc::new(Nobody))
    }

    /// `None` where the dialect has no words for it.
    async fn log_in(
        &self,
        client: &mut Client,
        grants: &[GrantKind],
    ) -> Result<Option<Grant>, Trouble> {
        let login = |grant| Command::Login {
            identifier: self.login.clone(),
            password: Secret::new(PASSWORD),
            grant,
        };
        let commands: Vec<_> = grants.iter().copied().map(login).collect();
        match client.say_any(&commands).await.map_err(text)? {
            Told::Answer(Answer::Granted(grant)) => Ok(Some(*grant)),
            Told::Unsayable => Ok(None),
            told => Err(client.trouble("logging in", format!("{told:?}")).to_string()),
        }
    }

    /// The access token of another dialect, where this one has no login of its own.
    async fn borrowed_proofs(&self, node: SocketAddr) -> Result<Vec<Credentials>, Trouble> {
        for spoken in dialects() {
            if let Some(grant) =
                self.log_in(&mut self.visitor(&spoken.dialect, node), &[GrantKind::Pair]).await?
                && let Tokens::Pair { .. } = grant.tokens
            {
                return Ok(proofs(self.id, &grant.tokens));
            }
        }
        Err("no dialect hands out access tokens".to_owned())
    }
}

/// Says these words, with this key if the wire has a place for one; whether they were acknowledged.
pub(crate) async fn send(
    client: &mut Client,
    flow: FlowId,
    words: &str,
    key: Option<String>,
) -> Result<bool, Trouble> {
    let draft = |kinds| NewMessage { flow, kinds, content: Content::text(words), key: key.clone() };
    let commands = [FlowKindFilter::Shared, FlowKindFilter::Any]
        .map(|kinds| Command::Send(Box::new(draft(kinds))));
    match within("sending", async { client.say_any(&commands).await.map_err(text) }).await? {
        Told::Answer(Answer::Sent { .. }) => Ok(true),
        Told::Refused(_) => Ok(false),
        told => Err(client.trouble("sending", format!("{told:?}")).to_string()),
    }
}

async fn read(client: &mut Client, flow: FlowId) -> Result<Option<Vec<String>>, Trouble> {
    let (mut texts, mut offset, mut since) = (Vec::new(), 0, Timestamp::default());
    loop {
        let mut commands = Vec::new();
        for window in [HistoryRange::All, HistoryRange::Newest { limit: PAGE, offset }] {
            commands.extend(
                [FlowKindFilter::Shared, FlowKindFilter::Any].map(|kinds| Command::History {
                    flow,
                    kinds,
                    window,
                }),
            );
        }
        commands.push(Command::GetChanges { since, flow: Some(flow), limit: PAGE });
        match client.say_any(&commands).await.map_err(text)? {
            Told::Answer(Answer::History(page)) => {
                let whole = page.messages.len() != PAGE as usize;
                let older = page.messages.into_iter().map(|message| message.content.text);
                texts.splice(0..0, older);
                offset += PAGE;
                if whole {
                    return Ok(Some(texts));
                }
            }
            Told::Answer(Answer::Changes(changes)) => {
                // Not every wire says whether more waits: there is no more when nothing more comes.
                if changes.messages.is_empty() {
                    return Ok(Some(texts));
                }
                texts.extend(changes.messages.into_iter().map(|message| message.content.text));
                since = changes.until;
            }
            Told::Unsayable => return Ok(None),
            told => return Err(client.trouble("reading", format!("{told:?}")).to_string()),
        }
    }
}

async fn within<T>(
    what: &str,
    future: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    within_limit(PATIENCE, what, future).await
}

async fn within_limit<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    timeout(limit, future)
        .await
        .unwrap_or_else(|_| Err(format!("{what}: nothing came of it within {limit:?}")))
}

fn text(error: impl std::fmt::Display) -> Trouble {
    error.to_string()
}
