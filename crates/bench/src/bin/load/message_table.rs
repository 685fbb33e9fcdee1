//! The store's table of messages, written to directly.

use crate::closed_loop::TEXT_BYTES;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::users::LOWEST_COST;
use sea_orm::entity::prelude::*;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ActiveValue, ConnectOptions, Database, DatabaseConnection};
use std::ops::Range;

/// Flows that the messages are spread over.
const FLOWS: i64 = 1_000;

mod message {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "message")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) flow_id: i64,
        pub(crate) author_id: i64,
        pub(crate) content_type: String,
        pub(crate) text: String,
        pub(crate) posted: i64,
        pub(crate) version: i64,
        pub(crate) posted_at: i64,
        pub(crate) changed_at: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The author and the flows of the rows.
pub(crate) struct MessageTable {
    author: i64,
    /// The lowest id of the flows, which have consecutive ids.
    first_flow: i64,
}

impl MessageTable {
    /// Creates the store's tables, an author and the flows.
    pub(crate) async fn create(url: &str) -> BenchResult<Self> {
        let seeder = Seeder::open(url).await?;
        let users = seeder.users("member", 1, LOWEST_COST).await?;
        let flows = seeder.groups(&users, usize::try_from(FLOWS)?, 1).await?;
        seeder.close().await;
        let first_flow = flows.iter().map(|flow| flow.get()).min().ok_or("no flow was created")?;
        Ok(Self { author: users[0].id.get(), first_flow })
    }

    /// Inserts the rows with these numbers in one transaction.
    pub(crate) async fn insert(
        &self,
        connection: &DatabaseConnection,
        numbers: Range<i64>,
    ) -> BenchResult<()> {
        let rows = numbers.map(|number| self.row(number));
        message::Entity::insert_many(rows).exec_without_returning(connection).await?;
        Ok(())
    }

    /// Fills an SQLite file with this many rows.
    pub(crate) async fn fill(
        &self,
        connection: &DatabaseConnection,
        messages: i64,
    ) -> BenchResult<()> {
        connection.execute_unprepared(&self.fill_statement(messages)).await?;
        connection
            .execute_unprepared(
                "UPDATE flow SET version = (SELECT COUNT(*) FROM message WHERE flow_id = flow.id)",
            )
            .await?;
        Ok(())
    }

    fn row(&self, number: i64) -> message::ActiveModel {
        message::ActiveModel {
            id: ActiveValue::NotSet,
            flow_id: ActiveValue::Set(self.first_flow + number % FLOWS),
            author_id: ActiveValue::Set(self.author),
            content_type: ActiveValue::Set("text".to_owned()),
            text: ActiveValue::Set("x".repeat(TEXT_BYTES)),
            posted: ActiveValue::Set(1 + number / FLOWS),
            version: ActiveValue::Set(1 + number / FLOWS),
            posted_at: ActiveValue::Set(number),
            changed_at: ActiveValue::Set(number),
        }
    }

    fn fill_statement(&self, messages: i64) -> String {
        let Self { author, first_flow } = self;
        let text = TEXT_BYTES / 2;
        format!(
            "INSERT INTO message (flow_id, author_id, content_type, text, posted, version, \
                posted_at, changed_at) \
             WITH RECURSIVE numbers (n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM numbers \
                WHERE n + 1 < {messages}) \
             SELECT {first_flow} + n % {FLOWS}, {author}, 'text', hex(zeroblob({text})), \
                1 + n / {FLOWS}, 1 + n / {FLOWS}, n, n FROM numbers"
        )
    }
}

/// A connection with the settings of the store's writing connection.
pub(crate) async fn connect(url: String) -> BenchResult<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).test_before_acquire(false);
    options.map_sqlx_sqlite_opts(|options| {
        options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
    });
    Ok(Database::connect(options).await?)
}
