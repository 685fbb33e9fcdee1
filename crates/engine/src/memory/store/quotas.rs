//! Quotas.

use super::state::State;
use crate::ports::{FlowLimits, Quota};
use tolmach_domain::{Fault, Timestamp, UserId};

/// A count that is allowed, to be kept once nothing else can fail.
pub(super) struct Spending {
    user: UserId,
    quota: Quota,
    count: u64,
    expires_at: Timestamp,
}

impl State {
    /// The count of a user after these acts; `None` if they are not limited. `TooMany` if it is
    /// over the limit.
    pub(super) fn check_quota(
        &self,
        user: UserId,
        quota: Quota,
        acts: usize,
        limits: &FlowLimits,
        now: Timestamp,
    ) -> Result<Option<Spending>, Fault> {
        if quota.limit(limits) == u32::MAX {
            return Ok(None);
        }
        let current = self.quotas.get(&(user, quota)).copied();
        let (count, expires_at) = current
            .filter(|(_, expires_at)| now < *expires_at)
            .unwrap_or_else(|| (0, now.after(quota.window())));
        let count = count.saturating_add(acts as u64);
        quota.check(limits, count, expires_at, now)?;
        Ok(Some(Spending { user, quota, count, expires_at }))
    }

    pub(super) fn spend(&mut self, spending: Option<Spending>) {
        if let Some(Spending { user, quota, count, expires_at }) = spending {
            self.quotas.insert((user, quota), (count, expires_at));
        }
    }
}
