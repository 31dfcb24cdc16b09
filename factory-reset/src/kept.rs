//! What is kept of the server: where it is and how it is reached, and that the operator opens ports himself. Keys never are.

use std::path::Path;

use phantom_host::reconcile::SAVED_VALUE_PREFIX;
use phantom_host::{Host, LinkKind, OwnershipTags, host_networks};
use phantom_store::{Server, State, Store, StoreError};
use phantom_types::{Backend, BackendChoice, InterfaceName, PrivateKey, Subnet, is_public};
use zeroize::Zeroizing;

use crate::ResetError;

/// The kernel setting that the server switches on.
const IP_FORWARD: &str = "net.ipv4.ip_forward";
/// The interface of a server that is set up without another wish.
const USUAL_INTERFACE: &str = "wg_main";
/// Where the configurations for `wg` and people lie.
const WIREGUARD: &str = "/etc/wireguard";

/// The server that will be stored: as after a first setup with the address, the port, the interface and the implementation
/// of the one that is there. `None` where there is none, or where its address is known nowhere any more.
pub(crate) fn new_server(
    host: &Host,
    tags: &OwnershipTags,
    store: &Store,
) -> Result<Option<Server>, ResetError> {
    let stored = store.read::<_, StoreError>(State::server);
    let (mut server, present) = match stored {
        Ok(Some(server)) => (server.clone(), server.subnet),
        // Somebody has the database for a moment: it is not gone for that.
        Err(error @ StoreError::Busy { .. }) => return Err(error.into()),
        // Without a readable state the host still shows most of it.
        Ok(None) | Err(_) => match from_host(host, tags)? {
            Some(server) => (server.clone(), server.subnet),
            None => return Ok(None),
        },
    };
    let mut secret = Zeroizing::new([0; 32]);
    host.random.fill(secret.as_mut())?;
    server.private_key = PrivateKey::from_random(*secret);
    server.public_key = server.private_key.public_key();
    server.subnet = subnet(host, tags, present);
    server.subnet6 = None;
    server.stopped_in = None;
    server.created = host.clock.now();
    Ok(Some(server))
}

/// Whether the server's ports are opened in packet filters of others: an operator who has declined that is not asked again.
pub(crate) fn opens(store: &Store) -> Result<bool, ResetError> {
    match store.read::<_, StoreError>(State::open_firewall) {
        Err(error @ StoreError::Busy { .. }) => Err(error.into()),
        stored => Ok(stored.unwrap_or(true)),
    }
}

/// The usual subnet, or the present one if a network of the host overlaps that.
fn subnet(host: &Host, tags: &OwnershipTags, present: Subnet) -> Subnet {
    let (usual, mark) = (Subnet::default(), tags.tag());
    let links = host.network.links().unwrap_or_default();
    let own = |name: &str| links.iter().any(|link| link.name == name && link.alias.as_deref() == Some(&mark));
    let taken = host_networks(&*host.network, &own).iter().any(|other| other.subnet.overlaps(usual));
    if taken { present } else { usual }
}

/// What the marked configuration and the marked interface tell, with the address of the uplink where that is a public
/// one. The keys are not read.
fn from_host(host: &Host, tags: &OwnershipTags) -> Result<Option<Server>, ResetError> {
    let Some((interface, text)) = configuration(host, tags)? else { return Ok(None) };
    let uplink = host.network.uplink().ok().flatten();
    let address = uplink.as_ref().and_then(|uplink| uplink.address).filter(|address| is_public(*address));
    // A host without IPv4 is reached by IPv6.
    let ipv6 = uplink.as_ref().and_then(|uplink| uplink.ipv6);
    let by_ipv6 = ipv6.is_some() && uplink.as_ref().is_some_and(|uplink| uplink.address.is_none());
    if address.is_none() && !by_ipv6 {
        return Ok(None);
    }
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find(|(found, _)| found.trim() == key).map(|(_, value)| value.trim().to_owned())
    };
    let present = value("Address").and_then(|list| {
        let (address, prefix) = list.split(',').next()?.split_once('/')?;
        Subnet::containing(address.parse().ok()?, prefix.parse().ok()?)
    });
    let link = host.network.link(&interface)?;
    let backend = match link.map(|link| link.kind) {
        Some(LinkKind::WireGuard) => Some(Backend::Kernel),
        Some(LinkKind::Tun) => Some(Backend::Embedded),
        _ => None,
    };
    let by_kernel = || host.wireguard.kernel_available().unwrap_or(false);
    let private_key = PrivateKey::from_random([0; 32]); // the caller makes the one that counts
    Ok(Some(Server {
        public_key: private_key.public_key(),
        private_key,
        server_ip: address,
        endpoint: None,
        ipv6,
        port: value("ListenPort").and_then(|port| port.parse().ok()).unwrap_or(51_820),
        subnet: present.unwrap_or_default(),
        subnet6: None,
        interface,
        backend_choice: BackendChoice::Auto,
        backend: backend.unwrap_or_else(|| if by_kernel() { Backend::Kernel } else { Backend::Embedded }),
        stopped_in: None,
        ip_forward_before: forwarding_before(host, tags)?,
        created: host.clock.now(),
    }))
}

/// The marked configuration of an interface, the usual one before others.
fn configuration(
    host: &Host,
    tags: &OwnershipTags,
) -> Result<Option<(InterfaceName, Zeroizing<String>)>, ResetError> {
    let mut found = Vec::new();
    for file in host.files.list(Path::new(WIREGUARD))? {
        let name = file.to_str().and_then(|file| file.strip_suffix(".conf")?.parse::<InterfaceName>().ok());
        let Some(name) = name else { continue };
        let content = host.files.read(&Path::new(WIREGUARD).join(&file))?.map(Zeroizing::new);
        let Some(content) = content.filter(|content| tags.owns_file(content)) else { continue };
        found.push((name, Zeroizing::new(String::from_utf8_lossy(&content).into_owned())));
    }
    let usual = found.iter().position(|(name, _)| name.as_str() == USUAL_INTERFACE).unwrap_or_default();
    Ok((usual < found.len()).then(|| found.swap_remove(usual)))
}

/// What the marked file of kernel settings says that forwarding was before the system.
fn forwarding_before(host: &Host, tags: &OwnershipTags) -> Result<Option<String>, ResetError> {
    let path = format!("/etc/sysctl.d/90-{}.conf", tags.tag());
    let content = host.files.read(Path::new(&path))?.filter(|content| tags.owns_file(content));
    let text = content.map(|content| String::from_utf8_lossy(&content).into_owned()).unwrap_or_default();
    let before = text.lines().filter_map(|line| line.strip_prefix(SAVED_VALUE_PREFIX)?.split_once(" = "));
    let mut of_forwarding = before.filter(|(key, _)| *key == IP_FORWARD);
    Ok(of_forwarding.next().map(|(_, value)| value.to_owned()))
}
