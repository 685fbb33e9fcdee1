//! The configuration: the documented defaults, a file, the environment and the command line, each
//! stronger than the last.
//!
//! `config/tolmach.toml` is compiled in and gives every default, so that it cannot disagree with
//! them. A key that it does not have is refused, wherever it comes from.

use ipnet::IpNet;
use lettre::message::Mailbox;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tolmach_domain::Secret;
use toml::{Table, Value};

/// The documented defaults.
const DEFAULTS: &str = include_str!("../../../config/tolmach.toml");
const ENVIRONMENT_PREFIX: &str = "TOLMACH__";
/// Keys whose values no message shows.
const SECRETS: [&str; 8] = [
    "auth.jwt_secret",
    "auth.keys",
    "mail.url",
    "store.url",
    "bus.url",
    "blobs.url",
    "blobs.endpoint",
    "blobs.secret_access_key",
];

/// Why a configuration is refused, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// Everything an operator decides. Each key is described in `config/tolmach.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) http: Http,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) auth: Auth,
    pub(crate) mail: Mail,
    pub(crate) blobs: Blobs,
    pub(crate) limits: Limits,
    pub(crate) keepalive: Keepalive,
    pub(crate) shutdown: Shutdown,
    pub(crate) log: Log,
    pub(crate) doors: Doors,
    /// By dialect id; every registered dialect has one.
    pub(crate) dialects: BTreeMap<String, DialectOptions>,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    #[serde(deserialize_with = "read::address")]
    pub(crate) listen: String,
    /// Without a slash at the end; empty to derive it, see [`Config::public_url`].
    #[serde(deserialize_with = "read::public_url")]
    pub(crate) public_url: String,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) header_timeout: Duration,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) body_timeout: Duration,
    #[serde(deserialize_with = "read::within::<_, _, 1, 10_000_000>")]
    pub(crate) max_connections: usize,
    #[serde(deserialize_with = "read::within::<_, _, 1, 10_000>")]
    pub(crate) request_limit: u32,
    #[serde(deserialize_with = "read::networks")]
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    /// May carry a password.
    #[serde(deserialize_with = "read::secret")]
    pub(crate) url: Secret,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) timeout: Duration,
    #[serde(deserialize_with = "read::within::<_, _, 1, 1_000>")]
    pub(crate) read_connections: u32,
}

/// `[bus]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bus {
    /// May carry a password.
    #[serde(deserialize_with = "read::secret")]
    pub(crate) url: Secret,
    #[serde(deserialize_with = "read::prefix")]
    pub(crate) prefix: String,
    pub(crate) sharded: bool,
    #[serde(deserialize_with = "read::size")]
    pub(crate) queue: usize,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) check: Duration,
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    #[serde(deserialize_with = "read::secret")]
    pub(crate) jwt_secret: Secret,
    pub(crate) jwt_keys: PathBuf,
    #[serde(deserialize_with = "read::keys")]
    pub(crate) keys: Vec<Key>,
    pub(crate) registration: bool,
    #[serde(deserialize_with = "read::within::<_, _, 1, 1024>")]
    pub(crate) password_min: usize,
    #[serde(deserialize_with = "read::within::<_, _, 4, 31>")]
    pub(crate) bcrypt_cost: u32,
    #[serde(deserialize_with = "read::within::<_, _, 0, 1024>")]
    pub(crate) password_workers: usize,
    #[serde(deserialize_with = "read::within::<_, _, 0, 1_000_000>")]
    pub(crate) password_queue: usize,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) token_lifetime: Duration,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) access_lifetime: Duration,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) refresh_lifetime: Duration,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) recovery_lifetime: Duration,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) failure_window: Duration,
    #[serde(deserialize_with = "read::within::<_, _, 0, 1_000_000>")]
    pub(crate) free_failures: u32,
    #[serde(deserialize_with = "read::within::<_, _, 1, 1_000_000>")]
    pub(crate) failures: u32,
    #[serde(deserialize_with = "read::within::<_, _, 1, 1_000_000>")]
    pub(crate) failures_of_login: u32,
    #[serde(deserialize_with = "read::within::<_, _, 1, 1_000_000>")]
    pub(crate) failures_of_address: u32,
    #[serde(deserialize_with = "read::duration_or_zero")]
    pub(crate) failure_delay: Duration,
    #[serde(deserialize_with = "read::duration_or_zero")]
    pub(crate) failure_delay_max: Duration,
    #[serde(deserialize_with = "read::within::<_, _, 0, 1_000_000>")]
    pub(crate) failures_waiting: usize,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) trust: Duration,
}

