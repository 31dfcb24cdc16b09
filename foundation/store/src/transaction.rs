//! Changing the state.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::ops::Deref;
use std::path::PathBuf;

use ipnetwork::Ipv6Network;
use phantom_types::{ClientName, PresharedKey, PrivateKey, Remap, Subnet};
use rusqlite::{Params, params};

use crate::database::Pooled;
use crate::error::{About as _, InsertError, StoreError};
use crate::files::Repair;
use crate::lock::Lock;
use crate::model::{BackupEntry, Client, DnsServers, Language, NewClient, Server, Settings};
use crate::restore::Replacement;
use crate::row;
use crate::state::State;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The first host number that a client can have; 1 is the server's.
const FIRST_HOST: u32 = 2;

/// A change of the state: a [`State`] that shows what was written so far, and that nobody else sees before
/// [`commit`](Self::commit). Dropped without it, nothing has happened.
///
/// After an error of one of its functions the change should be dropped.
#[derive(Debug)]
pub struct Transaction<'a> {
    state: State<'a>,
    repairs: Vec<Repair>,
    /// SQLite's count of changed rows when the change began.
    rows_before: u64,
    /// Whether the server itself was changed.
    of_the_server: Cell<bool>,
    /// Whether the commit counts although nothing is stored.
    counts: Cell<bool>,
    /// Where room is kept back after the commit.
    room: Option<PathBuf>,
    /// What it takes the place of.
    replaces: Option<Replacement<'a>>,
    _lock: &'a Lock,
}

/// A change of this many rows is a large one.
const LARGE_CHANGE: u64 = 500;

/// Where the next client goes.
struct Slot {
    subnet: Subnet,
    subnet6: Option<Ipv6Network>,
    /// The lowest host number that was given back, else the one above all that were ever given.
    host: u32,
    /// The id above all that were ever given.
    id: u32,
}

impl<'a> Transaction<'a> {
    pub(crate) fn begin(state: State<'a>, lock: &'a Lock, repairs: Vec<Repair>) -> Self {
        let rows_before = state.connection().map_or(0, |connection| connection.total_changes());
        let (of_the_server, counts) = (Cell::new(false), Cell::new(false));
        Self { state, repairs, rows_before, of_the_server, counts, room: None, replaces: None, _lock: lock }
    }

    /// Keeps room back in this file when it is committed.
    pub(crate) fn keep_room_in(&mut self, file: PathBuf) {
        self.room = Some(file);
    }

    /// Lets the commit put its database in the place of another.
    pub(crate) fn replace(&mut self, replacement: Replacement<'a>) {
        self.replaces = Some(replacement);
    }

    /// Lets the commit count although nothing is stored.
    pub(crate) fn count(&self) {
        self.counts.set(true);
    }

    /// Whether anything was written so far.
    pub(crate) fn has_changes(&self) -> bool {
        self.state.connection().is_some_and(|connection| connection.total_changes() > self.rows_before)
    }

    /// Files and directories that stood open to others when the change began, and now are closed whether or not it
    /// is committed.
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

    /// Stores the server, in the place of the one before. Nothing is written if it is the same.
    ///
    /// Once there are clients its subnet has to stay the same ([`StoreError::Remap`]); see
    /// [`change_subnet`](Self::change_subnet).
    pub fn set_server(&self, server: &Server) -> Result<()> {
        let moves = self.subnet()?.is_some_and(|subnet| subnet != server.subnet);
        if moves && self.client_count()? > 0 {
            return Err(StoreError::Remap { file: self.file().to_owned() });
        }
        if self.server()?.as_ref() == Some(server) {
            return Ok(());
        }
        let Server { private_key, public_key, server_ip, endpoint, ipv6, port, subnet, subnet6, .. } = server;
        let sql = format!(
            "INSERT OR REPLACE INTO server (id, {}) \
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            row::SERVER
        );
        let values = params![
            private_key.as_bytes(),
            public_key.as_bytes(),
            server_ip.map(|address| address.to_string()),
            endpoint.as_ref().map(ToString::to_string),
            ipv6.map(|address| address.to_string()),
            port,
            subnet.to_string(),
            subnet6.map(|network| network.to_string()),
            server.interface.as_str(),
            server.backend_choice.as_str(),
            server.backend.as_str(),
            server.stopped_in,
            server.ip_forward_before,
            server.created.micros(),
        ];
        self.of_the_server.set(true);
        self.execute(&sql, values).map(drop)
    }

