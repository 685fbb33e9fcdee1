//! The accounts of writers and readers, one for each dialect and purpose, and their connections to
//! any node.

use std::fmt::Display;
use std::net::SocketAddr;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tolmach_cli::dialects::all;
use tolmach_client::{Client, Direction, FrameObserver, Outcome, credentials_of};
use tolmach_dialect::{Dialect, Frame};
use tolmach_domain::{
    Answer, Command, Content, Credentials, FlowId, FlowKind, FlowKindFilter, Grant, GrantKind,
    HistoryRange, NewFlow, NewMessage, Secret, Timestamp, Tokens, UserId,
};

/// The password of every account.
pub(crate) const PASSWORD: &str = "Tr0ub4dor-and-3-staples";

/// The time after which a client gives a step up and connects again.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for one of many clients that connect at once.
const STEP_TIMEOUT_OF_MANY: Duration = Duration::from_secs(60);

/// The time after which a refused or disconnected client tries again.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(50);

/// The dialects whose messages carry a key that makes a retry harmless. A message of any other
/// dialect is never sent twice.
const DIALECTS_WITH_RETRY_KEY: [&str; 1] = ["morelia"];

/// The messages of one page of a history: the most that any dialect gives.
const PAGE_SIZE: u32 = 1_000;

/// The reason why a scenario failed.
pub(crate) type Failure = String;

/// A user with an account, and the dialect of the user's clients.
#[derive(Clone)]
pub(crate) struct TestUser {
    pub(crate) login: String,
    pub(crate) id: UserId,
    pub(crate) dialect: Arc<dyn Dialect>,
}

impl TestUser {
    /// True if a message may be sent again with its key.
    pub(crate) fn has_retry_key(&self) -> bool {
        DIALECTS_WITH_RETRY_KEY.contains(&self.dialect.manifest().id)
    }

    /// A client at this node, logged in.
    pub(crate) async fn connect(&self, node: SocketAddr) -> Result<Client, Failure> {
        within(STEP_TIMEOUT, "logging in", self.log_in(node)).await
    }

    /// A client that is in a flow: it may post there and receives the flow's events. Also gives the
    /// texts that it read there, oldest first, if its dialect can read.
    pub(crate) async fn join(
        &self,
        node: SocketAddr,
        flow: FlowId,
    ) -> Result<(Client, Option<Vec<String>>), Failure> {
        let mut client = self.connect(node).await?;
        let texts = within(STEP_TIMEOUT, "joining", self.read(&mut client, node, flow)).await?;
        if texts.is_none() {
            // On some wires the request for a flow is what subscribes to it.
            let commands = [true, false].map(|members| Command::GetFlow {
                flow,
                kinds: FlowKindFilter::Shared,
                members,
            });
            match request(STEP_TIMEOUT, "joining", &mut client, &commands).await? {
                Outcome::Answer(_) | Outcome::Unsupported => {}
                Outcome::Refused(fault) => return Err(client.error("joining", fault).to_string()),
            }
        }
        Ok((client, texts))
    }

    /// The texts of a flow, read over this user's dialect, oldest first; `None` if it cannot read.
    pub(crate) async fn history(
        &self,
        node: SocketAddr,
        flow: FlowId,
    ) -> Result<Option<Vec<String>>, Failure> {
        let mut client = self.connect(node).await?;
        within(STEP_TIMEOUT, "reading", self.read(&mut client, node, flow)).await
    }

