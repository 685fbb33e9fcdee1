//! The dialect `morelia`: MoreliaTalk 1.0, JSON objects with `type`, `data` and `jsonapi`, over
//! WebSocket text or binary frames, each request validated by a JSON Schema.
//! protocols/morelia/SPEC.md describes it.

mod client;
mod errors;
mod fields;
mod schema;
mod server;
mod wire;

use serde::Deserialize;
use tolmach_dialect::{
    Capabilities, ClientSession, Configure, DOC, Dialect, DialectClient, Endpoint, Event, Frame,
    Handshake, HandshakeRejection, Limits, Manifest, OptionTable, OptionsError, Recognition,
    RenderContext, Request, ServerSession, Unsupported, Variant, json, parse_options,
    websocket_request,
};
use wire::{FirstFrame, Form, ID, PATH};

static MANIFEST: Manifest = Manifest::new(
    ID,
    "MoreliaTalk 1.0: JSON objects that name a type and carry their token, validated by JSON \
     Schema, over WebSocket",
)
.fields(fields::FIELDS)
.endpoints(&[Endpoint::websocket(PATH)])
.opening("a key \"jsonapi\", or a string \"type\" that MoreliaTalk names")
// Messages carry whole files.
.limits(Limits { max_frame_bytes: 16 << 20, ..Limits::DEFAULT })
.capabilities(Capabilities {
    pushes_posted: true,
    pushes_edited: true,
    pushes_deleted: true,
    ..Capabilities::NONE
});

/// The dialect `morelia`, with its options.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Morelia {
    /// True if events are pushed. Off by default: clients in the field take the first frame after a
    /// request for its reply.
    push: bool,
}

impl Configure for Morelia {
    fn configure(options: OptionTable) -> Result<Self, OptionsError> {
        parse_options(options)
    }
}

impl Dialect for Morelia {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Beside `jsonapi` the `type` is not looked at: an unknown one is answered by this dialect.
    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        let Some((_, bytes)) = handshake.first_frame.and_then(Form::of) else {
            return Recognition::No;
        };
        match json::parse_object::<FirstFrame<'_>>(bytes, handshake.max_json_depth) {
            Ok(frame) if frame.is_recognised() => Recognition::Certain(DOC),
            _ => Recognition::No,
        }
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        Ok(Box::new(server::Session::new(handshake, self.push)))
    }

    fn render(
        &self,
        event: &Event,
        _context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported> {
        server::render(event, variant)
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        Some(self)
    }
}

impl DialectClient for Morelia {
    fn dial(&self, request: &Request) -> Result<http::request::Parts, Unsupported> {
        client::check(request)?;
        Ok(websocket_request(PATH))
    }

    fn connect(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ClientSession>, HandshakeRejection> {
        Ok(Box::new(client::Session::new(handshake)))
    }

    fn keys_messages(&self) -> bool {
        true
    }
}
