//! The dialect `sndmsg`: JSON objects with a string `type` such as `SND_MSG`, over WebSocket text
//! frames, on connections that log in once. protocols/sndmsg/SPEC.md describes it.

mod faults;
mod lift;
mod lower;
mod memory;
mod session;
mod wire;

use std::sync::LazyLock;
use tolmach_dialect::{
    Ask, Capabilities, Closes, DOC, Dialect, Door, Frame, Limits, Loss, Manifest, Notice, Opening,
    Recognition, Refusal, Session, Side, Transport, Variant,
};
use wire::{Field, Operation};

/// The dialect's id.
const ID: &str = "sndmsg";

/// Where it answers.
const PATH: &str = "/sndmsg";

/// The one form in which notices are shared.
const SHARED: Variant = Variant(0);

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| Manifest {
    id: ID,
    summary: "JSON requests of a type such as SND_MSG on a connection that has logged in, over WebSocket",
    doors: &[Door { path: PATH, transport: Transport::WebSocket }],
    revisions: &[DOC],
    opening: Some("a \"type\" of SND_MSG's list, such as \"REQUEST_LOGIN\""),
    limits: Limits::default(),
    closes: Closes::default(),
    capabilities: Capabilities {
        pushes_posted: true,
        pushes_edited: true,
        pushes_deleted: true,
        pushes_flows: true,
        ..Capabilities::default()
    },
    push_by_default: true,
    documents: &[],
});

/// The dialect `sndmsg`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SndMsg;

impl Dialect for SndMsg {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Errs towards "no": an object that also has a key by which another dialect is known belongs
    /// to neither, and so does a `type` that no request of this dialect has.
    fn recognise(&self, opening: &Opening<'_>) -> Recognition {
        let Some(Frame::Text(text)) = opening.first else {
            return Recognition::No;
        };
        match wire::read::<wire::Head>(text, opening.settings.depth) {
            Ok(wire::Head { kind: Field::Value(kind), mode, jsonapi, action })
                if Operation::from_request(&kind).is_some()
                    && !(mode.0 || jsonapi.0 || action.0) =>
            {
                Recognition::Certain(DOC)
            }
            _ => Recognition::No,
        }
    }

    fn open(&self, opening: &Opening<'_>, side: Side) -> Result<Box<dyn Session>, Refusal> {
        Ok(match side {
            Side::Server => Box::new(session::Server::new(opening)),
            Side::Client => Box::new(session::Client::new(opening)),
        })
    }

    fn dial(&self, ask: &Ask) -> Result<http::request::Parts, Loss> {
        lower::ask(ask, "")?;
        let mut request = http::Request::new(());
        *request.uri_mut() = http::Uri::from_static(PATH);
        for (name, value) in [
            (http::header::CONNECTION, "Upgrade"),
            (http::header::UPGRADE, "websocket"),
            (http::header::SEC_WEBSOCKET_VERSION, "13"),
        ] {
            request.headers_mut().insert(name, http::HeaderValue::from_static(value));
        }
        Ok(request.into_parts().0)
    }

    fn render(&self, notice: &Notice, variant: Variant) -> Result<Frame, Loss> {
        if variant != SHARED {
            return Err(Loss { dialect: ID, what: "a notice in an unknown variant" });
        }
        lower::shared(notice).map(|push| Frame::Text(wire::write(&push)))
    }
}
