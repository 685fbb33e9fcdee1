//! The values of a payload, with the places of their bytes.

use crate::payload::text;
use std::borrow::Cow;
use std::ops::Range;

/// The deepest nesting that is read. A deeper payload is compared as bytes.
const MAX_DEPTH: usize = 128;

/// The text that values are read from: a payload, or the content of the JSON string that it is.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    text: Cow<'a, str>,
    /// True if the payload is a JSON string whose content is the text.
    wrapped: bool,
}

/// A value of a document.
#[derive(Debug)]
pub(crate) enum Node<'d> {
    /// Members in the order of the document.
    Object(Vec<(Cow<'d, str>, Node<'d>)>),
    /// Items in the order of the document.
    List(Vec<Node<'d>>),
    /// A value without parts.
    Leaf(Leaf<'d>),
}

/// A value without parts.
#[derive(Debug, Clone)]
pub(crate) struct Leaf<'d> {
    /// Its bytes, with the quotes of a text.
    pub(crate) raw: &'d str,
    /// The place of its bytes in the document.
    pub(crate) span: Range<usize>,
}

impl<'a> Document<'a> {
    /// The text of a payload; `None` if it is no UTF-8.
    pub(crate) fn new(payload: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload).ok()?;
        let trimmed = text.trim_start();
        if trimmed.starts_with('"')
            && let Ok(inner) = serde_json::from_str::<String>(text)
            && inner.trim_start().starts_with('{')
        {
            return Some(Self { text: Cow::Owned(inner), wrapped: true });
        }
        Some(Self { text: Cow::Borrowed(text), wrapped: false })
    }

    /// The value of the text: JSON or a Python literal. `None` if it is neither.
    pub(crate) fn root(&self) -> Option<Node<'_>> {
        let mut reader = Reader { text: &self.text, at: 0 };
        let node = reader.value(MAX_DEPTH)?;
        reader.skip_space();
        (reader.at == self.text.len()).then_some(node)
    }

    /// The payload with these pieces of the text replaced. They are in the order of the text and do
    /// not overlap.
    pub(crate) fn replaced(&self, pieces: &[(Range<usize>, String)]) -> String {
        let mut written = String::with_capacity(self.text.len());
        let mut at = 0;
        for (span, piece) in pieces {
            written.push_str(&self.text[at..span.start]);
            written.push_str(piece);
            at = span.end;
        }
        written.push_str(&self.text[at..]);
        if self.wrapped { text::json_string(&written) } else { written }
    }
}

impl<'d> Node<'d> {
    /// The value of a key, if this is an object that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'d>> {
        match self {
            Node::Object(members) => {
                members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            Node::List(_) | Node::Leaf(_) => None,
        }
    }
}

impl<'d> Leaf<'d> {
    /// True for a text, false for a number or a word.
    pub(crate) fn is_text(&self) -> bool {
        self.raw.starts_with(['"', '\''])
    }

    /// True for `null` and `None`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.raw, "null" | "None")
    }

    /// The content of a text; the bytes of any other value.
    pub(crate) fn text(&self) -> Cow<'d, str> {
        text::content(self.raw)
    }

    /// Another value in the form of this one: a text stays a text in its quotes, and a number stays
    /// a number if the value is one.
    pub(crate) fn in_form(&self, value: &str) -> String {
        match self.raw.as_bytes().first() {
            Some(b'\'') => text::python_string(value),
            Some(b'"') => text::json_string(value),
            _ if is_number(value) => value.to_owned(),
            _ => text::json_string(value),
        }
    }
}

/// True for a number as JSON and Python write it.
pub(crate) fn is_number(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e');
    text.bytes().all(is_part) && text.parse::<f64>().is_ok()
}

/// Reads JSON and Python literals alike.
struct Reader<'d> {
    text: &'d str,
    at: usize,
}