    /// Adds a client at the lowest free address of the subnet, with the next id. It costs the same at any number of
    /// clients.
    pub fn insert_client(&self, new: NewClient) -> Result<Client, InsertError> {
        if let Some(stored) = self.taken(&new.name)? {
            return Err(InsertError::Exists(stored));
        }
        let Slot { subnet, subnet6, host, id } = self.slot()?;
        let Some(address) = subnet.host(host) else {
            return Err(InsertError::Full { subnet, usable: subnet.usable(), clients: self.client_count()? });
        };
        let address6 = self.address6(new.address6, subnet6, host)?;
        let NewClient { name, extra_ips, private_key, public_key, preshared_key, tunnel_secret, .. } = new;
        let created = new.created;
        let sql = "INSERT INTO clients (host, id, name, address6, extra_ips, private_key, public_key, preshared_key, \
                   tunnel_secret, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let values = params![
            host,
            id,
            name.as_str(),
            address6.map(|address| address.octets()),
            row::joined(&extra_ips),
            private_key.as_ref().map(PrivateKey::as_bytes),
            public_key.as_bytes(),
            preshared_key.as_ref().map(PresharedKey::as_bytes),
            tunnel_secret.as_bytes(),
            created.micros(),
        ];
        if let Err(error) = self.execute(sql, values) {
            let twin = self.client_by_key(&public_key)?;
            return Err(twin.map_or(InsertError::Store(error), |twin| InsertError::DuplicateKey(twin.name)));
        }
        Ok(Client {
            id,
            name,
            address,
            address6,
            extra_ips,
            private_key,
            public_key,
            preshared_key,
            tunnel_secret,
            created,
            enabled: true,
        })
    }

    /// The IPv6 address of a new client: the one that was chosen for it, else the one in the server's prefix that
    /// belongs to its host number, or the next one of the prefix that nobody has.
    fn address6(
        &self,
        chosen: Option<Ipv6Addr>,
        prefix: Option<Ipv6Network>,
        host: u32,
    ) -> Result<Option<Ipv6Addr>, InsertError> {
        if let Some(address) = chosen {
            let holder = self.holder(address)?;
            return holder.map_or(Ok(chosen), |holder| Err(InsertError::AddressTaken { address, holder }));
        }
        let Some(prefix) = prefix else { return Ok(None) };
        let mut address = in_prefix(prefix, host);
        while prefix.contains(address) {
            if self.holder(address)?.is_none() {
                return Ok(Some(address));
            }
            address = Ipv6Addr::from_bits(address.to_bits().wrapping_add(1));
        }
        Ok(None)
    }

    /// Who has this IPv6 address.
    fn holder(&self, address: Ipv6Addr) -> Result<Option<ClientName>> {
        let sql = "SELECT name FROM clients WHERE address6 = ?1";
        self.first(sql, [address.octets()], |row| row::parsed(row, 0))
    }

    /// Removes the client of exactly this name and gives back what it was. Its address is free again.
    pub fn remove_client(&self, name: &ClientName) -> Result<Option<Client>> {
        let client = self.client(name)?;
        if client.is_some() {
            self.execute("DELETE FROM clients WHERE name = ?1", [name.as_str()])?;
        }
        Ok(client)
    }

    /// Stores what the operator has set.
    pub fn set_settings(&self, settings: &Settings) -> Result<()> {
        let Settings { restart_service_after_client_creation, block_ipv6_leak, language } = *settings;
        let sql = "UPDATE settings SET restart_service_after_client_creation = ?1, block_ipv6_leak = ?2, language = ?3";
        let language = language.map(Language::as_str);
        self.execute(sql, params![restart_service_after_client_creation, block_ipv6_leak, language]).map(drop)
    }

    /// Stores the networks outside the VPN that may open connections to clients.
    pub fn set_reach_from(&self, networks: &[Subnet]) -> Result<()> {
        self.execute("UPDATE settings SET reach_from = ?1", [row::joined(networks)]).map(drop)
    }

    /// Stores whether packet filters of others are opened for the server's own ports.
    pub fn set_open_firewall(&self, open: bool) -> Result<()> {
        self.execute("UPDATE settings SET open_firewall = ?1", [open]).map(drop)
    }

    /// Stores the DNS servers of all clients.
    pub fn set_dns(&self, servers: &DnsServers) -> Result<()> {
        let values = [servers.primary.to_string(), servers.secondary.to_string()];
        self.execute("UPDATE settings SET dns_primary = ?1, dns_secondary = ?2", values).map(drop)
    }

    /// Moves the server and all clients to another subnet, each client to the address that `remap` has for it:
    /// what [`Subnet::remap`] makes of the present subnet and [all addresses](State::addresses).
    ///
    /// A mapping that does not name exactly the stored clients, that does not keep a host number which exists in the
    /// new subnet, or that gives an address twice is refused ([`StoreError::Remap`]) before anything is written. IPv6
    /// addresses stay. The cost is that of reading all addresses and of writing those clients that change their host
    /// number.
    pub fn change_subnet(&self, new: Subnet, remap: &Remap) -> Result<()> {
        let file = self.file();
        let misfit = || StoreError::Remap { file: file.to_owned() };
        let old = self.subnet()?.ok_or_else(|| StoreError::NotInitialised { file: file.to_owned() })?;
        let moves = self.moves(old, new, remap)?.ok_or_else(misfit)?;
        self.of_the_server.set(true);
        self.execute("UPDATE server SET subnet = ?1", [new.to_string()])?;
        for (from, to) in moves {
            self.execute("UPDATE clients SET host = ?2 WHERE host = ?1", [from, to])?;
        }
        // Numbers that the new subnet does not have are not free in it.
        self.execute("DELETE FROM free_hosts WHERE host > ?1", [new.usable()])?;
        self.execute("UPDATE counters SET last_host = min(last_host, max(1, ?1))", [new.usable()]).map(drop)
    }

    /// Stores what a module keeps under a key of its own; `None` removes it.
    pub fn set_document(&self, module: &str, key: &str, value: Option<&serde_json::Value>) -> Result<()> {
        match value {
            Some(value) => {
                let sql = "INSERT OR REPLACE INTO documents VALUES (?1, ?2, ?3)";
                self.execute(sql, params![module, key, value.to_string()])
            }
            None => self.execute("DELETE FROM documents WHERE module = ?1 AND key = ?2", [module, key]),
        }
        .map(drop)
    }

    /// Adds an entry to the index of backups.
    pub fn add_backup(&self, backup: &BackupEntry) -> Result<()> {
        let BackupEntry { id, created, from, to } = backup;
        let values = params![id, created.micros(), from.to_string(), to.to_string()];
        self.execute("INSERT INTO backups VALUES (?1, ?2, ?3, ?4)", values).map(drop)
    }

    /// Makes the change happen. When this returns, it is on the disk, and everybody who reads from now on sees it.
    ///
    /// The [generation](State::generation) grows by one, unless nothing was written and no space
    /// [reserved](Self::reserve_space). After an error nothing has happened.
    pub fn commit(mut self) -> Result<()> {
        let replaces = self.replaces.take();
        if let Some(replacement) = &replaces {
            replacement.settle_live()?;
        }
        let connection = self.connected()?;
        let rows = connection.total_changes() - self.rows_before;
        let mut clients = None;
        if rows > 0 || self.counts.get() {
            let sql = "UPDATE counters SET generation = generation + 1 RETURNING clients";
            clients = self.first(sql, (), |row| row.get(0))?;
        }
        connection.execute_batch("COMMIT").about(self.file())?;
        // A change of the server is rare, and should be in the database even for somebody who copies that file alone;
        // a large change makes a log that every process would have to read.
        if self.of_the_server.get() || rows >= LARGE_CHANGE || replaces.is_some() {
            connection.settle();
        }
        if let Some(replacement) = replaces {
            self.state.close();
            replacement.put_in_place(self.state.file())?;
        }
        if let Some((room, clients)) = self.room.as_deref().zip(clients) {
            crate::room::keep(room, clients);
        }
        Ok(())
    }

    fn slot(&self) -> Result<Slot> {
        let sql = "SELECT subnet, subnet6, \
                   coalesce((SELECT min(host) FROM free_hosts), last_host + 1), last_id + 1 FROM server, counters";
        let slot = self.first(sql, (), |row| {
            let (subnet, subnet6) = (row::parsed(row, 0)?, row::optional(row, 1)?);
            Ok(Slot { subnet, subnet6, host: row.get(2)?, id: row.get(3)? })
        })?;
        slot.ok_or_else(|| StoreError::NotInitialised { file: self.file().to_owned() })
    }

    /// The host numbers that change, from and to; nothing if the mapping is not one of the stored clients.
    fn moves(&self, old: Subnet, new: Subnet, remap: &Remap) -> Result<Option<Vec<(u32, u32)>>> {
        let stored: BTreeSet<u32> =
            self.all("SELECT host FROM clients", (), |row| row.get(0))?.into_iter().collect();
        let (mut sources, mut targets, mut moves) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for (from, to) in &remap.clients {
            let (Some(from), Some(to)) = (old.offset(*from), new.offset(*to)) else { return Ok(None) };
            let keeps = from == to;
            let fits = (FIRST_HOST..=new.usable()).contains(&to) && (keeps || from > new.usable());
            if !fits || !stored.contains(&from) || !sources.insert(from) || !targets.insert(to) {
                return Ok(None);
            }
            if !keeps {
                moves.push((from, to));
            }
        }
        Ok((sources.len() == stored.len()).then_some(moves))
    }

    fn connected(&self) -> Result<&Pooled<'a>> {
        // There always is one: a change begins by making the database.
        self.state.connection().ok_or_else(|| StoreError::NotInitialised { file: self.file().to_owned() })
    }

    /// Runs one statement that writes, and gives the number of rows that it changed. Modules write [their own
    /// tables](crate::sql) by it.
    ///
    /// # Errors
    /// The database cannot be written, or a rule of the table refuses the values.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        let run = |connection: &Pooled<'a>| connection.prepare_cached(sql)?.execute(params);
        run(self.connected()?).about(self.file())
    }
}

impl<'a> Deref for Transaction<'a> {
    type Target = State<'a>;
    fn deref(&self) -> &State<'a> {
        &self.state
    }
}

/// The address with this host number in an IPv6 prefix.
fn in_prefix(network: Ipv6Network, host: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(network.network().to_bits() | u128::from(host))
}

#[cfg(test)]
mod tests;
