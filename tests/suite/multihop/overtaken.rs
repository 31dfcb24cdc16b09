//! What the monitor has decided and somebody else decides otherwise meanwhile; what it knows no longer; how it has things done.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use phantom_engine::Coverage;
use phantom_host::{Files as _, Restart, ServiceManager, Unit, UnitKind};
use phantom_multihop::monitor::{Errands, Monitor};
use phantom_multihop::rows::MultihopState as _;
use phantom_store::{State, StoreError};
use phantom_tests::Server;

use super::{is_closed, nl, uk};
use crate::cases::{with_exit, with_second_exit};

/// Through `xeovo-uk`, with `nl` behind it and `de` imported. `first` is done before the first change of exit that the monitor
/// asks for; all programs that are run do what they do, and take six seconds.
fn world(first: impl Fn(&Server) + Send + Sync + 'static) -> Arc<Server> {
    let server = with_second_exit(with_exit());
    server.put_exit("/root/de.conf", "de.example.org", [198, 51, 100, 77], 0x71);
    server.api(&["multihop", "import_vpn_config", "config_path=/root/de.conf", "custom_name=de"]).ok();
    server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk", "fallback_exits=nl"]).ok();
    let server = Arc::new(server);
    let (weak, first) = (Arc::downgrade(&server), Mutex::new(Some(first)));
    server.fake.set_runner(move |command| {
        let Some(server) = weak.upgrade() else { return false };
        let words: Vec<&str> = command.args.iter().map(String::as_str).collect();
        let changes = words.contains(&"turn") || words.contains(&"errand");
        if let Some(first) = first.lock().unwrap().take_if(|_| changes) {
            first(&server);
        }
        server.fake.advance(Duration::from_secs(6));
        server.api(&words).exit == 0
    });
    server
}

fn stored(server: &Server) -> phantom_multihop::model::Multihop {
    server.store().read(State::multihop).unwrap().unwrap()
}

fn in_use(server: &Server) -> String {
    stored(server).active_exit.to_string()
}

/// Clients send, once a second, for so long or until something holds; says whether it did.
fn until(monitor: &mut Monitor<'_>, server: &Server, seconds: u64, holds: impl Fn(&Server) -> bool) -> bool {
    for _ in 0..seconds {
        if holds(server) {
            return true;
        }
        let engine = server.phantom();
        let keys =
            engine.engine().store().read(State::exits).unwrap().into_iter().map(|exit| exit.public_key);
        for key in keys {
            if let Some(peer) = server.fake.peer("wg_vpn", &key) {
                let bytes = (peer.rx_bytes, peer.tx_bytes + 1312);
                server.fake.set_peer_traffic(
                    "wg_vpn",
                    &key,
                    peer.config.endpoint,
                    peer.last_handshake,
                    bytes,
                );
            }
        }
        monitor.tick();
        server.fake.advance(Duration::from_secs(1));
    }
    holds(server)
}

#[test]
fn exit_chosen_during_a_switch_is_kept() {
    let server = world(|server| {
        server.api(&["multihop", "enable_multihop", "exit_name=de", "fallback_exits=nl"]).ok();
    });
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    until(&mut monitor, &server, 5, |_| false);
    server.fake.let_peer_answer(uk(), false);
    assert!(until(&mut monitor, &server, 60, |server| in_use(server) == "de"));
    assert!(
        !until(&mut monitor, &server, 300, |server| in_use(server) != "de"),
        "it was chosen, and answers"
    );
    // The switch that was refused says nothing of the exit that it was to lead to.
    let de = phantom_types::PrivateKey::from_random([0x72; 32]).public_key();
    server.fake.let_peer_answer(de, false);
    assert!(until(&mut monitor, &server, 40, |server| in_use(server) == "nl"));
    server.assert_in_sync();
}

#[test]
fn exit_reenabled_during_a_switch_is_kept() {
    let server = world(|server| {
        server.fake.let_peer_answer(uk(), true);
        server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk", "fallback_exits=nl"]).ok();
    });
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    until(&mut monitor, &server, 5, |_| false);
    server.fake.let_peer_answer(uk(), false);
    let since = stored(&server).activated_at;
    assert!(until(&mut monitor, &server, 60, |server| stored(server).activated_at != since));
    assert!(!until(&mut monitor, &server, 300, |server| in_use(server) != "xeovo-uk"));
    server.assert_in_sync();
}

#[test]
fn switch_requires_its_original_exit() {
    let server = world(|_| ());
    let since = stored(&server).activated_at.micros();
    let turn = |words: &[&str]| server.api(&[&["service", "turn", "nl"], words].concat());
    for (from, since) in [("nl", since), ("de", since), ("xeovo-uk", since + 1)] {
        let refused = turn(&[&format!("from={from}"), &format!("since={since}")]);
        assert_eq!((refused.exit, refused.out.as_str()), (1, ""), "{}", refused.err);
        assert_eq!(in_use(&server), "xeovo-uk");
    }
    for wrong in [&["from=xeovo-uk"][..], &["since=1"], &["from=xeovo-uk", "since=x"], &["now"]] {
        assert_eq!(turn(wrong).exit, 2, "{wrong:?}");
    }
    assert_eq!(turn(&["from=xeovo-uk", &format!("since={since}")]).exit, 0);
    assert_eq!(in_use(&server), "nl");
    server.assert_in_sync();
}

