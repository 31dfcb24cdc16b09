//! Tests of changing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use phantom_types::{ClientSecret, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::testing::{Fixture, name, new_client, server, settle};

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

/// What `State::contradictions` finds, and the addresses by name.
fn clients(state: &State<'_>) -> Result<BTreeMap<String, String>> {
    assert_eq!(state.contradictions()?, Vec::new());
    Ok(state.named_addresses()?.into_iter().map(|(name, ip)| (name.to_string(), ip.to_string())).collect())
}

#[test]
fn server_round_trips() {
    let fixture = Fixture::empty();
    let plain = server("10.8.0.0/24");
    let full = Server {
        endpoint: Some("vpn.example.org".parse().unwrap()),
        ipv6: Some("2001:db8::1".parse().unwrap()),
        subnet6: Some("fd00:8::/64".parse().unwrap()),
        stopped_in: Some("a-run".to_owned()),
        ip_forward_before: Some("0".to_owned()),
        port: 65535,
        subnet: subnet("172.16.0.0/12"),
        backend: phantom_types::Backend::Embedded,
        backend_choice: phantom_types::BackendChoice::Embedded,
        ..plain.clone()
    };
    for stored in [&plain, &full, &plain] {
        fixture.change(|tx| tx.set_server(stored).unwrap());
        assert_eq!(fixture.read(State::server).as_ref(), Some(stored));
    }
}

#[test]
fn settings_servers_documents_and_backups_round_trip() {
    let fixture = Fixture::new();
    let settings = Settings {
        restart_service_after_client_creation: true,
        block_ipv6_leak: false,
        language: Some(Language::Tr),
    };
    let dns =
        DnsServers { primary: "1.1.1.1".parse().unwrap(), secondary: "2606:4700::1111".parse().unwrap() };
    let value = serde_json::json!({"a": [1, 2.5, null, "ğ"]});
    let backup = BackupEntry {
        id: "subnet_change_1738257600".to_owned(),
        created: Timestamp::from_micros(5),
        from: subnet("10.8.0.0/24"),
        to: subnet("192.168.100.0/24"),
    };
    fixture.change(|tx| {
        tx.set_settings(&settings).unwrap();
        tx.set_dns(&dns).unwrap();
        tx.set_document("weather", "town", Some(&value)).unwrap();
        tx.set_document("weather", "other", Some(&value)).unwrap();
        tx.set_document("weather", "other", None).unwrap();
        tx.add_backup(&backup).unwrap();
    });
    fixture.read(|state| {
        assert_eq!((state.settings()?, state.dns()?), (settings, dns));
        assert_eq!(state.document("weather", "town")?, Some(value.clone()));
        assert_eq!((state.document("weather", "other")?, state.document("dns", "town")?), (None, None));
        assert_eq!(state.backups()?, std::slice::from_ref(&backup));
        Ok(())
    });
    fixture.change(|tx| tx.set_settings(&Settings::default()).unwrap());
    assert_eq!(fixture.read(State::settings), Settings::default());
}

#[test]
fn what_is_not_committed_has_not_happened() {
    let fixture = Fixture::new();
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    let tx = fixture.store.begin(&lock).unwrap();
    tx.insert_client(new_client("a", 1)).unwrap();
    tx.set_dns(&DnsServers { primary: [1, 1, 1, 1].into(), secondary: [1, 1, 1, 1].into() }).unwrap();
    drop(tx);
    assert_eq!(fixture.read(State::client_count), 0);
    assert_eq!(fixture.read(State::dns), DnsServers::default());
    // The same connection, taken from the pool, has forgotten it as well.
    assert_eq!(fixture.store.begin(&lock).unwrap().client_count().unwrap(), 0);
}

#[test]
fn generation_grows_with_every_writing_commit() {
    let fixture = Fixture::new();
    let first = fixture.read(State::generation);
    fixture.change(|tx| {
        tx.insert_client(new_client("a", 1)).unwrap();
        tx.insert_client(new_client("b", 1)).unwrap();
        assert_eq!(tx.generation().unwrap(), first);
    });
    assert_eq!(fixture.read(State::generation), first + 1);
    fixture.change(|tx| assert_eq!(tx.remove_client(&name("nobody")).unwrap(), None));
    assert_eq!(fixture.read(State::generation), first + 1);
}

