//! One dialect with the project that it is held against.

use crate::play::{Recording, record};
use crate::problems::Problems;
use crate::project::{Deviations, Project, Schemas};
use crate::script::Script;
use tolmach_dialect::Dialect;

/// One dialect with the project that it is held against.
pub struct Kit {
    pub(crate) project: Project,
    pub(crate) dialect: Box<dyn Dialect>,
    /// A second value of the same dialect: both must render the same bytes.
    pub(crate) twin: Box<dyn Dialect>,
    pub(crate) scripts: Vec<Script>,
}

impl Kit {
    /// Holds the dialect that `make` gives against `project`. `make` is called twice.
    pub fn new<D: Dialect>(project: Project, make: impl Fn() -> D, scripts: Vec<Script>) -> Self {
        Self { project, dialect: Box::new(make()), twin: Box::new(make()), scripts }
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
        self.project.schemas(self.id()).map_err(Problems::one)
    }
}
