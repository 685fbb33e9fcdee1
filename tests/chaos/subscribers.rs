//! Many connections that are subscribed to a flow. They read without decoding, so that a reader is
//! slow only if it does not read.

use crate::environment::Environment;
use crate::raw_connection::RawConnection;
use crate::users::{Failure, HISTORY_FORMS, retry_while_unavailable, subscriptions};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use std::net::SocketAddr;
use std::time::Duration;
use tolmach_domain::FlowId;

/// The option of a gateway for connections that do not answer pings.
pub(crate) const NO_PINGS: (&str, &str) = ("KEEPALIVE__PING_INTERVAL", "1h");

/// The connections that are opened at once.
const CONNECTING: usize = 16;

/// The time after which connecting is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(120);

/// Opens a connection at each of these addresses, as the readers of all dialects in turn.
pub(crate) async fn connect(
    environment: &Environment,
    addresses: &[SocketAddr],
    flow: FlowId,
) -> Result<Vec<RawConnection>, Failure> {
    // The history comes last: some dialects can only read all of it.
    let mut commands = subscriptions(flow);
    commands.rotate_left(HISTORY_FORMS);
    let commands = &commands;
    let node = environment.nodes[0].address()?;
    let mut users = Vec::new();
    for user in &environment.readers {
        let log_in = || user.credentials(node);
        users.push((user, retry_while_unavailable(CONNECT_TIMEOUT, log_in).await?));
    }
    let connecting = addresses.iter().zip(users.iter().cycle()).map(
        |(address, (user, credentials))| async move {
            let open = || RawConnection::open(user, credentials, *address, commands);
            retry_while_unavailable(CONNECT_TIMEOUT, open).await
        },
    );
    iter(connecting).buffered(CONNECTING).try_collect().await
}
