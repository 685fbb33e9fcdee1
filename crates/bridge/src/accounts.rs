//! Logins at the upstream, and the tokens that the bridge hands out for them.

use crate::forms::with_grants;
use crate::link::LinkTask;
use crate::metrics;
use crate::requests::{Caller, Refusal};
use crate::session::{Account, Session};
use crate::sessions::TokenKind;
use crate::transport::{Attempt, Draft};
use std::sync::Arc;
use tolmach_dialect::placeholders::placeholder_user_id;
use tolmach_domain::{
    Answer, Authority, Command, Credentials, Fault, Grant, GrantKind, Profile, Secret, Tokens,
    User, UserRef,
};

/// The caller of requests that need no login.
const NOBODY: Caller<'static> = Caller { authority: Authority::Member, session: None };

/// A login or registration, as the bridge keeps it.
struct Access {
    login: String,
    password: Secret,
    /// The kind of tokens that the client asked for.
    wanted: GrantKind,
    /// The profile to fill in, where the upstream has that as another request.
    profile: Option<Profile>,
}

impl Access {
    fn of(command: &Command) -> Option<Self> {
        match command {
            Command::Login { identifier, password, grant } => Some(Self {
                login: identifier.as_str().to_owned(),
                password: password.clone(),
                wanted: *grant,
                profile: None,
            }),
            Command::Register(registration) => {
                let login = registration.login.as_ref().or(registration.email.as_ref())?.clone();
                let username = registration.username.as_ref().unwrap_or(&login).clone();
                let profile = Profile {
                    name: username.clone(),
                    username,
                    bio: registration.bio.clone().unwrap_or_default(),
                    photo: None,
                };
                Some(Self {
                    login,
                    password: registration.password.clone(),
                    wanted: registration.grant,
                    profile: Some(profile).filter(|_| registration.profile),
                })
            }
            _ => None,
        }
    }
}

impl LinkTask {
    /// Logs in or registers.
    pub(crate) async fn log_in(
        &mut self,
        command: &Command,
    ) -> Result<(Answer, Arc<Session>), Refusal> {
        let access = Access::of(command).ok_or(Refusal::Unsupported)?;
        let session = match self.grant(command, &access).await? {
            Some(session) => session,
            None => {
                // On this wire, signing up does not log in.
                let login = Command::Login {
                    identifier: access.login.as_str().into(),
                    password: access.password.clone(),
                    grant: access.wanted,
                };
                self.grant(&login, &access).await?.ok_or(Refusal::Fault(Fault::Internal))?
            }
        };
        self.leave_others(&session);
        self.deliveries.set_session(&session);
        self.learn_user(&session, access.profile.as_ref()).await;
        let user = session.account().user.clone();
        self.shared.directory.learn_user(user.id, &user.login);
        let tokens = self.hand_out(&session, access.wanted);
        let grant = Grant { user: Some(Box::new(user)), tokens };
        Ok((Answer::Granted(Box::new(grant)), session))
    }

    /// Exchanges a refresh token that a client has.
    pub(crate) async fn refresh(
        &mut self,
        token: &Secret,
    ) -> Result<(Answer, Arc<Session>), Refusal> {
        let session = match self.shared.sessions.by_token(token) {
            Some((TokenKind::Access, _)) => return Err(Refusal::Fault(Fault::Unauthenticated)),
            Some((TokenKind::Refresh, session)) => {
                let (used, has_refresh) = {
                    let account = session.account();
                    (account.access.clone(), account.refresh.is_some())
                };
                if (has_refresh && !self.renew(&session, used).await)
                    || !self.shared.sessions.take_back(&session, token)
                {
                    return Err(Refusal::Fault(Fault::Unauthenticated));
                }
                session
            }
            None => {
                // A login from before the bridge was started.
                let command = Command::Refresh { token: token.clone() };
                let answered = match self.attempt(command, NOBODY).await {
                    Err(Refusal::Unsupported) => {
                        return Err(Refusal::Fault(Fault::Unauthenticated));
                    }
                    answered => answered?,
                };
                let Answer::Granted(grant) = answered.outcome.map_err(Refusal::Fault)? else {
                    return Err(Refusal::Fault(Fault::Internal));
                };
                let (access, refresh) = split(grant.tokens);
                let unknown = User::named(placeholder_user_id(token.expose()), "");
                let account = Account { access, refresh, ..Account::new(unknown) };
                let session = self.shared.sessions.insert(account);
                self.learn_user(&session, None).await;
                session
            }
        };
        let tokens = self.hand_out(&session, GrantKind::Pair);
        let user = Some(Box::new(session.account().user.clone()));
        Ok((Answer::Granted(Box::new(Grant { user, tokens })), session))
    }