#[test]
fn client_is_refused_by_name_key_room() {
    let fixture = Fixture::empty();
    fixture.change(|tx| {
        let refused = tx.insert_client(new_client("early", 1));
        assert!(matches!(refused, Err(InsertError::Store(StoreError::NotInitialised { .. }))));
        tx.set_server(&server("10.8.0.0/29")).unwrap();
        for number in 2..7 {
            let client = tx.insert_client(new_client(&format!("Client-{number}"), 1)).unwrap();
            assert_eq!(client.address, Ipv4Addr::new(10, 8, 0, number));
        }
        let taken = tx.insert_client(new_client("cLIENT-4", 1));
        assert!(matches!(taken, Err(InsertError::Exists(stored)) if stored == name("Client-4")));
        let full = tx.insert_client(new_client("x", 1));
        assert!(matches!(full, Err(InsertError::Full { usable: 6, clients: 5, .. })), "{full:?}");
        tx.remove_client(&name("Client-3")).unwrap().unwrap();
        let twin = NewClient { public_key: new_client("Client-5", 1).public_key, ..new_client("x", 1) };
        assert!(matches!(tx.insert_client(twin), Err(InsertError::DuplicateKey(stored)) if stored == name("Client-5")));
        assert_eq!(tx.insert_client(new_client("x", 1)).unwrap().address, Ipv4Addr::new(10, 8, 0, 3));
        assert_eq!(tx.contradictions().unwrap(), Vec::new());
    });
}

#[test]
fn ipv6_address_is_chosen_or_next_free() {
    let fixture = Fixture::new();
    let at = |name: &str, address: &str| NewClient {
        address6: Some(address.parse().unwrap()),
        ..new_client(name, 1)
    };
    fixture.change(|tx| {
        assert_eq!(tx.insert_client(new_client("old", 1)).unwrap().address6, None);
        let six = Server { subnet6: Some("fd00:8::/64".parse().unwrap()), ..server("10.8.0.0/24") };
        tx.set_server(&six).unwrap();
        let client = tx.insert_client(new_client("new", 1)).unwrap();
        assert_eq!(client.address6, Some("fd00:8::3".parse().unwrap()));
        assert_eq!(tx.client(&name("new")).unwrap(), Some(client));
        tx.insert_client(at("chosen", "fd00:8::5")).unwrap();
        tx.insert_client(at("elsewhere", "2001:db8::7")).unwrap();
        let taken = tx.insert_client(at("late", "2001:db8::7")).unwrap_err();
        let InsertError::AddressTaken { address, holder } = taken else { panic!("{taken:?}") };
        assert_eq!((address.to_string(), holder), ("2001:db8::7".to_owned(), name("elsewhere")));
        // Hosts 4 and 5 have addresses of their own choice, so that the prefix's fifth address is taken.
        tx.remove_client(&name("elsewhere")).unwrap().unwrap();
        let next = tx.insert_client(new_client("next", 1)).unwrap();
        assert_eq!((next.address, next.address6), ([10, 8, 0, 5].into(), "fd00:8::6".parse().ok()));
        let remap = subnet("10.8.0.0/24").remap(subnet("10.9.0.0/29"), &tx.addresses().unwrap()).unwrap();
        tx.change_subnet(subnet("10.9.0.0/29"), &remap).unwrap();
        assert_eq!(tx.client(&name("next")).unwrap().unwrap().address6, next.address6);
        assert_eq!(tx.contradictions().unwrap(), Vec::new());
    });
    // A prefix without room gives no address, and is no reason to refuse a client.
    let tiny = Fixture::empty();
    tiny.change(|tx| {
        let six = Server { subnet6: Some("fd00:8::/127".parse().unwrap()), ..server("10.8.0.0/24") };
        tx.set_server(&six).unwrap();
        assert_eq!(tx.insert_client(new_client("a", 1)).unwrap().address6, None);
    });
}

