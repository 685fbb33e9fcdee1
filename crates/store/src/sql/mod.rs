//! Statements written out as text, because their query plans matter.
//!
//! SQLite and PostgreSQL accept the same text, but for the few statements that are written for each
//! of them, all of which are here.

mod blocks;
mod columns;
mod commit_clock;
mod event_log;
mod flows;
mod identifiers;
mod ids;
mod list_statement;
mod login_counters;
mod messages;
mod query;
mod quotas;
mod users;

pub(crate) use blocks::{ADD_BLOCK, BLOCK_IN_CHAT, BLOCKED_USERS, BLOCKERS};
pub(crate) use commit_clock::{
    BEGIN_COPY, END_COPY, LAST_COMMIT_TIME, SET_LAST_COMMIT_TIME, SOURCE_OF_COPY,
    lock_commit_clock, lock_schema,
};
pub(crate) use event_log::{APPEND_EVENT, EVENTS_AFTER, FLOWS_CHANGED_AFTER};
pub(crate) use flows::{
    ACQUAINTANCES, ADD_FLOW_KEY, FLOW_KEY, FLOW_VERSIONS, FLOWS, HAS_BUSINESS_MEMBER, MEMBERS,
    MEMBERSHIPS, MOVE_READ_MARK, POSTING_FLOWS, SET_ACTED, SET_FLOW_VERSIONS, SummaryScope,
    TAKE_VERSIONS, flow_summaries,
};
pub(crate) use identifiers::{
    COLLIDING_LOGINS, FREE_IDENTIFIER, IDENTIFIERS_OF_USER, OWNER_OF_IDENTIFIER, TAKE_IDENTIFIER,
};
pub(crate) use ids::{last_id, skip_id, skip_ids, take_message_ids};
pub(crate) use list_statement::{
    ListStatement, chunk_lengths, chunks, padded_lists, placeholders, tuples,
};
pub(crate) use login_counters::{LOGIN_COUNTERS, PUT_LOGIN_COUNTER};
pub(crate) use messages::{
    ChangesScope, DELETABLE_MESSAGES, FLOWS_OF_MESSAGES, INSERT_MESSAGES, MESSAGE_COLUMNS,
    MESSAGE_KEYS, MESSAGE_PREVIEWS, MESSAGES, MESSAGES_AFTER, NEWEST_MESSAGES,
    NEWEST_MESSAGES_UP_TO, PUT_MESSAGE_KEYS, SKIP_MESSAGES, UNREAD_MESSAGES, message_changes,
};
pub(crate) use query::{execute, get, row, rows};
pub(crate) use quotas::{ADD_QUOTA_USE, EXCESS_SESSIONS, NEXT_OWNER, REMOVE_SPENT_TOKENS};
pub(crate) use users::{ACTIVE_USERS, SEARCH_USERS, USER_SUMMARIES};
