//! Many at once: what succeeds is stored and live, no address is given twice, and nobody who reads is disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use phantom_store::{NewClient, Paths, State, Store};
use phantom_types::{ClientSecret, PresharedKey, PrivateKey, Timestamp};
use serde_json::Value;

use crate::world::{At, TestNet, answer_of, api, in_world, long, note, wait_for};

/// What a failed call of each kind may say when others change the same things.
const ADD: [&str; 3] = ["CLIENT_EXISTS", "IP_ALLOCATION_ERROR", "STATE_LOCKED"];
const REMOVE: [&str; 2] = ["CLIENT_NOT_FOUND", "STATE_LOCKED"];

/// Calls that were started together.
#[derive(Default)]
struct Calls {
    running: Vec<(Vec<String>, Child)>,
}

impl Calls {
    fn start(&mut self, words: &[&str]) {
        let child = api().args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.running.push((words.iter().map(|word| (*word).to_owned()).collect(), child));
    }
    fn add(&mut self, name: &str) {
        self.start(&["core", "add_client", &format!("client_name={name}")]);
    }
    fn remove(&mut self, name: &str) {
        self.start(&["core", "remove_client", &format!("client_name={name}")]);
    }

    /// The answers, in the order of the starts.
    fn finish(self) -> Vec<(Vec<String>, Value)> {
        // Each on a thread of its own: a pipe that nobody reads would stop the one that writes.
        let wait = |(words, child): (Vec<String>, Child)| {
            (words, std::thread::spawn(move || child.wait_with_output()))
        };
        let waiting: Vec<_> = self.running.into_iter().map(wait).collect();
        let answer = |(words, thread): (Vec<String>, std::thread::JoinHandle<std::io::Result<Output>>)| {
            let output = thread.join().unwrap().unwrap();
            let shown: Vec<&str> = words.iter().map(String::as_str).collect();
            (words.clone(), answer_of(&shown, &output))
        };
        waiting.into_iter().map(answer).collect()
    }
}

/// That every answer is a success, or a failure with one of these codes. Gives the successes.
#[track_caller]
fn successes(answers: &[(Vec<String>, Value)], action: &str, codes: &[&str]) -> Vec<Value> {
    let of_action = answers.iter().filter(|(words, _)| words[1] == action);
    let mut good = Vec::new();
    for (words, answer) in of_action {
        if answer["success"] == true {
            good.push(answer["data"].clone());
        } else {
            let code = answer["code"].as_str().unwrap();
            assert!(codes.contains(&code), "{words:?}: {answer:#}");
        }
    }
    good
}

