//! The identity of one connection.

use tolmach_domain::{Answer, Credentials, Fault, Identity, SessionId, Tokens, UserId};
use tolmach_engine::Principal;

/// The identity of one connection, as its requests and the ends of sessions change it.
///
/// | what happens | current | bound |
/// |---|---|---|
/// | credentials are proven | their owner | |
/// | the same, at the handshake | their owner | their owner |
/// | a login is granted | the user | the user, if the connection itself is logged in |
/// | a logout is granted | none | none, if it was the same session |
/// | the user's own account is deleted | none | none |
/// | the connection's own credentials are refused | none | |
/// | sessions end or expire | none, if among them | none, if among them |
#[derive(Default)]
pub(crate) struct ConnectionIdentity {
    /// The meaning of [`Credentials::Connection`].
    bound: Option<Principal>,
    /// The owner of the credentials that were proven last.
    current: Option<Principal>,
    /// The identity that the session knows.
    announced: Option<Identity>,
}

impl ConnectionIdentity {
    /// The meaning of [`Credentials::Connection`].
    pub(crate) fn bound(&self) -> Option<&Principal> {
        self.bound.as_ref()
    }

    /// The identity of the connection.
    pub(crate) fn current(&self) -> Option<Identity> {
        self.current.map(|principal| principal.identity)
    }

    /// The identity to announce to the session, if it has changed since the last call.
    pub(crate) fn take_change(&mut self) -> Option<Option<Identity>> {
        let current = self.current();
        (std::mem::replace(&mut self.announced, current) != current).then_some(current)
    }

    /// The principal whose sessions' end concerns the connection. A connection whose own
    /// credentials were refused still waits for that.
    pub(crate) fn owner(&self) -> Option<Principal> {
        self.current.or(self.bound)
    }

    /// Credentials were proven.
    pub(crate) fn proven(&mut self, principal: Principal) {
        self.current = Some(principal);
    }

    /// Credentials were proven at the handshake: the connection is theirs.
    pub(crate) fn bind(&mut self, principal: Principal) {
        self.bound = Some(principal);
    }

    /// A request with these credentials was carried out. `principal` is the caller afterwards.
    pub(crate) fn completed(
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
                let ended = self.current();
                self.bound.take_if(|bound| Some(bound.identity) == ended);
                self.current = None;
            }
            Ok(Answer::AccountDeleted { user }) => {
                for principal in [&mut self.bound, &mut self.current] {
                    principal.take_if(|principal| principal.identity.user == *user);
                }
            }
            Err(Fault::Unauthenticated) if *credentials == Credentials::Connection => {
                self.current = None;
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Sessions of a user ended: one of them, or all. Returns whether the owner's was among them.
    pub(crate) fn end_sessions(&mut self, user: UserId, session: Option<SessionId>) -> bool {
        let ended = |principal: &mut Principal| {
            let identity = principal.identity;
            identity.user == user && (session.is_none() || identity.session == session)
        };
        let owner_ended = self.owner().is_some_and(|mut owner| ended(&mut owner));
        self.bound.take_if(ended);
        self.current.take_if(ended);
        owner_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{Grant, Timestamp};

    fn principal(user: i64, session: i64) -> Principal {
        let identity =
            Identity { user: UserId::new(user).unwrap(), session: SessionId::new(session).ok() };
        Principal { identity, expires_at: Timestamp::from_micros(1) }
    }

    fn identity(bound: Option<Principal>, current: Option<Principal>) -> ConnectionIdentity {
        ConnectionIdentity { bound, current, announced: None }
    }

    fn granted(tokens: Tokens) -> Result<Answer, Fault> {
        Ok(Answer::Granted(Box::new(Grant { user: None, tokens })))
    }

    #[test]
    fn requests_change_the_identity() {
        let (ann, phone, bob) = (principal(1, 1), principal(1, 2), principal(2, 3));
        let deleted = || Ok(Answer::AccountDeleted { user: ann.identity.user });
        let refused = || Err(Fault::Unauthenticated);
        let (own, other) = (Credentials::Connection, Credentials::Nothing);
        let (some, none) = (Some(ann), None);
        for (name, before, credentials, principal, outcome, after) in [
            ("a login", (none, none), &other, some, granted(Tokens::Nothing), (none, some)),
            ("it binds", (none, none), &other, some, granted(Tokens::Connection), (some, some)),
            (
                "another",
                (some, some),
                &other,
                Some(bob),
                granted(Tokens::Nothing),
                (some, Some(bob)),
            ),
            ("without one", (none, some), &other, none, granted(Tokens::Nothing), (none, some)),
            ("a logout", (some, some), &own, none, Ok(Answer::LoggedOut), (none, none)),
            ("of a token", (some, Some(phone)), &other, none, Ok(Answer::LoggedOut), (some, none)),
            ("a deletion", (Some(phone), some), &other, none, deleted(), (none, none)),
            ("of another", (Some(bob), Some(bob)), &other, none, deleted(), (Some(bob), Some(bob))),
            ("refused", (some, some), &own, none, refused(), (some, none)),
            ("refused token", (some, some), &other, none, refused(), (some, some)),
            ("another fault", (some, some), &own, some, Err(Fault::NotOwner), (some, some)),
        ] {
            let mut identity = identity(before.0, before.1);
            identity.completed(credentials, principal, &outcome);
            assert_eq!((identity.bound, identity.current), after, "{name}");
        }
    }

    #[test]
    fn a_change_is_taken_once() {
        let (ann, bob) = (principal(1, 1), principal(2, 2));
        let mut identity = ConnectionIdentity::default();
        assert_eq!(identity.take_change(), None);
        for principal in [ann, bob] {
            identity.proven(principal);
            assert_eq!(identity.take_change(), Some(Some(principal.identity)));
            identity.proven(Principal { expires_at: Timestamp::from_micros(2), ..principal });
            assert_eq!(identity.take_change(), None, "a later expiry is no change");
        }
        assert!(identity.end_sessions(bob.identity.user, None));
        assert_eq!(identity.take_change(), Some(None));
        assert_eq!(identity.take_change(), None);
    }

    #[test]
    fn the_end_of_sessions_concerns_their_owner() {
        let (ann, phone, bob) = (principal(1, 1), principal(1, 2), principal(2, 3));
        let (some, none) = (Some(ann), None);
        for (name, before, ended, concerned, after) in [
            ("one", (some, some), (1, Some(1)), true, (none, none)),
            ("another", (some, some), (1, Some(2)), false, (some, some)),
            ("all", (some, Some(phone)), (1, None), true, (none, none)),
            ("another user's", (some, some), (2, None), false, (some, some)),
            ("the bound one's", (some, Some(bob)), (1, Some(1)), false, (none, Some(bob))),
            ("the current one's", (some, Some(bob)), (2, Some(3)), true, (some, none)),
            ("after a refusal", (some, none), (1, Some(1)), true, (none, none)),
        ] {
            let mut identity = identity(before.0, before.1);
            let (user, session) = (UserId::new(ended.0).unwrap(), ended.1.map(SessionId::new));
            let session = session.map(|session| session.unwrap());
            assert_eq!(identity.end_sessions(user, session), concerned, "{name}");
            assert_eq!((identity.bound, identity.current), after, "{name}");
        }
    }
}
