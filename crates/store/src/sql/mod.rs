//! Statements written out as text, because their query plans matter.
//!
//! SQLite and PostgreSQL accept the same text, but for the few statements that are written for each
//! of them, all of which are here.

mod array;
mod blocks;
mod columns;
mod commit_clock;
mod event_log;
mod external_ids;
mod flows;
mod history_blocks;
mod housekeeping;
mod identifiers;
mod ids;
mod ledger;
mod list_query;
mod list_statement;
mod login_counters;
mod messages;
mod query;
mod quotas;
mod retention;
mod rows_statement;
mod rules;
mod sessions;
mod users;
mod world;

pub(crate) use array::integer_list;
pub(crate) use blocks::{ADD_BLOCK, BLOCK_IN_CHAT, BLOCKED_USERS, BLOCKERS, COUNT_OTHER_BLOCKS};
pub(crate) use commit_clock::{
    BEGIN_CHANGES, BEGIN_COPY, REMOVE_CONNECTIONS, SOURCE_OF_COPY, commit_times, end_changes,
    end_copy, is_concurrent, lock_schema,
};
pub(crate) use event_log::{
    APPEND_EVENT, EVENTS_AFTER, FLOWS_CHANGED_AFTER, SOME_FLOWS_CHANGED_AFTER,
};
pub(crate) use external_ids::{
    ADD_EXTERNAL_IDS, ADDITIONS, COUNT_ADDITION, EXTERNAL_IDS_OF_OBJECTS,
    HIGHEST_EXTERNAL_ID_BELOW, HIGHEST_EXTERNAL_OBJECT, OBJECTS_OF_EXTERNAL_IDS,
    OBJECTS_OF_MANY_EXTERNAL_IDS,
};
pub(crate) use flows::{
    ACQUAINTANCES, ADD_FLOW_KEY, COUNT_MEMBERS, FIRST_BUSINESS_MEMBERS, FIRST_MEMBERS,
    FLOW_AND_MEMBERSHIP, FLOW_KEY, FLOW_VERSIONS, FLOWS, FlowScope, HAS_BUSINESS_MEMBER, MEMBERS,
    MEMBERS_ADDED, MEMBERS_REMOVED, MEMBERSHIPS, MOVE_READ_MARK, POSTING_FLOWS, SET_ACTED,
    SET_BUSINESS, SET_FLOW_VERSIONS, SUMMARIES, TAKE_VERSIONS, flow_ids, insert_members,
};
pub(crate) use history_blocks::{
    BLOCK_AT_OFFSET, COUNT_BLOCKS, COUNT_UNCOUNTED, COUNTED_BLOCKS, HISTORY_BLOCK, MARK_COUNTED,
};
pub(crate) use housekeeping::{claim_sweep, free_pages};
pub(crate) use identifiers::{
    COLLIDING_LOGINS, FREE_IDENTIFIER, IDENTIFIERS_OF_USER, OWNER_OF_IDENTIFIER, TAKE_IDENTIFIER,
};
pub(crate) use ids::{last_id, skip_id, skip_ids, take_ids, take_message_ids};
pub(crate) use ledger::{
    ADD_LEDGER_USES, COUNT_LEDGER_CLIENTS, COUNT_OLD_LEDGER_CLIENTS, COUNT_OLD_LEDGER_USES,
    INSERT_LEDGER_CLIENTS, LEDGER_CLIENTS, LEDGER_CLIENTS_OF_PARTY, LEDGER_CLIENTS_OF_REVISION,
    LEDGER_ROW_BYTES, LEDGER_USES, NEW_LEDGER_CLIENTS, NEXT_LEDGER_REVISION, REMOVE_LEDGER_CLIENT,
    REMOVE_LEDGER_USES_OF_CLIENT, REMOVE_OLD_LEDGER_CLIENTS, REMOVE_OLD_LEDGER_USES,
    SET_LEDGER_DAYS, SOME_LEDGER_CLIENTS,
};
pub(crate) use list_query::ListQuery;
pub(crate) use list_statement::{
    ListStatement, chunk_lengths, chunks, padded_lists, placeholders, tuples,
};
pub(crate) use login_counters::{LOGIN_COUNTERS, PUT_LOGIN_COUNTER};
pub(crate) use messages::{
    CHANGES_AT, ChangesScope, DELETABLE_MESSAGES, FIRST_CHANGES, FLOWS_OF_MESSAGES,
    INSERT_MESSAGES, MESSAGE_COLUMNS, MESSAGE_KEYS, MESSAGE_PREVIEWS, MESSAGES, MESSAGES_AFTER,
    NEWEST_MESSAGES, NEWEST_MESSAGES_UP_TO, NEXT_CHANGES, PUT_MESSAGE_KEYS, SKIP_MESSAGES,
    UNREAD_MESSAGES, merged_changes,
};
pub(crate) use query::{execute, get, row, rows};
pub(crate) use quotas::{ADD_QUOTA_USE, EXCESS_SESSIONS, NEXT_OWNER, REMOVE_SPENT_TOKENS};
pub(crate) use retention::{
    Age, COUNT_DELETED_MESSAGES, COUNT_OLD_MESSAGES, EXPIRING, FLOW_RETENTION, FLOWS_BY_AGE,
    MESSAGE_BYTES, NEXT_OLD_MESSAGES, OWN_FLOWS_BY_AGE, PHOTOS_OF_FLOWS, PHOTOS_OF_USERS,
    REMOVE_DELETED_MESSAGES, REMOVE_OLD_MESSAGES, SET_FLOW_RETENTION,
};
#[cfg(test)]
pub(crate) use rows_statement::RowsStatement;
pub(crate) use rules::{COUNT_OTHER_RULES, COUNT_RULE_CHANGE, RULES, RULES_REVISION, SET_RULE};
pub(crate) use sessions::{SESSION, SESSION_BY_TOKEN};
pub(crate) use users::{
    ACTIVE_USERS, REPLACE_PASSWORD_HASH, USER, USER_SUMMARIES, USERS, search_users,
    search_users_shortly,
};
pub(crate) use world::{
    AUTHORS, BEGIN_IMPORT, EXISTING_FLOWS, EXISTING_USERS, EXPORT_FLOWS, EXPORT_MEMBERS,
    EXPORT_MESSAGES, EXPORT_USERS, FLOW_COLUMNS, FORGET_MEMBER_COUNTS, GROWN_TABLES,
    IDENTIFIER_OWNERS, IMPORT_STATE, IMPORTED_MESSAGE_COLUMNS, INSERT_AVATARS, INSERT_FLOWS,
    INSERT_IDENTIFIERS, INSERT_IMPORTED_MESSAGES, INSERT_MEMBERS, INSERT_USERS, MEMBER_FLOWS,
    MEMBER_USERS, MESSAGE_CONTENTS, MESSAGE_IDENTITIES, NEWEST_VERSIONS, PAIRS, SET_AUTHORS_ACTED,
    SET_GROUPS_APART, SET_IMPORT_CURSOR, SET_IMPORT_POSITION, SET_NEWEST_VERSIONS,
    TAKEN_IDENTIFIERS, USER_COLUMNS,
};
