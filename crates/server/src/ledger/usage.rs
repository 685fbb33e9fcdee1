//! The way of requests into the ledger.

use super::table::{ClientUse, CountedRequest};
use super::writer::Ledger;
use crate::sync::lock;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tolmach_dialect::Revision;
use tolmach_domain::UserId;

/// The way of the requests of one connection, or of one HTTP request, into the ledger.
#[derive(Clone)]
pub(crate) enum Usage {
    /// There is no ledger.
    Off,
    /// Of an HTTP request.
    Request(Arc<Ledger>),
    /// Of a connection.
    Connection(Arc<ConnectionUsage>),
}

/// The way of the requests of one connection into the ledger.
pub(crate) struct ConnectionUsage {
    ledger: Arc<Ledger>,
    /// The entry of the last request, which the next one mostly has too.
    last: Mutex<Option<LastUse>>,
}

struct LastUse {
    user: Option<UserId>,
    address: IpAddr,
    revision: Revision,
    client: Arc<ClientUse>,
}

impl Usage {
    /// The way of an HTTP request.
    pub(crate) fn of_request(ledger: Option<&Arc<Ledger>>) -> Self {
        ledger.map_or(Self::Off, |ledger| Self::Request(ledger.clone()))
    }

    /// The way of a connection.
    pub(crate) fn of_connection(ledger: Option<&Arc<Ledger>>) -> Self {
        let connection = |ledger: &Arc<Ledger>| {
            let connection = ConnectionUsage { ledger: ledger.clone(), last: Mutex::default() };
            Self::Connection(Arc::new(connection))
        };
        ledger.map_or(Self::Off, connection)
    }

    /// True if there is a ledger.
    pub(crate) fn is_counted(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Counts a request, without an allocation if its like was counted since the last write.
    pub(crate) fn count(&self, request: &CountedRequest<'_>) {
        match self {
            Self::Off => {}
            Self::Request(ledger) => drop(ledger.count(request)),
            Self::Connection(connection) => connection.count(request),
        }
    }
}

impl ConnectionUsage {
    fn count(&self, request: &CountedRequest<'_>) {
        let CountedRequest { user, address, revision, operation, now, .. } = *request;
        // Only the tasks of this connection take it.
        let mut last = lock(&self.last);
        if let Some(last) = &*last
            && (last.user, last.address, last.revision) == (user, address, revision)
            && last.client.count(operation, now)
        {
            return;
        }
        let client = self.ledger.count(request);
        *last = client.map(|client| LastUse { user, address, revision, client });
    }
}
