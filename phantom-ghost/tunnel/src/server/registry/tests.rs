//! Who may open tunnels, and whose tunnels end.

use super::*;
use crate::limits::Rate;
use crate::secrets::Secret;

fn registry() -> Arc<Registry> {
    Arc::new(Registry::new(Limits { tunnels_per_secret: 4, tunnels_per_client: 2, ..Limits::default() }))
}

fn change(part: Option<Part>, add: &[&Secret], remove: &[&Secret]) -> Clients {
    let digests = |list: &[&Secret]| list.iter().map(|secret| secret.digest()).collect();
    Clients { part, add: digests(add), remove: digests(remove) }
}

fn is_ended(stop: &mut oneshot::Receiver<()>) -> bool {
    matches!(stop.try_recv(), Err(oneshot::error::TryRecvError::Closed))
}

#[test]
fn removed_shared_secret_ends_its_tunnels_only() {
    let (one, two) = (Secret::generate(), Secret::generate());
    let registry = registry();
    assert!(registry.open(one.id(), 1).is_none(), "nothing is accepted yet");
    registry.accept_shared([&one, &two].into_iter().collect());
    let (ticket, mut first) = registry.open(one.id(), 1).unwrap();
    let (_other, mut second) = registry.open(two.id(), 2).unwrap();
    registry.accept_shared([&two].into_iter().collect());
    assert!(is_ended(&mut first) && !is_ended(&mut second));
    assert!(registry.open(one.id(), 3).is_none() && registry.find(one.reveal().as_bytes()).is_none());
    drop(ticket);
    assert_eq!(registry.shared_ports(), [2]);
}

#[test]
fn removed_client_alone_loses_its_tunnels() {
    let secrets: Vec<Secret> = (0..4).map(|_| Secret::generate()).collect();
    let [shared, a, b, c] = secrets.as_slice() else { unreachable!() };
    let registry = registry();
    registry.accept_shared([shared].into_iter().collect());
    registry.change_clients(&change(Some(Part::Only), &[a, b], &[])).unwrap();
    let mut open: Vec<_> = [shared, a, b].map(|secret| registry.open(secret.id(), 7).unwrap()).into();
    registry.change_clients(&change(None, &[c], &[a])).unwrap();
    assert_eq!(open.iter_mut().map(|(_, stop)| is_ended(stop)).collect::<Vec<_>>(), [false, true, false]);
    assert!(registry.find(a.reveal().as_bytes()).is_none());
    assert_eq!(registry.find(c.reveal().as_bytes()), Some(c.id()));
    // What nobody has is removed without harm, and so is one that is the operator's as well.
    registry.change_clients(&change(None, &[], &[a, shared])).unwrap();
    assert!(!is_ended(&mut open[0].1));
    assert_eq!(registry.counts(), Open { tunnels: 3, secrets_in_use: 2, clients: 2 });
}

#[test]
fn whole_list_replaces_the_previous_one() {
    let (a, b, c) = (Secret::generate(), Secret::generate(), Secret::generate());
    let registry = registry();
    registry.change_clients(&change(Some(Part::Only), &[&a, &b], &[])).unwrap();
    let (_a, mut stop_a) = registry.open(a.id(), 1).unwrap();
    let (_b, mut stop_b) = registry.open(b.id(), 2).unwrap();
    registry.change_clients(&change(Some(Part::First), &[&b], &[])).unwrap();
    registry.change_clients(&change(Some(Part::Further), &[], &[])).unwrap();
    assert!(registry.open(c.id(), 3).is_none() && !is_ended(&mut stop_a), "it is not complete yet");
    registry.change_clients(&change(Some(Part::Last), &[&c], &[])).unwrap();
    assert!(is_ended(&mut stop_a) && !is_ended(&mut stop_b));
    assert!(registry.open(c.id(), 3).is_some() && registry.open(a.id(), 4).is_none());
    // A list that was begun and never completed leaves nothing to the next one.
    registry.change_clients(&change(Some(Part::First), &[&a], &[])).unwrap();
    registry.change_clients(&change(Some(Part::First), &[], &[])).unwrap();
    registry.change_clients(&change(Some(Part::Last), &[&b], &[])).unwrap();
    assert_eq!(registry.counts().clients, 1);
}

