//! Heads of requests that are kept for longer than their requests take.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};

/// A copy of a head, without its extensions. The values of a head share the buffer that the request
/// was read into, which is larger; a copy keeps no more than itself.
pub(crate) fn copied(head: &Parts) -> Parts {
    let (mut copy, ()) = Request::new(()).into_parts();
    copy.method = head.method.clone();
    copy.version = head.version;
    // A URI that was parsed once can be parsed again.
    copy.uri = head.uri.to_string().try_into().unwrap_or_else(|_| head.uri.clone());
    copy.headers.reserve(head.headers.len());
    for (name, value) in &head.headers {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            copy.headers.append(name, value);
        }
    }
    copy
}

/// The memory of the head of a request, in bytes.
pub(crate) fn size(uri: &Uri, headers: &HeaderMap) -> usize {
    let of_uri = uri.path().len() + uri.query().map_or(0, str::len);
    let of_header = |(name, value): (&HeaderName, &HeaderValue)| {
        size_of::<(HeaderName, HeaderValue)>() + name.as_str().len() + value.len()
    };
    of_uri + headers.iter().map(of_header).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_copy_says_the_same_and_keeps_no_other_bytes() {
        let buffer = Bytes::from(vec![b'v'; 100]);
        let value = HeaderValue::from_maybe_shared(buffer.slice(..3)).unwrap();
        let uri = Bytes::from_static(b"/mode?token=a%20b");
        let request = Request::get(Uri::from_maybe_shared(uri).unwrap())
            .version(http::Version::HTTP_2)
            .header("x-name", value)
            .header("x-name", HeaderValue::from_bytes(b"B\xf6b").unwrap())
            .extension(5);
        let (head, ()) = request.body(()).unwrap().into_parts();
        let copy = copied(&head);
        assert_eq!(
            (&copy.method, &copy.uri, copy.version, &copy.headers),
            (&head.method, &head.uri, head.version, &head.headers)
        );
        drop(head);
        assert!(buffer.is_unique() && copy.extensions.is_empty());
        let of_headers = 2 * (size_of::<(HeaderName, HeaderValue)>() + "x-namevvv".len());
        assert_eq!(size(&copy.uri, &copy.headers), "/modetoken=a%20b".len() + of_headers);
    }
}
