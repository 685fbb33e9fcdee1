//! The way of requests into the ledger.

use super::table::{ClientUse, CountedRequest};
use super::writer::Ledger;
use crate::sync::lock;
use std::sync::{Arc, Mutex};
use tolmach_domain::UserId;

/// The way of the requests of one requester into the ledger.
pub(crate) struct Usage {
    /// `None` if requests are not counted.
    ledger: Option<Arc<Ledger>>,
    /// The user and the entry of the last request, which the next one mostly has too.
    last: Mutex<Option<(Option<UserId>, Arc<ClientUse>)>>,
}

impl Usage {
    /// The way into this ledger.
    pub(crate) fn new(ledger: Option<Arc<Ledger>>) -> Self {
        Self { ledger, last: Mutex::default() }
    }

    /// The way into the same ledger, for another revision.
    pub(crate) fn without_entry(&self) -> Self {
        Self::new(self.ledger.clone())
    }

    /// True if there is a ledger.
    pub(crate) fn is_counted(&self) -> bool {
        self.ledger.is_some()
    }

    /// Counts a request, without an allocation if its like was counted since the last write.
    pub(crate) fn count(&self, request: &CountedRequest<'_>) {
        let Some(ledger) = &self.ledger else { return };
        let CountedRequest { user, operation, now, .. } = *request;
        // Only the tasks of one connection take it.
        let mut last = lock(&self.last);
        if let Some((of, client)) = &*last
            && *of == user
            && client.count(operation, now)
        {
            return;
        }
        *last = ledger.count(request).map(|client| (user, client));
    }
}
