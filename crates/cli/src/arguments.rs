//! The arguments of the command line.

use crate::config::{Config, ConfigError, Sources, parse_duration};
use crate::ledger_arguments::{LedgerArguments, SunsetArguments};
use crate::lifecycle_arguments::LifecycleCommand;
use crate::record_arguments::RecordArguments;
use crate::replay_arguments::{DiffArguments, ReplayArguments};
use crate::route_arguments::RouteCommand;
use crate::translate_arguments::TranslateArguments;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tolmach_client::Endpoint;
use tolmach_dialect::DOC;
use tolmach_domain::{FlowId, IdNamespace};
use tolmach_engine::ports::FlowRetention;

/// The longest retention of a flow, in days.
const MAX_DAYS: NonZeroU32 = NonZeroU32::new(36_500).expect("it is not zero");

/// A gateway between chat protocols: clients of different wire formats connect unchanged and talk
/// to each other.
///
/// Without a command it serves, and keeps all its data in the folder ./data.
#[derive(Debug, Parser)]
#[command(name = "tolmach", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) location: Location,
    #[command(flatten)]
    pub(crate) listen: ListenArguments,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Arguments {
    /// The arguments of this process.
    pub(crate) fn of_process() -> Result<Self, clap::Error> {
        Self::try_parse().and_then(Self::with_command)
    }

    /// Moves `--listen` from before the command to the command, which is `serve` if none is named.
    fn with_command(mut self) -> Result<Self, clap::Error> {
        let before = std::mem::take(&mut self.listen);
        match self.command.get_or_insert_with(|| Command::Serve(ListenArguments::default())) {
            Command::Serve(listen)
            | Command::Check(listen)
            | Command::Bridge(BridgeArguments { listen, .. }) => {
                listen.address = listen.address.take().or(before.address);
            }
            _ if before.address.is_some() => {
                return Err(Self::command().error(
                    ErrorKind::ArgumentConflict,
                    "--listen is for the commands serve, check and bridge",
                ));
            }
            _ => {}
        }
        Ok(self)
    }
}

/// The files of a gateway.
#[derive(Debug, Args)]
pub(crate) struct Location {
    /// The folder for all data
    #[arg(long, global = true, value_name = "DIR", env = "TOLMACH_DATA", default_value = "data")]
    pub(crate) data: PathBuf,
    /// The configuration file; without it, tolmach.toml in the data folder if there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl Location {
    /// The configuration of file, environment and flags.
    pub(crate) fn load_config(&self, listen: &ListenArguments) -> Result<Config, ConfigError> {
        let mut sources = Sources::gather(self.config.as_deref(), &self.data)?;
        let address = listen.address.clone();
        sources.flags.extend(address.map(|address| ("--listen", "http.listen", address)));
        Config::load(sources)
    }
}

