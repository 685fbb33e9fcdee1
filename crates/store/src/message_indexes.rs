//! The indexes of messages in a SQLite file, which an import into a world without messages makes
//! when it has all of them.
//!
//! A message changes a page of each index that few others of its transaction change, so that in a
//! world of some million messages these pages are most of what an import writes. Made of all
//! messages at once, the indexes cost a fraction of that. The file lacks them only while no other
//! process has it open: one that opens it later, beside the import or after its interruption, makes
//! them first.

use crate::connect::{self, Target, Use};
use crate::error::store_error;
use crate::options::Options;
use crate::sql;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tolmach_engine::ports::{ImportChunk, StoreError};

/// The indexes that are made last, as the migrations make them: those that have a row for each
/// imported message.
const INDEXES: [(&str, &str); 2] = [
    (
        "message_changed",
        "CREATE UNIQUE INDEX IF NOT EXISTS message_changed ON message (flow_id, changed_at)",
    ),
    (
        "message_visible",
        "CREATE INDEX IF NOT EXISTS message_visible \
         ON message (flow_id, posted, author_id, deleted_at) WHERE deleted_at IS NULL",
    ),
];

/// The indexes of messages during an import.
pub(crate) struct MessageIndexes {
    target: Target,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    /// They are to be made once messages are looked up by their flows.
    Absent {
        has_messages: bool,
    },
}

impl MessageIndexes {
    /// Takes the indexes away for an import, if there is no message and the file is open nowhere
    /// else. Goes on without them if an import before has ended without making them.
    pub(crate) async fn for_import(target: &Target, options: &Options) -> Result<Self, StoreError> {
        let timeout = options.timeout;
        let state = match target.connect_alone(timeout).await? {
            Some(database) => {
                let state = take_away(&database).await;
                connect::close(database).await;
                state?
            }
            None => {
                make_missing(target, timeout).await?;
                State::Present
            }
        };
        Ok(Self { target: target.clone(), timeout, state: Mutex::new(state) })
    }

    /// Makes the indexes if records of this chunk are found by them. Memberships look up the
    /// messages of their flows.
    pub(crate) async fn before_import(&self, chunk: &ImportChunk) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        if let State::Absent { has_messages } = &mut *state {
            if *has_messages && !chunk.members.is_empty() {
                make_missing(&self.target, self.timeout).await?;
                *state = State::Present;
            } else {
                *has_messages |= !chunk.messages.is_empty();
            }
        }
        Ok(())
    }

    /// Makes the indexes.
    pub(crate) async fn after_import(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        if *state != State::Present {
            make_missing(&self.target, self.timeout).await?;
            *state = State::Present;
        }
        Ok(())
    }
}

/// True if a SQLite file lacks one of the indexes. A server has them always.
pub(crate) async fn are_missing<C: ConnectionTrait>(database: &C) -> Result<bool, StoreError> {
    let is_file = database.get_database_backend() == DbBackend::Sqlite;
    Ok(is_file && present(database).await?.len() < INDEXES.len())
}

/// Makes those indexes of a SQLite file that are missing.
pub(crate) async fn make_missing(target: &Target, timeout: Duration) -> Result<(), StoreError> {
    let Target::Sqlite(_) = target else { return Ok(()) };
    let database = target.connect(Use::Maintain, timeout).await?;
    let made = make(&database).await;
    connect::close(database).await;
    made
}

async fn make(database: &DatabaseConnection) -> Result<(), StoreError> {
    let present = present(database).await?;
    for (name, create) in INDEXES {
        if present.iter().any(|known| known == name) {
            continue;
        }
        tracing::info!(name, "making an index of the messages that were imported");
        let started = Instant::now();
        database.execute_unprepared(create).await.map_err(store_error)?;
        tracing::info!(name, seconds = started.elapsed().as_secs(), "the index is made");
    }
    Ok(())
}

async fn take_away(database: &DatabaseConnection) -> Result<State, StoreError> {
    let found = "SELECT EXISTS (SELECT 1 FROM message) AS found";
    let row = sql::row(database, found, Vec::new()).await?;
    let has_messages = row.map_or(Ok(false), |row| sql::get(&row, "found"))?;
    if has_messages {
        let is_left = are_missing(database).await?;
        return Ok(if is_left { State::Absent { has_messages } } else { State::Present });
    }
    for (name, _) in INDEXES {
        let drop = format!("DROP INDEX IF EXISTS {name}");
        database.execute_unprepared(&drop).await.map_err(store_error)?;
    }
    Ok(State::Absent { has_messages })
}

