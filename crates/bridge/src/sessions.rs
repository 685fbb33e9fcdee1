//! The table of logins, by their tokens and numbers.

use crate::caches::of_latest;
use crate::session::{Account, Session};
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tolmach_domain::{Secret, SessionId};

/// The bytes of randomness in a token of the bridge's own.
const TOKEN_BYTES: usize = 32;

/// The use of a token that a client has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// It proves who makes a request.
    Access,
    /// It is exchanged for new tokens, once.
    Refresh,
}

/// The logins of a bridge. The ones that were not used for longest make room for new ones; their
/// clients log in again.
pub(crate) struct Sessions {
    by_token: Cache<Secret, (TokenKind, Arc<Session>)>,
    by_id: Cache<SessionId, Arc<Session>>,
    next: AtomicI64,
}

impl Sessions {
    /// A table of at most `max` logins, which are forgotten when they were idle for so long.
    pub(crate) fn new(max: u64, idle: Duration) -> Self {
        // A login has up to two tokens.
        let by_token = of_latest(max.saturating_mul(2)).time_to_idle(idle);
        let by_id = of_latest(max).time_to_idle(idle);
        Self { by_token: by_token.build(), by_id: by_id.build(), next: AtomicI64::new(1) }
    }

    /// A new login.
    pub(crate) fn insert(&self, account: Account) -> Arc<Session> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = SessionId::new(number).expect("fewer than 2^53 logins are counted from one");
        let session = Arc::new(Session::new(id, account));
        self.by_id.insert(id, session.clone());
        session
    }

    /// Notes that a client of a login has this token.
    pub(crate) fn hand_out(&self, session: &Arc<Session>, token: Secret, kind: TokenKind) {
        session.account().handed_out.push(token.clone());
        self.by_token.insert(token, (kind, session.clone()));
    }

    /// The login with this number.
    pub(crate) fn by_id(&self, id: SessionId) -> Option<Arc<Session>> {
        self.by_id.get(&id)
    }

    /// The login whose clients have this token, and the use of the token.
    pub(crate) fn by_token(&self, token: &Secret) -> Option<(TokenKind, Arc<Session>)> {
        let (kind, session) = self.by_token.get(token)?;
        // Used, so that it is not the next to be forgotten.
        self.by_id.get(&session.id).map(|session| (kind, session))
    }

    /// Takes all tokens of a login's clients back. Returns false if this one was not among them.
    pub(crate) fn take_back(&self, session: &Session, token: &Secret) -> bool {
        let taken = std::mem::take(&mut session.account().handed_out);
        taken.iter().for_each(|token| self.by_token.invalidate(token));
        taken.contains(token)
    }

    /// Ends a login for all that have it.
    pub(crate) fn end(&self, session: &Session) {
        for token in session.end() {
            self.by_token.invalidate(&token);
        }
        self.by_id.invalidate(&session.id);
    }
}

/// A token that cannot be guessed.
pub(crate) fn new_token(fill: impl Fn(&mut [u8])) -> Secret {
    let mut bytes = [0; TOKEN_BYTES];
    fill(&mut bytes);
    Secret::new(bytes.map(|byte| format!("{byte:02x}")).concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{User, UserId};

    fn account(login: &str) -> Account {
        Account::new(User::named(UserId::new(1).unwrap(), login))
    }

    #[test]
    fn a_login_is_found_by_its_tokens_until_it_ends() {
        let sessions = Sessions::new(10, Duration::from_secs(3600));
        let session = sessions.insert(account("ann"));
        let [access, refresh] = ["a", "b"].map(Secret::new);
        let hand_out = |token: &Secret, kind| {
            sessions.hand_out(&session, token.clone(), kind);
            let found = sessions.by_token(token).map(|(kind, found)| (kind, found.id));
            assert_eq!(found, Some((kind, session.id)));
        };
        hand_out(&access, TokenKind::Access);
        hand_out(&refresh, TokenKind::Refresh);
        assert!(sessions.take_back(&session, &refresh));
        assert!(!sessions.take_back(&session, &refresh), "a refresh token is used once");
        assert!(sessions.by_token(&access).is_none() && sessions.by_token(&refresh).is_none());
        hand_out(&access, TokenKind::Access);
        sessions.end(&session);
        assert!(sessions.by_token(&access).is_none() && sessions.by_id(session.id).is_none());
    }

    #[test]
    fn a_login_that_has_ended_cannot_be_renewed_by_those_that_still_have_it() {
        let sessions = Sessions::new(10, Duration::from_secs(3600));
        let [password, access] = ["p", "a"].map(|text| Some(Secret::new(text)));
        let account = Account { password, access: access.clone(), ..account("ann") };
        let session = sessions.insert(account);
        assert!(session.renewed(access.clone(), None));
        sessions.end(&session);
        assert!(session.is_ended() && !session.renewed(access, None));
        let account = session.account();
        assert!(account.password.is_none() && account.access.is_none());
    }

    #[test]
    fn a_new_login_takes_the_place_of_the_one_that_was_not_used_for_longest() {
        let sessions = Sessions::new(2, Duration::from_secs(3600));
        let log_in = |name: &str| {
            let session = sessions.insert(account(name));
            sessions.hand_out(&session, Secret::new(name), TokenKind::Access);
            sessions.by_id.run_pending_tasks();
        };
        let is_known = |name: &str| sessions.by_token(&Secret::new(name)).is_some();
        ["ann", "bob"].into_iter().for_each(log_in);
        for _ in 0..20 {
            assert!(is_known("bob") && is_known("ann"));
        }
        log_in("eve");
        assert!(is_known("eve") && is_known("ann") && !is_known("bob"));
    }

    #[test]
    fn tokens_differ_and_have_256_bits() {
        let fill = |start: u8| move |bytes: &mut [u8]| bytes.fill(start);
        let [one, other] = [1, 2].map(|start| new_token(fill(start)));
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 2 * TOKEN_BYTES);
    }
}