/// Name and address of every stored client.
fn stored(world: &TestNet) -> BTreeMap<String, String> {
    let list = world.ok(&["core", "list_clients", "per_page=100000"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let clients: BTreeMap<_, _> = list["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|client| (text(&client["name"]), text(&client["ip"])))
        .collect();
    assert_eq!(list["total"], clients.len(), "no name twice");
    let addresses: BTreeSet<&String> = clients.values().collect();
    assert_eq!(addresses.len(), clients.len(), "no address twice");
    clients
}

/// That device and file have exactly the stored clients, each with its own key and address.
#[track_caller]
fn assert_live(world: &TestNet) {
    let store = Store::new(Paths::default());
    let mut wanted = BTreeMap::new();
    let read = store.read(|state| {
        state.each_client(|client| {
            wanted.insert(client.public_key.to_string(), format!("{}/32", client.address));
            Ok::<_, phantom_store::StoreError>(())
        })?;
        state.contradictions()
    });
    assert_eq!(read.unwrap(), []);
    assert_eq!(wanted.len(), stored(world).len());
    let pairs = |text: &str| -> BTreeMap<String, String> {
        text.lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(key, ips)| (key.to_owned(), ips.to_owned()))
            .collect()
    };
    assert_eq!(pairs(&world.sh("wg show wg_main allowed-ips")), wanted, "on the device");
    let file = world.sh("cat /etc/wireguard/wg_main.conf");
    let value = |line: &str, key: &str| {
        line.strip_prefix(key).map(|rest| rest.trim_start_matches([' ', '=']).to_owned())
    };
    let mut listed = BTreeMap::new();
    let mut key = String::new();
    for line in file.lines() {
        if let Some(found) = value(line, "PublicKey") {
            key = found;
        }
        if let Some(ips) = value(line, "AllowedIPs") {
            assert_eq!(listed.insert(key.clone(), ips), None, "a block stands twice in the file");
        }
    }
    assert_eq!(listed, wanted, "in the file");
    world.in_sync();
}

#[test]
fn hundred_concurrent_clients_on_empty_server() {
    let test = "concurrency::hundred_concurrent_clients_on_empty_server";
    in_world(test, |world| {
        world.setup();
        let begin = Instant::now();
        let mut calls = Calls::default();
        (0..100).for_each(|n| calls.add(&format!("client-{n}")));
        let answers = calls.finish();
        let added = successes(&answers, "add_client", &["STATE_LOCKED"]);
        note(test, &format!("{} of 100 succeeded in {:.1} s", added.len(), begin.elapsed().as_secs_f64()));
        // Who waited half a minute in vain may say so; nobody else may fail.
        assert!(added.len() == 100 || begin.elapsed() > Duration::from_secs(30), "{} of 100", added.len());
        let clients = stored(world);
        assert_eq!(clients.len(), added.len());
        for data in &added {
            let (name, ip) =
                (data["client"]["name"].as_str().unwrap(), data["client"]["ip"].as_str().unwrap());
            assert_eq!(clients[name], ip, "what was answered is what is stored");
        }
        // The lowest addresses, without a gap.
        let wanted: BTreeSet<String> = (2..added.len() + 2).map(|n| format!("10.8.0.{n}")).collect();
        assert_eq!(clients.values().cloned().collect::<BTreeSet<_>>(), wanted);
        assert_live(world);
    });
}

#[test]
fn same_name_and_last_address_go_once() {
    in_world("concurrency::same_name_and_last_address_go_once", |world| {
        let (ip, backend) = crate::world::setup_words();
        world.ok(&["core", "setup", &ip, &backend, "subnet=10.8.0.0/28"]);
        let mut calls = Calls::default();
        // Thirteen addresses; names that differ in case only are the same name.
        for n in 0..10 {
            calls.add(&format!("John-{n}"));
            calls.add(&format!("john-{n}"));
            calls.add(&format!("Other-{n}"));
        }
        let answers = calls.finish();
        let added = successes(&answers, "add_client", &ADD);
        let clients = stored(world);
        assert_eq!((added.len(), clients.len()), (13, 13), "the subnet is full");
        let names: BTreeSet<String> = clients.keys().map(|name| name.to_lowercase()).collect();
        assert_eq!(names.len(), 13, "{clients:?}");
        for (words, answer) in answers.iter().filter(|(_, answer)| answer["code"] == "CLIENT_EXISTS") {
            let name = words[2].strip_prefix("client_name=").unwrap();
            assert!(answer["data"]["client_name"].as_str().unwrap().eq_ignore_ascii_case(name), "{answer:#}");
        }
        assert_live(world);
    });
}

#[test]
fn a_hundred_at_once_beside_a_thousand() {
    let test = "concurrency::a_hundred_at_once_beside_a_thousand";
    in_world(test, |world| {
        let (ip, backend) = crate::world::setup_words();
        world.ok(&["core", "setup", &ip, &backend, "subnet=10.8.0.0/16"]);
        fill(1000);
        assert_eq!(
            world.ok(&["core", "reconcile"])["steps"].as_array().unwrap().len(),
            1001,
            "the peers and the file"
        );
        assert_live(world);
        let before = stored(world);
        let begin = Instant::now();
        let mut calls = Calls::default();
        for n in 0..100 {
            calls.add(&format!("new-{n}"));
            if n % 3 == 0 {
                calls.remove(&format!("old-{n}"));
            }
            match n % 6 {
                0 => calls.start(&["core", "list_clients", "per_page=100", &format!("page={}", n / 10 + 1)]),
                1 => calls.start(&["core", "server_status"]),
                2 => calls.start(&["core", "export_client", &format!("client_name=old-{}", 500 + n)]),
                3 => calls.start(&["core", "list_clients", "search=old-9"]),
                4 => calls.start(&["core", "get_subnet_info"]),
                _ => calls.start(&["dns", "get_dns_servers"]),
            }
        }
        // Two who want the same one gone, and one who wants to add it meanwhile.
        calls.remove("old-999");
        calls.remove("old-999");
        calls.add("old-999");
        let answers = calls.finish();
        let took = begin.elapsed();
        for (words, answer) in &answers {
            let reads = !["add_client", "remove_client"].contains(&words[1].as_str());
            assert!(!reads || answer["success"] == true, "a reader failed: {words:?}: {answer:#}");
        }
        let added = successes(&answers, "add_client", &ADD);
        let removed = successes(&answers, "remove_client", &REMOVE);
        note(
            test,
            &format!("{} added, {} removed in {:.1} s", added.len(), removed.len(), took.as_secs_f64()),
        );
        assert!(
            took > Duration::from_secs(30) || (added.len() >= 100 && removed.len() >= 35),
            "{} {}",
            added.len(),
            removed.len()
        );
        let now = stored(world);
        assert_eq!(now.len(), before.len() + added.len() - removed.len());
        for client in added.iter().map(|data| &data["client"]).filter(|client| client["name"] != "old-999") {
            assert_eq!(now[client["name"].as_str().unwrap()], client["ip"].as_str().unwrap(), "{client:#}");
        }
        for data in removed.iter().filter(|data| data["client_name"] != "old-999") {
            assert!(!now.contains_key(data["client_name"].as_str().unwrap()), "{data:#}");
        }
        // Nobody else was touched.
        for (name, ip) in
            before.iter().filter(|(name, _)| name[4..].parse::<u32>().unwrap() >= 100 && *name != "old-999")
        {
            assert_eq!(now.get(name), Some(ip), "{name}");
        }
        assert_live(world);
    });
}

/// Stores clients at once, without the host.
fn fill(count: u32) {
    let store = Store::new(Paths::default());
    let lock = store.lock(Duration::from_secs(30)).unwrap();
    let change = store.begin(&lock).unwrap();
    for n in 0..count {
        let mut secret = [7; 32]; // all zeros would mean: no preshared key
        secret[..4].copy_from_slice(&n.to_be_bytes());
        let private_key = PrivateKey::from_random(secret);
        let client = NewClient {
            name: format!("old-{n}").parse().unwrap(),
            address6: None,
            extra_ips: Vec::new(),
            public_key: private_key.public_key(),
            private_key: Some(private_key),
            preshared_key: Some(PresharedKey::from_bytes(secret)),
            tunnel_secret: ClientSecret::from_bytes(secret),
            created: Timestamp::from_micros(1_757_380_307_000_000 + i64::from(n)),
        };
        change.insert_client(client).unwrap();
    }
    change.commit().unwrap();
    drop(lock);
    assert_eq!(store.read(State::client_count).unwrap(), count);
}

#[test]
fn concurrent_changes_leave_one_state() {
    in_world("concurrency::concurrent_changes_leave_one_state", |world| {
        world.setup();
        (0..5).for_each(|n| drop(world.add(&format!("old-{n}"))));
        let mut calls = Calls::default();
        for n in 0..6 {
            calls.add(&format!("new-{n}"));
            calls.start(&["core", "setup", &format!("port={}", 40_000 + n)]);
            calls.start(&[
                "core",
                "change_subnet",
                &format!("new_subnet=10.{}.0.0/24", 20 + n),
                "confirm=true",
            ]);
            calls.start(&["dns", "change_dns_servers", &format!("primary=10.0.0.{}", n + 1)]);
            calls.start(&["core", "restart_service"]);
            calls.start(&["core", "reconcile"]);
            calls.start(&["core", "reconcile", "dry_run=true"]);
            calls.start(&["core", "server_status"]);
            calls.remove(&format!("old-{n}"));
        }
        let answers = calls.finish();
        for (words, answer) in &answers {
            let legitimate = answer["success"] == true
                || answer["code"] == "STATE_LOCKED"
                || words[2] == "client_name=old-5" && answer["code"] == "CLIENT_NOT_FOUND";
            assert!(legitimate, "{words:?}: {answer:#}");
        }
        assert_live(world);
    });
}

#[test]
fn readers_always_see_one_committed_state() {
    in_world("concurrency::readers_always_see_one_committed_state", |world| {
        world.setup();
        (0..5).for_each(|n| drop(world.add(&format!("client-{n}"))));
        let mut changing = Calls::default();
        for n in 0..4 {
            let subnet = ["172.16.5.0/24", "10.8.0.0/24"][n % 2];
            changing.start(&["core", "change_subnet", &format!("new_subnet={subnet}"), "confirm=true"]);
        }
        let mut seen = 0;
        let done = wait_for(Duration::from_mins(2), || {
            let list = world.ok(&["core", "list_clients"]);
            let nets: BTreeSet<&str> = list["clients"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["ip"].as_str().unwrap().rsplit_once('.').unwrap().0)
                .collect();
            assert_eq!(
                (list["total"].as_u64(), nets.len()),
                (Some(5), 1),
                "half a change was seen: {list:#}"
            );
            let config = world.export("client-3");
            let address = config.lines().find_map(|line| line.strip_prefix("Address = ")).unwrap();
            let subnet = if address.starts_with("10.8.0.") { "10.8.0.0/24" } else { "172.16.5.0/24" };
            assert!(
                config.contains(&format!("0.0.0.0/0, {subnet}, ::/0")),
                "half a change was seen: {config}"
            );
            seen += 1;
            changing.running.iter_mut().all(|(_, child)| child.try_wait().unwrap().is_some())
        });
        assert!(done && seen > 3, "{seen}");
        for (words, answer) in changing.finish() {
            // The order is anybody's guess: to move to where one is, is refused.
            let same = answer["code"] == "VALIDATION_ERROR";
            assert!(
                answer["success"] == true || same || answer["code"] == "STATE_LOCKED",
                "{words:?}: {answer:#}"
            );
        }
        assert_live(world);
    });
}

#[test]
fn lock_wait_ends_after_half_a_minute() {
    let test = "concurrency::lock_wait_ends_after_half_a_minute";
    in_world(test, |world| {
        if !long() {
            return phantom_tests::skip(test, "takes half a minute; PHANTOM_TEST_LONG=1 runs it");
        }
        world.setup();
        let before = world.look();
        let lock = Store::new(Paths::default()).lock(Duration::ZERO).unwrap();
        let begin = Instant::now();
        let mut calls = Calls::default();
        calls.add("one");
        calls.start(&["core", "reconcile"]);
        calls.start(&["dns", "change_dns_servers", "primary=1.1.1.1"]);
        calls.start(&["core", "setup", "port=443"]);
        // Who only reads does not wait.
        world.ok(&["core", "list_clients"]);
        world.ok(&["core", "reconcile", "dry_run=true"]);
        assert!(begin.elapsed() < Duration::from_secs(20), "readers waited");
        for (words, answer) in calls.finish() {
            assert_eq!(answer["code"], "STATE_LOCKED", "{words:?}: {answer:#}");
            assert_eq!(answer["data"]["holder_pid"], std::process::id(), "{answer:#}");
            assert!((30..=40).contains(&answer["data"]["waited_seconds"].as_u64().unwrap()), "{answer:#}");
        }
        assert!(begin.elapsed() >= Duration::from_secs(30));
        drop(lock);
        before.assert_same(&world.look(), "nothing was changed");
        world.add("one");
        // A holder that is killed holds nothing any more.
        let holder = world.spawn(At::Server, "flock", &["/run/phantom-wg/lock", "sleep", "600"]);
        let held = || world.try_at(At::Server, "! flock -n /run/phantom-wg/lock true").status.success();
        assert!(wait_for(Duration::from_secs(30), held));
        let mut calls = Calls::default();
        calls.add("two");
        world.sh(&format!("kill -9 {holder} $(cat /proc/{holder}/task/{holder}/children)"));
        for (words, answer) in calls.finish() {
            assert_eq!(answer["success"], true, "{words:?}: {answer:#}");
        }
        world.in_sync();
    });
}
