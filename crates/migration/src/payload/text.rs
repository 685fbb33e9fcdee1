//! The texts of JSON and of Python literals.

use std::borrow::Cow;

/// The content of a text in its quotes; any other value as it is.
pub(crate) fn content(raw: &str) -> Cow<'_, str> {
    let Some(quote) = raw.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return Cow::Borrowed(raw);
    };
    let between = raw.strip_prefix(quote).unwrap_or(raw);
    let between = between.strip_suffix(quote).unwrap_or(between);
    if !between.contains('\\') {
        return Cow::Borrowed(between);
    }
    if quote == '"'
        && let Ok(text) = serde_json::from_str(raw)
    {
        return Cow::Owned(text);
    }
    Cow::Owned(unescape(between))
}

/// A text as a JSON string.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text as a Python string in single quotes.
pub(crate) fn python_string(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('\'');
    for character in text.chars() {
        match character {
            '\'' | '\\' => written.extend(['\\', character]),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            _ => written.push(character),
        }
    }
    written.push('\'');
    written
}

/// Replaces the escapes of a Python string. An escape that Python does not know stays as it is.
fn unescape(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        read.push_str(before);
        let mut characters = after.chars();
        let (digits, plain) = match characters.next() {
            Some('n') => (0, Some('\n')),
            Some('r') => (0, Some('\r')),
            Some('t') => (0, Some('\t')),
            Some('x') => (2, None),
            Some('u') => (4, None),
            Some('U') => (8, None),
            Some(escaped @ ('\\' | '\'' | '"')) => (0, Some(escaped)),
            _ => (0, None),
        };
        rest = characters.as_str();
        let code = rest.get(..digits).filter(|_| digits > 0);
        let coded = code.and_then(|code| u32::from_str_radix(code, 16).ok());
        match plain.or_else(|| coded.and_then(char::from_u32)) {
            Some(character) => {
                read.push(character);
                rest = &rest[digits..];
            }
            None => {
                read.push('\\');
                rest = after;
            }
        }
    }
    read.push_str(rest);
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["", "plain", "it's \"quoted\" \\ \n\t\r", "Привет 👋"] {
            assert_eq!(content(&json_string(text)), text);
            assert_eq!(content(&python_string(text)), text);
        }
    }

    #[test]
    fn unknown_escapes_stay() {
        assert_eq!(content(r"'\d \xZZ \u12'"), r"\d \xZZ \u12");
    }
}
