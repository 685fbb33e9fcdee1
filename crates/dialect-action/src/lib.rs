//! The dialect `action`: JSON objects with a string `action`, over WebSocket text frames, in one
//! room at a time. protocols/action/SPEC.md describes it.

mod faults;
mod handshake;
mod lift;
mod lower;
mod rooms;
mod session;
mod wire;

use rooms::Rooms;
use std::sync::{Arc, LazyLock};
use tolmach_dialect::{
    Ask, Capabilities, Closes, DOC, Dialect, Door, Frame, Limits, Loss, Manifest, Notice, Opening,
    Recognition, Refusal, Session, Side, Transport, Variant,
};

/// The dialect's id.
const ID: &str = "action";

/// Everybody hears the same.
const SHARED: Variant = Variant(0);

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| Manifest {
    id: ID,
    summary: "JSON requests that name an action, in one joined room at a time, over WebSocket with an access token",
    doors: &[
        Door { path: handshake::MEMBERS, transport: Transport::WebSocket },
        Door { path: handshake::ADMINISTRATORS, transport: Transport::WebSocket },
    ],
    revisions: &[DOC],
    opening: Some(
        "a string \"action\", after a handshake with a Bearer token and an allowed Origin",
    ),
    limits: Limits::default(),
    closes: Closes::default(),
    capabilities: Capabilities {
        pushes_posted: true,
        pushes_edited: true,
        pushes_deleted: true,
        ..Capabilities::default()
    },
    push_by_default: true,
    documents: &[],
});

/// The dialect `action`.
///
/// A message is told together with its room, which an event does not describe. So the value keeps
/// the participants of the rooms that its sessions have joined, as they learned them: what
/// [`Dialect::render`] makes of a message depends on the notice and on that alone, and is a loss
/// where no session has joined the room.
#[derive(Debug, Clone, Default)]
pub struct Action {
    rooms: Arc<Rooms>,
}

impl Dialect for Action {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Errs towards "no": an object that also has a key by which another dialect is known belongs
    /// to neither, and a handshake that this dialect's own doors would refuse makes no frame its
    /// own.
    fn recognise(&self, opening: &Opening<'_>) -> Recognition {
        let (Some(Frame::Text(text)), Some(request)) = (opening.first, opening.request) else {
            return Recognition::No;
        };
        if handshake::token(&request.headers).is_none()
            || !handshake::is_allowed(request, opening.settings.origins)
        {
            return Recognition::No;
        }
        match wire::read::<wire::Head<'_>>(text, opening.settings.depth) {
            Ok(head) if !(head.mode.0 || head.kind.0 || head.jsonapi.0) => {
                Recognition::Certain(DOC)
            }
            _ => Recognition::No,
        }
    }

    fn open(&self, opening: &Opening<'_>, side: Side) -> Result<Box<dyn Session>, Refusal> {
        let request = opening.request.ok_or_else(handshake::refusal)?;
        Ok(match side {
            Side::Server => {
                let token = handshake::token(&request.headers).ok_or_else(handshake::refusal)?;
                if !handshake::is_allowed(request, opening.settings.origins) {
                    return Err(handshake::refusal());
                }
                Box::new(session::Server::new(
                    opening,
                    handshake::authority(request),
                    token,
                    self.rooms.clone(),
                ))
            }
            Side::Client => Box::new(session::Client::new(opening, handshake::authority(request))),
        })
    }

    fn dial(&self, ask: &Ask) -> Result<http::request::Parts, Loss> {
        lower::ask(ask)?;
        handshake::dial(ask).ok_or(Loss { dialect: ID, what: "an ask without a token" })
    }

    fn render(&self, notice: &Notice, variant: Variant) -> Result<Frame, Loss> {
        if variant != SHARED {
            return Err(Loss { dialect: ID, what: "a notice in an unknown variant" });
        }
        let room = notice.flow().and_then(|flow| self.rooms.get(flow));
        lower::notice(notice, room.as_deref(), None)
    }
}
