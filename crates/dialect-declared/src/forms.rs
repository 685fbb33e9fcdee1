//! Forms: the ways in which a wire writes a value of the model.

use crate::model::{Datum, Found, Type};
use crate::strftime::strftime;
use crate::syntax::{Kind, Syntax, Value, Writer, write_float, write_integer};
use std::borrow::Cow;
use tolmach_domain::{ContentType, ExternalId, FlowKind, ID_LIMIT, Timestamp};

/// The upper 64 bits of the UUIDs that stand for ids: version 8, RFC 9562 section 5.8.
const UUID_PREFIX: &str = "00000000-0000-8000-8000-";

/// A form of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// The form of the type itself.
    Natural,
    /// An integer as a decimal text.
    Decimal,
    /// A text of digits as an integer.
    Number,
    /// An id as 32 hexadecimal digits.
    Hex,
    /// An id as a UUID.
    Uuid,
    /// Whole seconds since the epoch.
    Seconds,
    /// Seconds since the epoch with a fraction.
    FloatSeconds,
    Millis,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    Plain,
    /// RFC 3339 with 0, 3 or 6 digits of a second.
    Rfc3339(u8),
    /// By the specifiers of strftime.
    Date(String),
    /// The number of a page of this size, from 1, of an offset.
    Page(u32),
    /// True if there is a value.
    Present,
    /// The empty text for none.
    Blank,
    /// A table of values.
    Table(usize),
    /// One of several forms of times, which the peer's latest request chose.
    Choice(usize),
    /// Any value of this kind, or of any where it is none. Not kept.
    Any(Option<Kind>),
}

/// A table `[values.x]`: the values of the model, each with those of the wire.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: Vec<TableRow>,
    /// Written for any other value.
    pub(crate) others: Option<Value<'static>>,
    /// True if any other text stands for itself.
    pub(crate) others_as_they_are: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableRow {
    pub(crate) name: &'static str,
    /// The first is written, all are read.
    pub(crate) wire: Vec<Value<'static>>,
}

/// The tables and choices that forms refer to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tables {
    pub(crate) tables: Vec<Table>,
    pub(crate) choices: Vec<Vec<Form>>,
}

