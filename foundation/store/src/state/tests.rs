//! Tests of reading.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::{Fixture, name, new_client, server};
use crate::{Settings, Store};

#[test]
fn missing_database_reads_empty_and_stays_missing() {
    let fixture = Fixture::empty();
    fixture.read(|state| {
        assert!(!state.initialised()?);
        assert_eq!((state.server()?, state.generation()?, state.client_count()?), (None, 0, 0));
        assert_eq!((state.client(&name("a"))?, state.taken(&name("a"))?), (None, None));
        assert_eq!(
            (state.page(None, 0, 10)?, state.page(Some("a"), 0, 10)?),
            (ClientPage::default(), ClientPage::default())
        );
        assert_eq!(
            (state.latest(5)?, state.addresses()?, state.named_addresses()?),
            (vec![], vec![], vec![])
        );
        assert_eq!(state.settings()?, Settings { block_ipv6_leak: true, ..Settings::default() });
        assert_eq!(state.dns()?.primary.to_string(), "8.8.8.8");
        assert_eq!(state.dns()?.secondary.to_string(), "8.8.4.4");
        assert_eq!(
            (state.document("dns", "x")?, state.backups()?, state.contradictions()?),
            (None, vec![], vec![])
        );
        state.each_client(|_| Err(StoreError::unreadable(state.file(), StoreCause::Gone)))
    });
    assert_eq!(std::fs::read_dir(fixture.dir.path()).unwrap().count(), 0);
}

#[test]
fn new_database_has_the_same_defaults() {
    let (none, new) = (Fixture::empty(), Fixture::new());
    assert_eq!(new.read(State::settings), none.read(State::settings));
    assert_eq!(new.read(State::dns), none.read(State::dns));
}

#[test]
fn tunnel_secrets_are_of_permitted_clients() {
    let fixture = Fixture::new();
    for client in ["a", "b", "c"] {
        fixture.change(|tx| drop(tx.insert_client(new_client(client, 1)).unwrap()));
    }
    fixture.sqlite().execute("UPDATE clients SET enabled = 0 WHERE name = 'b'", ()).unwrap();
    let mut seen = Vec::new();
    fixture.read(|state| {
        state.each_tunnel_secret(|key, secret| {
            seen.push((*key, secret.clone()));
            Ok::<_, StoreError>(())
        })?;
        let stored = ["a", "c"].map(|client| state.client(&name(client)).unwrap().unwrap());
        assert_eq!(seen, stored.map(|client| (client.public_key, client.tunnel_secret)));
        let first =
            state.each_tunnel_secret(|_, _| Err(StoreError::unreadable(state.file(), StoreCause::Gone)));
        assert!(first.is_err(), "an error ends it");
        Ok(())
    });
    Fixture::empty().read(|state| {
        state.each_tunnel_secret(|_, _| Err(StoreError::unreadable(state.file(), StoreCause::Gone)))
    });
}

#[test]
fn client_lookup_is_exact_uniqueness_ignores_case() {
    let fixture = Fixture::new();
    let client = fixture.change(|tx| tx.insert_client(new_client("John-Laptop", 1)).unwrap());
    fixture.read(|state| {
        assert_eq!(state.client(&name("John-Laptop"))?.as_ref(), Some(&client));
        assert_eq!(state.client(&name("john-laptop"))?, None);
        assert_eq!(state.taken(&name("JOHN-laptop"))?, Some(name("John-Laptop")));
        assert_eq!(state.client_by_key(&client.public_key)?.as_ref(), Some(&client));
        assert_eq!(state.client_by_key(&PublicKey::from_bytes([0; 32]))?, None);
        assert_eq!(state.client_by_address(client.address.into())?.as_ref(), Some(&client));
        for nobody in ["10.8.0.77", "192.0.2.1", "fd00::1"] {
            assert_eq!(state.client_by_address(nobody.parse().unwrap())?, None, "{nobody}");
        }
        Ok(())
    });
}

#[test]
fn clients_stream_by_address_until_first_error() {
    let fixture = Fixture::new();
    fixture.change(|tx| {
        for (number, name) in ["c", "a", "b"].iter().enumerate() {
            tx.insert_client(new_client(name, 10 - i64::try_from(number).unwrap())).unwrap();
        }
    });
    fixture.read(|state| {
        let mut seen = Vec::new();
        state.each_client(|client| {
            assert_eq!(client.preshared_key, new_client(client.name, 0).preshared_key);
            seen.push(format!("{} {}", client.address, client.name));
            Ok::<_, StoreError>(())
        })?;
        assert_eq!(seen, ["10.8.0.2 c", "10.8.0.3 a", "10.8.0.4 b"]);
        assert_eq!(state.addresses()?.len(), 3);
        assert_eq!(state.named_addresses()?[1], (name("a"), [10, 8, 0, 3].into()));
        let mut calls = 0;
        let stopped: Result<()> = state.each_client(|_| {
            calls += 1;
            Err(StoreError::NotInitialised { file: "x".into() })
        });
        assert!(matches!(stopped, Err(StoreError::NotInitialised { .. })));
        assert_eq!(calls, 1);
        Ok(())
    });
}

