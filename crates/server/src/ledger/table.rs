//! The requests that were counted since the last write to the store, in bounded memory.

use crate::address_group::address_group;
use crate::options::{LedgerAddresses, LedgerOptions};
use crate::sync::lock;
use std::collections::HashMap;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use tolmach_dialect::Revision;
use tolmach_domain::{Timestamp, UserId};
use tolmach_engine::ports::{
    LedgerClient, LedgerDay, LedgerEntry, LedgerUse, OTHER_CLIENTS, ledger_network,
};

/// The agents of one user at one address that are told apart; further ones count together.
const MAX_AGENTS: usize = 16;

/// The part of the memory that one address may take.
const ADDRESS_SHARE: usize = 2;

/// The part of the memory that one user may take.
const USER_SHARE: usize = 64;

/// The memory of a client without its agent and its operations: its allocation with two reference
/// counts, and its entries in the maps, whose tables are at least half full.
const CLIENT_BYTES: usize = size_of::<ClientUse>()
    + 3 * size_of::<usize>()
    + 2 * (size_of::<(ClientKey, Vec<Arc<ClientUse>>)>()
        + size_of::<(IpAddr, usize)>()
        + size_of::<(UserId, usize)>());

/// The memory of an operation in a vector that is at least half full.
const OPERATION_BYTES: usize = 2 * size_of::<OperationUse>();

/// A request to count.
pub(crate) struct CountedRequest<'a> {
    pub(crate) user: Option<UserId>,
    pub(crate) address: IpAddr,
    /// The user agent; empty if there is none.
    pub(crate) agent: &'a str,
    pub(crate) dialect: &'static str,
    pub(crate) revision: Revision,
    pub(crate) operation: &'static str,
    pub(crate) now: Timestamp,
}

/// The properties that tell clients apart, beside their agents.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ClientKey {
    user: Option<UserId>,
    /// The address as it is kept.
    address: IpAddr,
    dialect: &'static str,
    revision: Revision,
}

/// The requests of one client since the last write.
pub(super) struct ClientUse {
    agent: Box<str>,
    uses: Mutex<Uses>,
}

#[derive(Default)]
struct Uses {
    /// True if they were taken to be written: further requests need another entry.
    taken: bool,
    operations: Vec<OperationUse>,
}

#[derive(Clone, Copy)]
struct OperationUse {
    operation: &'static str,
    day: LedgerDay,
    requests: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

impl ClientUse {
    /// Counts a request for an operation that has requests of that day already. Returns false if it
    /// has none.
    pub(super) fn count(&self, operation: &str, now: Timestamp) -> bool {
        let mut uses = lock(&self.uses);
        !uses.taken && uses.count(operation, now)
    }
}

impl Uses {
    fn count(&mut self, operation: &str, now: Timestamp) -> bool {
        let day = LedgerDay::of(now);
        let mut known = self.operations.iter_mut();
        let Some(used) = known.find(|used| used.day == day && used.operation == operation) else {
            return false;
        };
        used.requests += 1;
        used.first_at = used.first_at.min(now);
        used.last_at = used.last_at.max(now);
        true
    }

    fn begin(&mut self, operation: &'static str, now: Timestamp) {
        let day = LedgerDay::of(now);
        // A client has a few of them.
        self.operations.reserve_exact(1);
        self.operations.push(OperationUse {
            operation,
            day,
            requests: 1,
            first_at: now,
            last_at: now,
        });
    }
}

/// The most bytes of a table.
pub(super) struct Bounds {
    pub(super) total: usize,
    per_address: usize,
    per_user: usize,
}

impl Bounds {
    pub(super) fn new(options: &LedgerOptions) -> Self {
        let total = options.memory_bytes;
        Self { total, per_address: total / ADDRESS_SHARE, per_user: total / USER_SHARE }
    }
}

/// The requests that were counted since the last write to the store.
#[derive(Default)]
pub(super) struct Table {
    clients: HashMap<ClientKey, Vec<Arc<ClientUse>>>,
    /// The bytes of all clients with their operations.
    bytes: usize,
    /// Those of each address; an IPv6 network of 64 bits counts as one.
    addresses: HashMap<IpAddr, usize>,
    /// Those of each user.
    users: HashMap<UserId, usize>,
    /// The requests that found no room, of all clients together. As many as there are revisions and
    /// operations.
    folded: HashMap<(&'static str, Revision), Uses>,
}

/// The result of counting a request.
pub(super) enum Counted {
    /// In the entry of its client.
    InClient(Arc<ClientUse>),
    /// In that of all clients for whom there is no room.
    Folded,
}

impl Table {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts a request.
    pub(super) fn count(
        &mut self,
        bounds: &Bounds,
        addresses: LedgerAddresses,
        request: &CountedRequest<'_>,
    ) -> Counted {
        let CountedRequest { user, address, agent, dialect, revision, operation, now } = *request;
        let key = ClientKey { user, address: kept(addresses, address), dialect, revision };
        let of_key = self.clients.get(&key).map_or(&[][..], Vec::as_slice);
        let with = |agent: &str| of_key.iter().find(|client| *client.agent == *agent).cloned();
        let (agent, known) = match with(agent) {
            None if of_key.len() >= MAX_AGENTS => (OTHER_CLIENTS, with(OTHER_CLIENTS)),
            known => (agent, known),
        };
        if let Some(client) = &known
            && client.count(operation, now)
        {
            return Counted::InClient(client.clone());
        }
        let of_client = if known.is_some() { 0 } else { CLIENT_BYTES + agent.len() };
        if !self.reserve(bounds, user, address, of_client + OPERATION_BYTES) {
            let folded = self.folded.entry((dialect, revision)).or_default();
            if !folded.count(operation, now) {
                folded.begin(operation, now);
            }
            return Counted::Folded;
        }
        let client = known.unwrap_or_else(|| {
            let client = Arc::new(ClientUse { agent: agent.into(), uses: Mutex::default() });
            // Most have one agent.
            let clients = self.clients.entry(key).or_insert_with(|| Vec::with_capacity(1));
            clients.push(client.clone());
            client
        });
        lock(&client.uses).begin(operation, now);
        Counted::InClient(client)
    }

