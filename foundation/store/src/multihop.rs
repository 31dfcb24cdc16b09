//! Exits, Multihop and the log of its session as they are stored.

use phantom_types::{ExitName, InterfaceName, PresharedKey, PrivateKey, PublicKey};
use rusqlite::{Row, params};

use crate::error::StoreError;
use crate::model::{Exit, Multihop, SessionRecord};
use crate::row;
use crate::state::State;
use crate::transaction::Transaction;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The columns that [`exit`] reads, in its order.
const EXIT: &str = "name, private_key, public_key, preshared_key, endpoint, addresses, allowed_ips, mtu, keepalive, \
                    file_mtu, file_keepalive, provider, original_path, imported_at";
/// So many records of a session are kept, the newest.
const RECORDS_KEPT: u32 = 10_000;

impl State<'_> {
    /// The imported exits by name.
    pub fn exits(&self) -> Result<Vec<Exit>> {
        self.all(&format!("SELECT {EXIT} FROM exits ORDER BY name"), (), exit)
    }

    /// The exit of this name.
    pub fn exit(&self, name: &ExitName) -> Result<Option<Exit>> {
        self.first(&format!("SELECT {EXIT} FROM exits WHERE name = ?1"), [name.as_str()], exit)
    }

    /// The names of the imported exits, sorted.
    pub fn exit_names(&self) -> Result<Vec<ExitName>> {
        self.all("SELECT name FROM exits ORDER BY name", (), |row| row::parsed(row, 0))
    }

    /// The interface that leads to the exit.
    pub fn exit_interface(&self) -> Result<Option<InterfaceName>> {
        self.first("SELECT exit_interface FROM settings", (), |row| row::parsed(row, 0))
    }

    /// Multihop, if it is enabled.
    pub fn multihop(&self) -> Result<Option<Multihop>> {
        let sql = "SELECT multihop.exit, kill_switch, fallback_exits, coalesce(used.exit, multihop.exit), used.address, \
                   activated_at, used.staged, used.staged_address FROM multihop LEFT JOIN exit_in_use AS used USING (id)";
        self.first(sql, (), multihop)
    }

    /// The newest `count` records of the current or last session, the newest of them last.
    pub fn session_records(&self, count: u32) -> Result<Vec<SessionRecord>> {
        let sql = "SELECT at, exit, event, details FROM session_records ORDER BY id DESC LIMIT ?1";
        let mut records = self.all(sql, [count], record)?;
        records.reverse();
        Ok(records)
    }

    /// How many records that session has; the oldest of more than 10,000 are not kept.
    pub fn session_length(&self) -> Result<u32> {
        Ok(self.first("SELECT count(*) FROM session_records", (), |row| row.get(0))?.unwrap_or(0))
    }
}

