//! An upstream for tests.

use crate::upstream::{
    EventSink, MirrorSlot, MirroredRequest, Upstream, UpstreamClient, UpstreamConnection,
    UpstreamOutcome,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tolmach_dialect::{Request, Subscription};
use tolmach_domain::{
    Answer, Command, Credentials, Fault, Grant, Identity, SessionId, Timestamp, Tokens, UserId,
};
use tolmach_engine::Principal;

/// An upstream that logs everybody in as one user, each time with another session from 7 on, and
/// notes what it is asked.
#[derive(Default, Clone)]
pub(crate) struct ToyUpstream(Arc<Mutex<Notes>>);

#[derive(Default)]
pub(crate) struct Notes {
    /// The names of the commands that it was asked to carry out.
    pub(crate) requests: Vec<&'static str>,
    /// The copies that it has got: the user and the name of the command.
    pub(crate) copies: Vec<String>,
    /// The tokens that it was asked for.
    pub(crate) proofs: usize,
    pub(crate) subscriptions: Vec<(Option<SessionId>, Subscription)>,
    pub(crate) events: Option<EventSink>,
    /// The login of the user of every token. Without one, all tokens are refused.
    pub(crate) login_of_tokens: Option<String>,
    /// True if it does not answer proofs of tokens.
    pub(crate) is_gone: bool,
    pub(crate) refuses_logins: bool,
    logins: HashMap<SessionId, String>,
}

impl Notes {
    fn log_in(&mut self, login: &str) -> Principal {
        let number = 7 + i64::try_from(self.logins.len()).unwrap();
        let session = SessionId::new(number).unwrap();
        self.logins.insert(session, login.to_owned());
        let identity = Identity { user: UserId::new(70).unwrap(), session: Some(session) };
        Principal { identity, expires_at: Timestamp::default() }
    }
}

impl ToyUpstream {
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap()
    }

    pub(crate) fn take_requests(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.notes().requests)
    }

    pub(crate) fn take_copies(&self) -> Vec<String> {
        std::mem::take(&mut self.notes().copies)
    }

    pub(crate) fn take_proofs(&self) -> usize {
        std::mem::take(&mut self.notes().proofs)
    }
}

impl Upstream for ToyUpstream {
    fn open(&self, client: UpstreamClient) -> Box<dyn UpstreamConnection> {
        self.notes().events = client.events;
        Box::new(self.clone())
    }

    fn last_error(&self) -> Option<String> {
        None
    }

    fn login(&self, session: SessionId) -> Option<String> {
        self.notes().logins.get(&session).cloned()
    }

    fn begin_mirror(&self, _: &Command) -> Option<Box<dyn MirrorSlot>> {
        Some(Box::new(self.clone()))
    }
}

impl MirrorSlot for ToyUpstream {
    fn fill(self: Box<Self>, request: MirroredRequest, _: &Result<Answer, Fault>) {
        let copy = format!("{} {}", request.login, request.command.name());
        self.notes().copies.push(copy);
    }
}

impl UpstreamConnection for ToyUpstream {
    fn authenticate(&mut self, _: Credentials) -> BoxFuture<'static, Result<Principal, Fault>> {
        let mut notes = self.notes();
        notes.proofs += 1;
        let proven = match notes.login_of_tokens.clone() {
            _ if notes.is_gone => Err(Fault::Unavailable),
            Some(login) => Ok(notes.log_in(&login)),
            None => Err(Fault::Unauthenticated),
        };
        ready(proven).boxed()
    }

    fn submit(
        &mut self,
        caller: Option<Principal>,
        request: Request,
    ) -> BoxFuture<'static, UpstreamOutcome> {
        let mut notes = self.notes();
        notes.requests.push(request.command.name());
        let granted = Grant { user: None, tokens: Tokens::Connection };
        let (principal, outcome) = match &request.command {
            Command::Login { .. } if notes.refuses_logins => {
                (caller, Err(Fault::WrongCredentials { login_exists: false }))
            }
            Command::Login { identifier, .. } => {
                (Some(notes.log_in(identifier.as_str())), Ok(Answer::Granted(Box::new(granted))))
            }
            Command::Send(_) => (caller, Ok(Answer::Sent { message: None, repeated: false })),
            Command::ListFlows { .. } => (caller, Ok(Answer::Flows(Vec::new()))),
            Command::Recover { .. } => (caller, Ok(Answer::RecoveryAccepted)),
            _ => (caller, Err(Fault::Unavailable)),
        };
        ready(UpstreamOutcome { principal, outcome }).boxed()
    }

    fn subscribe(&mut self, caller: Option<SessionId>, subscription: Subscription) {
        self.notes().subscriptions.push((caller, subscription));
    }
}
