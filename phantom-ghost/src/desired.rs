//! Ghost's part of the desired state: the tunnel server, its keeper, and a WireGuard port that is closed to the outside.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnetwork::Ipv4Network;
use phantom_engine::{Coverage, DesiredState, Installation, PeerChange};
use phantom_ghost_state::{CertificateSource, Ghost, GhostState as _};
use phantom_host::reconcile::DesiredFile;
use phantom_host::{
    Bounds, Command, Hook, Internet, Match, Proc, Protocol, Restart, UfwRule, Unit, UnitKind, Verdict,
};
use phantom_store::{Server, State, StoreError};
use phantom_types::{ClientSecret, PublicKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::certificate::paths;
use crate::{OPERATOR_SECRET, decoy, front, program, validation, way};

/// Place of the rules: before those of modules that only accept.
const ORDER: u16 = 300;

/// What both processes of the tunnel have use for, and the keeper's memory and threads: the secrets of 1,000,000 clients, and
/// look-ups of names. The server has the tunnels beside those.
const BOUNDS: Bounds = Bounds {
    memory_mib: 1024,
    tasks: 768,
    internet: Internet::Speaks,
    netlink: false,
    proc: Proc::Itself,
    owners: false,
    manager: false,
};

/// Adds Ghost's part.
pub(crate) fn desired(
    installation: &Installation,
    state: &State<'_>,
    coverage: Coverage,
    wanted: &mut DesiredState,
) -> Result<(), StoreError> {
    let Some(server) = state.server()? else { return Ok(()) };
    let opens = state.open_firewall()?;
    if opens && validation::is_open(installation, state)? {
        for port in validation::PORTS {
            wanted.firewall.let_in(Protocol::Tcp, port);
            wanted.ufw.insert(UfwRule::Allow { protocol: Protocol::Tcp, port });
        }
    }
    let Some(ghost) = state.ghost()? else {
        // They would keep the secrets until the next boot.
        wanted.files.extend([(installation.keeper_config(), None), (installation.clients_file(), None)]);
        return Ok(());
    };
    if coverage == Coverage::Full {
        wanted.files.insert(installation.clients_file(), Some(all_clients(installation, state)?));
    } else {
        wanted.kept_files.insert(installation.clients_file());
    }
    let text = format!(
        "{}\n{}\n",
        installation.tags.first_line(),
        configuration(installation, state, &server, &ghost)?
    );
    wanted.file(installation.keeper_config(), 0o600, text);
    for unit in [server_unit(installation, &ghost), keeper_unit(installation, &ghost)] {
        wanted.units.insert(unit.name.clone(), (unit, Some(true)));
    }
    if installation.systemd() && way::is_needed(&ghost) {
        let way = way::unit(installation);
        wanted.units.insert(way.name.clone(), (way, None));
    }
    let from_outside = || Match::In { interface: "lo".to_owned(), not: true };
    let to = |protocol, port| Match::Port { protocol, port };
    let wireguard = vec![from_outside(), to(Protocol::Udp, server.port)];
    wanted.firewall.add(Hook::Input, ORDER, wireguard, Verdict::Drop);
    let port = ghost.public_port();
    wanted.firewall.add(Hook::Input, ORDER, vec![to(Protocol::Tcp, port)], Verdict::Accept);
    if let Some(IpAddr::V4(source)) = decoy::in_use(&server, &ghost).and_then(|decoy| decoy.source)
        && server.subnet.contains(source)
    {
        // What leaves the VPN's subnet is given another source. Strangers do not leave: they keep the one that was said.
        let network = Ipv4Network::from(source).into();
        let to_the_web_server =
            vec![Match::From { network, not: false }, Match::Out { interface: "lo".to_owned(), not: false }];
        wanted.firewall.add(Hook::SourceNat, ORDER, to_the_web_server, Verdict::Accept);
    }
    wanted.firewall.keep_out(Protocol::Udp, server.port);
    wanted.ufw.remove(&UfwRule::Allow { protocol: Protocol::Udp, port: server.port });
    wanted.ufw.insert(UfwRule::Deny { protocol: Protocol::Udp, port: server.port });
    if opens {
        wanted.firewall.let_in(Protocol::Tcp, port);
        wanted.ufw.insert(UfwRule::Allow { protocol: Protocol::Tcp, port });
    }
    Ok(())
}

/// What is wanted of single clients: their line in the file of those that may open tunnels.
pub(crate) fn peers(
    installation: &Installation,
    state: &State<'_>,
    keys: &[PublicKey],
) -> Result<Vec<PeerChange>, StoreError> {
    if !state.ghost_active()? {
        return Ok(Vec::new());
    }
    let change = |key: &PublicKey| {
        let client = state.client_by_key(key)?.filter(|client| client.enabled);
        Ok(PeerChange {
            key: *key,
            device: None,
            file: installation.clients_file(),
            block: client.map(|client| line(key, &client.tunnel_secret)),
            without: without_line,
        })
    };
    keys.iter().map(change).collect()
}

/// The file of the clients that may open tunnels under secrets of their own.
fn all_clients(installation: &Installation, state: &State<'_>) -> Result<DesiredFile, StoreError> {
    // Room for all of it from the start: a text that grows leaves copies of the secrets behind.
    let room = state.client_count()? as usize * LINE;
    let mut lines = Zeroizing::new(String::with_capacity(room));
    state.each_tunnel_secret(|key, secret| {
        lines.push_str(&line(key, secret));
        Ok::<_, StoreError>(())
    })?;
    Ok(DesiredFile::of_lines(0o600, &format!("{}\n", installation.tags.first_line()), &lines))
}

/// The length of a client's line: a key in base64, a secret in hexadecimal digits, a blank and the end of the line.
const LINE: usize = 44 + 64 + 2;

/// What the keeper reads of one client.
fn line(key: &PublicKey, secret: &ClientSecret) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(LINE));
    line.push_str(&key.to_string());
    line.push(' ');
    line.push_str(&secret.for_tunnel().reveal());
    line.push('\n');
    line
}