#[test]
fn an_id_is_given_once() {
    let fixture = Fixture::new();
    let add = |name: &str| fixture.change(|tx| tx.insert_client(new_client(name, 1)).unwrap());
    let (a, b) = (add("a"), add("b"));
    assert_eq!((a.id, b.id), (1, 2));
    fixture.change(|tx| tx.remove_client(&name("b")).unwrap().unwrap());
    let c = add("c");
    assert_eq!((c.id, c.address), (3, b.address), "the address is given again, the id is not");
    fixture.change(|tx| {
        let remap = subnet("10.8.0.0/24").remap(subnet("10.9.0.0/16"), &tx.addresses().unwrap()).unwrap();
        tx.change_subnet(subnet("10.9.0.0/16"), &remap).unwrap();
        assert_eq!(tx.client_by_id(3).unwrap().unwrap().name, name("c"));
        assert_eq!((tx.client_by_id(2).unwrap(), tx.client_by_id(4).unwrap()), (None, None));
    });
    let again = "INSERT INTO clients (host, id, name, public_key, tunnel_secret, created) \
                 VALUES (9, 2, 'x', zeroblob(32), zeroblob(32), 1)";
    let refused = fixture.sqlite().execute_batch(again).unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::ConstraintViolation));
}

#[test]
fn keyless_client_with_networks_round_trips() {
    let fixture = Fixture::new();
    let networks = ["192.168.7.0/24", "fd07::/48", "10.1.2.3/32"].map(|text| text.parse().unwrap());
    let new = NewClient {
        private_key: None,
        preshared_key: None,
        extra_ips: networks.to_vec(),
        ..new_client("router", 1)
    };
    let client = fixture.change(|tx| tx.insert_client(new).unwrap());
    fixture.read(|state| {
        assert_eq!(state.client(&name("router"))?.as_ref(), Some(&client));
        let info = &state.latest(1)?[0];
        assert_eq!((info.id, &info.extra_ips), (client.id, &client.extra_ips));
        assert_eq!((&client.private_key, &client.preshared_key), (&None, &None));
        state.each_client(|peer| {
            assert_eq!((peer.id, peer.extra_ips.as_slice()), (client.id, &networks[..]));
            assert_eq!(peer.preshared_key, None);
            Ok(())
        })
    });
}

#[test]
fn the_lock_of_another_installation_is_refused() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let lock = two.store.lock(Duration::ZERO).unwrap();
    assert!(matches!(one.store.begin(&lock), Err(StoreError::ForeignLock { .. })));
}

#[test]
fn incomplete_mapping_is_refused_before_any_write() {
    let fixture = Fixture::new();
    let (old, new) = (subnet("10.8.0.0/24"), subnet("10.9.0.0/29"));
    fixture.change(|tx| {
        for number in 0..5 {
            tx.insert_client(new_client(&format!("c{number}"), 1)).unwrap();
        }
        tx.remove_client(&name("c1")).unwrap();
    });
    let good = old.remap(new, &fixture.read(State::addresses)).unwrap();
    let broken: [fn(&mut Remap); 6] = [
        |remap| remap.clients.truncate(3),
        |remap| remap.clients.push(([10, 8, 0, 9].into(), [10, 9, 0, 3].into())),
        |remap| remap.clients[0].1 = [10, 9, 0, 3].into(),
        |remap| remap.clients[0].1 = [10, 9, 1, 2].into(),
        |remap| remap.clients[0].0 = remap.clients[1].0,
        |remap| remap.clients.iter_mut().for_each(|pair| pair.1 = [10, 9, 0, 2].into()),
    ];
    let before = fixture.read(clients);
    for (number, spoil) in broken.into_iter().enumerate() {
        let mut remap = good.clone();
        spoil(&mut remap);
        fixture.change(|tx| {
            let refused = tx.change_subnet(new, &remap);
            assert!(matches!(refused, Err(StoreError::Remap { .. })), "{number}: {refused:?}");
        });
        assert_eq!(fixture.read(clients), before);
    }
    let refused = fixture.change(|tx| tx.set_server(&server("10.9.0.0/24")));
    assert!(matches!(refused, Err(StoreError::Remap { .. })));
    fixture.change(|tx| tx.change_subnet(new, &good).unwrap());
    assert_eq!(fixture.read(clients)["c4"], "10.9.0.6");
}

#[test]
fn ten_thousand_clients_move_subnet_quickly() {
    let fixture = Fixture::empty();
    fixture.change(|tx| {
        tx.set_server(&server("10.0.0.0/8")).unwrap();
        for number in 0..10_000 {
            tx.insert_client(new_client(&format!("client-{number}"), number)).unwrap();
        }
        // The later half has to be renumbered, into the gaps that the others leave.
        for number in 0..5_000 {
            tx.remove_client(&name(&format!("client-{number}"))).unwrap().unwrap();
        }
    });
    let new = subnet("192.168.64.0/19");
    let start = Instant::now();
    fixture.change(|tx| {
        let remap = tx.subnet().unwrap().unwrap().remap(new, &tx.addresses().unwrap()).unwrap();
        assert_eq!(remap.renumbered, 10_001 - 8_190);
        tx.change_subnet(new, &remap).unwrap();
    });
    let took = start.elapsed();
    assert_eq!(fixture.read(clients).len(), 5_000);
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 1500 } else { 150 });
    assert!(took < limit, "{took:?}");
}

