//! The aims of attacks in the store.

use crate::result::BenchResult;
use crate::users::BenchUser;
use tolmach_domain::FlowId;

/// Data that an attack needs in the store.
#[derive(Debug, Clone, Default)]
pub(super) struct Prize {
    /// A flow of the attackers.
    pub(super) flow: Option<FlowId>,
    /// A user who is attacked.
    pub(super) victim: Option<BenchUser>,
}

impl Prize {
    /// The flow, made by the attack's seed.
    pub(super) fn flow(&self) -> BenchResult<FlowId> {
        self.flow.ok_or_else(|| "the attack has no flow".into())
    }

    /// The victim, chosen by the attack's seed.
    pub(super) fn victim(&self) -> BenchResult<&BenchUser> {
        self.victim.as_ref().ok_or_else(|| "the attack has no victim".into())
    }
}