    /// The texts of a flow, oldest first; `None` if this wire cannot read.
    ///
    /// The client makes the first request only, since on some wires a request for a page opens a
    /// connection that receives the flow's events: another client makes the others.
    async fn read(
        &self,
        client: &mut Client,
        node: SocketAddr,
        flow: FlowId,
    ) -> Result<Option<Vec<String>>, Failure> {
        let mut others = None;
        let (mut texts, mut offset, mut since) = (Vec::new(), 0, Timestamp::default());
        loop {
            let mut commands = Vec::new();
            for range in [HistoryRange::All, HistoryRange::Newest { limit: PAGE_SIZE, offset }] {
                commands.extend(
                    [FlowKindFilter::Shared, FlowKindFilter::Any].map(|kinds| Command::History {
                        flow,
                        kinds,
                        range,
                        mark_read: false,
                    }),
                );
            }
            commands.push(Command::GetChanges { since, flow: Some(flow), limit: PAGE_SIZE });
            let reader = others.as_mut().unwrap_or(&mut *client);
            match reader.request_any(&commands).await.map_err(failure)? {
                Outcome::Answer(Answer::History(page)) => {
                    let is_last = page.messages.len() != PAGE_SIZE as usize;
                    let older = page.messages.into_iter().map(|message| message.content.text);
                    texts.splice(0..0, older);
                    offset += PAGE_SIZE;
                    if is_last {
                        return Ok(Some(texts));
                    }
                }
                Outcome::Answer(Answer::Changes(changes)) => {
                    // Not every wire says that more waits, so an empty page is the end.
                    if changes.messages.is_empty() {
                        return Ok(Some(texts));
                    }
                    texts.extend(changes.messages.into_iter().map(|message| message.content.text));
                    since = changes.until;
                }
                Outcome::Unsupported => return Ok(None),
                outcome => return Err(reader.error("reading", format!("{outcome:?}")).to_string()),
            }
            if others.is_none() {
                others = Some(self.connect(node).await?);
            }
        }
    }

    /// A new group of these members, made over any dialect that can.
    pub(crate) async fn create_group(
        &self,
        node: SocketAddr,
        title: &str,
        members: &[UserId],
    ) -> Result<FlowId, Failure> {
        let group = Command::CreateFlow(Box::new(NewFlow {
            kind: FlowKind::Group,
            title: title.to_owned(),
            info: String::new(),
            members: members.to_vec(),
            photo: None,
            key: None,
        }));
        for dialect in all() {
            let mut client = Self { dialect, ..self.clone() }.connect(node).await?;
            let step = "creating a group";
            match request(STEP_TIMEOUT, step, &mut client, slice::from_ref(&group)).await? {
                Outcome::Answer(Answer::FlowCreated { flow, .. }) => return Ok(flow),
                Outcome::Unsupported => {}
                outcome => return Err(client.error(step, format!("{outcome:?}")).to_string()),
            }
        }
        Err("no dialect has a request for creating a group".to_owned())
    }

    /// The credentials of a new session, in the forms that a wire may have.
    pub(crate) async fn credentials(&self, node: SocketAddr) -> Result<Vec<Credentials>, Failure> {
        let client = within(STEP_TIMEOUT_OF_MANY, "logging in", self.log_in(node)).await?;
        Ok(client.credentials().to_vec())
    }

    /// The request that logs this user in.
    pub(crate) fn login_command(&self, grant: GrantKind) -> Command {
        Command::Login {
            identifier: self.login.as_str().into(),
            password: Secret::new(PASSWORD),
            grant,
        }
    }

