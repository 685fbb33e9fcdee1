//! Many readers of one node, of which some stop reading: the gateway closes these and no others.

use crate::environment::{Environment, Node, metric};
use crate::subscribers::connect;
use crate::users::{Failure, failure};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tolmach_domain::FlowId;
use tolmach_test_servers::Proxy;

/// The environment variable with the number of readers beside those of every round.
const READERS: &str = "TOLMACH_CHAOS_READERS";
/// Their number without the variable.
const DEFAULT_READERS: u32 = 200;

/// One reader in so many stalls.
const STALLED_SHARE: usize = 20;

/// The time after which waiting for the gateway to close stalled readers is given up.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(120);

/// The number of readers.
pub(crate) fn reader_count() -> Result<u32, Failure> {
    match std::env::var(READERS) {
        Ok(count) => {
            count.parse().map_err(|_| format!("{READERS}={count}: expected a number of readers"))
        }
        Err(_) => Ok(DEFAULT_READERS),
    }
}

/// Connects the readers and stalls some of them, until the gateway has closed those. Fails if it
/// closes another one.
pub(crate) async fn stall(environment: &Environment, flow: FlowId) -> Result<(), Failure> {
    let node = environment.nodes[0].address()?;
    // While the proxy is cut, what is sent to its clients fills the system's buffers, then the
    // gateway's.
    let network = Proxy::narrow(node);
    let behind_proxy: SocketAddr = network.address().parse().map_err(failure)?;
    let addresses = (0..usize::try_from(reader_count()?).map_err(failure)?)
        .map(|number| if number % STALLED_SHARE == 0 { behind_proxy } else { node });
    let addresses: Vec<_> = addresses.collect();
    let (mut stalled, mut reading) = (Vec::new(), JoinSet::new());
    for (mut reader, address) in
        connect(environment, &addresses, flow).await?.into_iter().zip(addresses)
    {
        if address == behind_proxy {
            stalled.push(reader);
            continue;
        }
        reading.spawn(async move {
            reader.discard_until_closed().await;
            reader.dialect_id()
        });
    }
    let before = closed_as_slow(&environment.nodes[0]).await?;
    let expected = before + u64::try_from(stalled.len()).map_err(failure)?;
    network.cut();
    let all_closed = async {
        while closed_as_slow(&environment.nodes[0]).await? < expected {
            sleep(Duration::from_millis(50)).await;
        }
        Ok::<_, Failure>(())
    };
    tokio::select! {
        closed = timeout(CLOSE_TIMEOUT, all_closed) => {
            closed.map_err(|_| "stalled readers are not closed")??;
        }
        Some(ended) = reading.join_next() => {
            return Err(format!("a reader that reads was closed: {ended:?}"));
        }
    }
    network.heal();
    Ok(())
}

/// The number of connections that this node has closed because they read too slowly.
pub(crate) async fn closed_as_slow(node: &Node) -> Result<u64, Failure> {
    metric(node, "tolmach_connections_closed_total", &["reason=\"slow_reader\""]).await
}
