//! The table of logins, by their tokens and numbers.

use crate::session::{Account, Session};
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tolmach_domain::{Secret, SessionId};

/// The bytes of randomness in a token of the bridge's own.
const TOKEN_BYTES: usize = 32;

/// The logins of a bridge. The ones that were not used for longest make room for new ones; their
/// clients log in again.
pub(crate) struct Sessions {
    by_token: Cache<Secret, Arc<Session>>,
    by_id: Cache<SessionId, Arc<Session>>,
    next: AtomicI64,
}

impl Sessions {
    /// A table of at most `max` logins, which are forgotten when they were idle for so long.
    pub(crate) fn new(max: u64, idle: Duration) -> Self {
        // A login has up to two tokens, and as many again while they are renewed.
        let by_token = Cache::builder().max_capacity(max.saturating_mul(4)).time_to_idle(idle);
        let by_id = Cache::builder().max_capacity(max).time_to_idle(idle);
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
    pub(crate) fn hand_out(&self, session: &Arc<Session>, token: Secret) {
        session.account().handed_out.push(token.clone());
        self.by_token.insert(token, session.clone());
    }

    /// The login with this number.
    pub(crate) fn by_id(&self, id: SessionId) -> Option<Arc<Session>> {
        self.by_id.get(&id)
    }

    /// The login whose clients have this token.
    pub(crate) fn by_token(&self, token: &Secret) -> Option<Arc<Session>> {
        let session = self.by_token.get(token)?;
        // Used, so that it is not the next to be forgotten.
        self.by_id.get(&session.id)
    }

    /// Takes a token from a login.
    pub(crate) fn take_back(&self, session: &Session, token: &Secret) {
        session.account().handed_out.retain(|other| other != token);
        self.by_token.invalidate(token);
    }

    /// Ends a login.
    pub(crate) fn end(&self, session: &Session) {
        for token in std::mem::take(&mut session.account().handed_out) {
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
        for token in [&access, &refresh] {
            sessions.hand_out(&session, token.clone());
            assert_eq!(sessions.by_token(token).map(|found| found.id), Some(session.id));
        }
        sessions.take_back(&session, &refresh);
        assert!(sessions.by_token(&refresh).is_none(), "a refresh token is used once");
        sessions.end(&session);
        assert!(sessions.by_token(&access).is_none() && sessions.by_id(session.id).is_none());
    }

    #[test]
    fn tokens_differ_and_have_256_bits() {
        let fill = |start: u8| move |bytes: &mut [u8]| bytes.fill(start);
        let [one, other] = [1, 2].map(|start| new_token(fill(start)));
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 2 * TOKEN_BYTES);
    }
}
