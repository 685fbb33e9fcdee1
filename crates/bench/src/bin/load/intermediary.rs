//! The programs that may stand between clients and a gateway.

use crate::result::BenchResult;
use crate::server::{Server, floor, tolmach, unlimited};
use crate::wire::Wire;
use std::net::SocketAddr;
use std::path::Path;

/// A program between clients and a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Intermediary {
    /// The floor as a proxy, which copies messages
    Proxy,
    /// `tolmach bridge`
    Bridge,
    /// `tolmach record`
    Recorder,
}

impl Intermediary {
    /// Starts it before the gateway at `upstream`, which serves `wire`. Waits until it is ready.
    pub(crate) fn start(
        self,
        upstream: SocketAddr,
        wire: Wire,
        data: &Path,
    ) -> BenchResult<Server> {
        let url = format!("http://{upstream}");
        let command = match self {
            Intermediary::Proxy => {
                let mut command = floor()?;
                command.arg(upstream.to_string());
                command
            }
            Intermediary::Bridge => {
                let mut command = tolmach("bridge", data)?;
                unlimited(&mut command);
                command.args(["--listen", "127.0.0.1:0", "--upstream", &url]);
                command.args(["--upstream-dialect", &wire.to_string()]);
                command
            }
            Intermediary::Recorder => {
                let mut command = tolmach("record", data)?;
                command.args(["--listen", "127.0.0.1:0", "--upstream", &url]);
                command.args(["--dialect", &wire.to_string()]);
                command.arg("--output").arg(data.join("capture.jsonl"));
                command
            }
        };
        Server::run(command)
    }
}
