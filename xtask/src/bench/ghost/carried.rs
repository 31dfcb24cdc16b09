//! TCP through WireGuard through a tunnel, between two namespaces: our two ends, and wstunnel's two ends.
//!
//! The WireGuard is ours on both sides in both cases, so that what differs is the tunnel.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Stdio};

use super::{Certificate, DOMAIN, Options, Places, Result, SECRET, configure};
use crate::bench::measure::interleave;
use crate::bench::throughput::{self, Tunnel};
use crate::bench::world::DEVICE;
use crate::command::Cmd;

/// The numbers of the two tunnels of WireGuard: ours and wstunnel's carry one each.
const NUMBERS: [u8; 2] = [8, 9];
/// Where the two servers listen, in the right namespace.
const SERVERS: [&str; 2] = ["192.0.2.2:50443", "192.0.2.2:50444"];
/// Where the two clients listen, in the left one.
const CLIENTS: [&str; 2] = ["127.0.0.1:52001", "127.0.0.1:52002"];

/// Mbit/s there and back, each of ours and of wstunnel's.
pub(super) fn measure(
    places: &Places,
    options: &Options,
    stock: &Path,
    certificate: &Certificate,
) -> Result<[[f64; 2]; 2]> {
    throughput::lay_cable()?;
    let mut carriers = Carriers(Vec::new());
    carriers.ours(places, certificate)?;
    carriers.stock(stock, certificate)?;
    let device = places.programs.join(DEVICE);
    let [ours, theirs] = [0, 1].map(|at| Tunnel::from_left(NUMBERS[at], device.as_os_str(), CLIENTS[at]));
    let (ours, theirs) = (ours?, theirs?);
    let seconds = if options.quick { 1 } else { 2 };
    let [there, back, stock_there, stock_back] = interleave(
        options.few(),
        [
            &mut || ours.speed(seconds, false),
            &mut || ours.speed(seconds, true),
            &mut || theirs.speed(seconds, false),
            &mut || theirs.speed(seconds, true),
        ],
    )?;
    Ok([[there, stock_there], [back, stock_back]])
}

/// Tunnel programs, which end with this.
struct Carriers(Vec<Child>);

impl Carriers {
    fn start(&mut self, side: &str, program: &OsStr, words: &[&str], input: Option<&Path>) -> Result {
        let command = Cmd::line("ip netns exec").arg(side).arg(program).args(words);
        let input = input.map(std::fs::File::open).transpose();
        let input = crate::problem::Context::context(input, "the secret")?;
        let input = input.map_or_else(Stdio::null, Stdio::from);
        self.0.push(command.spawn(input, Stdio::null(), Stdio::null())?);
        Ok(())
    }

    fn ours(&mut self, places: &Places, certificate: &Certificate) -> Result {
        let program = places.programs.join("phantom-ghost");
        let control = Path::new("/run/bench-carried");
        let words = ["serve", "--listen", SERVERS[0], "--control", "/run/bench-carried"];
        self.start("right", program.as_os_str(), &words, None)?;
        configure(control, certificate, Tunnel::port(NUMBERS[0]))?;
        let secret = places.out.join("opt/secret");
        crate::problem::Context::context(std::fs::write(&secret, SECRET), "the secret")?;
        let server = format!("wss://{DOMAIN}:50443");
        let port = Tunnel::port(NUMBERS[0]).to_string();
        let chain = certificate.chain.display().to_string();
        let words = [
            "connect",
            "--server",
            &server,
            "--address",
            "192.0.2.2",
            "--secret-file",
            "-",
            "--listen",
            CLIENTS[0],
            "--wireguard-port",
            &port,
            "--ca-file",
            &chain,
        ];
        self.start("left", program.as_os_str(), &words, Some(&secret))
    }

    fn stock(&mut self, program: &Path, certificate: &Certificate) -> Result {
        let to = format!("127.0.0.1:{}", Tunnel::port(NUMBERS[1]));
        let server = format!("wss://{}", SERVERS[1]);
        let [chain, key] = [&certificate.chain, &certificate.key].map(|path| path.display().to_string());
        let words = [
            "server",
            "--log-lvl",
            "OFF",
            "-r",
            SECRET,
            "--restrict-to",
            &to,
            "--tls-certificate",
            &chain,
            "--tls-private-key",
            &key,
            &server,
        ];
        self.start("right", program.as_os_str(), &words, None)?;
        let way = format!("udp://{}:{to}?timeout_sec=0", CLIENTS[1]);
        let words = ["client", "--log-lvl", "OFF", "-P", SECRET, "-L", &way, &server];
        self.start("left", program.as_os_str(), &words, None)
    }
}

impl Drop for Carriers {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
