//! Multipart forms of a `json` part and a photo (`protocols/bearer/SPEC.md`, "Forms").

use crate::errors::RequestError;
use crate::wire::{FORM_LIMIT, JSON_LIMIT};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::stream;
use http::HeaderValue;
use multer::{Constraints, Error, Multipart, SizeLimit};
use std::collections::BTreeSet;
use std::convert::Infallible;
use tolmach_domain::{PHOTO_LIMIT, Photo};

/// The names that a part may have, as a regular expression.
pub(crate) const PART_NAME: &str = r"^[A-Za-z0-9_.\[\]-]+$";

const JSON: &str = "json";
const PHOTO: &str = "photo";

/// The media type of a photo that names none, or none that a header can carry.
const UNKNOWN_MEDIA_TYPE: &str = "application/octet-stream";

/// The longest boundary, in characters. RFC 2046 section 5.1.1.
const BOUNDARY_LIMIT: usize = 70;

/// A decoded form.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) json: Bytes,
    pub(crate) photo: Option<Photo>,
}

/// True if a content type is this media type, whatever its parameters.
pub(crate) fn is_media_type(content_type: &str, media_type: &str) -> bool {
    let essence = content_type.split_once(';').map_or(content_type, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case(media_type)
}

/// Reads a form. Other parts are ignored. An empty photo is as if left out: browsers send one where
/// no file was chosen.
pub(crate) fn read(content_type: &str, body: &Bytes) -> Result<Form, RequestError> {
    let boundary = boundary(content_type)?;
    // The stream is one chunk that is there already: no future of it waits, and no executor is
    // needed.
    parts(body.clone(), boundary)
        .now_or_never()
        .unwrap_or_else(|| Err(RequestError::bad("the form ends before its last boundary")))
}

/// Writes a form: its content type and its body. The same parts give the same bytes.
pub(crate) fn write(json: &[u8], photo: Option<&Photo>) -> (String, Bytes) {
    let boundary = unused_boundary(json, photo);
    let mut body = BytesMut::new();
    let mut part = |disposition: &str, media_type: &str, content: &[u8]| {
        let disposition = format!("content-disposition: form-data; {disposition}");
        let head = format!("--{boundary}\r\n{disposition}\r\ncontent-type: {media_type}\r\n\r\n");
        for bytes in [head.as_bytes(), content, b"\r\n"] {
            body.extend_from_slice(bytes);
        }
    };
    part(r#"name="json""#, "application/json", json);
    if let Some(Photo { media_type, content }) = photo {
        // A line break in the media type would end the head of the part.
        let is_header = HeaderValue::from_str(media_type).is_ok_and(|value| value.to_str().is_ok());
        let media_type = if is_header { media_type } else { UNKNOWN_MEDIA_TYPE };
        part(r#"name="photo"; filename="photo""#, media_type, content);
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body.freeze())
}

/// The boundary that a form's content type names.
pub(crate) fn boundary(content_type: &str) -> Result<String, RequestError> {
    if !is_media_type(content_type, "multipart/form-data") {
        return Err(RequestError::media_type("multipart/form-data"));
    }
    multer::parse_boundary(content_type)
        .ok()
        .filter(|boundary| (1..=BOUNDARY_LIMIT).contains(&boundary.len()))
        .ok_or_else(|| {
            RequestError::bad("the content type names no boundary of 1 to 70 characters")
        })
}

async fn parts(body: Bytes, boundary: String) -> Result<Form, RequestError> {
    let limits = SizeLimit::new()
        .whole_stream(FORM_LIMIT as u64)
        .for_field(JSON, JSON_LIMIT as u64)
        .for_field(PHOTO, PHOTO_LIMIT as u64);
    let body = stream::iter([Ok::<_, Infallible>(body)]);
    let constraints = Constraints::new().size_limit(limits);
    let mut multipart = Multipart::with_constraints(body, boundary, constraints);
    let (mut json, mut photo) = (None, None);
    while let Some(field) = multipart.next_field().await.map_err(request_error)? {
        match field.name() {
            Some(JSON) => {
                if json.replace(field.bytes().await.map_err(request_error)?).is_some() {
                    return Err(RequestError::bad("the form has two json parts"));
                }
            }
            Some(PHOTO) => {
                let media_type = field.content_type().map(|mime| mime.essence_str());
                let media_type = media_type.unwrap_or(UNKNOWN_MEDIA_TYPE).to_owned();
                let content = field.bytes().await.map_err(request_error)?;
                if photo.replace(Photo { media_type, content }).is_some() {
                    return Err(RequestError::bad("the form has two photos"));
                }
            }
            Some(other) if is_part_name(other) => {}
            _ => {
                return Err(RequestError::bad(
                    "the name of a part has letters, digits and the characters _ . [ ] - only",
                ));
            }
        }
    }
    let json = json.ok_or_else(|| RequestError::bad("the form has no json part"))?;
    Ok(Form { json, photo: photo.filter(|photo| !photo.content.is_empty()) })
}

/// True if [`PART_NAME`] matches.
fn is_part_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.[]-".contains(&byte))
}

fn request_error(error: Error) -> RequestError {
    match error {
        Error::FieldSizeExceeded { field_name, .. } if field_name.as_deref() == Some(PHOTO) => {
            RequestError::too_large("the photo", PHOTO_LIMIT)
        }
        Error::FieldSizeExceeded { .. } => RequestError::too_large("the json part", JSON_LIMIT),
        Error::StreamSizeExceeded { .. } => RequestError::too_large("the body", FORM_LIMIT),
        error => RequestError::bad(format!("the form cannot be read: {error}")),
    }
}

/// A boundary that no part contains: the first unused one of a numbered series, so that the bytes
/// do not depend on randomness.
fn unused_boundary(json: &[u8], photo: Option<&Photo>) -> String {
    const SERIES: &[u8] = b"tolmach-form-";
    let mut used = BTreeSet::new();
    for content in [json, photo.map_or(&[], |photo| &photo.content)] {
        for window in content.windows(SERIES.len() + 8) {
            let digits = window.strip_prefix(SERIES).and_then(|text| str::from_utf8(text).ok());
            used.extend(digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()));
        }
    }
    let number = (0..u32::MAX).find(|number| !used.contains(number)).unwrap_or(u32::MAX);
    format!("tolmach-form-{number:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=X";

    fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
        let head = format!("--X\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    }

    fn form(parts: &[Vec<u8>]) -> Bytes {
        [&parts.concat()[..], b"--X--\r\n"].concat().into()
    }

    fn photo(content: &'static [u8]) -> Photo {
        Photo { media_type: "image/png".into(), content: Bytes::from_static(content) }
    }

    #[test]
    fn a_written_form_reads_back() {
        let json = br#"{"name":"\u0000--tolmach"}"#;
        for picture in [
            None,
            Some(photo(b"\x89PNG\r\n--tolmach-form-00000000--\r\n")),
            Some(photo(b"\r\n\r\n")),
            Some(photo(b"-")),
        ] {
            let (content_type, body) = write(json, picture.as_ref());
            let read = read(&content_type, &body).unwrap();
            assert_eq!((&read.json[..], &read.photo), (&json[..], &picture));
            assert_eq!(write(&read.json, picture.as_ref()), (content_type, body));
        }
    }

    #[test]
    fn a_media_type_cannot_end_the_head_of_its_part() {
        let picture = Photo { media_type: "image/png\r\n\r\nevil".into(), ..photo(b"x") };
        let (content_type, body) = write(b"{}", Some(&picture));
        let read = read(&content_type, &body).unwrap().photo.unwrap();
        assert_eq!(read.media_type, "application/octet-stream");
    }

    #[test]
    fn parts_come_in_any_order_and_others_are_ignored() {
        let body = form(&[
            part(r#"name="photo"; filename="фото.png""#, b"p"),
            part(r#"name="other[0].x-y_z""#, b"?"),
            part(r#"name="json""#, b"{}"),
        ]);
        let read = read(TYPE, &body).unwrap();
        assert_eq!((&read.json[..], &read.photo.unwrap().content[..]), (&b"{}"[..], &b"p"[..]));
    }

    #[test]
    fn an_empty_photo_is_none() {
        let photo = part(r#"name="photo"; filename="""#, b"");
        let body = form(&[part(r#"name="json""#, b"{}"), photo]);
        assert_eq!(read(TYPE, &body).unwrap().photo, None);
    }

    #[test]
    fn an_unreadable_form_is_refused() {
        let json = || part(r#"name="json""#, b"{}");
        let of = |name: &str, size: usize| part(&format!(r#"name="{name}""#), &vec![b'x'; size]);
        let whole = form(&[json()]);
        let check = |name: &str, content_type: &str, body: &Bytes, status: u16| {
            assert_eq!(read(content_type, body).unwrap_err().status, status, "{name}");
        };
        let long_boundary = format!("multipart/form-data; boundary={}", "b".repeat(71));
        for (name, content_type, status) in [
            ("no content type", "", 415),
            ("not a form", "application/json", 415),
            ("not a media type", "multipart", 415),
            ("no boundary", "multipart/form-data", 400),
            ("an empty boundary", "multipart/form-data; boundary=\"\"", 400),
            ("another boundary", "multipart/form-data; boundary=Y", 400),
            ("a long boundary", &*long_boundary, 400),
        ] {
            check(name, content_type, &whole, status);
        }
        for (name, body, status) in [
            ("an empty body", Bytes::new(), 400),
            ("no parts", form(&[]), 400),
            ("a cut body", whole.slice(..whole.len() - 5), 400),
            ("no json part", form(&[of("photo", 1)]), 400),
            ("a part without a name", form(&[json(), part("", b"{}")]), 400),
            ("a space in a name", form(&[json(), of("a b", 1)]), 400),
            ("an empty name", form(&[json(), of("", 1)]), 400),
            ("two json parts", form(&[json(), json()]), 400),
            ("two photos", form(&[json(), of("photo", 1), of("photo", 1)]), 400),
            ("a large json part", form(&[of("json", JSON_LIMIT + 1)]), 413),
            ("a large photo", form(&[json(), of("photo", PHOTO_LIMIT + 1)]), 413),
            ("a large body", form(&[json(), of("other", FORM_LIMIT)]), 413),
        ] {
            check(name, TYPE, &body, status);
        }
        let largest = form(&[json(), of("photo", PHOTO_LIMIT)]);
        assert!(read(TYPE, &largest).is_ok(), "the largest photo");
    }
}
