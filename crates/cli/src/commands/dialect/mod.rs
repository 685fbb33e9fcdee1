//! `tolmach dialect`: dialect files.

mod check;
mod conformance;
mod draft;
mod new;
mod new_crate;

use crate::arguments::DialectCommand;
use crate::error::CliError;

pub(crate) fn run(command: DialectCommand) -> Result<String, CliError> {
    match command {
        DialectCommand::Check { files, conversation } => check::run(&files, conversation),
        DialectCommand::New { id, from: Some(capture), .. } => draft::run(&id, &capture),
        DialectCommand::New { id, as_crate: true, sources: Some(sources), .. } => {
            new_crate::run(&id, &sources)
        }
        DialectCommand::New { id, .. } => Ok(new::run(&id)),
    }
}
