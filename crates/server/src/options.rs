//! The options of a server, each with its default.

use crate::pins::Pin;
use ipnet::IpNet;
use std::num::NonZeroU32;
use std::time::Duration;
use tolmach_domain::IdNamespace;

/// The options of a server. The defaults suit one machine with many clients.
///
/// ```
/// use std::time::Duration;
/// use tolmach_server::{Keepalive, ServerOptions};
///
/// let options = ServerOptions {
///     keepalive: Keepalive { ping_interval: Duration::from_secs(60), ..Keepalive::default() },
///     ..ServerOptions::default()
/// };
/// assert_eq!(options.shared_paths, ["/", "/ws"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Bounds on what a peer may do to a connection.
    pub limits: Limits,
    /// Detection of dead peers.
    pub keepalive: Keepalive,
    /// The HTTP listener.
    pub http: HttpOptions,
    /// The drain at shutdown.
    pub shutdown: Shutdown,
    /// The paths where the first frame decides the dialect. Default: `/` and `/ws`.
    pub shared_paths: Vec<String>,
    /// The time between two reads of the store for events that the bus may have lost. Default: 1 s.
    pub reconcile_interval: Duration,
    /// The ledger of the store, which the server adds its requests to; `None` keeps none. Default:
    /// [`LedgerOptions::default`].
    pub ledger: Option<LedgerOptions>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            keepalive: Keepalive::default(),
            http: HttpOptions::default(),
            shutdown: Shutdown::default(),
            shared_paths: vec!["/".into(), "/ws".into()],
            reconcile_interval: Duration::from_secs(1),
            ledger: Some(LedgerOptions::default()),
        }
    }
}

/// The ledger: which clients use which dialect, revision and operation. See
/// [`LedgerStore`](tolmach_engine::ports::LedgerStore).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerOptions {
    /// The part of the clients' addresses that is kept. Default: the network.
    pub addresses: LedgerAddresses,
    /// The bytes of the requests that are counted and not written yet. One address may take half of
    /// them, and one user a 64th; further clients are counted together. Default: 16 MiB.
    pub memory_bytes: usize,
    /// The time between two writes to the store; they also happen when a quarter of the memory is
    /// taken. Default: 1 min.
    pub write_interval: Duration,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            addresses: LedgerAddresses::Network,
            memory_bytes: 16 << 20,
            write_interval: Duration::from_secs(60),
        }
    }
}

/// The part of the clients' addresses that the ledger keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerAddresses {
    /// The whole address.
    Full,
    /// Its network: of IPv4 the first 24 bits, of IPv6 the first 48.
    Network,
    /// Nothing.
    None,
}

/// Bounds on what a peer may do to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest WebSocket message, in bytes; `None` is each dialect's own limit. Default:
    /// `None`.
    pub max_frame_bytes: Option<usize>,
    /// The largest message of a WebSocket before an identity was proven on it, in bytes, if
    /// `max_frame_bytes` allows more. Default: 64 KiB.
    pub max_first_frame_bytes: usize,
    /// The time that the rest of a message may take after its first bytes. Default: 60 s.
    pub message_timeout: Duration,
    /// The time that a peer has to prove an identity on a connection; its pings do not prolong it.
    /// Default: 5 min.
    pub first_proof_timeout: Duration,
    /// The deepest nesting of a frame, in levels. Default: 64.
    pub max_json_depth: usize,
    /// The frames of one connection that are read in a second: fragments and pings too. Default:
    /// 1,000.
    pub frames_per_second: NonZeroU32,
    /// The frames of one connection that are read at once before `frames_per_second` delays the
    /// next. Default: 5,000.
    pub frame_burst: NonZeroU32,
    /// The frames and HTTP requests of one address that are read in a second, over all connections;
    /// an IPv6 network of 64 bits counts as one. Default: 10,000.
    pub frames_per_second_per_address: NonZeroU32,
    /// The frames and HTTP requests of one address that are read at once before
    /// `frames_per_second_per_address` delays the next, at least 16. Default: 10,000.
    pub frame_burst_per_address: NonZeroU32,
    /// The encoded events, in bytes, that may wait for one connection behind the one that its
    /// socket does not take; past it the connection is closed. A flow whose delivery lags by a
    /// quarter of it slows its writers down. Default: 1 MiB.
    pub send_queue_bytes: usize,
    /// The consecutive frames that are not JSON after which a connection is closed. Default: 10.
    pub max_syntax_errors: u32,
    /// The bytes that all peers together make the process hold: parts of messages, bodies, requests
    /// in progress, responses that wait. Past it the costliest connection of the costliest address
    /// ends. Default: 256 MiB.
    pub memory_bytes: usize,
    /// The same for the connections of one address; an IPv6 network of 64 bits counts as one.
    /// Default: 64 MiB.
    pub memory_bytes_per_address: usize,
    /// The same for one connection. Default: 32 MiB.
    pub memory_bytes_per_connection: usize,
    /// The bytes that are read from one user in a second, over all connections. Default: 4 MiB.
    pub bytes_per_second_per_user: usize,
    /// The bytes that are read from one user at once before `bytes_per_second_per_user` delays the
    /// next, at least 16 KiB. Default: 64 MiB.
    pub byte_burst_per_user: usize,
    /// The bytes that are read from one address in a second, over all connections; an IPv6 network
    /// of 64 bits counts as one. Default: 32 MiB.
    pub bytes_per_second_per_address: usize,
    /// The bytes that are read from one address at once before `bytes_per_second_per_address`
    /// delays the next, at least 16 KiB. Default: 256 MiB.
    pub byte_burst_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const FRAMES_PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000).expect("it is not 0");
        const FRAME_BURST: NonZeroU32 = NonZeroU32::new(5_000).expect("it is not 0");
        const FRAMES_PER_ADDRESS: NonZeroU32 = NonZeroU32::new(10_000).expect("it is not 0");
        Self {
            max_frame_bytes: None,
            max_first_frame_bytes: 64 << 10,
            message_timeout: Duration::from_secs(60),
            first_proof_timeout: Duration::from_secs(300),
            max_json_depth: 64,
            frames_per_second: FRAMES_PER_SECOND,
            frame_burst: FRAME_BURST,
            frames_per_second_per_address: FRAMES_PER_ADDRESS,
            frame_burst_per_address: FRAMES_PER_ADDRESS,
            send_queue_bytes: 1 << 20,
            max_syntax_errors: 10,
            memory_bytes: 256 << 20,
            memory_bytes_per_address: 64 << 20,
            memory_bytes_per_connection: 32 << 20,
            bytes_per_second_per_user: 4 << 20,
            byte_burst_per_user: 64 << 20,
            bytes_per_second_per_address: 32 << 20,
            byte_burst_per_address: 256 << 20,
        }
    }
}

