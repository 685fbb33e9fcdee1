//! Multipart forms of a `json` part and a photo (`protocols/bearer/SPEC.md`, "Forms").

use crate::faults::Problem;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::stream;
use multer::{Constraints, Error, Multipart, SizeLimit};
use std::collections::BTreeSet;
use std::convert::Infallible;
use tolmach_domain::{PHOTO_LIMIT, Photo};

/// The largest JSON body, JSON part and WebSocket message, in bytes.
pub(crate) const JSON_LIMIT: usize = 1 << 20;

/// The largest request body, in bytes: a photo, a JSON part, and what holds them together.
pub(crate) const BODY_LIMIT: usize = PHOTO_LIMIT + JSON_LIMIT;

/// What the name of a part is made of, as a regular expression.
pub(crate) const PART_NAME: &str = r"^[A-Za-z0-9_.\[\]-]+$";

const JSON: &str = "json";
const PHOTO: &str = "photo";

/// RFC 2046 section 5.1.1.
const LONGEST_BOUNDARY: usize = 70;

/// A form as read.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) json: Bytes,
    pub(crate) photo: Option<Photo>,
}

/// Reads a form. Other parts are ignored; an empty photo is none, for browsers send one where
/// nothing was chosen.
pub(crate) fn read(content_type: Option<&str>, body: &Bytes) -> Result<Form, Problem> {
    let boundary = boundary(content_type)?;
    // The body is at hand, so that nothing is ever awaited: no executor is needed.
    parts(body.clone(), boundary)
        .now_or_never()
        .unwrap_or_else(|| Err(Problem::bad("the form ends before its last boundary")))
}

fn boundary(content_type: Option<&str>) -> Result<String, Problem> {
    let content_type = content_type.unwrap_or_default();
    if !essence(content_type).eq_ignore_ascii_case("multipart/form-data") {
        return Err(Problem::media_type("multipart/form-data"));
    }
    let boundary = multer::parse_boundary(content_type)
        .ok()
        .filter(|boundary| (1..=LONGEST_BOUNDARY).contains(&boundary.len()));
    boundary.ok_or_else(|| Problem::bad("the content type names no boundary of 1 to 70 characters"))
}

/// A media type without its parameters.
pub(crate) fn essence(content_type: &str) -> &str {
    content_type.split_once(';').map_or(content_type, |(essence, _)| essence).trim()
}

async fn parts(body: Bytes, boundary: String) -> Result<Form, Problem> {
    let limits = SizeLimit::new()
        .whole_stream(BODY_LIMIT as u64)
        .for_field(JSON, JSON_LIMIT as u64)
        .for_field(PHOTO, PHOTO_LIMIT as u64);
    let body = stream::iter([Ok::<_, Infallible>(body)]);
    let mut multipart =
        Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limits));
    let (mut json, mut photo) = (None, None);
    while let Some(field) = multipart.next_field().await.map_err(problem)? {
        match field.name() {
            Some(JSON) => {
                let first = json.replace(field.bytes().await.map_err(problem)?);
                if first.is_some() {
                    return Err(Problem::bad("the form has two json parts"));
                }
            }
            Some(PHOTO) => {
                let media_type = field
                    .content_type()
                    .map_or("application/octet-stream", |mime| mime.essence_str())
                    .to_owned();
                let content = field.bytes().await.map_err(problem)?;
                if photo.replace(Photo { media_type, content }).is_some() {
                    return Err(Problem::bad("the form has two photos"));
                }
            }
            Some(other) if is_part_name(other) => {}
            _ => {
                return Err(Problem::bad(
                    "the name of a part has letters, digits and the characters _ . [ ] - only",
                ));
            }
        }
    }
    let json = json.ok_or_else(|| Problem::bad("the form has no json part"))?;
    Ok(Form { json, photo: photo.filter(|photo| !photo.content.is_empty()) })
}

/// [`PART_NAME`], by hand.
fn is_part_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.[]-".contains(&byte))
}

