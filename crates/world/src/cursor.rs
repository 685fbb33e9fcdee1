//! The place up to which a database was read.

/// Places before the last one that are read again: rows that are written at the same time may be
/// committed in another order than that of their places.
const OVERLAP: i64 = 1_000;

/// The place of a row among those of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowPlace {
    /// The index of the table among those of its source.
    pub(crate) table: usize,
    /// The place, which ascends with the time at which rows are written.
    pub(crate) number: i64,
}

/// The places up to which the tables of a source were read. Its text is the places with commas
/// between them, and nothing for a table that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor(Vec<Option<i64>>);

impl Cursor {
    /// The cursor that a text says; `None` for one that is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let place = |text: &str| match text {
            "" => Some(None),
            number => number.parse().ok().map(Some),
        };
        text.split(',').map(place).collect::<Option<_>>().map(Self)
    }

    /// The text of the cursor; `None` if nothing was read.
    pub fn to_text(&self) -> Option<String> {
        let text = |place: &Option<i64>| place.map(|number| number.to_string()).unwrap_or_default();
        let texts: Vec<String> = self.0.iter().map(text).collect();
        self.0.iter().any(Option::is_some).then(|| texts.join(","))
    }

    /// True if the row was read.
    pub fn includes(&self, row: RowPlace) -> bool {
        self.of(row.table).is_some_and(|number| row.number <= number)
    }

    /// Goes on to a row, unless it was read before.
    pub fn reach(&mut self, row: RowPlace) {
        if self.0.len() <= row.table {
            self.0.resize(row.table + 1, None);
        }
        self.0[row.table] = self.0[row.table].max(Some(row.number));
    }

    /// The place after which a table is read; `None` for all of it.
    pub(crate) fn start(&self, table: usize) -> Option<i64> {
        self.of(table).map(|number| number.saturating_sub(OVERLAP))
    }

    fn of(&self, table: usize) -> Option<i64> {
        self.0.get(table).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_again_what_may_have_been_committed_late() {
        let mut cursor = Cursor::default();
        assert_eq!((cursor.start(1), cursor.to_text()), (None, None));
        let row = |number| RowPlace { table: 1, number };
        cursor.reach(row(5_000));
        cursor.reach(row(4_500));
        assert_eq!((cursor.start(0), cursor.start(1)), (None, Some(4_000)));
        assert!(cursor.includes(row(5_000)) && !cursor.includes(row(5_001)));
        assert!(!cursor.includes(RowPlace { table: 2, number: 1 }));
        cursor.reach(RowPlace { table: 0, number: i64::MIN });
        assert_eq!(cursor.start(0), Some(i64::MIN));
    }

    #[test]
    fn a_cursor_is_written_as_it_was_read() {
        for text in ["1", ",5", "1,,-3", "9223372036854775807,0"] {
            assert_eq!(Cursor::parse(text).unwrap().to_text().as_deref(), Some(text));
        }
        assert_eq!(Cursor::parse(""), Some(Cursor(vec![None])));
        for text in ["a", "1;2", "1, 2", "9223372036854775808"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
