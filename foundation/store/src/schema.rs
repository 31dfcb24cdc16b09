//! The versions of the store's own schema. Modules have [theirs](crate::modules).
//!
//! Version `n` is what the first `n` files of [`MIGRATIONS`] make of an empty database; it is kept in SQLite's
//! `user_version`. A migration is frozen SQL: of the code it refers to [`os_random`](add_functions) alone, so that the
//! rest may change.
//!
//! # What a migration costs
//!
//! It is one transaction: it takes place as a whole, and a process that is killed leaves the older schema. Changed pages go to
//! the log as they come, so that memory is bounded at any number of clients ([`Pooled::upgrade`]). Version 2 rewrites every
//! client: 60,000 of them in 0.6 s with 36 MiB, a million in 10 s with 124 MiB. Versions 3 to 5
//! touch no client.
//!
//! [`Pooled::upgrade`]: crate::database::Pooled::upgrade

use std::path::Path;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::cause::StoreCause;
use crate::error::{About as _, StoreError};

/// The steps from each version to the next one; only ever appended to.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
];

/// The first version that has a table for the versions of modules.
pub(crate) const WITH_MODULES: u32 = 5;

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
        0 => Err(StoreError::unreadable(file, StoreCause::NotOurs)),
        found if found > known => {
            Err(StoreError::Newer { file: file.to_owned(), module: None, found, known })
        }
        found => Ok(found == known),
    }
}

/// Brings the schema to the last of `migrations`, within the open transaction. It does nothing to a current schema.
pub(crate) fn upgrade(connection: &Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let from = version(connection)?;
    add_functions(connection)?;
    for (step, to) in migrations.iter().zip(1u32..).skip_while(|(_, to)| *to <= from) {
        connection.execute_batch(step)?;
        connection.pragma_update(None, "user_version", to)?;
    }
    Ok(())
}

/// Gives the migrations what SQL has not: `os_random(n)`, n bytes of the operating system's randomness. SQLite's own
/// `randomblob` is not made for secrets.
fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("os_random", 1, flags, |context| {
        let mut bytes = vec![0; context.get::<u8>(0)?.into()];
        getrandom::fill(&mut bytes).map_err(|error| rusqlite::Error::UserFunctionError(error.into()))?;
        Ok(bytes)
    })
}

#[cfg(test)]
mod tests;