#[test]
fn reader_sees_one_state_during_a_write() {
    let fixture = Fixture::new();
    let (ready, is_ready) = mpsc::channel();
    let (done, is_done) = mpsc::channel();
    std::thread::scope(|scope| {
        let (store, other) = (&fixture.store, fixture.other());
        scope.spawn(move || {
            let lock = other.lock(Duration::from_secs(30)).unwrap();
            let tx = other.begin(&lock).unwrap();
            tx.insert_client(new_client("new", 1)).unwrap();
            assert_eq!(tx.client_count().unwrap(), 1);
            ready.send(()).unwrap();
            is_done.recv().unwrap();
            tx.commit().unwrap();
            ready.send(()).unwrap();
        });
        is_ready.recv().unwrap();
        let counts = |state: &State<'_>| Ok::<_, StoreError>((state.client_count()?, state.generation()?));
        let before = store.read(counts).unwrap();
        assert_eq!(before.0, 0, "what is not committed is seen by nobody else");
        let (old, new) = store
            .read(|state| {
                let old = counts(state)?;
                done.send(()).unwrap();
                is_ready.recv().unwrap();
                // The writer has committed; this view stays what it was, and a new one is new.
                assert_eq!(counts(state)?, old);
                assert_eq!(state.client(&name("new"))?, None);
                Ok::<_, StoreError>((old, store.read(counts)?))
            })
            .unwrap();
        assert_eq!((old, new), (before, (1, before.1 + 1)));
    });
}

#[test]
fn page_comes_from_an_index_without_sorting() {
    let fixture = Fixture::new();
    let connection = fixture.sqlite();
    let plan = |sql: &str| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines: Vec<String> =
            statement.query_map((), |row| row.get::<_, String>(3)).unwrap().map(Result::unwrap).collect();
        lines.join("; ")
    };
    let page = plan("SELECT host, name, enabled FROM clients ORDER BY created, name COLLATE BINARY LIMIT 10");
    assert_eq!(page, "SCAN clients USING INDEX clients_by_age");
    let search = plan("SELECT host, name FROM clients ORDER BY created, name COLLATE BINARY");
    assert_eq!(search, "SCAN clients USING COVERING INDEX clients_by_age");
    for point in ["name = 'a'", "public_key = x'00'", "host = 2", "id = 1", "address6 = x'00'"] {
        assert!(plan(&format!("SELECT 1 FROM clients WHERE {point}")).starts_with("SEARCH"), "{point}");
    }
    assert_eq!(plan("SELECT min(host) FROM free_hosts"), "SEARCH free_hosts");
}

/// The clients that a naive search finds, as name and address, in the order of the API.
fn naive(clients: &[(String, i64)], text: Option<&str>) -> Vec<(String, String)> {
    let mut all: Vec<(i64, &str, String)> = clients
        .iter()
        .enumerate()
        .map(|(at, (name, created))| {
            (*created, name.as_str(), format!("10.8.{}.{}", (at + 2) / 256, (at + 2) % 256))
        })
        .collect();
    all.sort();
    let text = text.map(str::to_lowercase);
    let hit = |name: &str, ip: &str| {
        text.as_ref().is_none_or(|t| name.to_lowercase().contains(t) || ip.contains(t))
    };
    all.into_iter().filter(|(_, name, ip)| hit(name, ip)).map(|(_, name, ip)| (name.to_owned(), ip)).collect()
}

/// The same with those found by name first.
fn naive_names_first(clients: &[(String, i64)], text: &str) -> Vec<(String, String)> {
    let mut found = naive(clients, Some(text));
    found.sort_by_key(|(name, _)| !name.to_lowercase().contains(&text.to_lowercase()));
    found
}

fn store_with(clients: &[(String, i64)]) -> Fixture {
    let fixture = Fixture::empty();
    fixture.change(|tx| {
        tx.set_server(&server("10.8.0.0/16")).unwrap();
        for (name, created) in clients {
            tx.insert_client(new_client(name, *created)).unwrap();
        }
    });
    fixture
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pages_and_searches_match_a_naive_list(
        names in proptest::collection::btree_set("[abAB_][a-c0-9-]{0,3}", 0..60),
        times in proptest::collection::vec(0i64..8, 60),
        queries in proptest::collection::vec((proptest::option::of("[aB0-9.%_]{0,3}"), 0u32..70, 0u32..20), 12),
    ) {
        let mut lower = BTreeSet::new();
        let names = names.into_iter().filter(|name| lower.insert(name.to_lowercase()));
        let clients: Vec<(String, i64)> = names.zip(times).collect();
        let fixture = store_with(&clients);
        for (text, offset, limit) in queries {
            let mut lists = vec![(
                fixture.read(|state| state.page(text.as_deref(), offset, limit)),
                naive(&clients, text.as_deref()),
            )];
            if let Some(text) = &text {
                let page = fixture.read(|state| state.page_names_first(text, offset, limit));
                lists.push((page, naive_names_first(&clients, text)));
            }
            for (page, expected) in lists {
                prop_assert_eq!(page.total as usize, expected.len());
                let shown: Vec<_> =
                    page.clients.iter().map(|client| (client.name.to_string(), client.address.to_string())).collect();
                let window: Vec<_> = expected.into_iter().skip(offset as usize).take(limit as usize).collect();
                prop_assert_eq!(shown, window);
            }
        }
        let latest: Vec<_> = fixture.read(|state| state.latest(7)).iter().map(|client| client.name.to_string()).collect();
        let expected: Vec<_> = naive(&clients, None).into_iter().rev().take(7).map(|(name, _)| name).collect();
        prop_assert_eq!(latest, expected);
    }
}

#[test]
fn a_store_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Store>();
}
