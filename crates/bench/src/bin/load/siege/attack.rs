//! The attacks by name.

use super::arena::Arena;
use super::attacks::{accounts, connections, http, requests, websocket};
use super::prize::Prize;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::users::BenchUser;
use std::sync::Arc;

/// Sockets of attacks that come from one address.
const FROM_ONE_ADDRESS: usize = 100;

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Attack {
    /// WebSocket messages of 16 MiB that never end, without a login
    UnfinishedMessages,
    /// The same after a login, where files may be sent
    UnfinishedMessagesOfUsers,
    /// Empty continuation frames from one socket
    EmptyContinuations,
    /// Pings from one address
    Pings,
    /// Small requests from one address as fast as they are read
    SmallFrames,
    /// Frames that are no JSON, or nested deeply, from one address
    Malformed,
    /// Bodies of 5.9 MiB on 250 streams of each HTTP/2 connection, to any path, without a token
    Http2Bodies,
    /// HTTP/2 requests that are cancelled at once
    Http2Resets,
    /// Bodies over HTTP/1.1 to any path, without a token
    Http1Bodies,
    /// Histories of large messages, requested by many and read by none
    LargeAnswers,
    /// Lists of conversations with large last messages, read by none
    LargeLists,
    /// A group whose members have large avatars, read again and again
    Avatars,
    /// Searches from one user
    Searches,
    /// Messages as large as allowed, from one socket without a pause
    Volume,
    /// Groups with the same victim
    Groups,
    /// Sign-ups from one address, while others log in
    SignUps,
    /// Recovery mails to one account
    Recovery,
    /// Sockets that never say a thing
    SilentSockets,
    /// As many silent sockets as one address can open
    OneAddress,
    /// Heads of requests that arrive byte by byte
    SlowHeads,
    /// Connections that end as soon as they are open
    Churn,
}

impl Attack {
    /// True if logins of others are measured beside the attack.
    pub(super) fn delays_logins(self) -> bool {
        self == Self::SignUps
    }

    /// True if one address attacks.
    pub(super) fn is_from_one_address(self) -> bool {
        match self {
            Self::EmptyContinuations
            | Self::Pings
            | Self::SmallFrames
            | Self::Malformed
            | Self::Http2Resets
            | Self::Searches
            | Self::Volume
            | Self::Groups
            | Self::SignUps
            | Self::Recovery
            | Self::OneAddress
            | Self::Churn => true,
            Self::UnfinishedMessages
            | Self::UnfinishedMessagesOfUsers
            | Self::Http2Bodies
            | Self::Http1Bodies
            | Self::LargeAnswers
            | Self::LargeLists
            | Self::Avatars
            | Self::SilentSockets
            | Self::SlowHeads => false,
        }
    }

    /// Writes what the attack needs to the store.
    pub(super) async fn seed(
        self,
        seeder: &Seeder,
        users: &[BenchUser],
        people: &[BenchUser],
    ) -> BenchResult<Prize> {
        let mut prize = Prize { flow: None, victim: people.first().cloned() };
        match self {
            Self::LargeAnswers => prize.flow = Some(requests::large_history(seeder, users).await?),
            Self::LargeLists => requests::large_last_messages(seeder, users).await?,
            Self::Avatars => prize.flow = Some(requests::large_avatars(seeder, users).await?),
            Self::Volume => prize.flow = Some(seeder.group(users).await?),
            _ => {}
        }
        Ok(prize)
    }

    /// Attacks until the runtime ends.
    pub(super) async fn run(self, arena: Arc<Arena>) {
        let all = arena.sockets;
        let some = all.min(FROM_ONE_ADDRESS);
        let arena = if self.is_from_one_address() { arena.from_one_address() } else { arena };
        match self {
            Self::UnfinishedMessages => arena.attack(all, websocket::unfinished).await,
            Self::UnfinishedMessagesOfUsers => {
                arena.attack(all, websocket::unfinished_of_user).await;
            }
            Self::EmptyContinuations => arena.attack(1, websocket::empty_continuations).await,
            Self::Pings => arena.attack(some, websocket::pings).await,
            Self::SmallFrames => arena.attack(some, websocket::small_frames).await,
            Self::Malformed => arena.attack(some, websocket::malformed).await,
            Self::Http2Bodies => arena.attack(some, http::http2_bodies).await,
            Self::Http2Resets => arena.attack(some, http::http2_resets).await,
            Self::Http1Bodies => arena.attack(all, http::http1_bodies).await,
            Self::LargeAnswers => arena.attack(all, requests::read_no_history).await,
            Self::LargeLists => arena.attack(all, requests::read_no_list).await,
            Self::Avatars => arena.attack(some, requests::read_group).await,
            Self::Searches => arena.attack(1, requests::search).await,
            Self::Volume => arena.attack(1, requests::large_messages).await,
            Self::Groups => arena.attack(1, requests::groups_with_victim).await,
            Self::SignUps => arena.attack(some * 3, accounts::sign_up).await,
            Self::Recovery => arena.attack(some, accounts::recover).await,
            Self::SilentSockets | Self::OneAddress => {
                arena.attack(all, connections::silent).await;
            }
            Self::SlowHeads => arena.attack(all, connections::slow_head).await,
            Self::Churn => arena.attack(some, connections::churn).await,
        }
    }
}
