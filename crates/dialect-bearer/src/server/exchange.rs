//! HTTP exchanges.

use super::{decode, encode};
use crate::errors::{fault_response, unsupported};
use crate::head::RequestHead;
use crate::routes::Operation;
use tolmach_dialect::{
    Correlation, ExpectedBody, Frame, Handshake, RenderContext, Request, Response, Revision,
    ServerSession, Unsupported, Violation,
};
use tolmach_domain::{FlowKindFilter, Timestamp};

/// A session of HTTP requests. Each carries its own credentials, and nothing is kept between them.
pub(super) struct Exchange {
    max_json_depth: usize,
    revision: Revision,
    kinds: FlowKindFilter,
    expected_body: ExpectedBody,
}

impl Exchange {
    pub(super) fn new(mut head: RequestHead, handshake: &Handshake<'_>) -> Self {
        let expected_body = ExpectedBody {
            max_bytes: head.route.body.max_bytes(),
            credentials: head.take_credentials(),
            correlation: Correlation::new(head.route.operation),
        };
        let revision = crate::revision::of(handshake);
        let (max_json_depth, kinds) = (handshake.max_json_depth, head.kinds());
        Self { max_json_depth, revision, kinds, expected_body }
    }
}

impl ServerSession for Exchange {
    fn expected_body(&self) -> Option<ExpectedBody> {
        Some(self.expected_body.clone())
    }

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

    fn flow_kinds(&self) -> FlowKindFilter {
        self.kinds
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}