/// `[[auth.keys]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) kid: String,
    pub(crate) algorithm: KeyAlgorithm,
    /// For HS256.
    #[serde(default, deserialize_with = "read::some_secret")]
    pub(crate) secret: Option<Secret>,
    /// The file of any other key.
    #[serde(default, deserialize_with = "read::some_path")]
    pub(crate) pem: Option<PathBuf>,
    #[serde(default)]
    pub(crate) signing: bool,
}

/// What a key signs with; RFC 7518 section 3.1 and RFC 8037.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum KeyAlgorithm {
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// `[mail]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    /// May carry a password.
    #[serde(deserialize_with = "read::secret")]
    pub(crate) url: Secret,
    #[serde(deserialize_with = "read::mailbox")]
    pub(crate) from: Mailbox,
}

/// `[blobs]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Blobs {
    /// May carry a password by mistake.
    #[serde(deserialize_with = "read::secret")]
    pub(crate) url: Secret,
    pub(crate) folder: PathBuf,
    /// May carry a password by mistake.
    #[serde(deserialize_with = "read::secret")]
    pub(crate) endpoint: Secret,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    #[serde(deserialize_with = "read::secret")]
    pub(crate) secret_access_key: Secret,
    pub(crate) allow_http: bool,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) timeout: Duration,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// `None`: each dialect's own.
    #[serde(deserialize_with = "read::some_size")]
    pub(crate) frame: Option<usize>,
    #[serde(deserialize_with = "read::size")]
    pub(crate) first_frame: usize,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) first_frame_timeout: Duration,
    #[serde(deserialize_with = "read::within::<_, _, 4, 120>")]
    pub(crate) depth: usize,
    #[serde(deserialize_with = "read::within::<_, _, 1, 1_000_000>")]
    pub(crate) rate: u32,
    #[serde(deserialize_with = "read::within::<_, _, 1, 1_000_000>")]
    pub(crate) burst: u32,
    #[serde(deserialize_with = "read::size")]
    pub(crate) queue: usize,
    #[serde(deserialize_with = "read::within::<_, _, 1, 1_000_000>")]
    pub(crate) syntax_errors: u32,
    #[serde(deserialize_with = "read::within::<_, _, 2, 1_000_000>")]
    pub(crate) members: usize,
    #[serde(deserialize_with = "read::within::<_, _, 1, 1_000_000>")]
    pub(crate) history: u32,
}

/// `[keepalive]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keepalive {
    #[serde(deserialize_with = "read::duration")]
    pub(crate) ping: Duration,
    #[serde(deserialize_with = "read::duration")]
    pub(crate) timeout: Duration,
}

/// `[shutdown]`
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shutdown {
    #[serde(deserialize_with = "read::within::<_, _, 1, 1_000_000>")]
    pub(crate) rate: u32,
    #[serde(deserialize_with = "read::duration_or_zero")]
    pub(crate) grace: Duration,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    #[serde(deserialize_with = "read::filter")]
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One object a line.
    Json,
}

/// `[doors]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Doors {
    #[serde(deserialize_with = "read::paths")]
    pub(crate) shared: Vec<String>,
}

/// `[dialects.<id>]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DialectOptions {
    pub(crate) enabled: bool,
    /// `None`: the dialect's own default.
    #[serde(deserialize_with = "read::some_flag")]
    pub(crate) push: Option<bool>,
    pub(crate) reveal_unknown_user: bool,
    /// `None`: what `[limits]` says, or else the dialect's own.
    #[serde(deserialize_with = "read::some_size")]
    pub(crate) frame: Option<usize>,
    /// Empty: the dialect's own choice.
    #[serde(deserialize_with = "read::origins")]
    pub(crate) origins: Vec<String>,
}

/// Where a configuration is read from, weakest first.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The name of a TOML file and its text.
    pub(crate) file: Option<(PathBuf, String)>,
    /// The whole environment; what does not begin with `TOLMACH__` is passed over.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Flags: how each is called, the key that it sets, and its value.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// The process's environment and the file: a named one must exist, the data folder's may.
    pub(crate) fn gather(named: Option<&Path>, data: &Path) -> Result<Self, ConfigError> {
        let path = named.map_or_else(|| data.join("tolmach.toml"), Path::to_owned);
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => None,
            Err(error) => {
                return Err(ConfigError(format!("{} cannot be read: {error}", path.display())));
            }
        };
        Ok(Self { file, environment: std::env::vars_os().collect(), flags: Vec::new() })
    }
}

