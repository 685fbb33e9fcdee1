//! The writers that post messages on PostgreSQL, several at a time: each transaction is one
//! statement, so that it takes one round trip and no lock outlives it.

use crate::connect::{ReadPool, Server};
use crate::deadline::transaction_within;
use crate::entities::flow;
use crate::error::{corrupt, sqlx_error};
use crate::job::{Post, Work, answer};
use crate::job_queue::{JobBatch, JobQueue, Kind};
use crate::options::{Counters, Options};
use crate::rows::{attachments_text, content_type_text, message as to_message, message_id};
use crate::slow_log::log_if_slow;
use crate::sql;
use sea_orm::sqlx::{self, Connection, PgConnection};
use sea_orm::{ActiveEnum, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tolmach_domain::{
    Event, EventKind, Fault, FlowKindFilter, Message, MessageId, Timestamp, Version,
};
use tolmach_engine::ErrorChain;
use tolmach_engine::ports::{Bus, IDEMPOTENCY_WINDOW, Posted, StoreError};

/// The number of transactions that post at once.
pub(crate) const POST_WRITERS: usize = 3;

/// The idle time after which a connection is tested before use: what was sent on a lost one may
/// have been done or not.
const TEST_AFTER_IDLE: Duration = Duration::from_millis(50);

/// The age at which a connection is replaced, so that the server frees its memory.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Posts messages, given as an array for each of their columns; see the migration `commit_order`.
const POST_MESSAGES: &str = "\
    SELECT outcome, id, version, changed_at, kind \
    FROM post_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// The result of one message: the number of its outcome, then its id, version, commit time and the
/// kind of its flow.
type Row = (i32, Option<i64>, Option<i64>, Option<i64>, Option<String>);

/// A writer that posts messages.
pub(crate) struct PostWriter {
    pub(crate) server: Server,
    /// `None` after a failure: the next transaction gets a new connection.
    pub(crate) session: Option<Session>,
    pub(crate) readers: ReadPool,
    pub(crate) queue: Arc<JobQueue>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) options: Options,
    pub(crate) counters: Arc<Counters>,
}

/// A connection.
pub(crate) struct Session {
    connection: PgConnection,
    opened: Instant,
    used: Instant,
}

/// The messages of a transaction that was committed.
#[derive(Default)]
struct Run {
    outcomes: Vec<Result<Posted, StoreError>>,
    events: Vec<Arc<Event>>,
}

impl PostWriter {
    /// Posts until the queue is closed and every message is answered.
    pub(crate) async fn run(mut self) {
        while self.queue.ready(Kind::Message).await {
            self.write().await;
        }
        if let Some(session) = self.session.take() {
            close(session).await;
        }
    }

    /// Posts the messages of one transaction, publishes them and answers their callers.
    async fn write(&mut self) {
        // The callers that were just answered get a turn to submit their next message, which then
        // shares this commit.
        tokio::task::yield_now().await;
        let JobBatch { jobs, bytes, busy } = self.queue.take(Kind::Message, &self.options);
        let (mut posts, mut space) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            // A job that timed out before it began is not run: see the crate's documentation.
            if let Work::Post(post) = job.work
                && !post.answer.is_closed()
            {
                posts.push(*post);
                space.push(job.space);
            }
        }
        let outcome = if posts.is_empty() {
            Ok(Run::default())
        } else {
            let started = Instant::now();
            let outcome = self.post(&posts).await;
            log_if_slow(started, posts.len(), bytes, false);
            outcome
        };
        let outcomes = match outcome {
            Ok(Run { outcomes, events }) => {
                if !events.is_empty() {
                    self.bus.publish(&events).await;
                }
                outcomes
            }
            Err(error) => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    error = %ErrorChain(&error),
                    jobs = posts.len(),
                    "a transaction failed and was rolled back"
                );
                posts.iter().map(|_| Err(error.clone())).collect()
            }
        };
        // The next message of these users and flows is published after these.
        self.queue.release(busy);
        for (post, outcome) in posts.into_iter().zip(outcomes) {
            answer(post.answer, outcome)(Ok(()));
        }
    }

    async fn post(&mut self, posts: &[Post]) -> Result<Run, StoreError> {
        let limit = self.options.timeout;
        let mut session = transaction_within(limit, self.session()).await?;
        let rows = transaction_within(limit, post_messages(&mut session.connection, posts)).await;
        // After a failure the state of the connection is unknown: it is closed.
        let rows = rows?;
        session.used = Instant::now();
        self.session = Some(session);
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        self.counters.jobs.fetch_add(posts.len() as u64, Ordering::Relaxed);
        let repeated: Vec<MessageId> = rows
            .iter()
            .filter(|(outcome, ..)| *outcome == 1)
            .filter_map(|(_, id, ..)| id.map(message_id))
            .collect::<Result<_, _>>()?;
        // The events of messages that were posted have to be published in any case.
        let repeated = self.read(&repeated).await;
        let mut run = Run { outcomes: Vec::with_capacity(rows.len()), events: Vec::new() };
        for (post, row) in posts.iter().zip(rows) {
            let outcome = match row.0 {
                0 => {
                    let message = posted(post, row)?;
                    let event = Event {
                        committed_at: Some(message.changed_at),
                        origin: post.message.origin.clone(),
                        ..Event::new(post.now, EventKind::Posted(message.clone()))
                    };
                    run.events.push(Arc::new(event));
                    Ok(Posted::New(message))
                }
                1 => repeated.as_ref().map_err(StoreError::clone).and_then(|repeated| {
                    let message = row.1.and_then(|id| repeated.get(&id));
                    let message = message.ok_or_else(|| corrupt("a key without its message"))?;
                    Ok(Posted::Repeated(message.clone()))
                }),
                other => Err(refusal(other)?.into()),
            };
            run.outcomes.push(outcome);
        }
        Ok(run)
    }

    /// Messages that were posted before.
    async fn read(&self, ids: &[MessageId]) -> Result<HashMap<i64, Message>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        let reading = async {
            let mut messages = HashMap::with_capacity(ids.len());
            for list in sql::padded_lists(&ids) {
                let values = list.iter().copied().map(Value::from).collect();
                for row in sql::MESSAGES.rows(&self.readers, list.len(), values).await? {
                    let message = to_message(&row)?;
                    messages.insert(message.id.get(), message);
                }
            }
            Ok(messages)
        };
        transaction_within(self.options.timeout, reading).await
    }

    /// A connection that works.
    async fn session(&mut self) -> Result<Session, StoreError> {
        if let Some(mut session) = self.session.take() {
            if session.opened.elapsed() > MAX_LIFETIME {
                tokio::spawn(close(session));
            } else if session.used.elapsed() < TEST_AFTER_IDLE {
                return Ok(session);
            } else {
                let test =
                    tokio::time::timeout(self.options.timeout / 4, session.connection.ping());
                if let Ok(Ok(())) = test.await {
                    return Ok(session);
                }
            }
        }
        let mut connection = self.server.connect_one(self.options.timeout).await?;
        let removing = sqlx::query(sql::REMOVE_CONNECTIONS).execute(&mut connection);
        removing.await.map_err(sqlx_error)?;
        let now = Instant::now();
        Ok(Session { connection, opened: now, used: now })
    }
}

