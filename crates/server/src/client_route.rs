//! The server of one client, where the engine is not the only one.
//!
//! It is chosen by the login that a request names or a token proves, once the request is decoded
//! and before it is carried out: nothing has to be kept of frames. A login that a request names is
//! no identity until the request is granted: requests are counted and mirrored for the user who was
//! proven.

use crate::dual::{DualRunning, Listed, NamedUpstream};
use crate::hub::Subscriber;
use crate::metrics;
use crate::request_copy::{RequestCopy, proves_its_user};
use crate::served_dialect::ServedDialect;
use crate::state::ServerState;
use crate::submission::{Completed, Requester, UsersHere};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tolmach_dialect::Request;
use tolmach_domain::{
    Answer, Command, ConnectionId, Credentials, Fault, Identity, RecoveryIdentifier, Secret, UserId,
};
use tolmach_engine::{HERE, Principal, RoutedClient, RuledUser};

/// A user, as routes know one.
struct RoutedUser {
    /// The login, in lower case.
    login: Arc<str>,
    /// The user of this world with that login.
    here: Option<UserId>,
    /// The upstream that gets copies of the user's requests.
    mirror: Option<Arc<NamedUpstream>>,
}

/// The server that serves one client.
#[derive(Default)]
pub(crate) struct ClientRoute {
    /// `None` for the engine.
    upstream: Option<Arc<NamedUpstream>>,
    /// The user whom the last request names, by the login of an account. It decides the server, and
    /// is no identity until the request is granted.
    named: Option<RoutedUser>,
    /// The user who was proven last.
    user: Option<RoutedUser>,
    /// True if the token that was looked at last is valid, and another server serves its user.
    is_served_elsewhere: bool,
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

    /// True if another server serves the user of this connection now.
    pub(crate) fn has_moved(&self) -> bool {
        let listing = self.listing.as_ref();
        self.must_end || listing.is_some_and(|listing| listing.has_moved.load(Ordering::Acquire))
    }

    /// The users of this world with the logins of the client's users, before and after the request
    /// that is being carried out.
    pub(crate) fn users_here(&self) -> UsersHere {
        let here = |user: Option<&RoutedUser>| user.and_then(|user| user.here);
        let granted = self.named.as_ref().or(self.user.as_ref());
        UsersHere { proven: here(self.user.as_ref()), granted: here(granted) }
    }

    /// The user of this world for one whom the present server has proven.
    pub(crate) fn user_of_world(&self, proven: UserId) -> Option<UserId> {
        if self.upstream.is_some() { self.users_here().proven } else { Some(proven) }
    }

    /// The user of a granted login to an upstream, as rules about users know one. `None` if the
    /// engine serves the client.
    pub(crate) fn granted_elsewhere(&self) -> Option<RuledUser> {
        self.upstream.as_ref()?;
        Some(ruled(self.users_here().granted))
    }

