//! The logins of a bridge.

use crate::sync::lock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use tolmach_domain::{
    Credentials, Fault, FlowId, Identity, MessageId, Secret, SessionId, Timestamp, User, UserId,
    UserSummary,
};
use tolmach_engine::Principal;

/// The flows of one login of which it is remembered up to where they were read.
const MAX_READ_FLOWS: usize = 1_024;

/// One login at the upstream, as the bridge keeps it: connections and HTTP requests with its tokens
/// share it.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    account: Mutex<Account>,
    /// True once it was logged out.
    is_ended: AtomicBool,
    /// Held while it is renewed: a refresh token can be used once.
    pub(crate) renewal: tokio::sync::Mutex<()>,
}

/// The account of a [`Session`], as far as it is known.
pub(crate) struct Account {
    /// The user. Of the fields, those that the upstream has told; a placeholder for the id where it
    /// tells none.
    pub(crate) user: User,
    /// The user whom the client's token came with, where the upstream has not told whose it is.
    pub(crate) claimed: Option<UserId>,
    /// The name that the client logged in with; `None` for a token that another one handed out.
    pub(crate) login: Option<String>,
    /// The password, to log in again after the upstream was lost.
    pub(crate) password: Option<Secret>,
    /// The upstream's token.
    pub(crate) access: Option<Secret>,
    /// The upstream's refresh token.
    pub(crate) refresh: Option<Secret>,
    /// The tokens that clients of this login have.
    pub(crate) handed_out: Vec<Secret>,
    /// The last message that was read of each flow, where the upstream has no read marks.
    pub(crate) read: HashMap<FlowId, MessageId>,
    /// The summary of the user, as it was made last.
    pub(crate) summary: Option<UserSummary>,
}

impl Account {
    /// An account of which only the user is known, or a placeholder of it.
    pub(crate) fn new(user: User) -> Self {
        Self {
            user,
            claimed: None,
            login: None,
            password: None,
            access: None,
            refresh: None,
            handed_out: Vec::new(),
            read: HashMap::new(),
            summary: None,
        }
    }

    /// The summary of the user, which is made again only after the user has changed.
    pub(crate) fn summary(&mut self) -> UserSummary {
        let user = &self.user;
        let is_of_user = |summary: &&UserSummary| {
            summary.id == user.id
                && *summary.login == *user.login
                && *summary.username == *user.username
                && *summary.name == *user.name
        };
        if let Some(summary) = self.summary.as_ref().filter(is_of_user) {
            return summary.clone();
        }
        self.summary.insert(user.summary()).clone()
    }

    /// The upstream has told whose credentials they are. Refused if they claimed to be of another.
    pub(crate) fn prove(&mut self, user: User) -> Result<(), Fault> {
        if self.claimed.is_some_and(|claimed| claimed != user.id) {
            return Err(Fault::Unauthenticated);
        }
        (self.user, self.claimed) = (user, None);
        Ok(())
    }

    /// The last message of a flow that was read.
    pub(crate) fn last_read(&self, flow: FlowId) -> Option<MessageId> {
        self.read.get(&flow).copied()
    }

    /// Notes the last message of a flow that was read. Of too many flows all are forgotten, and
    /// their messages are read once more.
    pub(crate) fn note_read(&mut self, flow: FlowId, message: MessageId) {
        if self.read.len() >= MAX_READ_FLOWS && !self.read.contains_key(&flow) {
            self.read.clear();
        }
        self.read.insert(flow, message);
    }
}

impl Session {
    pub(crate) fn new(id: SessionId, account: Account) -> Self {
        let (account, is_ended) = (Mutex::new(account), AtomicBool::new(false));
        Self { id, account, is_ended, renewal: tokio::sync::Mutex::default() }
    }

    /// True once it was logged out: nothing is requested or received as it any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// Ends it, and forgets what it could log in with. Returns the tokens that its clients have.
    pub(crate) fn end(&self) -> Vec<Secret> {
        let mut account = self.account();
        self.is_ended.store(true, Ordering::Release);
        (account.password, account.access, account.refresh) = (None, None, None);
        std::mem::take(&mut account.handed_out)
    }

    /// Puts the tokens of a renewal in the place of its own. Returns false if it has ended.
    pub(crate) fn renewed(&self, access: Option<Secret>, refresh: Option<Secret>) -> bool {
        let mut account = self.account();
        let goes_on = !self.is_ended();
        if goes_on {
            (account.access, account.refresh) = (access, refresh);
        }
        goes_on
    }

    /// True if this user may be who its credentials are of: the one whom they claimed to be of
    /// where the upstream has told nobody.
    pub(crate) fn is_of(&self, user: UserId) -> bool {
        let account = self.account();
        account.claimed.unwrap_or(account.user.id) == user
    }

    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    /// The caller that its credentials prove. They expire only at the upstream.
    pub(crate) fn principal(&self) -> Principal {
        let identity = Identity { user: self.account().user.id, session: Some(self.id) };
        Principal { identity, expires_at: Timestamp::from_micros(i64::MAX) }
    }

    /// The forms in which a wire may carry its credentials, in the order in which they are tried.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = Credentials> {
        (0..3).map_while(|form| {
            let account = self.account();
            match (account.access.clone(), form) {
                (None, 0) => Some(Credentials::Connection),
                (None, _) => None,
                (Some(token), 0) => {
                    let user = account.claimed.unwrap_or(account.user.id);
                    Some(Credentials::TokenOf(user, token))
                }
                (Some(token), 1) => Some(Credentials::Bearer(token)),
                (Some(token), _) => Some(Credentials::Token(token)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_whom_a_token_claims_to_be_of_is_nobody_until_the_upstream_tells_it() {
        let [placeholder, claimed, other] = [9, 1, 2].map(|number| UserId::new(number).unwrap());
        let account = |claimed| Account {
            claimed: Some(claimed),
            ..Account::new(User::named(placeholder, ""))
        };
        let session = Session::new(SessionId::new(1).unwrap(), account(claimed));
        assert_eq!(session.principal().identity.user, placeholder);
        assert!(session.is_of(claimed) && !session.is_of(other) && !session.is_of(placeholder));
        let refused = session.account().prove(User::named(other, "eve"));
        assert_eq!(refused, Err(Fault::Unauthenticated));
        assert_eq!(session.principal().identity.user, placeholder);
        assert_eq!(session.account().prove(User::named(claimed, "ann")), Ok(()));
        assert!(session.principal().identity.user == claimed && session.is_of(claimed));
    }
}
