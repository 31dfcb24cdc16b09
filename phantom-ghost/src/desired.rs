//! Ghost's part of the wanted state: the tunnel server, its keeper, and a WireGuard port that is closed to the outside.

use std::path::PathBuf;

use phantom_engine::{Site, Wanted};
use phantom_host::{Command, Hook, Match, Protocol, Restart, UfwRule, Unit, UnitKind, Verdict};
use phantom_store::{Ghost, Server, State, StoreError};
use serde_json::{Value, json};

use crate::PORT;
use crate::certificate::paths;

/// Place of the rules: before those of modules that only accept.
const ORDER: u16 = 300;

/// Adds Ghost's part.
pub(crate) fn desired(site: &Site, state: &State<'_>, wanted: &mut Wanted) -> Result<(), StoreError> {
    let Some(server) = state.server()? else { return Ok(()) };
    let Some(ghost) = state.ghost()? else {
        // It would keep the secret until the next boot.
        wanted.files.insert(site.keeper_config(), None);
        return Ok(());
    };
    let text = format!("{}\n{}\n", site.marks.first_line(), configuration(site, state, &server, &ghost)?);
    wanted.file(site.keeper_config(), 0o600, text);
    for unit in [server_unit(site), keeper_unit(site)] {
        wanted.units.insert(unit.name.clone(), (unit, Some(true)));
    }
    let from_outside = || Match::In { interface: "lo".to_owned(), not: true };
    let to = |protocol, port| Match::Port { protocol, port };
    let wireguard = vec![from_outside(), to(Protocol::Udp, server.port)];
    wanted.firewall.add(Hook::Input, ORDER, wireguard, Verdict::Drop);
    wanted.firewall.add(Hook::Input, ORDER, vec![to(Protocol::Tcp, PORT)], Verdict::Accept);
    wanted.ufw.remove(&UfwRule::Allow { protocol: Protocol::Udp, port: server.port });
    wanted.ufw.insert(UfwRule::Deny { protocol: Protocol::Udp, port: server.port });
    wanted.ufw.insert(UfwRule::Allow { protocol: Protocol::Tcp, port: PORT });
    Ok(())
}

/// Where the processes of the tunnel meet.
pub(crate) trait Places {
    /// A name with what tells installations apart.
    fn named(&self, name: &str) -> String;
    /// What the keeper reads: the secret and where everything lies.
    fn keeper_config(&self) -> PathBuf;
    /// What it writes: how the certificate is.
    fn keeper_status(&self) -> PathBuf;
    /// The folder of the server's control socket; the server's own.
    fn server_dir(&self) -> PathBuf;
}

impl Places for Site {
    fn named(&self, name: &str) -> String {
        self.paths.instance().map_or_else(|| name.to_owned(), |instance| format!("{name}-{instance}"))
    }
    fn keeper_config(&self) -> PathBuf {
        self.paths.run_dir().join("ghost.conf")
    }
    fn keeper_status(&self) -> PathBuf {
        self.paths.run_dir().join("ghost-status.json")
    }
    fn server_dir(&self) -> PathBuf {
        PathBuf::from("/run").join(self.named("phantom-ghost"))
    }
}

/// The names of the tunnel server's unit and of its keeper's.
pub(crate) fn unit_names(site: &Site) -> [String; 2] {
    ["phantom-ghost", "phantom-ghost-keeper"].map(|name| site.named(name))
}

fn configuration(
    site: &Site,
    state: &State<'_>,
    server: &Server,
    ghost: &Ghost,
) -> Result<Value, StoreError> {
    let certs = site.paths.certs_dir();
    let (cert_path, key_path) = paths(site, ghost);
    let decoy = match &ghost.decoy {
        Some(upstream) => json!({ "upstream": upstream }),
        None => json!({ "dir": site.paths.config_dir().join("decoy") }),
    };
    let ca_file = Some(ca_file(site)).filter(|path| path.exists());
    Ok(json!({
        "domain": ghost.domain,
        "secrets": [*ghost.secret.reveal()],
        "wireguard_port": server.port,
        "certificate": { "source": ghost.certificate.as_str(), "cert_path": cert_path, "key_path": key_path },
        "acme": { "directory": state.acme_directory()?, "account_dir": certs, "ca_file": ca_file },
        "decoy": decoy,
    }))
}

/// A certificate authority of the operator's own, whose ACME service is asked in place of the public one.
pub(crate) fn ca_file(site: &Site) -> PathBuf {
    site.paths.config_dir().join("acme-ca.pem")
}

fn control(site: &Site) -> String {
    site.server_dir().join("control").display().to_string()
}

/// Faces the network, and has nothing to lose: no file, no user of the host, one capability.
fn server_unit(site: &Site) -> Unit {
    let [name, _] = unit_names(site);
    let args = ["serve", "--control", &control(site)].map(str::to_owned).into();
    Unit {
        name,
        description: "Phantom-WG: tunnel server of Ghost Mode".to_owned(),
        kind: daemon(site, args),
        restart: Restart::Always,
        capabilities: vec!["NET_BIND_SERVICE".to_owned()],
        writable: vec![site.server_dir()],
        devices: Vec::new(),
        dynamic_user: true,
        before_network: false,
        after_network: true,
        after: Vec::new(),
        wanted_at_boot: true,
    }
}

/// Reads the secret and the certificate for the server, and renews the certificate.
fn keeper_unit(site: &Site) -> Unit {
    let [server, name] = unit_names(site);
    let path = |path: PathBuf| path.display().to_string();
    let args = vec![
        "keep".to_owned(),
        "--config".to_owned(),
        path(site.keeper_config()),
        "--control".to_owned(),
        control(site),
        "--status".to_owned(),
        path(site.keeper_status()),
    ];
    Unit {
        name,
        description: "Phantom-WG: secret and certificate of Ghost Mode".to_owned(),
        kind: daemon(site, args),
        restart: Restart::Always,
        // The server's socket and the operator's certificate belong to other users; an ACME service may ask on port 80.
        capabilities: ["DAC_OVERRIDE", "NET_BIND_SERVICE"].map(str::to_owned).into(),
        writable: vec![site.paths.certs_dir(), site.paths.run_dir().to_path_buf()],
        devices: Vec::new(),
        dynamic_user: false,
        before_network: false,
        after_network: true,
        // Not after the boot unit, which starts it and waits: without a configuration it waits by itself.
        after: vec![server],
        wanted_at_boot: true,
    }
}

fn daemon(site: &Site, args: Vec<String>) -> UnitKind {
    let run = Command { program: site.programs.ghost.clone(), args };
    UnitKind::Daemon { run, after_start: None, after_stop: None }
}
