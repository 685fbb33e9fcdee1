//! Strings of JSON and of Python literals: what they say, and how another text is written in their
//! place.

use std::borrow::Cow;

/// The text of one or several strings side by side, each with its quotation marks and maybe with a
/// prefix of letters.
pub(super) fn decode(source: &str) -> Cow<'_, str> {
    let plain = source.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(plain) = plain
        && !plain.contains(['\\', '"'])
    {
        return Cow::Borrowed(plain);
    }
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find(['"', '\'']) {
        let is_raw = rest[..start].contains(['r', 'R']);
        let quote = if rest.as_bytes()[start] == b'"' { '"' } else { '\'' };
        rest = decode_one(&rest[start + 1..], quote, is_raw, &mut text);
    }
    Cow::Owned(text)
}

/// Reads up to the closing quotation mark, and returns what follows it.
fn decode_one<'a>(source: &'a str, quote: char, is_raw: bool, text: &mut String) -> &'a str {
    let mut rest = source;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        match char {
            '\\' if is_raw => {
                text.push(char);
                if let Some(next) = rest.chars().next() {
                    text.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
            '\\' => rest = escape(rest, text),
            _ if char == quote => return rest,
            _ => text.push(char),
        }
    }
    rest
}

/// Reads what follows a backslash. An escape that neither syntax has stays as it is.
fn escape<'a>(source: &'a str, text: &mut String) -> &'a str {
    let Some(char) = source.chars().next() else { return source };
    let rest = &source[char.len_utf8()..];
    let simple = match char {
        '\n' => return rest,
        '\\' | '"' | '\'' | '/' => char,
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\x08',
        'f' => '\x0C',
        'a' => '\x07',
        'v' => '\x0B',
        '0'..='7' => {
            let count = source.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
            let (digits, rest) = source.split_at(count.count());
            text.extend(u32::from_str_radix(digits, 8).ok().and_then(char::from_u32));
            return rest;
        }
        'x' | 'u' | 'U' => {
            let count = match char {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let Some((code, rest)) = code(rest, count) else {
                text.push('\\');
                return source;
            };
            if (0xD800..0xDC00).contains(&code)
                && let Some(next) = rest.strip_prefix("\\u")
                && let Some((low, after)) = self::code(next, 4)
                && (0xDC00..0xE000).contains(&low)
            {
                let pair = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                text.extend(char::from_u32(pair));
                return after;
            }
            text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            return rest;
        }
        _ => {
            text.push('\\');
            char
        }
    };
    text.push(simple);
    rest
}

/// Reads a number of so many hexadecimal digits.
fn code(source: &str, count: usize) -> Option<(u32, &str)> {
    let digits = source.get(..count)?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    Some((code, &source[count..]))
}

/// Writes a text in the place of a string, with the same quotation marks.
pub(super) fn write(text: &str, source: &str, out: &mut Vec<u8>) {
    let is_single = source.find(['"', '\'']).is_some_and(|at| source.as_bytes()[at] == b'\'');
    if !is_single {
        serde_json::to_writer(out, text).expect("writing to a vector cannot fail");
        return;
    }
    out.push(b'\'');
    for char in text.chars() {
        match char {
            '\'' | '\\' => out.extend([b'\\', char as u8]),
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            '\0'..='\x1F' | '\x7F' => out.extend(format!("\\x{:02x}", u32::from(char)).bytes()),
            _ => out.extend(char.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_both_syntaxes_are_read() {
        for (source, text) in [
            (r#""""#, ""),
            (r#""a б""#, "a б"),
            (r#""a\"b\\""#, "a\"b\\"),
            (r#""\ud83d\udc4b\n""#, "👋\n"),
            (r#""\ud83d""#, "\u{FFFD}"),
            (r"'it\'s'", "it's"),
            (r#"'say "a"'"#, "say \"a\""),
            (r"'\x41\101\U0001f44b'", "AA👋"),
            (r"r'\n'", "\\n"),
            ("'a' \"b\"", "ab"),
            (r"'\q'", "\\q"),
        ] {
            assert_eq!(decode(source), text, "{source}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["", "a", "it's \"b\" \\ \n\t\0 б 👋"] {
            for source in ["\"x\"", "'x'", "u'x'"] {
                let mut out = Vec::new();
                write(text, source, &mut out);
                assert_eq!(decode(std::str::from_utf8(&out).unwrap()), text, "{source}");
            }
        }
    }
}
