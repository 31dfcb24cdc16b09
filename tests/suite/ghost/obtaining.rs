//! The way to the certificate: nobody waits for it, a certificate authority gets through, and nothing stays open.

use std::panic::resume_unwind;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use phantom_engine::Coverage;
use phantom_ghost::program::CertificateRequest;
use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_host::fake::FakeHost;
use phantom_host::{Firewall as _, Port, Protocol, UfwRule};
use phantom_host::{ServiceManager, Unit, UnitKind};
use phantom_tests::Server;

use super::{LOCAL, status, units, with_ufw};
use crate::cases::{ENABLE, with_domain};
use crate::faults::changed;

pub(crate) fn meanwhile(server: &mut Server, what: impl FnMut(&CertificateRequest) + Send + 'static) {
    server.fake.while_certified(what);
}

fn ours_in_ufw(fake: &FakeHost) -> Vec<String> {
    let dump = fake.dump();
    let ours = dump.lines().filter_map(|line| line.strip_prefix("ufw phantom")?.split_once(": "));
    ours.map(|(_, rule)| rule.to_owned()).collect()
}

#[test]
fn other_changes_do_not_wait_for_certificate() {
    let mut server = with_domain();
    let store = server.store();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    meanwhile(&mut server, move |request| {
        drop(store.lock(Duration::ZERO).expect("nobody holds the lock meanwhile"));
        seen.lock().unwrap().push(request.clone());
    });
    server.api(ENABLE).ok();
    let asked = asked.lock().unwrap();
    let expected = CertificateRequest::Issue {
        domain: "157-230-114-231.sslip.io".parse().unwrap(),
        directory: "https://acme-v02.api.letsencrypt.org/directory".into(),
        ca_file: None,
        certs_dir: server.paths().certs_dir(),
    };
    assert_eq!(*asked, [expected]);
}

#[test]
fn configured_operator_authority_is_trusted() {
    let mut server = with_domain();
    let ca = server.paths().config_dir().join("acme-ca.pem");
    std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let statement = "UPDATE settings SET acme_directory = 'https://pebble.test:14000/dir'";
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(statement).unwrap();
    let (expected, asked) = (ca.clone(), Arc::new(Mutex::new(false)));
    let seen = asked.clone();
    meanwhile(&mut server, move |request| {
        let CertificateRequest::Issue { directory, ca_file, .. } = request else { panic!("{request:?}") };
        assert_eq!((directory.as_str(), ca_file), ("https://pebble.test:14000/dir", &Some(expected.clone())));
        *seen.lock().unwrap() = true;
    });
    server.api(ENABLE).ok();
    assert!(*asked.lock().unwrap());
    let acme = super::configuration(&server)["acme"].take();
    assert_eq!(
        (&acme["directory"], &acme["ca_file"]),
        (&"https://pebble.test:14000/dir".into(), &ca.display().to_string().into())
    );
}

#[test]
fn ufw_admits_authority_only_while_asked() {
    let mut server = with_ufw();
    let before = ours_in_ufw(&server.fake);
    let (fake, seen) = (server.fake.clone(), Arc::new(Mutex::new(Vec::new())));
    let meanwhile_open = seen.clone();
    meanwhile(&mut server, move |_| *meanwhile_open.lock().unwrap() = ours_in_ufw(&fake));
    server.api(ENABLE).ok();
    let mut expected = [before, vec!["allow 443/tcp".into(), "allow 80/tcp".into()]].concat();
    expected.sort();
    let mut open = seen.lock().unwrap().clone();
    open.sort();
    assert_eq!(open, expected);
    let now = ours_in_ufw(&server.fake);
    assert_eq!(now, ["allow 443/tcp", "deny 51820/udp", "route allow in on wg_main"]);
    server.assert_in_sync();
}

#[test]
fn local_certificates_let_nobody_in() {
    let mut server = with_ufw();
    let (fake, before) = (server.fake.clone(), ours_in_ufw(&server.fake));
    meanwhile(&mut server, move |_| assert_eq!(ours_in_ufw(&fake), before));
    server.api(&LOCAL).ok();
}

#[test]
fn without_a_certificate_everything_is_as_before() {
    let server = with_ufw();
    let before = server.dump();
    server.fake.refuse_certificates(Some("the authority says no"));
    server.api(ENABLE).failed("CERTIFICATE_ERROR");
    assert_eq!(changed(&before, &server.dump()), "");
    // The ways cannot even be opened, the one or the other.
    server.fake.refuse_certificates(None);
    for k in [1, 2] {
        server.fake.reset_writes();
        server.fake.refuse_write(k);
        let answer = server.api(ENABLE).failed("GHOST_MODE_ERROR");
        assert_eq!(
            (&answer["data"]["step"], &answer["data"]["rolled_back"]),
            (&"firewall".into(), &true.into())
        );
        assert_eq!(changed(&before, &server.dump()), "", "write {k}");
    }
}

