//! Python literals: the grammar that `ast.literal_eval` reads and `repr` writes. Read by a parser
//! of its own, bounded in depth, and never evaluated.
//!
//! Dicts, lists, tuples, strings (with prefixes, escapes, and side by side), integers of every
//! base, floats, `True`, `False` and `None`. Not read: sets, bytes, complex numbers, and anything
//! that is no literal.

use super::value::{Value, has_double_key};
use super::{SyntaxError, Writer};
use std::borrow::Cow;

/// Parses a whole literal that nests at most `depth` levels.
pub(crate) fn parse(text: &str, depth: usize) -> Result<Value<'_>, SyntaxError> {
    let mut parser = Parser { text, position: 0, max_depth: depth };
    parser.skip_space();
    let value = parser.value(depth)?;
    parser.skip_space();
    if parser.position == text.len() { Ok(value) } else { Err(SyntaxError::Syntax) }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    max_depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0C']);
        self.position += rest.len() - trimmed.len();
    }

    fn accept(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.position += token.len();
        }
        found
    }

    /// Parses a value; `depth` more levels may be opened.
    fn value(&mut self, depth: usize) -> Result<Value<'a>, SyntaxError> {
        match self.peek().ok_or(SyntaxError::Syntax)? {
            b'{' => self.dict(depth.checked_sub(1).ok_or(self.too_deep())?),
            b'[' => self.list(depth.checked_sub(1).ok_or(self.too_deep())?, b']'),
            b'(' => self.list(depth.checked_sub(1).ok_or(self.too_deep())?, b')'),
            b'\'' | b'"' => self.strings(),
            b'+' | b'-' | b'.' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn too_deep(&self) -> SyntaxError {
        SyntaxError::Depth(self.max_depth)
    }

    fn word(&mut self) -> Result<Value<'a>, SyntaxError> {
        let rest = self.rest();
        let length = rest.find(|char: char| !char.is_alphanumeric() && char != '_');
        let word = &rest[..length.unwrap_or(rest.len())];
        if matches!(rest.as_bytes().get(word.len()), Some(b'\'' | b'"')) {
            return self.strings();
        }
        self.position += word.len();
        match word {
            "None" => Ok(Value::Null),
            "True" => Ok(Value::Flag(true)),
            "False" => Ok(Value::Flag(false)),
            _ => Err(SyntaxError::Syntax),
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Value<'a>, SyntaxError> {
        self.position += 1;
        let mut members = Vec::new();
        loop {
            self.skip_space();
            if self.accept("}") {
                break;
            }
            let Value::Text(key) = self.value(depth)? else { return Err(SyntaxError::Shape) };
            self.skip_space();
            if !self.accept(":") {
                return Err(SyntaxError::Syntax);
            }
            self.skip_space();
            members.push((key, self.value(depth)?));
            self.skip_space();
            if !self.accept(",") && self.peek() != Some(b'}') {
                return Err(SyntaxError::Syntax);
            }
        }
        if has_double_key(&members) { Err(SyntaxError::Shape) } else { Ok(Value::Object(members)) }
    }

    /// A list or a tuple. One value in round brackets without a comma is the value itself.
    fn list(&mut self, depth: usize, close: u8) -> Result<Value<'a>, SyntaxError> {
        self.position += 1;
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            self.skip_space();
            if self.peek() == Some(close) {
                self.position += 1;
                break;
            }
            items.push(self.value(depth)?);
            self.skip_space();
            if self.accept(",") {
                comma = true;
            } else if self.peek() != Some(close) {
                return Err(SyntaxError::Syntax);
            }
        }
        match items.pop() {
            Some(only) if close == b')' && items.is_empty() && !comma => Ok(only),
            Some(last) => {
                items.push(last);
                Ok(Value::List(items))
            }
            None => Ok(Value::List(items)),
        }
    }

    /// Strings that stand side by side are one.
    fn strings(&mut self) -> Result<Value<'a>, SyntaxError> {
        let mut text = self.string()?;
        loop {
            let position = self.position;
            self.skip_space();
            let next = self.rest().trim_start_matches(|char: char| char.is_ascii_alphabetic());
            let prefix = self.rest().len() - next.len();
            if prefix > 2 || !next.starts_with(['\'', '"']) {
                self.position = position;
                return Ok(Value::Text(text));
            }
            text.to_mut().push_str(&self.string()?);
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        let rest = self.rest();
        let quote = rest.find(['\'', '"']).ok_or(SyntaxError::Syntax)?;
        let raw = match rest[..quote].to_ascii_lowercase().as_str() {
            "" | "u" => false,
            "r" => true,
            _ => return Err(SyntaxError::Syntax),
        };
        self.position += quote;
        let mark = &rest[quote..=quote];
        let long = mark.repeat(3);
        let end = if self.accept(&long) {
            long.as_str()
        } else {
            self.position += 1;
            mark
        };
        let start = self.position;
        let mut text: Option<String> = None;
        loop {
            if self.accept(end) {
                let whole = start..self.position - end.len();
                return Ok(text.map_or(Cow::Borrowed(&self.text[whole]), Cow::Owned));
            }
            let char = self.rest().chars().next().ok_or(SyntaxError::Syntax)?;
            if char == '\\' {
                let decoded = text.get_or_insert_with(|| self.text[start..self.position].into());
                if raw {
                    decoded.push('\\');
                    self.position += 1;
                    decoded.push(self.rest().chars().next().ok_or(SyntaxError::Syntax)?);
                    self.position += self.rest().chars().next().map_or(0, char::len_utf8);
                } else {
                    let mut decoded = text.take().unwrap_or_default();
                    self.position += 1;
                    self.escape(&mut decoded)?;
                    text = Some(decoded);
                }
                continue;
            }
            if char == '\n' && end.len() == 1 {
                return Err(SyntaxError::Syntax);
            }
            if let Some(text) = &mut text {
                text.push(char);
            }
            self.position += char.len_utf8();
        }
    }

    /// The escape after a backslash.
    fn escape(&mut self, text: &mut String) -> Result<(), SyntaxError> {
        let char = self.rest().chars().next().ok_or(SyntaxError::Syntax)?;
        self.position += char.len_utf8();
        let simple = match char {
            '\n' => return Ok(()),
            '\\' | '\'' | '"' => char,
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0C',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0B',
            'x' => self.code(2, 16)?,
            'u' => self.code(4, 16)?,
            'U' => self.code(8, 16)?,
            '0'..='7' => {
                self.position -= 1;
                let digits = self.rest().bytes().take(3);
                let count = digits.take_while(|digit| matches!(digit, b'0'..=b'7')).count();
                self.code(count, 8)?
            }
            // `\N{…}` needs the names of all characters.
            'N' => return Err(SyntaxError::Syntax),
            other => {
                text.push('\\');
                other
            }
        };
        text.push(simple);
        Ok(())
    }

    fn code(&mut self, digits: usize, radix: u32) -> Result<char, SyntaxError> {
        let code = self.rest().get(..digits).ok_or(SyntaxError::Syntax)?;
        if !code.chars().all(|digit| digit.is_digit(radix)) {
            return Err(SyntaxError::Syntax);
        }
        self.position += digits;
        let code = u32::from_str_radix(code, radix).map_err(|_| SyntaxError::Syntax)?;
        char::from_u32(code).ok_or(SyntaxError::Syntax)
    }

    fn number(&mut self) -> Result<Value<'a>, SyntaxError> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['+', '-']));
        let mut length = sign;
        let bytes = rest.as_bytes();
        while let Some(byte) = bytes.get(length) {
            let exponent_sign = matches!(byte, b'+' | b'-')
                && matches!(bytes[length - 1], b'e' | b'E')
                && !is_prefixed(&rest[sign..]);
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || exponent_sign) {
                break;
            }
            length += 1;
        }
        self.position += length;
        number(&rest[..sign], &rest[sign..length]).ok_or(SyntaxError::Syntax)
    }
}