fn problem(error: Error) -> Problem {
    match error {
        Error::FieldSizeExceeded { limit, field_name } => {
            let what =
                if field_name.as_deref() == Some(PHOTO) { "the photo" } else { "the json part" };
            Problem::too_large(what, usize::try_from(limit).unwrap_or(usize::MAX))
        }
        Error::StreamSizeExceeded { limit } => {
            Problem::too_large("the body", usize::try_from(limit).unwrap_or(usize::MAX))
        }
        error => Problem::bad(format!("the form cannot be read: {error}")),
    }
}

/// Writes a form: its content type and its body. The same parts give the same bytes.
pub(crate) fn write(json: &[u8], photo: Option<&Photo>) -> (String, Bytes) {
    let boundary = unused_boundary(json, photo);
    let mut body = BytesMut::new();
    let mut part = |disposition: &str, media_type: &str, content: &[u8]| {
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; {disposition}\r\ncontent-type: {media_type}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    };
    part(r#"name="json""#, "application/json", json);
    if let Some(photo) = photo {
        // A media type that no header can carry must not end the head of the part.
        let media_type = http::HeaderValue::from_str(&photo.media_type).ok();
        let media_type = media_type
            .as_ref()
            .and_then(|value| value.to_str().ok())
            .unwrap_or("application/octet-stream");
        part(r#"name="photo"; filename="photo""#, media_type, &photo.content);
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body.freeze())
}

/// A boundary that no part contains: the first free one of a series, so that no randomness is
/// needed.
fn unused_boundary(json: &[u8], photo: Option<&Photo>) -> String {
    const SERIES: &[u8] = b"tolmach-form-";
    let mut used = BTreeSet::new();
    for content in [json, photo.map_or(&[], |photo| &photo.content)] {
        for window in content.windows(SERIES.len() + 8) {
            if let Some(digits) =
                window.strip_prefix(SERIES).and_then(|digits| std::str::from_utf8(digits).ok())
            {
                used.extend(u32::from_str_radix(digits, 16));
            }
        }
    }
    let number = (0..u32::MAX).find(|number| !used.contains(number)).unwrap_or(u32::MAX);
    format!("tolmach-form-{number:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    const TYPE: &str = "multipart/form-data; boundary=X";

    fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
        let mut part =
            format!("--X\r\nContent-Disposition: form-data; {disposition}\r\n\r\n").into_bytes();
        part.extend_from_slice(content);
        part.extend_from_slice(b"\r\n");
        part
    }

    fn form(parts: &[Vec<u8>]) -> Bytes {
        let mut body = parts.concat();
        body.extend_from_slice(b"--X--\r\n");
        body.into()
    }

    fn photo(content: &[u8]) -> Photo {
        Photo { media_type: "image/png".into(), content: Bytes::copy_from_slice(content) }
    }

    #[test]
    fn whatever_is_written_reads_back() {
        for picture in [
            None,
            Some(photo(b"\x89PNG\r\n--tolmach-form-00000000--\r\n")),
            Some(photo(b"\r\n\r\n")),
            Some(photo(b"-")),
        ] {
            let (content_type, body) = write(br#"{"name":"\u0000--tolmach"}"#, picture.as_ref());
            let read = read(Some(&content_type), &body).unwrap();
            assert_eq!(
                (&read.json[..], read.photo),
                (&br#"{"name":"\u0000--tolmach"}"#[..], picture.clone())
            );
            assert_eq!(write(&read.json, picture.as_ref()), (content_type, body));
        }
    }

    #[test]
    fn a_media_type_cannot_break_out_of_its_part() {
        let picture =
            Photo { media_type: "image/png\r\n\r\nevil".into(), content: Bytes::from_static(b"x") };
        let (content_type, body) = write(b"{}", Some(&picture));
        assert_eq!(
            read(Some(&content_type), &body).unwrap().photo.unwrap().media_type,
            "application/octet-stream"
        );
    }

    #[test]
    fn parts_come_in_any_order_and_others_are_ignored() {
        let body = form(&[
            part(r#"name="photo"; filename="фото.png""#, b"p"),
            part(r#"name="other[0].x-y_z""#, b"?"),
            part(r#"name="json""#, b"{}"),
        ]);
        let read = read(Some(TYPE), &body).unwrap();
        assert_eq!((&read.json[..], &read.photo.unwrap().content[..]), (&b"{}"[..], &b"p"[..]));
    }

    #[test]
    fn an_empty_photo_is_none() {
        let body =
            form(&[part(r#"name="json""#, b"{}"), part(r#"name="photo"; filename="""#, b"")]);
        assert_eq!(read(Some(TYPE), &body).unwrap().photo, None);
    }

    #[test]
    fn a_form_that_cannot_be_read_is_refused() {
        let json = part(r#"name="json""#, b"{}");
        let large = |name: &str, size: usize| part(&format!(r#"name="{name}""#), &vec![b'x'; size]);
        let whole = form(std::slice::from_ref(&json));
        let cut = whole.slice(..whole.len() - 5);
        for (name, content_type, body, status) in [
            ("no content type", None, whole.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (
                "not a form",
                Some("application/json"),
                whole.clone(),
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            (
                "not a media type",
                Some("multipart"),
                whole.clone(),
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            ("no boundary", Some("multipart/form-data"), whole.clone(), StatusCode::BAD_REQUEST),
            (
                "an empty boundary",
                Some("multipart/form-data; boundary=\"\""),
                whole.clone(),
                StatusCode::BAD_REQUEST,
            ),
            (
                "another boundary",
                Some("multipart/form-data; boundary=Y"),
                whole.clone(),
                StatusCode::BAD_REQUEST,
            ),
            (
                "an endless boundary",
                Some(&*format!("multipart/form-data; boundary={}", "b".repeat(71))),
                whole.clone(),
                StatusCode::BAD_REQUEST,
            ),
            ("an empty body", Some(TYPE), Bytes::new(), StatusCode::BAD_REQUEST),
            ("no parts", Some(TYPE), form(&[]), StatusCode::BAD_REQUEST),
            ("a cut body", Some(TYPE), cut, StatusCode::BAD_REQUEST),
            (
                "no json part",
                Some(TYPE),
                form(&[part(r#"name="photo""#, b"x")]),
                StatusCode::BAD_REQUEST,
            ),
            (
                "a nameless part",
                Some(TYPE),
                form(&[json.clone(), part("", b"{}")]),
                StatusCode::BAD_REQUEST,
            ),
            (
                "an odd name",
                Some(TYPE),
                form(&[json.clone(), part(r#"name="a b""#, b"x")]),
                StatusCode::BAD_REQUEST,
            ),
            (
                "an empty name",
                Some(TYPE),
                form(&[json.clone(), part(r#"name="""#, b"x")]),
                StatusCode::BAD_REQUEST,
            ),
            (
                "two json parts",
                Some(TYPE),
                form(&[json.clone(), json.clone()]),
                StatusCode::BAD_REQUEST,
            ),
            (
                "two photos",
                Some(TYPE),
                form(&[json.clone(), large("photo", 1), large("photo", 1)]),
                StatusCode::BAD_REQUEST,
            ),
            (
                "a large json part",
                Some(TYPE),
                form(&[large("json", JSON_LIMIT + 1)]),
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
            (
                "a large photo",
                Some(TYPE),
                form(&[json.clone(), large("photo", PHOTO_LIMIT + 1)]),
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
            (
                "a large body",
                Some(TYPE),
                form(&[json.clone(), large("other", BODY_LIMIT)]),
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
        ] {
            assert_eq!(read(content_type, &body).unwrap_err().status, status, "{name}");
        }
        assert!(
            read(Some(TYPE), &form(&[json, large("photo", PHOTO_LIMIT)])).is_ok(),
            "the largest photo"
        );
    }
}
