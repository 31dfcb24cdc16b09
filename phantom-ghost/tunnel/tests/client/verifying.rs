//! `phantom-ghost verify`, as a program.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use phantom_tunnel::secrets::Secret;
use serde_json::{Value, json};

use super::support::{NAME, TunnelNet};

/// Runs the verb; its answer and exit code.
async fn verify(request: Value) -> (Value, Option<i32>) {
    let run = move || {
        #[expect(clippy::disallowed_methods, reason = "the program itself is what is tested")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_phantom-ghost"));
        let mut child = command
            .arg("verify")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        (serde_json::from_slice(&output.stdout).unwrap(), output.status.code())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn request(world: &TunnelNet, port: u16, cert_path: &Path) -> Value {
    json!({
        "address": "127.0.0.1",
        "port": port,
        "domain": NAME,
        "secret": world.secret.reveal(),
        "wireguard_port": world.echo.port(),
        "cert_path": cert_path,
    })
}

/// The answer for a server that is well, with the end of its certificate.
fn well() -> Value {
    json!({"ok": true, "expires_at": "4096-01-01T00:00:00Z", "alarm": null})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_as_it_should_be() {
    let world = TunnelNet::new().await;
    let server = world.server(0).await;
    let (answer, code) = verify(request(&world, server.port, &world.chain)).await;
    assert_eq!((answer, code), (well(), Some(0)));
    assert_eq!(server.opened(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_faults_are_named() {
    let world = TunnelNet::new().await;
    let server = world.server(0).await;
    let mut wrong = request(&world, server.port, &world.chain);
    wrong["secret"] = Secret::generate().reveal().into();
    let secret = wrong["secret"].as_str().unwrap().to_owned();
    let mut port = request(&world, server.port, &world.chain);
    port["wireguard_port"] = (world.echo.port() ^ 1).into();
    let other = TunnelNet::new().await;
    for (request, kind) in [
        (request(&world, server.port, &other.chain), "certificate"),
        // The authority's certificate is not the server's.
        (request(&world, server.port, &world.ca), "certificate"),
        (wrong, "refused"),
        (port, "refused"),
        (request(&world, super::free_tcp(), &world.chain), "connect"),
    ] {
        let (answer, code) = verify(request).await;
        assert_eq!((answer["error"]["kind"].as_str(), code), (Some(kind), Some(1)), "{answer}");
        assert!(!answer.to_string().contains(&secret) && !answer.to_string().contains(world.secret.reveal()));
    }
    assert_eq!(server.opened(), 0);
}

/// Enabling starts the server and verifies it at once: it may not listen yet.
#[tokio::test(flavor = "multi_thread")]
async fn late_server_is_awaited() {
    let world = TunnelNet::new().await;
    let port = super::free_tcp();
    let mut request = request(&world, port, &world.chain);
    request["patience"] = 20.into();
    let verifying = tokio::spawn(verify(request));
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(!verifying.is_finished());
    let _server = world.server(port).await;
    assert_eq!(verifying.await.unwrap(), (well(), Some(0)));
}
