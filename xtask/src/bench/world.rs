//! The machine that the bench sees: a server with one cable to a client, of which nothing stays.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::Places;
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};

/// The name of our device's program.
pub(super) const DEVICE: &str = "phantom-wg-device";

/// The namespace of a client that is connected by cable.
pub(super) const CLIENT: &str = "client";

/// In the new namespaces: puts folders of our own over those that the programs write to.
pub(super) fn enclose(out: &Path) -> Result {
    let opt = out.join("opt");
    let _ = fs::remove_dir_all(&opt); // what a run that was killed has left
    fs::create_dir_all(&opt).context(opt.display())?;
    let mount = |line: &str| Cmd::line(line).quiet();
    mount("mount -t tmpfs bench /run")?;
    for dir in ["/run/lock", "/run/netns", "/run/bench/upper", "/run/bench/work"] {
        fs::create_dir_all(dir).context(dir)?;
    }
    mount("mount -t overlay bench -o lowerdir=/etc,upperdir=/run/bench/upper,workdir=/run/bench/work /etc")?;
    mount("mount -t sysfs bench /sys")?;
    Cmd::line("mount --bind").arg(&opt).arg("/opt").quiet()?;
    mount("ip link set lo up")
}

/// Lays the cable to the client.
pub(super) fn lay_cable() -> Result {
    for line in [
        "ip netns add client",
        "ip link add eth0 type veth peer name eth0 netns client",
        "ip addr add 203.0.113.5/24 dev eth0",
        "ip link set eth0 up",
        "ip route add default via 203.0.113.1",
        "ip -n client addr add 203.0.113.1/24 dev eth0",
        "ip -n client link set eth0 up",
        "ip -n client link set lo up",
    ] {
        Cmd::line(line).quiet()?;
    }
    Ok(())
}

/// A server, set up and running, with as many clients as it is to have. Servers of several sizes stand side by side, so
/// that they can be measured in turns.
pub(super) struct BenchNet {
    programs: PathBuf,
    helpers: PathBuf,
    opt: PathBuf,
    root: PathBuf,
    /// Its interface.
    pub(super) interface: String,
    /// Its subnet, which has room for all the clients.
    pub(super) subnet: String,
    /// How many clients it has to begin with.
    pub(super) clients: u32,
}

impl BenchNet {
    /// Sets up the server number `number`.
    pub(super) fn new(places: &Places, number: u16, clients: u32) -> Result<Self> {
        let world = Self {
            programs: places.programs.clone(),
            helpers: places.helpers.clone(),
            opt: places.out.join("opt"),
            root: format!("/opt/bench-{clients}").into(),
            interface: format!("wg_{clients}"),
            subnet: format!("10.{}.0.0/15", 2 * number),
            clients,
        };
        let (interface, subnet, port) = (&world.interface, &world.subnet, 51820 + number);
        let place = format!("server_ip=203.0.113.5 port={port} interface={interface} subnet={subnet}");
        world.api(&format!("core setup {place} backend=embedded")).quiet()?;
        world.helper("bench-clients").arg(&world.root).arg(clients.to_string()).quiet()?;
        world.api("core reconcile").quiet()?;
        let live = world.live_peers()?;
        if live != clients as usize {
            return Err(Problem::new(format!("{live} of {clients} clients are on the interface")));
        }
        Ok(world)
    }

    /// `phantom-api` for this server, with these words.
    pub(super) fn api(&self, line: &str) -> Cmd {
        Cmd::new(self.program()).args(self.words(line))
    }

    /// The words of `phantom-api` for this server.
    pub(super) fn words(&self, line: &str) -> Vec<OsString> {
        let root = ["--root".into(), self.root.clone().into_os_string()];
        root.into_iter().chain(line.split(' ').map(OsString::from)).collect()
    }

    /// The file of `phantom-api`.
    pub(super) fn program(&self) -> PathBuf {
        self.programs.join("phantom-api")
    }

    /// A program that lies beside `phantom-api`.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The install directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The file of the device.
    pub(super) fn device(&self) -> PathBuf {
        self.programs.join(DEVICE)
    }

    /// A program of the bench.
    pub(super) fn helper(&self, name: &str) -> Cmd {
        Cmd::new(self.helpers.join(name))
    }

    /// A file on the same disk as the state, for what is held against it.
    pub(super) fn beside_the_state(&self, name: &str) -> PathBuf {
        self.opt.join(name)
    }

    /// How many peers the interface has.
    pub(super) fn live_peers(&self) -> Result<usize> {
        Ok(Cmd::line("wg show").args([&self.interface, "peers"]).read()?.lines().count())
    }
}

impl Drop for BenchNet {
    fn drop(&mut self) {
        let _ = self.api("core stop_service").capture(); // what goes on running ends with the namespace
        // Every reconcile of another server would read it, to see whose it is.
        let _ = fs::remove_file(format!("/etc/wireguard/{}.conf", self.interface));
        let _ = fs::remove_dir_all(&self.root);
    }
}
