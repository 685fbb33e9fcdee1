//! Guests of a gateway that is attacked: they log in, some read a history, and all are silent then.
//! So the gateway has the memory of one in use, and guests notice if the attack ends their
//! connections.

use crate::connection::Connection;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::users::BenchUser;
use crate::websocket::next_text;
use crate::wire::Wire;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::task::JoinSet;
use tolmach_domain::FlowId;

/// The users of whom each has as many connections.
pub(super) const USERS: usize = 50;
/// The groups of all of them, the messages of each, and the bytes of each message.
const GROUPS: usize = 4;
const MESSAGES: usize = 64;
const TEXT: usize = 16 << 10;
/// The guests of whom one reads a history.
const GUESTS_PER_READER: usize = 100;

/// Creates the groups that guests read.
pub(super) async fn groups(seeder: &Seeder, users: &[BenchUser]) -> BenchResult<Vec<FlowId>> {
    let groups = seeder.groups(users, GROUPS, users.len()).await?;
    for group in &groups {
        seeder.post(&users[0], *group, MESSAGES, TEXT).await?;
    }
    Ok(groups)
}

/// Guests whose connections are open.
pub(super) struct Guests(JoinSet<()>);

impl Guests {
    /// Connects `count` guests, those of each user from an address of its own.
    pub(super) async fn connect(
        server: SocketAddr,
        users: &[BenchUser],
        groups: &[FlowId],
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
        let readers = users.iter().zip(groups.iter().cycle());
        for (user, group) in readers.take(count.div_ceil(GUESTS_PER_READER)) {
            let request = || Wire::MODE.history_request(user, *group);
            let source = Ipv4Addr::LOCALHOST;
            let mut reader = Connection::open(server, source, Wire::MODE, &request()).await?;
            reader.request(request()).await?;
        }
        Ok(Self(guests))
    }

    /// The number of connections that have ended.
    pub(super) fn lost(&mut self) -> usize {
        std::iter::from_fn(|| self.0.try_join_next()).count()
    }
}