fn is_prefixed(digits: &str) -> bool {
    digits
        .get(..2)
        .is_some_and(|prefix| matches!(prefix.to_ascii_lowercase().as_str(), "0x" | "0o" | "0b"))
}

/// A number from its sign and its digits.
fn number(sign: &str, digits: &str) -> Option<Value<'static>> {
    let underscored = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    if digits.is_empty() || underscored {
        return None;
    }
    let plain = digits.replace('_', "");
    let lower = plain.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ => (10, lower.as_str()),
    };
    let negative = sign == "-";
    if !body.is_empty() && body.chars().all(|digit| digit.is_digit(radix)) {
        // Python refuses leading zeros, but for zero itself.
        if radix == 10 && body.len() > 1 && body.starts_with('0') && body.contains(|c| c != '0') {
            return None;
        }
        let signed = if negative { format!("-{body}") } else { body.to_owned() };
        return Some(i64::from_str_radix(&signed, radix).map_or(Value::Huge, Value::Integer));
    }
    if radix != 10 || body.contains(|char: char| !matches!(char, '0'..='9' | '.' | 'e' | '+' | '-'))
    {
        return None;
    }
    let value: f64 = body.parse().ok()?;
    Some(Value::Float(if negative { -value } else { value }))
}

/// Writes a string as `repr` does.
pub(crate) fn write_text(writer: &mut Writer, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    writer.push(quote);
    for char in text.chars() {
        match char {
            '\\' => writer.push_str("\\\\"),
            '\n' => writer.push_str("\\n"),
            '\r' => writer.push_str("\\r"),
            '\t' => writer.push_str("\\t"),
            char if char == quote => {
                writer.push('\\');
                writer.push(char);
            }
            char if char < ' ' || char == '\x7F' => {
                writer.push_str(&format!("\\x{:02x}", u32::from(char)));
            }
            // `repr` escapes all that is not printable; a reader accepts it either way.
            char => writer.push(char),
        }
    }
    writer.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        let text = |text: &str| Value::Text(text.to_owned().into());
        for (literal, expected) in [
            ("None", Some(Value::Null)),
            (" True ", Some(Value::Flag(true))),
            ("0", Some(Value::Integer(0))),
            ("-17", Some(Value::Integer(-17))),
            ("1_000", Some(Value::Integer(1_000))),
            ("0x1F", Some(Value::Integer(31))),
            ("0b101", Some(Value::Integer(5))),
            ("9223372036854775808", Some(Value::Huge)),
            ("1.5e3", Some(Value::Float(1_500.0))),
            (".5", Some(Value::Float(0.5))),
            ("1e-3", Some(Value::Float(0.001))),
            ("'a'", Some(text("a"))),
            ("\"it's\"", Some(text("it's"))),
            (r"'a\'b\\c\n\x41\u0416\101'", Some(text("a'b\\c\nAЖA"))),
            (r"'\q'", Some(text("\\q"))),
            (r"r'\n'", Some(text("\\n"))),
            ("u'x' 'y' \"z\"", Some(text("xyz"))),
            ("'''a\n'b''' ", Some(text("a\n'b"))),
            ("'ж😀'", Some(text("ж😀"))),
            ("()", Some(Value::List(vec![]))),
            ("(1)", Some(Value::Integer(1))),
            ("(1,)", Some(Value::List(vec![Value::Integer(1)]))),
            ("[1, 2,]", Some(Value::List(vec![Value::Integer(1), Value::Integer(2)]))),
            ("{'a': {},}", Some(Value::Object(vec![("a".into(), Value::Object(vec![]))]))),
            ("", None),
            ("true", None),
            ("'a", None),
            ("'a\nb'", None),
            ("b'a'", None),
            ("01", None),
            ("1__0", None),
            ("1 2", None),
            ("{1, 2}", None),
            ("__import__('os')", None),
            ("[1 2]", None),
            ("'\\uD800'", None),
            ("1+2", None),
            ("{'a': 1, 'a': 2}", None),
        ] {
            assert_eq!(parse(literal, 8).ok(), expected, "{literal}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(8), 8).is_ok());
        assert!(matches!(parse(&nested(9), 8), Err(SyntaxError::Depth(8))));
        assert!(matches!(parse(&"(".repeat(1_000_000), 8), Err(SyntaxError::Depth(8))));
    }

    #[test]
    fn written_strings_are_read_back() {
        for text in ["", "a", "it's", "\"", "'\"", "\\", "\n\r\t\0\x7F", "жж", "<b>"] {
            let mut writer = Writer::default();
            write_text(&mut writer, text);
            let written = writer.finish();
            let written = std::str::from_utf8(&written).unwrap();
            assert_eq!(parse(written, 1).ok(), Some(Value::Text(text.into())), "{written}");
        }
    }
}
