//! The dialect `bearer`: REST with access tokens, and a WebSocket for each room.
//! protocols/bearer/SPEC.md describes it.

mod client;
mod errors;
mod fields;
mod form;
mod head;
mod openapi;
mod revision;
mod routes;
mod server;
mod wire;

pub use routes::routes;

use http::request::Parts;
use serde::Deserialize;
use tolmach_dialect::{
    Capabilities, ClientSession, Configure, DOC, Dialect, DialectClient, Document, Endpoint, Event,
    Frame, Handshake, HandshakeRejection, Limits, Manifest, OptionTable, OptionsError, Recognition,
    RenderContext, Request, ServerSession, Unsupported, Variant, parse_options,
};

static MANIFEST: Manifest =
    Manifest::new(errors::DIALECT, "REST with access tokens, and a WebSocket for each room")
        .fields(fields::FIELDS)
        .endpoints(&[Endpoint::http("/api/v1/**")])
        .revisions(&[DOC, revision::SWIFTLY_MOBILE])
        .limits(Limits { max_frame_bytes: wire::FRAME_LIMIT, max_body_bytes: wire::FORM_LIMIT })
        .capabilities(Capabilities {
            pushes_posted: true,
            pushes_typing: true,
            ..Capabilities::NONE
        })
        .documents(&[Document {
            path: "/openapi.json",
            media_type: "application/json",
            content: openapi::document,
        }]);

/// The dialect `bearer`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bearer;

impl Dialect for Bearer {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    /// Goes by the path alone: no first frame on a shared path is this dialect's.
    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        let below =
            handshake.request.and_then(|parts| parts.uri.path().strip_prefix(routes::PREFIX));
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            Recognition::Certain(revision::of(handshake))
        } else {
            Recognition::No
        }
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        Ok(server::accept(handshake)?)
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

impl DialectClient for Bearer {
    fn dial(&self, request: &Request) -> Result<Parts, Unsupported> {
        client::dial(request)
    }

    fn connect(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ClientSession>, HandshakeRejection> {
        Ok(client::connect(handshake)?)
    }

    fn listen(&self, credentials: &tolmach_dialect::Credentials) -> Option<Parts> {
        client::listen(credentials)
    }
}

/// The options of the dialect: it has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {}

impl Configure for Bearer {
    fn configure(options: OptionTable) -> Result<Self, OptionsError> {
        let Options {} = parse_options(options)?;
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_is_named() {
        assert!(Bearer::configure(OptionTable::new()).is_ok());
        let table = OptionTable::from_iter([("expiry".to_owned(), 1.into())]);
        let error = Bearer::configure(table).unwrap_err().to_string();
        assert!(error.contains("`expiry`"), "{error}");
    }
}
