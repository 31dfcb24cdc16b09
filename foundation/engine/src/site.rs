//! What a module has to know of an installation beside its stored state.

use std::path::PathBuf;

use phantom_host::{Marks, Programs};
use phantom_store::{Paths, Server};

/// The place of an installation: its marks, its programs, its paths, and the run of the system that it is in.
#[derive(Clone, Debug)]
pub struct Site {
    /// The marks on the host.
    pub marks: Marks,
    /// The programs that services start.
    pub programs: Programs,
    /// The paths of the installation.
    pub paths: Paths,
    /// Name of the present run of the system, from its boot to its end; `None` before the first change of it.
    pub run_id: Option<String>,
}

impl Site {
    /// Whether the WireGuard service is meant to run: it was not stopped by hand since the boot.
    pub fn runs(&self, server: &Server) -> bool {
        server.stopped_in.is_none() || server.stopped_in != self.run_id
    }
    /// Arguments that make `phantom-api` work on this installation.
    pub fn root_arguments(&self) -> Vec<String> {
        if self.paths.instance().is_none() {
            return Vec::new();
        }
        vec!["--root".to_owned(), self.paths.root().display().to_string()]
    }
    /// The WireGuard configuration of an interface, derived from the database.
    pub fn wireguard_file(interface: &phantom_types::InterfaceName) -> PathBuf {
        PathBuf::from(format!("/etc/wireguard/{interface}.conf"))
    }
    /// The name of the service of an interface, without `.service`.
    pub fn wireguard_unit(interface: &phantom_types::InterfaceName) -> String {
        format!("wg-quick@{interface}")
    }
}
