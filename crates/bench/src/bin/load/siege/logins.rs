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

/// The logins during one attack.
pub(super) const COUNT: usize = 27;
/// The bcrypt cost of their passwords: the gateway's default.
pub(super) const COST: u32 = 12;
/// The time in which a login must succeed.
const LIMIT: Duration = Duration::from_secs(5);

/// Logs the users in from addresses of their own, spread over `duration`, and counts those that
/// succeed in time.
pub(super) async fn log_in(
    server: SocketAddr,
    users: Vec<BenchUser>,
    duration: Duration,
) -> BenchResult<Value> {
    let (tried, mut logins) = (users.len(), JoinSet::new());
    let pause = duration / u32::try_from(tried.max(1))?;
    for (host, user) in (1..=u8::MAX).zip(users) {
        let source = Ipv4Addr::new(127, 0, 2, host);
        logins.spawn(timeout(LIMIT, async move {
            let login = login_request(&user, GrantKind::Token);
            let mut connection = Connection::open(server, source, Wire::MODE, &login).await?;
            connection.request(login).await
        }));
        sleep(pause).await;
    }
    let granted = logins.join_all().await.into_iter().filter(|login| matches!(login, Ok(Ok(_))));
    Ok(json!({ "tried": tried, "granted": granted.count() }))
}
