//! The syntaxes.

use super::value::Value;
use super::{SyntaxError, Writer, python};
use bytes::Bytes;
use std::borrow::Cow;
use tolmach_dialect::json;

/// The syntax of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// JSON.
    Json,
    /// A JSON string whose content is JSON.
    JsonInString,
    /// Python literals.
    PythonLiteral,
}

impl Syntax {
    /// The names in a file.
    pub(crate) const NAMES: [(&'static str, Syntax); 3] = [
        ("json", Syntax::Json),
        ("json-in-string", Syntax::JsonInString),
        ("python-literal", Syntax::PythonLiteral),
    ];

    /// The name of what is expected, for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Syntax::Json => "JSON",
            Syntax::JsonInString => "JSON in a string",
            Syntax::PythonLiteral => "Python",
        }
    }

    /// Reads a frame and hands its value to `read`: a value borrows from a text that may be
    /// unwrapped here.
    pub(crate) fn read<T>(
        self,
        bytes: &[u8],
        depth: usize,
        read: impl FnOnce(Value<'_>) -> T,
    ) -> Result<T, SyntaxError> {
        match self {
            Syntax::Json => Ok(read(json::parse(bytes, depth)?)),
            Syntax::JsonInString => {
                let text: Cow<'_, str> = json::parse::<StringValue<'_>>(bytes, depth)?.0;
                Ok(read(json::parse(text.as_bytes(), depth)?))
            }
            Syntax::PythonLiteral => {
                let text = std::str::from_utf8(bytes).map_err(|_| SyntaxError::Syntax)?;
                Ok(read(python::parse(text, depth)?))
            }
        }
    }

    /// The bytes of a frame whose value was written in the syntax.
    pub(crate) fn finish(self, writer: Writer) -> Bytes {
        match self {
            Syntax::Json | Syntax::PythonLiteral => writer.finish(),
            Syntax::JsonInString => {
                let written = writer.finish();
                json::write(&String::from_utf8_lossy(&written))
            }
        }
    }

    pub(crate) fn write_null(self, writer: &mut Writer) {
        writer.push_str(match self {
            Syntax::Json | Syntax::JsonInString => "null",
            Syntax::PythonLiteral => "None",
        });
    }

    pub(crate) fn write_flag(self, writer: &mut Writer, flag: bool) {
        writer.push_str(match (self, flag) {
            (Syntax::PythonLiteral, true) => "True",
            (Syntax::PythonLiteral, false) => "False",
            (_, true) => "true",
            (_, false) => "false",
        });
    }

    pub(crate) fn write_text(self, writer: &mut Writer, text: &str) {
        match self {
            Syntax::Json | Syntax::JsonInString => write_json_text(writer, text),
            Syntax::PythonLiteral => python::write_text(writer, text),
        }
    }

    /// The separators after a key and between members and items.
    pub(crate) fn separators(self) -> (&'static str, &'static str) {
        match self {
            Syntax::Json | Syntax::JsonInString => (":", ","),
            Syntax::PythonLiteral => (": ", ", "),
        }
    }

    pub(crate) fn write_value(self, writer: &mut Writer, value: &Value<'_>) {
        let (colon, comma) = self.separators();
        match value {
            Value::Null => self.write_null(writer),
            Value::Flag(flag) => self.write_flag(writer, *flag),
            Value::Integer(number) => write_integer(writer, *number),
            // No integer that was read as one is written again.
            Value::Huge => self.write_null(writer),
            Value::Float(number) => write_float(writer, *number),
            Value::Text(text) => self.write_text(writer, text),
            Value::List(items) => {
                writer.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        writer.push_str(comma);
                    }
                    self.write_value(writer, item);
                }
                writer.push(']');
            }
            Value::Object(members) => {
                writer.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        writer.push_str(comma);
                    }
                    self.write_text(writer, key);
                    writer.push_str(colon);
                    self.write_value(writer, value);
                }
                writer.push('}');
            }
        }
    }
}

/// Writes a number with a fraction, `.0` if it has none.
pub(crate) fn write_float(writer: &mut Writer, number: f64) {
    // A value that is no number is written as null by serde_json; no time and no frame has one.
    if serde_json::to_writer(writer.as_vec(), &number).is_err() {
        writer.push_str("0.0");
    }
}

pub(crate) fn write_integer(writer: &mut Writer, number: i64) {
    serde_json::to_writer(writer.as_vec(), &number).expect("writing to a vector cannot fail");
}

fn write_json_text(writer: &mut Writer, text: &str) {
    serde_json::to_writer(writer.as_vec(), text).expect("writing to a vector cannot fail");
}

/// A JSON string.
#[derive(serde::Deserialize)]
struct StringValue<'a>(#[serde(borrow)] Cow<'a, str>);
