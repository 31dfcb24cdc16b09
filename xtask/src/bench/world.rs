//! The machine that the bench sees: a server with one cable to a client, of which nothing stays.

use std::fs;
use std::path::{Path, PathBuf};

use super::Places;
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};

/// The server's interface.
pub(super) const INTERFACE: &str = "wg_main";

/// The name of our device's program.
pub(super) const DEVICE: &str = "phantom-wg-device";

/// The namespace of a client that is connected by cable.
pub(super) const CLIENT: &str = "client";

/// The subnet that the server is set up with: it has room for all the clients.
pub(super) const SUBNET: &str = "10.0.0.0/8";

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

/// The server, set up and running.
pub(super) struct World {
    programs: PathBuf,
    helpers: PathBuf,
    opt: PathBuf,
}

impl World {
    /// Lays the cable and sets the server up, with no clients.
    pub(super) fn new(places: &Places) -> Result<Self> {
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
        let opt = places.out.join("opt");
        let world = Self { programs: places.programs.clone(), helpers: places.helpers.clone(), opt };
        world.api(&format!("core setup server_ip=203.0.113.5 subnet={SUBNET} backend=embedded")).quiet()?;
        Ok(world)
    }

    /// `phantom-api` with these words.
    pub(super) fn api(&self, line: &str) -> Cmd {
        Cmd::new(self.program()).args(line.split(' '))
    }

    /// The file of `phantom-api`.
    pub(super) fn program(&self) -> PathBuf {
        self.programs.join("phantom-api")
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

    /// Brings the server to this many clients, unless it has more already.
    pub(super) fn fill(&self, count: u32) -> Result {
        println!("with {count} clients:");
        self.helper("bench-clients").arg(count.to_string()).quiet()?;
        self.api("core reconcile").quiet()?;
        let live = self.live_peers()?;
        if live < count as usize {
            return Err(Problem::new(format!("{live} of {count} clients are on the interface")));
        }
        Ok(())
    }

    /// How many peers the interface has.
    pub(super) fn live_peers(&self) -> Result<usize> {
        Ok(Cmd::line("wg show").args([INTERFACE, "peers"]).read()?.lines().count())
    }

    /// Stops the server and throws its state away.
    pub(super) fn end(&self) {
        let _ = self.api("core stop_service").capture(); // what goes on running ends with the namespace
        if let Ok(entries) = fs::read_dir(&self.opt) {
            for entry in entries.flatten() {
                let path = entry.path();
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
        }
    }
}
