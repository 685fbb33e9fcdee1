//! Somebody with an account, who speaks any dialect.

use crate::dialects::{self, Spoken};
use crate::frames::{PASSWORD, record};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tolmach_client::{Client, Told, proofs};
use tolmach_domain::{
    Answer, Command, Credentials, Fault, Grant, GrantKind, Profile, Registration, Secret, Tokens,
    UserId, UserRef,
};

/// What went wrong, for people.
pub(crate) type Trouble = String;

/// Somebody with an account.
pub(crate) struct Human {
    pub(crate) login: String,
    pub(crate) id: UserId,
    /// The gateway that every client of this one connects to.
    gateway: SocketAddr,
    clients: BTreeMap<&'static str, Client>,
}

impl Human {
    /// Makes an account, over the dialect `home` where it can, and over another one else.
    pub(crate) async fn join(
        login: &str,
        home: &str,
        gateway: SocketAddr,
    ) -> Result<Self, Trouble> {
        let mut made = false;
        for spoken in home_first(home) {
            match visitor(login, &spoken, gateway)
                .say_any(&registrations(login))
                .await
                .map_err(text)?
            {
                Told::Answer(Answer::Granted(grant)) => {
                    note_tokens(login, &spoken, &grant);
                    made = true;
                    break;
                }
                Told::Unsayable => {}
                told => return Err(format!("{login} registers over {}: {told:?}", spoken.id())),
            }
        }
        if made {
            Self::known(login, gateway).await
        } else {
            Err("no dialect can register anybody".to_owned())
        }
    }

    /// Somebody whose account there is already.
    pub(crate) async fn known(login: &str, gateway: SocketAddr) -> Result<Self, Trouble> {
        Ok(Self {
            login: login.to_owned(),
            id: identify(login, gateway).await?,
            gateway,
            clients: BTreeMap::new(),
        })
    }

    /// This one's client of a dialect, logged in.
    pub(crate) async fn speaking(&mut self, dialect: &str) -> Result<&mut Client, Trouble> {
        let spoken = dialects::named(dialect);
        if !self.clients.contains_key(spoken.id()) {
            let mut client = visitor(&self.login, &spoken, self.gateway);
            let proven = match log_in(&mut client, &self.login, &LOGINS).await? {
                Some(grant) => proofs(self.id, &grant.tokens),
                None => borrowed_proofs(&self.login, self.id, self.gateway).await?,
            };
            client.prove_by(proven);
            self.clients.insert(spoken.id(), client);
        }
        Ok(self.clients.get_mut(spoken.id()).expect("it was just put there"))
    }

    /// Says the first of these that any dialect has words for; it has to be granted.
    pub(crate) async fn anyhow(&mut self, commands: &[Command]) -> Result<Answer, Trouble> {
        for spoken in dialects::all() {
            let client = self.speaking(spoken.id()).await?;
            match client.say_any(commands).await.map_err(text)? {
                Told::Answer(answer) => return Ok(answer),
                Told::Refused(fault) => {
                    return Err(format!("{} over {}: {fault}", self.login, spoken.id()));
                }
                Told::Unsayable => {}
            }
        }
        Err(format!("no dialect has words for {:?}", commands.first().map(Command::name)))
    }
}

/// How a client is called in the record.
pub(crate) fn name_of(login: &str, dialect: &str) -> String {
    format!("{login} over {dialect}")
}

/// A client that proves nothing yet.
pub(crate) fn visitor(login: &str, spoken: &Spoken, gateway: SocketAddr) -> Client {
    Client::new(name_of(login, spoken.id()), spoken.dialect.clone(), gateway, record().clone())
}

pub(crate) fn text(error: impl std::fmt::Display) -> Trouble {
    error.to_string()
}

fn home_first(home: &str) -> Vec<Spoken> {
    let mut all = dialects::all();
    all.sort_by_key(|spoken| spoken.id() != home);
    all
}

