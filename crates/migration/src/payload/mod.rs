//! Payloads: values with the places of their bytes, so that one value can be replaced and every
//! other byte stays.

mod text;
mod tree;

use std::borrow::Cow;
use tolmach_capture::CapturedFrame;

pub(crate) use text::json_string;
pub(crate) use tree::{Document, Leaf, Node, is_number};

/// The payload of a captured frame; empty where it cannot be read.
pub(crate) fn payload_of(frame: &CapturedFrame) -> Cow<'_, [u8]> {
    match &frame.text {
        Some(text) => Cow::Borrowed(text.as_bytes()),
        None => Cow::Owned(frame.payload().map(Vec::from).unwrap_or_default()),
    }
}
