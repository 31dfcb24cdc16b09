//! Works on a stored state of your own, with one call per process: to look at the store, and to measure it.
//!
//! ```text
//! cargo run --release --example clients -- DIR seed 60000
//! cargo run --release --example clients -- DIR add john-laptop
//! cargo run --release --example clients -- DIR show john-laptop
//! cargo run --release --example clients -- DIR list
//! cargo run --release --example clients -- DIR remove john-laptop
//! cargo run --release --example clients -- DIR move 192.168.0.0/16
//! ```
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use phantom_store::{NewClient, Paths, Server, Store, StoreError, Transaction};
use phantom_types::{Backend, BackendChoice, ClientSecret, PresharedKey, PrivateKey, PublicKey, Timestamp};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [dir, rest @ ..] = arguments.as_slice() else {
        return Err("usage: clients DIR ACTION [VALUE]".into());
    };
    let store = Store::new(Paths::with_run_dir(Path::new(dir).join("root"), Path::new(dir).join("run")));
    match *rest {
        ["seed", count] => seed(&store, count.parse()?),
        ["add", name] => change(&store, |tx| {
            let client = tx.insert_client(new_client(name)?)?;
            println!("{} {}", client.name, client.address);
            Ok(())
        }),
        ["remove", name] => change(&store, |tx| {
            let client = tx.remove_client(&name.parse()?)?.ok_or("no such client")?;
            println!("{} {}", client.name, client.address);
            Ok(())
        }),
        ["move", subnet] => change(&store, |tx| {
            let (new, start) = (subnet.parse()?, Instant::now());
            let server = tx.server()?.ok_or("never set up")?;
            let remap = server.subnet.remap(new, &tx.addresses()?).ok_or("too small")?;
            tx.change_subnet(new, &remap)?;
            println!("{} of {} renumbered in {:?}", remap.renumbered, remap.clients.len(), start.elapsed());
            Ok(())
        }),
        ["show", name] => {
            let client = store.read(|state| state.client(&name.parse()?).map_err(Box::<dyn Error>::from))?;
            println!("{client:?}");
            Ok(())
        }
        ["list", ref search @ ..] => list(&store, search.first().copied()),
        _ => Err("unknown action".into()),
    }
}

fn list(store: &Store, search: Option<&str>) -> Result {
    let page = store.read::<_, StoreError>(|state| state.page(search, 0, 10))?;
    for client in &page.clients {
        println!("{} {} {}", client.created, client.address, client.name);
    }
    println!("{} in all", page.total);
    Ok(())
}

fn change(store: &Store, what: impl FnOnce(&Transaction<'_>) -> Result) -> Result {
    let lock = store.lock(Duration::from_secs(30))?;
    let tx = store.begin(&lock)?;
    what(&tx)?;
    // As a change does that the host follows.
    tx.reserve_space()?;
    Ok(tx.commit()?)
}

/// Sets up a server in 10.0.0.0/8 with so many clients. Their public keys are made up, since nobody will use them.
fn seed(store: &Store, count: u32) -> Result {
    change(store, |tx| {
        let private_key = PrivateKey::from_random(random()?);
        tx.set_server(&Server {
            public_key: private_key.public_key(),
            private_key,
            server_ip: Some("192.0.2.1".parse()?),
            endpoint: None,
            ipv6: None,
            port: 51820,
            subnet: "10.0.0.0/8".parse()?,
            subnet6: None,
            interface: "wg_main".parse()?,
            backend_choice: BackendChoice::Auto,
            backend: Backend::Embedded,
            stopped_in: None,
            ip_forward_before: None,
            created: now(),
        })?;
        for number in 0..count {
            let [a, b, c, d, ..] = random()?;
            let name = format!("client-{number}-{:08x}", u32::from_be_bytes([a, b, c, d]));
            tx.insert_client(new_client(&name)?)?;
        }
        Ok(())
    })
}

fn new_client(name: &str) -> Result<NewClient> {
    Ok(NewClient {
        name: name.parse()?,
        address6: None,
        extra_ips: Vec::new(),
        private_key: Some(PrivateKey::from_random(random()?)),
        public_key: PublicKey::from_bytes(random()?),
        preshared_key: Some(PresharedKey::from_bytes(random()?)),
        tunnel_secret: ClientSecret::from_bytes(random()?),
        created: now(),
    })
}

fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "an example has no host to ask for the time")]
fn now() -> Timestamp {
    SystemTime::now().into()
}
