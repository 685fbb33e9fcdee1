//! Values of frames without what differs between two servers that do the same: ids, tokens, times.

use crate::fields::places::RoleOfPart;
use crate::payload::Leaf;
use std::borrow::Cow;
use tolmach_dialect::{FieldRole, Part};

/// A value as two servers are compared by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'d> {
    /// The same on both servers.
    Plain(Cow<'d, str>),
    /// Of an object: the same on both servers once the ids of the object are known.
    Id(FieldRole, Cow<'d, str>),
    /// A token, a time or an id that no frame names again: only the form is compared.
    Noise(Cow<'static, str>),
}

/// A value within the text around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartOfText<'d> {
    /// The text before the value.
    pub(crate) before: &'static str,
    /// The value.
    pub(crate) inner: Cow<'d, str>,
    /// The text after the value.
    pub(crate) after: &'static str,
}

/// The part of a text that has a role; `None` if the text is not of that form.
pub(crate) fn part_of(text: Cow<'_, str>, part: Part) -> Option<PartOfText<'_>> {
    match part {
        Part::Whole => Some(PartOfText { before: "", inner: text, after: "" }),
        Part::Between(before, after) => {
            let inner = text.strip_prefix(before)?.strip_suffix(after)?;
            Some(PartOfText { before, inner: Cow::Owned(inner.to_owned()), after })
        }
    }
}

/// True for the roles whose values one server makes and another does not know.
pub(crate) fn is_made_by_server(role: FieldRole) -> bool {
    matches!(
        role,
        FieldRole::Token
            | FieldRole::User
            | FieldRole::Flow
            | FieldRole::Message
            | FieldRole::OtherId
    )
}

/// The value of a leaf with a role.
pub(crate) fn value_of<'d>(leaf: &Leaf<'d>, role: Option<RoleOfPart>) -> Value<'d> {
    let text = leaf.text();
    let is_word = leaf.is_null() || matches!(leaf.raw, "true" | "false" | "True" | "False");
    let Some((role, part)) = role.filter(|_| !is_word) else { return Value::Plain(text) };
    match part_of(text.clone(), part) {
        Some(part) => match of_role(role, part.inner) {
            Value::Plain(_) => Value::Plain(text),
            other => other,
        },
        None => Value::Plain(text),
    }
}

/// The value of a text with a role.
pub(crate) fn of_role(role: FieldRole, text: Cow<'_, str>) -> Value<'_> {
    if text.is_empty() || text == "0" {
        return Value::Plain(text);
    }
    match role {
        FieldRole::User | FieldRole::Flow | FieldRole::Message => Value::Id(role, text),
        FieldRole::OtherId => Value::Noise("<id>".into()),
        FieldRole::Secret | FieldRole::Token => Value::Noise("<token>".into()),
        FieldRole::Time if text.parse::<f64>().is_ok() => Value::Noise("<time>".into()),
        FieldRole::Time => Value::Noise(form_of(&text).into()),
        FieldRole::Text
        | FieldRole::Name
        | FieldRole::Contact
        | FieldRole::Correlation
        | FieldRole::Word => Value::Plain(text),
    }
}

/// The form of a time: digits in a row as `0`, letters in a row as `A`, a single letter as it is.
fn form_of(text: &str) -> String {
    let mut form = String::from("<time> ");
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_digit = |character: char| character.is_ascii_digit();
        let same: fn(char) -> bool = match first {
            _ if is_digit(first) => |character| character.is_ascii_digit(),
            _ if first.is_alphabetic() => char::is_alphabetic,
            _ => |_| false,
        };
        let run = rest.find(|character| !same(character)).unwrap_or(rest.len());
        let run = run.max(first.len_utf8());
        match &rest[..run] {
            digits if digits.starts_with(is_digit) => form.push('0'),
            letters if first.is_alphabetic() && letters.chars().count() > 1 => form.push('A'),
            other => form.push_str(other),
        }
        rest = &rest[run..];
    }
    form
}

/// True if two texts are the same but for numbers that `is_pair` knows to be of one object. A text
/// that is nothing but a number names no object: it may be a status or a count.
pub(crate) fn same_but_numbers(a: &str, b: &str, is_pair: &dyn Fn(&str, &str) -> bool) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(a) || is_number(b) {
        return a == b;
    }
    let (mut a, mut b) = (pieces(a), pieces(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || is_pair(a, b) => {}
            _ => return false,
        }
    }
}

/// A text as runs of digits and of anything else.
fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let is_digit = text.chars().next()?.is_ascii_digit();
        let end = text
            .find(|character: char| character.is_ascii_digit() != is_digit)
            .unwrap_or(text.len());
        let (piece, rest) = text.split_at(end);
        text = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tokens_and_times_are_told_from_what_is_compared() {
        let whole = |role| Some((role, Part::Whole));
        let between = Part::Between("room ", " left");
        for (raw, role, expected) in [
            ("5", whole(FieldRole::User), Value::Id(FieldRole::User, "5".into())),
            ("\"5\"", whole(FieldRole::Flow), Value::Id(FieldRole::Flow, "5".into())),
            ("0", whole(FieldRole::Message), Value::Plain("0".into())),
            ("null", whole(FieldRole::Token), Value::Plain("null".into())),
            ("'x'", whole(FieldRole::Token), Value::Noise("<token>".into())),
            ("1.5", whole(FieldRole::Time), Value::Noise("<time>".into())),
            (
                "\"2023-11-14T22:13:22.25Z\"",
                whole(FieldRole::Time),
                Value::Noise("<time> 0-0-0T0:0:0.0Z".into()),
            ),
            (
                "\"Tue Nov 14 10:13:22 PM\"",
                whole(FieldRole::Time),
                Value::Noise("<time> A A 0 0:0:0 A".into()),
            ),
            ("7", whole(FieldRole::Correlation), Value::Plain("7".into())),
            ("7", None, Value::Plain("7".into())),
            (
                "\"room 5 left\"",
                Some((FieldRole::Flow, between)),
                Value::Id(FieldRole::Flow, "5".into()),
            ),
            ("\"room 5\"", Some((FieldRole::Flow, between)), Value::Plain("room 5".into())),
        ] {
            let leaf = Leaf { raw, span: 0..raw.len() };
            assert_eq!(value_of(&leaf, role), expected, "{raw}");
        }
    }

    #[test]
    fn numbers_within_texts_are_compared_as_ids() {
        let is_pair = |a: &str, b: &str| (a, b) == ("5", "12");
        for (a, b, same) in [
            ("left room 5!", "left room 12!", true),
            ("left room 5!", "left room 5!", true),
            ("left room 5!", "left room 13!", false),
            ("left room 5", "left room 12!", false),
            ("5", "12", false),
            ("", "", true),
        ] {
            assert_eq!(same_but_numbers(a, b, &is_pair), same, "{a} {b}");
        }
    }
}
