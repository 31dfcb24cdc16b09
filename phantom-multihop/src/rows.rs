//! The rows of exits, of Multihop and of the log of its session. The store's first schemas have their tables; what changes from now
//! on is a step of [`SCHEMA`].

use ipnetwork::Ipv4Network;
use phantom_store::sql::{self, Row, params};
use phantom_store::{ModuleSchema, State, StoreError, Transaction};
use phantom_types::{ExitName, InterfaceName, PresharedKey, PrivateKey, PublicKey};

use crate::model::{Exit, Multihop, SessionRecord};

/// The steps of the tables of Multihop after those that the store's first schemas made.
pub const SCHEMA: ModuleSchema = ModuleSchema { module: "multihop", steps: &[] };

/// The columns that [`exit`] reads, in its order.
const EXIT: &str = "name, private_key, public_key, preshared_key, endpoint, addresses, allowed_ips, mtu, keepalive, \
                    file_mtu, file_keepalive, provider, original_path, imported_at";
/// So many records of a session are kept, the newest.
const RECORDS_KEPT: u32 = 10_000;

/// What of exits and of Multihop is stored.
pub trait MultihopState {
    /// The imported exits by name.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn exits(&self) -> Result<Vec<Exit>, StoreError>;
    /// The exit of this name.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn exit(&self, name: &ExitName) -> Result<Option<Exit>, StoreError>;
    /// The names of the imported exits, sorted.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn exit_names(&self) -> Result<Vec<ExitName>, StoreError>;
    /// The interface that leads to the exit.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn exit_interface(&self) -> Result<Option<InterfaceName>, StoreError>;
    /// Multihop, if it is enabled.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn multihop(&self) -> Result<Option<Multihop>, StoreError>;
    /// The newest `count` records of the current or last session, the newest of them last.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn session_records(&self, count: u32) -> Result<Vec<SessionRecord>, StoreError>;
    /// How many records that session has; the oldest of more than 10,000 are not kept.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn session_length(&self) -> Result<u32, StoreError>;
    /// Whether client traffic leaves through an exit.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn multihop_active(&self) -> Result<bool, StoreError>;
    /// The addresses of each imported exit, with their prefix lengths and in their order; the exits by name.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn exit_addresses(&self) -> Result<Vec<(ExitName, Vec<Ipv4Network>)>, StoreError>;
}

/// How what is stored of exits and of Multihop changes.
pub trait MultihopChange {
    /// Adds an exit. Its name must be free, and its numbers in their ranges.
    ///
    /// # Errors
    /// The database cannot be written, or a rule of its tables refuses it.
    fn add_exit(&self, exit: &Exit) -> Result<(), StoreError>;
    /// Removes an exit and gives back what it was. One that carries the traffic or was chosen for it cannot be
    /// removed; as a fallback it is forgotten.
    ///
    /// # Errors
    /// The database cannot be written, or a rule of its tables refuses it.
    fn remove_exit(&self, name: &ExitName) -> Result<Option<Exit>, StoreError>;
    /// Stores that Multihop is enabled, as this, or not.
    ///
    /// # Errors
    /// The database cannot be written, or a rule of its tables refuses it.
    fn set_multihop(&self, multihop: Option<&Multihop>) -> Result<(), StoreError>;
    /// Begins the log of a new session: the records of the last one are gone.
    ///
    /// # Errors
    /// The database cannot be written, or a rule of its tables refuses it.
    fn begin_session(&self) -> Result<(), StoreError>;
    /// Adds a record to the log of the session. Beyond 10,000 of them the oldest goes.
    ///
    /// # Errors
    /// The database cannot be written, or a rule of its tables refuses it.
    fn add_record(&self, record: &SessionRecord) -> Result<(), StoreError>;
}

