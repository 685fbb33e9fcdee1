//! Guests of a gateway that is attacked: logged in and silent, so that it has the memory of one in
//! use, and they notice if the attack ends their connections.

use crate::connection::Connection;
use crate::result::BenchResult;
use crate::users::BenchUser;
use crate::websocket::next_text;
use crate::wire::Wire;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::task::JoinSet;

/// The users of whom each has as many connections.
pub(super) const USERS: usize = 50;

/// Guests whose connections are open.
pub(super) struct Guests(JoinSet<()>);

impl Guests {
    /// Connects `count` guests, those of each user from an address of its own.
    pub(super) async fn connect(
        server: SocketAddr,
        users: &[BenchUser],
        count: usize,
    ) -> BenchResult<Self> {
        let mut guests = JoinSet::new();
        for (number, (host, user)) in (1..=u8::MAX).zip(users).cycle().take(count).enumerate() {
            let source = Ipv4Addr::new(127, 0, 3, host);
            let guest = Connection::subscribe(server, source, Wire::MODE, user, None).await;
            let guest = guest.map_err(|error| format!("guest {number}: {error}"))?;
            guests.spawn(async move {
                let (mut socket, _codec) = guest.into_parts();
                // Reading answers the pings of the gateway.
                while let Ok(Some(_)) = next_text(&mut socket).await {}
            });
        }
        Ok(Self(guests))
    }

    /// The number of connections that have ended.
    pub(super) fn lost(&mut self) -> usize {
        std::iter::from_fn(|| self.0.try_join_next()).count()
    }
}
