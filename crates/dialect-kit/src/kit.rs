//! One dialect with what it is held against.

use crate::losses::losses_of;
use crate::play::{Recording, record};
use crate::problems::Problems;
use crate::project::{Deviations, Project, Schemas, folder_of};
use crate::revision::{default_revision, title_of};
use crate::script::Script;
use serde_json::Value;
use std::sync::OnceLock;
use tolmach_dialect::{Dialect, Revision};

/// The media type of frames that are JSON.
const JSON: &str = "application/json";

/// One dialect, or one revision of it, with what it is held against.
pub struct Kit {
    project: Option<Project>,
    /// The schemas that are made of the dialect itself, in place of the project's.
    schemas: Option<Value>,
    pub(crate) media_type: &'static str,
    /// True if refusals and violations need answers.
    pub(crate) answers_refusals: bool,
    pub(crate) dialect: Box<dyn Dialect>,
    /// A second value of the same dialect: both must render the same bytes.
    pub(crate) twin: Box<dyn Dialect>,
    pub(crate) scripts: Vec<Script>,
    recording: OnceLock<Recording>,
}

impl Kit {
    /// Holds the dialect that `make` gives against `project`. `make` is called twice.
    pub fn new<D: Dialect>(project: Project, make: impl Fn() -> D, scripts: Vec<Script>) -> Self {
        Self {
            project: Some(project),
            schemas: None,
            media_type: JSON,
            answers_refusals: true,
            dialect: Box::new(make()),
            twin: Box::new(make()),
            scripts,
            recording: OnceLock::new(),
        }
    }

    /// Holds the dialect that `make` gives against these schemas, without a project: its losses
    /// need no reasons. `make` is called twice.
    pub fn without_project<D: Dialect>(make: impl Fn() -> D, schemas: Value) -> Self {
        Self {
            project: None,
            schemas: Some(schemas),
            media_type: JSON,
            answers_refusals: true,
            dialect: Box::new(make()),
            twin: Box::new(make()),
            scripts: Vec::new(),
            recording: OnceLock::new(),
        }
    }

    /// With schemas that are made of the dialect: one document with the schema of each kind of
    /// frame under `$defs`, by names such as `send.request`. They must be those of the project's
    /// `schemas.json` ([`crate::trials::schemas_are_current`]).
    pub fn with_schemas(self, schemas: Value) -> Self {
        Self { schemas: Some(schemas), ..self }
    }

    /// With frames of another media type than JSON.
    pub fn with_media_type(self, media_type: &'static str) -> Self {
        Self { media_type, ..self }
    }

    /// With a wire that leaves some refusals or violations without an answer.
    pub fn with_unanswered_refusals(self) -> Self {
        Self { answers_refusals: false, ..self }
    }

    pub(crate) fn id(&self) -> &'static str {
        self.dialect.manifest().id
    }

    /// The revision that its sessions have by default.
    pub(crate) fn revision(&self) -> Revision {
        default_revision(self.dialect.as_ref())
    }

    /// The name of the wire in transcripts: the id, and of another revision than `doc` that too.
    pub(crate) fn title(&self) -> String {
        title_of(self.dialect.as_ref())
    }

    /// The folder of its documents below `protocols`.
    pub(crate) fn folder(&self) -> String {
        folder_of(self.dialect.manifest())
    }

    /// True for a dialect of a project, whose authors know the kit.
    pub(crate) fn has_project(&self) -> bool {
        self.project.is_some()
    }

    pub(crate) fn project(&self) -> Result<&Project, Problems> {
        let missing = || Problems::one("there is no project with documents to compare with");
        self.project.as_ref().ok_or_else(missing)
    }

    /// The stories as the dialect plays them, which they are once.
    pub(crate) fn record(&self) -> &Recording {
        self.recording.get_or_init(|| record(self.dialect.as_ref()))
    }

    pub(crate) fn deviations(&self) -> Result<Deviations, Problems> {
        match &self.project {
            Some(project) => project.deviations(&self.folder()).map_err(Problems),
            None => Ok(Deviations::of_losses(&losses_of(self.record()))),
        }
    }

    pub(crate) fn schemas(&self) -> Result<Schemas, Problems> {
        let schemas = match &self.schemas {
            Some(document) => Schemas::of_document(document, &self.folder()),
            None => self.project()?.schemas(&self.folder()),
        };
        schemas.map_err(Problems::one)
    }

    /// The schemas that are made of the dialect.
    pub(crate) fn made_schemas(&self) -> Option<&Value> {
        self.schemas.as_ref()
    }
}
