//! The parser of patterns: JSON or Python literals, with holes.

use super::node::{FormText, Hole, List, Member, Node, NodeKind, TextPart};
use crate::problem::{Place, Problem};
use crate::syntax::{Syntax, Value};

/// The deepest nesting of a pattern.
const MAX_DEPTH: usize = 32;

/// Parses a pattern that stands `offset` bytes from the beginning of its file.
pub(crate) fn parse(text: &str, offset: usize, syntax: Syntax) -> Result<Node, Problem> {
    let mut parser = Parser { text, position: 0, offset, syntax };
    let node = parser.value(MAX_DEPTH)?;
    parser.skip_space();
    if parser.position < text.len() {
        return Err(parser.problem("the end of the pattern is expected"));
    }
    Ok(node)
}

/// Parses a path outside a hole, such as `message.author`; `[]` after a name means every item.
pub(crate) fn parse_path(text: &str, place: &Place) -> Result<Vec<String>, Problem> {
    let names: Vec<String> = text.split('.').map(str::to_owned).collect();
    let is_name = |name: &String| {
        let name = name.strip_suffix("[]").unwrap_or(name);
        !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    if names.iter().all(is_name) {
        Ok(names)
    } else {
        Err(Problem::error(place.clone(), format!("{text:?} is no path of names and dots")))
    }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    offset: usize,
    syntax: Syntax,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn place_from(&self, start: usize) -> Place {
        self.offset + start..self.offset + self.position.max(start)
    }

    fn problem(&self, text: impl Into<String>) -> Problem {
        let start = self.offset + self.position;
        Problem::error(start..start + 1, text)
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    /// Skips space and takes `token` if it comes next.
    fn accept(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.position += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), Problem> {
        if self.accept(token) { Ok(()) } else { Err(self.problem(format!("{token} is expected"))) }
    }

    fn word(&mut self) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let length = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        self.skip_space();
        let start = self.position;
        let deeper = depth.checked_sub(1);
        let deeper = deeper.ok_or_else(|| self.problem("the pattern is nested too deeply"))?;
        let kind = match self.rest().chars().next() {
            None => return Err(self.problem("a value is expected")),
            Some('{') => self.object(deeper)?,
            Some('[') => self.list(deeper)?,
            Some('<') => NodeKind::Hole(self.hole()?),
            Some('"' | '\'') => self.text()?,
            Some('@') => self.part(deeper)?,
            Some('-' | '0'..='9') => NodeKind::Constant(self.number()?),
            Some(_) => match self.word() {
                "null" | "None" => NodeKind::Constant(Value::Null),
                "true" | "True" => NodeKind::Constant(Value::Flag(true)),
                "false" | "False" => NodeKind::Constant(Value::Flag(false)),
                "absent" => NodeKind::Absent,
                "each" => {
                    let (path, item) = self.item(deeper)?;
                    NodeKind::List(List::OneOrMany { path, item })
                }
                "one" => {
                    let (path, item) = self.item(deeper)?;
                    NodeKind::List(List::One { path, item })
                }
                "with" => {
                    let (path, item) = self.item(deeper)?;
                    NodeKind::List(List::With { path, item })
                }
                _ => {
                    self.position = start;
                    return Err(self
                        .problem("a value, a hole, @part, each, one, with or absent is expected"));
                }
            },
        };
        Ok(Node { place: self.place_from(start), kind })
    }

    fn object(&mut self, depth: usize) -> Result<NodeKind, Problem> {
        self.expect("{")?;
        let mut members: Vec<Member> = Vec::new();
        while !self.accept("}") {
            self.skip_space();
            let start = self.position;
            let mut keys = vec![self.plain_string()?];
            while self.accept("|") {
                self.skip_space();
                keys.push(self.plain_string()?);
            }
            let mut member = Member {
                keys,
                is_optional: self.accept("?"),
                is_required: self.accept("!"),
                takes_layers: self.accept("+"),
                node: Node::object(0..0, Vec::new()),
            };
            self.expect(":")?;
            member.node = self.value(depth)?;
            let twice = |other: &Member| other.keys.iter().any(|key| member.keys.contains(key));
            if members.iter().any(twice) {
                self.position = start;
                return Err(self.problem(format!("the key {:?} stands twice", member.keys[0])));
            }
            members.push(member);
            self.skip_space();
            if !self.accept(",") && !self.rest().starts_with('}') {
                return Err(self.problem(", or } is expected"));
            }
        }
        Ok(NodeKind::Object(members))
    }

    fn list(&mut self, depth: usize) -> Result<NodeKind, Problem> {
        self.expect("[")?;
        let (mut items, mut inner) = (Vec::new(), None);
        while !self.accept("]") {
            self.skip_space();
            let start = self.position;
            if self.accept("+") && inner.replace(items.len()).is_some() {
                self.position = start;
                return Err(self.problem("frames are laid over one item only"));
            }
            let value = self.position;
            let list = match self.word() {
                "each" => {
                    let (path, item) = self.item(depth)?;
                    Some(List::Each { before: std::mem::take(&mut items), path, item })
                }
                "with" if items.is_empty() => {
                    let (path, item) = self.item(depth)?;
                    Some(List::WithInList { path, item })
                }
                _ => None,
            };
            if let Some(list) = list {
                self.expect("]")?;
                return Ok(NodeKind::List(list));
            }
            self.position = value;
            items.push(self.value(depth)?);
            self.skip_space();
            if !self.accept(",") && !self.rest().starts_with(']') {
                return Err(self.problem(", or ] is expected"));
            }
        }
        Ok(NodeKind::List(List::Fixed(items, inner)))
    }

    /// The path and the item after `each`, `one` or `with`.
    fn item(&mut self, depth: usize) -> Result<(Vec<String>, Box<Node>), Problem> {
        let path = self.path()?;
        self.expect(":")?;
        Ok((path, Box::new(self.value(depth)?)))
    }

    fn path(&mut self) -> Result<Vec<String>, Problem> {
        let mut path = Vec::new();
        loop {
            match self.word() {
                "" => return Err(self.problem("a name is expected")),
                name => path.push(name.to_owned()),
            }
            if !self.rest().starts_with('.') {
                return Ok(path);
            }
            self.position += 1;
        }
    }

    fn part(&mut self, depth: usize) -> Result<NodeKind, Problem> {
        self.expect("@")?;
        let name = self.word().to_owned();
        self.skip_space();
        let upper =
            if self.rest().starts_with('{') { Some(Box::new(self.value(depth)?)) } else { None };
        Ok(NodeKind::Part(name, upper))
    }

    fn hole(&mut self) -> Result<Hole, Problem> {
        let start = self.position;
        self.expect("<")?;
        let path = self.path()?;
        let path = (path != ["_"]).then_some(path);
        let mut forms = Vec::new();
        if self.accept(":") {
            forms.push(self.form()?);
            while self.accept("|") {
                forms.push(self.form()?);
            }
        }
        let default = if self.accept("=") { Some(self.constant()?) } else { None };
        self.expect(">")?;
        Ok(Hole { place: self.place_from(start), path, forms, default })
    }

    fn form(&mut self) -> Result<FormText, Problem> {
        self.skip_space();
        let start = self.position;
        let name = self.word().to_owned();
        if name.is_empty() {
            return Err(self.problem("the name of a form is expected"));
        }
        let argument = if self.accept("(") {
            let argument = self.constant()?;
            self.expect(")")?;
            Some(argument)
        } else {
            None
        };
        Ok(FormText { place: self.place_from(start), name, argument })
    }

    /// A constant that is no list and no object.
    fn constant(&mut self) -> Result<Value<'static>, Problem> {
        match self.value(1)?.kind {
            NodeKind::Constant(value) => Ok(value),
            _ => Err(self.problem("a constant is expected")),
        }
    }

    fn number(&mut self) -> Result<Value<'static>, Problem> {
        let rest = self.rest();
        let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '+' | '.');
        let length = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
        let digits = &rest[..length];
        let number = match (digits.parse::<i64>(), digits.parse::<f64>()) {
            (Ok(integer), _) => Value::Integer(integer),
            (_, Ok(float)) if float.is_finite() => Value::Float(float),
            _ => return Err(self.problem(format!("{digits} is no number"))),
        };
        self.position += length;
        Ok(number)
    }

    /// A string without holes, for a key.
    fn plain_string(&mut self) -> Result<String, Problem> {
        let start = self.position;
        match self.text()? {
            NodeKind::Constant(Value::Text(text)) => Ok(text.into_owned()),
            _ => {
                self.position = start;
                Err(self.problem("a key has no holes; \\u003c is a plain <"))
            }
        }
    }

    fn text(&mut self) -> Result<NodeKind, Problem> {
        let quote = match (self.rest().chars().next(), self.syntax) {
            (Some('"'), _) => '"',
            (Some('\''), Syntax::PythonLiteral) => '\'',
            _ => return Err(self.problem("a string is expected")),
        };
        self.position += 1;
        let (mut parts, mut literal) = (Vec::new(), String::new());
        loop {
            let Some(char) = self.rest().chars().next() else {
                return Err(self.problem("the string does not end"));
            };
            match char {
                _ if char == quote => {
                    self.position += 1;
                    break;
                }
                '<' => {
                    if !literal.is_empty() {
                        parts.push(TextPart::Literal(std::mem::take(&mut literal)));
                    } else if let Some(TextPart::Hole(_)) = parts.last() {
                        return Err(self.problem("two holes side by side cannot be told apart"));
                    }
                    parts.push(TextPart::Hole(self.hole()?));
                }
                '\\' => literal.push(self.escape()?),
                _ => {
                    literal.push(char);
                    self.position += char.len_utf8();
                }
            }
        }
        if parts.is_empty() {
            return Ok(NodeKind::Constant(Value::Text(literal.into())));
        }
        if !literal.is_empty() {
            parts.push(TextPart::Literal(literal));
        }
        Ok(NodeKind::Text(parts))
    }

    /// An escape, from its backslash.
    fn escape(&mut self) -> Result<char, Problem> {
        let rest = self.rest();
        let (char, length) = match rest.as_bytes().get(1) {
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(char @ (b'"' | b'\'' | b'\\' | b'/')) => (char::from(*char), 2),
            Some(b'u') => {
                let code = rest.get(2..6).and_then(|code| u32::from_str_radix(code, 16).ok());
                let char = code.and_then(char::from_u32);
                (char.ok_or_else(|| self.problem("four hexadecimal digits are expected"))?, 6)
            }
            _ => return Err(self.problem("this escape does not exist")),
        };
        self.position += length;
        Ok(char)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_their_place() {
        for (pattern, place, text) in [
            (r#"{"a": }"#, 6, "a value"),
            (r#"{"a": 1 "b": 2}"#, 8, ", or } is expected"),
            (r#"{"a": 1, "a": 2}"#, 9, "\"a\" stands twice"),
            (r#"{"a": <x:>}"#, 9, "the name of a form"),
            (r#"{"a": "<x><y>"}"#, 10, "two holes side by side"),
            (r#"{"a<x>": 1}"#, 1, "a key has no holes"),
            (r#"{"a": 1} 2"#, 9, "the end of the pattern"),
            (r#"{"a": "\q"}"#, 7, "this escape"),
            (r#"{'a': 1}"#, 1, "a string is expected"),
            (r#"[1, +{}, +{}]"#, 9, "laid over one item only"),
        ] {
            let problem = parse(pattern, 100, Syntax::Json).unwrap_err();
            assert_eq!(problem.place.start, 100 + place, "{pattern}: {}", problem.text);
            assert!(problem.text.contains(text), "{pattern}: {}", problem.text);
        }
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert!(parse(&deep, 0, Syntax::Json).unwrap_err().text.contains("too deeply"));
    }

    #[test]
    fn a_pattern_has_holes_lists_and_marks() {
        let text = r#"{"a" | "b"?: <x.y: decimal | integer = 0>, "c"!: [@me, each items: <it>],
                       "d": "Left <room>!", "e"+: with last: @row {"f": absent}}"#;
        let NodeKind::Object(members) = parse(text, 0, Syntax::Json).unwrap().kind else {
            panic!("an object is expected");
        };
        assert_eq!(members[0].keys, ["a", "b"]);
        assert!(members[0].is_optional && members[1].is_required && members[3].takes_layers);
        let NodeKind::Hole(hole) = &members[0].node.kind else { panic!("a hole is expected") };
        assert_eq!(hole.path.as_deref(), Some(&["x".to_owned(), "y".to_owned()][..]));
        assert_eq!((hole.forms.len(), &hole.default), (2, &Some(Value::Integer(0))));
        assert!(matches!(&members[1].node.kind, NodeKind::List(List::Each { before, .. })
            if before.len() == 1));
        assert!(matches!(&members[2].node.kind, NodeKind::Text(parts) if parts.len() == 3));
        assert!(matches!(&members[3].node.kind, NodeKind::List(List::With { .. })));
    }
}