/// The reason why a value was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// Of another kind, where this is expected.
    Kind(&'static str),
    /// Of the right kind, but none of the values that exist.
    Range(&'static str),
    /// Of the right kind, but not in this table.
    Table(usize),
}

impl Form {
    /// The kind of value that the form is, for a type; `None` for several.
    pub(crate) fn kind(&self, of: Type, tables: &Tables) -> Option<Kind> {
        Some(match self {
            Form::Natural => match of {
                Type::Flag => Kind::Flag,
                Type::Integer | Type::UserId | Type::FlowId | Type::MessageId => Kind::Integer,
                Type::Text | Type::Word(_) | Type::Time => Kind::Text,
                Type::FlowKind | Type::ContentType => Kind::Text,
                Type::Object(_) => Kind::Object,
                Type::List(_) => Kind::List,
                Type::Json => return None,
            },
            Form::Decimal | Form::Hex | Form::Uuid => Kind::Text,
            Form::Number | Form::Seconds | Form::Millis | Form::Page(_) => Kind::Integer,
            Form::FloatSeconds => Kind::Float,
            Form::Plain | Form::Rfc3339(_) | Form::Date(_) | Form::Blank => Kind::Text,
            Form::Present => Kind::Flag,
            Form::Table(table) => {
                let values = tables.tables.get(*table)?.rows.first()?;
                values.wire.first()?.kind()
            }
            Form::Choice(_) => return None,
            Form::Any(kind) => return *kind,
        })
    }

    /// The digits of a second that a form of times keeps; none for a form that is not read back.
    pub(crate) fn precision(&self) -> Option<u8> {
        match self {
            Form::FloatSeconds | Form::Rfc3339(6) => Some(6),
            Form::Millis | Form::Rfc3339(3) => Some(3),
            Form::Date(_) => None,
            _ => Some(0),
        }
    }

    /// True if a value of this kind can be read in this form.
    pub(crate) fn accepts(&self, kind: Kind, of: Type, tables: &Tables) -> bool {
        match self {
            Form::Choice(choice) => {
                tables.choices[*choice].iter().any(|form| form.accepts(kind, of, tables))
            }
            Form::FloatSeconds => matches!(kind, Kind::Float | Kind::Integer),
            Form::Table(table) => {
                let table = &tables.tables[*table];
                table.rows.iter().flat_map(|row| &row.wire).any(|value| value.kind() == kind)
            }
            form => form.kind(of, tables).is_none_or(|own| own == kind),
        }
    }

    /// The expectation in words.
    pub(crate) fn expected(&self, of: Type, tables: &Tables) -> &'static str {
        match self {
            Form::FloatSeconds => "a number is expected",
            Form::Choice(_) => "a number or a string is expected",
            form => form.kind(of, tables).map_or("a value is expected", Kind::expected),
        }
    }

    /// Writes a value that is not none.
    pub(crate) fn write(
        &self,
        datum: &Datum<'_>,
        tables: &Tables,
        chosen: &[u8],
        syntax: Syntax,
        writer: &mut Writer,
    ) {
        let text = |writer: &mut Writer, text: &str| syntax.write_text(writer, text);
        match (self, datum) {
            (Form::Choice(choice), datum) => {
                let forms = &tables.choices[*choice];
                let index = chosen.get(*choice).copied().map_or(0, usize::from);
                if let Some(form) = forms.get(index).or(forms.first()) {
                    form.write(datum, tables, chosen, syntax, writer);
                }
            }
            (Form::Table(table), datum) => {
                tables.tables[*table].write(datum, syntax, writer);
            }
            (Form::Present, datum) => syntax.write_flag(writer, !datum.is_none()),
            (_, Datum::None) => syntax.write_null(writer),
            (_, Datum::Flag(flag)) => syntax.write_flag(writer, *flag),
            (Form::Decimal, Datum::Integer(number)) => text(writer, &number.to_string()),
            (Form::Hex, Datum::Integer(number)) => text(writer, &format!("{number:032x}")),
            (Form::Uuid, Datum::Integer(number)) => {
                text(writer, &format!("{UUID_PREFIX}{number:012x}"));
            }
            (Form::Page(size), Datum::Integer(offset)) => {
                let page = offset / i64::from((*size).max(1)) + 1;
                write_integer(writer, page);
            }
            (_, Datum::Integer(number)) => write_integer(writer, *number),
            (Form::Number, Datum::Text(digits)) => match digits.parse() {
                Ok(number) => write_integer(writer, number),
                Err(_) => syntax.write_null(writer),
            },
            (_, Datum::Text(value)) => text(writer, value),
            (form, Datum::Time(time)) => form.write_time(*time, syntax, writer),
            (_, Datum::FlowKind(kind)) => text(writer, kind_name(*kind)),
            (_, Datum::ContentType(content_type)) => text(writer, content_type_name(content_type)),
            (_, Datum::Word(word)) => text(writer, word),
            (_, Datum::Json(json)) => writer.as_vec().extend_from_slice(json),
            // The loader has refused holes that name a whole object or list.
            (_, Datum::Object(_) | Datum::List(_)) => syntax.write_null(writer),
        }
    }

    fn write_time(&self, time: Timestamp, syntax: Syntax, writer: &mut Writer) {
        match self {
            Form::Seconds => {
                write_integer(writer, time.whole_seconds());
            }
            Form::Millis => write_integer(writer, time.micros() / 1_000),
            Form::FloatSeconds => write_float(writer, time.seconds()),
            Form::Plain => syntax.write_text(writer, &time.plain()),
            Form::Rfc3339(0) => syntax.write_text(writer, &time.rfc3339()),
            Form::Rfc3339(3) => syntax.write_text(writer, &time.rfc3339_millis()),
            Form::Date(format) => syntax.write_text(writer, &strftime(time, format)),
            _ => syntax.write_text(writer, &time.rfc3339_micros()),
        }
    }

    /// Reads a value that is not null. `choice` is told of the form that was chosen.
    pub(crate) fn read(
        &self,
        value: &Value<'_>,
        of: Type,
        tables: &Tables,
        syntax: Syntax,
        chosen: &mut dyn FnMut(usize, usize),
    ) -> Result<Found, Mismatch> {
        let kind = || Mismatch::Kind(self.expected(of, tables));
        match self {
            Form::Choice(choice) => {
                let forms = tables.choices[*choice].iter().enumerate();
                let mut fitting = forms.filter(|(_, form)| form.accepts(value.kind(), of, tables));
                let (index, form) = fitting.next().ok_or_else(kind)?;
                chosen(*choice, index);
                form.read(value, of, tables, syntax, chosen)
            }
            Form::Any(expected) => match expected {
                Some(expected) if *expected != value.kind() => Err(kind()),
                _ => Ok(Found::Flag(true)),
            },
            Form::Table(table) => {
                let read = tables.tables[*table].read(value, of);
                read.map_err(|mismatch| mismatch.unwrap_or(Mismatch::Table(*table)))
            }
            Form::Natural => natural(value, of, syntax).ok_or_else(kind),
            Form::Decimal => match value {
                // Any other text is the id of nothing.
                Value::Text(digits) if of.is_id() => {
                    Ok(Found::Integer(decimal(digits).unwrap_or_default()))
                }
                Value::Text(digits) => decimal(digits)
                    .map(Found::Integer)
                    .ok_or(Mismatch::Range("decimal digits are expected")),
                _ => Err(kind()),
            },
            Form::Hex | Form::Uuid => match value {
                Value::Text(digits) => Ok(Found::Integer(self.id_of(digits).unwrap_or_default())),
                _ => Err(kind()),
            },
            Form::Number => match value {
                Value::Integer(number) => Ok(Found::Text(number.to_string())),
                _ => Err(kind()),
            },
            Form::Page(size) => match value {
                Value::Integer(page) => {
                    let offset = page.saturating_sub(1).saturating_mul(i64::from(*size));
                    Ok(Found::Integer(offset))
                }
                _ => Err(kind()),
            },
            Form::Blank => match value {
                Value::Text(text) => Ok(Found::Text(text.clone().into_owned())),
                _ => Err(kind()),
            },
            Form::Present => match value {
                Value::Flag(flag) => Ok(Found::Flag(*flag)),
                _ => Err(kind()),
            },
            Form::Seconds
            | Form::Millis
            | Form::FloatSeconds
            | Form::Plain
            | Form::Rfc3339(_)
            | Form::Date(_) => {
                if !self.accepts(value.kind(), of, tables) {
                    return Err(kind());
                }
                let range = Mismatch::Range("a time is expected");
                self.time_of(value).map(Found::Time).ok_or(range)
            }
        }
    }

    /// The id that a text says, if it is too wide for the id types.
    pub(crate) fn wide_id(&self, value: &Value<'_>) -> Option<ExternalId> {
        let Value::Text(digits) = value else { return None };
        let id = match self {
            Form::Decimal => ExternalId::from_decimal(digits),
            Form::Hex => ExternalId::from_hex(digits),
            Form::Uuid if !digits.starts_with(UUID_PREFIX) => ExternalId::from_hex(digits),
            _ => None,
        };
        id.filter(|id| id.0 >= ID_LIMIT.unsigned_abs().into())
    }

    /// Writes an id that is too wide for the id types. Returns false for a form without room.
    pub(crate) fn write_wide_id(
        &self,
        id: ExternalId,
        syntax: Syntax,
        writer: &mut Writer,
    ) -> bool {
        let text = match self {
            Form::Decimal => id.0.to_string(),
            Form::Hex => format!("{:032x}", id.0),
            Form::Uuid => {
                let digits = format!("{:032x}", id.0);
                [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]]
                    .join("-")
            }
            _ => return false,
        };
        syntax.write_text(writer, &text);
        true
    }

    fn id_of(&self, digits: &str) -> Option<i64> {
        let digits = match self {
            Form::Uuid => digits.strip_prefix(UUID_PREFIX)?,
            _ => digits,
        };
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        (is_hex && digits.len() <= 32).then_some(())?;
        i64::try_from(u128::from_str_radix(digits, 16).ok()?).ok()
    }

    fn time_of(&self, value: &Value<'_>) -> Option<Timestamp> {
        let number = match value {
            Value::Integer(number) => *number as f64,
            Value::Float(number) => *number,
            Value::Text(text) => {
                return match self {
                    Form::Plain => Timestamp::parse_plain(text),
                    Form::Rfc3339(_) => Timestamp::parse_rfc3339(text),
                    _ => None,
                };
            }
            _ => return None,
        };
        match self {
            Form::Millis => Timestamp::from_seconds(number / 1e3),
            _ => Timestamp::from_seconds(number),
        }
    }
}

