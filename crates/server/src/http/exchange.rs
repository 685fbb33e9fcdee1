//! HTTP requests of dialects.

use super::responses::error;
use crate::identity::ConnectionIdentity;
use crate::served_dialect::ServedDialect;
use crate::state::ServerState;
use crate::submission::{Requester, submit};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;
use tolmach_dialect::{Frame, Handshake, RenderContext, ServerSession};

/// Carries out one HTTP request of a dialect: a session of one frame each way.
pub(super) async fn exchange(
    state: &ServerState,
    address: IpAddr,
    dialect: &Arc<ServedDialect>,
    request: Request<Bytes>,
) -> Response<Bytes> {
    let connection = state.new_connection();
    let (parts, body) = request.into_parts();
    let handshake = Handshake::new(connection)
        .request(&parts)
        .websocket(false)
        .max_json_depth(state.limits.max_json_depth);
    let session = match dialect.dialect.accept(&handshake) {
        Ok(session) => session,
        Err(rejection) => {
            dialect.metrics.handshakes_rejected.increment(1);
            return *rejection.response;
        }
    };
    dialect.metrics.frames_in.increment(1);
    dialect.metrics.bytes_in.increment(body.len() as u64);
    let requester = Requester { dialect: dialect.clone(), connection, address };
    let frame = Frame::request(Request::from_parts(parts, body));
    let frames = carry_out(state, &requester, session, &frame).await;
    let response = frames.into_iter().find_map(|frame| match frame {
        Frame::Response(response) => Some(*response),
        _ => None,
    });
    let response =
        response.unwrap_or_else(|| error(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
    dialect.metrics.frames_out.increment(1);
    dialect.metrics.bytes_out.increment(response.body().len() as u64);
    response
}

async fn carry_out(
    state: &ServerState,
    requester: &Requester,
    mut session: Box<dyn ServerSession>,
    frame: &Frame,
) -> Vec<Frame> {
    let dialect = &requester.dialect;
    let (mut requests, mut frames) = (Vec::new(), Vec::new());
    if let Err(violation) = session.decode(state.engine.now(), frame, &mut requests) {
        dialect.metrics.violation(violation.kind.name());
        frames.extend(violation.answer);
        return frames;
    }
    let mut identity = ConnectionIdentity::default();
    for request in requests {
        let credentials = request.credentials.clone();
        let caller = state.engine.authenticate(&credentials, identity.bound()).await;
        if let Ok(Some(principal)) = &caller {
            identity.proven(*principal);
        }
        announce(&mut identity, &mut *session);
        let submitted = submit(state, requester, caller, request).await;
        let completed = submitted.completed().await.wait_for_delivery(state).await;
        identity.completed(&credentials, completed.principal, &completed.response.outcome);
        announce(&mut identity, &mut *session);
        let (now, response) = (state.engine.now(), completed.response);
        let responded = session.respond(now, &response, &RenderContext::EMPTY, &mut frames);
        if let Err(unsupported) = responded {
            tracing::error!(
                dialect = dialect.id(),
                %unsupported,
                "the dialect cannot encode this response"
            );
        }
    }
    frames
}

fn announce(identity: &mut ConnectionIdentity, session: &mut dyn ServerSession) {
    if let Some(identity) = identity.take_change() {
        session.authenticated(identity);
    }
}