    /// Ends the login of the caller, also where the upstream's wire has no request for that.
    pub(crate) async fn log_out(
        &mut self,
        login: Option<&str>,
        caller: Caller<'_>,
    ) -> Result<(), Refusal> {
        let session = caller.session.ok_or(Refusal::Fault(Fault::Unauthenticated))?;
        let is_own =
            |own: &str| login.is_none_or(|login| login.to_lowercase() == own.to_lowercase());
        let is_named = {
            let account = session.account();
            is_own(&account.user.login) || account.login.as_deref().is_some_and(is_own)
        };
        if !is_named {
            return Err(Refusal::Fault(Fault::Unauthenticated));
        }
        let outcome = self.attempt(Command::Logout { login: None }, caller).await;
        if let Err(Refusal::Fault(fault)) = outcome {
            return Err(Refusal::Fault(fault));
        }
        self.shared.sessions.end(session);
        Ok(())
    }

    /// The caller's own record: as the upstream tells it, or as the login has told.
    pub(crate) async fn own_user(&mut self, caller: Caller<'_>) -> Result<Answer, Refusal> {
        let session = caller.session.ok_or(Refusal::Fault(Fault::Unauthenticated))?;
        match self.attempt(Command::GetUser { user: UserRef::Me }, caller).await {
            Ok(answered) => {
                let answer = answered.outcome.map_err(Refusal::Fault)?;
                if let Answer::User(user) = &answer {
                    session.account().user = (**user).clone();
                }
                Ok(answer)
            }
            Err(Refusal::Unsupported) if caller.authority == Authority::Administrator => {
                Err(Refusal::Fault(Fault::NotAdministrator))
            }
            Err(Refusal::Unsupported) => Ok(Answer::User(Box::new(session.account().user.clone()))),
            Err(refusal) => Err(refusal),
        }
    }

