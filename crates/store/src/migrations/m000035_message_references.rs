//! PostgreSQL: messages refer to their flows and their authors without constraints, whose checks
//! are two queries and two row locks for each new message: 40 % of the work of an import.
//!
//! They cannot fail: posts lock the rows of their flows and imports exclude all others, the row of
//! a user is never removed, and that of a flow only once it is deleted and has no messages. SQLite
//! keeps its constraints, which cost little there.

use super::statements::run;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "\
    ALTER TABLE message DROP CONSTRAINT message_flow_id_fkey, \
    DROP CONSTRAINT message_author_id_fkey";

const DOWN: &str = "\
    ALTER TABLE message \
    ADD CONSTRAINT message_flow_id_fkey FOREIGN KEY (flow_id) REFERENCES flow (id) \
    ON DELETE RESTRICT, \
    ADD CONSTRAINT message_author_id_fkey FOREIGN KEY (author_id) REFERENCES \"user\" (id) \
    ON DELETE RESTRICT";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            run(manager, &[UP]).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            run(manager, &[DOWN]).await?;
        }
        Ok(())
    }
}
