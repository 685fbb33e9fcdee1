//! Two gateways that share a PostgreSQL and exchange events over Redis.

use crate::closed_loop::{Sender, repeat};
use crate::concurrent::map_concurrently;
use crate::connection::Connection;
use crate::databases::{Database, DatabaseKind, start_redis};
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::users::LOWEST_COST;
use crate::websocket::{WebSocket, next_text, source_address};
use crate::wire::Wire;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Two gateways.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The connections, each with one message in flight
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The seconds of each measurement, with one gateway and with two
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Measures the CPU of two gateways for a message that is sent to one and received from the other,
/// less that of one gateway for a message that is sent and received there; in microseconds.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let alone = cpu_per_message(arguments, false).await?;
    let both = cpu_per_message(arguments, true).await?;
    Ok(json!({
        "alone_cpu_us_each": alone,
        "both_cpu_us_each": both,
        "added_cpu_us_each": both - alone,
    }))
}

async fn cpu_per_message(arguments: Arguments, two_gateways: bool) -> BenchResult<f64> {
    let Arguments { connections, seconds } = arguments;
    let data = data_folder()?;
    let database = Database::start(DatabaseKind::Postgres, data.path())?;
    let seeder = Seeder::open(&database.url()).await?;
    let users = seeder.users("member", connections, LOWEST_COST).await?;
    let receiver = seeder.users("listener", 1, LOWEST_COST).await?.remove(0);
    let mut flows = Vec::new();
    for user in &users {
        flows.push(seeder.group(&[user.clone(), receiver.clone()]).await?);
    }
    seeder.close().await;
    let redis = if two_gateways { Some(start_redis()?) } else { None };
    let bus = redis.as_ref().map(|redis| Setting::bus(redis.url()));
    let settings: Vec<_> =
        [Some(Setting::store(database.url())), bus].into_iter().flatten().collect();
    let mut servers = vec![Server::start(Subject::Tolmach, data.path(), &settings)?];
    let second_data = data_folder()?;
    if two_gateways {
        servers.push(Server::start(Subject::Tolmach, second_data.path(), &settings)?);
    }
    let cpu = || servers.iter().map(Server::cpu).sum::<BenchResult<Duration>>();
    let (sending, receiving) = (servers[0].address, servers[servers.len() - 1].address);
    let (counter, mut count) = watch::channel(0);
    let connection =
        Connection::subscribe(receiving, source_address(0), Wire::MODE, &receiver, None).await?;
    let counting = tokio::spawn(count_messages(connection.into_parts().0, counter));
    let users = Arc::new(users);
    let senders = map_concurrently(connections, connections, move |index| {
        let (user, flow, source) = (users[index].clone(), flows[index], source_address(index));
        async move {
            let connection =
                Connection::subscribe(sending, source, Wire::MODE, &user, None).await?;
            let mut sender = Sender { connection, wire: Wire::MODE, user, flow };
            sender.send_and_wait().await?;
            Ok(sender)
        }
    })
    .await?;
    let warm_up = connections as u64;
    count.wait_for(|count| *count >= warm_up).await?;
    let before = cpu()?;
    let send = |mut sender: Sender| async move { sender.send_and_wait().await.map(|()| sender) };
    let sent = repeat(senders, seconds, send).await?;
    count.wait_for(|count| *count >= warm_up + sent.count).await?;
    let used = cpu()? - before;
    counting.abort();
    Ok(used.as_secs_f64() * 1e6 / sent.count as f64)
}

/// Counts the received messages; the channel closes when the connection ends.
async fn count_messages(mut socket: WebSocket, counter: watch::Sender<u64>) -> BenchResult<()> {
    while next_text(&mut socket).await?.is_some() {
        counter.send_modify(|count| *count += 1);
    }
    Ok(())
}
