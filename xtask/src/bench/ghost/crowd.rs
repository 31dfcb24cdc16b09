//! A newcomer's tunnel while strangers of many networks take every place of the server.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Certificate, DOMAIN, NEXT_PORT, Ordering, PATIENCE, SECRET, WIREGUARD, configure, end};
use crate::bench::Places;
use crate::bench::report::{Goal, Report, Row, Unit};
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};

/// How many networks the strangers come from, and how many connections each wants: twice as many as the server has places.
const NETWORKS: u8 = 32;
const EACH: u16 = 512;
/// How many bytes a stranger sends: none, or the beginning of a hello.
const SAID: [u8; 3] = [0, 1, 11];
/// So many newcomers for each.
const NEWCOMERS: usize = 20;
/// The server's address, in a network of its own, from which newcomers come as well. It is not one of the loopback interface's
/// own, which are not counted.
const SERVER: &str = "198.51.200.1";
const SOON: Duration = Duration::from_secs(3);

/// Measures how long newcomers take.
pub(super) fn run(places: &Places, report: &mut Report) -> Result {
    let certificate = Certificate::new(places)?;
    for network in (1..=NETWORKS).chain([200]) {
        Cmd::line(&format!("ip addr add 198.51.{network}.1/32 dev lo")).quiet()?;
    }
    let mut times = Vec::new();
    for said in SAID {
        times.extend(newcomers(places, &certificate, said)?);
    }
    let soon = times.iter().filter(|time| **time <= SOON).count();
    let slowest = times.iter().max().copied().unwrap_or_default();
    report.add(Row {
        what: "tunnel server, 32 networks filling its places: the slowest newcomer's tunnel".to_owned(),
        measured: Some(slowest.as_secs_f64() * 1e3),
        unit: Unit::Milliseconds,
        peer: None,
        goal: Goal::Limit(SOON.as_secs_f64() * 1e3),
        remark: format!("{soon} of {} within 3 s", times.len()),
    });
    Ok(())
}

/// A server and a crowd, which end with this.
struct Rig(Vec<Child>);

impl Drop for Rig {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn newcomers(places: &Places, certificate: &Certificate, said: u8) -> Result<Vec<Duration>> {
    let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
    let program = places.programs.join("phantom-ghost");
    let control = Path::new("/run/bench-crowd");
    let server = Cmd::new(&program).args(["serve", "--listen"]).arg(format!("0.0.0.0:{port}"));
    let server = server.arg("--control").arg(control);
    let mut rig = Rig(vec![server.spawn(Stdio::null(), Stdio::null(), Stdio::null())?]);
    configure(control, certificate, WIREGUARD)?;
    let begin = Instant::now();
    while TcpStream::connect((SERVER, port)).is_err() {
        if begin.elapsed() > PATIENCE {
            return Err(Problem::new("a tunnel server does not listen"));
        }
        sleep(Duration::from_millis(20));
    }
    let crowd = Cmd::new(places.helpers.join("bench-crowd")).arg(format!("{SERVER}:{port}"));
    let crowd = crowd.args([NETWORKS.to_string(), EACH.to_string(), said.to_string()]);
    rig.0.push(crowd.spawn(Stdio::null(), Stdio::piped(), Stdio::inherit())?);
    let told = rig.0.last_mut().and_then(|crowd| crowd.stdout.take()).context("bench-crowd")?;
    let mut full = String::new();
    BufReader::new(told).read_line(&mut full).context("bench-crowd")?;
    if full.trim() != "full" {
        return Err(Problem::new("the crowd has not filled the server's places"));
    }
    let request = json!({
        "address": SERVER, "port": port, "domain": DOMAIN, "secret": SECRET, "wireguard_port": WIREGUARD,
        "cert_path": certificate.chain, "patience": 10,
    });
    let newcomer = Cmd::new(&program).arg("verify").input(request.to_string());
    let mut times = Vec::new();
    for _ in 0..NEWCOMERS {
        let begin = Instant::now();
        newcomer.read()?;
        times.push(begin.elapsed());
    }
    Ok(times)
}
