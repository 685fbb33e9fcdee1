//! JSON schemas of frames.

use crate::project::frame_json::json_of;
use jsonschema::{Registry, Validator};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tolmach_dialect::Frame;

/// The names of schema files.
const NAMES: &str = "<name>.request.json, <name>.reply.json, <name>.push.json or definitions.json";

/// The file with the schemas of a revision that is a file, in its folder below `protocols`.
pub(crate) const SCHEMAS: &str = "schemas.json";

/// The names of schemas in one document.
const DEFINITIONS: &str = "<name>.request, <name>.reply or <name>.push";

/// The direction of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client: `<name>.request.json`.
    Request,
    /// From the server: `<name>.reply.json`, `<name>.push.json`.
    Answer,
}

/// A dialect's compiled schemas.
#[derive(Debug)]
pub struct Schemas {
    validators: BTreeMap<String, (Direction, Validator)>,
}

impl Schemas {
    pub(crate) fn read(folder: &Path, dialect: &str) -> Result<Self, String> {
        let mut documents = BTreeMap::new();
        Self::collect(folder, "", &mut documents)?;
        let schemas = Self::compile(&documents, dialect)?;
        if schemas.validators.is_empty() {
            return Err(format!(
                "{}: there are no schemas; write one for each kind of frame, named {NAMES}",
                folder.display()
            ));
        }
        Ok(schemas)
    }

