//! The sections of the configuration. `config/tolmach.toml` describes each key.

use super::{keys, pins, values};
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use tolmach_adapters::{KeyOptions, Mailbox};
use tolmach_dialect::OptionTable;
use tolmach_domain::{IdNamespace, Secret, Timestamp};
use tolmach_server::Pin;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) http: Http,
    pub(crate) tcp: Tcp,
    pub(crate) admin: Admin,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) auth: Auth,
    pub(crate) mail: Mail,
    pub(crate) blobs: Blobs,
    pub(crate) limits: Limits,
    pub(crate) quotas: Quotas,
    pub(crate) retention: Retention,
    pub(crate) ledger: Ledger,
    pub(crate) record: Record,
    pub(crate) bridge: Bridge,
    pub(crate) keepalive: Keepalive,
    pub(crate) shutdown: Shutdown,
    pub(crate) log: Log,
    pub(crate) routing: Routing,
    pub(crate) dialects: Dialects,
}

impl Config {
    /// The beginning of links, without a slash at the end.
    pub(crate) fn public_url(&self) -> String {
        if self.http.public_url.is_empty() {
            let scheme = if self.http.tls.is_enabled() { "https" } else { "http" };
            format!("{scheme}://{}", self.http.listen)
        } else {
            self.http.public_url.clone()
        }
    }
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    #[serde(deserialize_with = "values::address")]
    pub(crate) listen: String,
    /// Without a slash at the end; empty to derive it, see [`Config::public_url`].
    #[serde(deserialize_with = "values::public_url")]
    pub(crate) public_url: String,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) header_timeout: Duration,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) body_timeout: Duration,
    #[serde(deserialize_with = "values::within::<_, _, 1, 10_000_000>")]
    pub(crate) max_connections: usize,
    #[serde(deserialize_with = "values::within::<_, _, 1, 10_000_000>")]
    pub(crate) max_connections_per_address: usize,
    #[serde(deserialize_with = "values::within::<_, _, 0, 90>")]
    pub(crate) authenticated_share: u8,
    #[serde(deserialize_with = "values::within::<_, _, 1, 10_000>")]
    pub(crate) request_limit: u32,
    #[serde(deserialize_with = "values::networks")]
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) proxy_protocol: bool,
    pub(crate) tls: HttpTls,
}

/// `[http.tls]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpTls {
    /// Empty, like `key`, for no TLS.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    #[serde(deserialize_with = "values::duration")]
    pub(crate) hsts_max_age: Duration,
}

impl HttpTls {
    /// True if a file is named.
    pub(crate) fn is_enabled(&self) -> bool {
        !(self.certificate.as_os_str().is_empty() && self.key.as_os_str().is_empty())
    }
}

/// `[tcp]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tcp {
    pub(crate) sndmsg: TcpListener,
}

/// `[tcp.<id>]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TcpListener {
    /// Empty for no listener.
    #[serde(deserialize_with = "values::optional_address")]
    pub(crate) listen: String,
    pub(crate) tls: bool,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Empty for no listener.
    #[serde(deserialize_with = "values::optional_address")]
    pub(crate) listen: String,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    /// Secret because it may hold a password.
    #[serde(deserialize_with = "values::secret")]
    pub(crate) url: Secret,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) timeout: Duration,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000>")]
    pub(crate) read_connections: u32,
}

/// `[bus]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bus {
    /// Secret because it may hold a password.
    #[serde(deserialize_with = "values::secret")]
    pub(crate) url: Secret,
    #[serde(deserialize_with = "values::channel_prefix")]
    pub(crate) prefix: String,
    pub(crate) sharded: bool,
    #[serde(deserialize_with = "values::size")]
    pub(crate) queue_bytes: usize,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) reconcile_interval: Duration,
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    #[serde(deserialize_with = "values::secret")]
    pub(crate) jwt_secret: Secret,
    pub(crate) jwt_keys: PathBuf,
    #[serde(deserialize_with = "keys::keys")]
    pub(crate) keys: Vec<KeyOptions>,
    pub(crate) registration: bool,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1024>")]
    pub(crate) min_password_bytes: usize,
    #[serde(deserialize_with = "values::within::<_, _, 4, 31>")]
    pub(crate) bcrypt_cost: u32,
    /// `None` for good.
    #[serde(deserialize_with = "values::optional_time")]
    pub(crate) legacy_hashes_until: Option<Timestamp>,
    #[serde(deserialize_with = "values::within::<_, _, 0, 1024>")]
    pub(crate) password_workers: usize,
    #[serde(deserialize_with = "values::within::<_, _, 0, 1_000_000>")]
    pub(crate) password_queue: usize,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) token_lifetime: Duration,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) access_lifetime: Duration,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) refresh_lifetime: Duration,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) recovery_lifetime: Duration,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) max_token_lifetime: Duration,
    pub(crate) login_throttle: LoginThrottle,
    pub(crate) registration_throttle: Throttle,
    pub(crate) recovery_throttle: Throttle,
}

