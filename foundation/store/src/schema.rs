//! The versions of the schema.
//!
//! Version `n` is what the first `n` files of [`MIGRATIONS`] make of an empty database; it is kept in SQLite's
//! `user_version`. A migration is frozen SQL: it refers to nothing in the code, so that the code may change.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{About as _, StoreError};

/// The steps from each version to the next one; only ever appended to.
pub(crate) const MIGRATIONS: &[&str] = &[include_str!("schema/0001.sql")];

/// The schema version of an open database.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.prepare_cached("PRAGMA user_version")?.query_row((), |row| row.get(0))
}

/// Whether the database has the schema of the last of `migrations`; an error if it has none or a later one.
pub(crate) fn is_current(
    connection: &Connection,
    file: &Path,
    migrations: &[&str],
) -> Result<bool, StoreError> {
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    match version(connection).about(file)? {
        // A file gets its name only when its schema is complete, so that this is not a database in the making.
        0 => Err(StoreError::unreadable(file, "not a database of Phantom-WG")),
        found if found > known => Err(StoreError::Newer { file: file.to_owned(), found, known }),
        found => Ok(found == known),
    }
}

/// Brings the schema to the last of `migrations`, within the open transaction. It does nothing to a current schema.
pub(crate) fn upgrade(connection: &Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let from = version(connection)?;
    for (step, to) in migrations.iter().zip(1u32..).skip_while(|(_, to)| *to <= from) {
        connection.execute_batch(step)?;
        connection.pragma_update(None, "user_version", to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