    /// Fills in the caller's profile. Where accounts have none of their own at the upstream, the
    /// names are kept with the login.
    pub(crate) async fn create_profile(
        &mut self,
        profile: &Profile,
        caller: Caller<'_>,
    ) -> Result<Answer, Refusal> {
        let session = caller.session.ok_or(Refusal::Fault(Fault::Unauthenticated))?;
        let command = Command::CreateProfile(Box::new(profile.clone()));
        match self.attempt(command, caller).await {
            Ok(answered) => {
                let answer = answered.outcome.map_err(Refusal::Fault)?;
                self.learn_user(session, None).await;
                Ok(answer)
            }
            Err(Refusal::Unsupported) => {
                let mut account = session.account();
                account.user.username.clone_from(&profile.username);
                account.user.name.clone_from(&profile.name);
                account.user.bio.clone_from(&profile.bio);
                Ok(Answer::ProfileCreated)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Proves a token that the bridge has not handed out, by a request that needs it.
    pub(crate) async fn prove(&mut self, credentials: Credentials) -> Result<Arc<Session>, Fault> {
        let (user, token) = match credentials {
            Credentials::TokenOf(user, token) => (Some(user), token),
            Credentials::Token(token) | Credentials::Bearer(token) => (None, token),
            Credentials::Nothing | Credentials::Connection => return Err(Fault::Unauthenticated),
        };
        let access = Some(token.clone());
        let unknown = User::named(placeholder_user_id(token.expose()), "");
        let account = Account { access, claimed: user, ..Account::new(unknown) };
        let session = self.shared.sessions.insert(account);
        let caller = Caller { authority: Authority::Member, session: Some(&session) };
        let proofs = [
            Command::GetUser { user: UserRef::Me },
            Command::ListFlows { limit: Some(1), offset: 0, members: false },
        ];
        let mut proven = Err(Fault::Unauthenticated);
        for proof in proofs {
            proven = match self.attempt(proof, caller).await {
                Err(Refusal::Unsupported) => continue,
                Err(Refusal::Fault(fault)) => Err(fault),
                Ok(answered) => match answered.outcome {
                    Ok(Answer::User(user)) => session.account().prove(*user),
                    // The token is valid, whatever else the account lacks.
                    Ok(_) | Err(Fault::NoProfile | Fault::NoSuchUser) => match answered.identity {
                        Some(identity) => session.account().prove(User::named(identity.user, "")),
                        None => Ok(()),
                    },
                    Err(fault) => Err(fault),
                },
            };
            break;
        }
        match proven {
            Ok(()) => {
                self.shared.sessions.hand_out(&session, token, TokenKind::Access);
                Ok(session)
            }
            Err(fault) => {
                self.shared.sessions.end(&session);
                Err(fault)
            }
        }
    }

    /// Renews a login of which the upstream no longer accepts the token that was `used`. Returns
    /// false if it is over.
    pub(crate) async fn renew(&mut self, session: &Arc<Session>, used: Option<Secret>) -> bool {
        let _renewal = session.renewal.lock().await;
        if session.is_ended() {
            return false;
        }
        if session.account().access != used {
            // Another link has renewed it meanwhile.
            return true;
        }
        let (refresh, login) = {
            let account = session.account();
            (account.refresh.clone(), account.login.clone().zip(account.password.clone()))
        };
        let mut attempts: Vec<Command> =
            refresh.map(|token| Command::Refresh { token }).into_iter().collect();
        if let Some((login, password)) = login {
            let identifier = login.as_str().into();
            let grant = GrantKind::Pair;
            attempts.extend(with_grants(&Command::Login { identifier, password, grant }));
        }
        for command in attempts {
            let mut draft = Draft::new(command, Authority::Member, None);
            match self.transport.request(&mut draft, &mut self.deliveries).await {
                Attempt::Answered(answered) => {
                    let Ok(Answer::Granted(grant)) = &answered.outcome else { continue };
                    if grant.tokens == Tokens::Connection {
                        self.transport.bind(&answered, session.id);
                    }
                    let (access, refresh) = split(grant.tokens.clone());
                    let goes_on = session.renewed(access, refresh);
                    metrics::renewed(goes_on);
                    return goes_on;
                }
                Attempt::Unsupported => {}
                Attempt::Unreachable | Attempt::Lost => return false,
            }
        }
        metrics::renewed(false);
        false
    }

    /// Makes the request of a login or registration. `None` if it was granted and logs nobody in.
    async fn grant(
        &mut self,
        command: &Command,
        access: &Access,
    ) -> Result<Option<Arc<Session>>, Refusal> {
        for form in with_grants(command) {
            let answered = match self.attempt(form, NOBODY).await {
                Err(Refusal::Unsupported) => continue,
                Err(refusal) => return Err(refusal),
                Ok(answered) => answered,
            };
            let granted = match &answered.outcome {
                Ok(Answer::Granted(grant)) => (**grant).clone(),
                Ok(_) => return Err(Refusal::Fault(Fault::Internal)),
                Err(fault) => return Err(Refusal::Fault(fault.clone())),
            };
            if granted.tokens == Tokens::Nothing {
                return Ok(None);
            }
            let user = match (granted.user, answered.identity) {
                (Some(user), _) => *user,
                (None, Some(identity)) => User::named(identity.user, access.login.as_str()),
                (None, None) => {
                    User::named(placeholder_user_id(&access.login), access.login.as_str())
                }
            };
            let is_of_connection = granted.tokens == Tokens::Connection;
            let (token, refresh) = split(granted.tokens);
            let session = self.shared.sessions.insert(Account {
                login: Some(access.login.clone()),
                password: Some(access.password.clone()),
                access: token,
                refresh,
                ..Account::new(user)
            });
            if is_of_connection {
                self.transport.bind(&answered, session.id);
            }
            return Ok(Some(session));
        }
        Err(Refusal::Unsupported)
    }

    /// Asks the upstream who the user of a new login is, and fills in the profile of a new account.
    async fn learn_user(&mut self, session: &Arc<Session>, profile: Option<&Profile>) {
        let caller = Caller { authority: Authority::Member, session: Some(session) };
        let get = Command::GetUser { user: UserRef::Me };
        let mut profile = profile;
        loop {
            let Ok(answered) = self.attempt(get.clone(), caller).await else { return };
            match (answered.outcome, profile.take()) {
                (Ok(Answer::User(user)), _) => {
                    session.account().user = *user;
                    return;
                }
                (Err(Fault::NoProfile | Fault::NoSuchUser), Some(profile)) => {
                    let create = Command::CreateProfile(Box::new(profile.clone()));
                    if self.attempt(create, caller).await.is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// The tokens of a login for a client: the upstream's own where it has some of this kind.
    fn hand_out(&self, session: &Arc<Session>, wanted: GrantKind) -> Tokens {
        let (access, refresh) = {
            let account = session.account();
            (account.access.clone(), account.refresh.clone())
        };
        let given = |token: Option<Secret>, kind| {
            let token = token.unwrap_or_else(|| self.shared.new_token());
            self.shared.sessions.hand_out(session, token.clone(), kind);
            token
        };
        match wanted {
            GrantKind::Nothing => Tokens::Nothing,
            GrantKind::Connection => Tokens::Connection,
            GrantKind::Token => Tokens::Token(given(access, TokenKind::Access)),
            GrantKind::Pair => Tokens::Pair {
                access: given(access, TokenKind::Access),
                refresh: given(refresh, TokenKind::Refresh),
            },
        }
    }
}

/// The access token and the refresh token among tokens.
fn split(tokens: Tokens) -> (Option<Secret>, Option<Secret>) {
    match tokens {
        Tokens::Nothing | Tokens::Connection => (None, None),
        Tokens::Token(token) => (Some(token), None),
        Tokens::Pair { access, refresh } => (Some(access), Some(refresh)),
    }
}
