//! Many values of one type as one parameter: the text of an array.

use crate::error::corrupt;
use sea_orm::{DbBackend, Value};
use std::fmt::Write;
use tolmach_engine::ports::StoreError;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Boolean,
    Bytes,
    Integer,
    Text,
}

impl Type {
    /// The name in PostgreSQL.
    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Bytes => "bytea",
            Self::Integer => "bigint",
            Self::Text => "text",
        }
    }

    /// An array of PostgreSQL, from a parameter, by its number, with its text.
    pub(super) fn array(self, parameter: usize) -> String {
        format!("CAST(CAST(${parameter} AS text) AS {}[])", self.name())
    }

    /// The condition that an expression is one of an array, from a parameter, by its number, with
    /// its text.
    pub(super) fn is_in(self, backend: DbBackend, expression: &str, parameter: usize) -> String {
        if backend == DbBackend::Postgres {
            return format!("{expression} = ANY({})", self.array(parameter));
        }
        let value = if self == Self::Bytes { "unhex(value)" } else { "value" };
        format!("{expression} IN (SELECT {value} FROM json_each(${parameter}))")
    }
}

/// The parameter of [`Type::array`] and [`Type::is_in`]: a list of any length.
pub(super) fn list_parameter<'a>(
    backend: DbBackend,
    values: impl IntoIterator<Item = &'a Value>,
) -> Result<Value, StoreError> {
    let text = match backend {
        DbBackend::Postgres => array_text(values)?,
        _ => json_text(values)?,
    };
    Ok(text.into())
}

/// The same of integers.
pub(crate) fn integer_list(
    backend: DbBackend,
    list: impl IntoIterator<Item = i64>,
) -> Result<Value, StoreError> {
    let values: Vec<Value> = list.into_iter().map(Value::from).collect();
    list_parameter(backend, &values)
}

/// The text of an array of PostgreSQL.
pub(super) fn array_text<'a>(
    values: impl IntoIterator<Item = &'a Value>,
) -> Result<String, StoreError> {
    let mut text = String::from("{");
    for (index, value) in values.into_iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        match value {
            // Writing to a String cannot fail.
            Value::BigInt(Some(number)) => drop(write!(text, "{number}")),
            Value::Bool(Some(is_true)) => text.push(if *is_true { 't' } else { 'f' }),
            Value::String(Some(string)) => push_quoted(&mut text, string),
            Value::Bytes(Some(bytes)) => {
                text.push_str("\"\\\\x");
                text.push_str(&hex::encode(bytes));
                text.push('"');
            }
            Value::BigInt(None) | Value::Bool(None) | Value::String(None) | Value::Bytes(None) => {
                text.push_str("NULL");
            }
            _ => return Err(corrupt("a value of a type that no column has")),
        }
    }
    text.push('}');
    Ok(text)
}

/// The text of an array of JSON, in which bytes are hexadecimal.
fn json_text<'a>(values: impl IntoIterator<Item = &'a Value>) -> Result<String, StoreError> {
    let mut text = String::from("[");
    for (index, value) in values.into_iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        match value {
            // Writing to a String cannot fail.
            Value::BigInt(Some(number)) => drop(write!(text, "{number}")),
            Value::String(Some(string)) => {
                text.push_str(&serde_json::to_string(string).map_err(corrupt)?);
            }
            Value::Bytes(Some(bytes)) => {
                text.push('"');
                text.push_str(&hex::encode(bytes));
                text.push('"');
            }
            _ => return Err(corrupt("a value of a type that is not looked up")),
        }
    }
    text.push(']');
    Ok(text)
}

/// Adds an element in double quotes, in which a backslash comes before each of both signs.
fn push_quoted(text: &mut String, element: &str) {
    text.push('"');
    for piece in element.split_inclusive(['"', '\\']) {
        match piece.strip_suffix(['"', '\\']) {
            Some(before) => {
                text.push_str(before);
                text.push('\\');
                text.push_str(&piece[before.len()..]);
            }
            None => text.push_str(piece),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_an_array_with_its_texts_quoted() {
        for (values, expected) in [
            (vec![], "{}"),
            (vec![Value::from(-7_i64), Value::BigInt(None), 8_i64.into()], "{-7,NULL,8}"),
            (vec![true.into(), false.into()], "{t,f}"),
            (vec![vec![0_u8, 171].into()], r#"{"\\x00ab"}"#),
            (
                vec!["".into(), "NULL".into(), "a,b{}".into(), Value::String(None)],
                r#"{"","NULL","a,b{}",NULL}"#,
            ),
            (
                vec![r#"say "hi" \ "#.into(), r"\".into(), r#"""#.into(), "ä\n".into()],
                "{\"say \\\"hi\\\" \\\\ \",\"\\\\\",\"\\\"\",\"ä\n\"}",
            ),
        ] {
            assert_eq!(array_text(&values).unwrap(), expected);
        }
        assert!(array_text(&[Value::Int(Some(1))]).is_err());
    }

    #[test]
    fn a_list_to_look_up_is_a_json_array() {
        for (values, expected) in [
            (vec![], "[]"),
            (vec![Value::from(-7_i64), 8_i64.into()], "[-7,8]"),
            (vec![vec![0_u8, 171].into()], r#"["00ab"]"#),
            (vec!["a\"b\\".into(), "".into()], r#"["a\"b\\",""]"#),
        ] {
            assert_eq!(json_text(&values).unwrap(), expected);
        }
        assert!(json_text(&[Value::BigInt(None)]).is_err());
    }

    #[test]
    fn a_list_of_integers_is_an_array_of_each_database() {
        for (list, postgres, sqlite) in
            [(&[][..], "{}", "[]"), (&[7], "{7}", "[7]"), (&[-1, 20, 3], "{-1,20,3}", "[-1,20,3]")]
        {
            let text = |backend| integer_list(backend, list.iter().copied()).unwrap();
            assert_eq!(text(DbBackend::Postgres), Value::from(postgres));
            assert_eq!(text(DbBackend::Sqlite), Value::from(sqlite));
        }
    }
}
