//! Frames of a server without ids, tokens and times.

use crate::fields::{FrameRules, Id, Route, add_to_signature};
use crate::payload::Node;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;
use tolmach_capture::{CapturedFrame, Sender};
use tolmach_dialect::{FieldRole, FieldRule};

/// The headers of a response that are compared. Others tell about the server, not about the answer.
pub(crate) const COMPARED_HEADERS: [&str; 5] =
    ["allow", "content-type", "location", "retry-after", "www-authenticate"];

/// A frame without ids, tokens and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Normal {
    /// Equal where frames are the same but for ids, tokens and times.
    pub(crate) signature: u64,
    /// The ids, in the order of the places.
    pub(crate) ids: Vec<Id>,
}

impl Normal {
    /// A frame of the server.
    pub(crate) fn new(
        frame: &CapturedFrame,
        payload: &[u8],
        root: Option<&Node<'_>>,
        rules: &'static [FieldRule],
        route: Option<&Route>,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut ids = Vec::new();
        discriminant(&frame.kind).hash(&mut hasher);
        frame.status.hash(&mut hasher);
        let rules = FrameRules::new(rules, Sender::Server, route, root);
        for name in COMPARED_HEADERS {
            for value in values_of(frame, name) {
                name.hash(&mut hasher);
                comparable_header(name, value).hash(&mut hasher);
            }
        }
        match root {
            Some(root) => add_to_signature(root, &rules.body(), &mut hasher, &mut ids),
            None => payload.hash(&mut hasher),
        }
        Self { signature: hasher.finish(), ids }
    }

    /// The first id of a flow.
    pub(crate) fn flow(&self) -> Option<&Id> {
        self.ids.iter().find(|(role, _)| *role == FieldRole::Flow)
    }
}

/// The values of a header.
pub(crate) fn values_of<'f>(frame: &'f CapturedFrame, name: &str) -> impl Iterator<Item = &'f str> {
    let own = frame.headers.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
    own.map(|(_, value)| value.as_str())
}

/// The value of a header as it is compared: seconds to wait are a time, a media type has no spaces,
/// and of headers with names of the server it counts that they are there.
pub(crate) fn comparable_header(name: &str, value: &str) -> String {
    match name {
        "location" | "retry-after" | "www-authenticate" => "<present>".to_owned(),
        "content-type" => value.replace(' ', "").to_ascii_lowercase(),
        _ => value.to_owned(),
    }
}
