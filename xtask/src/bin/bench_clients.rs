//! `bench-clients ROOT COUNT`: fills the state stored below an install directory up to this many clients, in one change of the database.
//!
//! The host is not touched: `phantom-api --root ROOT core reconcile` brings the clients to the interface.
#![expect(
    clippy::disallowed_methods,
    reason = "a development tool has no host of the product to ask for the time"
)]
#![expect(clippy::print_stderr, reason = "it talks to the bench")]

use std::error::Error;
use std::fs::File;
use std::io::Read as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use phantom_store::{NewClient, Paths, State, Store, StoreError};
use phantom_types::{ClientSecret, PresharedKey, PrivateKey};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (root, count) = (words.next(), words.next().and_then(|count| count.parse().ok()));
    let (Some(root), Some(count)) = (root, count) else {
        eprintln!("usage: bench-clients ROOT COUNT");
        return ExitCode::from(2);
    };
    match fill(Paths::new(root), count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-clients: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fill(paths: Paths, count: u32) -> Result<(), Box<dyn Error>> {
    let store = Store::new(paths);
    let now = store.read::<_, StoreError>(State::client_count)?;
    let mut random = File::open("/dev/urandom")?;
    let mut bytes = || {
        let mut bytes = [0; 32];
        random.read_exact(&mut bytes).map(|()| bytes)
    };
    let lock = store.lock(Duration::from_secs(10))?;
    let change = store.begin(&lock)?;
    for number in now..count {
        let private_key = PrivateKey::from_random(bytes()?);
        change.insert_client(NewClient {
            name: format!("filled-{number}").parse()?,
            address6: None,
            extra_ips: Vec::new(),
            public_key: private_key.public_key(),
            private_key: Some(private_key),
            preshared_key: Some(PresharedKey::from_bytes(bytes()?)),
            tunnel_secret: ClientSecret::from_bytes(bytes()?),
            created: SystemTime::now().into(),
        })?;
    }
    change.commit()?;
    Ok(())
}
