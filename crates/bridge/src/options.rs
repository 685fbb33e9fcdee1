//! The options of a bridge.

use std::time::Duration;

/// The options of a bridge, each with its default.
///
/// ```
/// assert_eq!(tolmach_bridge::BridgeOptions::default().max_sessions, 10_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeOptions {
    /// The time that connecting to the upstream may take. Default: 5 s.
    pub connect_timeout: Duration,
    /// The time that the upstream may take for an answer. Default: 15 s.
    pub answer_timeout: Duration,
    /// The time without a frame after which a connection to the upstream is pinged; after as long
    /// again it is lost. Default: 30 s.
    pub ping_interval: Duration,
    /// The shortest time between two attempts to connect again, which doubles with each. Default:
    /// 200 ms.
    pub min_backoff: Duration,
    /// The longest time between two attempts to connect again. Default: 10 s.
    pub max_backoff: Duration,
    /// The largest message of the upstream, in bytes. Default: 16 MiB.
    pub max_message_bytes: usize,
    /// The logins that are remembered; past it the one that was idle longest has to log in again.
    /// Default: 10,000.
    pub max_sessions: u64,
    /// The time after which an idle login is forgotten. Default: 7 days.
    pub session_lifetime: Duration,
    /// The connections to the upstream that are kept for clients without a connection of their own,
    /// those of HTTP. Default: 1,000.
    pub max_idle_connections: u64,
    /// The time after which such a connection is closed when it is idle. Default: 30 s.
    pub idle_timeout: Duration,
    /// The memory for copies of requests that wait to be mirrored, in bytes; past it they are
    /// dropped. Default: 16 MiB.
    pub mirror_queue_bytes: usize,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(15),
            ping_interval: Duration::from_secs(30),
            min_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(10),
            max_message_bytes: 16 << 20,
            max_sessions: 10_000,
            session_lifetime: Duration::from_secs(7 * 24 * 3600),
            max_idle_connections: 1_000,
            idle_timeout: Duration::from_secs(30),
            mirror_queue_bytes: 16 << 20,
        }
    }
}