#[test]
fn so_many_tunnels_and_no_more() {
    let (shared, client) = (Secret::generate(), Secret::generate());
    let registry = registry();
    registry.accept_shared([&shared].into_iter().collect());
    registry.change_clients(&change(None, &[&client], &[])).unwrap();
    for (secret, most) in [(&shared, 4), (&client, 2)] {
        let mut open: Vec<_> = (0..most).map(|port| registry.open(secret.id(), port).unwrap()).collect();
        assert!(registry.open(secret.id(), 9).is_none());
        drop(open.pop());
        assert!(registry.open(secret.id(), 9).is_some());
    }
}

/// As many clients as there may be, changed singly.
#[test]
fn a_million_clients() {
    let digest = |number: usize| SecretDigest::digest(&number.to_le_bytes());
    let registry = registry();
    let numbers: Vec<usize> = (0..MAX_CLIENTS).collect();
    for (at, chunk) in numbers.chunks(50_000).enumerate() {
        let part = Some(if at == 0 { Part::First } else { Part::Further });
        let add = chunk.iter().map(|number| digest(*number)).collect();
        registry.change_clients(&Clients { part, add, remove: Vec::new() }).unwrap();
    }
    registry.change_clients(&change(Some(Part::Last), &[], &[])).unwrap();
    assert_eq!(registry.counts().clients, MAX_CLIENTS);
    let (stays, goes) = (digest(1), digest(MAX_CLIENTS - 1));
    let (_stays, mut stopped) = registry.open(stays.id(), 1).unwrap();
    let (_goes, mut gone) = registry.open(goes.id(), 2).unwrap();
    let single = |add: &[SecretDigest], remove: &[SecretDigest]| {
        registry.change_clients(&Clients { part: None, add: add.to_vec(), remove: remove.to_vec() })
    };
    assert_eq!(single(&[digest(MAX_CLIENTS)], &[]), Err(MAX_CLIENTS + 1));
    assert_eq!(registry.counts().clients, MAX_CLIENTS, "what is too much changes nothing");
    let begin = std::time::Instant::now();
    for number in 0..1000 {
        single(&[], &[digest(MAX_CLIENTS - 1 - number)]).unwrap();
        single(&[digest(MAX_CLIENTS + number)], &[]).unwrap();
    }
    // A whole list takes seconds here.
    assert!(begin.elapsed().as_secs() < 1, "{:?}", begin.elapsed());
    assert!(is_ended(&mut gone) && !is_ended(&mut stopped));
    assert!(registry.find(&1_usize.to_le_bytes()).is_some());
    assert!(registry.find(&(MAX_CLIENTS - 1).to_le_bytes()).is_none());
}

#[test]
fn tunnels_of_a_client_share_handshakes() {
    let (shared, a, b) = (Secret::generate(), Secret::generate(), Secret::generate());
    let registry = registry();
    registry.accept_shared([&shared].into_iter().collect());
    registry.change_clients(&change(Some(Part::Only), &[&a, &b], &[])).unwrap();
    let mut open = Vec::new();
    let [first, second, of_b, by_shared, by_shared_too] = [&a, &a, &b, &shared, &shared].map(|secret| {
        let (ticket, stop) = registry.open(secret.id(), 7).unwrap();
        let handshakes = ticket.handshakes();
        open.push((ticket, stop));
        handshakes
    });
    assert!(Arc::ptr_eq(&first, &second), "eight tunnels are no more than one");
    assert!(!Arc::ptr_eq(&first, &of_b));
    assert!(!Arc::ptr_eq(&by_shared, &by_shared_too), "these are two clients");
}

#[test]
fn another_tunnel_regains_no_handshakes() {
    let (client, others) = (Secret::generate(), (0..1000).map(|_| Secret::generate()).collect::<Vec<_>>());
    let never = Rate { burst: 5, per_second: 0 };
    let registry = Arc::new(Registry::new(Limits { wireguard_handshakes: never, ..Limits::default() }));
    let all: Vec<&Secret> = others.iter().chain([&client]).collect();
    registry.change_clients(&change(Some(Part::Only), &all, &[])).unwrap();
    let initiation = [&[1][..], &[0; 147]].concat();
    for passed in [5, 0, 0] {
        let (ticket, _stop) = registry.open(client.id(), 7).unwrap();
        let handshakes = ticket.handshakes();
        assert_eq!((0..9).filter(|_| handshakes.let_pass(&initiation)).count(), passed);
        // What is not used up is forgotten with the tunnel.
        drop(others.iter().map(|other| registry.open(other.id(), 7).unwrap()).collect::<Vec<_>>());
    }
    assert_eq!(registry.lock().spent.len(), 1);
}