#[test]
fn missing_link_during_change_is_no_death() {
    let server = world(|_| ());
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    until(&mut monitor, &server, 5, |_| false);
    let store = server.store();
    let lock = store.lock(Duration::ZERO).unwrap();
    server.fake.cut_link("wg_vpn").unwrap();
    assert!(!until(&mut monitor, &server, 120, |server| in_use(server) != "xeovo-uk"));
    drop(lock);
    assert!(until(&mut monitor, &server, 40, |server| in_use(server) == "nl"), "now it is gone");
    server.assert_in_sync();
}

#[test]
fn outdated_monitor_ends_without_acting() {
    let server = world(|_| panic!("it has asked for a change"));
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    until(&mut monitor, &server, 5, |_| false);
    assert!(monitor.end().is_none());
    let newer = rusqlite::Connection::open(server.paths().database()).unwrap();
    let version: u32 = newer.query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap();
    newer.pragma_update(None, "user_version", version + 1).unwrap();
    server.fake.let_peer_answer(uk(), false);
    for _ in 0..60 {
        monitor.tick();
        server.fake.advance(Duration::from_secs(1));
    }
    assert!(matches!(monitor.end(), Some(StoreError::Newer { .. })), "{:?}", monitor.end());
    newer.pragma_update(None, "user_version", version).unwrap();
    assert_eq!(in_use(&server), "xeovo-uk");
}

/// The file by which the monitor asks.
fn request(server: &Server) -> std::path::PathBuf {
    format!("/run/phantom-multihop-{}/request", server.paths().instance().unwrap()).into()
}

#[test]
fn errand_unit_replaces_a_dead_exit() {
    let server = world(|_| ());
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine()).by(Errands::Ask);
    until(&mut monitor, &server, 5, |_| false);
    server.fake.let_peer_answer(uk(), false);
    assert!(until(&mut monitor, &server, 30, |server| in_use(server) == "nl"));
    let asked = server.fake.commands();
    let errand = ["service".to_owned(), "errand".to_owned()];
    assert!(asked.iter().any(|command| command.args.ends_with(&errand)), "{asked:?}");
    // An exit that is back is tried, and gets its place back, in the same way.
    server.fake.let_peer_answer(uk(), true);
    assert!(until(&mut monitor, &server, 1_300, |server| in_use(server) == "xeovo-uk"));
    // And so is what the host lacks where no other exit is left.
    server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk"]).ok();
    until(&mut monitor, &server, 5, |_| false);
    server.fake.cut_link("wg_vpn").unwrap();
    let there = |server: &Server| server.api(&["multihop", "status"]).ok()["vpn_interface"]["active"] == true;
    assert!(until(&mut monitor, &server, 30, there));
    server.assert_in_sync();
    assert!(server.fake.list(request(&server).parent().unwrap()).unwrap().is_empty());
}

#[test]
fn unserved_errand_is_withdrawn() {
    let server = world(|_| ());
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine()).by(Errands::Ask);
    until(&mut monitor, &server, 5, |_| false);
    let unit = format!("phantom-multihop-errand-{}", server.paths().instance().unwrap());
    server.fake.remove_unit_file(&unit);
    server.fake.let_peer_answer(uk(), false);
    assert!(!until(&mut monitor, &server, 60, |server| in_use(server) != "xeovo-uk"));
    assert_eq!(server.fake.read(&request(&server)).unwrap(), None);
    assert!(is_closed(&server));
    // Nobody asks, so nothing is done; and what is no errand is none.
    assert_eq!(server.api(&["service", "errand"]).exit, 0);
    for text in ["", "1", "1 setup", "x turn nl", "1 turn ../nl", "1 turn nl from=nl since=0"] {
        server.fake.put_file(&request(&server).display().to_string(), text.as_bytes(), 0o600, 0);
        assert_ne!(server.api(&["service", "errand"]).exit, 0, "{text}");
        assert_eq!(
            server.fake.read(&request(&server)).unwrap(),
            None,
            "as long as it is there, it is asked again"
        );
        assert_eq!(in_use(&server), "xeovo-uk");
    }
}

fn unit(server: &Server, name: &str) -> Option<Unit> {
    let phantom = server.phantom();
    let wanted = phantom
        .engine()
        .store()
        .read(|state| phantom.engine().desired(state, Coverage::WithoutPeers))
        .unwrap();
    wanted.units.get(&format!("{name}-{}", server.paths().instance().unwrap())).map(|(unit, _)| unit.clone())
}

