//! Reading the state.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use phantom_types::{ClientName, ClientSecret, PublicKey, Subnet};
use rusqlite::{MAIN_DB, OptionalExtension as _, Params, Row};

use crate::cause::StoreCause;
use crate::database::{Pool, Pooled};
use crate::error::{About as _, StoreError};
use crate::model::{BackupEntry, Client, ClientInfo, ClientPage, ClientRef, DnsServers, Server, Settings};
use crate::row;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// One consistent view of the stored state.
///
/// Without a database everything is absent, empty or at its default.
#[derive(Debug)]
pub struct State<'c> {
    pool: &'c Pool,
    connection: Option<Pooled<'c>>,
}

impl<'c> State<'c> {
    /// The last committed state.
    pub(crate) fn read(pool: &'c Pool) -> Result<Self> {
        match Self::snapshot(pool, Pool::checkout) {
            Err(error) if error.is_about_log_index() => Self::snapshot(pool, Pool::checkout_without_index),
            result => result,
        }
    }

    fn snapshot(pool: &'c Pool, checkout: fn(&'c Pool) -> Result<Option<Pooled<'c>>>) -> Result<Self> {
        let Some(mut connection) = checkout(pool)? else { return Ok(Self { pool, connection: None }) };
        match take_snapshot(&mut connection, pool.file()) {
            Ok(()) => Ok(Self { pool, connection: Some(connection) }),
            Err(error) => {
                connection.discard();
                Err(error)
            }
        }
    }

    /// The last committed state, about to be changed: there is a database, with the current schema.
    pub(crate) fn write(pool: &'c Pool) -> Result<Self> {
        let file = pool.file();
        let gone = || StoreError::unreadable(file, StoreCause::Gone);
        let mut connection = pool.checkout()?.ok_or_else(gone)?;
        match open_change(&mut connection, file) {
            Ok(()) => Ok(Self { pool, connection: Some(connection) }),
            Err(error) => {
                connection.discard();
                Err(error)
            }
        }
    }

    /// Whether the system was ever set up.
    pub fn initialised(&self) -> Result<bool> {
        Ok(self.subnet()?.is_some())
    }

    /// The server; nothing before the system was set up.
    pub fn server(&self) -> Result<Option<Server>> {
        self.first(&format!("SELECT {} FROM server", row::SERVER), (), row::server)
    }

    /// The number of changes committed so far.
    pub fn generation(&self) -> Result<u64> {
        let generation: Option<i64> = self.first("SELECT generation FROM counters", (), |row| row.get(0))?;
        // It begins at 0 and only grows.
        Ok(generation.map_or(0, i64::unsigned_abs))
    }

    /// The client of exactly this name.
    pub fn client(&self, name: &ClientName) -> Result<Option<Client>> {
        // The index ignores the case, and there is at most one name of these letters.
        let found = self.client_where("name = ?1", [name.as_str()])?;
        Ok(found.filter(|client| client.name == *name))
    }

    /// The name as it is stored, if it is taken; the case does not matter.
    pub fn taken(&self, name: &ClientName) -> Result<Option<ClientName>> {
        self.first("SELECT name FROM clients WHERE name = ?1", [name.as_str()], |row| row::parsed(row, 0))
    }

    /// The client with this key.
    pub fn client_by_key(&self, key: &PublicKey) -> Result<Option<Client>> {
        self.client_where("public_key = ?1", [key.as_bytes()])
    }

    /// The client with this address of its own, IPv4 or IPv6: networks behind a client do not count. The cost is the same at any
    /// number of clients.
    pub fn client_by_address(&self, address: IpAddr) -> Result<Option<Client>> {
        match address {
            IpAddr::V4(address) => match self.subnet()?.and_then(|subnet| subnet.offset(address)) {
                Some(host) => self.client_where("host = ?1", [host]),
                None => Ok(None),
            },
            IpAddr::V6(address) => self.client_where("address6 = ?1", [address.octets()]),
        }
    }

    /// The client with this [id](Client::id).
    pub fn client_by_id(&self, id: u32) -> Result<Option<Client>> {
        self.client_where("id = ?1", [id])
    }

    /// The number of clients, at the same cost whatever it is.
    pub fn client_count(&self) -> Result<u32> {
        Ok(self.first("SELECT clients FROM counters", (), |row| row.get(0))?.unwrap_or(0))
    }

    /// Up to `limit` of the clients whose name or dotted IPv4 address contains `search`, after the first `offset`
    /// ones; oldest first, those of the same time by name. ASCII case is ignored.
    ///
    /// Without a search the first and the last pages cost the same at any number of clients; a search reads the
    /// names of all of them.
    pub fn page(&self, search: Option<&str>, offset: u32, limit: u32) -> Result<ClientPage> {
        match search {
            Some(text) => self.search(text, Ranking::Age, offset, limit),
            None => self.plain_page(offset, limit),
        }
    }

    /// As [`Self::page`] with a search, but the clients whose name contains it come before those of which only the address
    /// does; each of the two is in the order there. It keeps the host number of every client that is found in memory.
    pub fn page_names_first(&self, search: &str, offset: u32, limit: u32) -> Result<ClientPage> {
        self.search(search, Ranking::NamesFirst, offset, limit)
    }

    /// Up to `count` clients, those added last first.
    pub fn latest(&self, count: u32) -> Result<Vec<ClientInfo>> {
        self.infos("ORDER BY created DESC, name COLLATE BINARY DESC LIMIT ?1", [count])
    }

    /// Shows every client to `f`, in the order of their addresses, without keeping them in memory. The first error of
    /// `f` ends it.
    pub fn each_client<E: From<StoreError>>(
        &self,
        mut f: impl FnMut(ClientRef<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (Some(connection), Some(subnet)) = (&self.connection, self.subnet()?) else { return Ok(()) };
        let file = self.pool.file();
        let sql = format!("SELECT {} FROM clients ORDER BY host", row::PEER);
        connection.walk(|connection| {
            let mut statement = connection.prepare_cached(&sql).about(file)?;
            let mut rows = statement.query(()).about(file)?;
            while let Some(row) = rows.next().about(file)? {
                f(row::peer(row, subnet).about(file)?)?;
            }
            Ok(())
        })
    }

    /// Shows public key and tunnel secret of every client that may connect to `f`, in the order of their addresses, without
    /// keeping them in memory. The first error of `f` ends it.
    pub fn each_tunnel_secret<E: From<StoreError>>(
        &self,
        mut f: impl FnMut(&PublicKey, &ClientSecret) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let file = self.pool.file();
        let sql = "SELECT public_key, tunnel_secret FROM clients WHERE enabled ORDER BY host";
        connection.walk(|connection| {
            let mut statement = connection.prepare_cached(sql).about(file)?;
            let mut rows = statement.query(()).about(file)?;
            while let Some(row) = rows.next().about(file)? {
                let key = PublicKey::from_bytes(row.get(0).about(file)?);
                f(&key, &ClientSecret::from_bytes(row.get(1).about(file)?))?;
            }
            Ok(())
        })
    }

    /// The addresses of all clients, in ascending order.
    pub fn addresses(&self) -> Result<Vec<Ipv4Addr>> {
        let Some(subnet) = self.subnet()? else { return Ok(Vec::new()) };
        self.all("SELECT host FROM clients ORDER BY host", (), |row| row::address(row, subnet))
    }

    /// The addresses of all clients, in ascending order, each with its name.
    pub fn named_addresses(&self) -> Result<Vec<(ClientName, Ipv4Addr)>> {
        let Some(subnet) = self.subnet()? else { return Ok(Vec::new()) };
        let sql = "SELECT host, name FROM clients ORDER BY host";
        self.all(sql, (), |row| Ok((row::parsed(row, 1)?, row::address(row, subnet)?)))
    }

    /// What the operator has set.
    pub fn settings(&self) -> Result<Settings> {
        let sql = "SELECT restart_service_after_client_creation, block_ipv6_leak, language FROM settings";
        let settings = self.first(sql, (), |row| {
            Ok(Settings {
                restart_service_after_client_creation: row.get(0)?,
                block_ipv6_leak: row.get(1)?,
                language: row::language(row, 2)?,
            })
        })?;
        Ok(settings.unwrap_or_default())
    }

    /// The networks outside the VPN that may open connections to clients.
    pub fn reach_from(&self) -> Result<Vec<Subnet>> {
        let networks = self.first("SELECT reach_from FROM settings", (), |row| row::list(row, 0))?;
        Ok(networks.unwrap_or_default())
    }

    /// Whether packet filters of others are opened for the server's own ports.
    pub fn open_firewall(&self) -> Result<bool> {
        let stored = self.first("SELECT open_firewall FROM settings", (), |row| row.get(0))?;
        Ok(stored.unwrap_or(true))
    }

    /// The DNS servers of all clients.
    pub fn dns(&self) -> Result<DnsServers> {
        let servers = self.first("SELECT dns_primary, dns_secondary FROM settings", (), |row| {
            Ok(DnsServers { primary: row::parsed(row, 0)?, secondary: row::parsed(row, 1)? })
        })?;
        Ok(servers.unwrap_or_default())
    }

    /// What a module keeps under a key of its own.
    pub fn document(&self, module: &str, key: &str) -> Result<Option<serde_json::Value>> {
        let sql = "SELECT value FROM documents WHERE module = ?1 AND key = ?2";
        let text: Option<String> = self.first(sql, [module, key], |row| row.get(0))?;
        let parse = |text: String| serde_json::from_str(&text);
        text.map(parse).transpose().map_err(|error| StoreError::unreadable(self.pool.file(), error))
    }

    /// The index of backups, oldest first.
    pub fn backups(&self) -> Result<Vec<BackupEntry>> {
        self.all("SELECT id, created, from_subnet, to_subnet FROM backups ORDER BY created, id", (), |row| {
            let (created, from, to) = (row::time(row, 1)?, row::parsed(row, 2)?, row::parsed(row, 3)?);
            Ok(BackupEntry { id: row.get(0)?, created, from, to })
        })
    }

    /// The database.
    pub(crate) fn file(&self) -> &'c Path {
        self.pool.file()
    }

    /// The connection, if there is a database.
    pub(crate) fn connection(&self) -> Option<&Pooled<'c>> {
        self.connection.as_ref()
    }

    /// Closes the connection.
    pub(crate) fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.discard();
        }
    }

    /// The subnet, once the system was set up.
    pub(crate) fn subnet(&self) -> Result<Option<Subnet>> {
        self.first("SELECT subnet FROM server", (), |row| row::parsed(row, 0))
    }

    /// The first row of a query; `None` without one, and without a database. Modules read [their own tables](crate::sql) by it.
    ///
    /// # Errors
    /// The database cannot be read, or `read` does not find what it expects.
    pub fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let Some(connection) = &self.connection else { return Ok(None) };
        let query = || connection.prepare_cached(sql)?.query_row(params, read).optional();
        query().about(self.pool.file())
    }

    /// All rows of a query; none without a database. Modules read [their own tables](crate::sql) by it.
    ///
    /// # Errors
    /// As of [`Self::first`].
    pub fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let Some(connection) = &self.connection else { return Ok(Vec::new()) };
        let query =
            || connection.prepare_cached(sql)?.query_map(params, read)?.collect::<rusqlite::Result<_>>();
        query().about(self.pool.file())
    }

    fn client_where(&self, condition: &str, params: impl Params) -> Result<Option<Client>> {
        let Some(subnet) = self.subnet()? else { return Ok(None) };
        let sql = format!("SELECT {} FROM clients WHERE {condition}", row::CLIENT);
        self.first(&sql, params, |row| row::client(row, subnet))
    }

    fn infos(&self, rest: &str, params: impl Params) -> Result<Vec<ClientInfo>> {
        let Some(subnet) = self.subnet()? else { return Ok(Vec::new()) };
        self.all(&format!("SELECT {} FROM clients {rest}", row::INFO), params, |row| row::info(row, subnet))
    }

    fn plain_page(&self, offset: u32, limit: u32) -> Result<ClientPage> {
        let total = self.client_count()?;
        let limit = limit.min(total.saturating_sub(offset));
        if limit == 0 {
            return Ok(ClientPage { total, clients: Vec::new() });
        }
        // Rows that are skipped are walked over; from the nearer end there are fewer of them.
        let after = total - offset - limit;
        let clients = if offset <= after {
            self.infos("ORDER BY created, name COLLATE BINARY LIMIT ?1 OFFSET ?2", [limit, offset])?
        } else {
            let sql = "ORDER BY created DESC, name COLLATE BINARY DESC LIMIT ?1 OFFSET ?2";
            let mut clients = self.infos(sql, [limit, after])?;
            clients.reverse();
            clients
        };
        Ok(ClientPage { total, clients })
    }

    fn search(&self, text: &str, ranking: Ranking, offset: u32, limit: u32) -> Result<ClientPage> {
        let (Some(connection), Some(subnet)) = (&self.connection, self.subnet()?) else {
            return Ok(ClientPage::default());
        };
        let file = self.pool.file();
        let needle = Needle::new(text);
        let (mut found, mut by_address) = (Vec::new(), Vec::new());
        // Answered from the index by age alone, which holds the name and the host number.
        let sql = "SELECT host, name FROM clients ORDER BY created, name COLLATE BINARY";
        let mut statement = connection.prepare_cached(sql).about(file)?;
        let mut rows = statement.query(()).about(file)?;
        while let Some(row) = rows.next().about(file)? {
            let host = || row.get::<_, u32>(0).about(file);
            match (needle.find_in(row, subnet).about(file)?, ranking) {
                (None, _) => {}
                (Some(Hit::Address), Ranking::NamesFirst) => by_address.push(host()?),
                (Some(_), _) => found.push(host()?),
            }
        }
        found.append(&mut by_address);
        let total = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let mut clients = Vec::new();
        for host in found.into_iter().skip(offset as usize).take(limit as usize) {
            clients.extend(self.infos("WHERE host = ?1", [host])?);
        }
        Ok(ClientPage { total, clients })
    }
}

