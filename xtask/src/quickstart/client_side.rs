//! The proof's client: another computer as far as network, `/etc` and `/run` go, that is given the configuration and
//! nothing else.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::internet_side::file;
use super::namespace::{arrived, cable, next_line, wait_for};
use super::proof::{CLIENT_CABLE, NAME, WEB};
use super::server::PROGRAMS_DIR;
use crate::command::{Cmd, find_program};
use crate::problem::{Context as _, Problem, Result};

/// The client's interface; `wg-quick` takes it from the name of the file.
const INTERFACE: &str = "proof";
/// Programs of this computer that others call.
const OWN_PROGRAMS: &str = "/run/bin";

/// Takes a JSON object with `config`, `server` (its address inside the tunnel) and `dns` (whether to look names up), and
/// writes a line for each thing that it tries: `ok NAME DETAIL` or `FAIL NAME WHY`.
pub(crate) fn run() -> Result<bool> {
    make_computer()?;
    arrived();
    let order: Value = serde_json::from_str(&next_line()?).context("the order")?;
    let text = |key: &str| order[key].as_str().unwrap_or_default();
    cable(CLIENT_CABLE.far, Some(CLIENT_CABLE.near_address()))?;
    let file = format!("/etc/wireguard/{INTERFACE}.conf");
    fs::create_dir_all("/etc/wireguard").context("/etc/wireguard")?;
    write(&file, text("config"), 0o600)?;
    let hosts = text("hosts");
    write("/etc/hosts", &format!("127.0.0.1 localhost\n{hosts}\n"), 0o644)?;

    let mut good = attempt("wg-quick up", || bring_up(&file));
    if good {
        good &= attempt("handshake", handshake);
        good &= attempt(&format!("ping {}", text("server")), || ping(text("server")));
        if order["dns"] == true {
            good &= attempt("DNS query", look_up);
        }
        good &= attempt("file over HTTP", fetch);
        good &= attempt("wg-quick down", || wg_quick("down", &file).map(|()| String::new()));
    }
    Ok(good)
}

/// Tries something and writes how it went and how long it took.
fn attempt(name: &str, work: impl FnOnce() -> Result<String>) -> bool {
    let start = Instant::now();
    let result = work();
    let time = start.elapsed().as_micros();
    let one_line = |text: &str| text.replace('\n', " | ");
    match &result {
        Ok(detail) => println!("ok\t{name}\t{time}\t{}", one_line(detail)),
        Err(problem) => println!("FAIL\t{name}\t{time}\t{}", one_line(&problem.to_string())),
    }
    result.is_ok()
}

/// Gives this process an `/etc` and a `/run` of its own, so that whatever the client sets up is seen by nobody else: names
/// are looked up with the servers of its own `resolv.conf`, and by no service of the machine around it.
fn make_computer() -> Result {
    Cmd::line("mount -t tmpfs -o mode=755 proof /run").quiet()?;
    Cmd::line("cp -a /etc /run/etc").quiet()?;
    Cmd::line("mount --bind /run/etc /etc").quiet()?;
    let _ = fs::remove_file("/etc/resolv.conf"); // often a link to another program's file
    write("/etc/resolv.conf", "", 0o644)?;
    write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", 0o644)?;
    fs::create_dir(OWN_PROGRAMS).context(OWN_PROGRAMS)?;
    // What `wg-quick` hands the DNS servers to. Every system has its own way of it; this one has the plainest.
    let resolvconf = "#!/bin/sh\n[ \"$1\" = -a ] && cat > /etc/resolv.conf\nexit 0\n";
    write(&format!("{OWN_PROGRAMS}/resolvconf"), resolvconf, 0o755)?;
    // Our own device, for a machine that has no other WireGuard: it is to come back when its socket is there.
    let device = format!(
        "#!/bin/sh\n{PROGRAMS_DIR}/phantom-wg-device \"$1\" > /run/device.log 2>&1 &\n\
         for try in 1 2 3 4 5 6 7 8 9 10; do [ -S \"/run/wireguard/$1.sock\" ] && exit 0; sleep 0.2; done\nexit 1\n"
    );
    write(&format!("{OWN_PROGRAMS}/own-device"), &device, 0o755)
}

fn write(path: &str, text: &str, mode: u32) -> Result {
    fs::write(path, text).context(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).context(path)
}

fn bring_up(file: &str) -> Result<String> {
    let probe = Cmd::line("ip link add probe type wireguard").succeeds();
    let kind = if probe {
        Cmd::line("ip link del probe").quiet()?;
        "kernel WireGuard"
    } else if find_program("wireguard-go").is_some() {
        "wireguard-go"
    } else {
        "phantom-wg-device"
    };
    wg_quick("up", file)?;
    Ok(format!("client: {kind}"))
}

fn wg_quick(verb: &str, file: &str) -> Result {
    let path = std::env::var("PATH").unwrap_or_default();
    let command =
        Cmd::new("wg-quick").args([verb, file]).env("PATH", format!("{OWN_PROGRAMS}:{path}:/usr/sbin:/sbin"));
    let own = find_program("wireguard-go").is_none();
    let command = if own { command.env("WG_QUICK_USERSPACE_IMPLEMENTATION", "own-device") } else { command };
    command.quiet()
}

fn handshake() -> Result<String> {
    let times = Cmd::new("wg").args(["show", INTERFACE, "latest-handshakes"]);
    let done = || {
        let text = times.read().unwrap_or_default();
        text.split_whitespace().nth(1).is_some_and(|time| time != "0")
    };
    // A first message that is lost is sent again after five seconds.
    if wait_for(Duration::from_secs(17), done) {
        return Ok(String::new());
    }
    Err(Problem::new(format!("none in 17 s: {}", Cmd::line("wg show").read().unwrap_or_default())))
}

fn ping(address: &str) -> Result<String> {
    let text = Cmd::line("ping -n -q -c 3 -i 0.2 -W 3").arg(address).read()?;
    let times = text.lines().last().and_then(|line| line.split(" = ").nth(1)).unwrap_or_default();
    let average = times.split('/').nth(1).unwrap_or("?");
    Ok(format!("{average} ms on average"))
}

fn look_up() -> Result<String> {
    let servers = fs::read_to_string("/etc/resolv.conf").context("/etc/resolv.conf")?;
    let servers: Vec<&str> = servers.lines().filter_map(|line| line.strip_prefix("nameserver ")).collect();
    let text = Cmd::line("getent ahostsv4").arg(NAME).read()?;
    if !text.starts_with(&WEB.to_string()) {
        return Err(Problem::new(format!("{NAME} is said to be {text}")));
    }
    Ok(format!("{NAME} = {WEB}, asked of {}", servers.first().unwrap_or(&"?")))
}

fn fetch() -> Result<String> {
    let (expected, start) = (file(), Instant::now());
    let address = (WEB, 80).into();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).context("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).context("connect")?;
    write!(stream, "GET /file HTTP/1.0\r\nHost: {NAME}\r\n\r\n").context("request")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("answer")?;
    let head = answer.windows(4).position(|part| part == b"\r\n\r\n").context("no HTTP answer")?;
    let body = &answer[head + 4..];
    let megabits = body.len() as u128 * 8 / start.elapsed().as_micros().max(1);
    if body != expected {
        return Err(Problem::new(format!("{} bytes arrived, and they are not the file", body.len())));
    }
    Ok(format!("{} MiB, every byte right, {megabits} Mbit/s", body.len() >> 20))
}
