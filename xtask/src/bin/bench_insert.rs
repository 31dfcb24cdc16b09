//! `bench-insert FILE`: one durable insert into an SQLite database, and what it took, in microseconds.
//!
//! The database is opened, a row as large as a client is inserted, and the database is closed: in WAL mode with
//! `synchronous = FULL`, and with nothing moved out of the log on closing, which is the least that survives a power
//! cut. The start of this program is not part of the figure. A file that is not there is made first, unmeasured.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the bench")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1) else {
        eprintln!("usage: bench-insert FILE");
        return ExitCode::from(2);
    };
    match make(file.as_ref()).and_then(|()| insert(file.as_ref())) {
        Ok(micros) => {
            println!("{micros}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-insert: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(file: &Path) -> rusqlite::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let connection = Connection::open(file)?;
    connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
    connection.execute_batch("CREATE TABLE clients (id INTEGER PRIMARY KEY, name TEXT UNIQUE, keys BLOB)")
}

fn insert(file: &Path) -> rusqlite::Result<u128> {
    let start = Instant::now();
    let connection = Connection::open(file)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    let sql = "INSERT INTO clients (name, keys) VALUES ('client-' || hex(randomblob(8)), randomblob(96))";
    connection.execute(sql, ())?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(start.elapsed().as_micros())
}
