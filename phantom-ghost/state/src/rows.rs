//! The row of Ghost Mode: it is there while Ghost Mode is on. The store's first schemas have its table; what changes from now on is
//! a step of [`SCHEMA`].

use phantom_store::sql::{self, PathText, Row, params};
use phantom_store::{ModuleSchema, State, StoreError, Transaction};
use phantom_types::ProxyVersion;

use crate::model::{CertificateSource, Front, Ghost};

/// The steps of the tables of Ghost Mode after those that the store's first schemas made.
pub const SCHEMA: ModuleSchema = ModuleSchema { module: "ghost", steps: &[] };

/// The columns that [`ghost`] reads, in its order.
const COLUMNS: &str = "domain, secret, certificate_source, cert_path, key_path, addresses, decoy, activated_at, decoy_source, decoy_proxy, front_socket, front_group, front_port";

/// What of Ghost Mode is stored.
pub trait GhostState {
    /// Ghost Mode, if it is on.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn ghost(&self) -> Result<Option<Ghost>, StoreError>;
    /// Whether Ghost Mode is on.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn ghost_active(&self) -> Result<bool, StoreError>;
    /// The directory of the ACME service that certificates are asked of.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn acme_directory(&self) -> Result<String, StoreError>;
}

/// How what is stored of Ghost Mode changes.
pub trait GhostChange {
    /// Stores that Ghost Mode is on, as this, or off.
    ///
    /// # Errors
    /// The database cannot be written, or a path is no UTF-8.
    fn set_ghost(&self, ghost: Option<&Ghost>) -> Result<(), StoreError>;
}

impl GhostState for State<'_> {
    fn ghost(&self) -> Result<Option<Ghost>, StoreError> {
        self.first(&format!("SELECT {COLUMNS} FROM ghost"), (), ghost)
    }

    fn ghost_active(&self) -> Result<bool, StoreError> {
        Ok(self.first("SELECT 1 FROM ghost", (), |_| Ok(()))?.is_some())
    }

    fn acme_directory(&self) -> Result<String, StoreError> {
        let stored = self.first("SELECT acme_directory FROM settings", (), |row| row.get(0))?;
        Ok(stored.unwrap_or_else(|| "https://acme-v02.api.letsencrypt.org/directory".to_owned()))
    }
}

impl GhostChange for Transaction<'_> {
    fn set_ghost(&self, ghost: Option<&Ghost>) -> Result<(), StoreError> {
        self.execute("DELETE FROM ghost", ())?;
        let Some(ghost) = ghost else { return Ok(()) };
        let (cert_path, key_path) = match &ghost.certificate {
            CertificateSource::Operator { cert_path, key_path } => {
                (Some(PathText(cert_path)), Some(PathText(key_path)))
            }
            CertificateSource::Acme | CertificateSource::SelfSigned => (None, None),
        };
        let front = ghost.front.as_ref();
        let values = params![
            ghost.domain.to_string(),
            *ghost.secret.reveal(),
            ghost.certificate.as_str(),
            cert_path,
            key_path,
            sql::joined(&ghost.addresses),
            ghost.decoy,
            ghost.activated_at.micros(),
            ghost.decoy_source.map(|address| address.to_string()),
            ghost.decoy_proxy.map(ProxyVersion::as_str),
            front.map(|front| PathText(&front.socket)),
            front.map(|front| &front.group),
            front.map(|front| front.public_port),
        ];
        let sql = format!(
            "INSERT INTO ghost (id, {COLUMNS}) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        );
        self.execute(&sql, values).map(drop)
    }
}

fn ghost(row: &Row<'_>) -> sql::Result<Ghost> {
    let source: String = row.get(2)?;
    let path = |column| row.get::<_, String>(column).map(Into::into);
    let certificate = match source.as_str() {
        "operator" => CertificateSource::Operator { cert_path: path(3)?, key_path: path(4)? },
        "self_signed" => CertificateSource::SelfSigned,
        _ => CertificateSource::Acme, // the schema lets no fourth one in
    };
    let front = match row.get::<_, Option<String>>(10)? {
        Some(socket) => Some(Front { socket: socket.into(), group: row.get(11)?, public_port: row.get(12)? }),
        None => None,
    };
    Ok(Ghost {
        domain: sql::parsed(row, 0)?,
        secret: sql::parsed(row, 1)?,
        certificate,
        addresses: sql::list(row, 5)?,
        decoy: row.get(6)?,
        activated_at: sql::time(row, 7)?,
        decoy_source: sql::optional(row, 8)?,
        decoy_proxy: sql::optional(row, 9)?,
        front,
    })
}

#[cfg(test)]
mod tests;