/// An integer of decimal digits.
fn decimal(digits: &str) -> Option<i64> {
    let is_decimal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    // A number beyond 64 bits is the id of nothing.
    is_decimal.then(|| digits.parse().unwrap_or_default())
}

/// A value in the natural form of a type.
fn natural(value: &Value<'_>, of: Type, syntax: Syntax) -> Option<Found> {
    Some(match (of, value) {
        (Type::Json, value) => {
            let mut writer = Writer::default();
            syntax.write_value(&mut writer, value);
            Found::Json(writer.finish())
        }
        (Type::Flag, Value::Flag(flag)) => Found::Flag(*flag),
        (Type::Text, Value::Text(text)) => Found::Text(text.clone().into_owned()),
        (Type::Word(words), Value::Text(text)) => {
            Found::Word(words.iter().find(|word| *word == text)?)
        }
        (Type::FlowKind, Value::Text(text)) => Found::FlowKind(kind_of(text)?),
        (Type::ContentType, Value::Text(text)) => Found::ContentType(content_type_of(text)?),
        (Type::Time, Value::Text(text)) => Found::Time(Timestamp::parse_rfc3339(text)?),
        (Type::Integer, Value::Integer(number)) => Found::Integer(*number),
        (of, Value::Integer(number)) if of.is_id() => Found::Integer(*number),
        // An id beyond 64 bits is the id of nothing.
        (of, Value::Huge) if of.is_id() => Found::Integer(0),
        _ => return None,
    })
}

