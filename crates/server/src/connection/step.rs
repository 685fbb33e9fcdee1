//! The steps that a connection takes one after the other.

use super::end::End;
use crate::hub::FlowReadStart;
use crate::lifecycle::is_login;
use crate::request_copy::RequestCopy;
use tolmach_dialect::{Request, Violation};
use tolmach_domain::{Authority, Credentials};
use tolmach_engine::ReadableFlow;

/// The next thing to do, once everything before it is done.
pub(super) enum Step {
    Request(Box<Request>),
    /// Answers a frame that was no request.
    Reject(Violation),
    End(End),
}

/// The credentials and the right of a request, and the wide ids in it.
pub(super) struct AuthContext {
    pub(super) credentials: Credentials,
    pub(super) authority: Authority,
    /// The numbers of the objects that the request names by wide ids.
    pub(super) wide_ids: Box<[i64]>,
    /// True if the request is a login, which proves the user by itself.
    pub(super) is_login: bool,
    /// The flow that the connection was subscribed to for the request.
    pub(super) readable: Option<Box<ReadableFlow>>,
    /// The start of the read of a flow that the connection may be subscribed to for the answer.
    pub(super) flow_read: Option<Box<FlowReadStart>>,
    /// The copy of the request for the mirror of its user.
    pub(super) copy: Option<Box<RequestCopy>>,
}

impl AuthContext {
    /// Takes the context out of a request.
    pub(super) fn take(request: &mut Request, wide_ids: Vec<i64>) -> Self {
        let credentials = std::mem::replace(&mut request.credentials, Credentials::Nothing);
        let is_login = is_login(&request.command);
        let (authority, wide_ids) = (request.authority, wide_ids.into_boxed_slice());
        Self {
            credentials,
            authority,
            wide_ids,
            is_login,
            readable: None,
            flow_read: None,
            copy: None,
        }
    }

    /// True if it is the context of this request.
    pub(super) fn is_of(&self, request: &Request) -> bool {
        self.credentials == request.credentials && self.authority == request.authority
    }
}