/// The file's text without the line of a client; `None` if it has none.
fn without_line(text: &str, key: &PublicKey) -> Option<Zeroizing<String>> {
    let start = format!("{key} ");
    let at = if text.starts_with(&start) { 0 } else { text.find(&format!("\n{start}"))? + 1 };
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
    let mut rest = Zeroizing::new(String::with_capacity(text.len()));
    rest.push_str(&text[..at]);
    rest.push_str(&text[end..]);
    Some(rest)
}

/// Where the processes of the tunnel meet.
pub(crate) trait Places {
    /// A name with what tells installations apart.
    fn named(&self, name: &str) -> String;
    /// What the keeper reads: the operator's secret and where everything is.
    fn keeper_config(&self) -> PathBuf;
    /// What it reads beside that: the clients with secrets of their own.
    fn clients_file(&self) -> PathBuf;
    /// What it writes: how the certificate is.
    fn keeper_status(&self) -> PathBuf;
    /// The folder of the server's control socket; the server's own.
    fn server_dir(&self) -> PathBuf;
}

impl Places for Installation {
    fn named(&self, name: &str) -> String {
        self.paths.instance().map_or_else(|| name.to_owned(), |instance| format!("{name}-{instance}"))
    }
    fn keeper_config(&self) -> PathBuf {
        self.paths.run_dir().join("ghost.conf")
    }
    fn clients_file(&self) -> PathBuf {
        self.paths.run_dir().join("ghost-clients")
    }
    fn keeper_status(&self) -> PathBuf {
        self.paths.run_dir().join("ghost-status.json")
    }
    fn server_dir(&self) -> PathBuf {
        PathBuf::from("/run").join(self.named("phantom-ghost"))
    }
}

/// The names of the tunnel server's unit and of its keeper's.
pub(crate) fn unit_names(installation: &Installation) -> [String; 2] {
    ["phantom-ghost", "phantom-ghost-keeper"].map(|name| installation.named(name))
}

fn configuration(
    installation: &Installation,
    state: &State<'_>,
    server: &Server,
    ghost: &Ghost,
) -> Result<Value, StoreError> {
    let decoy = match decoy::configuration(server, ghost) {
        Some(upstream) => json!({ "upstream": upstream }),
        None => json!({ "dir": installation.paths.config_dir().join("decoy") }),
    };
    let secrets = if OPERATOR_SECRET.value(state)? { vec![ghost.secret.reveal()] } else { Vec::new() };
    let secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
    let mut configuration = json!({
        "domain": ghost.domain,
        "secrets": secrets,
        "clients": installation.clients_file(),
        "wireguard_port": server.port,
    });
    if ghost.front.is_none() {
        let certs = installation.paths.certs_dir();
        let (cert_path, key_path) = paths(installation, ghost);
        let ca_file = Some(ca_file(installation)).filter(|path| path.exists());
        configuration["certificate"] =
            json!({ "source": ghost.certificate.as_str(), "cert_path": cert_path, "key_path": key_path });
        configuration["acme"] =
            json!({ "directory": state.acme_directory()?, "account_dir": certs, "ca_file": ca_file });
    }
    configuration["decoy"] = decoy;
    Ok(configuration)
}

/// A certificate authority of the operator's own, whose ACME service is asked in place of the public one.
pub(crate) fn ca_file(installation: &Installation) -> PathBuf {
    installation.paths.config_dir().join("acme-ca.pem")
}

/// The server's control socket.
pub(crate) fn control(installation: &Installation) -> PathBuf {
    installation.server_dir().join("control")
}

