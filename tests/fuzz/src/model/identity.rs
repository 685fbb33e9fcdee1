//! The identity of one connection, as the server keeps it: see `crates/server/src/identity.rs`.

use tolmach_domain::{Answer, Credentials, Fault, Identity, SessionId, Tokens, UserId};
use tolmach_engine::Principal;

/// The identity of one connection.
#[derive(Default)]
pub(super) struct ConnectionIdentity {
    /// The meaning of [`Credentials::Connection`].
    pub(super) bound: Option<Principal>,
    /// The owner of the credentials that were proven last.
    pub(super) current: Option<Principal>,
    announced: Option<Identity>,
}

impl ConnectionIdentity {
    /// The identity to announce, if it has changed since the last call.
    pub(super) fn take_change(&mut self) -> Option<Option<Identity>> {
        let current = self.current.map(|principal| principal.identity);
        (std::mem::replace(&mut self.announced, current) != current).then_some(current)
    }

    /// The user whose events concern the connection.
    pub(super) fn owner(&self) -> Option<UserId> {
        self.current.or(self.bound).map(|principal| principal.identity.user)
    }

    /// A request with these credentials was carried out.
    pub(super) fn completed(
        &mut self,
        credentials: &Credentials,
        principal: Option<Principal>,
        outcome: &Result<Answer, Fault>,
    ) {
        match outcome {
            Ok(Answer::Granted(grant)) => {
                if grant.tokens == Tokens::Connection {
                    self.bound = principal;
                }
                self.current = principal.or(self.current);
            }
            Ok(Answer::LoggedOut) => {
                let ended = self.current.map(|principal| principal.identity);
                self.bound.take_if(|bound| Some(bound.identity) == ended);
                self.current = None;
            }
            Err(Fault::Unauthenticated) if *credentials == Credentials::Connection => {
                self.current = None;
            }
            _ => {}
        }
    }

    /// Sessions of a user ended. Returns whether the owner's was among them.
    pub(super) fn end_sessions(&mut self, user: UserId, session: Option<SessionId>) -> bool {
        let ended = |principal: &mut Principal| {
            let identity = principal.identity;
            identity.user == user && (session.is_none() || identity.session == session)
        };
        let owner_ended = self.current.or(self.bound).is_some_and(|mut owner| ended(&mut owner));
        self.bound.take_if(ended);
        self.current.take_if(ended);
        owner_ended
    }
}
