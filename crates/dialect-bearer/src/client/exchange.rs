//! HTTP exchanges.

use super::{decode, encode};
use crate::errors::{DIALECT, read_response};
use crate::routes::Operation;
use http::StatusCode;
use tolmach_dialect::pending::PendingRequests;
use tolmach_dialect::{
    ClientSession, Correlation, Frame, Incoming, InvalidReply, Request, Response, Unsupported,
};
use tolmach_domain::{Command, Timestamp};

/// A session of HTTP requests, answered in their order.
pub(super) struct ClientExchange {
    max_json_depth: usize,
    pending: PendingRequests<(Correlation, Operation, Command)>,
}

impl ClientExchange {
    pub(super) fn new(max_json_depth: usize) -> Self {
        Self { max_json_depth, pending: PendingRequests::default() }
    }
}

impl ClientSession for ClientExchange {
    fn request(
        &mut self,
        _now: Timestamp,
        request: &Request,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let (operation, http_request) = encode::request(request)?;
        self.pending.reserve(DIALECT, 1)?;
        self.pending.push((request.correlation.clone(), operation, request.command.clone()));
        out.push(Frame::request(http_request));
        Ok(())
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let Frame::Response(response) = frame else { return Err(InvalidReply::FRAME_KIND) };
        let pending = self.pending.take(0).ok_or(InvalidReply::SHAPE)?;
        let (correlation, operation, command) = pending;
        let outcome = if response.status() == StatusCode::OK {
            Ok(decode::answer(operation, &command, response, self.max_json_depth)?)
        } else {
            Err(read_response(operation, response, self.max_json_depth))
        };
        out.push(Incoming::Response(Response::new(correlation, outcome)));
        Ok(())
    }
}
