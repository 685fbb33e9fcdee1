//! Logins of people while a gateway is attacked.

use crate::connection::Connection;
use crate::result::BenchResult;
use crate::users::BenchUser;
use crate::wire::{Wire, login_request};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tolmach_domain::GrantKind;

/// The time between two logins: to hash their passwords takes most of a core.
const INTERVAL: Duration = Duration::from_millis(370);
/// The bcrypt cost of their passwords: the gateway's default.
pub(super) const COST: u32 = 12;
/// The time in which a login must succeed.
const LIMIT: Duration = Duration::from_secs(5);

/// The number of logins during an attack of this duration.
pub(super) fn count_in(duration: Duration) -> usize {
    duration.div_duration_f64(INTERVAL).ceil() as usize
}

/// Logs the users in one after the other, from addresses of their own, and counts those that
/// succeed in time.
pub(super) async fn log_in(server: SocketAddr, users: Vec<BenchUser>) -> BenchResult<Value> {
    let (tried, mut logins) = (users.len(), JoinSet::new());
    for (host, user) in (1..=u8::MAX).zip(users) {
        let source = Ipv4Addr::new(127, 0, 2, host);
        logins.spawn(timeout(LIMIT, async move {
            let login = login_request(&user, GrantKind::Token);
            let mut connection = Connection::open(server, source, Wire::MODE, &login).await?;
            connection.request(login).await
        }));
        sleep(INTERVAL).await;
    }
    let granted = logins.join_all().await.into_iter().filter(|login| matches!(login, Ok(Ok(_))));
    Ok(json!({ "tried": tried, "granted": granted.count() }))
}
