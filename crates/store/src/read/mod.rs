//! Reads. A function that takes a snapshot runs several statements, which see one state of the
//! database.

mod blocks;
mod changed_messages;
mod event_log;
mod external_ids;
mod flows;
mod history;
mod ledger;
mod login_counters;
mod messages;
mod offset;
mod pieces;
mod retention;
mod rows;
mod rules;
mod sessions;
mod summaries;
mod users;
mod world;

pub(crate) use blocks::{blocked_users, count_other_blocks, is_blocked_by, is_blocked_in};
pub(crate) use event_log::changes_after;
pub(crate) use external_ids::{
    external_id_bounds, external_id_bytes, external_ids_of_objects, kind_number,
    objects_of_external_ids, objects_of_many_external_ids,
};
pub(crate) use flows::{
    acquaintances, flow, flow_and_membership, flow_versions, has_business_member, is_member,
};
pub(crate) use history::{changes, history, messages_after, newest, read_mark};
pub(crate) use ledger::{count_ledger_clients, ledger_page, ledger_revisions, user_party};
pub(crate) use login_counters::login_counters;
pub(crate) use offset::{HistoryBlocks, history_blocks};
pub(crate) use retention::{
    GRACE, expired_up_to, flow_retention, flows_by_age, prunable, unnamed_photos,
};
pub(crate) use rules::{rules, rules_revision};
pub(crate) use sessions::{is_recovery_token_valid, session, session_by_token};
pub(crate) use summaries::{flow_summaries, flow_summary};
pub(crate) use users::{account, avatar, list_users, search_users, user};
pub(crate) use world::{
    export_flows, export_members, export_messages, export_users, identifier_owners, import_state,
    imported_users, last_ids, stored_contents, stored_messages,
};
