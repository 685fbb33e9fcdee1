//! Logins of people while a gateway is attacked, at half of the rate that it can do.

use crate::connection::Connection;
use crate::cpu_sets::server_cpus;
use crate::result::BenchResult;
use crate::users::BenchUser;
use crate::wire::{Wire, login_request};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tolmach_domain::GrantKind;

/// The users who log in, again after the last, each from an address of its own.
pub(super) const USERS: usize = 50;
/// The bcrypt cost of their passwords: the gateway's default.
pub(super) const COST: u32 = 12;
/// The time in which a login must succeed.
const LIMIT: Duration = Duration::from_secs(5);
/// The logins that are timed.
const TIMED: usize = 5;

/// Users who log in at a steady rate.
pub(super) struct Logins {
    server: SocketAddr,
    users: Vec<BenchUser>,
    /// Logins a second that the gateway's cores can do, one after the other on each.
    capacity: f64,
}

impl Logins {
    /// Times logins of these users, one after the other, while nothing else happens.
    pub(super) async fn time(server: SocketAddr, users: Vec<BenchUser>) -> BenchResult<Self> {
        let mut times = Vec::new();
        for (index, user) in users.iter().take(TIMED).enumerate() {
            let started = Instant::now();
            log_in(server, source(index), user.clone()).await?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        let median = times.get(times.len() / 2).map_or(1.0, Duration::as_secs_f64);
        let capacity = server_cpus()?.count() as f64 / median;
        Ok(Self { server, users, capacity })
    }

    /// Begins logins for `duration` and counts those that succeed in time.
    pub(super) async fn log_in_for(&self, duration: Duration) -> BenchResult<Value> {
        let mut logins = JoinSet::new();
        if !self.users.is_empty() {
            // The other half is for the people and for what the attack takes.
            let interval = Duration::from_secs_f64(2.0 / self.capacity);
            let count = duration.div_duration_f64(interval).ceil() as usize;
            for number in 0..count {
                let index = number % self.users.len();
                let user = self.users[index].clone();
                logins.spawn(timeout(LIMIT, log_in(self.server, source(index), user)));
                sleep(interval).await;
            }
        }
        let tried = logins.len();
        let granted =
            logins.join_all().await.into_iter().filter(|login| matches!(login, Ok(Ok(_))));
        Ok(json!({
            "tried": tried,
            "granted": granted.count(),
            "per_s_possible": self.capacity,
        }))
    }
}

async fn log_in(server: SocketAddr, source: Ipv4Addr, user: BenchUser) -> BenchResult<()> {
    let login = login_request(&user, GrantKind::Token);
    let mut connection = Connection::open(server, source, Wire::MODE, &login).await?;
    connection.request(login).await.map(drop)
}

/// The address of a user.
fn source(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 2, 1 + (index % 250) as u8)
}
