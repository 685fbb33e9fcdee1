//! Errors of commands, for the operator. None shows a secret.

use crate::config::ConfigError;
use crate::dialects::{DialectError, DialectFilesError};
use std::error::Error;
use std::io;
use std::path::PathBuf;
use tolmach_adapters::{
    BucketOptionsError, CreateFolderError, EntropyError, KeyError, MailUrlError,
};
use tolmach_bus::OpenError;
use tolmach_capture::{CaptureError, InvalidFrame};
use tolmach_client::{Cause, ClientError, InvalidEndpoint, TrustError};
use tolmach_dialect_declared::{DraftError, FileError};
use tolmach_domain::{Fault, FlowId, InvalidNamespace};
use tolmach_engine::ports::{PortError, StoreError};
use tolmach_engine::{ErrorChain, ImportError, PruneError};
use tolmach_migration::compare::CompareError;
use tolmach_migration::translate::NoClientSide;
use tolmach_server::{BuildError, MetricsError, RouteError, TlsError};
use tolmach_store::CopyError;
use tolmach_world::SourceError;
use tracing_subscriber::filter::ParseError;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The arguments or the configuration are wrong: exit code 2.
    #[error(transparent)]
    Usage(UsageError),
    /// The command went wrong: exit code 1.
    #[error(transparent)]
    Runtime(RuntimeError),
}