    /// A user whom the present server knows, as rules about users know one.
    pub(crate) fn ruled_user(&self, user: RuledUser) -> RuledUser {
        match user {
            RuledUser::Known(_) if self.upstream.is_some() => ruled(self.users_here().proven),
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
                Some(present.without_external_ids())
            }
            Some(_) => None,
            None => self.here.take(),
        }
    }

    /// True for the token of a client of the engine whose user is not known yet: if the engine does
    /// not know the token either, an upstream may.
    pub(crate) fn may_be_of_upstream(&self, credentials: &Credentials) -> bool {
        self.user.is_none() && self.upstream.is_none() && token_of(credentials).is_some()
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
            let (login, here) = dual.account(name).await?;
            let rules = dual.rules.current();
            let (dialect, revision) = (requester.dialect.id(), requester.revision);
            let client = RoutedClient { dialect, revision, login: &login };
            let server = dual.server_of(&rules, &client)?;
            let mirror = dual.mirror_of(&rules, &client).filter(|_| server.is_none());
            if is_proven && !self.is_at(server.as_ref()) {
                // The events of the user before would have to end first.
                self.must_end = true;
                return Err(Fault::Unavailable);
            }
            if matches!(request.command, Command::Login { .. } | Command::Register(_)) {
                metrics::route_login(server.as_ref().map_or(HERE, |named| &named.name));
            }
            self.named = Some(RoutedUser { login, here, mirror });
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
        let Some(user) = &mut self.user else {
            // A token of another issuer, whose user has no account yet, has no route. Of a token
            // whose user the upstream does not tell, no route can be found.
            let is_here = self.upstream.is_none();
            return if is_here { Ok(()) } else { Err(Fault::Unauthenticated) };
        };
        let rules = dual.rules.current();
        let (dialect, revision) = (requester.dialect.id(), requester.revision);
        let client = RoutedClient { dialect, revision, login: &user.login };
        let is_served =
            rules.upstream_of(&client) == self.upstream.as_ref().map(|named| named.name.as_str());
        if !is_served {
            (self.user, self.confirmed, self.is_served_elsewhere) = (None, None, true);
            self.must_end = self.listing.is_some();
            return Err(if self.must_end { Fault::Unavailable } else { Fault::Unauthenticated });
        }
        user.mirror = dual.mirror_of(&rules, &client).filter(|_| self.upstream.is_none());
        self.confirmed = Some(key);
        Ok(())
    }

    /// The user whom the present server has proven.
    async fn user_of(
        &self,
        dual: &DualRunning,
        principal: &Principal,
    ) -> Result<Option<RoutedUser>, Fault> {
        let Identity { user, session } = principal.identity;
        let (login, here) = match &self.upstream {
            None => match dual.engine.login(user).await? {
                Some(login) => (login.to_lowercase().into(), Some(user)),
                None => return Ok(None),
            },
            Some(named) => match session.and_then(|session| named.upstream.login(session)) {
                Some(login) => dual.account(&login).await?,
                None => return Ok(None),
            },
        };
        Ok(Some(RoutedUser { login, here, mirror: None }))
    }

    /// The copy of a request that is about to be carried out, for the mirror of its user: the
    /// `caller` who was proven for it, or the one whom it proves itself. `None` if there is no such
    /// user, no mirror, or no room.
    pub(crate) fn copy(
        &self,
        caller: &Result<Option<Principal>, Fault>,
        request: &Request,
    ) -> Option<Box<RequestCopy>> {
        let user = match caller {
            Ok(_) if proves_its_user(&request.command) => self.named.as_ref(),
            Ok(Some(_)) => self.user.as_ref(),
            Ok(None) | Err(_) => None,
        };
        let RoutedUser { login, mirror, .. } = user?;
        RequestCopy::new(&*mirror.as_ref()?.upstream, login, request)
    }

    /// Follows a request that was carried out: the user whom a granted login names is the one who
    /// was proven last.
    pub(crate) fn completed(&mut self, completed: &Completed) {
        if let (Ok(Answer::Granted(_)), Some(_)) =
            (&completed.response.outcome, completed.principal)
            && let Some(user) = self.named.take()
        {
            (self.user, self.confirmed) = (Some(user), None);
        }
    }

    /// True unless the user of the client is known to be another one.
    pub(crate) fn may_be_of(&self, owner: Identity) -> bool {
        self.confirmed.is_none_or(|(_, confirmed)| confirmed == owner)
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
        let Some(RoutedUser { login, .. }) = &self.user else { return };
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
}

/// A user as rules about users know one.
fn ruled(user: Option<UserId>) -> RuledUser {
    user.map_or(RuledUser::Unknown, RuledUser::Known)
}

/// The credentials of one request, to be proven at one server or another.
pub(crate) trait Proof {
    /// The route of the client.
    fn route(&mut self) -> &mut ClientRoute;

    /// Makes this the server of the client; `None` is the engine.
    fn enter(&mut self, upstream: Option<&Arc<NamedUpstream>>);

    /// Proves them at the server of the client.
    fn prove(&mut self) -> impl Future<Output = Result<Option<Principal>, Fault>> + Send;
}

/// Proves a token at the engine and, if the engine does not know it, at the upstreams that routes
/// lead to: one of them may have given it out by way of another node, or directly. If none knows
/// it, the engine's refusal stands, but [`Fault::Unavailable`] if one of them could not be asked.
pub(crate) async fn prove_anywhere(
    state: &ServerState,
    dual: &DualRunning,
    address: IpAddr,
    token: &mut (impl Proof + Send),
) -> Result<Option<Principal>, Fault> {
    token.route().is_served_elsewhere = false;
    let proven = token.prove().await;
    let upstreams = dual.in_use();
    let is_refused = matches!(proven, Err(Fault::Unauthenticated));
    if !is_refused || token.route().is_served_elsewhere || upstreams.is_empty() {
        return proven;
    }
    let _turn = state.upstream_turn(address).await?;
    let mut refusal = Fault::Unauthenticated;
    for named in &upstreams {
        token.enter(Some(named));
        match token.prove().await {
            Ok(principal) => return Ok(principal),
            Err(Fault::Unauthenticated) => {}
            Err(_) => refusal = Fault::Unavailable,
        }
    }
    token.enter(None);
    Err(refusal)
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
