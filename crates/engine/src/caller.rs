//! The caller of a use case.

use crate::ReadableFlow;
use std::sync::Arc;
use tolmach_domain::{Authority, Origin, Timestamp, User};

/// A user with a profile, and the request that they make.
pub(crate) struct Caller {
    pub(crate) user: Arc<User>,
    /// True if the request claims the administrator's authority and the user has it.
    pub(crate) administrator: bool,
    pub(crate) origin: Option<Origin>,
    pub(crate) now: Timestamp,
    /// A flow that the caller may read, as was found for this request already.
    pub(crate) readable: Option<Box<ReadableFlow>>,
}

impl Caller {
    /// The authority that the request claims; the user has it.
    pub(crate) fn authority(&self) -> Authority {
        if self.administrator { Authority::Administrator } else { Authority::Member }
    }
}
