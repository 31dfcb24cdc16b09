//! The table of connections, with addresses that are only numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

fn table(limits: Limits) -> Arc<Table> {
    Arc::new(Table::new(limits))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A connection that was let in.
struct Open {
    permit: Permit,
    dropped: Dropped,
}

impl Open {
    fn admit(table: &Arc<Table>, from: &str) -> Option<Self> {
        Self::from(table, Some(address(from)))
    }

    fn from(table: &Arc<Table>, from: Option<IpAddr>) -> Option<Self> {
        table.admit(from).map(|(permit, dropped)| Self { permit, dropped })
    }

    fn is_closed(&mut self) -> bool {
        self.dropped.is_so()
    }

    /// Whether it may make its handshake without waiting.
    async fn at_once(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.permit.handshake() => true,
            () = std::future::ready(()) => false,
        }
    }
}

fn closed(open: &mut [Open]) -> Vec<usize> {
    open.iter_mut().enumerate().filter_map(|(at, open)| open.is_closed().then_some(at)).collect()
}

fn small(connections: usize, pending: usize) -> Arc<Table> {
    table(Limits { connections, pending, ..Limits::default() })
}

#[test]
fn full_share_drops_oldest_that_said_least() {
    let table = small(8, 3);
    let mut open: Vec<_> = (0..3).map(|_| Open::admit(&table, "127.0.0.1").unwrap()).collect();
    open[0].permit.spoke();
    assert!(closed(&mut open).is_empty());
    open.push(Open::admit(&table, "127.0.0.1").unwrap());
    assert_eq!(closed(&mut open), [1], "the oldest that has said nothing");
    open.push(Open::admit(&table, "127.0.0.1").unwrap());
    assert_eq!(closed(&mut open), [1, 2]);
    for open in &mut open {
        open.permit.spoke();
    }
    open.push(Open::admit(&table, "127.0.0.1").unwrap());
    assert_eq!(closed(&mut open), [0, 1, 2], "all have spoken: the oldest");
    assert_eq!((table.connections(), table.closed()), (3, 3));
    drop(open);
    assert_eq!((table.connections(), table.remembered()), (0, 0));
}

#[test]
fn the_network_that_has_most_makes_room() {
    let table = small(100, 10);
    let mut quiet = Open::admit(&table, "192.0.2.1").unwrap();
    let mut flood: Vec<_> = (0..500).map(|_| Open::admit(&table, "198.51.100.1").unwrap()).collect();
    assert_eq!(closed(&mut flood).len(), 491);
    let mut other = Open::admit(&table, "203.0.113.7").unwrap();
    assert_eq!(closed(&mut flood).len(), 492);
    assert!(!quiet.is_closed() && !other.is_closed());
    // A /48 is one network here, however many of its 256 smaller ones are used.
    let sites: Vec<_> =
        (0..500).filter_map(|n| Open::admit(&table, &format!("2001:db8:1:{:x}00::1", n % 256))).collect();
    assert_eq!(sites.len(), 500);
    assert!(!quiet.is_closed() && !other.is_closed());
}

#[test]
fn silent_strangers_displace_no_request() {
    let table = small(8, 3);
    let mut visits: Vec<_> = (0..5)
        .map(|_| {
            let mut open = Open::admit(&table, "192.0.2.1").unwrap();
            open.permit.requested();
            open
        })
        .collect();
    let mut flood: Vec<_> = (0..50).map(|_| Open::admit(&table, "198.51.100.1").unwrap()).collect();
    assert_eq!((closed(&mut visits), closed(&mut flood).len()), (Vec::new(), 47));
    assert_eq!(table.shares(), [3, 5, 0]);
    // Those with a request make room for each other: the one that asked last is the last to go.
    visits[0].permit.requested();
    flood[49].permit.requested();
    assert_eq!(closed(&mut visits), [1]);
    assert_eq!(table.shares(), [2, 5, 0]);
}

#[test]
fn no_tunnel_is_closed_for_a_stranger() {
    let table = small(8, 3);
    let mut tunnels: Vec<_> = (0..5)
        .map(|at| {
            let mut open = Open::admit(&table, "192.0.2.1").unwrap();
            if at % 2 == 0 {
                open.permit.requested();
            }
            assert!(open.permit.becomes_tunnel());
            open
        })
        .collect();
    let mut flood: Vec<_> = (0..50).map(|_| Open::admit(&table, "198.51.100.1").unwrap()).collect();
    for open in &mut flood {
        open.permit.requested();
    }
    table.relieve();
    assert!(closed(&mut tunnels).is_empty());
    // All other places are tunnels: visits are served in the share of those without a request, and no tunnel is opened.
    assert_eq!(table.shares(), [2, 0, 5]);
    let mut late = Open::admit(&table, "203.0.113.1").unwrap();
    late.permit.requested();
    assert!(!late.permit.becomes_tunnel() && !late.is_closed());
    drop(tunnels.pop());
    assert!(late.permit.becomes_tunnel());
    assert_eq!(table.shares(), [2, 0, 5]);
}

