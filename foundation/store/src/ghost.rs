//! Ghost Mode as it is stored: a row while it is on, none while it is off.

use phantom_types::ProxyVersion;
use rusqlite::{Row, params};

use crate::error::{About as _, StoreError};
use crate::model::{CertificateSource, Front, Ghost};
use crate::row;
use crate::state::State;
use crate::transaction::Transaction;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The columns that [`ghost`] reads, in its order.
const COLUMNS: &str = "domain, secret, certificate_source, cert_path, key_path, addresses, decoy, activated_at, decoy_source, decoy_proxy, front_socket, front_group, front_port";

impl State<'_> {
    /// Ghost Mode, if it is on.
    pub fn ghost(&self) -> Result<Option<Ghost>> {
        self.first(&format!("SELECT {COLUMNS} FROM ghost"), (), ghost)
    }

    /// The directory of the ACME service that certificates are asked of.
    pub fn acme_directory(&self) -> Result<String> {
        let stored = self.first("SELECT acme_directory FROM settings", (), |row| row.get(0))?;
        Ok(stored.unwrap_or_else(|| "https://acme-v02.api.letsencrypt.org/directory".to_owned()))
    }
}

impl Transaction<'_> {
    /// Stores that Ghost Mode is on, as this, or off.
    pub fn set_ghost(&self, ghost: Option<&Ghost>) -> Result<()> {
        self.execute("DELETE FROM ghost", ())?;
        let Some(ghost) = ghost else { return Ok(()) };
        let (cert_path, key_path) = match &ghost.certificate {
            CertificateSource::Operator { cert_path, key_path } => {
                (Some(self.text(cert_path)?), Some(self.text(key_path)?))
            }
            CertificateSource::Acme | CertificateSource::SelfSigned => (None, None),
        };
        let front = ghost.front.as_ref();
        let addresses: Vec<String> = ghost.addresses.iter().map(ToString::to_string).collect();
        let values = params![
            ghost.domain.to_string(),
            *ghost.secret.reveal(),
            ghost.certificate.as_str(),
            cert_path,
            key_path,
            addresses.join(", "),
            ghost.decoy,
            ghost.activated_at.micros(),
            ghost.decoy_source.map(|address| address.to_string()),
            ghost.decoy_proxy.map(ProxyVersion::as_str),
            front.map(|front| self.text(&front.socket)).transpose()?,
            front.map(|front| &front.group),
            front.map(|front| front.public_port),
        ];
        let sql = format!(
            "INSERT INTO ghost (id, {COLUMNS}) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        );
        self.execute(&sql, values).map(drop)
    }

    /// A path as text; one that is no UTF-8 cannot be stored.
    fn text<'p>(&self, path: &'p std::path::Path) -> Result<&'p str> {
        let unfit = || rusqlite::Error::ToSqlConversionFailure("a path is not UTF-8".into());
        path.to_str().ok_or_else(unfit).about(self.file())
    }
}

fn ghost(row: &Row<'_>) -> rusqlite::Result<Ghost> {
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
        domain: row::parsed(row, 0)?,
        secret: row::parsed(row, 1)?,
        certificate,
        addresses: row::list(row, 5)?,
        decoy: row.get(6)?,
        activated_at: row::time(row, 7)?,
        decoy_source: row::optional(row, 8)?,
        decoy_proxy: row::optional(row, 9)?,
        front,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn ghost_mode_comes_back_as_it_was_stored() {
        let fixture = Fixture::new();
        let acme = Ghost {
            domain: "vpn.example.org".parse().unwrap(),
            secret: "s".repeat(64).parse().unwrap(),
            certificate: CertificateSource::Acme,
            addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::8".parse().unwrap()],
            decoy: None,
            decoy_source: None,
            decoy_proxy: None,
            front: None,
            activated_at: phantom_types::Timestamp::from_micros(5),
        };
        let operator = Ghost {
            certificate: CertificateSource::Operator { cert_path: "/c".into(), key_path: "/k".into() },
            addresses: Vec::new(),
            decoy: Some("http://127.0.0.1:80".to_owned()),
            decoy_source: Some("2001:db8::10".parse().unwrap()),
            decoy_proxy: Some(ProxyVersion::V2),
            ..acme.clone()
        };
        let self_signed = Ghost {
            certificate: CertificateSource::SelfSigned,
            decoy: Some("unix:/run/web.sock".to_owned()),
            decoy_proxy: Some(ProxyVersion::V1),
            ..acme.clone()
        };
        let front = Front { socket: "/run/web/http".into(), group: "www-data".to_owned(), public_port: 8443 };
        let behind = Ghost { domain: "2001:db8::7".parse().unwrap(), front: Some(front), ..acme.clone() };
        assert_eq!((acme.public_port(), behind.public_port()), (443, 8443));
        for ghost in [Some(&acme), Some(&operator), Some(&self_signed), Some(&behind), None] {
            fixture.change(|change| change.set_ghost(ghost)).unwrap();
            fixture.read(|state| {
                assert_eq!(state.ghost()?.as_ref(), ghost);
                assert_eq!(state.ghost_active()?, ghost.is_some());
                assert_eq!(state.acme_directory()?, "https://acme-v02.api.letsencrypt.org/directory");
                Ok(())
            });
        }
    }
}
