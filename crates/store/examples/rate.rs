//! Durable messages per second: the store, compared with a loop of `insert_many` on the same disk.
//!
//! `cargo run --release -p tolmach-store --example rate [seconds] [rounds] [url]`
//!
//! Every measurement takes this many seconds and is repeated for this many rounds, of which the
//! median is printed, with this process's processor time per message (without a server's). Without
//! a URL the database is a new SQLite file each time, then a private PostgreSQL with fsync, if one
//! is installed.

use futures_util::StreamExt;
use sea_orm::entity::prelude::*;
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, IntoActiveModel, NotSet, Schema, TransactionTrait,
};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tolmach_domain::{Content, Flow, FlowKind, FlowKindFilter, Timestamp, User};
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{
    CreateFlow, FlowLimits, FlowStore, MessageStore, NewUser, PostMessage, Store, StoreError,
    UserStore,
};
use tolmach_store::{Options, SqlStore};
use tolmach_test_servers::{Durability, Postgres};

const TEXT_BYTES: usize = 200;

/// The measurements with their names in the table.
const MEASUREMENTS: [(&str, Workload); 8] = [
    (
        "plain insert_many of 100, a table without indexes",
        Workload::Plain { bare: true, rows: 100 },
    ),
    ("plain insert_many of 100, the store's table", Workload::Plain { bare: false, rows: 100 }),
    ("plain insert, one transaction a message", Workload::Plain { bare: false, rows: 1 }),
    ("store, 1 task", Workload::Store { tasks: 1, pipelined: 1, flows: 1 }),
    ("store, 64 tasks", Workload::Store { tasks: 64, pipelined: 1, flows: 8 }),
    ("store, 512 tasks", Workload::Store { tasks: 512, pipelined: 1, flows: 8 }),
    ("store, 512 tasks in 512 flows", Workload::Store { tasks: 512, pipelined: 1, flows: 512 }),
    (
        "store, 1 task with 256 under workload",
        Workload::Store { tasks: 1, pipelined: 256, flows: 1 },
    ),
];

/// The index of the loop that the others are compared with.
const LOOP: usize = 1;

/// The index of the loop with one message in a transaction.
const SINGLE: usize = 2;

/// The load of a measurement.
#[derive(Clone, Copy)]
enum Workload {
    /// sea-orm alone: this many rows in a transaction, into a bare table or into the store's.
    Plain { bare: bool, rows: usize },
    /// The store: this many tasks, each with up to `pipelined` posts under workload.
    Store { tasks: usize, pipelined: usize, flows: usize },
}

/// The result of a measurement.
#[derive(Clone, Copy)]
struct Figure {
    /// Messages per second.
    rate: f64,
    /// Microseconds of processor time of this process per message.
    processor: f64,
    /// Messages per transaction.
    shared: f64,
}

/// A message as the store's table has it.
mod message {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "message")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) flow_id: i64,
        pub(super) author_id: i64,
        pub(super) content_type: String,
        pub(super) text: String,
        pub(super) attachments: Option<String>,
        pub(super) emoji: Option<String>,
        pub(super) reply_to: Option<i64>,
        pub(super) posted: i64,
        pub(super) version: i64,
        pub(super) posted_at: i64,
        pub(super) edited_at: Option<i64>,
        pub(super) deleted_at: Option<i64>,
        pub(super) changed_at: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let length = Duration::from_secs_f64(arguments.next().map_or(Ok(2.0), |text| text.parse())?);
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    match arguments.next() {
        Some(url) => {
            table("the database of the URL", length, rounds, &mut || Ok((url.clone(), None)))
                .await?
        }
        None => {
            table("SQLite, synchronous FULL", length, rounds, &mut || {
                let folder = tempfile::tempdir()?;
                Ok((
                    format!("sqlite://{}?mode=rwc", folder.path().join("rate.db").display()),
                    Some(folder),
                ))
            })
            .await?;
            if let Some(server) = Postgres::start_or_skip(Durability::Full) {
                table("PostgreSQL, fsync", length, rounds, &mut || Ok((server.url(), None)))
                    .await?;
            }
        }
    }
    Ok(())
}

/// The URL of a database, and the folder to remove after the measurement.
type Location = (String, Option<tempfile::TempDir>);

async fn table(
    title: &str,
    length: Duration,
    rounds: usize,
    location: &mut dyn FnMut() -> Result<Location, std::io::Error>,
) -> Result<(), Box<dyn Error>> {
    let mut figures = [const { Vec::new() }; MEASUREMENTS.len()];
    for _ in 0..rounds.max(1) {
        for (figures, (_, workload)) in figures.iter_mut().zip(MEASUREMENTS) {
            let (url, _folder) = location()?;
            figures.push(measure(&url, workload, length).await?);
        }
    }
    let medians = figures.map(|mut figures: Vec<Figure>| {
        figures.sort_by(|one, other| one.rate.total_cmp(&other.rate));
        figures[figures.len() / 2]
    });
    let mut out = std::io::stdout();
    writeln!(out, "{title}")?;
    writeln!(
        out,
        "{:52} {:>10} {:>8} {:>8} {:>10} {:>12}",
        "", "messages/s", "÷ loop", "÷ single", "CPU µs", "a transaction"
    )?;
    for ((name, _), Figure { rate, processor, shared }) in MEASUREMENTS.iter().zip(medians) {
        let (to_loop, to_single) = (rate / medians[LOOP].rate, rate / medians[SINGLE].rate);
        writeln!(
            out,
            "{name:52} {rate:10.0} {to_loop:8.2} {to_single:8.1} {processor:10.1} {shared:12.1}"
        )?;
    }
    Ok(())
}

