//! One pass over a body, which may be JSON or a Python literal: the places of its values.

use super::text;
use super::tree::Tree;
use std::ops::Range;

/// The deepest nesting that is followed.
const MAX_DEPTH: usize = 128;

/// A value that is neither a list nor an object, or a key that no rule knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// The place in the body.
    pub(super) range: Range<usize>,
    /// The node of the place, where rules know it.
    pub(super) node: Option<usize>,
    /// The place of the key that leads here; empty without one.
    pub(super) key: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A string, with its quotation marks.
    Text,
    /// A number, `true`, `null` or the like.
    Bare,
    /// A key of an object.
    Key,
}

/// The body is neither JSON nor a Python literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanError;

/// Finds the tokens of a body, in their order. `start` is the node of the whole.
pub(super) fn scan(body: &str, tree: &Tree, start: Option<usize>) -> Result<Vec<Token>, ScanError> {
    let mut scanner = Scanner { body, position: 0, tree, tokens: Vec::new(), key: 0..0 };
    scanner.value(start, MAX_DEPTH)?;
    scanner.skip_space();
    if scanner.position == body.len() { Ok(scanner.tokens) } else { Err(ScanError) }
}

struct Scanner<'a> {
    body: &'a str,
    position: usize,
    tree: &'a Tree,
    tokens: Vec<Token>,
    /// The key that leads to the present place.
    key: Range<usize>,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.body.as_bytes().get(self.position).copied()
    }

    fn skip_space(&mut self) {
        let rest = &self.body.as_bytes()[self.position..];
        let is_space = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0C');
        self.position += rest.iter().position(is_space).unwrap_or(rest.len());
    }

    fn value(&mut self, node: Option<usize>, depth: usize) -> Result<(), ScanError> {
        self.skip_space();
        match self.peek().ok_or(ScanError)? {
            b'{' => self.object(node, depth.checked_sub(1).ok_or(ScanError)?),
            b'[' => self.list(node, b']', depth.checked_sub(1).ok_or(ScanError)?),
            b'(' => self.list(node, b')', depth.checked_sub(1).ok_or(ScanError)?),
            _ => {
                let start = self.position;
                let kind = self.scalar()?;
                let key = self.key.clone();
                self.tokens.push(Token { kind, range: start..self.position, node, key });
                Ok(())
            }
        }
    }

    fn object(&mut self, node: Option<usize>, depth: usize) -> Result<(), ScanError> {
        self.position += 1;
        loop {
            self.skip_space();
            if self.peek() == Some(b'}') {
                self.position += 1;
                return Ok(());
            }
            let start = self.position;
            let kind = self.scalar()?;
            let range = start..self.position;
            let child = match kind {
                TokenKind::Text => self.tree.key(node, &text::decode(&self.body[range.clone()])),
                TokenKind::Bare | TokenKind::Key => None,
            };
            if child.is_none() {
                let (kind, key) = (TokenKind::Key, 0..0);
                self.tokens.push(Token { kind, range: range.clone(), node: None, key });
            }
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(ScanError);
            }
            self.position += 1;
            self.key = range;
            self.value(child, depth)?;
            self.separator(b'}')?;
        }
    }

    fn list(&mut self, node: Option<usize>, end: u8, depth: usize) -> Result<(), ScanError> {
        self.position += 1;
        let key = self.key.clone();
        for index in 0.. {
            self.skip_space();
            if self.peek() == Some(end) {
                self.position += 1;
                break;
            }
            self.key = key.clone();
            self.value(self.tree.item(node, index), depth)?;
            self.separator(end)?;
        }
        Ok(())
    }

    /// A comma, or the end, which is not taken.
    fn separator(&mut self, end: u8) -> Result<(), ScanError> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.position += 1;
                Ok(())
            }
            Some(byte) if byte == end => Ok(()),
            _ => Err(ScanError),
        }
    }

    /// A string, or several side by side, or a word or number.
    fn scalar(&mut self) -> Result<TokenKind, ScanError> {
        let mut kind = None;
        loop {
            let start = self.position;
            if kind.is_some() {
                self.skip_space();
            }
            let word = self.word();
            match self.peek() {
                Some(quote @ (b'"' | b'\'')) if word.is_empty() || is_prefix(word) => {
                    self.string(quote)?;
                    kind = Some(TokenKind::Text);
                }
                _ if kind.is_some() => {
                    self.position = start;
                    return kind.ok_or(ScanError);
                }
                _ if is_bare(word) => return Ok(TokenKind::Bare),
                _ => return Err(ScanError),
            }
        }
    }

    fn word(&mut self) -> &'a str {
        let rest: &'a str = &self.body[self.position..];
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        let length = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }

    fn string(&mut self, quote: u8) -> Result<(), ScanError> {
        self.position += 1;
        let bytes = self.body.as_bytes();
        loop {
            let rest = bytes.get(self.position..).ok_or(ScanError)?;
            let next = rest.iter().position(|byte| *byte == quote || *byte == b'\\');
            self.position += next.ok_or(ScanError)?;
            if bytes[self.position] == quote {
                self.position += 1;
                return Ok(());
            }
            self.position += 2;
        }
    }
}