#[test]
fn unclosed_accept_is_reported_or_closed_later() {
    for k in [3, 4] {
        let server = with_ufw();
        let before = server.dump();
        server.fake.refuse_certificates(Some("the authority says no"));
        server.fake.reset_writes();
        server.fake.refuse_write(k);
        let answer = server.api(ENABLE).failed("GHOST_MODE_ERROR");
        let data = &answer["data"];
        assert_eq!((&data["step"], &data["rolled_back"]), (&"firewall".into(), &false.into()));
        server.fake.reset_writes();
        server.api(&["core", "reconcile"]).ok();
        assert_eq!(changed(&before, &server.dump()), "");
        // With a certificate the change goes on, and wants one of the two only.
        server.fake.refuse_certificates(None);
        server.fake.reset_writes();
        server.fake.refuse_write(k);
        server.api(ENABLE).ok();
        let now = ours_in_ufw(&server.fake);
        assert_eq!(now, ["allow 443/tcp", "deny 51820/udp", "route allow in on wg_main"]);
    }
}

/// The tunnel server of this installation holds the port while it runs.
pub(crate) fn holding_the_port(server: &Server) {
    let port = Port { protocol: Protocol::Tcp, number: 443 };
    server.fake.service_listens(&units(server)[0], &[port]);
}

#[test]
fn leftovers_of_interrupted_enable_do_not_disturb() {
    let server = with_domain();
    holding_the_port(&server);
    let start = format!("services.start {}", units(&server)[1]);
    server.fake.on_write(move |_, write| {
        if write == start {
            resume_unwind(Box::new("cut short by the test"));
        }
    });
    assert_eq!(server.api(ENABLE).code(), "INTERNAL_ERROR");
    server.fake.clear_on_write();
    assert_eq!(status(&server)["status"], "inactive");
    let answer = server.api(ENABLE);
    answer.ok();
    assert!(answer.err.contains("ghost enable") && answer.err.contains("was undone"), "{}", answer.err);
    assert_eq!(status(&server)["status"], "active");
    server.assert_in_sync();
}

