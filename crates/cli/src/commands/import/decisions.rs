//! The file of decisions: read before an import, and written anew by its rehearsal.

use super::place::Place;
use crate::error::RuntimeError;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write, stderr};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use tolmach_world::{DecisionLine, Id};

/// The number of conflicts that are shown.
const SHOWN: u64 = 20;

/// A line of the file, with its place.
pub(super) struct Decided {
    pub(super) place: Place,
    pub(super) line: DecisionLine,
}

/// Reads the lines with a decision; none of a file that is yet to be written.
pub(super) fn read(path: &Path) -> Result<Vec<Decided>, RuntimeError> {
    let failed = |source| RuntimeError::WorldFile { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(failed)?,
    };
    let mut decided = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(failed)?;
        if line.trim().is_empty() {
            continue;
        }
        let place = Place { input: path.display().to_string().into(), line: number };
        let line = DecisionLine::parse(line.as_bytes()).map_err(|error| {
            RuntimeError::Decision { place: place.to_string(), text: error.to_string() }
        })?;
        if line.decision.is_some() {
            decided.push(Decided { place, line });
        }
    }
    Ok(decided)
}

/// A line that was written.
#[derive(Clone, Copy)]
struct Line {
    number: u64,
    is_decided: bool,
}

/// The conflicts that a rehearsal finds. They are written to the file of decisions, after the lines
/// that have one; without a file, they are only shown and counted.
pub(super) struct Conflicts {
    file: Option<(PathBuf, BufWriter<NamedTempFile>)>,
    /// The lines by user: source, and id there.
    lines: HashMap<(String, Id), Line>,
    /// Conflicts that no decision has solved.
    open: u64,
}

impl Conflicts {
    pub(super) fn new(path: Option<&Path>, decided: &[Decided]) -> Result<Self, RuntimeError> {
        let Some(path) = path else {
            return Ok(Self { file: None, lines: HashMap::new(), open: 0 });
        };
        let failed = |source| RuntimeError::DecisionFile { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        let file = Some((path.to_owned(), BufWriter::new(file)));
        let mut conflicts = Self { file, lines: HashMap::new(), open: 0 };
        for Decided { line, .. } in decided {
            conflicts.write(line)?;
        }
        Ok(conflicts)
    }

    /// Adds a conflict, unless it was added before.
    pub(super) fn add(&mut self, conflict: &DecisionLine) -> Result<(), RuntimeError> {
        let key = (conflict.source.clone(), conflict.user);
        let (number, unsolved) = match self.lines.get_mut(&key) {
            Some(Line { is_decided: false, .. }) => return Ok(()),
            Some(line) => {
                line.is_decided = false;
                (line.number, ": the decision does not solve it")
            }
            None => (self.write(conflict)?, ""),
        };
        self.open += 1;
        if self.open <= SHOWN {
            let place = match &self.file {
                Some((path, _)) => format!("{}:{number}", path.display()),
                None => conflict.place.clone().unwrap_or_else(|| conflict.source.clone()),
            };
            let reason = conflict.reason.as_deref().unwrap_or_default();
            // An error means that standard error is closed: the command goes on without.
            let _ = writeln!(stderr(), "{place}: user {}: {reason}{unsolved}", conflict.user);
        } else if self.open == SHOWN + 1 {
            let _ = writeln!(stderr(), "more conflicts are counted");
        }
        Ok(())
    }

    /// Puts the file in the place of the one before, and returns the number of conflicts that no
    /// decision has solved.
    pub(super) fn finish(&mut self) -> Result<u64, RuntimeError> {
        if let Some((path, file)) = self.file.take() {
            let failed = |source| RuntimeError::DecisionFile { path: path.clone(), source };
            let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
            file.persist(&path).map_err(|error| failed(error.error))?;
        }
        Ok(self.open)
    }

    /// Writes a line, and returns its number.
    fn write(&mut self, line: &DecisionLine) -> Result<u64, RuntimeError> {
        let number = self.lines.len() as u64 + 1;
        let written = Line { number, is_decided: line.decision.is_some() };
        self.lines.insert((line.source.clone(), line.user), written);
        if let Some((path, file)) = &mut self.file {
            let text = line.to_line().map_err(|error| RuntimeError::World(error.to_string()))?;
            writeln!(file, "{text}")
                .map_err(|source| RuntimeError::DecisionFile { path: path.clone(), source })?;
        }
        Ok(number)
    }
}
