//! The dialect `mode`: JSON objects with a string `mode`, over WebSocket text frames.
//! protocols/mode/SPEC.md describes it.

mod faults;
mod lift;
mod lower;
mod session;
mod wire;

use std::sync::LazyLock;
use tolmach_dialect::json;
use tolmach_dialect::{
    Ask, Capabilities, Closes, DOC, Dialect, Door, Frame, Limits, Loss, Manifest, Notice, Opening,
    Recognition, Refusal, Session, Side, Transport, Variant,
};
use wire::{Field, Times};

/// The dialect's id.
const ID: &str = "mode";

/// Where it answers.
const PATH: &str = "/mode";

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| Manifest {
    id: ID,
    summary: "JSON requests that name a mode and carry their token, over WebSocket",
    doors: &[Door { path: PATH, transport: Transport::WebSocket }],
    revisions: &[DOC],
    opening: Some("a string \"mode\""),
    limits: Limits::default(),
    closes: Closes::default(),
    capabilities: Capabilities { pushes_posted: true, ..Capabilities::default() },
    push_by_default: true,
    documents: &[],
});

/// The dialect `mode`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mode;

impl Dialect for Mode {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Errs towards "no": an object that also has a key by which another dialect is known belongs
    /// to neither. A `mode` that no operation has is this dialect's all the same, and is answered
    /// with 501.
    fn recognise(&self, opening: &Opening<'_>) -> Recognition {
        let Some(Frame::Text(text)) = opening.first else {
            return Recognition::No;
        };
        match json::parse_object::<wire::Head>(text, opening.settings.depth) {
            Ok(head)
                if matches!(head.mode, Field::Value(_))
                    && !(head.kind.0 || head.jsonapi.0 || head.action.0) =>
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
        let times =
            times(variant).ok_or(Loss { dialect: ID, what: "a notice in an unknown variant" })?;
        Ok(Frame::Text(json::write(&lower::push(notice, times)?)))
    }
}

/// A notice is rendered once for each form of moments.
fn variant(times: Times) -> Variant {
    match times {
        Times::Text => Variant(0),
        Times::Number => Variant(1),
    }
}

fn times(variant: Variant) -> Option<Times> {
    [Times::Text, Times::Number].into_iter().find(|times| self::variant(*times) == variant)
}
