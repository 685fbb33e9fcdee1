//! The process: arguments, the runtime, one command, its output and its exit code.

use crate::arguments::{Arguments, Command};
use crate::commands::{
    bridge, check, copy, demo, dialect, dialects, diff, export, flow, import, ledger, lifecycle,
    migrate, prune, record, replay, route, serve, token, translate, user,
};
use crate::error::{CliError, RuntimeError};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use tolmach_domain::Secret;

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    let arguments = Arguments::of_process().unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&RuntimeError::Threads(error).into()),
    };
    match runtime.block_on(run(arguments)) {
        Ok(text) => print(&text),
        Err(error) => report(&error),
    }
}

/// Runs a command. The returned text belongs to standard output.
async fn run(arguments: Arguments) -> Result<String, CliError> {
    let Arguments { location, command, listen } = arguments;
    match command.unwrap_or(Command::Serve(listen)) {
        Command::Serve(listen) => serve::run(&location, &listen).await,
        Command::Check(listen) => check::run(&location, &listen).await,
        Command::Migrate => migrate::run(&location).await,
        Command::Copy { from, to } => {
            copy::run(&location, &Secret::new(from), &Secret::new(to)).await
        }
        Command::Import(arguments) => import::run(&location, &arguments).await,
        Command::Export { file, source } => export::run(&location, file.as_deref(), &source).await,
        Command::Flow(command) => flow::run(&location, command).await,
        Command::Prune(arguments) => prune::run(&location, &arguments).await,
        Command::User(command) => user::run(&location, command).await,
        Command::Lifecycle(command) => lifecycle::run(&location, command).await,
        Command::Route(command) => route::run(&location, command).await,
        Command::Ledger(arguments) => ledger::run(&location, &arguments).await,
        Command::Sunset(arguments) => ledger::sunset(&location, &arguments).await,
        Command::Token { login } => token::run(&location, &login).await,
        Command::Dialects => dialects::run(&location),
        Command::Dialect(command) => dialect::run(command),
        Command::Translate(arguments) => translate::run(&location, &arguments),
        Command::Record(arguments) => record::run(&location, &arguments).await,
        Command::Replay(arguments) => replay::run(&location, &arguments).await,
        Command::Diff(arguments) => diff::run(&location, &arguments),
        Command::Bridge(arguments) => bridge::run(&location, &arguments).await,
        Command::Demo => demo::run().await,
    }
}

/// Writes to standard output. A reader that has closed it is no failure.
fn print(text: &str) -> ExitCode {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            report(&RuntimeError::Output(error).into())
        }
        _ => ExitCode::SUCCESS,
    }
}

fn report(error: &CliError) -> ExitCode {
    if let CliError::Runtime(RuntimeError::Differences { report, .. }) = error {
        print(report);
    }
    for line in error.lines() {
        // An error means that standard error is closed too: the exit code has to do.
        let _ = writeln!(std::io::stderr(), "error: {line}");
    }
    ExitCode::from(error.exit_code())
}
