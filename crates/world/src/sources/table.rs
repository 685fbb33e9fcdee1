//! Tables whose rows become records.

use super::database::{Database, Row};
use super::error::SourceError;
use crate::id::Id;
use crate::record::Record;
use std::borrow::Cow;
use std::collections::HashSet;

/// A table, or what a statement makes of several, read page by page.
pub(super) struct Table {
    /// Selects the rows of one page: those after the place `$1`, in the order of their column
    /// `place`.
    pub(super) statement: Cow<'static, str>,
    /// True if later rows have higher places, but for those that are written at the same time: then
    /// a cursor says which were read.
    pub(super) is_ascending: bool,
    /// The record of a row.
    pub(super) record: fn(&Row, &mut Pairs) -> Result<Record, sqlx::Error>,
}

/// The records of one page.
#[derive(Default)]
pub(super) struct Page {
    /// Each with the place of its row.
    pub(super) records: Vec<(i64, Record)>,
    /// The place of the last row, which may have no record; `None` of a page without rows.
    pub(super) last: Option<i64>,
}

impl Table {
    pub(super) fn new(
        statement: impl Into<Cow<'static, str>>,
        record: fn(&Row, &mut Pairs) -> Result<Record, sqlx::Error>,
    ) -> Self {
        Self { statement: statement.into(), is_ascending: true, record }
    }

    /// A table whose places do not ascend with the time at which its rows are written.
    pub(super) fn unordered(
        statement: impl Into<Cow<'static, str>>,
        record: fn(&Row, &mut Pairs) -> Result<Record, sqlx::Error>,
    ) -> Self {
        Self { is_ascending: false, ..Self::new(statement, record) }
    }

    /// Reads the page after a place; without rows, there is no further one.
    pub(super) async fn page(
        &self,
        database: &mut Database,
        after: i64,
        pairs: &mut Pairs,
    ) -> Result<Page, SourceError> {
        let mut page = Page::default();
        for row in database.rows(&self.statement, &[after]).await? {
            let (place, record) = (row.number("place")?, (self.record)(&row, pairs)?);
            // The next page begins after the last place: otherwise, it might be this one again.
            if place <= page.last.unwrap_or(after) {
                return Err(SourceError::Keys(plural(&record)));
            }
            page.last = Some(place);
            page.records.push((place, record));
        }
        Ok(page)
    }
}

/// The name of the records of a table.
fn plural(record: &Record) -> &'static str {
    match record {
        Record::World(_) => "headers",
        Record::User(_) => "users",
        Record::Flow(_) => "conversations",
        Record::Message(_) => "messages",
        Record::Member(_) => "members",
    }
}

/// The pairs of users that have a chat.
#[derive(Default)]
pub(super) struct Pairs(HashSet<(Id, Id)>);

impl Pairs {
    /// True for the first chat of two users; a further one of the same two becomes a group.
    pub(super) fn is_first(&mut self, one: Id, other: Id) -> bool {
        one != other && self.0.insert((one.min(other), one.max(other)))
    }
}