const KINDS: [(&str, FlowKind); 3] =
    [("chat", FlowKind::Chat), ("group", FlowKind::Group), ("channel", FlowKind::Channel)];

pub(crate) fn kind_name(kind: FlowKind) -> &'static str {
    KINDS.iter().find(|(_, other)| *other == kind).map_or("group", |(name, _)| name)
}

pub(crate) fn kind_of(name: &str) -> Option<FlowKind> {
    KINDS.iter().find(|(other, _)| *other == name).map(|(_, kind)| *kind)
}

/// The longest name of a content type, in characters.
const CONTENT_TYPE_LIMIT: usize = 64;

pub(crate) fn content_type_name(content_type: &ContentType) -> &str {
    match content_type {
        ContentType::Text => "text",
        ContentType::Image => "image",
        ContentType::File => "file",
        ContentType::Sticker => "sticker",
        ContentType::Other(name) => name,
    }
}

pub(crate) fn content_type_of(name: &str) -> Option<ContentType> {
    Some(match name {
        "text" => ContentType::Text,
        "image" => ContentType::Image,
        "file" => ContentType::File,
        "sticker" => ContentType::Sticker,
        name => {
            let length = name.chars().count();
            let is_name = (1..=CONTENT_TYPE_LIMIT).contains(&length);
            (is_name && !name.chars().any(char::is_control)).then_some(())?;
            ContentType::Other(name.into())
        }
    })
}

