//! The toy dialect: `login`, `send` and `list`, with pushes of new messages and flows.

use crate::toy::client::Client;
use crate::toy::defect::Defect;
use crate::toy::server::Server;
use crate::toy::wire::Wire;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use tolmach_dialect::{
    Capabilities, ClientSession, DOC, Dialect, DialectClient, Endpoint, Event, FieldRole,
    FieldRule, Frame, Handshake, HandshakeRejection, Manifest, Recognition, RenderContext, Request,
    Sender, ServerSession, Unsupported, Variant, websocket_request,
};

const PUSHES: Capabilities =
    Capabilities { pushes_posted: true, pushes_flows: true, ..Capabilities::NONE };

const FIELDS: &[FieldRule] = &[
    FieldRule::body("do", FieldRole::Word),
    FieldRule::body("did", FieldRole::Word),
    FieldRule::body("error", FieldRole::Word),
    FieldRule::body("user", FieldRole::Name),
    FieldRule::body("password", FieldRole::Secret).from(Sender::Client),
    FieldRule::body("token", FieldRole::Token),
    FieldRule::body("flow", FieldRole::Flow),
    FieldRule::body("flows", FieldRole::Flow),
    FieldRule::body("message", FieldRole::Message),
    FieldRule::body("text", FieldRole::Text),
    FieldRule::body("pushed/flow", FieldRole::Flow),
    FieldRule::body("pushed/message", FieldRole::Message),
    FieldRule::body("pushed/author", FieldRole::User),
    FieldRule::body("pushed/text", FieldRole::Text),
    FieldRule::body("made/flow", FieldRole::Flow),
    FieldRule::body("made/owner", FieldRole::User),
];

static MANIFEST: Manifest = Manifest::new("toy", "Logs in and sends")
    .fields(FIELDS)
    .endpoints(&[Endpoint::websocket("/toy")])
    .opening("a string \"do\"")
    .capabilities(PUSHES);

static CLAIMING: Manifest = Manifest::new("toy", "Logs in and sends")
    .endpoints(&[Endpoint::websocket("/toy")])
    .opening("a string \"do\"")
    .capabilities(Capabilities { pushes_edited: true, ..PUSHES });

static SIBLING: Manifest = Manifest::new("sibling", "The toy with other keys")
    .endpoints(&[Endpoint::websocket("/sibling")])
    .opening("a string \"x_do\"")
    .capabilities(PUSHES);

/// The toy dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Toy(Wire);

impl Toy {
    pub(crate) fn new(defect: Defect) -> Self {
        static VALUES: AtomicU64 = AtomicU64::new(0);
        let serial = VALUES.fetch_add(1, Ordering::Relaxed);
        Self(Wire { id: "toy", prefix: "", defect, serial })
    }

    /// The toy with other keys.
    pub(crate) fn sibling() -> Self {
        Self(Wire { id: "sibling", prefix: "x_", defect: Defect::None, serial: 0 })
    }
}

impl Dialect for Toy {
    fn manifest(&self) -> &Manifest {
        match (self.0.id, self.0.defect) {
            ("sibling", _) => &SIBLING,
            (_, Defect::ClaimsAPush) => &CLAIMING,
            _ => &MANIFEST,
        }
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        const KNOWN: [&str; 6] = ["do", "user", "password", "token", "flow", "text"];
        let value = handshake
            .first_frame
            .and_then(|frame| serde_json::from_slice::<Value>(frame.payload()).ok());
        if self.0.is(Defect::PanicsWhereItRecognises) {
            assert!(value.as_ref().is_none_or(Value::is_object), "an object is expected");
        }
        let Some(value) = value else { return Recognition::No };
        let has_own_key = value[self.0.key("do")].is_string();
        let is_claimed = match self.0.defect {
            Defect::RecognisesNothing => false,
            Defect::RecognisesEverything => true,
            Defect::RecognisesNoForeignKey => {
                has_own_key
                    && value.as_object().is_some_and(|object| {
                        object.keys().all(|key| KNOWN.contains(&key.as_str()))
                    })
            }
            Defect::RecognisesASiblingsKey => has_own_key || value["x_do"].is_string(),
            _ => has_own_key,
        };
        if is_claimed { Recognition::Certain(DOC) } else { Recognition::No }
    }

    fn accept(&self, _: &Handshake<'_>) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        Ok(Box::new(Server::new(self.0)))
    }

    fn render(
        &self,
        event: &Event,
        _: &RenderContext<'_>,
        _: Variant,
    ) -> Result<Frame, Unsupported> {
        self.0.push(event)
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        (!self.0.is(Defect::NoClient)).then_some(self)
    }
}

impl DialectClient for Toy {
    fn dial(&self, _: &Request) -> Result<http::request::Parts, Unsupported> {
        Ok(websocket_request("/toy"))
    }

    fn connect(&self, _: &Handshake<'_>) -> Result<Box<dyn ClientSession>, HandshakeRejection> {
        Ok(Box::new(Client::new(self.0)))
    }
}
