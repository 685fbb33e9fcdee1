//! The folders of a project.

use crate::project::deviations::{Deviations, parse_deviations};
use crate::project::schemas::{SCHEMAS, Schemas};
use crate::project::specification::Specification;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tolmach_dialect::{DOC, Manifest};

/// The environment variable that has goldens rewritten instead of compared. Refused where `CI` is
/// set.
pub const UPDATE: &str = "TOLMACH_UPDATE_GOLDENS";

/// The folder of a wire's documents below `protocols`: the id of the dialect, and
/// `<id>/revisions/<revision>` where the first revision of the manifest is not the document's.
pub fn folder_of(manifest: &Manifest) -> String {
    match manifest.revisions.first() {
        Some(revision) if *revision != DOC => format!("{}/revisions/{revision}", manifest.id),
        _ => manifest.id.to_owned(),
    }
}

/// A project: a folder with `protocols/<dialect>` and `schemas/<dialect>`.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// The project at this folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The project that a crate belongs to, from its `CARGO_MANIFEST_DIR`: the crate's own folder
    /// if it has `protocols`, else the folder two above.
    pub fn of_crate(manifest_folder: &str) -> Self {
        let own = Path::new(manifest_folder);
        if own.join("protocols").is_dir() { Self::at(own) } else { Self::at(own.join("../..")) }
    }

    /// The folder with the documents of a dialect, or of a revision: see [`folder_of`].
    pub(crate) fn protocol(&self, dialect: &str) -> PathBuf {
        self.root.join("protocols").join(dialect)
    }

    /// The folder with the transcripts of a dialect.
    pub fn transcripts(&self, dialect: &str) -> PathBuf {
        self.protocol(dialect).join("transcripts")
    }

    /// Reads `protocols/<dialect>/DEVIATIONS.toml`; a revision without a folder of its own has that
    /// of its dialect. Fails with the problems of the file.
    pub fn deviations(&self, dialect: &str) -> Result<Deviations, Vec<String>> {
        let own = self.protocol(dialect);
        let folder = match dialect.split_once("/revisions/") {
            Some((id, _)) if !own.is_dir() => self.protocol(id),
            _ => own,
        };
        let path = folder.join("DEVIATIONS.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let path = path.display();
            vec![format!("{path}: {error}; the file may be empty, but must exist")]
        })?;
        parse_deviations(&text).map_err(|problems| {
            problems.into_iter().map(|problem| format!("{}: {problem}", path.display())).collect()
        })
    }

    /// A function that validates values by one of a dialect's schemas, given by the name of its
    /// file, such as `auth.request.json`.
    pub fn validator(
        &self,
        dialect: &str,
        name: &str,
    ) -> Result<impl Fn(&Value) -> bool + use<>, String> {
        let validator = self.schemas(dialect)?.into_validator(name)?;
        Ok(move |value: &Value| validator.validate(value).is_ok())
    }

    /// Reads `protocols/<dialect>/SPEC.md`.
    pub(crate) fn specification(&self, dialect: &str) -> Result<Specification, String> {
        let path = self.protocol(dialect).join("SPEC.md");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            format!("{}: {error}; the file describes the wire, with examples", path.display())
        })?;
        Ok(Specification::parse(&text))
    }

    /// Compiles `schemas/<dialect>`, or the `schemas.json` of a revision.
    pub fn schemas(&self, dialect: &str) -> Result<Schemas, String> {
        let document = self.protocol(dialect).join(SCHEMAS);
        if document.is_file() {
            let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", document.display());
            let text = std::fs::read_to_string(&document).map_err(|error| fail(&error))?;
            let value: Value = serde_json::from_str(&text).map_err(|error| fail(&error))?;
            return Schemas::of_document(&value, dialect);
        }
        Schemas::read(&self.root.join("schemas").join(dialect), dialect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_has_a_folder_below_its_dialect() {
        let document = Manifest::new("toy", "a toy");
        assert_eq!(folder_of(&document), "toy");
        assert_eq!(folder_of(&document.clone().revisions(&[DOC, "field"])), "toy");
        assert_eq!(folder_of(&document.revisions(&["field"])), "toy/revisions/field");
    }

    #[test]
    fn a_crate_with_protocols_of_its_own_is_its_own_project() {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        let (within, alone) = (root.path().join("crates/within"), root.path().join("alone"));
        for folder in [&within, &alone.join("protocols")] {
            std::fs::create_dir_all(folder).expect("the temporary folder can be written");
        }
        let folder = |own: &Path| {
            let own = own.to_str().expect("the temporary folder has a UTF-8 path");
            Project::of_crate(own).transcripts("toy")
        };
        assert_eq!(folder(&alone), alone.join("protocols/toy/transcripts"));
        assert_eq!(folder(&within), within.join("../../protocols/toy/transcripts"));
    }
}
