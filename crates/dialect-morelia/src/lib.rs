//! The dialect `morelia`: MoreliaTalk 1.0, JSON objects with `type`, `data` and `jsonapi`, over
//! WebSocket text or binary frames, each request validated by a JSON Schema.
//! protocols/morelia/SPEC.md describes it.

mod faults;
mod lift;
mod lower;
mod schema;
mod session;
mod wire;

use std::sync::LazyLock;
use tolmach_dialect::{
    Ask, Capabilities, Closes, DOC, Dialect, Door, Frame, Limits, Loss, Manifest, Notice, Opening,
    Recognition, Refusal, Session, Side, Transport, Variant,
};
use wire::Form;

/// The dialect's id.
const ID: &str = "morelia";

/// Where it answers.
const PATH: &str = "/morelia";

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| Manifest {
    id: ID,
    summary: "MoreliaTalk 1.0: JSON objects that name a type and carry their token, validated by JSON Schema, over WebSocket",
    doors: &[Door { path: PATH, transport: Transport::WebSocket }],
    revisions: &[DOC],
    opening: Some("a key \"jsonapi\", or a string \"type\" that MoreliaTalk names"),
    // Messages carry whole files.
    limits: Limits { frame: 16 << 20, ..Limits::default() },
    closes: Closes::default(),
    capabilities: Capabilities {
        pushes_posted: true,
        pushes_edited: true,
        pushes_deleted: true,
        ..Capabilities::default()
    },
    // Clients take the first frame that they hear for their reply.
    push_by_default: false,
    documents: &[],
});

/// The dialect `morelia`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Morelia;

impl Dialect for Morelia {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Errs towards "no": an object that also has a key by which another dialect is known belongs
    /// to neither. Beside `jsonapi` the `type` is not looked at: one that no method has is answered
    /// by this dialect.
    fn recognise(&self, opening: &Opening<'_>) -> Recognition {
        let Some(Frame::Text(bytes) | Frame::Binary(bytes)) = opening.first else {
            return Recognition::No;
        };
        match wire::read::<wire::Head>(bytes, opening.settings.depth) {
            Ok(head) if head.is_ours() => Recognition::Certain(DOC),
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
        lower::ask(ask)?;
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
        let form =
            form(variant).ok_or(Loss { dialect: ID, what: "a notice in an unknown variant" })?;
        Ok(form.frame(wire::write(&lower::push(notice)?)))
    }
}

/// A notice is rendered once for each form of frame.
fn variant(form: Form) -> Variant {
    match form {
        Form::Text => Variant(0),
        Form::Binary => Variant(1),
    }
}

fn form(variant: Variant) -> Option<Form> {
    [Form::Text, Form::Binary].into_iter().find(|form| self::variant(*form) == variant)
}