/// `[auth.registration_throttle]` and `[auth.recovery_throttle]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Throttle {
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) window: Duration,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000_000>")]
    pub(crate) max_per_address: u32,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000_000>")]
    pub(crate) max_in_all: u32,
}

/// `[auth.login_throttle]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginThrottle {
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) window: Duration,
    #[serde(deserialize_with = "values::within::<_, _, 0, 1_000_000>")]
    pub(crate) free_attempts: u32,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000>")]
    pub(crate) max_failures_per_login_and_address: u32,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000>")]
    pub(crate) max_failures_per_login: u32,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000>")]
    pub(crate) max_failures_per_address: u32,
    #[serde(deserialize_with = "values::duration")]
    pub(crate) initial_delay: Duration,
    #[serde(deserialize_with = "values::duration")]
    pub(crate) max_delay: Duration,
    #[serde(deserialize_with = "values::within::<_, _, 0, 1_000_000>")]
    pub(crate) max_delayed: usize,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) trust_lifetime: Duration,
}

/// `[mail]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    /// Secret because it may hold a password.
    #[serde(deserialize_with = "values::secret")]
    pub(crate) url: Secret,
    #[serde(deserialize_with = "values::mailbox")]
    pub(crate) from: Mailbox,
}

/// `[blobs]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Blobs {
    /// Secret because it may hold a password by mistake.
    #[serde(deserialize_with = "values::secret")]
    pub(crate) url: Secret,
    pub(crate) folder: PathBuf,
    /// Secret because it may hold a password by mistake.
    #[serde(deserialize_with = "values::secret")]
    pub(crate) endpoint: Secret,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    #[serde(deserialize_with = "values::secret")]
    pub(crate) secret_access_key: Secret,
    pub(crate) allow_http: bool,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) timeout: Duration,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// `None`: each dialect's own.
    #[serde(deserialize_with = "values::optional_size")]
    pub(crate) max_frame_bytes: Option<usize>,
    #[serde(deserialize_with = "values::size")]
    pub(crate) max_first_frame_bytes: usize,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) message_timeout: Duration,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) first_proof_timeout: Duration,
    #[serde(deserialize_with = "values::within::<_, _, 4, 120>")]
    pub(crate) max_json_depth: usize,
    #[serde(deserialize_with = "values::non_zero::<_, 1_000_000>")]
    pub(crate) frames_per_second: NonZeroU32,
    #[serde(deserialize_with = "values::non_zero::<_, 1_000_000>")]
    pub(crate) frame_burst: NonZeroU32,
    #[serde(deserialize_with = "values::size")]
    pub(crate) send_queue_bytes: usize,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000>")]
    pub(crate) max_syntax_errors: u32,
    #[serde(deserialize_with = "values::size")]
    pub(crate) memory_bytes: usize,
    #[serde(deserialize_with = "values::size")]
    pub(crate) memory_bytes_per_address: usize,
    #[serde(deserialize_with = "values::size")]
    pub(crate) memory_bytes_per_connection: usize,
    #[serde(deserialize_with = "values::size")]
    pub(crate) bytes_per_second_per_user: usize,
    #[serde(deserialize_with = "values::size")]
    pub(crate) byte_burst_per_user: usize,
    #[serde(deserialize_with = "values::non_zero::<_, 10_000_000>")]
    pub(crate) frames_per_second_per_address: NonZeroU32,
    #[serde(deserialize_with = "values::non_zero::<_, 10_000_000>")]
    pub(crate) frame_burst_per_address: NonZeroU32,
    #[serde(deserialize_with = "values::size")]
    pub(crate) bytes_per_second_per_address: usize,
    #[serde(deserialize_with = "values::size")]
    pub(crate) byte_burst_per_address: usize,
    #[serde(deserialize_with = "values::within::<_, _, 2, 1_000_000>")]
    pub(crate) max_members: usize,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000>")]
    pub(crate) max_history_messages: u32,
    #[serde(deserialize_with = "values::size")]
    pub(crate) max_answer_bytes: usize,
    #[serde(deserialize_with = "values::size")]
    pub(crate) max_text_bytes: usize,
    /// `None`: messages have no attachments.
    #[serde(deserialize_with = "values::optional_size")]
    pub(crate) max_attachment_bytes: Option<usize>,
}

/// `[quotas]`; [`u32::MAX`] is no limit.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quotas {
    #[serde(deserialize_with = "values::quota")]
    pub(crate) groups_per_day: u32,
    #[serde(deserialize_with = "values::quota")]
    pub(crate) members_per_day: u32,
    #[serde(deserialize_with = "values::quota")]
    pub(crate) strangers_per_hour: u32,
    #[serde(deserialize_with = "values::quota")]
    pub(crate) sessions: u32,
    #[serde(deserialize_with = "values::quota")]
    pub(crate) spent_refresh_tokens: u32,
}

