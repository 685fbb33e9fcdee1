//! The dialect `sndmsg`: JSON objects with a string `type` such as `SND_MSG`, over WebSocket text
//! frames, on connections that log in once. protocols/sndmsg/SPEC.md describes it.

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
    ServerSession, Unsupported, Variant, WireNames, json, parse_options,
};

static MANIFEST: Manifest = Manifest::new(
    wire::ID,
    "JSON requests of a type such as SND_MSG on a connection that has logged in, over WebSocket",
)
.fields(fields::FIELDS)
.endpoints(&[Endpoint::websocket(wire::PATH)])
.opening("a \"type\" of SND_MSG's list, such as \"REQUEST_LOGIN\"")
.capabilities(Capabilities {
    pushes_posted: true,
    pushes_edited: true,
    pushes_deleted: true,
    pushes_flows: true,
    ..Capabilities::NONE
});

/// The dialect `sndmsg`, with its options.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SndMsg {
    /// True if new messages are pushed.
    push: bool,
    /// True if a login that does not exist is answered with a status of its own.
    reveal_unknown_user: bool,
}

impl Default for SndMsg {
    fn default() -> Self {
        Self { push: true, reveal_unknown_user: false }
    }
}

impl Configure for SndMsg {
    fn configure(options: OptionTable) -> Result<Self, OptionsError> {
        parse_options(options)
    }
}

impl Dialect for SndMsg {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Recognises only a `type` that requests have.
    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        let head = handshake
            .first_frame
            .and_then(|frame| frame.json_object::<wire::Head<'_>>(handshake.max_json_depth).ok());
        match head {
            Some(wire::Head { kind: Field::Value(kind) })
                if wire::Operation::from_name(&kind).is_some() =>
            {
                Recognition::Certain(DOC)
            }
            _ => Recognition::No,
        }
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        let session = server::Session::new(handshake, self.push, self.reveal_unknown_user);
        Ok(Box::new(session))
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