/// The address of the listener.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ListenArguments {
    /// The address to listen on, host:port
    #[arg(long = "listen", value_name = "ADDR")]
    pub(crate) address: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until a shutdown signal
    Serve(ListenArguments),
    /// Check the configuration and the storage it names, and list what would be served
    ///
    /// PostgreSQL and object storage are contacted; Redis and the mail server are not, because a
    /// gateway starts without them. Nothing is created or changed.
    Check(ListenArguments),
    /// Bring the database up to date, as serving does too
    Migrate,
    /// Copy one database to another, which has to be new; an interrupted copy continues when the
    /// command is run again
    ///
    /// The source cannot be written meanwhile. Both databases are compared before the target can be
    /// used. Photos are not in the database: they stay where they are.
    Copy {
        /// The database to read, in the form of store.url
        #[arg(long, value_name = "URL", env = "TOLMACH_COPY_FROM", hide_env_values = true)]
        from: String,
        /// The database to fill, in the form of store.url
        #[arg(long, value_name = "URL", env = "TOLMACH_COPY_TO", hide_env_values = true)]
        to: String,
    },
    /// Import users, conversations and messages of another server, with their passwords and numbers
    ///
    /// Gateways may run meanwhile. What was imported before is found and not changed; an import
    /// that was interrupted resumes when the command is run again.
    Import(ImportArguments),
    /// Write all users, conversations and messages as lines of the form tolmach-world/1
    ///
    /// The lines have the hashes of passwords: keep them as private as the database. Photos are
    /// named, not contained.
    Export {
        /// The file, compressed by zstd if its name ends with .zst; without it, standard output
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The name by which an import finds these objects again
        #[arg(long, value_name = "NAME", default_value = "tolmach")]
        source: IdNamespace,
    },
    /// Add, change, delete and list accounts
    #[command(subcommand)]
    User(UserCommand),
    /// Tell or set for how long a conversation's messages are kept
    #[command(subcommand)]
    Flow(FlowCommand),
    /// Remove what the configuration no longer keeps, at once: see its section `retention`
    ///
    /// Gateways may run meanwhile; they remove the same by and by. What is removed is gone for
    /// good, but for backups.
    Prune(PruneArguments),
    /// Deprecate, brown out or refuse dialects and revisions, for all clients or some of them
    ///
    /// Rules are kept in the database. Gateways that run follow a change within two seconds.
    #[command(subcommand)]
    Lifecycle(LifecycleCommand),
    /// Have users served by another server, or their requests mirrored to it
    ///
    /// The servers are those of the sections `bridge.NAME` of the configuration, and `here`, the
    /// gateway with its own data, which serves whom no route is about. Routes are kept in the
    /// database. Gateways that run follow a change within two seconds: connections of users whom
    /// another server serves now are closed, so that their clients connect again.
    #[command(subcommand)]
    Route(RouteCommand),
    /// Tell which clients use which dialect, revision and operation, and when they did so last
    ///
    /// Gateways write the ledger once a minute: see the section `ledger` of the configuration.
    Ledger(LedgerArguments),
    /// Tell who would have been cut off without a dialect or revision; the exit code is 0 if nobody
    /// would, and 1 otherwise
    Sunset(SunsetArguments),
    /// Print an access token of an account
    Token {
        /// The login or e-mail address of the account
        login: String,
    },
    /// List the dialects with their revisions, and the paths where they are served
    Dialects,
    /// Check dialect files, and begin new ones
    #[command(subcommand)]
    Dialect(DialectCommand),
    /// Translate frames of one dialect to another, and name what is lost
    ///
    /// The exit code is 0 if nothing is lost, 1 if something is, and 2 if the input cannot be read
    /// or has no frame of FROM. Nothing is connected to.
    Translate(TranslateArguments),
    /// Stand before a server as a proxy, and record what its clients and it send
    ///
    /// Every byte goes on as it came. Passwords and tokens are replaced before anything is written.
    /// A gateway records its own traffic by `[record]` of its configuration.
    Record(RecordArguments),
    /// Play captured clients against a server, and record what it does
    ///
    /// The ids, tokens and times of the server take the place of the captured ones. With --diff the
    /// exit code is 0 if the server has done the same, 1 if not, and 2 if the server or a file was
    /// lost.
    Replay(ReplayArguments),
    /// Compare what two servers have answered to the same clients
    ///
    /// Ids, tokens and times are no differences, nor is the order of what a wire sends in no order.
    /// The exit code is 0 if everything is the same, 1 if not, and 2 if a capture cannot be read.
    Diff(DiffArguments),
    /// Serve clients of any dialect before a server of another
    ///
    /// Nothing is stored: logins and tokens are kept in memory, and everything else is the
    /// server's. Listeners, limits and the options of dialects are those of the configuration.
    Bridge(BridgeArguments),
    /// Show clients of every dialect in one conversation, over a gateway that leaves nothing behind
    Demo,
}

/// The server behind a bridge.
#[derive(Debug, Args)]
pub(crate) struct BridgeArguments {
    /// The server's URL: ws://HOST:PORT, wss://, http:// or https://, with a path if it is not that
    /// of the dialect; tcp://HOST:PORT or tls:// for raw JSON values
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Endpoint,
    /// The dialect of the server
    #[arg(long, value_name = "ID[/REVISION]")]
    pub(crate) upstream_dialect: UpstreamDialect,
    /// The URL at which users register and log in, if that is in another dialect: --upstream takes
    /// the tokens of this server, which gets all requests that the wire of --upstream does not have
    #[arg(long, value_name = "URL", requires = "accounts_dialect")]
    pub(crate) accounts: Option<Endpoint>,
    /// The dialect of --accounts
    #[arg(long, value_name = "ID[/REVISION]", requires = "accounts")]
    pub(crate) accounts_dialect: Option<UpstreamDialect>,
    /// Trust the authorities of this PEM file too, beside those that browsers trust
    #[arg(long, value_name = "FILE")]
    pub(crate) upstream_ca: Option<PathBuf>,
    /// Serve clients of this dialect, and of others that are named; without any, of all that the
    /// configuration enables
    #[arg(long = "dialect", value_name = "ID")]
    pub(crate) dialects: Vec<String>,
    #[command(flatten)]
    pub(crate) listen: ListenArguments,
}