#[test]
fn of_many_at_once_one_enables() {
    for _ in 0..3 {
        let server = with_domain();
        holding_the_port(&server);
        let start = Barrier::new(8);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let call = || {
                start.wait();
                server.api(ENABLE)
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winner: Vec<_> = answers.iter().filter(|answer| answer.success()).collect();
        assert_eq!(winner.len(), 1);
        let others = answers.iter().filter(|answer| !answer.success());
        for answer in others {
            answer.failed("GHOST_MODE_ACTIVE");
        }
        assert_eq!(status(&server)["connection_command"], winner[0].ok()["connection_command"]);
        server.assert_in_sync();
    }
}

/// What one request is answered by, each time it is asked.
fn answered(server: &mut Server, mut what: impl FnMut(&FakeHost, usize) + Send + 'static) {
    let (fake, mut times) = (server.fake.clone(), 0);
    meanwhile(server, move |_| {
        times += 1;
        what(&fake, times);
    });
}

/// A server whose certificate could be obtained by HTTP alone.
fn by_http(mut server: Server) -> (Server, serde_json::Value) {
    let noted = server.paths().certs_dir().join("157-230-114-231.sslip.io/challenge");
    answered(&mut server, move |fake, _| {
        std::fs::create_dir_all(noted.parent().unwrap()).unwrap();
        std::fs::write(&noted, "http-01\n").unwrap();
        fake.warn_of_certificates(&["tls-alpn-01: no handshake came through"]);
    });
    let enabled = server.api(ENABLE).ok();
    (server, enabled)
}

/// How many rules let the authority in by HTTP: of ufw, and in chains of others.
fn by_port_80(server: &Server) -> (usize, usize) {
    let ufw = ours_in_ufw(&server.fake);
    let dump = server.fake.dump();
    let others = dump.lines().filter(|line| line.contains(" lets in ") && line.contains("80/tcp"));
    (ufw.iter().filter(|rule| rule.starts_with("allow 80")).count(), others.count())
}

#[test]
fn authority_is_admitted_only_for_renewals() {
    let (server, enabled) = by_http(with_ufw());
    let warnings = enabled["warnings"].as_array().unwrap();
    let text = warnings[0].as_str().unwrap();
    assert!(
        warnings.len() == 1 && text.contains("port 80") && text.ends_with("came through"),
        "{warnings:?}"
    );
    assert_eq!(by_port_80(&server).0, 0);
    let way = |word: &str| assert_eq!(server.api(&["service", "way", word]).exit, 0, "{word}");
    // As the keeper has it done, and twice.
    for _ in 0..2 {
        way("open");
        way("open");
        assert_eq!(by_port_80(&server).0, 1);
        server.assert_in_sync();
        way("close");
        way("close");
        assert_eq!(by_port_80(&server).0, 0);
        server.assert_in_sync();
    }
    // A keeper that is killed in between leaves it open until its time is over, or Ghost Mode ends.
    way("open");
    let until = server.store().read(|state| state.document("ghost", "validation_until")).unwrap();
    let until = until.and_then(|until| until.as_i64()).expect("it is stored when it ends");
    assert!(server.store().due().is_some_and(|due| due.micros() <= until), "somebody is told");
    server.fake.set_now(phantom_types::Timestamp::from_micros(until + 1));
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(by_port_80(&server).0, 0);
    way("open");
    server.api(&super::DISABLE).ok();
    assert_eq!(by_port_80(&server).0, 0);
    server.assert_in_sync();
    // Where nothing is renewed, nothing is opened.
    way("open");
    server.api(&LOCAL).ok();
    way("open");
    assert_eq!(by_port_80(&server).0, 0);
    server.assert_in_sync();
}

#[test]
fn renewal_opens_ports_unless_operator_declined() {
    let (server, _) = by_http(with_domain());
    crate::reach::closed(&server);
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(by_port_80(&server).1, 0);
    server.api(&["service", "way", "open"]);
    assert_eq!(by_port_80(&server).1, 1);
    server.assert_in_sync();
    server.api(&["service", "way", "close"]);
    assert_eq!(by_port_80(&server).1, 0);
    server.api(&["core", "setup", "open_firewall=false"]).ok();
    server.api(&["service", "way", "open"]);
    assert_eq!(by_port_80(&server).1, 0);
    assert_ne!(server.api(&["service", "way", "ajar"]).exit, 0);
}

/// A unit that is wanted, by its name without what tells installations apart.
fn unit(server: &Server, name: &str) -> Option<Unit> {
    let phantom = server.phantom();
    let wanted = phantom
        .engine()
        .store()
        .read(|state| phantom.engine().desired(state, Coverage::WithoutPeers))
        .unwrap();
    wanted.units.get(&format!("{name}-{}", server.paths().instance().unwrap())).map(|(unit, _)| unit.clone())
}

fn arguments(unit: Option<Unit>) -> Vec<String> {
    match unit.unwrap().kind {
        UnitKind::Daemon { run, .. } | UnitKind::OnFile { run, .. } => run.args,
        UnitKind::OneShot { .. } => panic!("neither stays nor waits"),
    }
}

#[test]
fn keeper_asks_by_file_under_systemd() {
    let (server, _) = by_http(with_ufw());
    let file = server.paths().run_dir().join("ghost-way");
    let waits = unit(&server, "phantom-ghost-way").unwrap();
    assert!(matches!(&waits.kind, UnitKind::OnFile { file: of, .. } if *of == file), "{waits:?}");
    assert!(arguments(Some(waits)).ends_with(&["service".to_owned(), "way".to_owned()]));
    let ask = ["--ask".to_owned(), file.display().to_string()];
    assert!(arguments(unit(&server, "phantom-ghost-keeper")).ends_with(&ask));
    let ask = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let exit = server.api(&["service", "way"]).exit;
        assert!(!file.exists(), "as long as it is there, it is asked again");
        exit
    };
    for (text, expected, open) in [("7 open\n", "7 done\n", 1), ("8 close\n", "8 done\n", 0)] {
        assert_eq!(ask(text), 0);
        let answer = std::fs::read_to_string(file.with_file_name("ghost-way-done")).unwrap();
        assert_eq!((answer.as_str(), by_port_80(&server).0), (expected, open));
    }
    // Nobody asks, or what is no request.
    assert_eq!(server.api(&["service", "way"]).exit, 0);
    for text in ["", "open", "x open", "9 ajar"] {
        assert_ne!(ask(text), 0, "{text}");
    }
    // Where nothing is renewed there is no such unit, and without systemd nobody waits for files.
    server.fake.set_manager(ServiceManager::Builtin);
    assert_eq!(unit(&server, "phantom-ghost-way"), None);
    let run = ["--run", "service", "--run", "way"].map(str::to_owned);
    assert!(arguments(unit(&server, "phantom-ghost-keeper")).ends_with(&run));
    server.fake.set_manager(ServiceManager::Systemd);
    server.api(&super::DISABLE).ok();
    server.api(&LOCAL).ok();
    assert_eq!(unit(&server, "phantom-ghost-way"), None);
    assert!(!arguments(unit(&server, "phantom-ghost-keeper")).contains(&"--ask".to_owned()));
}

#[test]
fn accepts_closed_by_others_are_reopened() {
    let mut server = with_ufw();
    let tags = server.tags();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let opened = seen.clone();
    answered(&mut server, move |fake, times| {
        opened.lock().unwrap().push(ours_in_ufw(fake).contains(&"allow 80/tcp".to_owned()));
        if times == 1 {
            for port in [443, 80] {
                fake.remove_ufw(&tags, &UfwRule::Allow { protocol: Protocol::Tcp, port }).unwrap();
            }
        }
        fake.refuse_certificates((times == 1).then_some("nobody got through"));
    });
    server.api(ENABLE).ok();
    assert_eq!(*seen.lock().unwrap(), [true, true]);
}
