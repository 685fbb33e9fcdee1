//! A flow that a user was found to be allowed to read.

use tolmach_domain::{Authority, Flow, FlowId, UserId, Version};

/// A flow that a user was found to be allowed to read, once a request of theirs had come: it spares
/// the request the same statement. See [`Engine::readable_flow`](crate::Engine::readable_flow).
#[derive(Debug, Clone)]
pub struct ReadableFlow {
    pub(crate) flow: Flow,
    pub(crate) user: UserId,
    pub(crate) authority: Authority,
}

impl ReadableFlow {
    /// The version of the flow.
    pub fn version(&self) -> Version {
        self.flow.version
    }

    /// The flow, if it is this one and was found for this user with this authority.
    pub(crate) fn of(&self, user: UserId, authority: Authority, flow: FlowId) -> Option<&Flow> {
        let is_same = self.flow.id == flow && self.user == user && self.authority == authority;
        is_same.then_some(&self.flow)
    }
}