/// The dialect of a server, and perhaps its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpstreamDialect {
    pub(crate) id: String,
    revision: Option<String>,
}

impl UpstreamDialect {
    /// The revision: that of the document if none was named.
    pub(crate) fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(DOC)
    }
}

impl FromStr for UpstreamDialect {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('/') {
            Some((id, revision)) => Self { id: id.to_owned(), revision: Some(revision.to_owned()) },
            None => Self { id: text.to_owned(), revision: None },
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum FlowCommand {
    /// Tell or set for how long the messages of a conversation are kept
    Retention {
        /// The number of the chat, group or channel
        #[arg(value_parser = flow_number)]
        flow: FlowId,
        /// The number of days, `forever`, or `default` for the period of its kind in the
        /// configuration; without it the present one is printed
        #[arg(value_name = "DAYS", value_parser = flow_retention)]
        retention: Option<FlowRetention>,
    },
}

/// The way of removing old records.
#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// Remove nothing, and tell how much would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Then write the SQLite file anew, so that it is as small as can be
    ///
    /// Needed once for a file of release 0.1, which cannot shrink otherwise. It takes some seconds
    /// for each gigabyte, and twice the new size in free space: beside the file, and in the folder
    /// for temporary files. Meanwhile gateways cannot write, and answer changes as unavailable.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) compact: bool,
}

/// The files or the database to import, and the way.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Files of the form tolmach-world/1, also compressed by zstd, `-` for standard input; with
    /// --from, the database's URL, sqlite:PATH or postgres://…; swiftly: two URLs, that of the
    /// login service first
    #[arg(required = true, value_name = "FILE")]
    pub(crate) input: Vec<PathBuf>,
    /// Read the database of another server: django, morelia, swiftly or uchat
    #[arg(long, value_name = "SERVER")]
    pub(crate) from: Option<String>,
    /// The name under which the ids of the other server are remembered; without it, SERVER
    ///
    /// Two databases of the same kind need two names: with one, the users of the second would be
    /// taken for those of the first.
    #[arg(long, value_name = "NAME", requires = "from")]
    pub(crate) source: Option<IdNamespace>,
    /// The name of a table or column of a Django project, such as user=auth_user, or nothing if it
    /// is not there, as in room.title=
    #[arg(long = "name", value_name = "KEY=NAME", requires = "from", value_parser = key_and_name)]
    pub(crate) names: Vec<(String, String)>,
    /// Import nothing, and tell what would be refused or changed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Merge users of the source with those here who have the same login or e-mail address
    ///
    /// With it, nothing is imported while a user is in conflict with others and no decision says
    /// what becomes of the user.
    #[arg(long = "match", value_name = "RULE")]
    pub(crate) matching: Option<MatchRule>,
    /// The file of decisions about users in conflict, as JSON Lines: conflicts are added to it
    ///
    /// With it, a first import waits for decisions too, as with `--match none`.
    #[arg(long, value_name = "FILE")]
    pub(crate) decisions: Option<PathBuf>,
    /// Go on until a signal comes: import what the other server stores meanwhile
    #[arg(long, requires = "from", conflicts_with_all = ["dry_run", "restart"])]
    pub(crate) follow: bool,
    /// The time between two looks at what is new
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    #[arg(requires = "follow")]
    pub(crate) every: Duration,
    /// Write the refused records to a file, as JSON Lines, and succeed all the same
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Begin at the first line, also after an interrupted import
    #[arg(long)]
    pub(crate) restart: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DialectCommand {
    /// Check files as serving does, each with those beside it that it extends
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print the conversations of the check's own client as well
        #[arg(long)]
        conversation: bool,
    },
    /// Print a file with comments to begin with, which passes the check
    New {
        /// The id of the dialect: lowercase letters and digits, a letter first
        #[arg(value_parser = dialect_id)]
        id: String,
        /// Draft the file from recorded frames: it matches them, and asks what they do not tell
        ///
        /// A line of the capture is a frame, after > of a client or < of its server, or an object
        /// with `dir` ("client", "server") and `frame`.
        #[arg(long, value_name = "CAPTURE", conflicts_with = "as_crate")]
        from: Option<PathBuf>,
        /// Write a crate into the folder ID-gateway instead, for a wire that no file can say
        #[arg(long = "crate", requires = "sources")]
        as_crate: bool,
        /// The folder of Tolmach's repository, whose crates the new one is built on
        #[arg(long, value_name = "DIR", requires = "as_crate")]
        sources: Option<PathBuf>,
    },
}

