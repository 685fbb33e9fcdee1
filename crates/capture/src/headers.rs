//! Headers of HTTP as a capture has them.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Names of headers, in lower case, with their values, in the order of the request or response.
pub type Headers = Vec<(String, String)>;

/// Headers as a capture has them. Bytes beyond ASCII are written as the characters of Latin-1.
pub(crate) fn headers(map: &HeaderMap) -> Headers {
    let latin =
        |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    map.iter().map(|(name, value)| (name.as_str().to_owned(), latin(value))).collect()
}

/// The headers of a capture, as HTTP has them.
pub(crate) fn header_map(headers: &Headers) -> Result<HeaderMap, http::Error> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        let bytes: Vec<u8> = value.chars().map(|char| u8::try_from(char).unwrap_or(b'?')).collect();
        map.append(name, HeaderValue::from_bytes(&bytes)?);
    }
    Ok(map)
}