impl Transaction<'_> {
    /// Adds an exit. Its name must be free, and its numbers in their ranges.
    pub fn add_exit(&self, exit: &Exit) -> Result<()> {
        let values = params![
            exit.name.as_str(),
            exit.private_key.as_bytes(),
            exit.public_key.as_bytes(),
            exit.preshared_key.as_ref().map(PresharedKey::as_bytes),
            exit.endpoint.to_string(),
            row::joined(&exit.addresses),
            row::joined(&exit.allowed_ips),
            exit.mtu,
            exit.keepalive,
            exit.file_mtu,
            exit.file_keepalive,
            exit.provider,
            exit.original_path,
            exit.imported_at.micros(),
        ];
        let sql = format!(
            "INSERT INTO exits ({EXIT}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        );
        self.execute(&sql, values).map(drop)
    }

    /// Removes an exit and gives back what it was. One that carries the traffic or was chosen for it cannot be
    /// removed; as a fallback it is forgotten.
    pub fn remove_exit(&self, name: &ExitName) -> Result<Option<Exit>> {
        let Some(exit) = self.exit(name)? else { return Ok(None) };
        if let Some(mut multihop) = self.multihop()?
            && multihop.fallback_exits.contains(name)
        {
            multihop.fallback_exits.retain(|other| other != name);
            self.execute("UPDATE multihop SET fallback_exits = ?1", [row::joined(&multihop.fallback_exits)])?;
        }
        self.execute("DELETE FROM exits WHERE name = ?1", [name.as_str()])?;
        Ok(Some(exit))
    }

    /// Stores that Multihop is enabled, as this, or not.
    pub fn set_multihop(&self, multihop: Option<&Multihop>) -> Result<()> {
        self.execute("DELETE FROM multihop", ())?;
        let Some(multihop) = multihop else { return Ok(()) };
        let values = params![
            multihop.exit.as_str(),
            multihop.kill_switch,
            row::joined(&multihop.fallback_exits),
            multihop.activated_at.micros(),
        ];
        self.execute(
            "INSERT INTO multihop (id, exit, kill_switch, fallback_exits, activated_at) VALUES (1, ?1, ?2, ?3, ?4)",
            values,
        )?;
        let address = multihop.endpoint_address.map(|address| address.to_string());
        let (staged, staged_address) =
            multihop.staged.as_ref().map(|(exit, at)| (exit.as_str(), at.to_string())).unzip();
        let sql =
            "INSERT INTO exit_in_use (id, exit, address, staged, staged_address) VALUES (1, ?1, ?2, ?3, ?4)";
        self.execute(sql, params![multihop.exit_in_use.as_str(), address, staged, staged_address]).map(drop)
    }

    /// Begins the log of a new session: the records of the last one are gone.
    pub fn begin_session(&self) -> Result<()> {
        self.execute("DELETE FROM session_records", ()).map(drop)
    }

    /// Adds a record to the log of the session. Beyond 10,000 of them the oldest goes.
    pub fn add_record(&self, record: &SessionRecord) -> Result<()> {
        let SessionRecord { at, exit, event, details } = record;
        let values =
            params![at.micros(), exit.as_str(), event, details.as_ref().map(serde_json::Value::to_string)];
        self.execute(
            "INSERT INTO session_records (at, exit, event, details) VALUES (?1, ?2, ?3, ?4)",
            values,
        )?;
        let old = "DELETE FROM session_records WHERE id <= (SELECT max(id) FROM session_records) - ?1";
        self.execute(old, [RECORDS_KEPT]).map(drop)
    }
}

fn exit(row: &Row<'_>) -> rusqlite::Result<Exit> {
    Ok(Exit {
        name: row::parsed(row, 0)?,
        private_key: PrivateKey::from_bytes(row.get(1)?),
        public_key: PublicKey::from_bytes(row.get(2)?),
        preshared_key: row::preshared_key(row, 3)?,
        endpoint: row::parsed(row, 4)?,
        addresses: row::list(row, 5)?,
        allowed_ips: row::list(row, 6)?,
        mtu: row.get(7)?,
        keepalive: row.get(8)?,
        file_mtu: row.get(9)?,
        file_keepalive: row.get(10)?,
        provider: row.get(11)?,
        original_path: row.get(12)?,
        imported_at: row::time(row, 13)?,
    })
}

fn multihop(row: &Row<'_>) -> rusqlite::Result<Multihop> {
    let (staged, staged_address) = (row::optional(row, 6)?, row::optional(row, 7)?);
    Ok(Multihop {
        staged: staged.zip(staged_address),
        exit: row::parsed(row, 0)?,
        kill_switch: row.get(1)?,
        fallback_exits: row::list(row, 2)?,
        exit_in_use: row::parsed(row, 3)?,
        endpoint_address: row::optional(row, 4)?,
        activated_at: row::time(row, 5)?,
    })
}

fn record(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    let details: Option<String> = row.get(3)?;
    let unparsed =
        |error| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(error));
    Ok(SessionRecord {
        at: row::time(row, 0)?,
        exit: row::parsed(row, 1)?,
        event: row.get(2)?,
        details: details.map(|text| serde_json::from_str(&text)).transpose().map_err(unparsed)?,
    })
}

#[cfg(test)]
mod tests;