#[test]
fn tunnel_displaces_a_visit() {
    let table = small(4, 1);
    let mut visits: Vec<_> = (0..3)
        .map(|_| {
            let mut open = Open::admit(&table, "192.0.2.1").unwrap();
            open.permit.requested();
            open
        })
        .collect();
    let mut tunnel = Open::admit(&table, "203.0.113.1").unwrap();
    assert!(tunnel.permit.becomes_tunnel());
    assert_eq!(closed(&mut visits), [0]);
    assert_eq!(table.shares(), [0, 2, 1]);
    // One that was closed a moment ago becomes nothing any more.
    assert!(!visits[0].permit.becomes_tunnel());
    visits[0].permit.requested();
    visits[0].permit.spoke();
    assert_eq!(table.shares(), [0, 2, 1]);
    drop((visits, tunnel));
    assert_eq!((table.shares(), table.remembered()), ([0; 3], 0));
}

#[test]
fn full_network_displaces_its_own() {
    let table = table(Limits { connections_per_network: 2, site_share: 2, ..Limits::default() });
    let mut open: Vec<_> =
        (0..2).map(|host| Open::admit(&table, &format!("198.51.100.{host}")).unwrap()).collect();
    let mut other = Open::admit(&table, "203.0.113.1").unwrap();
    open.push(Open::admit(&table, "198.51.100.9").unwrap());
    assert_eq!((closed(&mut open), other.is_closed()), (vec![0], false));
    for open in &mut open[1..] {
        assert!(open.permit.becomes_tunnel());
    }
    assert!(Open::admit(&table, "198.51.100.10").is_none(), "both places are tunnels");
    drop(open.pop());
    assert!(Open::admit(&table, "198.51.100.10").is_some());
    assert_eq!(table.connections(), 2);
}

#[test]
fn site_has_a_share_beside_its_networks() {
    let table = table(Limits { connections_per_network: 2, site_share: 2, ..Limits::default() });
    let mut open: Vec<_> = [0, 0, 1, 1]
        .map(|network| Open::admit(&table, &format!("2001:db8:1:{network}00::1")).unwrap())
        .into();
    assert!(closed(&mut open).is_empty(), "two of each network, four of the site");
    open.push(Open::admit(&table, "2001:db8:1:100::2").unwrap());
    assert_eq!(closed(&mut open), [2], "the network makes room, not the site");
    open.push(Open::admit(&table, "2001:db8:1:200::1").unwrap());
    assert_eq!(closed(&mut open), [0, 2], "the site makes room");
    let mut neighbour = Open::admit(&table, "2001:db8:2:200::1").unwrap();
    assert_eq!((closed(&mut open).len(), neighbour.is_closed()), (2, false));
}

#[tokio::test]
async fn handshakes_are_limited_per_network_and_site() {
    let limits = Limits { handshakes: Rate { burst: 3, per_second: 0 }, site_share: 2, ..Limits::default() };
    let table = table(limits);
    let handshakes = async |text: &str| {
        let mut count = 0;
        for _ in 0..10 {
            count += usize::from(Open::admit(&table, text).unwrap().at_once().await);
        }
        count
    };
    assert_eq!([handshakes("198.51.100.1").await, handshakes("198.51.100.2").await], [3, 0]);
    assert_eq!(handshakes("203.0.113.1").await, 3);
    let of_site = [
        handshakes("2001:db8:1:100::1").await,
        handshakes("2001:db8:1:200::1").await,
        handshakes("2001:db8:1:300::1").await,
        handshakes("2001:db8:2:300::1").await,
    ];
    assert_eq!(of_site, [3, 3, 0, 3]);
    assert_eq!(handshakes("127.0.0.1").await, 10);
    assert!(Open::from(&table, None).unwrap().at_once().await);
}

