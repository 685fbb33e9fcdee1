//! The description of a dialect.

use crate::field_rule::FieldRule;

/// The name of a revision: a variation of a dialect that real peers use.
pub type Revision = &'static str;

/// The revision that a dialect's document describes: always the default.
pub const DOC: Revision = "doc";

/// The description of a dialect. Built from [`Manifest::new`] by the methods named like its fields.
///
/// ```
/// use tolmach_dialect::{Endpoint, Manifest};
///
/// static TOY: Manifest = Manifest::new("toy", "one JSON array a frame, over WebSocket")
///     .endpoints(&[Endpoint::websocket("/toy")])
///     .opening("an array");
/// assert_eq!(TOY.revisions, ["doc"]);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Manifest {
    /// The short id, such as `mode`: used in configuration, metrics and folder names.
    pub id: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// The paths that it is served on.
    pub endpoints: &'static [Endpoint],
    /// The revisions that it speaks; the first is the default.
    pub revisions: &'static [Revision],
    /// The mark of its first frame on a shared path, in words, such as `a string "mode"`. `None`
    /// when it is not served on shared paths.
    pub opening: Option<&'static str>,
    /// Bounds on what a peer may send.
    pub limits: Limits,
    /// The codes that its connections are closed with.
    pub close_codes: CloseCodes,
    /// The events that it pushes.
    pub capabilities: Capabilities,
    /// Documents that the server serves beside its endpoints.
    pub documents: &'static [Document],
    /// The places of values in its frames. [`Manifest::field_rules`] has those of one revision.
    pub fields: &'static [FieldRule],
    /// The same for revisions that have rules of their own.
    pub revision_fields: &'static [(Revision, &'static [FieldRule])],
    /// True if its frames need a summary of the flow: [`crate::RenderContext::flow`].
    pub needs_flow_summaries: bool,
}

impl Manifest {
    /// A dialect that speaks [`DOC`] on no endpoint yet, within the default limits.
    pub const fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            endpoints: &[],
            revisions: &[DOC],
            opening: None,
            limits: Limits::DEFAULT,
            close_codes: CloseCodes::DEFAULT,
            capabilities: Capabilities::NONE,
            documents: &[],
            fields: &[],
            revision_fields: &[],
            needs_flow_summaries: false,
        }
    }

    /// With these endpoints.
    pub const fn endpoints(mut self, endpoints: &'static [Endpoint]) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// With these revisions.
    pub const fn revisions(mut self, revisions: &'static [Revision]) -> Self {
        self.revisions = revisions;
        self
    }

    /// Served on shared paths, where its first frame is known by this.
    pub const fn opening(mut self, opening: &'static str) -> Self {
        self.opening = Some(opening);
        self
    }

    /// With other limits.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With other close codes.
    pub const fn close_codes(mut self, close_codes: CloseCodes) -> Self {
        self.close_codes = close_codes;
        self
    }

    /// With these capabilities.
    pub const fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// With these documents.
    pub const fn documents(mut self, documents: &'static [Document]) -> Self {
        self.documents = documents;
        self
    }

    /// With the places of values in its frames.
    pub const fn fields(mut self, fields: &'static [FieldRule]) -> Self {
        self.fields = fields;
        self
    }

    /// With revisions that have other places of values.
    pub const fn revision_fields(
        mut self,
        revision_fields: &'static [(Revision, &'static [FieldRule])],
    ) -> Self {
        self.revision_fields = revision_fields;
        self
    }

    /// The places of values in the frames of a revision.
    pub fn field_rules(&self, revision: &str) -> &'static [FieldRule] {
        let own = self.revision_fields.iter().find(|(name, _)| *name == revision);
        own.map_or(self.fields, |(_, fields)| *fields)
    }

    /// Its frames need a summary of the flow.
    pub const fn needs_flow_summaries(mut self) -> Self {
        self.needs_flow_summaries = true;
        self
    }
}

/// A path that a dialect is served on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// A path; with a trailing `/**` everything below it too.
    pub path: &'static str,
    /// The transport of its connections.
    pub transport: Transport,
}

impl Endpoint {
    /// A path for WebSockets.
    pub const fn websocket(path: &'static str) -> Self {
        Self { path, transport: Transport::WebSocket }
    }

    /// A path for HTTP requests, and for WebSockets where [`crate::Dialect::accept`] allows it.
    pub const fn http(path: &'static str) -> Self {
        Self { path, transport: Transport::Http }
    }
}

/// The transport of an endpoint's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// WebSocket only.
    WebSocket,
    /// HTTP requests, and WebSocket where the dialect's [`crate::Dialect::accept`] allows it.
    Http,
}

/// Bounds on what a peer may send. An operator can lower or raise them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest WebSocket message or raw value, in bytes.
    pub max_frame_bytes: usize,
    /// The largest HTTP body, in bytes. A session can set a lower bound for its own request:
    /// [`crate::ServerSession::expected_body`].
    pub max_body_bytes: usize,
}

impl Limits {
    /// Frames of 1 MiB, bodies of 64 KiB.
    pub const DEFAULT: Limits = Limits { max_frame_bytes: 1 << 20, max_body_bytes: 64 << 10 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The codes that a server closes a dialect's WebSockets with, where the session names none itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseCodes {
    /// The server shuts down.
    pub going_away: u16,
    /// The peer reads too slowly.
    pub slow_reader: u16,
}

impl CloseCodes {
    /// 1001 and 1013.
    pub const DEFAULT: CloseCodes = CloseCodes { going_away: 1001, slow_reader: 1013 };
}

impl Default for CloseCodes {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The events that a dialect pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Posted messages are pushed.
    pub pushes_posted: bool,
    /// Edits are pushed.
    pub pushes_edited: bool,
    /// Deletions are pushed.
    pub pushes_deleted: bool,
    /// New flows are pushed.
    pub pushes_flows: bool,
    /// Typing is pushed.
    pub pushes_typing: bool,
}

impl Capabilities {
    /// Nothing is pushed.
    pub const NONE: Capabilities = Capabilities {
        pushes_posted: false,
        pushes_edited: false,
        pushes_deleted: false,
        pushes_flows: false,
        pushes_typing: false,
    };
}

/// A document that the server serves, such as an OpenAPI description.
#[derive(Debug, Clone, Copy)]
pub struct Document {
    /// The path, such as `/openapi.json`.
    pub path: &'static str,
    /// The media type.
    pub media_type: &'static str,
    /// Makes the document.
    pub content: fn() -> String,
}
