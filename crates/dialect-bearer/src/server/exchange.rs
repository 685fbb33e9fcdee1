//! HTTP exchanges.

use super::{decode, encode};
use crate::errors::{fault_response, unsupported};
use crate::routes::Operation;
use tolmach_dialect::{
    Frame, Handshake, RenderContext, Request, Response, ServerSession, Unsupported, Violation,
};
use tolmach_domain::Timestamp;

/// A session of HTTP requests. Each carries its own credentials, and nothing is kept between them.
pub(super) struct Exchange {
    max_json_depth: usize,
}

impl Exchange {
    pub(super) fn new(handshake: &Handshake<'_>) -> Self {
        Self { max_json_depth: handshake.max_json_depth }
    }
}

impl ServerSession for Exchange {
    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        out.push(decode::request(frame, self.max_json_depth)?);
        Ok(())
    }

    fn respond(
        &mut self,
        _now: Timestamp,
        response: &Response,
        _context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let operation: &Operation = response
            .correlation
            .get()
            .ok_or_else(|| unsupported("a response without a request"))?;
        let viewer = response.identity.map(|identity| identity.user);
        out.push(Frame::response(match &response.outcome {
            Ok(answer) => encode::response(*operation, answer, viewer)?,
            Err(fault) => fault_response(*operation, fault),
        }));
        Ok(())
    }
}