impl<'d> Reader<'d> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Skips space and this byte, if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Node<'d>> {
        let depth = depth.checked_sub(1)?;
        self.skip_space();
        match self.peek()? {
            b'{' => {
                self.at += 1;
                let mut members = Vec::new();
                while !self.take(b'}') {
                    if !members.is_empty() && !self.take(b',') {
                        return None;
                    }
                    if self.take(b'}') {
                        break;
                    }
                    let key = self.leaf()?.text();
                    if !self.take(b':') {
                        return None;
                    }
                    members.push((key, self.value(depth)?));
                }
                Some(Node::Object(members))
            }
            open @ (b'[' | b'(') => {
                self.at += 1;
                let close = if open == b'[' { b']' } else { b')' };
                let mut items = Vec::new();
                while !self.take(close) {
                    if !items.is_empty() && !self.take(b',') {
                        return None;
                    }
                    if self.take(close) {
                        break;
                    }
                    items.push(self.value(depth)?);
                }
                Some(Node::List(items))
            }
            _ => self.leaf().map(Node::Leaf),
        }
    }

    fn leaf(&mut self) -> Option<Leaf<'d>> {
        self.skip_space();
        let start = self.at;
        let bytes = self.text.as_bytes();
        match *bytes.get(start)? {
            quote @ (b'"' | b'\'') => {
                let mut end = start + 1;
                while *bytes.get(end)? != quote {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                self.at = end + 1;
            }
            _ => {
                let is_part = |byte: &u8| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_')
                };
                self.at += bytes[start..].iter().take_while(|byte| is_part(byte)).count();
            }
        }
        let raw = self.text.get(start..self.at)?;
        (!raw.is_empty()).then_some(Leaf { raw, span: start..self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace_all(payload: &str, with: &str) -> String {
        fn leaves<'d>(node: &Node<'d>, found: &mut Vec<Leaf<'d>>) {
            match node {
                Node::Object(members) => members.iter().for_each(|(_, node)| leaves(node, found)),
                Node::List(items) => items.iter().for_each(|node| leaves(node, found)),
                Node::Leaf(leaf) => found.push(leaf.clone()),
            }
        }
        let document = Document::new(payload.as_bytes()).unwrap();
        let root = document.root().unwrap();
        let mut found = Vec::new();
        leaves(&root, &mut found);
        let pieces: Vec<_> =
            found.iter().map(|leaf| (leaf.span.clone(), leaf.in_form(with))).collect();
        document.replaced(&pieces)
    }

    #[test]
    fn values_are_replaced_in_their_form_and_no_other_byte_changes() {
        for (payload, replaced) in [
            (r#" {"a" : 5, "b":[ "x\"", null] }"#, r#" {"a" : 7, "b":[ "7", 7] }"#),
            ("{'a': 'it\\'s', 'b': (5, ), 'c': None}", "{'a': '7', 'b': (7, ), 'c': 7}"),
            (r#""{\"a\": \"5\"}""#, r#""{\"a\": \"7\"}""#),
            (r#"{"a":{},"b":[],"c":-1.5e3}"#, r#"{"a":{},"b":[],"c":7}"#),
            ("5", "7"),
        ] {
            assert_eq!(replace_all(payload, "7"), replaced, "{payload}");
        }
    }

    #[test]
    fn texts_have_their_content_in_both_syntaxes() {
        for (payload, content) in [
            (r#"{"a":"it's \"\u0416\" \n"}"#, "it's \"Ж\" \n"),
            (r#"{'a': 'it\'s "\u0416" \n'}"#, "it's \"Ж\" \n"),
            (r#"{'a': '\x41\\'}"#, "A\\"),
            (r#"{"a":12}"#, "12"),
        ] {
            let document = Document::new(payload.as_bytes()).unwrap();
            let root = document.root().unwrap();
            let Some(Node::Leaf(leaf)) = root.get("a") else { panic!("{payload}") };
            assert_eq!(leaf.text(), content, "{payload}");
        }
    }

    #[test]
    fn payloads_of_no_syntax_have_no_value() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        for payload in ["", "{", "{\"a\"}", "{\"a\":1 2}", "[1 2]", "\"\\", "TEST x", "[,]", &deep]
        {
            let document = Document::new(payload.as_bytes()).unwrap();
            assert!(document.root().is_none(), "{payload}");
        }
        assert!(Document::new(b"\xff").is_none());
    }
}
