//! The arguments of `tolmach route`.

use crate::lifecycle_arguments::Version;
use clap::{Args, Subcommand};
use tolmach_engine::ports::Share;

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// List the routes
    List,
    /// Have all users served by a server, unless a route below is about them
    All {
        #[command(flatten)]
        target: Target,
    },
    /// Have one user served by a server, whatever other routes say
    Pin {
        /// The login; an e-mail address of an account here stands for its login
        #[arg(value_name = "USER")]
        user: String,
        #[command(flatten)]
        target: Target,
    },
    /// Have a share of the users served by a server, and the rest as without this route
    ///
    /// The share has the same users as long as it has the same size, and keeps them when it grows.
    Canary {
        /// The share, in percent
        #[arg(long, value_name = "PERCENT")]
        share: Share,
        #[command(flatten)]
        target: Target,
    },
    /// Send the requests of users who are served here to a server as well, and compare the answers
    ///
    /// Its answers are never shown. Differences are counted in the metrics, and some are logged.
    Mirror {
        /// Only this user
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Only this share of the users, in percent
        #[arg(long, value_name = "PERCENT", conflicts_with = "user")]
        share: Option<Share>,
        #[command(flatten)]
        target: Target,
    },
    /// Remove routes
    Stop {
        /// The number of a route
        #[arg(required = true, value_name = "RULE")]
        rules: Vec<i64>,
    },
    /// Remove all pins, canaries and mirrors: all users are served as `tolmach route all` says, and
    /// here without that
    Rollback,
}

/// The server of a route, and the clients that it is about.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The server: a NAME of the sections bridge.NAME of the configuration, or here
    #[arg(long, value_name = "SERVER")]
    pub(crate) to: String,
    /// Only clients of this dialect, or of this revision of it
    #[arg(long, value_name = "DIALECT[/REVISION]")]
    pub(crate) dialect: Option<Version>,
}
