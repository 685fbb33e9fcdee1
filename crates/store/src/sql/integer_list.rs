//! Lists of integers as one parameter, of any length.

use sea_orm::{DbBackend, Value};
use std::fmt::Write;

/// The list as a parameter: the text of an array of PostgreSQL, or of a JSON array for SQLite.
pub(crate) fn integer_list(backend: DbBackend, list: impl IntoIterator<Item = i64>) -> Value {
    let (begin, end) = match backend {
        DbBackend::Postgres => ('{', '}'),
        _ => ('[', ']'),
    };
    let mut text = String::from(begin);
    for (index, number) in list.into_iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{number}");
    }
    text.push(end);
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_an_array_of_each_database() {
        for (list, postgres, sqlite) in
            [(&[][..], "{}", "[]"), (&[7], "{7}", "[7]"), (&[-1, 20, 3], "{-1,20,3}", "[-1,20,3]")]
        {
            let text = |backend| integer_list(backend, list.iter().copied());
            assert_eq!(text(DbBackend::Postgres), Value::from(postgres));
            assert_eq!(text(DbBackend::Sqlite), Value::from(sqlite));
        }
    }
}
