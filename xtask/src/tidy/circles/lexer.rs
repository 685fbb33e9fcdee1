//! Words and marks of Rust code, without comments and literals.

/// The code of a file without comments, literals, and modules of tests.
pub(super) fn code_of(text: &str) -> String {
    /// The line before a module of tests.
    const TESTS: &str = "#[cfg(test)]\nmod ";
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(module) = rest.strip_prefix(TESTS) {
            // A declaration ends with `;`, anything else is the body of the tests.
            let declaration = module.split_once(';').filter(|(name, _)| is_name_only(name));
            rest = declaration.map_or("", |(_, rest)| rest);
        } else if let Some(length) = literal(rest) {
            code.push(' ');
            rest = &rest[length..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// The tokens of code: names, numbers, `::` and single punctuation marks.
pub(super) fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|character| !is_word(character)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// True if a token is a name and not a mark or a number.
pub(super) fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The length of the string or character literal at the beginning of `text`.
fn literal(text: &str) -> Option<usize> {
    let raw = text.strip_prefix('r').map(|rest| rest.trim_start_matches('#'));
    if let Some(body) = raw.filter(|body| body.starts_with('"')) {
        let hashes = text.len() - 1 - body.len();
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(2 + hashes + body[1..].find(&end)? + end.len());
    }
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(index + quote.len_utf8()),
            // A lifetime, not a character literal.
            _ if quote == '\'' && index > 4 => return None,
            _ => {}
        }
    }
    None
}

fn is_name_only(text: &str) -> bool {
    text.chars().all(is_word)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_literals_and_tests_are_left_out() {
        for (text, expected) in [
            ("use a::B; // use c::D;", vec!["use", "a", "::", "B", ";"]),
            ("x(\"a \\\" b\", 'c', r#\"d\"#)", vec!["x", "(", ",", ",", ")"]),
            ("&'a str", vec!["&", "'", "a", "str"]),
            ("a;\n#[cfg(test)]\nmod tests {\n use b; }", vec!["a", ";"]),
            ("a;\n#[cfg(test)]\nmod tests;\nmod b;", vec!["a", ";", "mod", "b", ";"]),
        ] {
            assert_eq!(tokens(&code_of(text)), expected, "{text}");
        }
    }
}
