//! The sources, by name.

use super::error::SourceError;
use super::{morelia, uchat};
use crate::record::{FORM, Header, Record};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use std::str::FromStr;

/// A server whose database is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// MoreliaTalk: the tables of SQLObject in SQLite.
    Morelia,
    /// uchat: SQLite.
    Uchat,
}

impl Source {
    /// Its name, which is also that of its ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::Morelia => "morelia",
            Self::Uchat => "uchat",
        }
    }

    /// Opens the database, `sqlite:PATH`, for reading only.
    pub async fn open(self, url: &str) -> Result<OpenSource, SourceError> {
        let options = SqliteConnectOptions::from_str(url)?.read_only(true);
        let connection = options.disable_statement_logging().connect().await?;
        Ok(OpenSource { source: self, connection })
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let known = [Self::Morelia, Self::Uchat];
        let found = known.into_iter().find(|source| source.name() == text);
        found.ok_or_else(|| SourceError::Unknown(text.to_owned()))
    }
}

/// The open database of another server.
pub struct OpenSource {
    source: Source,
    connection: SqliteConnection,
}

impl OpenSource {
    /// The number of rows that records are made of.
    pub async fn count(&mut self) -> Result<u64, SourceError> {
        match self.source {
            Source::Morelia => morelia::count(&mut self.connection).await,
            Source::Uchat => uchat::count(&mut self.connection).await,
        }
    }

    /// Reads everything, and gives `take` the records in an order that their references allow:
    /// users, conversations, messages by time, memberships.
    pub async fn read<E>(
        &mut self,
        mut take: impl AsyncFnMut(Record) -> Result<(), E>,
    ) -> Result<Result<(), E>, SourceError> {
        let header = Header { form: FORM.into(), source: self.source.name().into() };
        if let Err(error) = take(Record::World(header)).await {
            return Ok(Err(error));
        }
        match self.source {
            Source::Morelia => morelia::read(&mut self.connection, &mut take).await,
            Source::Uchat => uchat::read(&mut self.connection, &mut take).await,
        }
    }

    /// Closes the database.
    pub async fn close(self) -> Result<(), SourceError> {
        Ok(self.connection.close().await?)
    }
}
