//! The server of one client, where the engine is not the only one.
//!
//! It is chosen by the login that a request names or a token proves, once the request is decoded
//! and before it is carried out: nothing has to be kept of frames.

use crate::dual::{DualRunning, HERE, Listed, NamedUpstream};
use crate::hub::Subscriber;
use crate::metrics;
use crate::served_dialect::ServedDialect;
use crate::submission::Requester;
use crate::upstream::MirroredRequest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tolmach_dialect::Request;
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Credentials, Fault, Identity, RecoveryIdentifier,
    Secret, UserId,
};
use tolmach_engine::{Engine, Principal, RoutedClient, RuledUser, Submission};

/// The login of a user, in lower case, and the user of this world with that login.
type RoutedUser = (Arc<str>, Option<UserId>);

/// The server that serves one client.
#[derive(Default)]
pub(crate) struct ClientRoute {
    /// `None` for the engine.
    upstream: Option<Arc<NamedUpstream>>,
    /// The upstream that gets copies of requests.
    mirror: Option<Arc<NamedUpstream>>,
    /// The user whom the request that is being carried out names.
    named: Option<RoutedUser>,
    /// The user who was proven last.
    user: Option<RoutedUser>,
    /// The rules and the identity that were looked at last.
    confirmed: Option<(u64, Identity)>,
    listing: Option<Listing>,
    /// True if the client has to connect again for its server.
    must_end: bool,
    /// The dialect with its external ids, while an upstream serves the client without them.
    here: Option<Arc<ServedDialect>>,
}

/// The place of a connection in the list, until it is dropped.
struct Listing {
    dual: Arc<DualRunning>,
    connection: ConnectionId,
    login: Arc<str>,
    has_moved: Arc<AtomicBool>,
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.dual.forget(self.connection);
    }
}

impl ClientRoute {
    /// The upstream that serves the client.
    pub(crate) fn upstream(&self) -> Option<&Arc<NamedUpstream>> {
        self.upstream.as_ref()
    }

    /// True if requests of the client are mirrored.
    pub(crate) fn is_mirrored(&self) -> bool {
        self.mirror.is_some()
    }

    /// True if another server serves the user of this connection now.
    pub(crate) fn has_moved(&self) -> bool {
        let listing = self.listing.as_ref();
        self.must_end || listing.is_some_and(|listing| listing.has_moved.load(Ordering::Acquire))
    }

    /// The user of this world with the login of a client that an upstream serves.
    pub(crate) fn user_here(&self) -> Option<UserId> {
        let user = self.named.as_ref().or(self.user.as_ref());
        user.and_then(|(_, user)| *user)
    }

    /// The user of this world for one whom the present server has proven.
    pub(crate) fn user_of_world(&self, proven: UserId) -> Option<UserId> {
        if self.upstream.is_some() { self.user_here() } else { Some(proven) }
    }

    /// The user of a client that an upstream serves, as rules about users know one. `None` if the
    /// engine serves it.
    pub(crate) fn user_elsewhere(&self) -> Option<RuledUser> {
        self.upstream.as_ref()?;
        Some(self.user_here().map_or(RuledUser::Unknown, RuledUser::Known))
    }

    /// A user whom the present server knows, as rules about users know one.
    pub(crate) fn ruled_user(&self, user: RuledUser) -> RuledUser {
        match user {
            RuledUser::Known(_) => self.user_elsewhere().unwrap_or(user),
            user => user,
        }
    }

    fn is_at(&self, upstream: Option<&Arc<NamedUpstream>>) -> bool {
        fn name(named: &Arc<NamedUpstream>) -> &str {
            &named.name
        }
        self.upstream.as_ref().map(name) == upstream.map(name)
    }

    /// Makes this the server of the client. Returns true if it was another one before.
    pub(crate) fn enter(&mut self, upstream: Option<&Arc<NamedUpstream>>) -> bool {
        if self.is_at(upstream) {
            return false;
        }
        self.upstream = upstream.cloned();
        self.confirmed = None;
        true
    }

