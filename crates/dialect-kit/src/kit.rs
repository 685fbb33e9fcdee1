//! One dialect with the project that it is held against.

use crate::play::{Recording, record};
use crate::project::{Deviations, Project, Schemas};
use std::fmt;
use tolmach_dialect::{Dialect, Frame};
use tolmach_domain::EventKind;

/// What a broken rule breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// What is said arrives.
    RoundTrip,
    /// Notices render as they are encoded.
    Notices,
}

/// What is wrong with a dialect: each with what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl Problems {
    /// Nothing is wrong if there are none.
    pub(crate) fn none_or(problems: Vec<String>) -> Result<(), Problems> {
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for problem in self.0.iter().take(SHOWN) {
            writeln!(formatter, "- {problem}")?;
        }
        if self.0.len() > SHOWN {
            writeln!(formatter, "… and {} more", self.0.len() - SHOWN)?;
        }
        Ok(())
    }
}

/// Fails a test with all problems, each in its own line.
#[track_caller]
pub fn check(outcome: Result<(), Problems>) {
    if let Err(problems) = outcome {
        panic!("\n{problems}");
    }
}

/// What only one wire says, told by frames as a peer sends them. The world answers whatever is
/// asked.
#[derive(Debug, Clone)]
pub struct Script {
    /// The transcript's file name.
    pub name: &'static str,
    /// The request that opens the connection; its door's path, and its `Upgrade` header for a
    /// WebSocket.
    pub opening: http::Request<()>,
    /// What happens.
    pub steps: Vec<ScriptStep>,
}

/// A step of a [`Script`].
#[derive(Debug, Clone)]
pub enum ScriptStep {
    /// The peer says this frame. The first also chooses the revision. A request frame is an
    /// exchange of its own.
    Frame(&'static str, Frame),
    /// Something happens.
    Happening(EventKind),
}

/// One dialect with the project that it is held against.
pub struct Kit {
    pub(crate) project: Project,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) scripts: Vec<Script>,
}

impl Kit {
    /// Holds `dialect` against `project`.
    pub fn new(project: Project, dialect: impl Dialect, scripts: Vec<Script>) -> Self {
        Self { project, dialect: Box::new(dialect), scripts }
    }

    pub(crate) fn id(&self) -> &'static str {
        self.dialect.manifest().id
    }

    pub(crate) fn record(&self) -> Recording {
        record(self.dialect.as_ref())
    }

    pub(crate) fn deviations(&self) -> Result<Deviations, Problems> {
        self.project.deviations(self.id()).map_err(Problems)
    }

    pub(crate) fn schemas(&self) -> Result<Schemas, Problems> {
        self.project.schemas(self.id()).map_err(|problem| Problems(vec![problem]))
    }
}
