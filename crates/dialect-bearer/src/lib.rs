//! The dialect `bearer`: REST with access tokens, and a WebSocket for each room.
//! protocols/bearer/SPEC.md describes it.

mod faults;
mod form;
mod lift;
mod lower;
mod openapi;
mod routes;
mod session;
mod wire;

pub use routes::routes;

use std::sync::LazyLock;
use tolmach_dialect::{
    Ask, Capabilities, Closes, DOC, Dialect, Document, Door, Frame, Limits, Loss, Manifest, Notice,
    Opening, Recognition, Refusal, Session, Side, Transport, Variant,
};
use tolmach_domain::{Command, EventKind};
use wire::MessageKind;

/// The dialect's id.
const DIALECT: &str = "bearer";

/// A message to those in its room.
const MESSAGE: Variant = Variant(0);
/// Typing, to those in its room.
const TYPING: Variant = Variant(1);
/// A message to those who hear of all their rooms.
const LAST_MESSAGE: Variant = Variant(2);

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| Manifest {
    id: DIALECT,
    summary: "REST with access tokens, and a WebSocket for each room",
    doors: &[Door { path: "/api/v1/**", transport: Transport::Http }],
    revisions: &[DOC],
    opening: None,
    limits: Limits { frame: form::JSON_LIMIT, body: form::BODY_LIMIT },
    closes: Closes::default(),
    capabilities: Capabilities {
        pushes_posted: true,
        pushes_typing: true,
        ..Capabilities::default()
    },
    push_by_default: true,
    documents: &[Document {
        path: "/openapi.json",
        media_type: "application/json",
        content: openapi::document,
    }],
});

/// The dialect `bearer`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bearer;

impl Dialect for Bearer {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Goes by the path alone: nothing on a shared door is this dialect's.
    fn recognise(&self, opening: &Opening<'_>) -> Recognition {
        let below =
            opening.request.and_then(|request| request.uri.path().strip_prefix(routes::PREFIX));
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            Recognition::Certain(DOC)
        } else {
            Recognition::No
        }
    }

    fn open(&self, opening: &Opening<'_>, side: Side) -> Result<Box<dyn Session>, Refusal> {
        let session = match side {
            Side::Server => session::serve(opening),
            Side::Client => session::call(opening),
        };
        session.map_err(|problem| problem.refusal())
    }

    fn dial(&self, ask: &Ask) -> Result<http::request::Parts, Loss> {
        Ok(match &ask.command {
            Command::Send(_) | Command::ShowTyping { .. } | Command::History { .. } => {
                lower::handshake(ask)?.into_parts().0
            }
            _ => lower::request(ask)?.1.into_parts().0,
        })
    }

    fn render(&self, notice: &Notice, variant: Variant) -> Result<Frame, Loss> {
        match (variant, &notice.kind) {
            (MESSAGE, EventKind::Posted(_)) | (TYPING, EventKind::Typing { .. }) => {
                lower::notice_frame(notice, MessageKind::Message)
            }
            (LAST_MESSAGE, EventKind::Posted(_)) => {
                lower::notice_frame(notice, MessageKind::LastMessage)
            }
            _ => Err(lower::loss(notice.name())),
        }
    }
}