/// Arguments or a configuration that are wrong. A message begins with the key, where there is one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("`dialects`")]
    Dialect(#[from] DialectError),
    #[error("`dialects.folder`")]
    Routes(#[source] RouteError),
    #[error("`log.filter`")]
    LogFilter(#[from] ParseError),
    #[error("`{key}` = {address:?} names no address")]
    Listen { key: &'static str, address: String, source: io::Error },
    #[error("`http.tls`")]
    Tls(#[from] TlsError),
    #[error("`store.url`")]
    Store(#[source] StoreError),
    #[error("`bus.url`")]
    Bus(#[from] OpenError),
    #[error("`mail.url`")]
    Mail(#[from] MailUrlError),
    #[error("`{key}`")]
    Photos { key: &'static str, source: BucketOptionsError },
    #[error("`{key}` is missing beside `{other}`")]
    MissingBeside { key: &'static str, other: &'static str },
    #[error("`blobs`: photos cannot be stored there")]
    PhotoBucket(#[source] PortError),
    #[error("`{key}`")]
    Keys { key: &'static str, source: KeyError },
    #[error("the file of the own secret, {}, cannot be used", path.display())]
    SecretFile { path: PathBuf, source: io::Error },
    #[error(
        "the file of the own secret, {}, has {length} bytes: it was cut short; remove it, and a \
         new one is made",
        path.display()
    )]
    ShortSecret { path: PathBuf, length: usize },
    #[error("{name}: nothing can be written in {}", folder.display())]
    Folder { name: &'static str, folder: PathBuf, source: io::Error },
    #[error("`--upstream-ca`")]
    UpstreamTrust(#[source] TrustError),
    #[error(
        "`bridge.{0}`: a name has lowercase letters, digits, - and _, begins with a letter, and is \
         not here"
    )]
    UpstreamName(String),
    #[error("`bridge.{name}.{key}` is missing")]
    UpstreamKey { name: String, key: &'static str },
    #[error("`bridge.{name}.{key}`")]
    UpstreamUrl { name: String, key: &'static str, source: InvalidEndpoint },
    #[error("`ca`")]
    UpstreamCa(#[source] TrustError),
    #[error("`bridge.{name}`")]
    Upstream { name: String, source: Box<UsageError> },
    #[error("there is no server {name:?}: the servers are {existing}")]
    NoSuchServer { name: String, existing: String },
    #[error("a login is needed")]
    NoLogin,
    #[error("the dialect {0} has no client side, which a bridge needs")]
    NoClientSide(String),
    #[error("every dialect is disabled: nothing would be served")]
    NothingEnabled,
    #[error("{} cannot be read", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {problem}", path.display())]
    Conformance { path: PathBuf, problem: String },
    #[error("{}", path.display())]
    Capture { path: PathBuf, source: DraftError },
    #[error(transparent)]
    NamedDialect(DialectError),
    #[error(transparent)]
    Untranslatable(#[from] NoClientSide),
    #[error("--format markdown is for --table")]
    MarkdownFrames,
    #[error("no frame of {0} was found")]
    NoFrames(String),
    #[error("{} cannot be made", path.display())]
    CaptureOutput { path: PathBuf, source: io::Error },
    #[error(transparent)]
    CaptureFile(#[from] CaptureError),
    #[error("{place}")]
    CaptureFrame { place: String, source: InvalidFrame },
    #[error("{place}: {text}")]
    FrameLine { place: String, text: String },
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error("`--to`")]
    ReplayTarget(#[source] InvalidEndpoint),
    #[error("`--ca`")]
    ReplayTrust(#[source] TrustError),
    #[error("{place}: an object with login and password is expected")]
    Credentials { place: String, source: serde_json::Error },
    #[error("{place}: `--connections` allows {max} at a time")]
    ReplayConnections { place: String, max: usize },
    #[error("{place}: there is no dialect {dialect}; the dialects are {existing}")]
    ReplayDialect { place: String, dialect: String, existing: String },
    #[error("{place}: the server was lost")]
    ReplayLost { place: String, source: Cause },
    #[error("{0} is a dialect of Tolmach's own: choose another id")]
    DialectTaken(String),
    #[error("{} cannot be made", folder.display())]
    NewFolder { folder: PathBuf, source: io::Error },
    #[error("`--from`: {0}")]
    ImportSource(String),
    #[error("`--name` is for `--from django`: the tables and columns of others are known")]
    DjangoNames,
    #[error("standard input cannot be read twice, as --match and --decisions need it; use a file")]
    MergedInput,
    #[error("a password is needed")]
    NoPassword,
    #[error("nothing to set: give --admin, --business, --email, --password or --password-stdin")]
    NothingToSet,
    #[error("the configuration has {} mistakes", .0.len())]
    Several(Vec<UsageError>),
}

/// A command that went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    #[error("no threads can be started")]
    Threads(#[source] io::Error),
    #[error(transparent)]
    Folder(#[from] CreateFolderError),
    #[error("no temporary folder can be created")]
    TemporaryFolder(#[source] io::Error),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} cannot be written", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    #[error("standard input cannot be read")]
    Input(#[source] io::Error),
    #[error("standard output cannot be written")]
    Output(#[source] io::Error),
    #[error("there is no account {0:?}")]
    NoSuchAccount(String),
    #[error("there is no conversation {0}")]
    NoSuchFlow(FlowId),
    #[error("there is no rule {0}; `tolmach lifecycle list` has them all")]
    NoSuchRule(String),
    #[error(
        "{clients} clients of {users} users would have been cut off, which sent {requests} requests"
    )]
    CutOff { clients: usize, users: usize, requests: u64 },
    #[error(transparent)]
    Prune(#[from] PruneError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("{} cannot be read", path.display())]
    WorldFile { path: PathBuf, source: io::Error },
    #[error(transparent)]
    WorldSource(#[from] SourceError),
    #[error("{0}")]
    World(String),
    #[error(
        "{0}: the first line is no {{\"world\":{{\"form\":\"tolmach-world/1\",…}}}}; \
         the database of another server is read with `--from SERVER`"
    )]
    NoWorldHeader(String),
    #[error("the file for refused records cannot be written")]
    Rejects(#[source] io::Error),
    #[error("the file of decisions, {}, cannot be written", path.display())]
    DecisionFile { path: PathBuf, source: io::Error },
    #[error("{place}: {text}")]
    Decision { place: String, text: String },
    #[error(
        "{users} users of the source are in conflict with others: nothing was imported; decide \
         about each in the file of --decisions, and run the command again"
    )]
    Undecided { users: u64 },
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("the import ended unexpectedly")]
    ImportTask(#[source] tokio::task::JoinError),
    #[error(
        "the first {lines} lines are not those of the import that was interrupted; with --restart \
         it begins anew, and what is there is found"
    )]
    ImportChanged { lines: u64 },
    #[error("{messages} messages, read back, are not as they were imported")]
    ImportWrong { messages: u64 },
    #[error("{records} records were refused; --rejects FILE collects them\n{text}")]
    Refused { records: u64, text: String },
    #[error(transparent)]
    Namespace(#[from] InvalidNamespace),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("frames that differ: {differences}")]
    Differences { report: String, differences: u64 },
    #[error("something was lost in the translation of {lossy} of {frames} frames")]
    Lossy { frames: u64, lossy: u64 },
    #[error("the demo went wrong: {0}")]
    Demo(String),
    #[error("the demo's gateway ended unexpectedly")]
    DemoServer(#[source] tokio::task::JoinError),
}

impl CliError {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Runtime(_) => 1,
        }
    }

    /// One line per mistake, with its causes.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Usage(error) => usage_lines(error),
            Self::Runtime(RuntimeError::Refused { records, text }) => {
                let count = format!("{records} records were refused; --rejects FILE collects them");
                text.lines().map(str::to_owned).chain([count]).collect()
            }
            Self::Runtime(error) => vec![line(error)],
        }
    }
}

fn usage_lines(error: &UsageError) -> Vec<String> {
    match error {
        UsageError::Several(mistakes) => mistakes.iter().flat_map(usage_lines).collect(),
        UsageError::Config(ConfigError::Mistakes(mistakes)) => mistakes.iter().map(line).collect(),
        UsageError::Dialect(DialectError::Files(DialectFilesError::File(FileError(problems))))
        | UsageError::NamedDialect(DialectError::Files(DialectFilesError::File(FileError(
            problems,
        )))) => problems.iter().map(ToString::to_string).collect(),
        error => vec![line(error)],
    }
}

/// An error and its causes on one line, whatever their texts.
fn line(error: &(impl Error + 'static)) -> String {
    let text = ErrorChain(error).to_string();
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

impl From<UsageError> for CliError {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}

impl From<RuntimeError> for CliError {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}

/// Conversions by way of [`RuntimeError`].
macro_rules! from_runtime_errors {
    ($($error:ty),+) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::Runtime(error.into())
            }
        })+
    };
}

from_runtime_errors!(
    BuildError,
    ClientError,
    CopyError,
    CreateFolderError,
    EntropyError,
    Fault,
    MetricsError,
    StoreError
);