    /// Reserves bytes, unless there would be too many: of the user, of the address or in all.
    fn reserve(
        &mut self,
        bounds: &Bounds,
        user: Option<UserId>,
        address: IpAddr,
        bytes: usize,
    ) -> bool {
        let group = address_group(address);
        let of_address = self.addresses.get(&group).copied().unwrap_or_default() + bytes;
        let of_user = user.and_then(|user| self.users.get(&user)).copied().unwrap_or_default();
        let of_user = of_user + bytes;
        if self.bytes + bytes > bounds.total
            || of_address > bounds.per_address
            || (user.is_some() && of_user > bounds.per_user)
        {
            return false;
        }
        self.bytes += bytes;
        self.addresses.insert(group, of_address);
        if let Some(user) = user {
            self.users.insert(user, of_user);
        }
        true
    }

    /// Turns the table into entries of the store.
    pub(super) fn into_entries(self, addresses: LedgerAddresses) -> Vec<LedgerEntry> {
        let mut entries = Vec::new();
        for (key, clients) in self.clients {
            for client in clients {
                let taken = {
                    let mut uses = lock(&client.uses);
                    uses.taken = true;
                    std::mem::take(&mut uses.operations)
                };
                let address = text(addresses, key.address);
                push(&mut entries, &key, address, &client.agent, taken);
            }
        }
        for ((dialect, revision), uses) in self.folded {
            let address = Ipv4Addr::UNSPECIFIED.into();
            let key = ClientKey { user: None, address, dialect, revision };
            push(&mut entries, &key, String::new(), OTHER_CLIENTS, uses.operations);
        }
        entries
    }
}

fn push(
    entries: &mut Vec<LedgerEntry>,
    key: &ClientKey,
    address: String,
    agent: &str,
    uses: Vec<OperationUse>,
) {
    let client = LedgerClient {
        user: key.user,
        address,
        agent: agent.to_owned(),
        dialect: key.dialect.to_owned(),
        revision: key.revision.to_owned(),
    };
    entries.extend(uses.into_iter().map(|used| {
        let OperationUse { operation, day, requests, first_at, last_at } = used;
        let used = LedgerUse { operation: operation.to_owned(), day, requests, first_at, last_at };
        LedgerEntry { client: client.clone(), used }
    }));
}

/// The address that is kept of one: of a network its first address, and of none the unspecified
/// one.
fn kept(addresses: LedgerAddresses, address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    match (addresses, address) {
        (LedgerAddresses::Full, _) => address,
        (LedgerAddresses::Network, IpAddr::V4(address)) => {
            Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into()
        }
        (LedgerAddresses::Network, IpAddr::V6(address)) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into()
        }
        (LedgerAddresses::None, _) => Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// The text of a kept address in the store.
fn text(addresses: LedgerAddresses, kept: IpAddr) -> String {
    match addresses {
        LedgerAddresses::Full => kept.to_string(),
        LedgerAddresses::Network => ledger_network(kept),
        LedgerAddresses::None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: usize = 256 << 10;

    fn bounds() -> Bounds {
        Bounds::new(&LedgerOptions { memory_bytes: MEMORY, ..LedgerOptions::default() })
    }

    fn request(
        user: Option<i64>,
        address: &str,
        operation: &'static str,
    ) -> CountedRequest<'static> {
        CountedRequest {
            user: user.map(|user| UserId::new(user).unwrap()),
            address: address.parse().unwrap(),
            agent: "",
            dialect: "toy",
            revision: "doc",
            operation,
            now: Timestamp::from_micros(1_000),
        }
    }

    fn count(table: &mut Table, request: &CountedRequest<'_>, agent: &str) -> bool {
        let request = CountedRequest { agent, ..*request };
        let counted = table.count(&bounds(), LedgerAddresses::Full, &request);
        matches!(counted, Counted::InClient(_))
    }

    fn entries(table: Table) -> Vec<(Option<i64>, String, String, u64)> {
        let entries = table.into_entries(LedgerAddresses::Full).into_iter();
        let entry = |LedgerEntry { client, used }| {
            (client.user.map(UserId::get), client.address, client.agent, used.requests)
        };
        let mut entries: Vec<_> = entries.map(entry).collect();
        entries.sort();
        entries
    }

    #[test]
    fn requests_of_a_client_add_up() {
        let mut table = Table::default();
        for operation in ["send", "login", "send"] {
            assert!(count(&mut table, &request(Some(1), "192.0.2.1", operation), "one"));
        }
        assert!(count(&mut table, &request(Some(1), "192.0.2.1", "send"), "two"));
        let (one, two) = ("one".to_owned(), "two".to_owned());
        let address = || "192.0.2.1".to_owned();
        assert_eq!(
            entries(table),
            [
                (Some(1), address(), one.clone(), 1),
                (Some(1), address(), one, 2),
                (Some(1), address(), two, 1)
            ]
        );
    }

    #[test]
    fn a_request_after_its_entry_was_taken_needs_another_one() {
        let mut table = Table::default();
        let send = request(None, "192.0.2.1", "send");
        let counted = table.count(&bounds(), LedgerAddresses::Full, &send);
        let Counted::InClient(client) = counted else { panic!("there is room") };
        assert!(client.count("send", send.now));
        assert!(!client.count("login", send.now), "another operation");
        assert!(!client.count("send", LedgerDay(1).start()), "another day");
        assert_eq!(entries(table), [(None, "192.0.2.1".to_owned(), String::new(), 2)]);
        assert!(!client.count("send", send.now));
    }

    /// The bytes that are left for a user, an address or in all, filled to the last one.
    fn bytes_of_agents(bytes: usize) -> Vec<String> {
        let (least, mut left) = (CLIENT_BYTES + OPERATION_BYTES, bytes);
        let mut agents = Vec::new();
        while left >= 2 * least {
            agents.push(String::new());
            left -= least;
        }
        agents.push("x".repeat(left - least));
        agents
    }

    #[test]
    fn the_bytes_of_a_user_of_an_address_and_of_all_are_bounded() {
        let Bounds { total, per_address, per_user } = bounds();
        for (name, bound) in [("user", per_user), ("address", per_address), ("all", total)] {
            let mut table = Table::default();
            let of = |index: usize| match name {
                // Each from another address, or by another user, or both.
                "user" => request(Some(1), &format!("192.0.2.{index}"), "send"),
                "address" => request(Some(1 + index as i64), "192.0.2.1", "send"),
                _ => {
                    let address = format!("10.0.{}.{}", index / 256, index % 256);
                    request(Some(1 + index as i64), &address, "send")
                }
            };
            let agents = bytes_of_agents(bound);
            for (index, agent) in agents.iter().enumerate() {
                assert!(count(&mut table, &of(index), agent), "{name}: {index}");
            }
            assert_eq!(table.bytes(), bound, "{name}: filled to the last byte");
            assert!(!count(&mut table, &of(agents.len()), ""), "{name}");
            assert_eq!(table.bytes(), bound, "{name}");
            // A known client goes on to be counted.
            assert!(count(&mut table, &of(0), &agents[0]), "{name}");
            let other = request(Some(9_999), "198.51.100.1", "send");
            assert_eq!(count(&mut table, &other, ""), name != "all", "{name}");
            let folded = if name == "all" { 2 } else { 1 };
            let rest = (None, String::new(), OTHER_CLIENTS.to_owned(), folded);
            assert!(entries(table).contains(&rest), "{name}");
        }
    }

    #[test]
    fn an_address_with_a_million_agents_takes_the_room_of_a_few() {
        let mut table = Table::default();
        let hostile = request(None, "192.0.2.1", "login");
        for number in 0..1_000_000 {
            assert!(count(&mut table, &hostile, &number.to_string()));
        }
        assert!(table.bytes() < (MAX_AGENTS + 1) * (CLIENT_BYTES + OPERATION_BYTES + 20));
        assert!(count(&mut table, &request(Some(1), "192.0.2.2", "send"), "agent"));
        let entries = entries(table);
        let others = (None, "192.0.2.1".to_owned(), OTHER_CLIENTS.to_owned());
        let others = (others.0, others.1, others.2, 1_000_000 - MAX_AGENTS as u64);
        assert_eq!(entries.len(), MAX_AGENTS + 2);
        assert!(entries.contains(&others));
    }

    #[test]
    fn addresses_are_kept_as_configured() {
        for (addresses, address, expected) in [
            (LedgerAddresses::Full, "::ffff:192.0.2.1", "192.0.2.1"),
            (LedgerAddresses::Network, "192.0.2.1", "192.0.2.0/24"),
            (LedgerAddresses::Network, "2001:db8:1:2::3", "2001:db8:1::/48"),
            (LedgerAddresses::None, "192.0.2.1", ""),
        ] {
            let mut table = Table::default();
            table.count(&bounds(), addresses, &request(None, address, "send"));
            let entries = table.into_entries(addresses);
            assert_eq!(entries[0].client.address, expected);
        }
    }
}
