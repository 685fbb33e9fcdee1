//! The lines of a file of decisions: users of a source who are in conflict with others.

use crate::id::Id;
use crate::record::RecordError;
use serde::{Deserialize, Serialize};

/// A user of a source, and the decision of a person. A line that is written by hand needs `source`,
/// `user` and `decision` only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionLine {
    /// The name of the source.
    pub source: String,
    /// The id of the user there.
    pub user: Id,
    /// The decision; `None` while there is none.
    #[serde(default)]
    pub decision: Option<Decision>,
    /// The login at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The e-mail address at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The file and line, or the database and number, of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The users who have the login or the address, or a login that looks like it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

/// A user who has what another user brings along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The number here; `None` for a user of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<i64>,
    /// The id at the source; `None` for a user who is only here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_user: Option<Id>,
    /// The login.
    pub login: String,
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// True if the user is deleted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
}

/// A decision about a user of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The user is the one with this number here, whose account stays as it is.
    SameAs(i64),
    /// The user is another one, with this login, and without the e-mail address if another user
    /// has it.
    Rename(String),
    /// The user does not come along.
    Skip,
}

impl DecisionLine {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let parsed: Self =
            serde_path_to_error::deserialize(&mut deserializer).map_err(|error| RecordError {
                field: error.path().to_string(),
                reason: error.inner().to_string(),
            })?;
        deserializer.end().map_err(|error| whole(&error))?;
        Ok(parsed)
    }

    /// The line, without its end.
    pub fn to_line(&self) -> Result<String, RecordError> {
        serde_json::to_string(self).map_err(|error| whole(&error))
    }
}

fn whole(error: &serde_json::Error) -> RecordError {
    RecordError { field: ".".into(), reason: error.to_string() }
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 4] = [
        concat!(
            r#"{"source":"old","user":7,"decision":null,"login":"anna","email":"a@x.org","#,
            r#""place":"world.jsonl:2","reason":"another user has the login","#,
            r#""candidates":[{"user":5,"source_user":9,"login":"Anna","email":"b@x.org"},"#,
            r#"{"user":6,"login":"x","deleted":true}]}"#
        ),
        r#"{"source":"old","user":7,"decision":{"same_as":5}}"#,
        r#"{"source":"old","user":7,"decision":{"rename":"anna2"}}"#,
        r#"{"source":"old","user":7,"decision":"skip"}"#,
    ];

    #[test]
    fn a_line_is_written_as_it_was_read() {
        for line in LINES {
            let parsed = DecisionLine::parse(line.as_bytes()).unwrap();
            assert_eq!(parsed.to_line().unwrap(), line);
        }
    }

    #[test]
    fn the_schema_permits_what_is_read_and_no_other_decision() {
        let schema = include_str!("../../../schemas/world/decision.json");
        let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        for line in LINES {
            let line = serde_json::from_str(line).unwrap();
            let problems: Vec<_> = schema.iter_errors(&line).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{line}: {problems:?}");
        }
        for line in [
            r#"{"user":7,"decision":"skip"}"#,
            r#"{"source":"old","user":7,"decision":"take"}"#,
            r#"{"source":"old","user":7,"decision":{"same_as":"5"}}"#,
            r#"{"source":"old","user":7,"decision":"skip","colour":1}"#,
        ] {
            assert!(!schema.is_valid(&serde_json::from_str(line).unwrap()), "{line}");
            assert!(DecisionLine::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
