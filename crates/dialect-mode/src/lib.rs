//! The dialect `mode`: JSON objects with a string `mode`, over WebSocket text frames.
//! protocols/mode/SPEC.md describes it.

mod client;
mod errors;
mod fields;
mod server;
mod wire;

use serde::Deserialize;
use tolmach_dialect::field::Field;
use tolmach_dialect::{
    Capabilities, Configure, DOC, Dialect, DialectClient, Endpoint, Event, Frame, Handshake,
    HandshakeRejection, Manifest, OptionTable, OptionsError, Recognition, RenderContext,
    ServerSession, Unsupported, Variant, json, parse_options,
};

static MANIFEST: Manifest =
    Manifest::new(wire::ID, "JSON requests that name a mode and carry their token, over WebSocket")
        .fields(fields::FIELDS)
        .endpoints(&[Endpoint::websocket(wire::PATH)])
        .opening("a string \"mode\"")
        .capabilities(Capabilities { pushes_posted: true, ..Capabilities::NONE });

/// The `mode` of the first frame of MoreliaTalk before 1.0, the revision `0` of morelia.
const MORELIA_REGISTRATION: &str = "reg";

/// The dialect `mode`, with its options.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mode {
    /// True if new messages are pushed.
    push: bool,
}

impl Default for Mode {
    fn default() -> Self {
        Self { push: true }
    }
}

impl Configure for Mode {
    fn configure(options: OptionTable) -> Result<Self, OptionsError> {
        parse_options(options)
    }
}

impl Dialect for Mode {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Recognises an unknown `mode` too, whose request is answered with 501, except that of the
    /// revision `0` of morelia.
    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        let head = handshake
            .first_frame
            .and_then(|frame| frame.json_object::<wire::Head<'_>>(handshake.max_json_depth).ok());
        match head {
            Some(wire::Head { mode: Field::Value(mode) }) if mode != MORELIA_REGISTRATION => {
                Recognition::Certain(DOC)
            }
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
        Ok(Frame::Text(json::write(&server::push(event, variant)?)))
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        Some(&client::Client)
    }
}
