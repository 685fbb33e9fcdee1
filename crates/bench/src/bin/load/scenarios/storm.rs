//! Many logins at once, beside a group in which messages are posted.

use crate::concurrent::map_concurrently;
use crate::connection::Connection;
use crate::databases::sqlite_url;
use crate::group_load::GroupLoad;
use crate::participant::connect_group;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::users::{BenchUser, LOWEST_COST};
use crate::websocket::source_address;
use crate::wire::{Wire, login_request};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tolmach_domain::GrantKind;

/// The messages, with one in flight, before the measurement.
const WARM_UP: usize = 10;

/// Many logins at once.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The members of the group
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// The logins at once
    #[arg(long, default_value_t = 100)]
    logins: usize,
    /// The bcrypt cost of their passwords
    #[arg(long, default_value_t = 12)]
    cost: u32,
    /// Deliveries a second in the group
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// The seconds of each measurement, without the logins and during them
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

/// Measures the time from posting to delivery without logins and during them.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { members, logins, cost, rate, seconds } = arguments;
    let duration = Duration::try_from_secs_f64(seconds)?;
    let data = data_folder()?;
    let seeder = Seeder::open(&sqlite_url(data.path())).await?;
    let members = seeder.users("member", members, LOWEST_COST).await?;
    let others = seeder.users("stranger", logins, cost).await?;
    let flow = seeder.group(&members).await?;
    seeder.close().await;
    let server = Server::start(Subject::Tolmach, data.path(), &[Setting::PUSH])?;
    let group = connect_group(server.address, vec![Wire::MODE], members, flow).await?;
    let mut load = GroupLoad::start(vec![group], 1)?;
    load.post_in_flight(1, WARM_UP, || server.cpu()).await?;
    let calm = load.post_at_rate(rate, duration, || server.cpu()).await?;
    let logged_in = Arc::new(AtomicUsize::new(0));
    let logins = tokio::spawn(log_in(server.address, others, logged_in.clone()));
    let storm = load.post_at_rate(rate, duration, || server.cpu()).await?;
    let completed = logged_in.load(Ordering::Relaxed);
    if logins.is_finished() {
        logins.await??;
    } else {
        logins.abort();
    }
    Ok(json!({ "calm": calm, "storm": storm, "logged_in": completed }))
}

/// Logs all users in at once, and counts the granted logins.
async fn log_in(
    server: SocketAddr,
    users: Vec<BenchUser>,
    logged_in: Arc<AtomicUsize>,
) -> BenchResult<()> {
    let users = Arc::new(users);
    map_concurrently(users.len(), users.len(), move |index| {
        let (users, logged_in) = (users.clone(), logged_in.clone());
        async move {
            let login = login_request(&users[index], GrantKind::Token);
            let source = source_address(index);
            let mut connection = Connection::open(server, source, Wire::MODE, &login).await?;
            connection.request(login).await?;
            logged_in.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    })
    .await
    .map(drop)
}
