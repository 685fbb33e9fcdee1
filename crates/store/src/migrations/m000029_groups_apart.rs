//! The sources that number groups apart from chats: null while that is not known.

use crate::read::{external_id_bytes, kind_number};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, Statement};
use tolmach_domain::{EXTERNAL_NUMBER_LIMIT, ExternalId, ObjectKind};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const COLUMN: &str = "ALTER TABLE import_source ADD COLUMN groups_apart BOOLEAN";

/// Sources with flows whose external ids are those of groups: kind, the lowest one, the highest.
const KNOWN: &str = "\
    UPDATE import_source SET groups_apart = TRUE WHERE EXISTS (SELECT 1 FROM external_id e \
    WHERE e.namespace = source AND e.kind = $1 AND e.external_id BETWEEN $2 AND $3)";

const DOWN: &str = "ALTER TABLE import_source DROP COLUMN groups_apart";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (database, backend) = (manager.get_connection(), manager.get_database_backend());
        database.execute_unprepared(COLUMN).await?;
        let bounds = [1, EXTERNAL_NUMBER_LIMIT - 1].map(ExternalId::of_group);
        let [Some(lowest), Some(highest)] = bounds.map(|id| id.map(external_id_bytes)) else {
            return Ok(());
        };
        let values = [kind_number(ObjectKind::Flow).into(), lowest, highest];
        let known = Statement::from_sql_and_values(backend, KNOWN, values);
        database.execute_raw(known).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(drop)
    }
}