impl Table {
    /// The wire's value of a name of the model.
    pub(crate) fn wire_of(&self, name: &str) -> Option<&Value<'static>> {
        self.rows.iter().find(|row| row.name == name)?.wire.first()
    }

    /// The values that are written, as an expectation in words.
    pub(crate) fn expected(&self) -> String {
        let mut values: Vec<String> = Vec::new();
        for value in self.rows.iter().filter_map(|row| row.wire.first()) {
            let mut writer = Writer::default();
            Syntax::Json.write_value(&mut writer, value);
            let written = String::from_utf8_lossy(&writer.finish()).into_owned();
            if !values.contains(&written) {
                values.push(written);
            }
        }
        let last = values.pop().unwrap_or_default();
        if values.is_empty() {
            return format!("{last} is expected");
        }
        format!("{} or {last} is expected", values.join(", "))
    }

    fn write(&self, datum: &Datum<'_>, syntax: Syntax, writer: &mut Writer) {
        let name: Cow<'_, str> = match datum {
            Datum::FlowKind(kind) => kind_name(*kind).into(),
            Datum::ContentType(content_type) => content_type_name(content_type).into(),
            Datum::Word(word) => (*word).into(),
            Datum::Flag(flag) => if *flag { "true" } else { "false" }.into(),
            Datum::Text(text) => Cow::Borrowed(text),
            Datum::Integer(number) => number.to_string().into(),
            _ => "none".into(),
        };
        let row = self.rows.iter().find(|row| row.name == name);
        match (row.and_then(|row| row.wire.first()), &self.others) {
            (Some(value), _) => syntax.write_value(writer, value),
            (None, _) if self.others_as_they_are => syntax.write_text(writer, &name),
            (None, Some(value)) => syntax.write_value(writer, value),
            (None, None) => syntax.write_null(writer),
        }
    }

    /// `None` for a value of the right kind that is not in the table.
    fn read(&self, value: &Value<'_>, of: Type) -> Result<Found, Option<Mismatch>> {
        let row = self.rows.iter().find(|row| row.wire.contains(value));
        let name: Cow<'_, str> = match (row, value) {
            (Some(row), _) => row.name.into(),
            (None, Value::Text(text)) if self.others_as_they_are => Cow::Borrowed(text),
            (None, value) => {
                let kinds = self.rows.iter().flat_map(|row| &row.wire).map(Value::kind);
                let mut kinds = kinds.collect::<Vec<_>>().into_iter();
                return Err(match kinds.next() {
                    Some(first) if first != value.kind() && kinds.all(|kind| kind == first) => {
                        Some(Mismatch::Kind(first.expected()))
                    }
                    _ => None,
                });
            }
        };
        let out_of_range = match of {
            Type::ContentType => Some(Mismatch::Range("1 to 64 characters are expected")),
            _ => None,
        };
        let found = match of {
            Type::FlowKind => kind_of(&name).map(Found::FlowKind),
            Type::ContentType => content_type_of(&name).map(Found::ContentType),
            Type::Word(words) => words.iter().find(|word| **word == name).map(|w| Found::Word(w)),
            Type::Flag => Some(Found::Flag(name == "true")),
            _ => Some(Found::Text(name.into_owned())),
        };
        found.ok_or(out_of_range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: &Form, datum: &Datum<'_>) -> String {
        let mut writer = Writer::default();
        form.write(datum, &Tables::default(), &[], Syntax::Json, &mut writer);
        String::from_utf8(writer.finish().to_vec()).unwrap()
    }

    #[test]
    fn forms_are_read_as_they_are_written() {
        let time = Timestamp::from_micros(1_700_000_000_250_000);
        let id = Datum::Integer(42);
        let tables = Tables::default();
        for (form, datum, of, text) in [
            (Form::Natural, id.clone(), Type::FlowId, "42"),
            (Form::Decimal, id.clone(), Type::FlowId, "\"42\""),
            (Form::Hex, id.clone(), Type::FlowId, "\"0000000000000000000000000000002a\""),
            (Form::Uuid, id, Type::FlowId, "\"00000000-0000-8000-8000-00000000002a\""),
            (Form::Number, Datum::text("7"), Type::Text, "7"),
            (Form::Page(100), Datum::Integer(200), Type::Integer, "3"),
            (Form::FloatSeconds, Datum::Time(time), Type::Time, "1700000000.25"),
            (Form::Millis, Datum::Time(time), Type::Time, "1700000000250"),
            (Form::Rfc3339(3), Datum::Time(time), Type::Time, "\"2023-11-14T22:13:20.250Z\""),
        ] {
            assert_eq!(written(&form, &datum), text, "{form:?}");
            let value: Value<'_> = serde_json::from_str(text).unwrap();
            let found = form.read(&value, of, &tables, Syntax::Json, &mut |_, _| {}).unwrap();
            let expected = match datum {
                Datum::Integer(number) => Found::Integer(number),
                Datum::Text(text) => Found::Text(text.into_owned()),
                Datum::Time(time) => Found::Time(time),
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{form:?}");
        }
    }

    #[test]
    fn a_wide_id_is_written_as_it_is_read() {
        for (form, text) in [
            (Form::Decimal, "9007199254740992"),
            (Form::Decimal, "1512366075204170929049582354406559215"),
            (Form::Hex, "0123456789abcdef0123456789abcdef"),
            (Form::Uuid, "01234567-89ab-4def-8123-456789abcdef"),
        ] {
            let id = form.wide_id(&Value::Text(text.into())).unwrap();
            let mut writer = Writer::default();
            assert!(form.write_wide_id(id, Syntax::Json, &mut writer));
            assert_eq!(&*writer.finish(), format!("\"{text}\"").as_bytes());
        }
        for (form, text) in [
            (Form::Decimal, "9007199254740991"),
            (Form::Decimal, "1512366075204170929049582354406559215x"),
            (Form::Hex, "00000000000000000000000000000001"),
            (Form::Hex, "1"),
            (Form::Uuid, "00000000-0000-8000-8000-00000000002a"),
            (Form::Natural, "1512366075204170929049582354406559215"),
        ] {
            assert_eq!(form.wide_id(&Value::Text(text.into())), None, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_id_is_the_id_of_nothing() {
        for form in [Form::Decimal, Form::Hex, Form::Uuid] {
            for text in ["none", "", "-1", "99999999999999999999999999999999999999"] {
                let value = Value::Text(text.into());
                let tables = Tables::default();
                let found = form.read(&value, Type::FlowId, &tables, Syntax::Json, &mut |_, _| {});
                let is_nothing = matches!(found, Ok(Found::Integer(number)) if number <= 0);
                assert!(is_nothing, "{form:?} {text}: {found:?}");
            }
        }
    }

    #[test]
    fn a_value_of_another_kind_is_told_from_one_out_of_range() {
        let tables = Tables::default();
        for (form, of, text, expected) in [
            (Form::Natural, Type::FlowId, "\"1\"", Mismatch::Kind("an integer is expected")),
            (Form::Decimal, Type::FlowId, "1", Mismatch::Kind("a string is expected")),
            (Form::Decimal, Type::Integer, "\"x\"", Mismatch::Range("decimal digits are expected")),
            (Form::Plain, Type::Time, "\"x\"", Mismatch::Range("a time is expected")),
            (Form::FloatSeconds, Type::Time, "\"x\"", Mismatch::Kind("a number is expected")),
        ] {
            let value: Value<'_> = serde_json::from_str(text).unwrap();
            let read = form.read(&value, of, &tables, Syntax::Json, &mut |_, _| {});
            assert_eq!(read.unwrap_err(), expected, "{form:?} {text}");
        }
    }
}