/// The names of those indexes that there are.
async fn present<C: ConnectionTrait>(database: &C) -> Result<Vec<String>, StoreError> {
    let names = INDEXES.map(|(name, _)| format!("'{name}'")).join(", ");
    let found =
        format!("SELECT name FROM sqlite_master WHERE type = 'index' AND name IN ({names})");
    let rows = sql::rows(database, found.as_str(), Vec::new()).await?;
    rows.iter().map(|row| sql::get(row, "name")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqlStore;
    use std::sync::Arc;
    use tempfile::TempDir;
    use tolmach_domain::{Content, ExternalId, FlowKind, IdNamespace, Timestamp};
    use tolmach_engine::memory::MemoryBus;
    use tolmach_engine::ports::{
        ImportFlow, ImportMember, ImportMessage, ImportUser, NewUser, Store, WorldStore,
    };

    struct World {
        _folder: TempDir,
        url: String,
        source: IdNamespace,
    }

    impl World {
        /// An empty one.
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}?mode=rwc", folder.path().join("world.db").display());
            crate::migrate(&url).await.unwrap();
            Self { _folder: folder, url, source: "old".parse().unwrap() }
        }

        async fn open(&self, is_import: bool) -> Arc<SqlStore> {
            let options = Options { is_import, ..Options::default() };
            SqlStore::open(&self.url, Arc::new(MemoryBus::new()), options).await.unwrap()
        }

        /// The columns of each index that there is, in their order, its conditions included.
        async fn indexes(&self) -> Vec<String> {
            let target = Target::parse(&self.url).unwrap();
            let database = target.connect(Use::Write, Duration::from_secs(60)).await.unwrap();
            let sql = "SELECT l.name || ' ' || l.\"unique\" || l.partial || ' ' || \
                 group_concat(x.name || x.desc || x.coll || x.key) AS description \
                 FROM pragma_index_list('message') l, pragma_index_xinfo(l.name) x \
                 WHERE l.name IN ('message_changed', 'message_visible') AND x.name IS NOT NULL \
                 GROUP BY l.name ORDER BY l.name";
            let rows = sql::rows(&database, sql, Vec::new()).await.unwrap();
            connect::close(database).await;
            rows.iter().map(|row| sql::get(row, "description").unwrap()).collect()
        }

        /// A user and a group.
        fn flows(&self) -> ImportChunk {
            let account = NewUser::named("anna");
            let user = ImportUser {
                source_id: ExternalId(1),
                account,
                created_at: Timestamp::default(),
                deleted_at: None,
            };
            let flow = ImportFlow {
                source_id: ExternalId(1),
                kind: FlowKind::Group,
                title: "Group".into(),
                info: String::new(),
                owner: ExternalId(1),
                pair: None,
                photo: None,
                created_at: Timestamp::default(),
            };
            let mut chunk = ImportChunk::new(self.source.clone());
            (chunk.users, chunk.flows) = (vec![user], vec![flow]);
            chunk
        }

        fn message(&self, id: u128) -> ImportChunk {
            let message = ImportMessage {
                source_id: ExternalId(id),
                flow: ExternalId(1),
                author: ExternalId(1),
                content: Content::text("hello"),
                reply_to: None,
                posted_at: Timestamp::from_micros(1_000_000),
                edited_at: None,
                deleted_at: None,
            };
            let mut chunk = ImportChunk::new(self.source.clone());
            chunk.messages = vec![message];
            chunk
        }

        fn member(&self) -> ImportChunk {
            let member = ImportMember {
                flow: ExternalId(1),
                user: ExternalId(1),
                joined_at: None,
                read: None,
                awaits_read: false,
            };
            let mut chunk = ImportChunk::new(self.source.clone());
            chunk.members = vec![member];
            chunk
        }

        async fn begin(&self) -> Arc<SqlStore> {
            let store = self.open(true).await;
            store.begin_import(&self.source).await.unwrap();
            store
        }
    }

    async fn import(store: &SqlStore, chunk: ImportChunk) {
        store.import(chunk, Timestamp::default()).await.unwrap();
    }

    #[tokio::test]
    async fn an_import_into_an_empty_world_makes_the_same_indexes_at_its_end() {
        let world = World::new().await;
        let whole = world.indexes().await;
        assert_eq!(whole.len(), INDEXES.len());
        let store = world.begin().await;
        for chunk in [world.flows(), world.member(), world.message(1), world.message(2)] {
            import(&store, chunk).await;
            assert_eq!(world.indexes().await, [""; 0]);
        }
        store.end_import(&world.source).await.unwrap();
        assert_eq!(world.indexes().await, whole);
        import(&store, world.message(3)).await;
        assert_eq!(world.indexes().await, whole);
        store.close().await;
        let again = world.begin().await;
        assert_eq!(world.indexes().await, whole, "there are messages");
        again.close().await;
    }

    #[tokio::test]
    async fn memberships_after_messages_find_these_by_their_indexes() {
        let world = World::new().await;
        let whole = world.indexes().await;
        let store = world.begin().await;
        import(&store, world.flows()).await;
        import(&store, world.message(1)).await;
        assert_eq!(world.indexes().await, [""; 0]);
        import(&store, world.member()).await;
        assert_eq!(world.indexes().await, whole);
        store.close().await;
    }

    #[tokio::test]
    async fn an_import_that_ended_early_goes_on_without_indexes_and_others_make_them() {
        let world = World::new().await;
        let whole = world.indexes().await;
        let store = world.begin().await;
        import(&store, world.flows()).await;
        import(&store, world.message(1)).await;
        store.close().await;
        let resumed = world.begin().await;
        import(&resumed, world.message(2)).await;
        assert_eq!(world.indexes().await, [""; 0]);
        let gateway = world.open(false).await;
        assert_eq!(world.indexes().await, whole);
        import(&resumed, world.message(3)).await;
        resumed.end_import(&world.source).await.unwrap();
        assert_eq!(world.indexes().await, whole);
        for store in [resumed, gateway] {
            store.close().await;
        }
    }

    #[tokio::test]
    async fn an_import_beside_a_gateway_leaves_the_indexes() {
        let world = World::new().await;
        let whole = world.indexes().await;
        let gateway = world.open(false).await;
        let store = world.begin().await;
        import(&store, world.flows()).await;
        import(&store, world.message(1)).await;
        assert_eq!(world.indexes().await, whole);
        for store in [store, gateway] {
            store.close().await;
        }
    }
}
