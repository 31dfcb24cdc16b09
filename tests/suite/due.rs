//! What is to be done at its time although nobody calls: a module that wants to be called, and the copies of the stored state.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use phantom_api::{Call, Entry, Lang, Phantom, Text, TypedModule};
use phantom_core::Core;
use phantom_engine::{Engine, EngineError, HookError, Origin, Scope, SystemModule};
use phantom_host::{DeviceUpdate, PeerUpdate};
use phantom_store::{State, StoreError, Transaction};
use phantom_tests::Server;
use phantom_types::{Backend, Timestamp};
use serde_json::json;

/// Between two beats, in microseconds: ten seconds.
const BEAT: i64 = 10_000_000;
/// A work that failed is called again after so long, in microseconds.
const AGAIN: i64 = 60_000_000;
const PLACE: (&str, &str) = ("metronome", "next");

/// How often a metronome was called, and whether its work fails.
static CALLED: AtomicUsize = AtomicUsize::new(0);
static FAILS: AtomicUsize = AtomicUsize::new(0);

/// A module that wants to be called every ten seconds once it is wound up, and stores when it is to be called next.
struct Metronome;

impl TypedModule for Metronome {
    const NAME: &'static str = "metronome";
    const SUMMARY: Text = Text { en: "A metronome", tr: "Bir metronom" };
    const ACTIONS: &'static [Entry<Self>] = &[];
}

impl SystemModule for Metronome {
    fn new(_: Arc<Engine>) -> Self {
        Self
    }
    fn due(state: &State<'_>) -> Result<Option<Timestamp>, StoreError> {
        let next = state.document(PLACE.0, PLACE.1)?;
        Ok(next.and_then(|next| next.as_i64()).map(Timestamp::from_micros))
    }
    fn when_due(engine: &Engine, call: &Call) -> Result<(), HookError> {
        CALLED.fetch_add(1, Ordering::SeqCst);
        if FAILS.load(Ordering::SeqCst) > 0 {
            return Err(HookError::Usage);
        }
        wind_up(engine, call).map_err(HookError::failed)
    }
}

const BEATS: Origin = Origin { module: "metronome", action: "beat" };

fn wind_up(engine: &Engine, call: &Call) -> Result<(), EngineError> {
    let next = engine.host().clock.now().micros() + BEAT;
    engine.change(BEATS, call, |change| {
        let state: &Transaction<'_> = change;
        state.set_document(PLACE.0, PLACE.1, Some(&json!(next)))?;
        change.apply(Scope::WithoutPeers)
    })
}

fn with_metronome(server: &Server) -> Phantom {
    let builder = Phantom::builder(server.host.clone(), server.store());
    builder.system::<Core>().system::<Metronome>().build().unwrap()
}

fn call() -> Call {
    Call::new(Lang::En)
}

/// One test, since the counters are its own: time goes by, and what the watcher would do is done by hand.
#[test]
fn a_module_is_called_at_its_time() {
    let server = Server::ready().with(&["john"]);
    let (phantom, store) = (with_metronome(&server), server.store());
    let engine = phantom.engine();
    let now = || server.host.clock.now().micros();
    let due = || store.due().map(Timestamp::micros);
    wind_up(engine, &call()).unwrap();
    assert_eq!(due(), Some(now() + BEAT), "the watcher is told at the end of the change");

    // A repair before its time does not call it, and says the same.
    engine.repair(&call()).unwrap();
    assert_eq!((CALLED.load(Ordering::SeqCst), due()), (0, Some(now() + BEAT)));

    // At its time it is called once, and names the next one.
    server.fake.advance(std::time::Duration::from_micros(BEAT.unsigned_abs()));
    engine.repair(&call()).unwrap();
    assert_eq!((CALLED.load(Ordering::SeqCst), due()), (1, Some(now() + BEAT)));

    // The clock is set forward by a day: what was due meanwhile is due once.
    server.fake.set_now(Timestamp::from_micros(now() + 86_400_000_000));
    engine.repair(&call()).unwrap();
    assert_eq!((CALLED.load(Ordering::SeqCst), due()), (2, Some(now() + BEAT)));

    // What fails is tried again a minute later, not at once; any change meanwhile says that it is due.
    FAILS.store(1, Ordering::SeqCst);
    server.fake.advance(std::time::Duration::from_micros(BEAT.unsigned_abs()));
    engine.repair(&call()).unwrap();
    assert_eq!((CALLED.load(Ordering::SeqCst), due()), (3, Some(now() + AGAIN)));
    let log = std::fs::read_to_string(server.paths().logs_dir().join("phantom.log")).unwrap();
    assert!(log.contains("what is due could not be done: the argument is not one"), "{log}");
    FAILS.store(0, Ordering::SeqCst);
    engine.repair(&call()).unwrap();
    assert_eq!((CALLED.load(Ordering::SeqCst), due()), (4, Some(now() + BEAT)));

    // Without the module nothing of it is due: what is left are the copies, in days.
    server.api(&["core", "reconcile"]).ok();
    assert!(due().is_none_or(|due| due > now() + 10 * BEAT), "{:?}", due());
}

/// The way of a certificate authority was opened by a process that was killed: it is closed at its time, and nothing stays due.
#[test]
fn leftover_of_killed_process_closes_once() {
    let server = Server::ready();
    let (phantom, store) = (server.phantom(), server.store());
    let engine = phantom.engine();
    let now = || server.host.clock.now();
    let until = now().micros() + 300_000_000;
    let opened = engine.change(BEATS, &call(), |change| {
        change.set_document("ghost", "validation_until", Some(&json!(until)))?;
        change.apply(Scope::WithoutPeers)
    });
    opened.unwrap();
    assert_eq!(store.due().map(Timestamp::micros), Some(until));
    server.fake.advance(std::time::Duration::from_secs(301));
    engine.repair(&call()).unwrap();
    let stored = store.read(|state| state.document("ghost", "validation_until")).unwrap();
    assert_eq!(stored, None);
    assert!(store.due().is_none_or(|due| due > now()), "{:?}", store.due());
}

/// Nobody is told when a peer is removed from a device: all of them are compared now and then.
#[test]
fn a_peer_that_somebody_removes_comes_back() {
    let server = Server::ready().with(&["john"]);
    let (phantom, store) = (server.phantom(), server.store());
    let engine = phantom.engine();
    let john = store.read(|state| state.client(&"john".parse().unwrap())).unwrap().unwrap();
    let key = john.public_key;
    let (name, backend) = ("wg_main".parse().unwrap(), Backend::Kernel);
    let there =
        || !server.host.wireguard.peers(&name, backend, &[key]).unwrap().unwrap_or_default().is_empty();
    engine.repair(&call()).unwrap();
    let peers = vec![PeerUpdate::Remove(key)];
    server
        .host
        .wireguard
        .configure(&name, backend, &DeviceUpdate { peers, ..DeviceUpdate::default() })
        .unwrap();
    engine.repair(&call()).unwrap();
    assert!(!there(), "a repair costs the same for any number of clients");
    let due = store.due().unwrap();
    assert!(due.since(server.host.clock.now()) <= std::time::Duration::from_mins(10));
    server.fake.set_now(due);
    engine.repair(&call()).unwrap();
    assert!(there());
    assert!(store.due().unwrap() > due);
    // Where no device is meant to be there, nothing is compared by itself.
    server.api(&["core", "stop_service"]).ok();
    let copies = store.copies_due().unwrap();
    assert_eq!(store.due(), copies);
}