    /// The dialect to go on with after the server has changed: an upstream's clients have its ids,
    /// not those that this world has for them. `None` if that is the present one.
    pub(crate) fn dialect_change(
        &mut self,
        present: &Arc<ServedDialect>,
    ) -> Option<Arc<ServedDialect>> {
        match &self.upstream {
            Some(_) if present.external_ids.is_some() => {
                self.here = Some(present.clone());
                Some(Arc::new(present.without_external_ids()))
            }
            Some(_) => None,
            None => self.here.take(),
        }
    }

    /// The upstreams that may know the token of a request, if the engine does not: those that
    /// routes lead to, while the server of the client is not known.
    pub(crate) fn others(&self, dual: &DualRunning, request: &Request) -> Vec<Arc<NamedUpstream>> {
        let is_known = self.user.is_some() || self.upstream.is_some();
        if is_known || token_of(&request.credentials).is_none() {
            Vec::new()
        } else {
            dual.in_use()
        }
    }

    /// Chooses the server for a request whose credentials were not looked at yet: by the login that
    /// it names, or by the upstream that handed out its token. Returns true if it is another server
    /// than before. [`Fault::Unavailable`] if the client has to connect again for it, or if the
    /// server is not configured.
    pub(crate) async fn choose(
        &mut self,
        dual: &DualRunning,
        requester: &Requester,
        request: &Request,
        is_proven: bool,
    ) -> Result<bool, Fault> {
        if self.has_moved() {
            return Err(Fault::Unavailable);
        }
        self.named = None;
        if let Some(name) = named_login(&request.command) {
            let (login, user) = dual.account(name).await?;
            let rules = dual.rules.current();
            let (dialect, revision) = (requester.dialect.id(), requester.revision);
            let client = RoutedClient { dialect, revision, login: &login };
            let server = dual.server_of(&rules, &client)?;
            let mirror = rules.mirror_of(&client).filter(|_| server.is_none());
            if is_proven && !self.is_at(server.as_ref()) {
                // The events of the user before would have to end first.
                self.must_end = true;
                return Err(Fault::Unavailable);
            }
            if matches!(request.command, Command::Login { .. } | Command::Register(_)) {
                metrics::route_login(server.as_ref().map_or(HERE, |named| &named.name));
            }
            self.mirror = mirror.and_then(|name| dual.upstream(name));
            self.named = Some((login, user));
            return Ok(self.enter(server.as_ref()));
        }
        let token = match &request.command {
            Command::Refresh { token } => Some(token),
            _ => token_of(&request.credentials),
        };
        Ok(self.choose_by_token(dual, token))
    }

    /// The part of [`Self::choose`] that is about a token.
    pub(crate) fn choose_by_token(&mut self, dual: &DualRunning, token: Option<&Secret>) -> bool {
        match token.filter(|_| self.user.is_none()) {
            Some(token) => self.enter(dual.holder_of(token)),
            None => false,
        }
    }

    /// Looks at the routes of a user whom the present server has proven. Refused if another server
    /// serves that user: as credentials that are not valid or, if the connection was served before,
    /// as [`Fault::Unavailable`].
    pub(crate) async fn confirm(
        &mut self,
        dual: &DualRunning,
        requester: &Requester,
        principal: &Principal,
    ) -> Result<(), Fault> {
        let key = (dual.rules.generation(), principal.identity);
        if self.confirmed == Some(key) {
            return Ok(());
        }
        if self.confirmed.is_none_or(|(_, identity)| identity != principal.identity) {
            self.confirmed = None;
            self.user = self.user_of(dual, principal).await?;
        }
        let Some((login, _)) = &self.user else {
            // A token of another issuer, whose user has no account yet, has no route. Of a token
            // whose user the upstream does not tell, no route can be found.
            let is_here = self.upstream.is_none();
            return if is_here { Ok(()) } else { Err(Fault::Unauthenticated) };
        };
        let rules = dual.rules.current();
        let (dialect, revision) = (requester.dialect.id(), requester.revision);
        let client = RoutedClient { dialect, revision, login };
        let is_served =
            rules.upstream_of(&client) == self.upstream.as_ref().map(|named| named.name.as_str());
        if !is_served {
            self.user = None;
            self.must_end = self.listing.is_some();
            return Err(if self.must_end { Fault::Unavailable } else { Fault::Unauthenticated });
        }
        let mirror = rules.mirror_of(&client).filter(|_| self.upstream.is_none());
        self.mirror = mirror.and_then(|name| dual.upstream(name));
        self.confirmed = Some(key);
        Ok(())
    }

