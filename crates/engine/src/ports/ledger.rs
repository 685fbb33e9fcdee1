//! The ledger: the clients of each dialect and revision, and the operations that they use.

use super::StoreError;
use async_trait::async_trait;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tolmach_domain::{Timestamp, UserId};

/// The new clients of one [party](LedgerClient::party) that a store takes for one day.
pub const LEDGER_CLIENTS_PER_DAY: usize = 64;

/// The agent of the clients that are counted together because there are too many of them.
pub const OTHER_CLIENTS: &str = "(other)";

/// A day in microseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// A day, UTC: whole days since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LedgerDay(pub i64);

impl LedgerDay {
    /// The day of a time.
    pub fn of(time: Timestamp) -> Self {
        Self(time.micros().div_euclid(DAY))
    }

    /// The beginning of the day.
    pub fn start(self) -> Timestamp {
        Timestamp::from_micros(self.0.saturating_mul(DAY))
    }
}

/// A client, as the ledger tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerClient {
    /// The user; `None` for requests without a proven identity.
    pub user: Option<UserId>,
    /// The address, or its network, or nothing.
    pub address: String,
    /// The user agent.
    pub agent: String,
    /// The id of the dialect.
    pub dialect: String,
    /// The name of the revision.
    pub revision: String,
}

impl LedgerClient {
    /// The party that limits are counted for: the user, or else the network of the address.
    pub fn party(&self) -> String {
        match self.user {
            Some(user) => format!("user {user}"),
            None => {
                let network = self.address.parse().map(ledger_network);
                format!("network {}", network.as_deref().unwrap_or(&self.address))
            }
        }
    }

    /// The client that stands for further clients of its party: one for each revision.
    #[must_use]
    pub fn other(&self) -> Self {
        let address = match (self.user, self.address.parse()) {
            (Some(_), _) => String::new(),
            (None, Ok(address)) => ledger_network(address),
            (None, Err(_)) => self.address.clone(),
        };
        Self { address, agent: OTHER_CLIENTS.to_owned(), ..self.clone() }
    }
}

/// The network of an address: of IPv4 the first 24 bits, of IPv6 the first 48.
pub fn ledger_network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            format!("{}/24", Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)))
        }
        IpAddr::V6(address) => {
            format!("{}/48", Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)))
        }
    }
}

/// The requests of one client for one operation on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerUse {
    /// The name of the operation: [`Command::name`](tolmach_domain::Command::name).
    pub operation: String,
    /// The day.
    pub day: LedgerDay,
    /// The number of requests.
    pub requests: u64,
    /// The time of the first request.
    pub first_at: Timestamp,
    /// The time of the last request.
    pub last_at: Timestamp,
}

impl LedgerUse {
    /// Adds requests of the same day and operation.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// Requests to add to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The client.
    pub client: LedgerClient,
    /// Its requests.
    pub used: LedgerUse,
}

/// The number of a client in the ledger of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerClientId(pub i64);

/// A client with what it used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRecord {
    /// Its number.
    pub id: LedgerClientId,
    /// The client.
    pub client: LedgerClient,
    /// The user's login, if there is a user.
    pub login: Option<String>,
    /// The time of its first request, also if that day is no longer kept.
    pub first_at: Timestamp,
    /// The requests since the day that was asked for, ordered by day and operation.
    pub uses: Vec<LedgerUse>,
}

/// A revision of a dialect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerRevision {
    /// The id of the dialect.
    pub dialect: String,
    /// The name of the revision.
    pub revision: String,
}

/// The clients to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerScope {
    /// Those of a revision.
    Revision(LedgerRevision),
    /// Those of a user.
    User(UserId),
}

/// A position in the order of a [`LedgerPage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerPosition {
    /// The last day of the client.
    pub day: LedgerDay,
    /// The client.
    pub id: LedgerClientId,
}

/// The clients to read, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerQuery {
    /// The clients.
    pub scope: LedgerScope,
    /// The first day: clients that sent nothing since are left out.
    pub since: LedgerDay,
    /// The position of the client before; `None` begins.
    pub after: Option<LedgerPosition>,
    /// The largest number of clients.
    pub limit: u32,
}

/// Clients, ordered by the day of their last request: those that stopped first come first.
///
/// A client that sends a request while pages are read may be read twice, with its later day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerPage {
    /// The clients.
    pub records: Vec<LedgerRecord>,
    /// The position of the last one; `None` if there are no further ones.
    pub next: Option<LedgerPosition>,
}

/// The ledger of a [`Store`](super::Store).
///
/// - Counts of several gateways add up.
/// - A deleted user has no entries: those that come later are left out.
/// - A [party](LedgerClient::party) has at most [`LEDGER_CLIENTS_PER_DAY`] new clients in a day.
///   The requests of further ones count for [`LedgerClient::other`].
/// - Entries are removed [with age](super::Retention::ledger).
#[async_trait]
pub trait LedgerStore: Send + Sync + 'static {
    /// Adds requests, all or none of them.
    async fn add_to_ledger(&self, entries: &[LedgerEntry]) -> Result<(), StoreError>;

    /// The revisions that the ledger has clients of, in order.
    async fn ledger_revisions(&self) -> Result<Vec<LedgerRevision>, StoreError>;

    /// The revisions that the ledger has clients of, in order, each with the number of clients that
    /// sent a request since this day.
    async fn count_ledger_clients(
        &self,
        since: LedgerDay,
    ) -> Result<Vec<(LedgerRevision, u64)>, StoreError>;

    /// A page of clients.
    async fn ledger_page(&self, query: &LedgerQuery) -> Result<LedgerPage, StoreError>;

    /// Removes some of the entries of a user. Returns true if there may be more.
    async fn remove_from_ledger(&self, user: UserId) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(user: Option<i64>, address: &str) -> LedgerClient {
        LedgerClient {
            user: user.map(|id| UserId::new(id).unwrap()),
            address: address.into(),
            agent: "agent".into(),
            dialect: "mode".into(),
            revision: "doc".into(),
        }
    }

    #[test]
    fn a_party_is_a_user_or_a_network() {
        for (user, address, party) in [
            (Some(7), "192.0.2.1", "user 7"),
            (None, "192.0.2.1", "network 192.0.2.0/24"),
            (None, "::ffff:192.0.2.1", "network 192.0.2.0/24"),
            (None, "192.0.2.0/24", "network 192.0.2.0/24"),
            (None, "2001:db8:1:2::3", "network 2001:db8:1::/48"),
            (None, "", "network "),
        ] {
            let client = client(user, address);
            assert_eq!(client.party(), party);
            assert_eq!(client.other().party(), party, "the others of a party are of that party");
            assert_eq!(client.other(), client.other().other());
        }
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let day = LedgerDay(20_000);
        let last = Timestamp::from_micros(day.start().micros() - 1);
        assert_eq!(day.start().rfc3339(), "2024-10-04T00:00:00Z");
        assert_eq!((LedgerDay::of(day.start()), LedgerDay::of(last)), (day, LedgerDay(19_999)));
    }
}
