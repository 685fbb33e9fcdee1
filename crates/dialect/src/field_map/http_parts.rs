//! Addresses and bodies of HTTP, as far as rules need them.

use form_urlencoded::byte_serialize;
use std::borrow::Cow;
use std::ops::Range;

/// The longest ending of a file's name, with its dot.
const MAX_ENDING: usize = 6;

/// The segments of a path's template.
pub(super) struct Segments(&'static str);

impl Segments {
    pub(super) fn of(template: &'static str) -> Self {
        Self(template)
    }

    /// True if a path is one of the template.
    pub(super) fn fit(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        for own in self.0.split('/') {
            if own == "**" {
                return true;
            }
            let Some(segment) = segments.next() else { return false };
            let fits = match own {
                "*" | "{}" => !segment.is_empty(),
                own => own == segment,
            };
            if !fits {
                return false;
            }
        }
        segments.next().is_none()
    }

    /// True if the template has a segment with this index itself.
    pub(super) fn has_word(&self, index: usize) -> bool {
        self.0.split('/').nth(index).is_some_and(|own| !matches!(own, "*" | "**" | "{}"))
    }

    /// The index of the segment `{}`.
    pub(super) fn hole(&self) -> Option<usize> {
        self.0.split('/').position(|own| own == "{}")
    }
}

/// The text of a percent-encoded segment or parameter.
pub(super) fn decode(source: &str) -> Cow<'_, str> {
    if !source.contains(['%', '+']) {
        return Cow::Borrowed(source);
    }
    let pair = form_urlencoded::parse(source.as_bytes()).next();
    match pair {
        Some((name, value)) if value.is_empty() => Cow::Owned(name.into_owned()),
        Some((name, value)) => Cow::Owned(format!("{name}={value}")),
        None => Cow::Borrowed(source),
    }
}

/// A text as a segment or parameter.
pub(super) fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The boundary of `multipart/form-data`.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let boundary = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !boundary.is_empty()).then_some(boundary)
    })
}

/// A part of a form.
pub(super) struct FormPart {
    pub(super) name: String,
    /// The names that the file has on the sender's disk.
    pub(super) file_names: Vec<FileName>,
    /// The place of its content in the body.
    pub(super) content: Range<usize>,
}

/// The name of a file, without its ending: by that servers tell the kinds of files apart.
pub(super) struct FileName {
    /// The place in the body.
    pub(super) range: Range<usize>,
    /// True if it is percent-encoded. RFC 5987 section 3.2.
    pub(super) is_encoded: bool,
}

impl FileName {
    /// The name in a body.
    pub(super) fn text(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(&body[self.range.clone()]);
        let text = if self.is_encoded { decode(&text) } else { text };
        text.replace(char::REPLACEMENT_CHARACTER, "_")
    }

    /// Another name in its place.
    pub(super) fn with(&self, new: &str) -> String {
        if self.is_encoded {
            encode(new)
        } else {
            // HTML, "multipart/form-data encoding algorithm".
            new.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
        }
    }
}

/// The parts of a form; `None` if it is malformed.
pub(super) fn parts(body: &[u8], boundary: &str) -> Option<Vec<FormPart>> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut position = find(body, 0, delimiter.as_bytes())? + delimiter.len();
    let delimiter = format!("\r\n--{boundary}");
    while !body[position..].starts_with(b"--") {
        let head = find(body, position, b"\r\n\r\n")?;
        let start = head + 4;
        let end = find(body, head + 2, delimiter.as_bytes())?.max(start);
        parts.push(form_part(body, position..head, start..end));
        position = find(body, head + 2, delimiter.as_bytes())? + delimiter.len();
    }
    Some(parts)
}

fn form_part(body: &[u8], head: Range<usize>, content: Range<usize>) -> FormPart {
    let (mut name, mut file_names) = (None, Vec::new());
    for (parameter, range) in disposition(body, head) {
        let text = String::from_utf8_lossy(&body[range.clone()]);
        match parameter.to_ascii_lowercase().as_slice() {
            b"name" => {
                name.get_or_insert(text.into_owned());
            }
            b"filename" => {
                let range = without_ending(body, range);
                file_names.push(FileName { range, is_encoded: false });
            }
            b"filename*" => {
                let start = text.rfind('\'').map_or(0, |quote| quote + 1);
                let range = without_ending(body, range.start + start..range.end);
                file_names.push(FileName { range, is_encoded: true });
            }
            _ => {}
        }
    }
    file_names.retain(|name| !name.range.is_empty());
    FormPart { name: name.unwrap_or_default(), file_names, content }
}

