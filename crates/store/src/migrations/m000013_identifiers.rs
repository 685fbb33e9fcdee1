//! The identifiers of users, deleted ones too: logins and e-mail addresses as one namespace, and
//! the looks of logins.
//!
//! Users who collide already keep their logins and addresses. What collides belongs to a login
//! before an address, and else to the older account.

use super::columns::{binary_text, index, integer, owned_by};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, Statement};
use tolmach_engine::look_alikes;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The users read at once.
const PAGE: i64 = 500;

const LOGINS: &str = "\
    INSERT INTO identifier (form, name_key, user_id) SELECT 0, login_key, id FROM \"user\"";

const ADDRESSES: &str = "\
    INSERT INTO identifier (form, name_key, user_id) \
    SELECT 0, email_key, id FROM \"user\" WHERE email_key IS NOT NULL \
    ON CONFLICT (form, name_key) DO NOTHING";

const USERS: &str = "SELECT id, login FROM \"user\" WHERE id > $1 ORDER BY id LIMIT $2";

const LOOKS: &str = "\
    INSERT INTO identifier (form, name_key, user_id) VALUES (1, $1, $2) \
    ON CONFLICT (form, name_key) DO NOTHING";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("identifier")
            .col(integer("form"))
            .col(binary_text(manager, "name_key").not_null())
            .col(integer("user_id"))
            .primary_key(Index::create().col("form").col("name_key"))
            .foreign_key(&mut owned_by("identifier", "user_id", "user"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("identifier_of_user", "identifier", &["user_id"])).await?;
        let (database, backend) = (manager.get_connection(), manager.get_database_backend());
        database.execute_unprepared(LOGINS).await?;
        database.execute_unprepared(ADDRESSES).await?;
        let mut after = 0_i64;
        loop {
            let page = [after.into(), PAGE.into()];
            let users = Statement::from_sql_and_values(backend, USERS, page);
            let users = database.query_all_raw(users).await?;
            if users.is_empty() {
                return Ok(());
            }
            for user in users {
                after = user.try_get("", "id")?;
                let login: String = user.try_get("", "login")?;
                for look in look_alikes(&login) {
                    let values = [look.into(), after.into()];
                    let insert = Statement::from_sql_and_values(backend, LOOKS, values);
                    database.execute_raw(insert).await?;
                }
            }
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("identifier").take()).await
    }
}