/// Faces the network, and has nothing to lose: no file, no user of the host, one capability; none where a web server is in front.
fn server_unit(installation: &Installation, ghost: &Ghost) -> Unit {
    let [name, _] = unit_names(installation);
    let control = control(installation).display().to_string();
    let mut args: Vec<String> = ["serve", "--control", &control].map(str::to_owned).into();
    let (mut capabilities, mut after_start) = (vec!["NET_BIND_SERVICE".to_owned()], None);
    if let Some(web) = &ghost.front {
        args.extend(["--listen".to_owned(), format!("unix:{}", web.socket.display())]);
        // Where root starts it, it lets the group in by itself.
        args.extend(["--group".to_owned(), web.group.clone()]);
        capabilities.clear();
        after_start = Some(front::share(&installation.programs.named(program::NAME), web));
    }
    let run = Command { program: installation.programs.named(program::NAME), args };
    Unit {
        name,
        description: "Phantom-WG: tunnel server of Ghost Mode".to_owned(),
        kind: UnitKind::Daemon { run, after_start, after_stop: None },
        restart: Restart::Always,
        capabilities,
        writable: std::iter::once(installation.server_dir()).chain(front::folder(ghost)).collect(),
        // A web server's socket may be in its user's home.
        readable: ghost.decoy.as_deref().and_then(decoy::socket).map(PathBuf::from).into_iter().collect(),
        devices: Vec::new(),
        dynamic_user: true,
        socket: None,
        bounds: Some(Bounds { memory_mib: 2048, tasks: 1024, ..BOUNDS }),
        renewable: false,
        before_network: false,
        after_network: true,
        after: Vec::new(),
        wanted_at_boot: true,
    }
}

/// Reads the secret and the certificate for the server, and renews the certificate.
fn keeper_unit(installation: &Installation, ghost: &Ghost) -> Unit {
    let [server, name] = unit_names(installation);
    let path = |path: PathBuf| path.display().to_string();
    let mut args = vec![
        "keep".to_owned(),
        "--config".to_owned(),
        path(installation.keeper_config()),
        "--control".to_owned(),
        path(control(installation)),
        "--status".to_owned(),
        path(installation.keeper_status()),
    ];
    if way::is_needed(ghost) {
        args.extend(way::arguments(installation));
    }
    Unit {
        name,
        description: "Phantom-WG: secret and certificate of Ghost Mode".to_owned(),
        kind: daemon(installation, args),
        restart: Restart::Always,
        // The server's socket and the operator's certificate belong to other users; an ACME service may ask on port 80.
        capabilities: ["DAC_OVERRIDE", "NET_BIND_SERVICE"].map(str::to_owned).into(),
        writable: vec![installation.paths.certs_dir(), installation.paths.run_dir().to_path_buf()],
        readable: operators_files(ghost),
        devices: Vec::new(),
        dynamic_user: false,
        socket: None,
        bounds: Some(BOUNDS),
        renewable: true,
        before_network: false,
        after_network: true,
        // Not after the boot unit, which starts it and waits: without a configuration it waits by itself.
        after: vec![server],
        wanted_at_boot: true,
    }
}

/// The operator's certificate and key as they were named, and where links lead from there: the keeper has to see both.
fn operators_files(ghost: &Ghost) -> Vec<PathBuf> {
    let CertificateSource::Operator { cert_path, key_path } = &ghost.certificate else { return Vec::new() };
    let named = [cert_path, key_path];
    let mut files: Vec<PathBuf> = named.into_iter().cloned().collect();
    files.extend(named.iter().filter_map(|path| path.canonicalize().ok()));
    files.sort_unstable();
    files.dedup();
    files
}

fn daemon(installation: &Installation, args: Vec<String>) -> UnitKind {
    let run = Command { program: installation.programs.named(program::NAME), args };
    UnitKind::Daemon { run, after_start: None, after_stop: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeper_sees_operator_files_and_their_targets() {
        let home = std::env::temp_dir().join(format!("phantom-ghost-{}", std::process::id()));
        std::fs::create_dir_all(home.join("archive")).unwrap();
        let home = home.canonicalize().unwrap();
        std::os::unix::fs::symlink(home.join("archive"), home.join("live")).unwrap();
        let mut ghost = Ghost {
            domain: "vpn.example.org".parse().unwrap(),
            secret: "s".repeat(64).parse().unwrap(),
            certificate: CertificateSource::Operator {
                cert_path: home.join("live"),
                key_path: "/root/key.pem".into(),
            },
            addresses: Vec::new(),
            decoy: None,
            decoy_source: None,
            decoy_proxy: None,
            front: None,
            activated_at: phantom_types::Timestamp::from_micros(0),
        };
        let files = operators_files(&ghost);
        std::fs::remove_dir_all(&home).unwrap();
        for file in [home.join("live"), home.join("archive"), "/root/key.pem".into()] {
            assert!(files.contains(&file), "{files:?}");
        }
        ghost.certificate = CertificateSource::Acme;
        assert!(operators_files(&ghost).is_empty());
    }

    #[test]
    fn a_clients_line_comes_and_goes() {
        let key = |number: u8| PublicKey::from_bytes([number; 32]);
        let line_of = |number: u8| line(&key(number), &ClientSecret::from_bytes([number; 32]));
        assert_eq!(line_of(1).len(), LINE);
        let all = format!("# mark\n{}{}{}", *line_of(1), *line_of(2), *line_of(3));
        for number in 1..=3 {
            let rest = without_line(&all, &key(number)).unwrap();
            assert_eq!(rest.len(), all.len() - LINE);
            assert!(!rest.contains(&*line_of(number)) && without_line(&rest, &key(number)).is_none());
        }
        assert_eq!(*without_line(&line_of(1), &key(1)).unwrap(), "");
        assert!(without_line("", &key(1)).is_none());
    }
}
