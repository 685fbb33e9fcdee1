//! Reads. A function that takes a snapshot runs several statements, which see one state of the
//! database.

mod blocks;
mod event_log;
mod flows;
mod history;
mod login_counters;
mod rows;
mod sessions;
mod summaries;
mod users;

pub(crate) use blocks::{blocked_users, is_blocked_by, is_blocked_in};
pub(crate) use event_log::changes_after;
pub(crate) use flows::{acquaintances, flow, flow_versions, has_business_member, is_member};
pub(crate) use history::{changes, history, messages_after, unread};
pub(crate) use login_counters::login_counters;
pub(crate) use sessions::{is_recovery_token_valid, session, session_by_token};
pub(crate) use summaries::{flow_summaries, flow_summary};
pub(crate) use users::{account, avatar, list_users, search_users, user};