impl MultihopState for State<'_> {
    fn exits(&self) -> Result<Vec<Exit>, StoreError> {
        self.all(&format!("SELECT {EXIT} FROM exits ORDER BY name"), (), exit)
    }

    fn exit(&self, name: &ExitName) -> Result<Option<Exit>, StoreError> {
        self.first(&format!("SELECT {EXIT} FROM exits WHERE name = ?1"), [name.as_str()], exit)
    }

    fn exit_names(&self) -> Result<Vec<ExitName>, StoreError> {
        self.all("SELECT name FROM exits ORDER BY name", (), |row| sql::parsed(row, 0))
    }

    fn exit_interface(&self) -> Result<Option<InterfaceName>, StoreError> {
        self.first("SELECT exit_interface FROM settings", (), |row| sql::parsed(row, 0))
    }

    fn multihop(&self) -> Result<Option<Multihop>, StoreError> {
        let sql = "SELECT multihop.exit, kill_switch, fallback_exits, coalesce(used.exit, multihop.exit), used.address, \
                   activated_at, used.staged, used.staged_address FROM multihop LEFT JOIN exit_in_use AS used USING (id)";
        self.first(sql, (), multihop)
    }

    fn session_records(&self, count: u32) -> Result<Vec<SessionRecord>, StoreError> {
        let sql = "SELECT at, exit, event, details FROM session_records ORDER BY id DESC LIMIT ?1";
        let mut records = self.all(sql, [count], record)?;
        records.reverse();
        Ok(records)
    }

    fn session_length(&self) -> Result<u32, StoreError> {
        Ok(self.first("SELECT count(*) FROM session_records", (), |row| row.get(0))?.unwrap_or(0))
    }

    fn multihop_active(&self) -> Result<bool, StoreError> {
        Ok(self.first("SELECT 1 FROM multihop", (), |_| Ok(()))?.is_some())
    }

    fn exit_addresses(&self) -> Result<Vec<(ExitName, Vec<Ipv4Network>)>, StoreError> {
        let sql = "SELECT name, addresses FROM exits ORDER BY name";
        self.all(sql, (), |row| Ok((sql::parsed(row, 0)?, sql::list(row, 1)?)))
    }
}

impl MultihopChange for Transaction<'_> {
    fn add_exit(&self, exit: &Exit) -> Result<(), StoreError> {
        let values = params![
            exit.name.as_str(),
            exit.private_key.as_bytes(),
            exit.public_key.as_bytes(),
            exit.preshared_key.as_ref().map(PresharedKey::as_bytes),
            exit.endpoint.to_string(),
            sql::joined(&exit.addresses),
            sql::joined(&exit.allowed_ips),
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

    fn remove_exit(&self, name: &ExitName) -> Result<Option<Exit>, StoreError> {
        let Some(exit) = self.exit(name)? else { return Ok(None) };
        if let Some(mut multihop) = self.multihop()?
            && multihop.fallback_exits.contains(name)
        {
            multihop.fallback_exits.retain(|other| other != name);
            self.execute("UPDATE multihop SET fallback_exits = ?1", [sql::joined(&multihop.fallback_exits)])?;
        }
        self.execute("DELETE FROM exits WHERE name = ?1", [name.as_str()])?;
        Ok(Some(exit))
    }

    fn set_multihop(&self, multihop: Option<&Multihop>) -> Result<(), StoreError> {
        self.execute("DELETE FROM multihop", ())?;
        let Some(multihop) = multihop else { return Ok(()) };
        let values = params![
            multihop.chosen_exit.as_str(),
            multihop.kill_switch,
            sql::joined(&multihop.fallback_exits),
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
        self.execute(sql, params![multihop.active_exit.as_str(), address, staged, staged_address]).map(drop)
    }

    fn begin_session(&self) -> Result<(), StoreError> {
        self.execute("DELETE FROM session_records", ()).map(drop)
    }

    fn add_record(&self, record: &SessionRecord) -> Result<(), StoreError> {
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

fn exit(row: &Row<'_>) -> sql::Result<Exit> {
    Ok(Exit {
        name: sql::parsed(row, 0)?,
        private_key: PrivateKey::from_bytes(row.get(1)?),
        public_key: PublicKey::from_bytes(row.get(2)?),
        preshared_key: row.get::<_, Option<_>>(3)?.map(PresharedKey::from_bytes),
        endpoint: sql::parsed(row, 4)?,
        addresses: sql::list(row, 5)?,
        allowed_ips: sql::list(row, 6)?,
        mtu: row.get(7)?,
        keepalive: row.get(8)?,
        file_mtu: row.get(9)?,
        file_keepalive: row.get(10)?,
        provider: row.get(11)?,
        original_path: row.get(12)?,
        imported_at: sql::time(row, 13)?,
    })
}

fn multihop(row: &Row<'_>) -> sql::Result<Multihop> {
    let (staged, staged_address) = (sql::optional(row, 6)?, sql::optional(row, 7)?);
    Ok(Multihop {
        staged: staged.zip(staged_address),
        chosen_exit: sql::parsed(row, 0)?,
        kill_switch: row.get(1)?,
        fallback_exits: sql::list(row, 2)?,
        active_exit: sql::parsed(row, 3)?,
        endpoint_address: sql::optional(row, 4)?,
        activated_at: sql::time(row, 5)?,
    })
}

fn record(row: &Row<'_>) -> sql::Result<SessionRecord> {
    let details: Option<String> = row.get(3)?;
    Ok(SessionRecord {
        at: sql::time(row, 0)?,
        exit: sql::parsed(row, 1)?,
        event: row.get(2)?,
        details: details
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| sql::unparsed(3, error))?,
    })
}

#[cfg(test)]
mod tests;
