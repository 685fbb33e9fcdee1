//! An index of every three characters in a row of logins, by which searches find them.
//!
//! On PostgreSQL it needs the extension `pg_trgm`, which belongs to the server's own modules. Where
//! it cannot be created, searches read users without an index.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The table has the index only; the logins are read from the users. Triggers keep it up to date.
pub(super) const SQLITE: [&str; 5] = [
    "CREATE VIRTUAL TABLE user_search USING fts5 \
     (login_key, content='user', content_rowid='id', tokenize='trigram case_sensitive 1')",
    "CREATE TRIGGER user_search_insert AFTER INSERT ON \"user\" BEGIN \
     INSERT INTO user_search (rowid, login_key) VALUES (new.id, new.login_key); END",
    "CREATE TRIGGER user_search_delete AFTER DELETE ON \"user\" BEGIN \
     INSERT INTO user_search (user_search, rowid, login_key) \
     VALUES ('delete', old.id, old.login_key); END",
    "CREATE TRIGGER user_search_update AFTER UPDATE OF login_key ON \"user\" \
     WHEN old.login_key <> new.login_key BEGIN \
     INSERT INTO user_search (user_search, rowid, login_key) \
     VALUES ('delete', old.id, old.login_key); \
     INSERT INTO user_search (rowid, login_key) VALUES (new.id, new.login_key); END",
    "INSERT INTO user_search (user_search) VALUES ('rebuild')",
];

/// The same taken away.
pub(super) const SQLITE_DOWN: [&str; 4] = [
    "DROP TRIGGER user_search_insert",
    "DROP TRIGGER user_search_delete",
    "DROP TRIGGER user_search_update",
    "DROP TABLE user_search",
];

const POSTGRES: &str = "\
DO $$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX user_login_parts ON \"user\" USING gin (login_key gin_trgm_ops);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'searches for users have no index: %', SQLERRM;
END $$";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let database = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            return database.execute_unprepared(POSTGRES).await.map(drop);
        }
        for statement in SQLITE {
            database.execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let database = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            let index = "DROP INDEX IF EXISTS user_login_parts";
            return database.execute_unprepared(index).await.map(drop);
        }
        for statement in SQLITE_DOWN {
            database.execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
