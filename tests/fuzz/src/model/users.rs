//! The users of a model, and their tokens.

use super::ready::ready;
use std::collections::BTreeMap;
use tolmach_dialect_kit::fixtures::CredentialsKind;
use tolmach_domain::{
    Answer, Authority, Command, Credentials, GrantKind, Secret, Timestamp, Tokens, UserId,
};
use tolmach_engine::memory::MemoryStore;
use tolmach_engine::ports::{NewUser, UserStore};
use tolmach_engine::{Engine, Submission};

/// The beginning of every password. No frame of a server may hold it.
pub(super) const PASSWORD: &str = "password-of-";

/// The logins. The last two are an administrator's and a customer's with the business tariff.
const LOGINS: [&str; 4] = ["anna", "boris", "clara", "dmitri"];

/// A user.
pub(super) struct User {
    pub(super) id: UserId,
    pub(super) login: &'static str,
    tokens: BTreeMap<GrantToken, Secret>,
}

/// The kinds of tokens that a user keeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum GrantToken {
    Opaque,
    Access,
}

impl User {
    /// Creates every user.
    pub(super) fn create_all(store: &MemoryStore, now: Timestamp) -> Vec<Self> {
        let create = |login: &'static str| {
            let user = NewUser {
                name: format!("{login}'s name"),
                email: Some(email(login)),
                admin: login == LOGINS[2],
                business: login == LOGINS[3],
                password_hash: Some(format!("plain:{PASSWORD}{login}")),
                ..NewUser::named(login)
            };
            let user = ready(store.create_user(user, now)).expect("the logins are unlike");
            Self { id: user.id, login, tokens: BTreeMap::new() }
        };
        LOGINS.map(create).into()
    }

    /// True for the administrator.
    pub(super) fn is_administrator(&self) -> bool {
        self.login == LOGINS[2]
    }

    /// The e-mail address.
    pub(super) fn email(&self) -> String {
        email(self.login)
    }

    /// The password.
    pub(super) fn password(&self) -> String {
        format!("{PASSWORD}{}", self.login)
    }

    /// Credentials of this kind, by a new login where the last ones are not valid any more; `None`
    /// while logins are refused.
    pub(super) fn credentials(
        &mut self,
        engine: &Engine,
        kind: CredentialsKind,
    ) -> Option<Credentials> {
        let token = match kind {
            CredentialsKind::Connection => return Some(Credentials::Connection),
            CredentialsKind::Bearer => GrantToken::Access,
            CredentialsKind::Token | CredentialsKind::TokenOf => GrantToken::Opaque,
        };
        let user = self.id;
        let of = |secret: &Secret| match kind {
            CredentialsKind::Bearer => Credentials::Bearer(secret.clone()),
            CredentialsKind::TokenOf => Credentials::TokenOf(user, secret.clone()),
            _ => Credentials::Token(secret.clone()),
        };
        if let Some(kept) = self.tokens.get(&token).map(of)
            && ready(engine.authenticate(&kept, None)).is_ok()
        {
            return Some(kept);
        }
        let grant = match token {
            GrantToken::Opaque => GrantKind::Token,
            GrantToken::Access => GrantKind::Pair,
        };
        let command = Command::Login {
            identifier: self.login.into(),
            password: Secret::new(self.password()),
            grant,
        };
        let submission = Submission {
            caller: None,
            authority: Authority::Member,
            origin: None,
            address: None,
            command,
        };
        let Ok(Answer::Granted(grant)) = ready(engine.execute(submission)).outcome else {
            return None;
        };
        let secret = match grant.tokens {
            Tokens::Token(secret) | Tokens::Pair { access: secret, .. } => secret,
            Tokens::Nothing | Tokens::Connection => return None,
        };
        let credentials = of(&secret);
        self.tokens.insert(token, secret);
        Some(credentials)
    }

    /// A token of this kind, as it stands in frames.
    pub(super) fn token(&mut self, engine: &Engine, kind: CredentialsKind) -> Option<String> {
        match self.credentials(engine, kind)? {
            Credentials::Token(secret)
            | Credentials::TokenOf(_, secret)
            | Credentials::Bearer(secret) => Some(secret.expose().to_owned()),
            Credentials::Nothing | Credentials::Connection => None,
        }
    }
}

fn email(login: &str) -> String {
    format!("{login}@mail.example")
}
