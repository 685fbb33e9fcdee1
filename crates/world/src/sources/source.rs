//! The sources, by name.

use super::database::Database;
use super::error::SourceError;
use super::names::Names;
use super::swiftly::Swiftly;
use super::table::{Page, Pairs, Table};
use super::{django, morelia, uchat};
use crate::cursor::{Cursor, RowPlace};
use crate::record::{FORM, Header, Record};
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
    /// Its name, which is also that of its ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::Django => "django",
            Self::Morelia => "morelia",
            Self::Swiftly => "swiftly",
            Self::Uchat => "uchat",
        }
    }

    /// Opens its databases, each `sqlite:PATH` or `postgres://…`, for reading only. `names` are
    /// tables and columns of a Django project, by the keys that docs/migrate.md lists.
    pub async fn open(
        self,
        urls: &[String],
        names: &[(String, String)],
    ) -> Result<OpenSource, SourceError> {
        if self != Self::Django && !names.is_empty() {
            return Err(SourceError::FixedNames(self.name()));
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
            (Self::Swiftly, _) => {
                return Err(SourceError::Databases {
                    name: self.name(),
                    expected: "two databases: that of its login service and that of its chat \
                               service",
                });
            }
            _ => {
                return Err(SourceError::Databases { name: self.name(), expected: "one database" });
            }
        };
        Ok(OpenSource { source: self, reader, pairs: Pairs::default() })
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let known = [Self::Django, Self::Morelia, Self::Swiftly, Self::Uchat];
        let found = known.into_iter().find(|source| source.name() == text);
        found.ok_or_else(|| SourceError::Unknown(text.to_owned()))
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
    /// rows have no places that ascend. Gives `take` the records in an order that their references
    /// allow: users, conversations, messages, memberships; each with the place of its row.
    pub async fn read<E>(
        &mut self,
        from: &Cursor,
        mut take: impl AsyncFnMut(Record, Option<RowPlace>) -> Result<(), E>,
    ) -> Result<Result<(), E>, SourceError> {
        let header = Header { form: FORM.into(), source: self.source.name().into() };
        if let Err(error) = take(Record::World(header), None).await {
            return Ok(Err(error));
        }
        let mut table = 0;
        let mut after = None;
        loop {
            let is_ascending = self.is_ascending(table);
            let start = from.start(table).filter(|_| is_ascending).unwrap_or(i64::MIN);
            let Some(page) = self.page(table, after.unwrap_or(start)).await? else { break };
            after = page.records.last().map(|(place, _)| *place);
            if after.is_none() {
                table += 1;
            }
            for (number, record) in page.records {
                let row = is_ascending.then_some(RowPlace { table, number });
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
    async fn page(&mut self, table: usize, after: i64) -> Result<Option<Page>, SourceError> {
        match &mut self.reader {
            Reader::Tables { database, tables, .. } => match tables.get(table) {
                Some(table) => table.page(database, after, &mut self.pairs).await.map(Some),
                None => Ok(None),
            },
            Reader::Swiftly(swiftly) => swiftly.page(table, after, &mut self.pairs).await,
        }
    }
}
