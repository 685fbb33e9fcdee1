//! The schema, one migration a file. A released migration never changes; another one follows it.

use sea_orm_migration::prelude::{MigrationTrait, MigratorTrait};

mod columns;
mod m000001_users;
mod m000002_sessions;
mod m000003_flows;
mod m000004_messages;
mod m000005_commit_clock;
mod m000006_event_log;
mod m000007_login_counters;
mod m000008_flow_keys;
mod m000009_member_acted;
mod m000010_member_joined;
mod m000011_blocks;
mod m000012_quotas;
mod m000013_identifiers;
mod m000014_recovery_tokens;
mod m000015_external_ids;
mod m000016_member_business;
mod m000017_commit_order;
mod m000018_import_sources;
mod m000019_user_search;
mod m000020_housekeeping;
mod m000021_retention;
mod m000022_import_cursor;
mod m000023_history_blocks;
mod m000024_late_columns;
mod m000025_ledger;
mod m000026_serving_rules;
mod m000027_message_event;
mod m000028_sweeps;
mod m000029_groups_apart;
mod m000033_routes;
mod m000034_listed_logins;
mod m000035_message_references;
mod m000036_member_count;
mod statements;

pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m000001_users::Migration),
            Box::new(m000002_sessions::Migration),
            Box::new(m000003_flows::Migration),
            Box::new(m000004_messages::Migration),
            Box::new(m000005_commit_clock::Migration),
            Box::new(m000006_event_log::Migration),
            Box::new(m000007_login_counters::Migration),
            Box::new(m000008_flow_keys::Migration),
            Box::new(m000009_member_acted::Migration),
            Box::new(m000010_member_joined::Migration),
            Box::new(m000011_blocks::Migration),
            Box::new(m000012_quotas::Migration),
            Box::new(m000013_identifiers::Migration),
            Box::new(m000014_recovery_tokens::Migration),
            Box::new(m000015_external_ids::Migration),
            Box::new(m000016_member_business::Migration),
            Box::new(m000017_commit_order::Migration),
            Box::new(m000018_import_sources::Migration),
            Box::new(m000019_user_search::Migration),
            Box::new(m000020_housekeeping::Migration),
            Box::new(m000021_retention::Migration),
            Box::new(m000022_import_cursor::Migration),
            Box::new(m000023_history_blocks::Migration),
            Box::new(m000024_late_columns::Migration),
            Box::new(m000025_ledger::Migration),
            Box::new(m000026_serving_rules::Migration),
            Box::new(m000027_message_event::Migration),
            Box::new(m000028_sweeps::Migration),
            Box::new(m000029_groups_apart::Migration),
            Box::new(m000033_routes::Migration),
            Box::new(m000034_listed_logins::Migration),
            Box::new(m000035_message_references::Migration),
            Box::new(m000036_member_count::Migration),
        ]
    }
}
