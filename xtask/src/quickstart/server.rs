//! The server: calls of the installed `phantom-api`, and the choice of an address where it finds none.

use serde_json::Value;

use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};

/// Where the programs are installed.
pub(crate) const PROGRAMS_DIR: &str = "/usr/local/bin";
/// An address of RFC 5737, for a machine without any: it is in configurations until the real one is known.
const PLACEHOLDER: &str = "192.0.2.1";

/// The server as far as the proof has to know it.
#[derive(Debug)]
pub(super) struct Server {
    /// `kernel` or `embedded`.
    pub(super) backend: String,
    /// Its address inside the tunnel.
    pub(super) tunnel_address: String,
}

/// A client with what it is given.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) config: String,
}

/// What `phantom-api` refused.
#[derive(Debug)]
struct Refusal {
    code: String,
    text: String,
    data: Value,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(format!("{} ({})", refusal.text, refusal.code))
    }
}

/// Calls the command and returns the data of its answer.
pub(super) fn api(words: &[&str]) -> Result<Value> {
    Ok(call(words)??)
}

fn call(words: &[&str]) -> Result<Result<Value, Refusal>> {
    // The answers are read here, and the texts of errors shown: in English, whatever the server's language.
    let words = ["--compact", "--lang", "en"].iter().chain(words);
    let command = Cmd::new(format!("{PROGRAMS_DIR}/phantom-api")).args(words);
    let output = command.capture()?;
    let notes = String::from_utf8_lossy(&output.stderr);
    eprint!("{notes}");
    let mut answer: Value = serde_json::from_slice(&output.stdout).context(&command)?;
    if answer["success"] == true {
        return Ok(Ok(answer["data"].take()));
    }
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    Ok(Err(Refusal { code: text("code"), text: text("error"), data: answer["data"].clone() }))
}

/// Sets the server up, or finds that it is. New programs take over from the ones that are running.
pub(super) fn set_up(server_ip: Option<&str>, new_programs: bool) -> Result<Server> {
    let given = server_ip.map(|ip| format!("server_ip={ip}"));
    let mut words = vec!["core", "setup"];
    words.extend(given.as_deref());
    let data = match call(&words)? {
        Ok(data) => data,
        Err(refusal) if refusal.code == "MISSING_PARAMETER" && refusal.data["parameter"] == "server_ip" => {
            let address = choose_address()?;
            api(&["core", "setup", &format!("server_ip={address}")])?
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    if data["created"] == false {
        // The stored state may be there without anything on the host: after an uninstall, or from a copy.
        api(&["core", "reconcile"])?;
        if new_programs && text("backend") == "embedded" {
            api(&["core", "restart_service"])?;
        }
    }
    let endpoint = data["endpoint"].as_str().unwrap_or(text("server_ip")).to_owned();
    let (interface, port, subnet) = (text("interface"), &data["port"], text("subnet"));
    let backend = text("backend").to_owned();
    println!("{}: {interface}, {subnet}, UDP {endpoint}:{port}, {backend} WireGuard", text("message"));
    let info = api(&["core", "get_subnet_info"])?;
    let tunnel_address = info["server_ip"].as_str().context("get_subnet_info names no server")?.to_owned();
    Ok(Server { backend, tunnel_address })
}

/// What of the server's present mode the proof's client is kept out by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mode {
    stopped: bool,
    ghost: bool,
    multihop: bool,
}

impl Mode {
    /// Why the proof cannot be made while the server is as it is.
    pub(super) fn unprovable(self) -> Option<&'static str> {
        if self.stopped {
            return Some("the service is stopped (phantom-api core start_service)");
        }
        if self.ghost {
            return Some(
                "Ghost Mode is on, so that the WireGuard port is closed; phantom-api ghost status says how it is",
            );
        }
        self.multihop.then_some(
            "Multihop is on, so that clients go out through the exit alone; phantom-api multihop test_vpn tries that",
        )
    }
}

/// How the server is at present.
pub(super) fn mode() -> Result<Mode> {
    let stopped = api(&["core", "server_status"])?["service"]["running"] == false;
    let ghost = api(&["ghost", "status"])?["enabled"] == true;
    let multihop = api(&["multihop", "status"])?["enabled"] == true;
    Ok(Mode { stopped, ghost, multihop })
}

/// The client of this name, added if there is none.
pub(super) fn first_client(name: &str) -> Result<Client> {
    let word = format!("client_name={name}");
    match call(&["core", "add_client", &word])? {
        Ok(_) => println!("Client {name} added"),
        Err(refusal) if refusal.code == "CLIENT_EXISTS" => println!("Client {name} is there already"),
        Err(refusal) => return Err(refusal.into()),
    }
    let data = api(&["core", "export_client", &word])?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("export_client: no text");
    Ok(Client {
        name: name.to_owned(),
        address: text(&data["client"]["ip"])?,
        config: text(&data["config"])?,
    })
}

/// An address for a machine that has no public one, with a word about it.
fn choose_address() -> Result<String> {
    let uplink = Cmd::line("ip -4 route get 198.51.100.1").read().ok();
    let uplink = uplink.as_deref().and_then(|route| word_after(route, "src"));
    let any = Cmd::line("ip -4 -o addr show scope global up").read()?;
    let any = word_after(&any, "inet").and_then(|address| address.split('/').next());
    println!("This machine has no public IPv4 address of its own.");
    let address = if let Some(address) = uplink.or(any) {
        println!(
            "Clients in its own network reach it at {address}, which is taken now. For clients on the Internet,"
        );
        println!(
            "let the router forward UDP port 51820 to it, and tell the server the router's public address:"
        );
        address
    } else {
        println!(
            "It has no other network address either: {PLACEHOLDER}, an address for documentation, takes its place."
        );
        println!("Tell the server its address when it has one:");
        PLACEHOLDER
    };
    println!("    phantom-api core setup server_ip=PUBLIC.ADDRESS");
    Ok(address.to_owned())
}

fn word_after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let mut words = text.split_whitespace();
    words.find(|other| *other == word)?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_that_prevents_proof_is_named() {
        assert_eq!(Mode::default().unprovable(), None);
        let ghost = Mode { ghost: true, ..Mode::default() };
        assert!(ghost.unprovable().unwrap().starts_with("Ghost Mode is on"));
        assert!(
            Mode { multihop: true, ..Mode::default() }.unprovable().unwrap().starts_with("Multihop is on")
        );
        assert!(Mode { stopped: true, ..ghost }.unprovable().unwrap().contains("start_service"));
    }
}
