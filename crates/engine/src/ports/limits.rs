//! Limits on what one user may do, counted in the store so that all nodes share them.

use std::time::Duration;
use tolmach_domain::{Fault, Timestamp};

/// The limits that apply to a request about flows. A request that would exceed one of the quotas is
/// [`Fault::TooMany`] with the time until the count begins again, and is not counted. A quota of
/// [`u32::MAX`] is no limit: nothing is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowLimits {
    /// The largest number of members of a group or channel.
    pub max_members: usize,
    /// The largest number of groups and channels that a user creates in a day.
    pub groups_per_day: u32,
    /// The largest number of members that a user adds in a day, to new flows and to existing ones;
    /// the creator of a flow is not counted.
    pub members_per_day: u32,
    /// The largest number of chats that a user opens in an hour with strangers: with users who
    /// share no flow with them in which both have acted. See
    /// [`FlowStore::acquaintances`](super::FlowStore::acquaintances).
    pub strangers_per_hour: u32,
}

impl FlowLimits {
    /// No limits.
    pub const NONE: Self = Self {
        max_members: usize::MAX,
        groups_per_day: u32::MAX,
        members_per_day: u32::MAX,
        strangers_per_hour: u32::MAX,
    };

    /// [`Fault::Invalid`] if a group or channel may not have this many members.
    pub fn check_members(&self, members: usize) -> Result<(), Fault> {
        let most = self.max_members;
        if members <= most {
            return Ok(());
        }
        Err(Fault::invalid("users", format!("there may be at most {most} members")))
    }
}

/// The acts of one user that are counted. A count begins with the first act and ends after
/// [`Quota::window`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quota {
    /// Groups and channels created.
    Groups,
    /// Members added.
    Members,
    /// Chats opened with strangers.
    Strangers,
}

impl Quota {
    /// Its name, at most 16 letters, for a store to keep.
    pub fn name(self) -> &'static str {
        match self {
            Quota::Groups => "groups",
            Quota::Members => "members",
            Quota::Strangers => "strangers",
        }
    }

    /// The time for which an act counts at most.
    pub fn window(self) -> Duration {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        match self {
            Quota::Groups | Quota::Members => HOUR.saturating_mul(24),
            Quota::Strangers => HOUR,
        }
    }

    /// The largest count.
    pub fn limit(self, limits: &FlowLimits) -> u32 {
        match self {
            Quota::Groups => limits.groups_per_day,
            Quota::Members => limits.members_per_day,
            Quota::Strangers => limits.strangers_per_hour,
        }
    }

    /// [`Fault::TooMany`] if a count that expires at `expires_at` is over the limit.
    pub fn check(
        self,
        limits: &FlowLimits,
        count: u64,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Fault> {
        if count <= u64::from(self.limit(limits)) {
            return Ok(());
        }
        Err(Fault::TooMany { retry_after: expires_at.since(now) })
    }
}