/// The rules by which users of a source are users here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MatchRule {
    /// No user is: every login and e-mail address that another user has is a conflict
    None,
    /// Users with the same login
    Login,
    /// Users with the same e-mail address
    Email,
}

/// Reads a duration that is not zero.
fn duration(text: &str) -> Result<Duration, &'static str> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or("a duration such as 500ms, 5s or 1m is expected")
}

/// Reads a key and the name after its equals sign.
fn key_and_name(text: &str) -> Result<(String, String), &'static str> {
    let (key, name) = text.split_once('=').ok_or("it has the form KEY=NAME")?;
    Ok((key.to_owned(), name.to_owned()))
}

/// Reads the id of a dialect.
fn dialect_id(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if crate::dialects::ids().contains(&text) {
        return Err(
            "a dialect of the program has this id; a file that extends one of its files is \
                    a revision of it",
        );
    }
    if text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("an id has lowercase letters and digits, and begins with a letter")
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add an account
    Add {
        /// The login
        login: String,
        #[command(flatten)]
        password: RequiredPassword,
        /// The e-mail address
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// Allow to act as administrator
        #[arg(long)]
        admin: bool,
        /// Set the business tariff
        #[arg(long)]
        business: bool,
    },
    /// Change an account; everything that is not named stays as it is
    Set {
        /// The login or e-mail address of the account
        login: String,
        /// Allow to act as administrator
        #[arg(long, value_name = "BOOL")]
        admin: Option<bool>,
        /// Set the business tariff
        #[arg(long, value_name = "BOOL")]
        business: Option<bool>,
        #[command(flatten)]
        password: OptionalPassword,
        /// The e-mail address
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
    },
    /// Delete an account: its sessions end, its messages stay, its login is never given out again
    Delete {
        /// The login or e-mail address of the account
        login: String,
        /// Erase the profile and delete the messages too: the login alone stays, so that it is
        /// never given out again. Reads all messages of the database
        #[arg(long)]
        erase: bool,
    },
    /// Write everything of a user into a new folder: data.jsonl, of the form tolmach-world/1, and
    /// the photo
    ///
    /// The profile, the conversations, the user's own messages and memberships, without the hash of
    /// the password. Reads all messages of the database.
    Export {
        /// The login or e-mail address of the account
        login: String,
        /// The folder, which must not exist
        folder: PathBuf,
    },
    /// List all accounts
    List {
        /// Tell by which kind of hash each password is stored: those of other servers are replaced
        /// when their users log in
        #[arg(long)]
        hashes: bool,
    },
    /// Make a user leave a group or channel
    ///
    /// If the user owns it, it passes to the member who has been there longest. It is deleted with
    /// its messages if no member is left.
    Leave {
        /// The login or e-mail address of the account
        login: String,
        /// The number of the group or channel
        #[arg(value_parser = flow_number)]
        flow: FlowId,
    },
    /// Block one user for another
    ///
    /// The blocked user can no longer open a chat with the other one, write or show typing in the
    /// chat that exists, or add the other one to a group or channel. Groups and channels that both
    /// are in stay as they are.
    Block {
        /// The login or e-mail address of the account that is to be left alone
        login: String,
        /// The login or e-mail address of the account to block
        blocked: String,
    },
    /// End a block
    Unblock {
        /// The login or e-mail address of the account that blocks
        login: String,
        /// The login or e-mail address of the blocked account
        blocked: String,
    },
    /// List the users whom a user blocks
    Blocks {
        /// The login or e-mail address of the account
        login: String,
    },
}

/// The retention of a flow.
fn flow_retention(text: &str) -> Result<FlowRetention, &'static str> {
    match text {
        "default" => Ok(FlowRetention::OfKind),
        "forever" => Ok(FlowRetention::Forever),
        days => match days.parse().map(NonZeroU32::new) {
            Ok(Some(days)) if days <= MAX_DAYS => Ok(FlowRetention::Days(days)),
            _ => Err("1 to 36500 days are expected, `forever` or `default`"),
        },
    }
}