/// Detection of dead peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    /// The time without a frame after which a WebSocket is pinged. Default: 30 s.
    pub ping_interval: Duration,
    /// The time that the answer to a ping may take, and that a socket may accept nothing of what is
    /// written to it. Default: 20 s.
    pub pong_timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { ping_interval: Duration::from_secs(30), pong_timeout: Duration::from_secs(20) }
    }
}

/// The HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// The time that the head of a request may take. Default: 10 s.
    pub header_timeout: Duration,
    /// The time that the body of a request may take. Default: 30 s.
    pub body_timeout: Duration,
    /// The connections that are open at once; a WebSocket over HTTP/2 counts as one too. When they
    /// run short, the oldest one whose peer has proven no identity ends for a newcomer. Default:
    /// 100,000.
    pub max_connections: usize,
    /// The connections of one address, or of one IPv6 network of 64 bits; further ones are refused.
    /// Many people may share one address. Default: 1,000.
    pub max_connections_per_address: usize,
    /// The percentage of `max_connections` that is kept for peers who have proven an identity.
    /// Default: 25.
    pub authenticated_share: u8,
    /// The requests in progress on one HTTP/2 connection. Default: 250.
    pub request_limit: u32,
    /// The reverse proxies whose `X-Forwarded-For` is believed. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// True if connections from `trusted_proxies` begin with a header of the PROXY protocol,
    /// version 1 or 2. Default: false.
    pub proxy_protocol: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            max_connections: 100_000,
            max_connections_per_address: 1_000,
            authenticated_share: 25,
            request_limit: 250,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
        }
    }
}

/// The drain at shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// The connections that are closed in a second, so that their clients do not all reconnect at
    /// one moment. Default: 1,000.
    pub connections_per_second: NonZeroU32,
    /// The time that requests in progress may still take after every connection was asked to close.
    /// Default: 10 s.
    pub grace_period: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        const CONNECTIONS_PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000).expect("it is not 0");
        Self {
            connections_per_second: CONNECTIONS_PER_SECOND,
            grace_period: Duration::from_secs(10),
        }
    }
}

/// The server's own options of one dialect. A dialect parses all others itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DialectOptions {
    /// The largest WebSocket message of this dialect, in bytes. `None`, the default, is
    /// [`Limits::max_frame_bytes`], or else the limit of the dialect's manifest.
    pub max_frame_bytes: Option<usize>,
    /// The revisions of connections that fit; the first pin that fits decides. Default: none.
    pub pins: Vec<Pin>,
    /// The namespace of the ids that the clients of this dialect know objects by, where they have
    /// some of another server. `None`, the default: they know the ids of this one.
    pub ids: Option<IdNamespace>,
}

/// A raw TCP listener for the JSON values of one dialect, back to back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The id of the dialect.
    pub dialect: String,
    /// The revision of every connection. `None`, the default, is the one that the dialect chooses.
    pub revision: Option<String>,
    /// True if it serves TLS, and nothing else, with the certificate of the public listener.
    /// Default: false.
    pub tls: bool,
}
