//! The schema, one step a file. A step that was released is never changed: another follows.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

mod m000001_users;
mod m000002_sessions;
mod m000003_flows;
mod m000004_messages;
mod m000005_moment;
mod m000006_journal;
mod m000007_failed_logins;
mod m000008_flow_keys;

pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m000001_users::Migration),
            Box::new(m000002_sessions::Migration),
            Box::new(m000003_flows::Migration),
            Box::new(m000004_messages::Migration),
            Box::new(m000005_moment::Migration),
            Box::new(m000006_journal::Migration),
            Box::new(m000007_failed_logins::Migration),
            Box::new(m000008_flow_keys::Migration),
        ]
    }
}

/// An id that the database gives out, ascending, never twice.
fn id() -> ColumnDef {
    ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key().take()
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

fn number_or_none(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().take()
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

fn text_or_none(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().take()
}

/// A text that is looked up or sorted by, byte by byte as SQLite does it: whatever a PostgreSQL
/// server's locale is, and becomes.
fn compared(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name).text().take();
    if manager.get_database_backend() == DbBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}

fn flag(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().take()
}

/// `table.column` names a row of `other`, and goes with it.
fn belongs(
    table: &'static str,
    column: &'static str,
    other: &'static str,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .from(table, column)
        .to(other, "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}

/// `table.column` names a row of `other`, which cannot go while it is named.
fn names(
    table: &'static str,
    column: &'static str,
    other: &'static str,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .from(table, column)
        .to(other, "id")
        .on_delete(ForeignKeyAction::Restrict)
        .take()
}

fn index(
    name: &'static str,
    table: &'static str,
    columns: &[&'static str],
) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(table).take();
    for column in columns {
        index.col(*column);
    }
    index
}