async fn measure(
    url: &str,
    workload: Workload,
    length: Duration,
) -> Result<Figure, Box<dyn Error>> {
    let options = Options { timeout: Duration::from_secs(60), ..Options::default() };
    let store = SqlStore::open(url, Arc::new(MemoryBus::new()), options).await?;
    let figure = match workload {
        Workload::Plain { bare, rows } => plain(url, &store, bare, rows, length).await?,
        Workload::Store { tasks, pipelined, flows } => {
            stored(&store, tasks, pipelined, flows, length).await?
        }
    };
    store.close().await;
    Ok(figure)
}

async fn plain(
    url: &str,
    store: &SqlStore,
    bare: bool,
    rows: usize,
    length: Duration,
) -> Result<Figure, Box<dyn Error>> {
    let (author, flows) = fill(store, 1).await?;
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(|options| {
        let options = options.journal_mode(sea_orm::sqlx::sqlite::SqliteJournalMode::Wal);
        options.synchronous(sea_orm::sqlx::sqlite::SqliteSynchronous::Full)
    });
    let database = Database::connect(options).await?;
    if bare {
        create_bare_table(&database).await?;
    }
    let text = "x".repeat(TEXT_BYTES);
    let (started, used) = (Instant::now(), processor_time());
    let mut number = 0;
    while started.elapsed() < length {
        let transaction = database.begin().await?;
        let batch = (0..rows).map(|_| {
            number += 1;
            let (flow, author) = (flows[0].id.get(), author.id.get());
            message::ActiveModel {
                id: NotSet,
                ..row(flow, author, text.clone(), number).into_active_model()
            }
        });
        message::Entity::insert_many(batch).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
    }
    let figure = figure(number.unsigned_abs(), started, used, rows as f64);
    database.close().await?;
    Ok(figure)
}

/// Creates the table without indexes and references: in a schema of its own, or in place of the
/// store's.
async fn create_bare_table(database: &DatabaseConnection) -> Result<(), DbErr> {
    let backend = database.get_database_backend();
    if backend == sea_orm::DbBackend::Postgres {
        let schema = "CREATE SCHEMA IF NOT EXISTS bare; SET search_path TO bare; \
             DROP TABLE IF EXISTS message";
        database.execute_unprepared(schema).await?;
    } else {
        database.execute_unprepared("DROP TABLE message_key; DROP TABLE message").await?;
    }
    database.execute(&Schema::new(backend).create_table_from_entity(message::Entity)).await?;
    Ok(())
}

fn row(flow: i64, author: i64, text: String, number: i64) -> message::Model {
    message::Model {
        id: 0,
        flow_id: flow,
        author_id: author,
        content_type: "text".into(),
        text,
        attachments: None,
        emoji: None,
        reply_to: None,
        posted: number,
        version: number,
        posted_at: number,
        edited_at: None,
        deleted_at: None,
        changed_at: number,
    }
}

async fn stored(
    store: &Arc<SqlStore>,
    tasks: usize,
    pipelined: usize,
    flows: usize,
    length: Duration,
) -> Result<Figure, Box<dyn Error>> {
    let (author, flows) = fill(store, flows).await?;
    let (posted, before) = (Arc::new(AtomicU64::new(0)), store.stats());
    let (started, used) = (Instant::now(), processor_time());
    let running: Vec<_> = (0..tasks)
        .map(|number| {
            let (store, author, flow, posted) = (
                store.clone(),
                author.clone(),
                flows[number % flows.len()].clone(),
                posted.clone(),
            );
            tokio::spawn(async move {
                let posts = std::iter::from_fn(|| {
                    (started.elapsed() < length).then(|| store.post(message(&flow, &author), now()))
                });
                let mut outcomes = futures_util::stream::iter(posts).buffered(pipelined);
                while let Some(outcome) = outcomes.next().await {
                    outcome?;
                    posted.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, StoreError>(())
            })
        })
        .collect();
    for task in running {
        task.await??;
    }
    let posted = posted.load(Ordering::Relaxed);
    let transactions = store.stats().transactions - before.transactions;
    Ok(figure(posted, started, used, posted as f64 / transactions as f64))
}

fn figure(messages: u64, started: Instant, used: Option<Duration>, shared: f64) -> Figure {
    let used =
        processor_time().zip(used).map_or(f64::NAN, |(now, before)| (now - before).as_secs_f64());
    Figure {
        rate: messages as f64 / started.elapsed().as_secs_f64(),
        processor: used * 1e6 / messages as f64,
        shared,
    }
}

/// The processor time of this process; `None` without `/proc`.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may have spaces and ends with the last parenthesis; user and system time follow
    // after eleven fields, in hundredths of a second.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Creates a user who owns this many flows.
async fn fill(store: &SqlStore, flows: usize) -> Result<(User, Vec<Flow>), Box<dyn Error>> {
    let unique = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let user = store
        .create_user(NewUser::named(format!("rate {} {unique}", std::process::id())), now())
        .await?;
    let mut created = Vec::with_capacity(flows);
    for _ in 0..flows {
        let (title, info) = ("rate".to_owned(), String::new());
        let flow = CreateFlow {
            kind: FlowKind::Group,
            title,
            info,
            owner: user.id,
            photo: None,
            members: Vec::new(),
            key: None,
        };
        created.push(store.create_flow(flow, FlowLimits::NONE, None, now()).await?.into_flow());
    }
    Ok((user, created))
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_600_000_000_000_000)
}

fn message(flow: &Flow, user: &User) -> PostMessage {
    let content = Content::text("x".repeat(TEXT_BYTES));
    PostMessage {
        flow: flow.id,
        kinds: FlowKindFilter::Any,
        author: user.summary(),
        administrator: false,
        content,
        key: None,
        origin: None,
    }
}
