//! Addresses and bodies of HTTP, as far as rules need them.

use form_urlencoded::byte_serialize;
use std::borrow::Cow;
use std::ops::Range;

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
    /// The place of its content in the body.
    pub(super) content: Range<usize>,
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
        let name = name(&String::from_utf8_lossy(&body[position..head]));
        parts.push(FormPart { name, content: start..end });
        position = find(body, head + 2, delimiter.as_bytes())? + delimiter.len();
    }
    Some(parts)
}

/// The name of a part with this head; empty without one.
fn name(head: &str) -> String {
    let lines = head.split("\r\n");
    let is_disposition = |line: &&str| {
        line.split_once(':')
            .is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
    };
    let parameters = lines.filter(is_disposition).flat_map(|line| line.split(';'));
    let mut names = parameters.filter_map(|parameter| parameter.trim().strip_prefix("name="));
    names.next().unwrap_or_default().trim_matches('"').to_owned()
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
        assert!(parts(b"--B\r\nno end", "B").is_none());
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("application/json; boundary=a"), None);
    }
}
