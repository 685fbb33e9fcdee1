//! Frames and violations in messages.

use std::fmt::Write;
use tolmach_dialect::{Frame, Violation};

/// A frame in one line, cut where it is long.
pub(crate) fn inline(frame: &Frame) -> String {
    const LONGEST: usize = 400;
    let body = String::from_utf8_lossy(frame.payload());
    let mut text = match frame {
        Frame::Request(request) => format!("{} {} ", request.method(), request.uri()),
        Frame::Response(response) => format!("{} ", response.status()),
        Frame::Text(_) => String::new(),
        Frame::Binary(_) | Frame::Value(_) => format!("({}) ", frame.kind()),
    };
    let cut = body.char_indices().nth(LONGEST).map_or(body.len(), |(index, _)| index);
    text.push_str(&body[..cut]);
    if cut < body.len() {
        let _ = write!(text, "… ({} bytes)", body.len());
    }
    text
}

/// A violation in words.
pub(crate) fn describe(violation: &Violation) -> String {
    let answer = violation.answer.as_ref().map(inline).unwrap_or_default();
    format!("{} violation, answered {answer}", violation.kind.name())
}
