//! What a module reads and writes its own tables with: [`State::first`](crate::State::first),
//! [`State::all`](crate::State::all) and [`Transaction::execute`](crate::Transaction::execute), and from columns to values.
//!
//! Values are stored as the tables of the store have them: times are microseconds since 1970-01-01 UTC, keys are blobs of 32 bytes,
//! and everything else that there is little of is text in its usual form.

use std::error::Error;
use std::path::Path;
use std::str::FromStr;

use phantom_types::Timestamp;
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Type, ValueRef};
pub use rusqlite::{Error as SqlError, Params, Result, Row, params};

/// The time in a column.
///
/// # Errors
/// The column holds no number.
pub fn time(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

/// A text that only a certain type can hold.
///
/// # Errors
/// The column holds no text, or one that the type does not take.
pub fn parsed<T>(row: &Row<'_>, column: usize) -> Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| unparsed(column, error))
}

/// As [`parsed`], of a column that may be empty.
///
/// # Errors
/// As there.
pub fn optional<T>(row: &Row<'_>, column: usize) -> Result<Option<T>>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    if row.get_ref(column)? == ValueRef::Null { Ok(None) } else { parsed(row, column).map(Some) }
}

/// The text that [`list`] reads.
pub fn joined<T: ToString>(elements: &[T]) -> String {
    elements.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A list in one text, separated as in a WireGuard configuration.
///
/// # Errors
/// The column holds no text, or an element that the type does not take.
pub fn list<T>(row: &Row<'_>, column: usize) -> Result<Vec<T>>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let elements = row.get_ref(column)?.as_str()?.split(',').map(str::trim).filter(|text| !text.is_empty());
    elements.map(|text| text.parse().map_err(|error| unparsed(column, error))).collect()
}

/// That a column's text is not what it should be.
pub fn unparsed(column: usize, error: impl Error + Send + Sync + 'static) -> SqlError {
    SqlError::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// A path as a text to store. One that is no UTF-8 cannot be stored.
#[derive(Clone, Copy, Debug)]
pub struct PathText<'a>(pub &'a Path);

impl ToSql for PathText<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let unfit = || SqlError::ToSqlConversionFailure("a path is not UTF-8".into());
        self.0.to_str().map(Into::into).ok_or_else(unfit)
    }
}
