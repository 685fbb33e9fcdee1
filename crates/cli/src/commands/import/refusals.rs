//! Records that were not imported, or not as they are.

use super::place::Place;
use crate::error::RuntimeError;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write, stderr};
use std::path::Path;
use tolmach_adapters::create_private_file;
use tolmach_domain::Fault;

/// The number of refusals that are shown, and that of notes.
const SHOWN: u64 = 20;

/// The refusals so far: counted, shown up to a number, and written to a file if there is one. Only
/// its owner can read a new file, because the records may have passwords.
pub(super) struct Refusals {
    pub(super) count: u64,
    /// Notes on records that were imported otherwise than they are, shown or not.
    pub(super) notes: u64,
    /// False if they are only counted.
    is_shown: bool,
    file: Option<BufWriter<File>>,
}

impl Refusals {
    pub(super) fn new(file: Option<&Path>) -> Result<Self, RuntimeError> {
        let file = file.map(create_private_file).transpose().map_err(RuntimeError::Rejects)?;
        Ok(Self { count: 0, notes: 0, is_shown: true, file: file.map(BufWriter::new) })
    }

    /// Refusals that are only counted.
    pub(super) fn silent() -> Self {
        Self { count: 0, notes: 0, is_shown: false, file: None }
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
        if !self.is_shown {
            return Ok(());
        }
        if self.count <= SHOWN {
            // An error means that standard error is closed: the command goes on without.
            let _ = writeln!(stderr(), "{place}: {field}: {reason}");
        } else if self.count == SHOWN + 1 {
            let _ = writeln!(stderr(), "more refused records are counted");
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let entry = json!({
            "file": &*place.input, "line": place.line, "field": field, "reason": reason,
            "record": record,
        });
        writeln!(file, "{entry}").map_err(RuntimeError::Rejects)
    }

    /// Adds a note on a record that was imported otherwise than it is.
    pub(super) fn note(&mut self, place: &Place, text: &str) {
        self.notes += 1;
        if self.is_shown && self.notes <= SHOWN {
            let _ = writeln!(stderr(), "{place}: note: {text}");
        } else if self.is_shown && self.notes == SHOWN + 1 {
            let _ = writeln!(stderr(), "more notes are counted");
        }
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
