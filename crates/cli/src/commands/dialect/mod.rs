//! `tolmach dialect`: dialect files.

mod check;
mod new;

use crate::arguments::DialectCommand;
use crate::error::CliError;

pub(crate) fn run(command: DialectCommand) -> Result<String, CliError> {
    match command {
        DialectCommand::Check { files } => check::run(&files),
        DialectCommand::New { id } => Ok(new::run(&id)),
    }
}
