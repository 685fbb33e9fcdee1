//! The files of a project that a dialect is held against: deviations, schemas, transcripts.

use crate::stories::{ADMINISTRATOR, Step, all_faults, stories};
use crate::world::moment;
use jsonschema::{Registry, Validator};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tolmach_dialect::{Frame, Notice};

/// The environment variable that has transcripts rewritten instead of compared. Refused where `CI`
/// is `true`.
pub const UPDATE: &str = "TOLMACH_UPDATE_GOLDENS";

/// A project: a folder with `protocols/<dialect>` and `schemas/<dialect>`.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
}

/// Something that a dialect declares that it cannot say: an entry `[[loss]]` of its
/// `DEVIATIONS.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredLoss {
    /// The name of a command, an event or a fault, or [`ADMINISTRATOR`].
    pub operation: String,
    /// Whether the operation happens, and only loses `what`.
    pub partial: bool,
    /// What is lost.
    pub what: String,
}

/// All declared losses of a dialect.
#[derive(Debug, Clone, Default)]
pub struct Deviations {
    losses: Vec<DeclaredLoss>,
}

impl Deviations {
    /// Whether the whole operation is declared lost.
    pub fn loses(&self, operation: &str) -> bool {
        self.losses.iter().any(|loss| loss.operation == operation && !loss.partial)
    }

    /// Whether the operation is declared to lose a part.
    pub fn weakens(&self, operation: &str) -> bool {
        self.losses.iter().any(|loss| loss.operation == operation && loss.partial)
    }

    /// What of the operation is declared lost.
    pub fn of<'a>(&'a self, operation: &'a str) -> impl Iterator<Item = &'a DeclaredLoss> {
        self.losses.iter().filter(move |loss| loss.operation == operation)
    }

    /// Every entry.
    pub fn all(&self) -> &[DeclaredLoss] {
        &self.losses
    }
}

/// The names under which a loss can be declared.
pub fn operations() -> BTreeSet<&'static str> {
    let mut names = BTreeSet::from([ADMINISTRATOR]);
    names.extend(all_faults().iter().map(tolmach_domain::Fault::name));
    let mut event =
        |kind: &tolmach_domain::EventKind| names.insert(Event::new(moment(0), kind.clone()).name());
    let mut commands = BTreeSet::new();
    for step in stories().into_iter().flat_map(|story| story.steps) {
        match step {
            Step::Happening(kind) => {
                event(&kind);
            }
            Step::Exchange(exchange) => {
                commands.insert(exchange.command.name());
                exchange.event.as_ref().map(&mut event);
            }
        }
    }
    names.extend(commands);
    names
}

impl Project {
    /// The project at this folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The project that a crate in `crates/<name>` belongs to, from its `CARGO_MANIFEST_DIR`.
    pub fn of_crate(manifest_folder: &str) -> Self {
        Self::at(Path::new(manifest_folder).join("../.."))
    }

    /// The folder with what is said of a dialect.
    pub(crate) fn protocol(&self, dialect: &str) -> PathBuf {
        self.root.join("protocols").join(dialect)
    }

    /// The folder with the transcripts of a dialect.
    pub fn transcripts(&self, dialect: &str) -> PathBuf {
        self.protocol(dialect).join("transcripts")
    }

    /// Reads a dialect's declared losses; the problems of its file otherwise.
    pub fn deviations(&self, dialect: &str) -> Result<Deviations, Vec<String>> {
        let path = self.protocol(dialect).join("DEVIATIONS.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| vec![format!("{}: {error}", path.display())])?;
        parse_deviations(&text).map_err(|problems| {
            problems.into_iter().map(|problem| format!("{}: {problem}", path.display())).collect()
        })
    }

    /// Whether a value is valid by one of a dialect's schemas, by the name of its file, such as
    /// `auth.request.json`.
    pub fn validator(
        &self,
        dialect: &str,
        name: &str,
    ) -> Result<impl Fn(&Value) -> bool + use<>, String> {
        let mut validators = self.schemas(dialect)?.validators;
        match validators.remove(name) {
            Some((_, validator)) => Ok(move |value: &Value| validator.validate(value).is_ok()),
            None => Err(format!(
                "schemas/{dialect} has no {name}; there are {:?}",
                validators.into_keys().collect::<Vec<_>>()
            )),
        }
    }

    /// Compiles a dialect's schemas.
    pub(crate) fn schemas(&self, dialect: &str) -> Result<Schemas, String> {
        Schemas::read(&self.root.join("schemas").join(dialect), dialect)
    }
}

fn parse_deviations(text: &str) -> Result<Deviations, Vec<String>> {
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| vec![error.to_string()])?;
    let entries = match table.get("loss") {
        None => return Ok(Deviations::default()),
        Some(toml::Value::Array(entries)) => entries,
        Some(_) => return Err(vec!["`loss` must be a list of tables: [[loss]]".to_owned()]),
    };
    let known = operations();
    let (mut losses, mut problems) = (Vec::new(), Vec::new());
    for (number, entry) in (1..).zip(entries) {
        let text = |key: &str| {
            entry
                .get(key)
                .and_then(toml::Value::as_str)
                .map(str::trim)
                .filter(|text| !text.is_empty())
        };
        let (Some(operation), Some(what), Some(_)) =
            (text("operation"), text("what"), text("reason"))
        else {
            problems.push(format!(
                "[[loss]] {number}: `operation`, `what` and `reason` are expected, each a text"
            ));
            continue;
        };
        if !known.contains(operation) {
            problems.push(format!(
                "[[loss]] {number}: no operation is named `{operation}`; there are {known:?}"
            ));
        }
        let partial = match entry.get("partial") {
            None => false,
            Some(toml::Value::Boolean(partial)) => *partial,
            Some(other) => {
                problems
                    .push(format!("[[loss]] {number}: `partial` is true or false, not {other}"));
                false
            }
        };
        losses.push(DeclaredLoss {
            operation: operation.to_owned(),
            partial,
            what: what.to_owned(),
        });
    }
    if problems.is_empty() { Ok(Deviations { losses }) } else { Err(problems) }
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// A client says it: `<name>.request.json`.
    Request,
    /// A server says it: `<name>.reply.json`, `<name>.push.json`.
    Answer,
}

