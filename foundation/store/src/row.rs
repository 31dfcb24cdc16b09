//! From columns to values.

use std::net::{Ipv4Addr, Ipv6Addr};

use phantom_types::{ClientSecret, PresharedKey, PrivateKey, PublicKey, Subnet};
use rusqlite::Row;
use rusqlite::types::Type;

use crate::model::{Client, ClientInfo, ClientRef, Language, Server};
pub(crate) use crate::sql::{joined, list, optional, parsed, time};

/// A value that the schema should have kept out.
#[derive(Debug, thiserror::Error)]
#[error("the column holds no {0}")]
struct Unfit(&'static str);

fn unfit(column: usize, wanted: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, Box::new(Unfit(wanted)))
}

/// The columns that [`server`] reads, in its order.
pub(crate) const SERVER: &str = "private_key, public_key, server_ip, endpoint, ipv6, port, subnet, subnet6, interface, \
                                 backend_choice, backend, stopped_in, ip_forward_before, created";

/// The columns that [`info`] and [`client`] read, in their order; only `client` reads the last three.
pub(crate) const CLIENT: &str = "host, name, address6, public_key, created, enabled, id, extra_ips, \
                                 private_key, preshared_key, tunnel_secret";
/// The columns that [`info`] reads, in its order.
pub(crate) const INFO: &str = "host, name, address6, public_key, created, enabled, id, extra_ips";
/// The columns that [`peer`] reads, in its order.
pub(crate) const PEER: &str = "host, name, address6, public_key, id, extra_ips, preshared_key";

pub(crate) fn server(row: &Row<'_>) -> rusqlite::Result<Server> {
    Ok(Server {
        private_key: PrivateKey::from_bytes(row.get(0)?),
        public_key: PublicKey::from_bytes(row.get(1)?),
        server_ip: optional(row, 2)?,
        endpoint: optional(row, 3)?,
        ipv6: optional(row, 4)?,
        port: row.get(5)?,
        subnet: parsed(row, 6)?,
        subnet6: optional(row, 7)?,
        interface: parsed(row, 8)?,
        backend_choice: parsed(row, 9)?,
        backend: parsed(row, 10)?,
        stopped_in: row.get(11)?,
        ip_forward_before: row.get(12)?,
        created: time(row, 13)?,
    })
}

pub(crate) fn info(row: &Row<'_>, subnet: Subnet) -> rusqlite::Result<ClientInfo> {
    Ok(ClientInfo {
        name: parsed(row, 1)?,
        address: address(row, subnet)?,
        address6: address6(row, 2)?,
        public_key: PublicKey::from_bytes(row.get(3)?),
        created: time(row, 4)?,
        enabled: row.get(5)?,
        id: row.get(6)?,
        extra_ips: list(row, 7)?,
    })
}

pub(crate) fn client(row: &Row<'_>, subnet: Subnet) -> rusqlite::Result<Client> {
    let ClientInfo { id, name, address, address6, extra_ips, public_key, created, enabled } =
        info(row, subnet)?;
    Ok(Client {
        id,
        name,
        address,
        address6,
        extra_ips,
        private_key: row.get::<_, Option<_>>(8)?.map(PrivateKey::from_bytes),
        public_key,
        preshared_key: preshared_key(row, 9)?,
        tunnel_secret: ClientSecret::from_bytes(row.get(10)?),
        created,
        enabled,
    })
}

pub(crate) fn peer<'r>(row: &'r Row<'_>, subnet: Subnet) -> rusqlite::Result<ClientRef<'r>> {
    Ok(ClientRef {
        name: row.get_ref(1)?.as_str()?,
        address: address(row, subnet)?,
        address6: address6(row, 2)?,
        public_key: PublicKey::from_bytes(row.get(3)?),
        id: row.get(4)?,
        extra_ips: list(row, 5)?,
        preshared_key: preshared_key(row, 6)?,
    })
}

/// The address of the client whose host number is in the first column.
pub(crate) fn address(row: &Row<'_>, subnet: Subnet) -> rusqlite::Result<Ipv4Addr> {
    subnet.host(row.get(0)?).ok_or_else(|| unfit(0, "host of the subnet"))
}

pub(crate) fn address6(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Ipv6Addr>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Ipv6Addr::from))
}

pub(crate) fn preshared_key(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<PresharedKey>> {
    Ok(row.get::<_, Option<_>>(column)?.map(PresharedKey::from_bytes))
}

pub(crate) fn language(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Language>> {
    let code: Option<String> = row.get(column)?;
    code.map(|code| Language::from_code(&code).ok_or_else(|| unfit(column, "language"))).transpose()
}
