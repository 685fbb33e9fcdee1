//! Records that were not imported, or not as they are.

use crate::error::RuntimeError;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write, stderr};
use std::path::Path;
use tolmach_domain::Fault;

/// The number of refusals that are shown.
const SHOWN: u64 = 20;

/// The place of a record: a line of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The name of the file, or of the source.
    pub(super) input: std::sync::Arc<str>,
    pub(super) line: u64,
}

/// The refusals so far: counted, shown up to a number, and written to a file if there is one.
pub(super) struct Refusals {
    pub(super) count: u64,
    file: Option<BufWriter<File>>,
}

impl Refusals {
    pub(super) fn new(file: Option<&Path>) -> Result<Self, RuntimeError> {
        let file = file.map(File::create).transpose().map_err(RuntimeError::Rejects)?;
        Ok(Self { count: 0, file: file.map(BufWriter::new) })
    }

    /// Adds a record that was refused.
    pub(super) fn add(
        &mut self,
        place: &Place,
        field: &str,
        reason: &str,
        record: &str,
    ) -> Result<(), RuntimeError> {
        self.count += 1;
        let Place { input, line } = place;
        if self.count <= SHOWN {
            // An error means that standard error is closed: the command goes on without.
            let _ = writeln!(stderr(), "{input}:{line}: {field}: {reason}");
        } else if self.count == SHOWN + 1 {
            let _ = writeln!(stderr(), "more refused records are counted");
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let entry = json!({
            "file": &**input, "line": line, "field": field, "reason": reason, "record": record,
        });
        writeln!(file, "{entry}").map_err(RuntimeError::Rejects)
    }

    /// Shows a record that was imported otherwise than it is.
    pub(super) fn note(&self, place: &Place, text: &str) {
        let Place { input, line } = place;
        let _ = writeln!(stderr(), "{input}:{line}: note: {text}");
    }

    pub(super) fn finish(&mut self) -> Result<(), RuntimeError> {
        self.file.as_mut().map_or(Ok(()), Write::flush).map_err(RuntimeError::Rejects)
    }
}

/// The path of the field that a fault of a record is about.
pub(super) fn field(kind: &str, fault: &Fault) -> String {
    let name = match (kind, fault) {
        (_, Fault::Invalid { field, .. }) => field,
        ("user", Fault::LoginTaken) => "login",
        ("flow", Fault::NoSuchUser) => "owner",
        ("message", Fault::NoSuchUser) => "author",
        ("member", Fault::NoSuchUser) => "user",
        ("member", Fault::NoSuchMessage) => "read",
        (_, Fault::NoSuchFlow | Fault::WrongKind) => "flow",
        _ => return kind.to_owned(),
    };
    format!("{kind}.{name}")
}

/// The reason of a fault, as far as the field does not say it.
pub(super) fn reason(fault: &Fault) -> String {
    match fault {
        Fault::Invalid { reason, .. } => reason.clone(),
        Fault::NoSuchUser => "no such user was imported, or the user is deleted".into(),
        Fault::NoSuchFlow => "no such conversation was imported, or it is deleted".into(),
        Fault::NoSuchMessage => "no such message is in the conversation".into(),
        Fault::WrongKind => "the chat is of two others".into(),
        fault => fault.to_string(),
    }
}