impl Config {
    /// The defaults, changed by the sources. `dialects` are the ids of the registered dialects.
    pub(crate) fn load(sources: Sources, dialects: &[&str]) -> Result<Self, ConfigError> {
        let mut schema = Schema::new(dialects)?;
        let mut changes = Vec::new();
        if let Some((path, text)) = sources.file {
            let origin = path.display().to_string();
            // Only the message: the error's full form quotes the line, which may hold a secret.
            let table: Table = text.parse().map_err(|error: toml::de::Error| {
                let line = error
                    .span()
                    .map_or(0, |span| text[..span.start.min(text.len())].lines().count().max(1));
                ConfigError(format!("{origin}, line {line}: {}", error.message()))
            })?;
            flatten("", table, &mut |key, value| changes.push((origin.clone(), key, value)));
        }
        for (name, value) in sources.environment {
            let Some(key) = name.to_str().and_then(|name| name.strip_prefix(ENVIRONMENT_PREFIX))
            else {
                continue;
            };
            let origin = format!("the environment ({ENVIRONMENT_PREFIX}{key})");
            let key = key.to_lowercase().replace("__", ".");
            let value = value
                .into_string()
                .map_err(|_| ConfigError(format!("`{key}` in {origin} is not UTF-8")))?;
            let value = schema.typed(&key, value);
            changes.push((origin, key, value));
        }
        for (flag, key, value) in sources.flags {
            changes.push((flag.to_owned(), key.to_owned(), schema.typed(key, value)));
        }
        for (origin, key, value) in changes {
            schema.change(&origin, &key, value)?;
        }
        schema.read().map_err(|error| ConfigError(error.message().to_owned()))
    }

    /// What links begin with, without a slash at the end.
    pub(crate) fn public_url(&self) -> String {
        if self.http.public_url.is_empty() {
            format!("http://{}", self.http.listen)
        } else {
            self.http.public_url.clone()
        }
    }
}

/// All keys with the values found so far.
struct Schema {
    values: Table,
}

impl Schema {
    fn new(dialects: &[&str]) -> Result<Self, ConfigError> {
        let mut values: Table = DEFAULTS
            .parse()
            .map_err(|error| ConfigError(format!("the compiled-in defaults: {error}")))?;
        // The file shows the options of one dialect; every dialect has them.
        let shown =
            values.remove("dialects").and_then(|shown| shown.as_table()?.values().next().cloned());
        let shown =
            shown.ok_or_else(|| ConfigError("the compiled-in defaults show no dialect".into()))?;
        let sections =
            dialects.iter().map(|id| ((*id).to_owned(), shown.clone())).collect::<Table>();
        values.insert("dialects".into(), Value::Table(sections));
        Ok(Self { values })
    }

    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        flatten("", self.values.clone(), &mut |key, _| keys.push(key));
        keys
    }

    fn read(&self) -> Result<Config, toml::de::Error> {
        self.values.clone().try_into()
    }

    fn value(&mut self, key: &str) -> Option<&mut Value> {
        let mut parts = key.split('.');
        let first = self.values.get_mut(parts.next()?)?;
        parts
            .try_fold(first, |value, part| value.as_table_mut()?.get_mut(part))
            .filter(|value| !value.is_table())
    }

    /// A text as the type that the key's default has, if it can be read as that.
    fn typed(&mut self, key: &str, text: String) -> Value {
        match self.value(key) {
            Some(Value::Integer(_)) => text.parse().map_or(Value::String(text), Value::Integer),
            Some(Value::Boolean(_)) => text.parse().map_or(Value::String(text), Value::Boolean),
            Some(Value::Array(_)) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
            }
            _ => Value::String(text),
        }
    }

    /// Sets one key, or says what is wrong with it.
    fn change(&mut self, origin: &str, key: &str, value: Value) -> Result<(), ConfigError> {
        let Some(place) = self.value(key) else { return Err(self.unknown(origin, key)) };
        let given = value.to_string();
        *place = value;
        // All other values are good already, so whatever cannot be read is this one.
        self.read().map(|_| ()).map_err(|error| {
            let given = if SECRETS.contains(&key) { String::new() } else { format!(" = {given}") };
            ConfigError(format!("`{key}`{given} in {origin}: {}", error.message()))
        })
    }

    fn unknown(&self, origin: &str, key: &str) -> ConfigError {
        let keys = self.keys();
        let nearest = keys
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
        let section = key.rsplit_once('.').map_or("", |(section, _)| section);
        let below = |section: &str| {
            let prefix = format!("{section}.");
            keys.iter()
                .filter_map(|key| key.strip_prefix(&prefix))
                .filter(|key| !key.contains('.'))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (whole, siblings) = (below(key), below(section));
        let mut text = if whole.is_empty() {
            format!(
                "unknown key `{key}` in {origin}; the nearest is `{}`",
                nearest.map_or("", String::as_str)
            )
        } else {
            return ConfigError(format!(
                "`{key}` in {origin} is a section, not a value; it has the keys {whole}"
            ));
        };
        if siblings.is_empty() {
            let sections = self.values.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            text.push_str(&format!(". The sections are {sections}"));
            if section.starts_with("dialects") || key.starts_with("dialects") {
                let dialects = self.values.get("dialects").and_then(Value::as_table);
                let ids = dialects
                    .into_iter()
                    .flat_map(Table::keys)
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ");
                text.push_str(&format!(", the dialects {ids}"));
            }
        } else {
            text.push_str(&format!(". [{section}] has {siblings}"));
        }
        ConfigError(text)
    }
}