/// `[retention]`; `None` is for good.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    #[serde(deserialize_with = "values::retention")]
    pub(crate) chats: Option<Duration>,
    #[serde(deserialize_with = "values::retention")]
    pub(crate) groups: Option<Duration>,
    #[serde(deserialize_with = "values::retention")]
    pub(crate) channels: Option<Duration>,
    #[serde(deserialize_with = "values::retention")]
    pub(crate) deleted_messages: Option<Duration>,
    #[serde(deserialize_with = "values::retention")]
    pub(crate) mails: Option<Duration>,
    #[serde(deserialize_with = "values::retention")]
    pub(crate) unnamed_photos: Option<Duration>,
    #[serde(deserialize_with = "values::retention")]
    pub(crate) ledger: Option<Duration>,
}

/// `[ledger]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ledger {
    pub(crate) enabled: bool,
    pub(crate) addresses: LedgerAddresses,
    #[serde(deserialize_with = "values::size")]
    pub(crate) memory_bytes: usize,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) write_interval: Duration,
}

/// The part of the clients' addresses that the ledger keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LedgerAddresses {
    /// The whole address.
    Full,
    /// Its network.
    Network,
    /// Nothing.
    None,
}

/// `[bridge]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Bridge {
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) connect_timeout: Duration,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) answer_timeout: Duration,
    #[serde(deserialize_with = "values::size")]
    pub(crate) max_message_bytes: usize,
    #[serde(deserialize_with = "values::within::<_, _, 1, 10_000_000>")]
    pub(crate) max_sessions: u32,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) session_lifetime: Duration,
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000>")]
    pub(crate) max_idle_connections: u32,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) idle_timeout: Duration,
    #[serde(deserialize_with = "values::size")]
    pub(crate) mirror_queue_bytes: usize,
    /// The servers that the gateway knows by name, beside its own data.
    #[serde(flatten)]
    pub(crate) upstreams: BTreeMap<String, NamedUpstream>,
}

/// `[bridge.<name>]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedUpstream {
    pub(crate) url: String,
    pub(crate) dialect: String,
    /// Empty, like `accounts_dialect`, if users log in at `url`.
    pub(crate) accounts: String,
    pub(crate) accounts_dialect: String,
    /// Empty for the authorities that browsers trust.
    pub(crate) ca: PathBuf,
}

impl NamedUpstream {
    /// The names of its keys.
    pub(crate) const KEYS: [&str; 5] = ["url", "dialect", "accounts", "accounts_dialect", "ca"];
}

/// `[record]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) enabled: bool,
    /// Empty for one in the data folder.
    pub(crate) folder: PathBuf,
    #[serde(deserialize_with = "values::within::<_, _, 0, 100>")]
    pub(crate) share: u8,
    /// 0 for any.
    #[serde(deserialize_with = "values::within::<_, _, 0, 9_007_199_254_740_991>")]
    pub(crate) user: i64,
    #[serde(deserialize_with = "values::networks")]
    pub(crate) addresses: Vec<IpNet>,
    pub(crate) dialects: Vec<String>,
    pub(crate) texts: bool,
    /// Empty for a random one.
    #[serde(deserialize_with = "values::secret")]
    pub(crate) key: Secret,
    #[serde(deserialize_with = "values::size")]
    pub(crate) max_file_bytes: usize,
    #[serde(deserialize_with = "values::within::<_, _, 1, 100_000>")]
    pub(crate) max_files: usize,
    #[serde(deserialize_with = "values::size")]
    pub(crate) queue_bytes: usize,
}

/// `[keepalive]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keepalive {
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) ping_interval: Duration,
    #[serde(deserialize_with = "values::positive_duration")]
    pub(crate) pong_timeout: Duration,
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shutdown {
    #[serde(deserialize_with = "values::non_zero::<_, 1_000_000>")]
    pub(crate) connections_per_second: NonZeroU32,
    #[serde(deserialize_with = "values::duration")]
    pub(crate) grace_period: Duration,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    #[serde(deserialize_with = "values::log_filter")]
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// Text for people.
    Human,
    /// One JSON object per line.
    Json,
}

/// `[routing]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Routing {
    #[serde(deserialize_with = "values::paths")]
    pub(crate) shared_paths: Vec<String>,
}

/// `[dialects]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Dialects {
    /// The folder of the operator's dialect files; empty for none.
    pub(crate) folder: PathBuf,
    /// Every dialect of [`crate::dialects`] has one.
    #[serde(flatten)]
    pub(crate) by_id: BTreeMap<String, DialectSection>,
}

/// `[dialects.<id>]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct DialectSection {
    pub(crate) enabled: bool,
    /// `None`: that of `[limits]`, or else the dialect's own.
    #[serde(deserialize_with = "values::optional_size")]
    pub(crate) max_frame_bytes: Option<usize>,
    pub(crate) disabled_revisions: Vec<String>,
    #[serde(rename = "pin", deserialize_with = "pins::pins")]
    pub(crate) pins: Vec<Pin>,
    /// The namespace of the ids that its clients know; `None`: those of the world.
    #[serde(deserialize_with = "values::optional_namespace")]
    pub(crate) ids: Option<IdNamespace>,
    /// The dialect's own options, for [`crate::dialects::configure`].
    #[serde(flatten)]
    pub(crate) options: OptionTable,
}
