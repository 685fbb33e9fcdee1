//! Users with an account and one client for each dialect.

use crate::dialects::{PINNED, all, by_id, id_of};
use crate::frame_record::{PASSWORD, frame_record};
use http::HeaderValue;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use tolmach_client::{Client, Outcome, credentials_of};
use tolmach_dialect::Dialect;
use tolmach_domain::{
    Answer, Command, Credentials, Fault, Grant, GrantKind, Profile, Registration, Secret, Tokens,
    UserId, UserRef,
};

/// The reason why a trial failed.
pub(crate) type Failure = String;

/// The kinds of grants that a login may ask for; a wire has one of them.
const LOGIN_GRANTS: [GrantKind; 3] = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection];

/// A user with an account.
pub(crate) struct TestUser {
    pub(crate) login: String,
    pub(crate) id: UserId,
    /// The gateway that the user's clients connect to.
    gateway: SocketAddr,
    /// By the id of the dialect.
    clients: BTreeMap<&'static str, Client>,
}

impl TestUser {
    /// Makes an account: over this dialect if it has a request for that, else over another one.
    pub(crate) async fn register(
        login: &str,
        dialect: &str,
        gateway: SocketAddr,
    ) -> Result<Self, Failure> {
        let mut dialects = vec![by_id(dialect)];
        dialects.extend(all().into_iter().filter(|other| id_of(other) != dialect));
        for dialect in dialects {
            let mut client = anonymous_client(login, &dialect, gateway);
            match client.request_any(&registrations(login)).await.map_err(failure)? {
                Outcome::Answer(Answer::Granted(grant)) => {
                    record_tokens(client.name(), &grant);
                    return Self::existing(login, gateway).await;
                }
                Outcome::Unsupported => {}
                outcome => {
                    let id = id_of(&dialect);
                    return Err(format!("{login} registers over {id}: {outcome:?}"));
                }
            }
        }
        Err("no dialect has a request for registering".to_owned())
    }

    /// The user of an existing account.
    pub(crate) async fn existing(login: &str, gateway: SocketAddr) -> Result<Self, Failure> {
        Ok(Self {
            login: login.to_owned(),
            id: user_id(login, gateway).await?,
            gateway,
            clients: BTreeMap::new(),
        })
    }

    /// The user's client of a dialect, logged in.
    pub(crate) async fn client(&mut self, dialect: &str) -> Result<&mut Client, Failure> {
        let dialect = by_id(dialect);
        if !self.clients.contains_key(id_of(&dialect)) {
            let mut client = anonymous_client(&self.login, &dialect, self.gateway);
            let credentials = match log_in(&mut client, &self.login, &LOGIN_GRANTS).await? {
                Some(grant) => credentials_of(self.id, &grant.tokens),
                None => foreign_credentials(&self.login, self.id, self.gateway).await?,
            };
            client.set_credentials(credentials);
            self.clients.insert(id_of(&dialect), client);
        }
        Ok(self.clients.get_mut(id_of(&dialect)).expect("it was inserted above"))
    }

    /// Makes the first of these requests that any dialect supports; fails if it is refused.
    pub(crate) async fn request_over_any(
        &mut self,
        commands: &[Command],
    ) -> Result<Answer, Failure> {
        for dialect in all() {
            let id = id_of(&dialect);
            let client = self.client(id).await?;
            match client.request_any(commands).await.map_err(failure)? {
                Outcome::Answer(answer) => return Ok(answer),
                Outcome::Refused(fault) => {
                    return Err(format!("{} over {id}: {fault}", self.login));
                }
                Outcome::Unsupported => {}
            }
        }
        let name = commands.first().map(Command::name);
        Err(format!("no dialect has a request for {name:?}"))
    }
}

/// The name of a client in the record of frames.
pub(crate) fn client_name(login: &str, dialect: &str) -> String {
    format!("{login} over {dialect}")
}

/// A client without credentials.
pub(crate) fn anonymous_client(
    login: &str,
    dialect: &Arc<dyn Dialect>,
    gateway: SocketAddr,
) -> Client {
    let title = id_of(dialect);
    let name = client_name(login, title);
    let mut client = Client::new(name, dialect.clone(), gateway, frame_record().clone());
    if PINNED.contains(&title) {
        client.set_header(http::header::USER_AGENT, HeaderValue::from_static(title));
    }
    client
}

