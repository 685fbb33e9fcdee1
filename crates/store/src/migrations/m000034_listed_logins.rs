//! The index of logins for searches has those alone that a search finds: no e-mail addresses, and
//! none of deleted users. A search reads a bounded number of its rows.
//!
//! Only SQLite's is written here: on PostgreSQL a search reads the users, and bounds what it finds.

use super::m000019_user_search::{SQLITE as BEFORE, SQLITE_DOWN as TAKE_AWAY};
use super::statements::run;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The index is made of the view. A trigger takes away what was listed, and adds what is.
const SQLITE: [&str; 6] = [
    "CREATE VIEW listed_login AS SELECT id, login_key FROM \"user\" \
     WHERE login_key NOT LIKE '%@%' AND deleted_at IS NULL",
    "CREATE VIRTUAL TABLE user_search USING fts5 \
     (login_key, content='listed_login', content_rowid='id', tokenize='trigram case_sensitive 1')",
    "CREATE TRIGGER user_search_insert AFTER INSERT ON \"user\" \
     WHEN new.login_key NOT LIKE '%@%' AND new.deleted_at IS NULL BEGIN \
     INSERT INTO user_search (rowid, login_key) VALUES (new.id, new.login_key); END",
    "CREATE TRIGGER user_search_delete AFTER DELETE ON \"user\" \
     WHEN old.login_key NOT LIKE '%@%' AND old.deleted_at IS NULL BEGIN \
     INSERT INTO user_search (user_search, rowid, login_key) \
     VALUES ('delete', old.id, old.login_key); END",
    "CREATE TRIGGER user_search_update AFTER UPDATE OF login_key, deleted_at ON \"user\" \
     WHEN old.login_key <> new.login_key OR old.deleted_at IS NOT new.deleted_at BEGIN \
     INSERT INTO user_search (user_search, rowid, login_key) \
     SELECT 'delete', old.id, old.login_key \
     WHERE old.login_key NOT LIKE '%@%' AND old.deleted_at IS NULL; \
     INSERT INTO user_search (rowid, login_key) SELECT new.id, new.login_key \
     WHERE new.login_key NOT LIKE '%@%' AND new.deleted_at IS NULL; END",
    "INSERT INTO user_search (user_search) VALUES ('rebuild')",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            return Ok(());
        }
        run(manager, &TAKE_AWAY).await?;
        run(manager, &SQLITE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            return Ok(());
        }
        run(manager, &TAKE_AWAY).await?;
        run(manager, &["DROP VIEW listed_login"]).await?;
        run(manager, &BEFORE).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Target, Use};
    use crate::migrations::Migrator;
    use crate::sql;
    use sea_orm::{ConnectionTrait, DatabaseConnection};
    use std::time::Duration;

    /// The logins in the index that have a text, after a check that it is that of its content.
    async fn indexed(database: &DatabaseConnection) -> Vec<String> {
        let check = "INSERT INTO user_search (user_search, rank) VALUES ('integrity-check', 1)";
        database.execute_unprepared(check).await.unwrap();
        let found = "SELECT u.login_key FROM user_search s JOIN \"user\" u ON u.id = s.rowid \
             WHERE user_search MATCH '\"com\"' ORDER BY u.login_key";
        let rows = sql::rows(database, found, Vec::new()).await.unwrap();
        rows.iter().map(|row| sql::get(row, "login_key").unwrap()).collect()
    }

    #[tokio::test]
    async fn the_index_has_the_logins_that_may_be_found_also_after_changes() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("logins.db").display());
        let target = Target::parse(&url).unwrap();
        let database = target.connect(Use::Maintain, Duration::from_secs(60)).await.unwrap();
        let migrations = Migrator::migrations();
        let steps = (0..).zip(&migrations).find(|(_, other)| other.name() == Migration.name());
        Migrator::up(&database, steps.map(|(before, _)| before)).await.unwrap();
        let run = async |statement: &str| {
            database.execute_unprepared(statement).await.unwrap();
        };
        let insert = |id: u32, login: &str, deleted_at: &str| {
            format!(
                "INSERT INTO \"user\" (id, login, login_key, username, name, bio, bot, admin, \
                 business, profile, created_at, changed_at, deleted_at) \
                 VALUES ({id}, '{login}', '{login}', 'n', 'n', '', 0, 0, 0, 0, 1, 1, {deleted_at})"
            )
        };
        for (id, login, deleted_at) in
            [(1, "a@x.com", "NULL"), (2, "comet", "7"), (3, "comrade", "NULL")]
        {
            run(&insert(id, login, deleted_at)).await;
        }
        Migrator::up(&database, None).await.unwrap();
        assert_eq!(indexed(&database).await, ["comrade"]);
        for (id, login, deleted_at) in
            [(4, "b@x.com", "NULL"), (5, "comedy", "7"), (6, "commoner", "NULL")]
        {
            run(&insert(id, login, deleted_at)).await;
        }
        assert_eq!(indexed(&database).await, ["commoner", "comrade"]);
        for change in [
            "UPDATE \"user\" SET login_key = 'welcome' WHERE id = 1",
            "UPDATE \"user\" SET login_key = 'c@x.com' WHERE id = 6",
            "UPDATE \"user\" SET login_key = 'd@x.com' WHERE id = 4",
            "UPDATE \"user\" SET name = 'com' WHERE id = 3",
        ] {
            run(change).await;
        }
        assert_eq!(indexed(&database).await, ["comrade", "welcome"]);
        run("UPDATE \"user\" SET deleted_at = 9 WHERE id IN (1, 4)").await;
        assert_eq!(indexed(&database).await, ["comrade"]);
        run("DELETE FROM \"user\" WHERE id IN (1, 3, 5, 6)").await;
        assert_eq!(indexed(&database).await, [""; 0]);
        Migration.down(&SchemaManager::new(&database)).await.unwrap();
        assert_eq!(indexed(&database).await, ["comet", "d@x.com"]);
    }
}