#[test]
fn monitor_with_errands_has_few_rights() {
    let server = world(|_| ());
    let monitor = unit(&server, "phantom-multihop").unwrap();
    assert_eq!(
        (&monitor.capabilities[..], monitor.restart),
        (&["NET_ADMIN", "NET_RAW"].map(str::to_owned)[..], Restart::Always)
    );
    let bounds = monitor.bounds.unwrap();
    assert!(!bounds.owners && !bounds.manager && bounds.memory_mib <= 256);
    let folder = request(&server).parent().unwrap().to_owned();
    let (paths, data, logs) = (server.paths(), server.paths().data_dir(), server.paths().logs_dir());
    assert_eq!(monitor.writable, [&data, &logs, paths.run_dir(), &folder]);
    let UnitKind::Daemon { run, .. } = monitor.kind else { panic!("{monitor:?}") };
    assert!(run.args.ends_with(&["monitor".to_owned(), "--ask".to_owned()]), "{run:?}");
    let UnitKind::OnFile { file, run } = unit(&server, "phantom-multihop-errand").unwrap().kind else {
        panic!()
    };
    assert_eq!(file, request(&server));
    assert!(run.args.ends_with(&["service".to_owned(), "errand".to_owned()]), "{run:?}");
    // Without systemd nobody waits for files.
    server.fake.set_manager(ServiceManager::Builtin);
    assert_eq!(unit(&server, "phantom-multihop-errand"), None);
    let UnitKind::Daemon { run, .. } = unit(&server, "phantom-multihop").unwrap().kind else { panic!() };
    assert!(run.args.ends_with(&["monitor".to_owned()]), "{run:?}");
}

#[test]
fn exit_without_traffic_is_replaced_despite_resolver() {
    let server = world(|_| ());
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    let switches = |server: &Server| {
        let log = server.api(&["multihop", "get_session_log", "lines=1000"]).ok();
        log["logs"].as_array().unwrap().iter().filter(|one| one["event"] == "exit_switched").count()
    };
    until(&mut monitor, &server, 5, |_| false);
    for key in [uk(), nl()] {
        server.fake.let_peer_pass(key, false);
    }
    assert!(!until(&mut monitor, &server, 1_500, |server| in_use(server) != "xeovo-uk"));
    assert_eq!(switches(&server), 0, "no exit is better, so it is the resolver");
    server.fake.let_peer_pass(nl(), true);
    assert!(until(&mut monitor, &server, 3_000, |server| in_use(server) == "nl"));
    server.assert_in_sync();
    // The chosen one shakes hands all the time. It does not get its place back as long as it passes nothing.
    assert!(!until(&mut monitor, &server, 6_000, |server| in_use(server) != "nl"));
    assert_eq!(switches(&server), 1);
    server.fake.let_peer_pass(uk(), true);
    assert!(until(&mut monitor, &server, 8_000, |server| in_use(server) == "xeovo-uk"));
    server.assert_in_sync();
}

#[test]
fn replaced_chosen_exit_is_removed_smoothly() {
    let server = world(|_| ());
    let since = stored(&server).activated_at.micros();
    let turn = ["service", "turn", "nl", "from=xeovo-uk", &format!("since={since}")];
    assert_eq!(server.api(&turn).exit, 0);
    let list = server.api(&["multihop", "list_exits"]).ok();
    assert_eq!((&list["active_exit"], &list["chosen_exit"]), (&"nl".into(), &"xeovo-uk".into()));
    server.fake.reset_writes();
    let removed = server.api(&["multihop", "remove_vpn_config", "exit_name=xeovo-uk"]).ok();
    assert_eq!(removed["was_active"], false);
    assert!(removed["message"].as_str().unwrap().contains("'nl'"), "{removed:#}");
    assert!(is_closed(&server), "nobody is let out");
    let writes = server.fake.write_log();
    assert!(!writes.iter().any(|write| write.contains("wg_vpn") || write.contains("firewall")), "{writes:?}");
    let now = stored(&server);
    assert_eq!(
        (now.chosen_exit.as_str(), now.active_exit.as_str(), now.fallback_exits.len()),
        ("nl", "nl", 0)
    );
    assert!(server.api(&["multihop", "list_exits"]).ok().get("chosen_exit").is_none());
    server.assert_in_sync();
    // The one in use is another matter.
    let removed = server.api(&["multihop", "remove_vpn_config", "exit_name=nl"]).ok();
    assert_eq!(removed["was_active"], true);
    assert!(!is_closed(&server));
}

#[test]
fn multi_address_exit_replaces_overlapping_one() {
    let server = world(|_| ());
    let key = |number| phantom_types::PrivateKey::from_random([number; 32]);
    let text = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.99.0.1/32, 10.99.0.2/32\n[Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0\n\
         Endpoint = 198.51.100.9:51820\n",
        key(0x41).reveal().as_str(),
        key(0x42).public_key(),
    );
    server.fake.put_file("/root/two.conf", text.as_bytes(), 0o600, 0);
    server.fake.let_peer_answer(key(0x42).public_key(), true);
    server.api(&["multihop", "import_vpn_config", "config_path=/root/two.conf"]).ok();
    server.api(&["multihop", "enable_multihop", "exit_name=two"]).ok();
    server.assert_in_sync();
    server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk"]).ok();
    server.assert_in_sync();
}