#[test]
fn nothing_secret_shows_itself() {
    let fixture = Fixture::new();
    fixture.change(|tx| {
        let mut new = new_client("a", 1);
        let secret = *b"secret-secret-secret-secret-1234";
        new.private_key = Some(PrivateKey::from_bytes(secret));
        new.preshared_key = Some(PresharedKey::from_bytes(secret));
        new.tunnel_secret = ClientSecret::from_bytes(secret);
        let client = tx.insert_client(new.clone()).unwrap();
        let shown = format!("{new:?} {client:?} {tx:?} {:?} {:?}", fixture.store, tx.server());
        assert!(shown.contains("(hidden)"));
        let numbers = format!("{:?}", b"secret-secret").replace(['[', ']'], "");
        assert!(!shown.contains("secret-secret") && !shown.contains(&numbers), "{shown}");
    });
}

#[test]
fn removed_client_leaves_no_key_in_database() {
    let fixture = Fixture::new();
    let key = *b"secret-secret-secret-secret-1234";
    fixture.change(|tx| {
        let new = NewClient { private_key: Some(PrivateKey::from_bytes(key)), ..new_client("a", 1) };
        tx.insert_client(new).unwrap();
        tx.insert_client(new_client("b", 1)).unwrap();
    });
    let contains =
        |path: &std::path::Path| std::fs::read(path).unwrap().windows(32).any(|window| window == key);
    settle(&fixture);
    let database = fixture.store.paths().database();
    assert!(contains(&database), "the test looks in the wrong place");
    fixture.change(|tx| tx.remove_client(&name("a")).unwrap().unwrap());
    settle(&fixture);
    assert!(!contains(&database) && !contains(&crate::files::beside(&database, "-wal")));
}

#[test]
fn the_schema_refuses_what_must_not_be() {
    let fixture = Fixture::new();
    fixture.change(|tx| drop(tx.insert_client(new_client("a", 1)).unwrap()));
    let sqlite = fixture.sqlite();
    let client = |host: &str, name: &str, key: &str| {
        format!(
            "INSERT INTO clients (id, host, name, private_key, public_key, preshared_key, tunnel_secret, created) \
             SELECT last_id + 1, {host}, {name}, zeroblob(32), {key}, zeroblob(32), zeroblob(32), 1 FROM counters"
        )
    };
    sqlite.execute_batch(&client("9", "'good'", "randomblob(32)")).unwrap();
    let with = |column: &str, value: &str| format!("UPDATE clients SET {column} = {value} WHERE host = 9");
    for good in [with("private_key", "NULL"), with("preshared_key", "NULL"), with("address6", "zeroblob(16)")]
    {
        sqlite.execute_batch(&good).unwrap();
    }
    for bad in [
        client("2", "'b'", "randomblob(32)"),
        client("1", "'b'", "randomblob(32)"),
        client("3", "'A'", "randomblob(32)"),
        client("3", "'-b'", "randomblob(32)"),
        client("3", "'b c'", "randomblob(32)"),
        client("3", "''", "randomblob(32)"),
        client("3", "NULL", "randomblob(32)"),
        client("3", "'b'", "randomblob(31)"),
        client("3", "'b'", "(SELECT public_key FROM clients)"),
        with("id", "(SELECT id FROM clients WHERE host = 2)"),
        with("id", "NULL"),
        with("private_key", "zeroblob(31)"),
        with("preshared_key", "zeroblob(33)"),
        with("tunnel_secret", "NULL"),
        with("tunnel_secret", "zeroblob(16)"),
        with("extra_ips", "NULL"),
        with("address6", "zeroblob(4)"),
        "UPDATE clients SET address6 = zeroblob(16)".to_owned(),
        "UPDATE settings SET block_ipv6_leak = 'yes'".to_owned(),
        "INSERT INTO counters VALUES (2, 0, 0, 1, 0)".to_owned(),
        "INSERT INTO settings (id) VALUES (2)".to_owned(),
        "UPDATE settings SET language = 'de'".to_owned(),
        "UPDATE server SET port = 0".to_owned(),
        "UPDATE server SET backend = 'auto'".to_owned(),
        "INSERT INTO documents VALUES ('m', 'k', '{')".to_owned(),
        "INSERT INTO backups VALUES ('../x', 1, '10.8.0.0/24', '10.9.0.0/24')".to_owned(),
    ] {
        let refused = sqlite.execute_batch(&bad).expect_err(&bad);
        assert_eq!(
            refused.sqlite_error_code(),
            Some(rusqlite::ErrorCode::ConstraintViolation),
            "{bad}: {refused}"
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add,
    Remove(prop::sample::Index),
    Move(u8, u8),
    Commit,
    Undo,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Add),
        5 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => (24u8..30, any::<u8>()).prop_map(|(prefix, third)| Step::Move(prefix, third)),
        1 => Just(Step::Commit),
        1 => Just(Step::Undo),
    ];
    proptest::collection::vec(step, 1..120)
}

