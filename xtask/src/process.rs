//! Child processes.

use crate::error::{TaskError, TaskResult};
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Runs a program to its end, with the output of this one.
pub(crate) fn run(command: &mut Command) -> TaskResult<()> {
    let status = command.status().map_err(|error| not_started(command, error))?;
    if status.success() {
        Ok(())
    } else {
        Err(TaskError::new(format!("{}: {status}", describe(command))))
    }
}

/// Runs a program to its end and gives its standard output.
pub(crate) fn output(command: &mut Command) -> TaskResult<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| not_started(command, error))?;
    if !output.status.success() {
        return Err(TaskError::new(format!("{}: {}", describe(command), output.status)));
    }
    String::from_utf8(output.stdout)
        .map_err(|error| TaskError::caused_by(format!("{}: output", describe(command)), error))
}

/// True if a program can be started and succeeds. Its output is discarded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// True if an environment variable is set to anything but an empty text, `0` and `false`.
pub(crate) fn is_set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

fn not_started(command: &Command, error: std::io::Error) -> TaskError {
    TaskError::caused_by(describe(command), error)
}

fn describe(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}
