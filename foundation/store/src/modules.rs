//! The tables of modules.
//!
//! A module hands over its name and its steps, as the store has [its own](crate::schema): each step is frozen SQL, and more are only
//! ever appended. They are taken in the transaction that brings the schema up to date, after the store's own, and the table
//! `module_schemas` holds how far each module is. So a process that is killed leaves the older tables of all, a copy is kept before,
//! and a program that knows fewer steps than were taken leaves the database alone.
//!
//! A module that this program does not have keeps its tables, and nobody looks at them.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, params};

use crate::error::{About as _, StoreError};
use crate::schema;

/// The tables that a module owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleSchema {
    /// The module's name. It is stored: the steps of a module that is renamed would be taken a second time.
    pub module: &'static str,
    /// What makes each version of its tables out of the one before, as SQL; only ever appended to. The first step makes the first
    /// tables. A step may call `os_random(n)` for n bytes of the operating system's randomness, and touches no table of others.
    pub steps: &'static [&'static str],
}

impl ModuleSchema {
    /// The newest version that this program knows.
    pub fn version(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }

    /// The same up to this version; all of it where there are not so many steps.
    fn up_to(self, version: u32) -> Self {
        Self { steps: self.steps.get(..version as usize).unwrap_or(self.steps), ..self }
    }
}

/// How far each module is whose steps were taken.
pub(crate) fn versions(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u32>> {
    // What an older schema has no table for.
    if schema::version(connection)? < schema::WITH_MODULES {
        return Ok(BTreeMap::new());
    }
    let mut statement = connection.prepare_cached("SELECT module, version FROM module_schemas")?;
    statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Whether all tables of these modules are of their last version; an error if some are of a later one.
pub(crate) fn are_current(
    connection: &Connection,
    file: &Path,
    modules: &[ModuleSchema],
) -> Result<bool, StoreError> {
    if modules.is_empty() {
        return Ok(true);
    }
    let taken = versions(connection).about(file)?;
    let mut current = true;
    for schema in modules {
        let (found, known) = (taken.get(schema.module).copied().unwrap_or(0), schema.version());
        if found > known {
            let module = Some(schema.module.to_owned());
            return Err(StoreError::Newer { file: file.to_owned(), module, found, known });
        }
        current &= found == known;
    }
    Ok(current)
}

/// Takes the steps that are missing, within the open transaction. The store's own schema is the current one.
pub(crate) fn upgrade(connection: &Connection, modules: &[ModuleSchema]) -> rusqlite::Result<()> {
    if modules.is_empty() {
        return Ok(());
    }
    let taken = versions(connection)?;
    for schema in modules {
        let from = taken.get(schema.module).copied().unwrap_or(0);
        for (step, to) in schema.steps.iter().zip(1u32..).skip_while(|(_, to)| *to <= from) {
            connection.execute_batch(step)?;
            let sql = "INSERT OR REPLACE INTO module_schemas VALUES (?1, ?2)";
            connection.execute(sql, params![schema.module, to])?;
        }
    }
    Ok(())
}

/// The schemas of what a database holds tables of, each as far as it is there; the name of a module that is not among `known`, if
/// there is one.
pub(crate) fn as_taken(
    taken: &BTreeMap<String, u32>,
    known: &[ModuleSchema],
) -> Result<Vec<ModuleSchema>, String> {
    let of = |(module, version): (&String, &u32)| {
        let schema = known.iter().find(|schema| schema.module == module).ok_or_else(|| module.clone())?;
        Ok(schema.up_to(*version))
    };
    taken.iter().map(of).collect()
}

/// What names the versions of those that are not current, in the name of a copy: `-quota-1`, nothing where all are.
pub(crate) fn older(taken: &BTreeMap<String, u32>, modules: &[ModuleSchema]) -> String {
    let found = |schema: &ModuleSchema| taken.get(schema.module).copied().unwrap_or(0);
    let older = modules.iter().filter(|schema| found(schema) < schema.version());
    older.map(|schema| format!("-{}-{}", schema.module, found(schema))).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests;