    /// The login of a user whom the present server has proven, and the user here.
    async fn user_of(
        &self,
        dual: &DualRunning,
        principal: &Principal,
    ) -> Result<Option<RoutedUser>, Fault> {
        let Identity { user, session } = principal.identity;
        match &self.upstream {
            None => {
                let login = dual.engine.login(user).await?;
                Ok(login.map(|login| (login.to_lowercase().into(), Some(user))))
            }
            Some(named) => match session.and_then(|session| named.upstream.login(session)) {
                Some(login) => dual.account(&login).await.map(Some),
                None => Ok(None),
            },
        }
    }

    /// The user whom the request names has been granted a login.
    pub(crate) fn granted(&mut self) {
        if let Some(user) = self.named.take() {
            (self.user, self.confirmed) = (Some(user), None);
        }
    }

    /// The user of the client is no longer known.
    pub(crate) fn logged_out(&mut self) {
        (self.user, self.confirmed, self.listing) = (None, None, None);
    }

    /// Lists a connection whose user is known, so that a change of the rules finds it.
    pub(crate) fn list(
        &mut self,
        dual: &Arc<DualRunning>,
        requester: &Requester,
        subscriber: &Arc<Subscriber>,
    ) {
        let Some((login, _)) = &self.user else { return };
        if self.listing.as_ref().is_some_and(|listing| listing.login == *login) {
            return;
        }
        // The one before is dropped first, which removes it.
        self.listing = None;
        let has_moved = Arc::new(AtomicBool::new(false));
        let listed = Listed {
            subscriber: Arc::downgrade(subscriber),
            dialect: requester.dialect.id(),
            revision: requester.revision,
            login: login.clone(),
            upstream: self.upstream.clone(),
            has_moved: has_moved.clone(),
        };
        let connection = subscriber.id;
        self.listing =
            Some(Listing { dual: dual.clone(), connection, login: login.clone(), has_moved });
        dual.list(connection, listed);
    }

    /// Gives the mirror of a client a request that the engine has carried out. `principal` is the
    /// caller afterwards.
    pub(crate) fn mirror(
        &self,
        engine: &Arc<Engine>,
        requester: &Requester,
        (authority, command): (Authority, Arc<Command>),
        principal: Option<Principal>,
        outcome: &Result<Answer, Fault>,
    ) {
        let user = self.named.as_ref().or(self.user.as_ref());
        let (Some(named), Some((login, _))) = (&self.mirror, user) else { return };
        let engine = engine.clone();
        let flows = Box::pin(async move {
            let submission = Submission {
                caller: Some(principal?),
                authority: Authority::Member,
                origin: None,
                address: None,
                command: Command::ListFlows { limit: None, offset: 0, members: true },
            };
            match engine.execute(submission).await.outcome {
                Ok(Answer::Flows(flows)) => Some(flows),
                _ => None,
            }
        });
        named.upstream.mirror(MirroredRequest {
            login: login.clone(),
            dialect: requester.dialect.id(),
            authority,
            command,
            outcome: outcome.clone(),
            flows,
        });
    }
}

/// The login or e-mail address of the account that a request without credentials is about.
fn named_login(command: &Command) -> Option<&str> {
    match command {
        Command::Login { identifier, .. } => Some(identifier.as_str()),
        Command::Register(registration) => {
            registration.login.as_deref().or(registration.email.as_deref())
        }
        Command::DeleteAccount { login, .. } => Some(login),
        Command::Recover { identifier } => {
            let (RecoveryIdentifier::Email(text) | RecoveryIdentifier::Login(text)) = identifier;
            Some(text)
        }
        _ => None,
    }
}

/// The token among credentials.
pub(crate) fn token_of(credentials: &Credentials) -> Option<&Secret> {
    match credentials {
        Credentials::Token(token) | Credentials::TokenOf(_, token) | Credentials::Bearer(token) => {
            Some(token)
        }
        Credentials::Nothing | Credentials::Connection => None,
    }
}