/// Opens a thousand connections from each of these addresses, which all ask for a handshake; how many have had theirs.
async fn thousands(table: &Arc<Table>, from: &[&str]) -> Arc<AtomicUsize> {
    let (asked, granted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for from in from.iter().flat_map(|from| std::iter::repeat_n(from, 1000)) {
        let (mut open, asked, granted) =
            (Open::admit(table, from).unwrap(), Arc::clone(&asked), Arc::clone(&granted));
        tokio::spawn(async move {
            asked.fetch_add(1, Ordering::Relaxed);
            open.permit.handshake().await;
            granted.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        });
    }
    while asked.load(Ordering::Relaxed) < 1000 * from.len() {
        tokio::task::yield_now().await;
    }
    granted
}

#[tokio::test]
async fn a_neighbour_has_its_turn_among_thousands() {
    for (greedy, modest) in [
        (vec!["198.51.100.1"], "198.51.100.2"),
        (vec!["198.51.100.1", "198.51.100.3", "198.51.100.4"], "198.51.100.2"),
        (vec!["2001:db8:1:101::1"], "2001:db8:1:102::1"),
        // One site, whose share two of its networks use up.
        (vec!["2001:db8:1:100::1", "2001:db8:1:200::1"], "2001:db8:1:300::1"),
    ] {
        let handshakes = Rate { burst: 3, per_second: 20 };
        let limits = Limits { connections_per_network: 5000, handshakes, site_share: 2, ..Limits::default() };
        let table = table(Limits { pending: 6000, connections: 7000, ..limits });
        let giving = {
            let table = Arc::clone(&table);
            tokio::spawn(async move { table.give_turns().await })
        };
        let granted = thousands(&table, &greedy).await;
        let mut modest = Open::admit(&table, modest).unwrap();
        let soon = tokio::time::timeout(Duration::from_secs(5), modest.permit.handshake()).await;
        assert!(soon.is_ok(), "{greedy:?} have had {granted:?}");
        giving.abort();
    }
}

#[tokio::test]
async fn silent_connections_use_up_no_handshakes() {
    let handshakes_in_all = Rate { burst: 1, per_second: 0 };
    let table = table(Limits { handshakes_in_all, ..Limits::default() });
    let silent: Vec<_> = (0..250).map(|n| Open::admit(&table, &format!("198.51.{n}.1")).unwrap()).collect();
    assert!(Open::admit(&table, "203.0.113.1").unwrap().at_once().await);
    assert_eq!(silent.len(), 250);
}

/// A customer with a /36 has 4,096 networks of the size of a site: as many as there are places.
#[tokio::test]
async fn crowded_region_does_not_exclude_newcomers() {
    let table = small(100, 10);
    let mut newcomer = Open::admit(&table, "192.0.2.1").unwrap();
    newcomer.permit.spoke();
    let mut flood = Vec::new();
    for number in 0..200 {
        let mut open = Open::admit(&table, &format!("2001:db8:{number:x}::1")).unwrap();
        open.permit.spoke();
        flood.push(open);
    }
    assert_eq!((closed(&mut flood).len(), newcomer.is_closed()), (191, false));
    // Nor is a neighbour of theirs, before those that are more.
    let mut neighbour = Open::admit(&table, "2001:db8:ffff::1").unwrap();
    neighbour.permit.spoke();
    assert!(!neighbour.is_closed() && !newcomer.is_closed());
}

#[tokio::test]
async fn granted_handshake_keeps_its_place() {
    let table = small(100, 10);
    let mut newcomer = Open::admit(&table, "192.0.2.1").unwrap();
    newcomer.permit.spoke();
    newcomer.permit.handshake().await;
    let mut flood = Vec::new();
    for number in 0..50 {
        let mut open = Open::admit(&table, &format!("10.{number}.0.1")).unwrap();
        open.permit.spoke();
        flood.push(open);
    }
    assert_eq!((closed(&mut flood).len(), newcomer.is_closed()), (41, false));
}

#[test]
fn many_errors_are_throttled() {
    let errors = Rate { burst: 2, per_second: 0 };
    let table = table(Limits { errors, site_share: 2, ..Limits::default() });
    let held = |text: &str| table.error_is_held(Some(address(text)));
    assert_eq!([(); 4].map(|()| held("127.0.0.1")), [false, false, true, true]);
    assert!(!held("198.51.100.1") && !table.error_is_held(None));
    assert_eq!([(); 3].map(|()| held("2001:db8:1:100::1")), [false, false, true]);
    assert_eq!([(); 3].map(|()| held("2001:db8:1:200::1")), [false, false, true]);
    assert!(held("2001:db8:1:300::1") && !held("2001:db8:2:300::1"));
}

#[test]
fn limits_fit_the_open_file_limit() {
    let shares = |most| {
        let limits = Limits::for_descriptors(most);
        (limits.connections, limits.pending)
    };
    assert_eq!(shares(524_288), (8192, 2048));
    assert_eq!(shares(u64::MAX), (8192, 2048));
    assert_eq!(shares(1024), (488, 122));
    assert_eq!(shares(0), (2, 1));
}

#[test]
fn so_many_networks_are_remembered() {
    let table = table(Limits { exempt_loopback: false, ..Limits::default() });
    let mut numbers = 0_u32..;
    while table.remembered() < table::REMEMBERED {
        let number = numbers.next().unwrap();
        table.error_is_held(Some(Ipv4Addr::from(number << 8).into()));
    }
    let connected = Open::admit(&table, "198.51.100.1").unwrap();
    // They are forgotten at most once a second.
    std::thread::sleep(Duration::from_millis(1100));
    table.error_is_held(Some(address("203.0.113.1")));
    assert_eq!(table.remembered(), 2, "a connected network is not forgotten");
    drop(connected);
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Connect(u8),
    Speak(usize),
    Ask(usize),
    Tunnel(usize),
    Leave(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => any::<u8>().prop_map(Act::Connect),
        1 => any::<usize>().prop_map(Act::Speak),
        2 => any::<usize>().prop_map(Act::Ask),
        1 => any::<usize>().prop_map(Act::Tunnel),
        1 => any::<usize>().prop_map(Act::Leave),
    ]
}

/// One of a few addresses of IPv4 and IPv6, of which some share a network and some a site; or none.
fn source(number: u8) -> Option<IpAddr> {
    match number {
        0..20 => None,
        20..120 => Some(Ipv4Addr::new(192, 0, number % 5, number).into()),
        _ => Some(
            Ipv6Addr::new(0x2001, 0xdb8, u16::from(number % 3), u16::from(number % 5) << 8, 0, 0, 0, 1)
                .into(),
        ),
    }
}

proptest! {
    #[test]
    fn shares_hold_whatever_is_done(acts in prop::collection::vec(act(), 1..300)) {
        let (pending, settled, of_network) = (7, 9, 6);
        let limits = Limits {
            connections: pending + settled,
            pending,
            connections_per_network: of_network,
            site_share: 2,
            ..Limits::default()
        };
        let table = table(limits);
        let mut open: Vec<(Option<IpAddr>, bool, Open)> = Vec::new();
        for act in acts {
            let at = |number: usize| number.checked_rem(open.len());
            let chosen = match act {
                Act::Connect(_) => None,
                Act::Speak(number) | Act::Ask(number) | Act::Tunnel(number) | Act::Leave(number) => at(number),
            };
            match act {
                Act::Connect(number) => {
                    let from = source(number);
                    open.extend(Open::from(&table, from).map(|new| (from, false, new)));
                }
                Act::Speak(_) => if let Some(at) = chosen { open[at].2.permit.spoke() },
                Act::Ask(_) => if let Some(at) = chosen { open[at].2.permit.requested() },
                Act::Tunnel(_) => if let Some(at) = chosen { open[at].1 |= open[at].2.permit.becomes_tunnel() },
                Act::Leave(_) => drop(chosen.map(|at| open.remove(at))),
            }
            for (_, tunnel, open) in &mut open {
                prop_assert!(!(*tunnel && open.is_closed()), "a tunnel was closed");
            }
            open.retain_mut(|(_, _, open)| !open.is_closed());
            let shares = table.shares();
            prop_assert!(shares[0] <= pending && shares[1] + shares[2] <= settled, "{shares:?}");
            prop_assert_eq!(shares.iter().sum::<usize>(), open.len());
            let tunnels = open.iter().filter(|(_, tunnel, _)| *tunnel).count();
            prop_assert_eq!(shares[2], tunnels);
            for (from, _, _) in &open {
                let Some(from) = from.map(network::Networks::containing) else { continue };
                let of = |same: &dyn Fn(network::Networks) -> bool| {
                    open.iter().filter_map(|(other, _, _)| *other).map(network::Networks::containing).filter(|other| same(*other)).count()
                };
                prop_assert!(of(&|other| other.subscriber == from.subscriber) <= of_network);
                prop_assert!(of(&|other| other.site == from.site) <= 2 * of_network);
            }
        }
        drop(open);
        prop_assert_eq!((table.shares(), table.remembered()), ([0; 3], 0));
    }
}
