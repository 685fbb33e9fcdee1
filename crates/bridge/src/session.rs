//! The logins of a bridge.

use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use tolmach_domain::{
    Credentials, FlowId, Identity, MessageId, Secret, SessionId, Timestamp, User,
};
use tolmach_engine::Principal;

/// The flows of one login of which it is remembered up to where they were read.
const MAX_READ_FLOWS: usize = 1_024;

/// One login at the upstream, as the bridge keeps it: connections and HTTP requests with its tokens
/// share it.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    account: Mutex<Account>,
}

/// The account of a [`Session`], as far as it is known.
pub(crate) struct Account {
    /// The user. Of the fields, those that the upstream has told; a placeholder for the id where it
    /// tells none.
    pub(crate) user: User,
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
}

impl Account {
    /// An account of which only the user is known, or a placeholder of it.
    pub(crate) fn new(user: User) -> Self {
        Self {
            user,
            login: None,
            password: None,
            access: None,
            refresh: None,
            handed_out: Vec::new(),
            read: HashMap::new(),
        }
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
        Self { id, account: Mutex::new(account) }
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
    pub(crate) fn credentials(&self) -> Vec<Credentials> {
        let account = self.account();
        match &account.access {
            Some(token) => vec![
                Credentials::TokenOf(account.user.id, token.clone()),
                Credentials::Bearer(token.clone()),
                Credentials::Token(token.clone()),
            ],
            None => vec![Credentials::Connection],
        }
    }
}
