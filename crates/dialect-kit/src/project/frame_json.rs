//! The JSON of a frame.

use tolmach_dialect::Frame;

/// The JSON that a frame carries: its payload, or the part `json` of a multipart form.
pub(crate) fn json_of(frame: &Frame) -> Option<Vec<u8>> {
    let headers = match frame {
        Frame::Text(bytes) | Frame::Binary(bytes) | Frame::Value(bytes) => {
            return Some(bytes.to_vec());
        }
        Frame::Request(request) => request.headers(),
        Frame::Response(response) => response.headers(),
    };
    let body = frame.payload();
    if body.is_empty() {
        return None;
    }
    match headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/json")
    {
        json if json.starts_with("application/json") => Some(body.to_vec()),
        form if form.starts_with("multipart/form-data") => json_part(body),
        _ => None,
    }
}

/// The body of the part named `json`, found by its delimiters alone: enough for bodies that a
/// dialect itself has encoded.
fn json_part(body: &[u8]) -> Option<Vec<u8>> {
    let find = |from: usize, wanted: &[u8]| {
        body.get(from..)?
            .windows(wanted.len())
            .position(|window| window == wanted)
            .map(|at| from + at)
    };
    let delimiter = &body[..find(0, b"\r\n")?];
    let head = find(0, b"name=\"json\"")?;
    let start = find(head, b"\r\n\r\n")? + 4;
    let end = find(start, &[b"\r\n", delimiter].concat())?;
    Some(body[start..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_part_of_a_form_is_found() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nP\r\n--x\r\n\
                    Content-Disposition: form-data; name=\"json\"\r\n\r\n{\"a\":1}\r\n--x--\r\n";
        assert_eq!(json_part(body.as_bytes()).as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(json_part(b"--x\r\n\r\n"), None);
    }
}
