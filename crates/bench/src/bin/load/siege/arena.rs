//! The gateway that is attacked, and the runtime of the attackers.

use super::prize::Prize;
use crate::result::BenchResult;
use crate::users::BenchUser;
use serde_json::{Value, json};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// The time after which an attacker whose connection ended comes back.
const PAUSE: Duration = Duration::from_millis(50);

/// The gateway that is attacked, and the means of the attackers.
pub(super) struct Arena {
    pub(super) server: SocketAddr,
    /// The sockets of attacks that use many.
    pub(super) sockets: usize,
    /// The attackers' addresses.
    pub(super) addresses: Vec<Ipv4Addr>,
    /// Users of the attackers, one for each address.
    pub(super) users: Vec<BenchUser>,
    pub(super) prize: Prize,
    pub(super) tally: Tally,
}

/// The acts of the attackers, for the report.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Connections that ended, or could not be made.
    ended: AtomicU64,
    /// Frames, requests or connections, whatever the attack repeats.
    acts: AtomicU64,
    /// Those of them that the gateway carried out.
    granted: AtomicU64,
}

impl Tally {
    pub(super) fn act(&self) {
        self.0.acts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn granted(&self) {
        self.0.granted.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> Value {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        json!({
            "acts": read(&self.0.acts),
            "granted": read(&self.0.granted),
            "connections_ended": read(&self.0.ended),
        })
    }
}

/// One of the attackers.
#[derive(Clone)]
pub(super) struct Attacker {
    pub(super) arena: Arc<Arena>,
    pub(super) number: usize,
}

impl Attacker {
    /// The address that it comes from.
    pub(super) fn source(&self) -> Ipv4Addr {
        self.arena.addresses[self.number % self.arena.addresses.len()]
    }

    /// The user that it is.
    pub(super) fn user(&self) -> &BenchUser {
        &self.arena.users[self.number % self.arena.users.len()]
    }
}

impl Arena {
    /// The same with the first address only.
    pub(super) fn from_one_address(self: Arc<Self>) -> Arc<Self> {
        let Self { server, sockets, addresses, users, prize, tally } = &*self;
        let addresses = addresses.iter().take(1).copied().collect();
        Arc::new(Self {
            server: *server,
            sockets: *sockets,
            addresses,
            users: users.clone(),
            prize: prize.clone(),
            tally: tally.clone(),
        })
    }

    /// Lets `count` attackers work until the runtime ends: whose work ends begins it again.
    pub(super) async fn attack<F>(
        self: Arc<Self>,
        count: usize,
        work: impl Fn(Attacker) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = BenchResult<()>> + Send,
    {
        let mut attackers = JoinSet::new();
        for number in 0..count {
            let (attacker, work) = (Attacker { arena: self.clone(), number }, work.clone());
            attackers.spawn(async move {
                loop {
                    // The end of a connection is what the gateway does to an attacker.
                    let _ = work(attacker.clone()).await;
                    attacker.arena.tally.ended();
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        attackers.join_all().await;
    }
}

/// The addresses of attackers: none is that of the people.
pub(super) fn attacker_addresses(count: usize) -> Vec<Ipv4Addr> {
    (1..=u8::MAX).take(count).map(|host| Ipv4Addr::new(127, 0, 1, host)).collect()
}
