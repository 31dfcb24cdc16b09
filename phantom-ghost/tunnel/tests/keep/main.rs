//! Server, keeper and a real authority together: certificates come, are renewed and fail to be, while a tunnel stays open.
//! Where `pebble` is not installed the tests say so.

#![expect(clippy::unwrap_used, reason = "a helper of these tests that fails fails the test")]
#![expect(clippy::disallowed_methods, reason = "the programs are started, and their files are the test's")]

mod place;
#[path = "../../../certs/tests/pebble/proxy.rs"]
mod proxy;
mod tunnel;
#[expect(dead_code, reason = "the tests of the certificates use more of it")]
#[path = "../../../certs/tests/pebble/world.rs"]
mod world;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use place::{NAME, Place, until};
use proxy::Proxy;
use serde_json::{Value, json};

/// Short enough to see renewals, long enough for a busy machine to make them.
const LIFE: Duration = Duration::from_secs(12);

#[test]
fn certificate_is_renewed_with_an_open_tunnel() {
    let Some(mut place) = Place::new("certificate_is_renewed_with_an_open_tunnel", LIFE) else {
        return;
    };
    // There is no certificate at all: the server that is not configured yet answers the challenge.
    place.start();
    // What takes as long as an authority likes is no part of the start.
    place.ready();
    until("it serves", || place.status().filter(|status| status["serving"] == true));
    let mut tunnel = place.tunnel();
    let mut seen = vec![place.certificate()];
    let end = Instant::now() + 6 * LIFE;
    let mut echoes = 0;
    while seen.len() < 3 {
        assert!(Instant::now() < end, "no renewal: {:?}", place.status());
        tunnel.echo(format!("datagram {echoes}").as_bytes());
        echoes += 1;
        let now = place.certificate();
        if seen.last() != Some(&now) {
            assert!(!seen.contains(&now));
            seen.push(now);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    tunnel.echo(b"still there");
    assert!(echoes > 20);
    place.verify();
    let log = place.pebble.log();
    assert!(log.matches("set VALID by completed challenge").count() >= 3);
    assert!(!log.contains("/.well-known/acme-challenge/"), "the server answered all, by TLS");
    let status = until("no error is left", || place.status().filter(|status| status["last_error"].is_null()));
    assert_eq!(
        (&status["serving"], &status["source"], &status["renewal"]),
        (&json!(true), &json!("acme"), &json!("automatic"))
    );
    assert!(
        status["next_attempt"].is_string() && status["expires_at"].is_string() && status["alarm"].is_null()
    );
    // Other secrets do not need a restart, and a reload by signal does no harm.
    place.signal(Signal::SIGHUP);
    tunnel.echo(b"after a reload");
    place.stop(Signal::SIGTERM);
}

#[test]
fn failed_renewal_keeps_the_old_certificate() {
    let Some(mut place) = Place::new("failed_renewal_keeps_the_old_certificate", 3 * LIFE) else {
        return;
    };
    // This time the verb obtains it before there is a server.
    let issued = place.issue();
    assert_eq!(issued["reused"], false, "{issued}");
    place.end_authority();
    place.start();
    place.ready();
    let first = place.certificate();
    let mut tunnel = place.tunnel();
    let status =
        until("the renewal fails", || place.status().filter(|status| status["last_error"].is_string()));
    assert_eq!(status["serving"], true, "{status}");
    assert!(status["last_error"].as_str().unwrap().contains("could not be used to"), "{status}");
    assert_eq!(place.certificate(), first);
    assert_eq!(status["expires_at"], issued["expires_at"]);
    until("the operator is told", || place.status().filter(|status| status["alarm"].is_string()));
    // The authority comes back, having forgotten the account and with another root.
    place.run_authority();
    until("it is renewed", || place.status().filter(|status| status["last_error"].is_null()));
    assert_ne!(place.certificate(), first);
    place.verify();
    tunnel.echo(b"still there");
}

/// A life that leaves room before two thirds of it are over.
const LONG_LIFE: Duration = Duration::from_mins(1);

#[test]
fn certificate_is_renewed_when_authority_suggests() {
    let test = "certificate_is_renewed_when_authority_suggests";
    let Some(mut place) = Place::new(test, LONG_LIFE) else { return };
    let proxy = Proxy::start(&place.pebble);
    // Its time is over, as that of a certificate that is revoked.
    let window = ["2025-01-02T04:00:00Z", "2025-01-03T04:00:00Z"].map(str::to_owned);
    proxy.said().window = Some((window, "Retry-After: 21600".to_owned()));
    place.configure(&proxy.directory);
    place.start();
    until("it serves", || place.status().filter(|status| status["serving"] == true));
    let (first, begin) = (place.certificate(), Instant::now());
    let mut tunnel = place.tunnel();
    let renewed = until("it is renewed", || Some(place.certificate()).filter(|now| *now != first));
    let took = begin.elapsed();
    assert!(took < LONG_LIFE / 2, "{took:?}: no sooner than without a suggestion");
    assert_ne!(renewed, first);
    tunnel.echo(b"still there");
    let said = proxy.said();
    assert!(!said.asked.is_empty());
    let replaced = said.orders.last().unwrap()["replaces"].as_str().unwrap();
    assert_eq!(replaced, said.asked[0]);
}

#[test]
fn authority_with_exhausted_limit_is_left_alone() {
    let test = "authority_with_exhausted_limit_is_left_alone";
    let Some(mut place) = Place::new(test, LONG_LIFE) else { return };
    let proxy = Proxy::start(&place.pebble);
    place.configure(&proxy.directory);
    place.start();
    until("it serves", || place.status().filter(|status| status["serving"] == true));
    let limited =
        json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates" });
    proxy.said().refuse = Some((429, "Retry-After: 3600".to_owned(), limited, false));
    proxy.said().orders.clear();
    let error = |place: &Place| place.status()?["last_error"].as_str().map(str::to_owned);
    let told = until("it fails", || error(&place).filter(|error| error.contains("too many")));
    assert!(told.contains("takes requests again from 20"), "{told}");
    // Without that it would have asked every few tenths of a second, as a certificate of so short a life wants it. When a tenth of
    // the life is left it tries again.
    std::thread::sleep(LONG_LIFE / 12);
    assert_eq!(proxy.said().orders.len(), 1);
    // A keeper that is started again knows it.
    place.stop(Signal::SIGTERM);
    place.start_keeper();
    until("it knows", || error(&place).filter(|error| error.contains("too many")));
    std::thread::sleep(LONG_LIFE / 20);
    assert_eq!(proxy.said().orders.len(), 1);
}

#[test]
fn verbs_take_json_and_answer_one_line() {
    let home = tempfile::tempdir().unwrap();
    let call = |verb: &str, request: &Value| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_phantom-ghost"))
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        (output.status.code(), serde_json::from_str::<Value>(&text).unwrap())
    };
    let certs = home.path().join("certs");
    let (code, made) = call("self-sign", &json!({"domain": NAME, "certs_dir": certs}));
    assert_eq!(code, Some(0), "{made}");
    let files = json!({"cert_path": made["cert_path"], "key_path": made["key_path"], "domain": NAME});
    let (code, seen) = call("inspect", &files);
    assert_eq!((code, &seen["expires_at"]), (Some(0), &made["expires_at"]));
    fs::write(made["key_path"].as_str().unwrap(), "nonsense").unwrap();
    let (code, failed) = call("inspect", &files);
    assert_eq!((code, &failed["error"]["kind"]), (Some(1), &json!("key_not_pem")));
    assert_eq!(call("issue", &json!({"domain": NAME})).0, Some(1));
}

/// On a host where others have used up what the kernel grants.
#[test]
fn keeper_works_without_inotify() {
    let home = tempfile::tempdir().unwrap();
    let status = home.path().join("status.json");
    let keep = "echo 0 > /proc/sys/user/max_inotify_instances || exit 9; exec \"$0\" keep --config \"$1/conf\" --control \"$1/control\" --status \"$2\"";
    let mut keeper = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", keep, env!("CARGO_BIN_EXE_phantom-ghost")])
        .args([home.path(), &status])
        .spawn()
        .unwrap();
    let said = until("the status", || {
        assert_eq!(keeper.try_wait().unwrap(), None, "it has ended");
        serde_json::from_slice::<Value>(&fs::read(&status).ok()?).ok()
    });
    let error = said["last_error"].as_str().unwrap();
    assert!(error.contains("cannot be read") && error.contains("within a minute"), "{error}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper.id().try_into().unwrap()), Signal::SIGTERM)
        .unwrap();
    assert!(keeper.wait().unwrap().success());
    assert!(!status.exists(), "what an ended keeper said holds no longer");
}

/// A service manager that waits in vain kills the keeper in the end, with its answer to a challenge in force.
#[test]
fn keeper_ends_although_its_server_hangs() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let pair = phantom_certs::self_sign(&NAME.parse().unwrap(), phantom_certs::now()).unwrap();
    fs::write(path("chain"), &pair.chain_pem).unwrap();
    fs::write(path("key"), pair.key_pem.expose()).unwrap();
    let files = json!({"source": "operator", "cert_path": path("chain"), "key_path": path("key")});
    let config =
        json!({"domain": NAME, "secrets": ["s".repeat(64)], "wireguard_port": 51820, "certificate": files});
    fs::write(path("conf"), format!("# phantom-wg\n{config}\n")).unwrap();
    let server = std::os::unix::net::UnixListener::bind(path("control")).unwrap();
    let mut keeper = Command::new(env!("CARGO_BIN_EXE_phantom-ghost"))
        .args(["keep", "--config"])
        .arg(path("conf"))
        .arg("--control")
        .arg(path("control"))
        .arg("--status")
        .arg(path("status"))
        .spawn()
        .unwrap();
    let (mut asking, _) = server.accept().unwrap();
    std::io::Read::read_exact(&mut asking, &mut [0; 20]).unwrap();
    let begin = Instant::now();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper.id().try_into().unwrap()), Signal::SIGTERM)
        .unwrap();
    assert!(keeper.wait().unwrap().success());
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