/// A name without `.png` and the like.
fn without_ending(body: &[u8], name: Range<usize>) -> Range<usize> {
    let text = &body[name.clone()];
    let dot = text.iter().rposition(|byte| *byte == b'.');
    match dot {
        Some(dot)
            if text.len() - dot <= MAX_ENDING
                && text[dot + 1..].iter().all(u8::is_ascii_alphanumeric) =>
        {
            name.start..name.start + dot
        }
        _ => name,
    }
}

/// The parameters of a part's `Content-Disposition`, each with the place of its value in the body,
/// without quotation marks.
fn disposition(body: &[u8], head: Range<usize>) -> Vec<(&[u8], Range<usize>)> {
    let mut found = Vec::new();
    let mut start = head.start;
    for line in body[head].split(|byte| *byte == b'\n') {
        let at = start;
        start += line.len() + 1;
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if !name.trim_ascii().eq_ignore_ascii_case(b"content-disposition") {
            continue;
        }
        let next = |from: usize, wanted: u8| {
            let rest = line.get(from..)?;
            rest.iter().position(|byte| *byte == wanted).map(|at| from + at)
        };
        let mut position = name.len();
        while let Some(semicolon) = next(position, b';')
            && let Some(equals) = next(semicolon, b'=')
        {
            let mut value = equals + 1;
            let end = if line.get(value) == Some(&b'"') {
                value += 1;
                end_of_quoted(line, value)
            } else {
                let end = next(value, b';').unwrap_or(line.len());
                value + line[value..end].trim_ascii_end().len()
            };
            found.push((line[semicolon + 1..equals].trim_ascii(), at + value..at + end));
            position = end;
        }
    }
    found
}

/// The place of the quotation mark that ends a string which begins here.
fn end_of_quoted(line: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = line.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    line.len()
}

fn find(body: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let rest = body.get(from..)?;
    rest.windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fit_their_templates() {
        for (template, path, fits) in [
            ("/a/{}", "/a/7", true),
            ("/a/{}", "/a/", false),
            ("/a/{}", "/a/7/b", false),
            ("/a/{}/**", "/a/7/b", true),
            ("/a/{}/**", "/a/7", true),
            ("/a/*/b", "/a/7/b", true),
            ("/a/*/b", "/a/7/c", false),
            ("/a", "/a", true),
        ] {
            assert_eq!(Segments::of(template).fit(path), fits, "{template} {path}");
        }
        assert_eq!(Segments::of("/a/{}/b").hole(), Some(2));
        let words = [0, 1, 2, 3, 4].map(|index| Segments::of("/a/{}/b").has_word(index));
        assert_eq!(words, [true, true, false, true, false]);
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["a", "a b+c/d=e&f%", "привет", "="] {
            assert_eq!(decode(&encode(text)), text);
        }
    }

    fn file_names(body: &[u8]) -> Vec<String> {
        let parts = parts(body, "B").unwrap();
        let names = parts.iter().flat_map(|part| &part.file_names);
        names.map(|name| name.text(body)).collect()
    }

    #[test]
    fn names_of_files_are_found_without_their_endings() {
        for (parameters, names) in [
            ("name=photo; filename=\"a holiday.png\"", &["a holiday"][..]),
            ("filename=a.b.jpeg ; name=x", &["a.b"]),
            ("name=\"x\"; filename=\"a;b\\\"c\"; size=3", &["a;b\\\"c"]),
            ("name=\"x\"; filename=\"Ann's letter\"", &["Ann's letter"]),
            ("name=x; filename=\"e.png\"; filename*=UTF-8''%D1%8F%20b.png", &["e", "я b"]),
            ("name=x; filename=\"\"", &[]),
            ("name=x; filename=\".png\"", &[]),
            ("name=x; filename=\"no end", &["no end"]),
            ("name=x; filename", &[]),
            ("name=x", &[]),
        ] {
            let body = format!(
                "--B\r\nContent-Type: text/x; filename=\"no\"\r\n\
                 content-disposition: form-data; {parameters}\r\n\r\n.\r\n--B--"
            );
            assert_eq!(file_names(body.as_bytes()), names, "{parameters}");
        }
        let name = FileName { range: 0..0, is_encoded: false };
        assert_eq!(name.with("a\"b\r\n"), "a%22b%0D%0A");
    }

    #[test]
    fn the_parts_of_a_form_are_found() {
        let body =
            b"x\r\n--B\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{}\r\n--B\r\n\
            content-disposition: form-data; name=\"photo\"; filename=\"name=p\"\r\n\r\n\r\n\
            --B--\r\n";
        let found = parts(body, "B").unwrap();
        let found: Vec<(&str, &[u8])> =
            found.iter().map(|part| (&*part.name, &body[part.content.clone()])).collect();
        assert_eq!(found, [("json", &b"{}"[..]), ("photo", b"")]);
        assert_eq!(file_names(body), ["name=p"]);
        assert!(parts(b"--B\r\nno end", "B").is_none());
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("application/json; boundary=a"), None);
    }
}
