//! The sources, by name.

use super::database::Database;
use super::error::SourceError;
use super::names::Names;
use super::scope::Scope;
use super::swiftly::Swiftly;
use super::table::{Page, Pairs, Table};
use super::{django, morelia, uchat};
use crate::cursor::{Cursor, RowPlace};
use crate::record::{Header, Record};
use std::borrow::Cow;
use std::str::FromStr;

/// A server whose database is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A Django project, in SQLite or PostgreSQL.
    Django,
    /// MoreliaTalk: the tables of SQLObject, in SQLite or PostgreSQL.
    Morelia,
    /// Swiftly: the PostgreSQL databases of its login service and of its chat service.
    Swiftly,
    /// uchat: SQLite.
    Uchat,
}

impl Source {
    /// All of them, in the order of their names.
    const ALL: [Self; 4] = [Self::Django, Self::Morelia, Self::Swiftly, Self::Uchat];

    /// Its name, which is also that of its ids unless another one is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Django => "django",
            Self::Morelia => "morelia",
            Self::Swiftly => "swiftly",
            Self::Uchat => "uchat",
        }
    }

    /// True if it numbers groups and their messages apart from chats and theirs.
    pub fn numbers_groups_apart(self) -> bool {
        self == Self::Swiftly
    }

    /// The databases that it is read from.
    fn databases(self) -> &'static str {
        match self {
            Self::Django | Self::Morelia => {
                "one database, sqlite:PATH or postgres://USER@HOST/NAME"
            }
            Self::Swiftly => {
                "two databases, each postgres://USER@HOST/NAME: that of its login service and that \
                 of its chat service"
            }
            Self::Uchat => "one database, sqlite:PATH",
        }
    }

    /// True for the URL of a kind of database that it is read from.
    fn accepts(self, url: &str) -> bool {
        let is_sqlite = url.starts_with("sqlite:");
        let is_postgres = url.starts_with("postgres:") || url.starts_with("postgresql:");
        match self {
            Self::Django | Self::Morelia => is_sqlite || is_postgres,
            Self::Swiftly => is_postgres,
            Self::Uchat => is_sqlite,
        }
    }

    /// Opens its databases, each `sqlite:PATH` or `postgres://…`, for reading only. `names` are
    /// tables and columns of a Django project, by the keys that docs/import.md lists.
    pub async fn open(
        self,
        urls: &[String],
        names: &[(String, String)],
    ) -> Result<OpenSource, SourceError> {
        if self != Self::Django && !names.is_empty() {
            return Err(SourceError::FixedNames(self.name()));
        }
        let other = SourceError::Databases { name: self.name(), expected: self.databases() };
        if !urls.iter().all(|url| self.accepts(url)) {
            return Err(other);
        }
        let reader = match (self, urls) {
            (Self::Django, [url]) => {
                let names = Names::new(names)?;
                let database = Database::open(url).await?;
                let tables = django::tables(&names, &database);
                Reader::Tables { database, count: django::count(&names).into(), tables }
            }
            (Self::Morelia, [url]) => Reader::Tables {
                database: Database::open(url).await?,
                count: morelia::COUNT.into(),
                tables: morelia::tables(),
            },
            (Self::Swiftly, [accounts, chats]) => {
                Reader::Swiftly(Swiftly::open(accounts, chats).await?)
            }
            (Self::Uchat, [url]) => Reader::Tables {
                database: Database::open(url).await?,
                count: uchat::COUNT.into(),
                tables: uchat::tables(),
            },
            _ => return Err(other),
        };
        Ok(OpenSource { source: self, reader, pairs: Pairs::default() })
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let found = Self::ALL.into_iter().find(|source| source.name() == text);
        found.ok_or_else(|| SourceError::Unknown {
            name: text.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// The open databases of another server.
pub struct OpenSource {
    source: Source,
    reader: Reader,
    pairs: Pairs,
}

enum Reader {
    /// One database, whose tables are read one after another.
    Tables {
        database: Database,
        count: Cow<'static, str>,
        tables: Vec<Table>,
    },
    Swiftly(Swiftly),
}

impl OpenSource {
    /// The number of rows that records are made of, memberships not counted.
    pub async fn count(&mut self) -> Result<u64, SourceError> {
        match &mut self.reader {
            Reader::Tables { database, count, .. } => database.count(count).await,
            Reader::Swiftly(swiftly) => swiftly.count().await,
        }
    }

    /// Reads what is new since a cursor, and some of what is before it again; all of a table whose
    /// rows have no places that ascend, as far as the scope has it. Gives `take` the records in an
    /// order that their references allow: users, conversations, messages, memberships; each with
    /// the place of its row.
    pub async fn read<E>(
        &mut self,
        from: &Cursor,
        scope: Scope,
        mut take: impl AsyncFnMut(Record, Option<RowPlace>) -> Result<(), E>,
    ) -> Result<Result<(), E>, SourceError> {
        let groups_apart = self.source.numbers_groups_apart();
        let header = Header { groups_apart, ..Header::new(self.source.name()) };
        if let Err(error) = take(Record::World(header), None).await {
            return Ok(Err(error));
        }
        let mut table = 0;
        let mut after = None;
        let mut has_new = scope != Scope::RunningNext;
        loop {
            let is_ascending = self.is_ascending(table);
            if !is_ascending && !has_new {
                table += 1;
                continue;
            }
            let start = from.start(table).filter(|_| is_ascending).unwrap_or(i64::MIN);
            let Some(page) = self.page(table, after.unwrap_or(start), scope).await? else {
                break;
            };
            after = page.last;
            if after.is_none() {
                table += 1;
            }
            for (number, record) in page.records {
                let row = is_ascending.then_some(RowPlace { table, number });
                has_new |= row.is_some_and(|row| !from.includes(row));
                if let Err(error) = take(record, row).await {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Closes the databases.
    pub async fn close(self) -> Result<(), SourceError> {
        match self.reader {
            Reader::Tables { database, .. } => database.close().await,
            Reader::Swiftly(swiftly) => swiftly.close().await,
        }
    }

    /// See [`Table::is_ascending`].
    fn is_ascending(&self, table: usize) -> bool {
        match &self.reader {
            Reader::Tables { tables, .. } => {
                tables.get(table).is_none_or(|table| table.is_ascending)
            }
            Reader::Swiftly(swiftly) => swiftly.is_ascending(table),
        }
    }

    /// Reads a page of the table with this index; `None` after the last table.
    async fn page(
        &mut self,
        table: usize,
        after: i64,
        scope: Scope,
    ) -> Result<Option<Page>, SourceError> {
        match &mut self.reader {
            Reader::Tables { database, tables, .. } => match tables.get(table) {
                Some(table) => table.page(database, after, &mut self.pairs).await.map(Some),
                None => Ok(None),
            },
            Reader::Swiftly(swiftly) => swiftly.page(table, after, scope, &mut self.pairs).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
    use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
    use std::convert::Infallible;
    use tempfile::TempDir;

    const DJANGO: &str = include_str!("../../../../tests/import/django_sqlite.sql");
    const MORELIA: &str = include_str!("../../../../tests/import/morelia.sql");

    /// The database of a server, with a connection that writes.
    struct Server {
        _folder: TempDir,
        url: String,
        connection: SqliteConnection,
    }

    impl Server {
        async fn new(sql: &'static str) -> Self {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("old.db");
            let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
            let connection = options.connect().await.unwrap();
            let url = format!("sqlite:{}", path.display());
            let mut server = Self { _folder: folder, url, connection };
            server.execute(sql).await;
            server
        }

        async fn execute(&mut self, sql: &str) {
            self.connection.execute(AssertSqlSafe(sql)).await.unwrap();
        }

        /// Reads it, and returns the records but the header. The cursor goes on to its end.
        async fn read(
            &self,
            source: Source,
            cursor: &mut Cursor,
            scope: Scope,
        ) -> Result<Vec<Record>, SourceError> {
            let mut open = source.open(std::slice::from_ref(&self.url), &[]).await?;
            let (mut records, mut reached) = (Vec::new(), cursor.clone());
            let read = open.read(cursor, scope, async |record, row| {
                if !matches!(record, Record::World(_)) {
                    records.push(record);
                }
                if let Some(row) = row {
                    reached.reach(row);
                }
                Ok::<(), Infallible>(())
            });
            let Ok(()) = read.await?;
            *cursor = reached;
            open.close().await?;
            Ok(records)
        }
    }

    fn members(records: &[Record]) -> usize {
        records.iter().filter(|record| matches!(record, Record::Member(_))).count()
    }

    #[tokio::test]
    async fn members_without_ascending_places_are_read_again_only_with_a_new_row() {
        let mut server = Server::new(MORELIA).await;
        let mut cursor = Cursor::default();
        let read = server.read(Source::Morelia, &mut cursor, Scope::Running).await.unwrap();
        assert_eq!((members(&read), read.len()), (2, 9));
        for (scope, expected) in [(Scope::RunningNext, 0), (Scope::Running, 2), (Scope::Whole, 2)] {
            let read = server.read(Source::Morelia, &mut cursor, scope).await.unwrap();
            assert_eq!(members(&read), expected, "{scope:?}");
        }
        let new = "INSERT INTO flow_user_config VALUES (1, 3);
            INSERT INTO message VALUES (4, '60000000000000000000000000000000000004', 'new',
                1600000090, '', '', '', '', '', NULL, 0, 2, 1);";
        server.execute(new).await;
        for expected in [3, 0] {
            let next = Scope::RunningNext;
            let read = server.read(Source::Morelia, &mut cursor, next).await.unwrap();
            assert_eq!(members(&read), expected);
        }
        server.connection.close().await.unwrap();
    }

    #[tokio::test]
    async fn keys_that_are_no_integers_are_refused() {
        let user = |key: &str, login: &str| {
            format!(
                "INSERT INTO accounts_user VALUES ('{key}', '!', NULL, false, '{login}', '', '',
                     '2025-01-01 10:00:00', true, false);"
            )
        };
        for (keys, is_sound) in [
            (&["1", "2"][..], true),
            (&["9", "10"], false),
            (&["0b8e4c1e3f7d4c33a1b2c3d4e5f60718", "f47ac10b58cc4372a5670e02b2c3d479"], false),
            (&["5d41402abc4b2a76b9719d911017c592"], false),
            (&["ann"], false),
        ] {
            let mut server = Server::new(DJANGO).await;
            server.execute("DROP TABLE accounts_user").await;
            let table = "CREATE TABLE accounts_user (id text PRIMARY KEY, password text,
                last_login text, is_superuser bool, email text, phone text, fullname text,
                date_joined text, is_active bool, is_staff bool)";
            server.execute(table).await;
            for key in keys {
                server.execute(&user(key, key)).await;
            }
            let mut cursor = Cursor::default();
            let read = server.read(Source::Django, &mut cursor, Scope::Whole).await;
            match read {
                Ok(records) => assert!(is_sound && records.len() == keys.len(), "{keys:?}"),
                Err(SourceError::Keys("users")) => assert!(!is_sound, "{keys:?}"),
                Err(error) => panic!("{keys:?}: {error}"),
            }
            server.connection.close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_time_before_the_next_second_is_not_rounded_to_it() {
        let mut server = Server::new(DJANGO).await;
        server
            .execute(
                "INSERT INTO accounts_user VALUES (1, '!', NULL, false, 'a', '', '',
                     '2025-01-01 10:00:00.999700', true, false),
                 (2, '!', NULL, false, 'b', '', '', '2025-01-01 23:59:59.999999', true, false)",
            )
            .await;
        let mut cursor = Cursor::default();
        let read = server.read(Source::Django, &mut cursor, Scope::Whole).await.unwrap();
        let times: Vec<_> = read
            .iter()
            .map(|record| match record {
                Record::User(user) => user.created_at.map(|time| time.0.rfc3339_micros()),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = ["2025-01-01T10:00:00.999700Z", "2025-01-01T23:59:59.999999Z"];
        assert_eq!(times, expected.map(|time| Some(time.to_owned())));
        server.connection.close().await.unwrap();
    }
}
