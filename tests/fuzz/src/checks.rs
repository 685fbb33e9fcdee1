//! Rules that every frame of a gateway keeps.

use crate::subject::Subject;
use tolmach_dialect::{Close, DOC, Frame, ServerSession, Violation};
use tolmach_dialect_kit::Direction;

/// The largest answer to a frame that is no request, for an empty frame.
const VIOLATION_BYTES: usize = 4 << 10;

/// The largest frame that is made of a value of the fixtures, for an empty frame of the peer.
const FIXTURE_BYTES: usize = 64 << 10;

/// The most bytes of an answer for each byte of the peer's frame: a control character that is
/// repeated takes six in JSON.
const GROWTH: usize = 8;

/// Checks the answer to a frame that is no request.
///
/// # Panics
///
/// If there is neither an answer nor a close where the document has one, or if the answer is too
/// large or of no schema.
pub(crate) fn violation(
    subject: &Subject,
    session: &dyn ServerSession,
    violation: &Violation,
    peer: &Frame,
    is_exchange: bool,
) {
    if subject.schemas.is_none() {
        return;
    }
    if let Some(close) = &violation.close {
        self::close(close);
    }
    match &violation.answer {
        None => {
            assert!(!is_exchange, "an HTTP request is left without an answer");
            // The servers of some revisions say nothing.
            let is_silent = session.revision() != DOC;
            let is_told = violation.close.is_some() || is_silent;
            assert!(is_told, "{violation:?}: neither an answer nor a close");
        }
        Some(answer) => {
            let size = size(answer);
            let most = VIOLATION_BYTES + GROWTH * self::size(peer);
            assert!(size <= most, "the answer to a violation has {size} bytes, at most {most}");
            let is_response = matches!(answer, Frame::Response(_));
            assert_eq!(is_response, is_exchange, "the kind of the answer: {answer:?}");
            if session.revision() == DOC {
                schema(subject, answer);
            }
        }
    }
}

/// Checks the frames of a response, or those of an event.
///
/// # Panics
///
/// If one is too large or of no schema.
pub(crate) fn frames(
    subject: &Subject,
    session: &dyn ServerSession,
    frames: &[Frame],
    peer: usize,
) {
    if subject.schemas.is_none() {
        return;
    }
    let size: usize = frames.iter().map(self::size).sum();
    let most = FIXTURE_BYTES + GROWTH * peer;
    assert!(size <= most, "the frames have {size} bytes, at most {most}");
    if session.revision() == DOC {
        frames.iter().for_each(|frame| schema(subject, frame));
    }
}

/// Checks a frame by the schemas of its dialect.
///
/// # Panics
///
/// If none describes it.
pub(crate) fn schema(subject: &Subject, frame: &Frame) {
    let checked =
        subject.schemas.as_ref().and_then(|schemas| schemas.check(frame, Direction::Answer));
    if let Some(Err(error)) = checked {
        panic!("{}: {frame:?} {error}", subject.id());
    }
}

/// Checks a close frame by RFC 6455, sections 5.5 and 7.4.
///
/// # Panics
///
/// If the code is reserved or the reason too long.
pub(crate) fn close(close: &Close) {
    let is_code = matches!(close.code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    assert!(is_code && close.reason.len() <= 123, "{close:?}");
}

/// The size of a frame, in bytes.
pub(crate) fn size(frame: &Frame) -> usize {
    let head = match frame {
        Frame::Request(request) => {
            request.uri().to_string().len() + headers_size(request.headers())
        }
        Frame::Response(response) => headers_size(response.headers()),
        Frame::Text(_) | Frame::Binary(_) | Frame::Value(_) => 0,
    };
    head + frame.payload().len()
}

fn headers_size(headers: &http::HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The size of the head of a request, in bytes.
pub(crate) fn size_of_head(request: &http::request::Parts) -> usize {
    request.uri.to_string().len() + headers_size(&request.headers)
}