fn registrations(login: &str) -> Vec<Command> {
    let registration = |grant| Registration {
        login: Some(login.to_owned()),
        password: Secret::new(PASSWORD),
        username: Some(login.to_owned()),
        email: Some(format!("{login}@example.org")),
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: true,
        grant,
    };
    let grants = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection, GrantKind::Nothing];
    grants.into_iter().map(|grant| Command::Register(Box::new(registration(grant)))).collect()
}

const LOGINS: [GrantKind; 3] = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection];

/// `None` where the dialect has no words for it.
async fn log_in(
    client: &mut Client,
    login: &str,
    grants: &[GrantKind],
) -> Result<Option<Grant>, Trouble> {
    let command = |grant| Command::Login {
        identifier: login.to_owned(),
        password: Secret::new(PASSWORD),
        grant,
    };
    let commands: Vec<_> = grants.iter().copied().map(command).collect();
    match client.say_any(&commands).await.map_err(text)? {
        Told::Answer(Answer::Granted(grant)) => {
            note_tokens_of(client.name(), &grant);
            Ok(Some(*grant))
        }
        Told::Unsayable => Ok(None),
        told => Err(format!("{}, login: {told:?}", client.name())),
    }
}

/// The access token of another dialect, where this one has no login of its own.
async fn borrowed_proofs(
    login: &str,
    user: UserId,
    gateway: SocketAddr,
) -> Result<Vec<Credentials>, Trouble> {
    for spoken in dialects::all() {
        if let Some(grant) =
            log_in(&mut visitor(login, &spoken, gateway), login, &[GrantKind::Pair]).await?
            && let Tokens::Pair { .. } = grant.tokens
        {
            return Ok(proofs(user, &grant.tokens));
        }
    }
    Err("no dialect hands out access tokens".to_owned())
}

/// Finds out who this is, and fills in the profile where registering left it open.
async fn identify(login: &str, gateway: SocketAddr) -> Result<UserId, Trouble> {
    for spoken in dialects::all() {
        let mut client = visitor(login, &spoken, gateway);
        let Some(grant) = log_in(&mut client, login, &LOGINS).await? else { continue };
        if let Some(user) = grant.user.as_ref().filter(|user| user.profile) {
            return Ok(user.id);
        }
        client.prove_by(match &grant.tokens {
            Tokens::Nothing => continue,
            Tokens::Connection => vec![Credentials::Connection],
            Tokens::Token(token) => vec![Credentials::Token(token.clone())],
            Tokens::Pair { access, .. } => vec![Credentials::Bearer(access.clone())],
        });
        let me = [Command::GetUser { who: UserRef::Me }];
        let mut told = client.say_any(&me).await.map_err(text)?;
        if told == Told::Refused(Fault::NoProfile) || told == Told::Refused(Fault::NoSuchUser) {
            let profile = Profile {
                username: login.to_owned(),
                name: login.to_owned(),
                bio: String::new(),
                photo: None,
            };
            match client
                .say_any(&[Command::CreateProfile(Box::new(profile))])
                .await
                .map_err(text)?
            {
                Told::Answer(Answer::ProfileCreated) => {
                    told = client.say_any(&me).await.map_err(text)?
                }
                told => return Err(format!("{login} fills in a profile: {told:?}")),
            }
        }
        match told {
            Told::Answer(Answer::User(user)) => return Ok(user.id),
            Told::Unsayable => {}
            told => return Err(format!("{login} asks who it is over {}: {told:?}", spoken.id())),
        }
    }
    Err("no dialect tells anybody who they are".to_owned())
}

fn note_tokens(login: &str, spoken: &Spoken, grant: &Grant) {
    note_tokens_of(&name_of(login, spoken.id()), grant);
}

fn note_tokens_of(who: &str, grant: &Grant) {
    match &grant.tokens {
        Tokens::Nothing | Tokens::Connection => {}
        Tokens::Token(token) => record().token(who, token.expose()),
        Tokens::Pair { access, refresh } => {
            record().token(who, access.expose());
            record().token(who, refresh.expose());
        }
    }
}