/// The failure of a trial by an error.
pub(crate) fn failure(error: impl Display) -> Failure {
    error.to_string()
}

/// The registrations of a user, by the tokens that are asked for.
pub(crate) fn registrations(login: &str) -> Vec<Command> {
    let registration = |grant| Registration {
        email: Some(format!("{login}@example.org")),
        ..Registration::new(login, Secret::new(PASSWORD), grant)
    };
    let grants = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection, GrantKind::Nothing];
    grants.into_iter().map(|grant| Command::Register(Box::new(registration(grant)))).collect()
}

/// `None` if the dialect has no request for it.
async fn log_in(
    client: &mut Client,
    login: &str,
    grants: &[GrantKind],
) -> Result<Option<Grant>, Failure> {
    let command =
        |grant| Command::Login { identifier: login.into(), password: Secret::new(PASSWORD), grant };
    let commands: Vec<_> = grants.iter().copied().map(command).collect();
    match client.request_any(&commands).await.map_err(failure)? {
        Outcome::Answer(Answer::Granted(grant)) => {
            record_tokens(client.name(), &grant);
            Ok(Some(*grant))
        }
        Outcome::Unsupported => Ok(None),
        outcome => Err(format!("{}, login: {outcome:?}", client.name())),
    }
}

/// The access token of another dialect, for a dialect without a login of its own.
async fn foreign_credentials(
    login: &str,
    user: UserId,
    gateway: SocketAddr,
) -> Result<Vec<Credentials>, Failure> {
    for dialect in all() {
        let mut client = anonymous_client(login, &dialect, gateway);
        if let Some(grant) = log_in(&mut client, login, &[GrantKind::Pair]).await?
            && let Tokens::Pair { .. } = grant.tokens
        {
            return Ok(credentials_of(user, &grant.tokens));
        }
    }
    Err("no dialect grants access tokens".to_owned())
}

/// The id of the user with this login. Fills in the profile if registering left it open.
async fn user_id(login: &str, gateway: SocketAddr) -> Result<UserId, Failure> {
    for dialect in all() {
        let mut client = anonymous_client(login, &dialect, gateway);
        let Some(grant) = log_in(&mut client, login, &LOGIN_GRANTS).await? else { continue };
        if let Some(user) = grant.user.as_ref().filter(|user| user.profile) {
            return Ok(user.id);
        }
        client.set_credentials(match &grant.tokens {
            Tokens::Nothing => continue,
            Tokens::Connection => vec![Credentials::Connection],
            Tokens::Token(token) => vec![Credentials::Token(token.clone())],
            Tokens::Pair { access, .. } => vec![Credentials::Bearer(access.clone())],
        });
        let get_self = [Command::GetUser { user: UserRef::Me }];
        let mut outcome = client.request_any(&get_self).await.map_err(failure)?;
        if matches!(outcome, Outcome::Refused(Fault::NoProfile | Fault::NoSuchUser)) {
            let profile = Profile {
                username: login.to_owned(),
                name: login.to_owned(),
                bio: String::new(),
                photo: None,
            };
            let create = [Command::CreateProfile(Box::new(profile))];
            match client.request_any(&create).await.map_err(failure)? {
                Outcome::Answer(Answer::ProfileCreated) => {
                    outcome = client.request_any(&get_self).await.map_err(failure)?;
                }
                outcome => return Err(format!("{login} creates a profile: {outcome:?}")),
            }
        }
        match outcome {
            Outcome::Answer(Answer::User(user)) => return Ok(user.id),
            Outcome::Unsupported => {}
            outcome => {
                let id = id_of(&dialect);
                return Err(format!("{login} reads its own user over {id}: {outcome:?}"));
            }
        }
    }
    Err("no dialect answers with the caller's own user".to_owned())
}

fn record_tokens(client: &str, grant: &Grant) {
    match &grant.tokens {
        Tokens::Nothing | Tokens::Connection => {}
        Tokens::Token(token) => frame_record().add_token(client, token.expose()),
        Tokens::Pair { access, refresh } => {
            frame_record().add_token(client, access.expose());
            frame_record().add_token(client, refresh.expose());
        }
    }
}
