//! A hundred at once: every success is stored and live, no address twice, readers never fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::thread;

use phantom_store::NewClient;
use phantom_tests::{Answer, Server};
use phantom_types::{ClientSecret, PresharedKey, PrivateKey};
use serde_json::Value;

const MANY: usize = 100;

/// Runs all of these at the same time, each as a process of its own would.
fn at_once(server: &Server, calls: &[Vec<String>]) -> Vec<Answer> {
    let start = Barrier::new(calls.len());
    thread::scope(|scope| {
        let run = |words: &Vec<String>| {
            let words = words.iter().map(Into::into).collect();
            start.wait();
            server.run(words)
        };
        let threads: Vec<_> = calls.iter().map(|words| scope.spawn(move || run(words))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn call(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn add(name: &str) -> Vec<String> {
    call(&["core", "add_client", &format!("client_name={name}")])
}

/// The stored clients with their addresses, each of which is live on the interface and no other peer is.
fn stored_and_live(server: &Server) -> BTreeMap<String, String> {
    let list = server.api(&["core", "list_clients", "per_page=100000"]).ok();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let clients = list["clients"].as_array().unwrap().iter();
    let clients: BTreeMap<_, _> = clients.map(|one| (text(&one["name"]), text(&one["ip"]))).collect();
    let addresses: BTreeSet<&String> = clients.values().collect();
    assert_eq!(addresses.len(), clients.len(), "an address is given twice");
    let status = server.api(&["core", "server_status"]).ok();
    let peers = status["interface"]["peers"].as_array().unwrap().iter();
    let live: BTreeSet<String> = peers.map(|peer| text(&peer["allowed_ips"])).collect();
    let wanted: BTreeSet<String> = clients.values().map(|address| format!("{address}/32")).collect();
    assert_eq!(live, wanted);
    server.assert_in_sync();
    clients
}

#[test]
fn hundred_concurrent_clients_on_empty_server() {
    let server = Server::ready();
    let calls: Vec<_> = (0..MANY).map(|n| add(&format!("client-{n}"))).collect();
    let answers = at_once(&server, &calls);
    let mut given = BTreeMap::new();
    for answer in &answers {
        let client = answer.ok()["client"].take();
        given.insert(client["name"].as_str().unwrap().to_owned(), client["ip"].as_str().unwrap().to_owned());
    }
    assert_eq!(stored_and_live(&server), given);
    let expected: BTreeSet<String> = (2..102).map(|host| format!("10.8.0.{host}")).collect();
    assert_eq!(given.into_values().collect::<BTreeSet<_>>(), expected, "the lowest free ones");
}

#[test]
fn hundred_concurrent_same_names_make_one_client() {
    let server = Server::ready();
    let calls: Vec<_> = (0..MANY).map(|n| add(if n % 2 == 0 { "same" } else { "SAME" })).collect();
    let answers = at_once(&server, &calls);
    assert_eq!(answers.iter().filter(|answer| answer.success()).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "CLIENT_EXISTS").count(), MANY - 1);
    assert_eq!(stored_and_live(&server).len(), 1);
}

#[test]
fn the_last_addresses_are_given_once() {
    let server = Server::set_up(&["subnet=10.8.0.0/27"]);
    let calls: Vec<_> = (0..MANY).map(|n| add(&format!("c{n}"))).collect();
    let answers = at_once(&server, &calls);
    assert_eq!(answers.iter().filter(|answer| answer.success()).count(), 29);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "IP_ALLOCATION_ERROR").count(), MANY - 29);
    assert_eq!(stored_and_live(&server).len(), 29);
}

/// A server with a thousand clients, put into the store in one change.
fn thousand() -> Server {
    let server = Server::set_up(&["subnet=10.8.0.0/20"]);
    let store = server.store();
    let lock = store.lock(std::time::Duration::ZERO).unwrap();
    let change = store.begin(&lock).unwrap();
    for n in 0_u16..1000 {
        let mut secret = [7; 32];
        secret[2..4].copy_from_slice(&n.to_le_bytes());
        let private_key = PrivateKey::from_random(secret);
        let new = NewClient {
            name: format!("old-{n}").parse().unwrap(),
            address6: None,
            extra_ips: Vec::new(),
            public_key: private_key.public_key(),
            private_key: Some(private_key),
            preshared_key: Some(PresharedKey::from_bytes(secret)),
            tunnel_secret: ClientSecret::from_bytes(secret),
            created: phantom_types::Timestamp::from_micros(1_757_380_307_000_000 + i64::from(n)),
        };
        change.insert_client(new).unwrap();
    }
    change.commit().unwrap();
    drop(lock);
    server.api(&["core", "reconcile"]).ok();
    server
}

#[test]
fn concurrent_reads_and_changes_of_thousand_clients() {
    let server = thousand();
    let reads: [&[&str]; 6] = [
        &["core", "list_clients", "search=old-9"],
        &["core", "export_client", "client_name=old-999"],
        &["core", "server_status"],
        &["core", "get_subnet_info"],
        &["core", "latest_clients", "count=20"],
        &["dns", "get_dns_servers"],
    ];
    let mut calls = Vec::new();
    for n in 0..MANY {
        calls.push(add(&format!("new-{n}")));
        if n % 2 == 0 {
            calls.push(call(&["core", "remove_client", &format!("client_name=old-{n}")]));
        }
        calls.push(call(reads[n % reads.len()]));
    }
    let answers = at_once(&server, &calls);
    for (words, answer) in calls.iter().zip(&answers) {
        assert!(answer.success(), "{words:?}: {}", answer.out);
    }
    let clients = stored_and_live(&server);
    assert_eq!(clients.len(), 1000 + MANY - MANY / 2);
    for (words, answer) in calls.iter().zip(&answers).filter(|(words, _)| words[1] == "add_client") {
        let client = &answer.json()["data"]["client"];
        let name = words[2].strip_prefix("client_name=").unwrap();
        assert_eq!(Some(clients[name].as_str()), client["ip"].as_str(), "{name}");
    }
    assert!((0..MANY).step_by(2).all(|n| !clients.contains_key(&format!("old-{n}"))));
}

#[test]
fn readers_never_see_half_of_a_change() {
    let server = Server::ready().with(&["a", "b", "c"]);
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = |action: &'static str| {
            let (server, done) = (&server, &done);
            move || {
                let mut seen = 0;
                while !done.load(std::sync::atomic::Ordering::SeqCst) || seen == 0 {
                    let info = server.api(&["core", action]).ok();
                    if action == "get_subnet_info" {
                        let prefix =
                            info["current_subnet"].as_str().unwrap().trim_end_matches(".0/24").to_owned();
                        let clients = info["clients"]["clients"].as_object().unwrap();
                        let inside = |one: &Value| one["ip"].as_str().unwrap().starts_with(&prefix);
                        assert!(clients.len() == 3 && clients.values().all(inside), "{info:#}");
                    }
                    seen += 1;
                }
            }
        };
        let readers =
            ["get_subnet_info", "list_clients", "server_status"].map(|action| scope.spawn(reader(action)));
        for n in 0..20 {
            let subnet = if n % 2 == 0 { "new_subnet=192.168.100.0/24" } else { "new_subnet=10.8.0.0/24" };
            server.fake.advance(std::time::Duration::from_secs(1));
            server.api(&["core", "change_subnet", subnet, "confirm=true"]).ok();
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    server.assert_in_sync();
}