/// True for what may stand before a string in Python.
fn is_prefix(word: &str) -> bool {
    word.len() <= 2 && word.bytes().all(|byte| b"uUrRbB".contains(&byte))
}

/// True for a number or a constant.
fn is_bare(word: &str) -> bool {
    let is_number = word.bytes().any(|byte| byte.is_ascii_digit())
        && word.starts_with(|char: char| char.is_ascii_digit() || "+-.".contains(char));
    is_number || matches!(word, "true" | "false" | "null" | "True" | "False" | "None")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field_rule::{FieldRole, FieldRule, Sender};

    static RULES: [FieldRule; 4] = [
        FieldRule::body("a/b", FieldRole::User),
        FieldRule::body("ids", FieldRole::Message),
        FieldRule::body("pair/[1]", FieldRole::Time),
        FieldRule::body("any/*/c", FieldRole::Text),
    ];

    fn tokens(body: &str) -> Result<Vec<(&str, Option<&'static str>)>, ScanError> {
        let tree = Tree::new(&RULES, Sender::Client);
        let place = |token: &Token| {
            let rules = &tree.get(token.node?).rules;
            rules.first().map(|(rule, _)| match rule.place {
                crate::Place::Body(path) => path,
                _ => unreachable!("the rules are about bodies"),
            })
        };
        let found = scan(body, &tree, Some(0))?;
        Ok(found.iter().map(|token| (&body[token.range.clone()], place(token))).collect())
    }

    #[test]
    fn values_are_found_at_their_places_in_both_syntaxes() {
        for (body, expected) in [
            (r#"{"a":{"b":7}}"#, vec![("7", Some("a/b"))]),
            ("{'a': {'b': None,}}", vec![("None", Some("a/b"))]),
            (
                r#" { "ids" : [ 1 , [ -2.5e3 ] ] } "#,
                vec![("1", Some("ids")), ("-2.5e3", Some("ids"))],
            ),
            ("{'pair': ('x', u'y' 'z')}", vec![("'x'", None), ("u'y' 'z'", Some("pair/[1]"))]),
            (r#"{"any":{"z":{"c":"\"}"}}}"#, vec![("\"\\\"}\"", Some("any/*/c"))]),
            (r#"{"new":true}"#, vec![("\"new\"", None), ("true", None)]),
            ("7", vec![("7", None)]),
        ] {
            assert_eq!(tokens(body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_literal_is_refused() {
        let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
        for body in ["", "{", "{\"a\"}", "[1 2]", "hello", "\"a", "\"a\\", "{} {}", "[)", &deep] {
            assert_eq!(tokens(body), Err(ScanError), "{body}");
        }
    }
}
