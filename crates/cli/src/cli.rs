//! The command line.

use crate::commands::{self, Failure};
use crate::config::{Config, ConfigError, Sources};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A gateway between chat protocols: clients of different wire formats connect unchanged and meet
/// in one world.
///
/// Without a command it serves, keeping everything in the folder ./data.
#[derive(Debug, Parser)]
#[command(name = "tolmach", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) address: Address,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Where everything is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The folder for everything that is kept
    #[arg(long, global = true, value_name = "DIR", env = "TOLMACH_DATA", default_value = "data")]
    pub(crate) data: PathBuf,
    /// The configuration; without it, tolmach.toml in the data folder if there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl Place {
    /// The configuration that holds here; `address` is stronger than the rest.
    pub(crate) fn load(&self, address: &Address) -> Result<Config, ConfigError> {
        let mut sources = Sources::gather(self.config.as_deref(), &self.data)?;
        sources
            .flags
            .extend(address.listen.clone().map(|listen| ("--listen", "http.listen", listen)));
        let dialects = crate::dialects::all();
        Config::load(
            sources,
            &dialects.iter().map(|dialect| dialect.manifest().id).collect::<Vec<_>>(),
        )
    }
}

/// Where to listen.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Address {
    /// The address to listen on, host:port
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until told to stop
    Serve(Address),
    /// Check the configuration and everything it names, and tell what would be served
    Check(Address),
    /// Bring the store up to date; serving does it too
    Migrate,
    /// Move the world from one store to another, which has to be new; called again, it goes on
    /// where it was interrupted
    ///
    /// Nothing can be written to the source meanwhile. The two are compared before the other may be
    /// used. Photos are not in the store: they stay where they are.
    Copy {
        /// The store to read, as store.url names it
        #[arg(long, value_name = "URL", env = "TOLMACH_COPY_FROM", hide_env_values = true)]
        from: String,
        /// The store to fill, likewise
        #[arg(long, value_name = "URL", env = "TOLMACH_COPY_TO", hide_env_values = true)]
        to: String,
    },
    /// Make, change, delete and list accounts
    #[command(subcommand)]
    User(User),
    /// Print an access token of an account
    Token {
        /// Its login or e-mail address
        login: String,
    },
    /// List the dialects that are spoken, and where
    Dialects,
    /// Watch clients of every dialect talk to each other through a gateway that leaves nothing
    /// behind
    Demo,
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make an account
    Add {
        /// What to log in with
        login: String,
        #[command(flatten)]
        password: NewPassword,
        /// A contact address
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// May act as administrator
        #[arg(long)]
        admin: bool,
        /// Has the business tariff
        #[arg(long)]
        business: bool,
    },
    /// Change an account; what is not named stays
    Set {
        /// Its login or e-mail address
        login: String,
        /// May act as administrator
        #[arg(long, value_name = "BOOL")]
        admin: Option<bool>,
        /// Has the business tariff
        #[arg(long, value_name = "BOOL")]
        business: Option<bool>,
        #[command(flatten)]
        password: Password,
        /// A contact address
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
    },
    /// Delete an account: its sessions end, its messages stay, its login is never given to anybody
    /// else
    Delete {
        /// Its login or e-mail address
        login: String,
    },
    /// List all accounts
    List,
}

/// A password that has to be given.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NewPassword {
    /// The password, for all to see who may see this machine's processes
    #[arg(long = "password", value_name = "PASSWORD")]
    pub(crate) given: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long = "password-stdin")]
    pub(crate) stdin: bool,
}

/// A password that may be given.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Password {
    /// The new password, for all to see who may see this machine's processes; ends all sessions
    #[arg(long = "password", value_name = "PASSWORD")]
    pub(crate) given: Option<String>,
    /// Read the new password from the first line of standard input; ends all sessions
    #[arg(long = "password-stdin")]
    pub(crate) stdin: bool,
}

/// Runs the command that this process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::try_parse().and_then(settle).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return report(Failure::Failed(format!("no threads can be started: {error}")));
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(text) => print(&text),
        Err(failure) => report(failure),
    }
}

/// Hands `--listen` to the command that it was written before.
fn settle(mut cli: Cli) -> Result<Cli, clap::Error> {
    let before = std::mem::take(&mut cli.address);
    match cli.command.get_or_insert_with(|| Command::Serve(Address::default())) {
        Command::Serve(address) | Command::Check(address) => {
            address.listen = address.listen.take().or(before.listen)
        }
        _ if before.listen.is_some() => {
            return Err(Cli::command().error(
                ErrorKind::ArgumentConflict,
                "--listen is for the commands serve and check",
            ));
        }
        _ => {}
    }
    Ok(cli)
}

/// Whoever reads may stop reading: that is no failure.
fn print(text: &str) -> ExitCode {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            report(Failure::Failed(error.to_string()))
        }
        _ => ExitCode::SUCCESS,
    }
}

fn report(failure: Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Configuration(text) => (text, 2),
        Failure::Failed(text) => (text, 1),
    };
    for line in text.lines() {
        // Nobody is left to be told if this fails.
        let _ = writeln!(std::io::stderr(), "error: {line}");
    }
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).and_then(settle)
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_what_happens_without_a_command() {
        for (line, expected) in [
            ("tolmach", None),
            ("tolmach serve", None),
            ("tolmach --listen a:1", Some("a:1")),
            ("tolmach serve --listen a:1", Some("a:1")),
            ("tolmach --listen a:1 serve", Some("a:1")),
            ("tolmach --listen a:1 serve --listen b:2", Some("b:2")),
        ] {
            let cli = parse(line).unwrap();
            assert!(
                matches!(cli.command, Some(Command::Serve(Address { listen })) if listen.as_deref() == expected),
                "{line}"
            );
        }
    }

    #[test]
    fn the_data_folder_is_named_before_or_after_the_command() {
        for line in [
            "tolmach --data d --config c user list",
            "tolmach user --data d list --config c",
            "tolmach user list --data d --config c",
        ] {
            let Place { data, config } = parse(line).unwrap().place;
            assert_eq!((data, config), ("d".into(), Some("c".into())), "{line}");
        }
    }

    #[test]
    fn mistakes_are_answered_with_what_there_is() {
        for (line, expected) in [
            ("tolmach serv", "serve"),
            ("tolmach --lisen a:1", "--listen"),
            ("tolmach user", "list"),
            ("tolmach user add a", "--password-stdin"),
            ("tolmach user add a --password b --password-stdin", "cannot be used with"),
            ("tolmach user set a --admin=maybe", "[possible values: true, false]"),
            ("tolmach --listen a:1 user list", "--listen is for the commands serve and check"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(expected), "{line}: {error}");
        }
    }
}
