//! The dialect `action`: JSON objects with a string `action`, over WebSocket text frames, in one
//! room at a time. protocols/action/SPEC.md describes it.

mod client;
mod errors;
mod fields;
mod handshake;
mod server;
mod wire;

use handshake::Origin;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::borrow::Cow;
use tolmach_dialect::{
    Capabilities, ClientSession, Configure, DOC, Dialect, DialectClient, Endpoint, Event, Frame,
    Handshake, HandshakeRejection, Manifest, OptionTable, OptionsError, Recognition, RenderContext,
    Request, ServerSession, Unsupported, Variant, json, parse_options,
};

static MANIFEST: Manifest = Manifest::new(
    wire::ID,
    "JSON requests that name an action, in one joined room at a time, over WebSocket with an \
     access token",
)
.fields(fields::FIELDS)
.endpoints(&[
    Endpoint::websocket(handshake::MEMBERS),
    Endpoint::websocket(handshake::ADMINISTRATORS),
])
.opening("a string \"action\", after a handshake with a Bearer token and an allowed Origin")
.capabilities(Capabilities {
    pushes_posted: true,
    pushes_edited: true,
    pushes_deleted: true,
    ..Capabilities::NONE
})
.needs_flow_summaries();

/// The dialect `action`.
#[derive(Debug, Clone, Default)]
pub struct Action {
    /// The origins whose pages may connect; empty: those of the same host, and on local connections
    /// those of the loopback.
    origins: Vec<Origin>,
}

/// The dialect's table of the configuration.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    #[serde(deserialize_with = "read_origins")]
    origins: Vec<Origin>,
}

/// The key that a first frame is recognised by.
#[derive(Deserialize)]
struct FirstFrame<'a> {
    #[serde(borrow, rename = "action")]
    _action: Cow<'a, str>,
}

impl Configure for Action {
    /// Options: `origins`, a list of origins such as `https://chat.example.org`, without a path.
    fn configure(options: OptionTable) -> Result<Self, OptionsError> {
        let Options { origins } = parse_options(options)?;
        Ok(Self { origins })
    }
}

impl Dialect for Action {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Errs towards "no": a frame is not recognised after a handshake that the dialect's own paths
    /// would reject.
    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        let Some(Frame::Text(text)) = handshake.first_frame else { return Recognition::No };
        let read = || json::parse_object::<FirstFrame<'_>>(text, handshake.max_json_depth);
        if handshake::token(handshake, &self.origins).is_some() && read().is_ok() {
            Recognition::Certain(DOC)
        } else {
            Recognition::No
        }
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        let request = handshake.request.ok_or_else(handshake::forbidden)?;
        let token = handshake::token(handshake, &self.origins).ok_or_else(handshake::forbidden)?;
        let authority = handshake::authority(request);
        Ok(Box::new(server::Session::new(handshake, authority, token)))
    }

    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported> {
        server::render(event, context, variant)
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        Some(self)
    }
}

impl DialectClient for Action {
    fn dial(&self, request: &Request) -> Result<http::request::Parts, Unsupported> {
        client::check(request)?;
        handshake::dial(request)
    }

    fn connect(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ClientSession>, HandshakeRejection> {
        let request = handshake.request.ok_or_else(handshake::forbidden)?;
        let authority = handshake::authority(request);
        Ok(Box::new(client::Session::new(handshake, authority)))
    }
}

fn read_origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Origin>, D::Error> {
    let read = |texts: Vec<String>| texts.iter().map(|text| Origin::configured(text)).collect();
    Vec::deserialize(deserializer).ok().and_then(read).ok_or_else(|| {
        D::Error::custom(
            "`origins`: a list of origins is expected, such as \"https://chat.example.org\", \
             without a path",
        )
    })
}