/// Every value by its dotted key; a section without keys has none.
fn flatten(prefix: &str, table: Table, found: &mut impl FnMut(String, Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(table) => flatten(&key, table, found),
            value => found(key, value),
        }
    }
}

/// How values are read: each says what it accepts.
mod read {
    use super::*;

    pub(super) fn within<
        'de,
        D: Deserializer<'de>,
        T: TryFrom<u64>,
        const LEAST: u64,
        const MOST: u64,
    >(
        from: D,
    ) -> Result<T, D::Error> {
        let number =
            Value::deserialize(from)?.as_integer().and_then(|number| u64::try_from(number).ok());
        number
            .filter(|number| (LEAST..=MOST).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                D::Error::custom(format!("a whole number from {LEAST} to {MOST} is expected"))
            })
    }

    pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let duration = duration_or_zero(from)?;
        if duration.is_zero() {
            Err(D::Error::custom("a duration longer than zero is expected"))
        } else {
            Ok(duration)
        }
    }

    pub(super) fn duration_or_zero<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Duration, D::Error> {
        let value = Value::deserialize(from)?;
        value.as_str().and_then(parse_duration).ok_or_else(|| {
            D::Error::custom("a duration such as \"500ms\", \"30s\", \"5m\", \"12h\" or \"7d\" is expected, of at most 36500d")
        })
    }

    /// A whole number and a unit.
    pub(super) fn parse_duration(text: &str) -> Option<Duration> {
        const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);
        let (number, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit())?);
        let number: u64 = number.parse().ok()?;
        let milliseconds = match unit.trim_start() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number
            .checked_mul(milliseconds)
            .map(Duration::from_millis)
            .filter(|duration| *duration <= LONGEST)
    }

    pub(super) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        some_size(from)?.ok_or_else(|| D::Error::custom("a size larger than zero is expected"))
    }

    pub(super) fn some_flag<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
        match Value::deserialize(from)? {
            Value::Boolean(flag) => Ok(Some(flag)),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => text
                .parse()
                .map(Some)
                .map_err(|_| D::Error::custom("true or false is expected, or nothing")),
            _ => Err(D::Error::custom("true or false is expected, or nothing")),
        }
    }

    pub(super) fn some_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
        let bytes = match Value::deserialize(from)? {
            Value::Integer(bytes) => usize::try_from(bytes).ok(),
            Value::String(text) if text.is_empty() => Some(0),
            Value::String(text) => parse_size(&text),
            _ => None,
        };
        let bytes = bytes.filter(|bytes| *bytes <= 1 << 30);
        let bytes = bytes.ok_or_else(|| {
            D::Error::custom(
                "a size is expected: bytes, or \"64KiB\", \"1MiB\", and at most \"1GiB\"",
            )
        })?;
        Ok((bytes > 0).then_some(bytes))
    }

    /// A whole number and perhaps a unit.
    pub(super) fn parse_size(text: &str) -> Option<usize> {
        let (number, unit) =
            text.split_at(text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len()));
        let shift = match unit.trim_start() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return None,
        };
        number.parse::<usize>().ok()?.checked_mul(1 << shift)
    }

    /// What the names of channels begin with.
    pub(super) fn prefix<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let text = String::deserialize(from)?;
        let fits = text.len() <= 64
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":._-".contains(&byte));
        fits.then_some(text).ok_or_else(|| {
            D::Error::custom(
                "at most 64 letters, digits, colons, dots, hyphens and underscores are expected",
            )
        })
    }

    pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        match Value::deserialize(from)? {
            Value::String(text) => Ok(Secret::new(text)),
            _ => Err(D::Error::custom("a string is expected")),
        }
    }

    pub(super) fn some_secret<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Secret>, D::Error> {
        secret(from).map(Some)
    }

    pub(super) fn some_path<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let text = secret(from)?;
        if text.expose().contains("-----") {
            return Err(D::Error::custom("`pem` is the name of a file, not the key itself"));
        }
        Ok(Some(PathBuf::from(text.expose())))
    }

    /// Read by hand, so that no message quotes what was given in place of a key.
    pub(super) fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Key>, D::Error> {
        let not_keys = || {
            D::Error::custom(
                "tables are expected: [[auth.keys]] with kid, algorithm, secret or pem, and signing",
            )
        };
        let Value::Array(keys) = Value::deserialize(from)? else { return Err(not_keys()) };
        let read = |key: Value| {
            if key.is_table() {
                key.try_into().map_err(|error| D::Error::custom(error.message()))
            } else {
                Err(not_keys())
            }
        };
        keys.into_iter().map(read).collect()
    }

    pub(super) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let value = Value::deserialize(from)?;
        let good = |text: &&str| {
            text.rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        value
            .as_str()
            .filter(good)
            .map(str::to_owned)
            .ok_or_else(|| D::Error::custom("host:port is expected, such as \"127.0.0.1:8080\""))
    }

    pub(super) fn public_url<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let value = Value::deserialize(from)?;
        let good = |text: &&str| {
            text.is_empty()
                || text.parse::<http::Uri>().is_ok_and(|url| {
                    matches!(url.scheme_str(), Some("http" | "https"))
                        && url.host().is_some_and(|host| !host.is_empty())
                        && url.query().is_none()
                })
        };
        let expected =
            || D::Error::custom("an http:// or https:// address without ? is expected, or nothing");
        value
            .as_str()
            .filter(good)
            .map(|text| text.trim_end_matches('/').to_owned())
            .ok_or_else(expected)
    }

    pub(super) fn mailbox<'de, D: Deserializer<'de>>(from: D) -> Result<Mailbox, D::Error> {
        let value = Value::deserialize(from)?;
        let mailbox = value.as_str().and_then(|text| text.parse().ok());
        mailbox.ok_or_else(|| {
            D::Error::custom("a mailbox is expected, such as \"Chat <chat@example.org>\"")
        })
    }

    pub(super) fn filter<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let value = Value::deserialize(from)?;
        let good = |text: &&str| tracing_subscriber::EnvFilter::try_new(text).is_ok();
        let expected = || {
            D::Error::custom(
                "levels are expected: error, warn, info, debug or trace, also per target (\"info,tolmach_store=debug\")",
            )
        };
        value.as_str().filter(good).map(str::to_owned).ok_or_else(expected)
    }

    pub(super) fn origins<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        let expected = || {
            D::Error::custom(
                "a list of origins is expected, such as \"https://chat.example.org\", without a path",
            )
        };
        let Value::Array(origins) = Value::deserialize(from)? else { return Err(expected()) };
        let good = |text: &&str| {
            text.parse::<http::Uri>().is_ok_and(|url| {
                let authority = url.authority().is_some_and(|authority| {
                    !authority.host().is_empty() && !authority.as_str().contains('@')
                });
                url.scheme().is_some()
                    && authority
                    && url.path() == "/"
                    && !text.ends_with('/')
                    && url.query().is_none()
            })
        };
        let read = |origin: &Value| origin.as_str().filter(good).map(str::to_owned);
        origins.iter().map(read).collect::<Option<_>>().ok_or_else(expected)
    }

    /// Addresses and networks; an address is a network of one. IPv4 written as IPv6 is IPv4.
    pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
        let expected = || {
            D::Error::custom(
                "a list of addresses and networks is expected, such as \"127.0.0.1\" or \"10.0.0.0/8\"",
            )
        };
        let Value::Array(networks) = Value::deserialize(from)? else { return Err(expected()) };
        let parse = |text: &str| {
            text.parse::<IpNet>().ok().or_else(|| {
                text.parse::<IpAddr>().ok().map(|address| address.to_canonical().into())
            })
        };
        let read = |network: &Value| network.as_str().and_then(parse);
        networks.iter().map(read).collect::<Option<_>>().ok_or_else(expected)
    }

    pub(super) fn paths<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        let Value::Array(paths) = Value::deserialize(from)? else {
            return Err(D::Error::custom("a list of paths is expected"));
        };
        let good = |path: &&str| {
            path.starts_with('/')
                && !path.contains(['?', '#'])
                && !path.contains(char::is_whitespace)
        };
        let read = |path: &Value| path.as_str().filter(good).map(str::to_owned);
        paths
            .iter()
            .map(read)
            .collect::<Option<_>>()
            .ok_or_else(|| D::Error::custom("paths that begin with / are expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECTS: [&str; 2] = ["mode", "bearer"];

    fn load(
        file: &str,
        environment: &[(&str, &str)],
        flags: &[(&'static str, &'static str, &str)],
    ) -> Result<Config, ConfigError> {
        let sources = Sources {
            file: Some(("chat.toml".into(), file.into())),
            environment: environment
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            flags: flags
                .iter()
                .map(|(flag, key, value)| (*flag, *key, (*value).to_owned()))
                .collect(),
        };
        Config::load(sources, &DIALECTS)
    }

    fn default() -> Config {
        Config::load(Sources::default(), &DIALECTS).unwrap()
    }

    #[test]
    fn the_documented_file_names_every_key_and_no_other() {
        // Every field is required and no other is accepted, so that what is read whole names
        // exactly the keys there are.
        let documented: Table = DEFAULTS.parse().unwrap();
        let config: Config = documented.clone().try_into().unwrap();
        assert_eq!(config, Config::load(Sources::default(), &["mode"]).unwrap());
        let mut keys = Vec::new();
        flatten("", documented.clone(), &mut |key, _| keys.push(key));
        assert!(keys.len() > 40, "{keys:?}");
        for key in keys {
            let mut without = documented.clone();
            let (section, name) = key.rsplit_once('.').unwrap();
            let table = section.split('.').fold(&mut without, |table, part| {
                table.get_mut(part).unwrap().as_table_mut().unwrap()
            });
            table.remove(name).unwrap();
            assert!(
                Config::deserialize(without).is_err(),
                "{key} is documented, yet nothing reads it"
            );
        }
        assert_eq!(
            load(DEFAULTS, &[], &[]).unwrap(),
            default(),
            "the file can be given back as it is"
        );
    }

    #[test]
    fn the_file_for_clusters_names_what_nodes_share_and_no_secret() {
        let config = load(include_str!("../../../config/cluster.toml"), &[], &[]).unwrap();
        assert!(config.store.url.expose().starts_with("postgres://"));
        assert_eq!(
            crate::world::bus_in_words(&config).unwrap(),
            "Redis at redis.internal:6379, channels tolmach:*"
        );
        assert!(
            crate::world::blob_target(&config, Path::new("data"))
                .unwrap()
                .to_string()
                .contains("tolmach-photos")
        );
        assert!(
            config.public_url().starts_with("https://") && !config.http.trusted_proxies.is_empty()
        );
        for url in [&config.store.url, &config.bus.url, &config.mail.url, &config.blobs.endpoint] {
            assert!(
                url.expose().split_once('@').is_none_or(|(user, _)| user.matches(':').count() == 1),
                "a password"
            );
        }
        assert_eq!(
            [&config.auth.jwt_secret, &config.blobs.secret_access_key].map(Secret::expose),
            ["", ""]
        );
    }

    #[test]
    fn the_examples_of_deployment_name_only_variables_that_are_read() {
        let mut schema = Schema::new(&DIALECTS).unwrap();
        let files = [
            include_str!("../../../examples/deploy/Dockerfile"),
            include_str!("../../../examples/deploy/compose.yaml"),
            include_str!("../../../examples/deploy/environment"),
        ];
        for file in files {
            let names: Vec<_> = file
                .split(ENVIRONMENT_PREFIX)
                .skip(1)
                .filter_map(|rest| rest.split([':', '=']).next())
                .collect();
            assert!(!names.is_empty());
            for name in names {
                assert!(schema.value(&name.to_lowercase().replace("__", ".")).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn the_engine_agrees_on_its_defaults() {
        let (config, policy) = (default(), tolmach_engine::Policy::default());
        assert_eq!(config.auth.registration, policy.registration);
        assert_eq!(config.auth.password_min, policy.password_min);
        assert_eq!(config.auth.token_lifetime, policy.token_lifetime);
        assert_eq!(config.auth.access_lifetime, policy.access_lifetime);
        assert_eq!(config.auth.refresh_lifetime, policy.refresh_lifetime);
        assert_eq!(config.auth.recovery_lifetime, policy.recovery_lifetime);
        assert_eq!(config.public_url(), policy.public_url);
        let guesses = policy.guesses;
        assert_eq!(config.auth.failure_window, guesses.window);
        assert_eq!(config.auth.free_failures, guesses.free);
        assert_eq!(config.auth.failures, guesses.per_pair);
        assert_eq!(config.auth.failures_of_login, guesses.per_login);
        assert_eq!(config.auth.failures_of_address, guesses.per_address);
        assert_eq!(
            (config.auth.failure_delay, config.auth.failure_delay_max),
            (guesses.delay, guesses.delay_max)
        );
        assert_eq!(config.auth.failures_waiting, guesses.waiting);
        assert_eq!(config.auth.trust, guesses.trust);
        assert_eq!(config.limits.history, policy.history_limit);
        assert_eq!(config.limits.members, policy.members_limit);
    }

    #[test]
    fn the_flag_is_stronger_than_the_environment_and_that_than_the_file() {
        let file = "[http]\nlisten = \"1.1.1.1:1\"\nmax_connections = 1\nrequest_limit = 1\n[dialects.bearer]\nenabled = false";
        let environment = [
            ("TOLMACH__HTTP__LISTEN", "2.2.2.2:2"),
            ("TOLMACH__HTTP__MAX_CONNECTIONS", "2"),
            ("HTTP__LISTEN", "nonsense"),
        ];
        let config = load(file, &environment, &[("--listen", "http.listen", "3.3.3.3:3")]).unwrap();
        assert_eq!(
            config.http,
            Http {
                listen: "3.3.3.3:3".into(),
                max_connections: 2,
                request_limit: 1,
                ..default().http
            }
        );
        assert_eq!(config.public_url(), "http://3.3.3.3:3");
        assert!(!config.dialects["bearer"].enabled);
        assert_eq!(config.dialects["mode"], default().dialects["mode"]);
    }

    #[test]
    fn every_form_of_value_is_read_from_the_environment() {
        let set =
            |key: &str, value: &str| load("", &[(&format!("TOLMACH__{key}"), value)], &[]).unwrap();
        assert_eq!(set("DOORS__SHARED", "/chat, /ws").doors.shared, ["/chat", "/ws"]);
        assert_eq!(set("DOORS__SHARED", "").doors.shared, Vec::<String>::new());
        let origins = ["https://chat.example.org", "http://localhost:3000"];
        assert_eq!(
            set("DIALECTS__MODE__ORIGINS", &origins.join(",")).dialects["mode"].origins,
            origins
        );
        assert_eq!(set("HTTP__BODY_TIMEOUT", "2 m").http.body_timeout, Duration::from_secs(120));
        assert_eq!(set("LIMITS__FIRST_FRAME", "4KiB").limits.first_frame, 4096);
        assert_eq!(set("LIMITS__FIRST_FRAME", "4096").limits.first_frame, 4096);
        assert_eq!(set("LIMITS__QUEUE", "4096").limits.queue, 4096);
        assert_eq!(set("AUTH__JWT_SECRET", "0123").auth.jwt_secret, Secret::new("0123"));
        assert!(
            set("DIALECTS__MODE__REVEAL_UNKNOWN_USER", "true").dialects["mode"].reveal_unknown_user
        );
        assert_eq!(set("LOG__FORMAT", "json").log.format, LogFormat::Json);
        let networks = ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128"]
            .map(|text| text.parse::<IpNet>().unwrap());
        assert_eq!(
            set("HTTP__TRUSTED_PROXIES", "10.0.0.0/8, ::ffff:192.0.2.1, 2001:db8::/32, ::1")
                .http
                .trusted_proxies,
            networks
        );
        assert_eq!(set("HTTP__TRUSTED_PROXIES", "").http.trusted_proxies, Vec::<IpNet>::new());
    }

    #[test]
    fn a_frame_limit_may_be_left_to_the_dialect() {
        for (file, limits, mode) in [
            ("", None, None),
            ("[limits]\nframe = 0", None, None),
            ("[limits]\nframe = \"2KiB\"", Some(2048), None),
            ("[limits]\nframe = 5\n[dialects.mode]\nframe = 9", Some(5), Some(9)),
        ] {
            let config = load(file, &[], &[]).unwrap();
            assert_eq!(
                (config.limits.frame, config.dialects["mode"].frame),
                (limits, mode),
                "{file}"
            );
        }
    }

    #[test]
    fn keys_are_read_and_their_mistakes_named() {
        let file = "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"s\"\n[[auth.keys]]\nkid = \"b\"\nalgorithm = \"EdDSA\"\npem = \"b.pem\"\nsigning = true";
        let keys = load(file, &[], &[]).unwrap().auth.keys;
        let [first, second] = keys.as_slice() else { panic!("{keys:?}") };
        assert_eq!(
            (first.algorithm, first.secret.as_ref(), first.signing),
            (KeyAlgorithm::Hs256, Some(&Secret::new("s")), false)
        );
        assert_eq!(
            (second.algorithm, second.pem.as_deref(), second.signing),
            (KeyAlgorithm::EdDsa, Some(Path::new("b.pem")), true)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let keys = "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\n";
        for (file, environment, expected) in [
            (
                "[http]\nlisen = \"\"",
                None,
                "unknown key `http.lisen` in chat.toml; the nearest is `http.listen`. [http] has body_timeout, ",
            ),
            (
                "[htp]\nlisten = \"\"",
                None,
                "the nearest is `http.listen`. The sections are auth, blobs, bus, ",
            ),
            ("lisen = 1", None, "unknown key `lisen`"),
            ("http = 1", None, "`http` in chat.toml is a section, not a value; it has the keys "),
            (
                "[dialects.mod]\npush = true",
                None,
                "the nearest is `dialects.mode.push`. The sections are auth",
            ),
            ("[dialects.mod]\npush = true", None, ", the dialects bearer, mode"),
            (
                "",
                Some(("TOLMACH__HTTP__LISTN", "x")),
                "`http.listn` in the environment (TOLMACH__HTTP__LISTN); the nearest is `http.listen`",
            ),
            (
                "[http]\nmax_connections = \"many\"",
                None,
                "`http.max_connections` = \"many\" in chat.toml: a whole number from 1 to 10000000",
            ),
            (
                "",
                Some(("TOLMACH__AUTH__BCRYPT_COST", "32")),
                "`auth.bcrypt_cost` = 32 in the environment (TOLMACH__AUTH__BCRYPT_COST): a whole number from 4 to 31",
            ),
            ("[http]\nlisten = \"8080\"", None, "host:port is expected"),
            ("[http]\npublic_url = \"ftp://x\"", None, "an http:// or https:// address"),
            (
                "[http]\nbody_timeout = 30",
                None,
                "`http.body_timeout` = 30 in chat.toml: a duration such as",
            ),
            ("[http]\nbody_timeout = \"0s\"", None, "longer than zero"),
            ("[http]\nbody_timeout = \"99999999999999999d\"", None, "a duration such as"),
            ("[bus]\nprefix = \"{a}:\"", None, "at most 64 letters"),
            ("[bus]\nqueue = 0", None, "a size larger than zero"),
            ("[limits]\nqueue = 0", None, "a size larger than zero"),
            ("[limits]\nqueue = \"1MB\"", None, "a size is expected"),
            ("[limits]\nqueue = -1", None, "a size is expected"),
            ("[log]\nformat = \"xml\"", None, "`human`"),
            ("[log]\nfilter = \"info,=,\"", None, "levels are expected"),
            ("[mail]\nfrom = \"nobody\"", None, "a mailbox is expected"),
            ("[doors]\nshared = [\"ws\"]", None, "begin with /"),
            (
                "[http]\ntrusted_proxies = [\"10.0.0.0/33\"]",
                None,
                "a list of addresses and networks",
            ),
            ("[http]\ntrusted_proxies = \"10.0.0.1\"", None, "a list of addresses and networks"),
            (
                "[dialects.mode]\norigins = [\"chat.example.org\"]",
                None,
                "a list of origins is expected",
            ),
            ("[dialects.mode]\norigins = [\"https://chat.example.org/\"]", None, "without a path"),
            (
                "[dialects.mode]\norigins = \"https://chat.example.org\"",
                None,
                "a list of origins is expected",
            ),
            ("[auth]\nregistration = \"yes\"", None, "`auth.registration` = \"yes\" in chat.toml"),
            ("[auth]\nkeys = 5", None, "[[auth.keys]] with kid"),
            (
                &format!("{keys}sekret = \"x\""),
                None,
                "expected one of `kid`, `algorithm`, `secret`, `pem`, `signing`",
            ),
            (&format!("{keys}pem = \"-----BEGIN PRIVATE KEY-----\""), None, "the name of a file"),
            (
                "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"none\"",
                None,
                "`HS256`, `RS256`, `ES256`, `EdDSA`",
            ),
            ("[http]\n\nlisten = ", None, "chat.toml, line 3: "),
        ] {
            let environment: Vec<_> = environment.into_iter().collect();
            let error = load(file, &environment, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{file}\n  said {error:?}\n  not  {expected:?}");
        }
    }

    #[test]
    fn no_message_shows_a_secret() {
        for (file, environment) in [
            ("[auth]\njwt_secret = [\"hunter2\"]", None),
            ("[auth]\njwt_secret = \"hunter2", None),
            ("[auth]\nkeys = [\"hunter2\"]", None),
            ("[[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = [\"hunter2\"]", None),
            (
                "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"ES256\"\npem = \"-----BEGIN hunter2\"",
                None,
            ),
            ("[mail]\nurl = {password = \"hunter2\"}", None),
            ("[store]\nurl = [\"hunter2\"]", None),
            ("[bus]\nurl = [\"hunter2\"]", None),
            ("[blobs]\nurl = [\"hunter2\"]", None),
            ("[blobs]\nendpoint = [\"hunter2\"]", None),
            ("[blobs]\nsecret_access_key = [\"hunter2\"]", None),
            ("", Some(("TOLMACH__AUTH__KEYS", "hunter2"))),
            ("", Some(("TOLMACH__AUTH__JWT_SECRETT", "hunter2"))),
        ] {
            let environment: Vec<_> = environment.into_iter().collect();
            let error = load(file, &environment, &[]).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{file}: {error}");
        }
        let config = load(
            "[auth]\njwt_secret = \"hunter2\"\n[mail]\nurl = \"smtp://a:hunter2@b\"\n[blobs]\nsecret_access_key = \"hunter2\"",
            &[],
            &[],
        )
        .unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