/// A dialect's compiled schemas.
#[derive(Debug)]
pub(crate) struct Schemas {
    validators: BTreeMap<String, (Direction, Validator)>,
}

impl Schemas {
    fn read(folder: &Path, dialect: &str) -> Result<Self, String> {
        let mut documents = BTreeMap::new();
        Self::collect(folder, "", &mut documents)?;
        Self::compile(&documents, dialect)
    }

    /// Reads the schemas of a folder, and of its folders: one for each version where a protocol has
    /// versions.
    fn collect(
        folder: &Path,
        prefix: &str,
        documents: &mut BTreeMap<String, Value>,
    ) -> Result<(), String> {
        let entries =
            std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
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
                    return Err(format!(
                        "schemas/{dialect}/{name}: a schema is named <name>.request.json, <name>.reply.json, <name>.push.json or definitions.json"
                    ));
                }
            };
            let validator = jsonschema::options()
                .with_draft(jsonschema::NewMessage::Draft202012)
                .with_registry(&registry)
                .build(&serde_json::json!({ "$ref": address(name) }))
                .map_err(|error| format!("schemas/{dialect}/{name}: {error}"))?;
            validators.insert(name.clone(), (direction, validator));
        }
        Ok(Self { validators })
    }

    /// The names of the schemas.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.validators.keys().map(String::as_str)
    }

    /// The schemas of this direction that a frame matches; why none does otherwise. `None` for a
    /// frame that is no JSON by nature: an empty body, a photo.
    pub(crate) fn check(
        &self,
        frame: &Frame,
        direction: Direction,
    ) -> Option<Result<Vec<&str>, String>> {
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

/// The JSON that a frame carries: its payload, or the part `json` of a multipart form.
pub(crate) fn json_of(frame: &Frame) -> Option<Vec<u8>> {
    let headers = match frame {
        Frame::Text(bytes) | Frame::Binary(bytes) | Frame::Value(bytes) => {
            return Some(bytes.to_vec());
        }
        Frame::Request(request) => request.headers(),
        Frame::Response(response) => response.headers(),
    };
    let body = frame.payload();
    if body.is_empty() {
        return None;
    }
    match headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/json")
    {
        json if json.starts_with("application/json") => Some(body.to_vec()),
        form if form.starts_with("multipart/form-data") => json_part(body),
        _ => None,
    }
}

/// The body of the part named `json`: read by its delimiters alone, for bodies that a dialect
/// itself has made.
fn json_part(body: &[u8]) -> Option<Vec<u8>> {
    let find = |from: usize, wanted: &[u8]| {
        body.get(from..)?
            .windows(wanted.len())
            .position(|window| window == wanted)
            .map(|at| from + at)
    };
    let delimiter = &body[..find(0, b"\r\n")?];
    let head = find(0, b"name=\"json\"")?;
    let start = find(head, b"\r\n\r\n")? + 4;
    let end = find(start, &[b"\r\n", delimiter].concat())?;
    Some(body[start..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn losses_are_read_or_named_wrong() {
        for (text, expected) in [
            ("", Ok(0)),
            ("[[loss]]\noperation = \"edit\"\nwhat = \"all\"\nreason = \"none\"", Ok(1)),
            ("[[loss]]\noperation = \"edit\"\nwhat = \"all\"", Err("reason")),
            ("[[loss]]\noperation = \"edti\"\nwhat = \"all\"\nreason = \"none\"", Err("edti")),
            (
                "[[loss]]\noperation = \"edit\"\nwhat = \"all\"\nreason = \"none\"\npartial = 1",
                Err("partial"),
            ),
            ("loss = 1", Err("[[loss]]")),
            ("[[loss", Err("")),
        ] {
            match (parse_deviations(text), expected) {
                (Ok(deviations), Ok(count)) => assert_eq!(deviations.all().len(), count, "{text}"),
                (Err(problems), Err(part)) => assert!(problems[0].contains(part), "{problems:?}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

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
                    json!({"type": "object", "required": ["id"], "properties": {"id": {"$ref": reference}}}),
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
    fn the_json_part_of_a_form_is_found() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nP\r\n--x\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{\"a\":1}\r\n--x--\r\n";
        assert_eq!(json_part(body.as_bytes()).as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(json_part(b"--x\r\n\r\n"), None);
    }
}