    async fn log_in(&self, node: SocketAddr) -> Result<Client, Failure> {
        let mut client = self.anonymous_client(&self.dialect, node);
        let grants = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection];
        let credentials = match self.grant(&mut client, &grants).await? {
            Some(grant) => credentials_of(self.id, &grant.tokens),
            None => self.foreign_credentials(node).await?,
        };
        client.set_credentials(credentials);
        Ok(client)
    }

    fn anonymous_client(&self, dialect: &Arc<dyn Dialect>, node: SocketAddr) -> Client {
        Client::new(self.login.clone(), dialect.clone(), node, Arc::new(NoObserver))
    }

    /// `None` if the dialect has no request for a login.
    async fn grant(
        &self,
        client: &mut Client,
        grants: &[GrantKind],
    ) -> Result<Option<Grant>, Failure> {
        let commands: Vec<_> = grants.iter().map(|grant| self.login_command(*grant)).collect();
        match client.request_any(&commands).await.map_err(failure)? {
            Outcome::Answer(Answer::Granted(grant)) => Ok(Some(*grant)),
            Outcome::Unsupported => Ok(None),
            outcome => Err(client.error("logging in", format!("{outcome:?}")).to_string()),
        }
    }

    /// The access token of another dialect, for a dialect without a login of its own.
    async fn foreign_credentials(&self, node: SocketAddr) -> Result<Vec<Credentials>, Failure> {
        for dialect in all() {
            let mut client = self.anonymous_client(&dialect, node);
            if let Some(grant) = self.grant(&mut client, &[GrantKind::Pair]).await?
                && let Tokens::Pair { .. } = grant.tokens
            {
                return Ok(credentials_of(self.id, &grant.tokens));
            }
        }
        Err("no dialect grants access tokens".to_owned())
    }
}

/// Posts a message, with this key if the wire carries one. Gives `false` if it is refused.
pub(crate) async fn post(
    client: &mut Client,
    flow: FlowId,
    text: &str,
    key: Option<String>,
) -> Result<bool, Failure> {
    match request(STEP_TIMEOUT, "posting", client, &messages(flow, text, key)).await? {
        Outcome::Answer(Answer::Sent { .. }) => Ok(true),
        Outcome::Refused(_) => Ok(false),
        outcome => Err(client.error("posting", format!("{outcome:?}")).to_string()),
    }
}

/// Makes the first of these requests that the client's dialect supports.
pub(crate) async fn request(
    limit: Duration,
    step: &str,
    client: &mut Client,
    commands: &[Command],
) -> Result<Outcome, Failure> {
    within(limit, step, async { client.request_any(commands).await.map_err(failure) }).await
}

/// The requests that post a message, in every form that a dialect may have.
pub(crate) fn messages(flow: FlowId, text: &str, key: Option<String>) -> [Command; 2] {
    [FlowKindFilter::Shared, FlowKindFilter::Any].map(|kinds| {
        let content = Content::text(text);
        Command::Send(Box::new(NewMessage { flow, kinds, content, key: key.clone() }))
    })
}

/// The requests of [`subscriptions`] that read the history: the first ones.
pub(crate) const HISTORY_FORMS: usize = 2;

/// The requests that subscribe to a flow, in every form that a dialect may have.
pub(crate) fn subscriptions(flow: FlowId) -> Vec<Command> {
    let range = HistoryRange::Newest { limit: 1, offset: 0 };
    let newest = |kinds| Command::History { flow, kinds, range, mark_read: false };
    let mut commands = [FlowKindFilter::Shared, FlowKindFilter::Any].map(newest).to_vec();
    commands.push(Command::GetFlow { flow, kinds: FlowKindFilter::Shared, members: true });
    commands.push(Command::ListFlows { limit: None, offset: 0, members: false });
    commands
}

/// Tries again while the store is unavailable, as a client does, for at most so long.
pub(crate) async fn retry_while_unavailable<T>(
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let begun_at = Instant::now();
    loop {
        match attempt().await {
            Err(failure)
                if failure.ends_with("Refused(Unavailable)") && begun_at.elapsed() < limit =>
            {
                sleep(RETRY_DELAY).await;
            }
            result => return result,
        }
    }
}

/// The failure of a scenario by an error.
pub(crate) fn failure(error: impl Display) -> Failure {
    error.to_string()
}

async fn within<T>(
    limit: Duration,
    step: &str,
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(limit, future).await.unwrap_or_else(|_| Err(format!("{step}: no end within {limit:?}")))
}

/// Observes nothing: other tests look at frames.
struct NoObserver;

impl FrameObserver for NoObserver {
    fn frame(&self, _: &str, _: &'static str, _: Direction, _: &Frame) {}
}