impl Drop for PostWriter {
    fn drop(&mut self) {
        // After a panic no job is done any more.
        self.queue.abandon();
    }
}

/// Runs the statement. The arrays have one element for each message.
async fn post_messages(
    connection: &mut PgConnection,
    posts: &[Post],
) -> Result<Vec<Row>, StoreError> {
    let messages = || posts.iter().map(|post| &post.message);
    let attachments: Vec<Option<String>> = messages()
        .map(|new| attachments_text(&new.content.attachments))
        .collect::<Result<_, _>>()?;
    let key_lifetime = i64::try_from(IDEMPOTENCY_WINDOW.as_micros()).map_err(corrupt)?;
    let rows = sqlx::query_as(POST_MESSAGES)
        .bind(messages().map(|new| new.flow.get()).collect::<Vec<i64>>())
        .bind(messages().map(|new| new.author.id.get()).collect::<Vec<i64>>())
        .bind(messages().map(|new| kinds(new.kinds)).collect::<Vec<i32>>())
        .bind(messages().map(|new| new.administrator).collect::<Vec<bool>>())
        .bind(messages().map(|new| new.key.as_deref()).collect::<Vec<Option<&str>>>())
        .bind(
            messages()
                .map(|new| new.content.reply_to.map(MessageId::get))
                .collect::<Vec<Option<i64>>>(),
        )
        .bind(posts.iter().map(|post| post.now.micros()).collect::<Vec<i64>>())
        .bind(
            messages()
                .map(|new| content_type_text(&new.content.content_type))
                .collect::<Vec<String>>(),
        )
        .bind(messages().map(|new| new.content.text.as_str()).collect::<Vec<&str>>())
        .bind(attachments)
        .bind(messages().map(|new| new.content.emoji.as_deref()).collect::<Vec<Option<&str>>>())
        .bind(key_lifetime)
        .fetch_all(connection)
        .await
        .map_err(sqlx_error)?;
    if rows.len() == posts.len() { Ok(rows) } else { Err(corrupt("a message without an outcome")) }
}

/// The number of a filter, as the statement knows it.
fn kinds(kinds: FlowKindFilter) -> i32 {
    match kinds {
        FlowKindFilter::Any => 0,
        FlowKindFilter::Chat => 1,
        FlowKindFilter::Shared => 2,
    }
}

/// A message that the statement posted.
fn posted(post: &Post, row: Row) -> Result<Message, StoreError> {
    let (_, Some(id), Some(version), Some(changed_at), Some(kind)) = row else {
        return Err(corrupt("a message that was just posted is incomplete"));
    };
    let kind = flow::Kind::try_from_value(&kind).map_err(corrupt)?;
    let (new, version) = (&post.message, Version(version));
    let (flow, author, content) =
        ((new.flow, kind.into()), new.author.clone(), new.content.clone());
    Ok(Message {
        posted: version,
        version,
        changed_at: Timestamp::from_micros(changed_at),
        ..Message::new(message_id(id)?, flow, author, content, post.now)
    })
}

/// The fault that the statement has a number for.
fn refusal(number: i32) -> Result<Fault, StoreError> {
    Ok(match number {
        2 => Fault::NoSuchFlow,
        3 => Fault::WrongKind,
        4 => Fault::NotOwner,
        5 => Fault::NoSuchUser,
        6 => Fault::NoSuchMessage,
        _ => return Err(corrupt("a message with an unknown outcome")),
    })
}

async fn close(session: Session) {
    // The server notices a connection that is not closed properly.
    let _ = tokio::time::timeout(Duration::from_secs(2), session.connection.close()).await;
}