/// The id of a flow.
fn flow_number(text: &str) -> Result<FlowId, String> {
    let number = text.parse::<i64>().map_err(|error| error.to_string())?;
    FlowId::new(number).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RequiredPassword {
    /// The password; visible to everyone who can list this machine's processes
    #[arg(long = "password", value_name = "PASSWORD")]
    pub(crate) argument: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long = "password-stdin")]
    pub(crate) from_stdin: bool,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct OptionalPassword {
    /// The new password, which ends all sessions; visible to everyone who can list this machine's
    /// processes
    #[arg(long = "password", value_name = "PASSWORD")]
    pub(crate) argument: Option<String>,
    /// Read the new password, which ends all sessions, from the first line of standard input
    #[arg(long = "password-stdin")]
    pub(crate) from_stdin: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace()).and_then(Arguments::with_command)
    }

    #[test]
    fn the_definition_has_no_contradiction() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_default_command_is_serve() {
        for (line, expected) in [
            ("tolmach", None),
            ("tolmach serve", None),
            ("tolmach --listen a:1", Some("a:1")),
            ("tolmach serve --listen a:1", Some("a:1")),
            ("tolmach --listen a:1 serve", Some("a:1")),
            ("tolmach --listen a:1 serve --listen b:2", Some("b:2")),
        ] {
            let command = parse(line).unwrap().command;
            let Some(Command::Serve(listen)) = command else { panic!("{line}: {command:?}") };
            assert_eq!(listen.address.as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_data_folder_may_stand_before_or_after_the_command() {
        for line in [
            "tolmach --data d --config c user list",
            "tolmach user --data d list --config c",
            "tolmach user list --data d --config c",
        ] {
            let Location { data, config } = parse(line).unwrap().location;
            assert_eq!((data, config), ("d".into(), Some("c".into())), "{line}");
        }
    }

    #[test]
    fn an_error_names_the_existing_arguments() {
        for (line, expected) in [
            ("tolmach serv", "serve"),
            ("tolmach --lisen a:1", "--listen"),
            ("tolmach user", "list"),
            ("tolmach user add a", "--password-stdin"),
            ("tolmach user add a --password b --password-stdin", "cannot be used with"),
            ("tolmach dialect new a --crate", "--sources"),
            ("tolmach dialect new a --sources b", "--crate"),
            ("tolmach dialect new a --crate --sources b --from c", "cannot be used with"),
            ("tolmach user set a --admin=maybe", "[possible values: true, false]"),
            ("tolmach import a --follow", "--from"),
            ("tolmach import a --source b", "--from"),
            ("tolmach import a --from b --source c:d", "invalid value"),
            ("tolmach import a --from b --follow --dry-run", "cannot be used with"),
            ("tolmach import a --from b --every 5s", "--follow"),
            ("tolmach import a --from b --follow --every 0s", "a duration such as"),
            ("tolmach import a --match name", "[possible values: none, login, email]"),
            ("tolmach flow retention 1 0", "1 to 36500 days"),
            ("tolmach flow retention 1 36501", "1 to 36500 days"),
            ("tolmach flow retention 1 never", "`forever` or `default`"),
            ("tolmach prune --dry-run --compact", "cannot be used with"),
            ("tolmach lifecycle brownout mode", "--window"),
            ("tolmach lifecycle brownout mode --window 10:00", "HH:MM-HH:MM for every day"),
            ("tolmach lifecycle refuse mode --share 101", "a number of percent from 0.01 to 100"),
            ("tolmach lifecycle refuse mode --share 5 --user ann", "cannot be used with"),
            ("tolmach lifecycle refuse mode/", "DIALECT/REVISION"),
            ("tolmach lifecycle clear", "<RULE>"),
            ("tolmach route pin ann", "--to <SERVER>"),
            ("tolmach route canary --to old", "--share <PERCENT>"),
            ("tolmach route canary --share 101 --to old", "a number of percent from 0.01 to 100"),
            ("tolmach route mirror --to old --user ann --share 5", "cannot be used with"),
            ("tolmach route stop", "<RULE>"),
            ("tolmach translate mode", "<TO>"),
            ("tolmach translate mode sndmsg --table file", "cannot be used with"),
            (
                "tolmach translate mode sndmsg --format html",
                "possible values: text, json, markdown",
            ),
            (
                "tolmach --listen a:1 user list",
                "--listen is for the commands serve, check and bridge",
            ),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(expected), "{line}: {error}");
        }
    }
}
