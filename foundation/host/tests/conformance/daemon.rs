//! The daemons of the suite: no tests, but what its services run. Each is this program, started for one of these.

use std::env;
use std::os::unix::net::UnixDatagram;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM; SIGHUP is only noted.
fn serve(ready: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut hangup = signal(SignalKind::hangup()).unwrap();
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        if ready {
            let address = env::var_os("NOTIFY_SOCKET").expect("started by a supervisor");
            UnixDatagram::unbound().unwrap().send_to(b"READY=1", address).unwrap();
        }
        loop {
            tokio::select! {
                _ = hangup.recv() => println!("reloaded"),
                _ = terminate.recv() => break,
            }
        }
    });
}

#[test]
#[ignore = "the daemon of another test"]
fn good() {
    serve(true);
}

#[test]
#[ignore = "the daemon of another test"]
fn hangs() {
    serve(false);
}

#[test]
#[ignore = "the daemon of another test"]
fn ends() {
    panic!("a daemon that ends at once");
}