    /// Reads the schemas of a folder, and of the folders in it: a protocol may have one for each
    /// version.
    fn collect(
        folder: &Path,
        prefix: &str,
        documents: &mut BTreeMap<String, Value>,
    ) -> Result<(), String> {
        let entries = std::fs::read_dir(folder).map_err(|error| {
            let folder = folder.display();
            format!("{folder}: {error}; the folder holds the schemas of frames, named {NAMES}")
        })?;
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if prefix.is_empty() && path.is_dir() {
                Self::collect(&path, &format!("{name}/"), documents)?;
            } else if name.ends_with(".json") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                let value: Value = serde_json::from_str(&text)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                documents.insert(format!("{prefix}{name}"), value);
            }
        }
        Ok(())
    }

    /// Compiles schemas by file name; they refer to each other by relative `$ref`, and nothing is
    /// fetched.
    pub(crate) fn compile(
        documents: &BTreeMap<String, Value>,
        dialect: &str,
    ) -> Result<Self, String> {
        let address = |name: &str| format!("https://tolmach.invalid/schemas/{dialect}/{name}");
        let registry = Registry::new()
            .extend(documents.iter().map(|(name, document)| (address(name), document.clone())))
            .and_then(jsonschema::RegistryBuilder::prepare)
            .map_err(|error| format!("schemas/{dialect}: {error}"))?;
        let mut validators = BTreeMap::new();
        for name in documents.keys() {
            let direction = match name.trim_end_matches(".json").rsplit_once('.') {
                Some((_, "request")) => Direction::Request,
                Some((_, "reply" | "push")) => Direction::Answer,
                _ if name.rsplit('/').next() == Some("definitions.json") => continue,
                _ => {
                    return Err(format!("schemas/{dialect}/{name}: a schema is named {NAMES}"));
                }
            };
            let validator = jsonschema::options()
                .with_draft(jsonschema::Draft::Draft202012)
                .with_registry(&registry)
                .build(&serde_json::json!({ "$ref": address(name) }))
                .map_err(|error| format!("schemas/{dialect}/{name}: {error}"))?;
            validators.insert(name.clone(), (direction, validator));
        }
        Ok(Self { validators })
    }

    /// Compiles a document with the schema of each kind of frame under `$defs`, by names without
    /// `.json`, such as `send.request`.
    pub(crate) fn of_document(document: &Value, dialect: &str) -> Result<Self, String> {
        let address = format!("https://tolmach.invalid/protocols/{dialect}/{SCHEMAS}");
        let registry = Registry::new()
            .extend([(address.clone(), document.clone())])
            .and_then(jsonschema::RegistryBuilder::prepare)
            .map_err(|error| format!("{dialect}: {error}"))?;
        let definitions = document.get("$defs").and_then(Value::as_object);
        let mut validators = BTreeMap::new();
        for name in definitions.into_iter().flat_map(|definitions| definitions.keys()) {
            let direction = match name.rsplit_once('.') {
                Some((_, "request")) => Direction::Request,
                Some((_, "reply" | "push")) => Direction::Answer,
                _ => return Err(format!("{dialect}, {name}: a schema is named {DEFINITIONS}")),
            };
            let validator = jsonschema::options()
                .with_draft(jsonschema::Draft::Draft202012)
                .with_registry(&registry)
                .build(&serde_json::json!({ "$ref": format!("{address}#/$defs/{name}") }))
                .map_err(|error| format!("{dialect}, {name}: {error}"))?;
            validators.insert(name.clone(), (direction, validator));
        }
        Ok(Self { validators })
    }

    /// The validator with this file name.
    pub(crate) fn into_validator(mut self, name: &str) -> Result<Validator, String> {
        match self.validators.remove(name) {
            Some((_, validator)) => Ok(validator),
            None => Err(format!(
                "there is no schema {name}; there are {:?}",
                self.validators.into_keys().collect::<Vec<_>>()
            )),
        }
    }

    /// The names of the schemas.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.validators.keys().map(String::as_str)
    }

    /// The schemas of this direction that a frame matches, or the reason why none does. `None` for
    /// a frame that is no JSON by nature: an empty body, a photo.
    pub fn check(&self, frame: &Frame, direction: Direction) -> Option<Result<Vec<&str>, String>> {
        let json = json_of(frame)?;
        let value: Value = match serde_json::from_slice(&json) {
            Ok(value) => value,
            Err(error) => return Some(Err(format!("is no JSON: {error}"))),
        };
        let mut matching = Vec::new();
        let mut closest: Option<(usize, String)> = None;
        for (name, (_, validator)) in
            self.validators.iter().filter(|(_, (its, _))| *its == direction)
        {
            let errors: Vec<_> = validator.iter_errors(&value).collect();
            match errors.first() {
                None => matching.push(name.as_str()),
                Some(error) => {
                    let described = format!("{name}: at \"{}\" {error}", error.instance_path());
                    if closest.as_ref().is_none_or(|(count, _)| errors.len() < *count) {
                        closest = Some((errors.len(), described));
                    }
                }
            }
        }
        if matching.is_empty() {
            let closest = closest
                .map_or_else(|| "there are none of this direction".to_owned(), |(_, text)| text);
            return Some(Err(format!("matches no schema; the closest is {closest}")));
        }
        Some(Ok(matching))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_refer_to_their_siblings_and_to_nothing_else() {
        let documents = |reference: &str| {
            BTreeMap::from([
                (
                    "definitions.json".to_owned(),
                    json!({"$defs": {"id": {"type": "integer", "minimum": 1}}}),
                ),
                (
                    "a.request.json".to_owned(),
                    json!({
                        "type": "object", "required": ["id"],
                        "properties": {"id": {"$ref": reference}},
                    }),
                ),
                ("a.reply.json".to_owned(), json!({"type": "array"})),
            ])
        };
        let schemas = Schemas::compile(&documents("definitions.json#/$defs/id"), "toy").unwrap();
        for (frame, direction, valid) in [
            ("{\"id\":1}", Direction::Request, true),
            ("{\"id\":0}", Direction::Request, false),
            ("{}", Direction::Request, false),
            ("[]", Direction::Request, false),
            ("[]", Direction::Answer, true),
            ("{\"id\":1}", Direction::Answer, false),
            ("not JSON", Direction::Answer, false),
        ] {
            assert_eq!(
                schemas.check(&Frame::text(frame), direction).unwrap().is_ok(),
                valid,
                "{frame} {direction:?}"
            );
        }
        assert!(Schemas::compile(&documents("absent.json#/$defs/id"), "toy").is_err());
        assert!(
            Schemas::compile(&BTreeMap::from([("a.json".to_owned(), json!({}))]), "toy").is_err()
        );
    }

    #[test]
    fn one_document_has_a_schema_for_each_kind_of_frame() {
        let document = json!({"$defs": {
            "a.request": {"type": "object", "required": ["id"]},
            "a.reply": {"type": "array"},
        }});
        let schemas = Schemas::of_document(&document, "toy/revisions/field").unwrap();
        assert_eq!(schemas.names().collect::<Vec<_>>(), ["a.reply", "a.request"]);
        for (frame, direction, valid) in [
            ("{\"id\":1}", Direction::Request, true),
            ("{}", Direction::Request, false),
            ("[]", Direction::Answer, true),
            ("{}", Direction::Answer, false),
        ] {
            let checked = schemas.check(&Frame::text(frame), direction).unwrap();
            assert_eq!(checked.is_ok(), valid, "{frame} {direction:?}");
        }
        let misnamed = json!({"$defs": {"a": {}}});
        assert!(Schemas::of_document(&misnamed, "toy").unwrap_err().contains("a schema is named"));
    }

    #[test]
    fn a_folder_without_schemas_is_one_problem_that_names_the_folder() {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        for folder in [root.path().to_owned(), root.path().join("absent")] {
            let problem = Schemas::read(&folder, "toy").expect_err("there is no schema");
            assert!(problem.contains(&folder.display().to_string()), "{problem}");
            assert!(problem.contains("<name>.request.json"), "{problem}");
        }
    }
}