/// The stored state in its simplest form: the subnet, and who has which host number.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    subnet: Subnet,
    hosts: BTreeMap<u32, ClientName>,
}

impl Model {
    fn addresses(&self) -> Vec<(ClientName, Ipv4Addr)> {
        self.hosts.iter().map(|(host, name)| (name.clone(), self.subnet.host(*host).unwrap())).collect()
    }

    /// Does one step to both and compares what they answer.
    fn step(&mut self, tx: &Transaction<'_>, step: &Step, number: usize) {
        match step {
            Step::Add => {
                let new = new_client(&format!("n{number}"), 0);
                let free = (2..=self.subnet.usable()).find(|host| !self.hosts.contains_key(host));
                match (tx.insert_client(new), free) {
                    (Ok(client), Some(host)) => {
                        assert_eq!(Some(client.address), self.subnet.host(host));
                        self.hosts.insert(host, client.name);
                    }
                    (Err(InsertError::Full { clients, .. }), None) => {
                        assert_eq!(clients as usize, self.hosts.len());
                    }
                    other => panic!("{other:?}"),
                }
            }
            Step::Remove(_) if self.hosts.is_empty() => {}
            Step::Remove(which) => {
                let host = *which.get(&self.hosts.keys().copied().collect::<Vec<_>>());
                let client = tx.remove_client(&self.hosts.remove(&host).unwrap()).unwrap().unwrap();
                assert_eq!(Some(client.address), self.subnet.host(host));
            }
            Step::Move(prefix, third) => {
                let new = Subnet::containing([10, 9, *third, 0].into(), *prefix).unwrap();
                let old: Vec<Ipv4Addr> = tx.addresses().unwrap();
                let Some(remap) = self.subnet.remap(new, &old) else { return };
                tx.change_subnet(new, &remap).unwrap();
                let moved = self.addresses().into_iter().zip(&remap.clients);
                self.hosts = moved.map(|((name, _), (_, to))| (new.offset(*to).unwrap(), name)).collect();
                self.subnet = new;
            }
            Step::Commit | Step::Undo => unreachable!("these are not done to a transaction"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn addresses_are_assigned_like_a_naive_model(steps in steps()) {
        let fixture = Fixture::empty();
        let mut model = Model { subnet: subnet("10.8.0.0/27"), hosts: BTreeMap::new() };
        fixture.change(|tx| tx.set_server(&server("10.8.0.0/27")).unwrap());
        let lock = fixture.store.lock(Duration::ZERO).unwrap();
        let mut committed = model.clone();
        let mut tx = fixture.store.begin(&lock).unwrap();
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Commit => {
                    tx.commit().unwrap();
                    committed = model.clone();
                    tx = fixture.store.begin(&lock).unwrap();
                }
                Step::Undo => {
                    drop(tx);
                    model = committed.clone();
                    tx = fixture.store.begin(&lock).unwrap();
                }
                _ => model.step(&tx, step, number),
            }
            prop_assert_eq!(tx.named_addresses().unwrap(), model.addresses());
            prop_assert_eq!(tx.client_count().unwrap() as usize, model.hosts.len());
        }
        prop_assert_eq!(tx.contradictions().unwrap(), Vec::new());
    }
}