/// Begins a transaction that sees the last committed state, of the current schema.
fn take_snapshot(connection: &mut Pooled<'_>, file: &Path) -> Result<()> {
    loop {
        // The snapshot is taken by the first read after this, which is that of the schema version.
        connection.execute_batch("BEGIN").about(file)?;
        if connection.is_current()? {
            return Ok(());
        }
        connection.execute_batch("ROLLBACK").about(file)?;
        connection.upgrade()?;
    }
}

/// Begins a transaction that may write, of the current schema.
fn open_change(connection: &mut Pooled<'_>, file: &Path) -> Result<()> {
    // SQLite would begin all the same, and refuse only the first write.
    if connection.is_readonly(MAIN_DB).about(file)? {
        return Err(StoreError::write(file, std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem)));
    }
    connection.prepare_writing().about(file)?;
    loop {
        connection.execute_batch("BEGIN IMMEDIATE").about(file)?;
        if connection.is_current()? {
            // Whatever is written into a damaged database makes it worse.
            return connection.check_if_small(file);
        }
        // In a transaction of its own, so that whoever reads while the change is under way finds a schema that it
        // knows.
        connection.execute_batch("ROLLBACK").about(file)?;
        connection.upgrade()?;
    }
}

/// What is searched for.
struct Needle {
    lower: String,
    /// Whether it could be a part of an address, so that the addresses have to be spelt out.
    dotted: bool,
}

impl Needle {
    fn new(text: &str) -> Self {
        let dotted = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        Self { lower: text.to_ascii_lowercase(), dotted }
    }

    /// What of a row (host number, name) contains it; the name counts before the address.
    fn find_in(&self, row: &Row<'_>, subnet: Subnet) -> rusqlite::Result<Option<Hit>> {
        if row.get_ref(1)?.as_str()?.to_ascii_lowercase().contains(&self.lower) {
            return Ok(Some(Hit::Name));
        }
        let in_address = self.dotted && row::address(row, subnet)?.to_string().contains(&self.lower);
        Ok(in_address.then_some(Hit::Address))
    }
}

/// What of a client contains the text that is searched for.
#[derive(Clone, Copy)]
enum Hit {
    Name,
    Address,
}

/// The order of what a search finds.
#[derive(Clone, Copy)]
enum Ranking {
    /// Oldest first.
    Age,
    /// Those found by name first.
    NamesFirst,
}

#[cfg(test)]
mod tests;
