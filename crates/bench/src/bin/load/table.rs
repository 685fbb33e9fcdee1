//! The store's table of messages written without Tolmach: what the same disk and database give by
//! themselves.

use crate::Outcome;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::stores::{Database, Kind};
use crate::world::{CHEAP, World};
use sea_orm::entity::prelude::*;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ActiveValue, ConnectOptions, DatabaseConnection};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Flows that the messages are spread over.
const FLOWS: i64 = 1_000;
/// How often a server is started.
const STARTS: usize = 3;

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

/// Plain inserts.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct InsertArguments {
    /// Where
    #[arg(long)]
    pub(crate) store: Kind,
    /// How many rows a transaction has in the loop that shares them
    #[arg(long, default_value_t = 100)]
    rows: i64,
    /// For how many seconds each
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
}

/// Measures how many rows a second plain inserts in a loop give, many and one in a transaction.
pub(crate) async fn measure_inserts(arguments: InsertArguments) -> Outcome<Value> {
    let InsertArguments { store, rows, seconds } = arguments;
    let length = Duration::try_from_secs_f64(seconds)?;
    let data = data_folder()?;
    let database = Database::start(store, data.path())?;
    let rows_of = Table::make(&database.url()).await?;
    let connection = connect(database.url()).await?;
    let (mut next, mut measured) = (1, Vec::new());
    for rows in [rows, 1] {
        let (first, started) = (next, Instant::now());
        while started.elapsed() < length {
            let many = (next..next + rows).map(|number| rows_of.row(number));
            message::Entity::insert_many(many).exec_without_returning(&connection).await?;
            next += rows;
        }
        measured.push((next - first) as f64 / started.elapsed().as_secs_f64());
    }
    connection.close().await?;
    Ok(json!({ "many_a_transaction": measured[0], "one_a_transaction": measured[1] }))
}

/// A start on a store that is full.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct StartArguments {
    /// How many messages it holds
    #[arg(long, default_value_t = 1_000_000)]
    messages: i64,
}

/// Measures how long a server takes to be ready, in milliseconds.
pub(crate) async fn measure_start(arguments: StartArguments) -> Outcome<Value> {
    let StartArguments { messages } = arguments;
    let data = data_folder()?;
    let database = Database::start(Kind::Sqlite, data.path())?;
    let table = Table::make(&database.url()).await?;
    let connection = connect(database.url()).await?;
    connection.execute_unprepared(&table.fill(messages)).await?;
    connection
        .execute_unprepared(
            "UPDATE flow SET version = (SELECT COUNT(*) FROM message WHERE flow_id = flow.id)",
        )
        .await?;
    connection.close().await?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let server =
            Server::start(Subject::Tolmach, data.path(), &[Setting::store(database.url())])?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        drop(server);
    }
    times.sort_by(f64::total_cmp);
    Ok(json!({ "messages": messages, "ready_ms": times[STARTS / 2] }))
}

/// Where rows go.
struct Table {
    author: i64,
    /// The flows have one number after the other.
    first_flow: i64,
}

impl Table {
    async fn make(url: &str) -> Outcome<Self> {
        let world = World::open(url).await?;
        let members = world.members("member", 1, CHEAP).await?;
        let flows = world.groups(&members, usize::try_from(FLOWS)?, 1).await?;
        world.close().await;
        let first_flow = flows.iter().map(|flow| flow.get()).min().ok_or("no flow was made")?;
        Ok(Self { author: members[0].id.get(), first_flow })
    }

    fn row(&self, number: i64) -> message::ActiveModel {
        message::ActiveModel {
            id: ActiveValue::NotSet,
            flow_id: ActiveValue::Set(self.first_flow + number % FLOWS),
            author_id: ActiveValue::Set(self.author),
            content_type: ActiveValue::Set("text".to_owned()),
            text: ActiveValue::Set("x".repeat(crate::sends::TEXT)),
            posted: ActiveValue::Set(1 + number / FLOWS),
            version: ActiveValue::Set(1 + number / FLOWS),
            posted_at: ActiveValue::Set(number),
            changed_at: ActiveValue::Set(number),
        }
    }

    /// The statement that fills a file with so many of these rows.
    fn fill(&self, messages: i64) -> String {
        let Self { author, first_flow } = self;
        let text = crate::sends::TEXT / 2;
        format!(
            "INSERT INTO message (flow_id, author_id, content_type, text, posted, version, \
                posted_at, changed_at) \
             WITH RECURSIVE numbers (n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM numbers WHERE \
             n + 1 < {messages}) \
             SELECT {first_flow} + n % {FLOWS}, {author}, 'text', hex(zeroblob({text})), 1 + n / \
             {FLOWS}, 1 + n / {FLOWS}, n, n FROM numbers"
        )
    }
}

/// A connection of the kind that the store writes by.
async fn connect(url: String) -> Outcome<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).test_before_acquire(false);
    options.map_sqlx_sqlite_opts(|options| {
        options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
    });
    Ok(sea_orm::Database::connect(options).await?)
}
