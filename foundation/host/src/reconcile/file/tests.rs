//! Tests of files that list peers.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use phantom_types::{Backend, PrivateKey, PublicKey};

use super::*;
use crate::reconcile::{DesiredDevice, DesiredInterface};
use crate::{Command, PeerConfig, Restart, Unit, UnitKind};

const HEAD: &str = "# phantom-wg: ours\n[Interface]\n";

fn peer(n: u8) -> DesiredPeer {
    let config = PeerConfig {
        public_key: PublicKey::from_bytes([n; 32]),
        preshared_key: None,
        endpoint: None,
        keepalive: None,
        allowed_ips: Vec::new(),
    };
    DesiredPeer { config, owner: format!("c{n}").into() }
}

fn wanted(peers: &[u8]) -> DesiredState {
    let mut wanted = DesiredState::nothing();
    let unit = Unit {
        name: "wg-quick@wg_main".into(),
        description: String::new(),
        kind: UnitKind::OneShot {
            start: Command { program: "/bin/true".into(), args: Vec::new() },
            stop: None,
        },
        restart: Restart::No,
        capabilities: Vec::new(),
        writable: Vec::new(),
        readable: Vec::new(),
        devices: Vec::new(),
        dynamic_user: false,
        socket: None,
        bounds: None,
        renewable: false,
        before_network: false,
        after_network: false,
        after: Vec::new(),
        wanted_at_boot: true,
    };
    let device = DesiredDevice {
        private_key: PrivateKey::from_random([9; 32]),
        listen_port: None,
        fwmark: 0,
        peers: Some(peers.iter().map(|n| peer(*n)).collect()),
    };
    let interface = DesiredInterface {
        backend: Backend::Embedded,
        running: true,
        addresses: BTreeSet::new(),
        mtu: 1420,
        guard: None,
        unit,
        device,
    };
    wanted.interfaces.insert("wg_main".parse().unwrap(), interface);
    wanted
}

fn file() -> DesiredFile {
    let list = PeerFile {
        head: Zeroizing::new(HEAD.to_owned()),
        interface: "wg_main".parse().unwrap(),
        lead: "\n# client ",
        block: |text, peer| {
            write!(text, "\n# client {}\n[Peer]\n{}\n", peer.owner, peer.config.public_key).unwrap();
        },
    };
    DesiredFile::of_peers(0o600, list)
}

fn text(peers: &[u8]) -> String {
    file().with_content(&wanted(peers), |content| String::from_utf8(content.to_vec()).unwrap())
}

fn same(peers: &[u8], now: &str) -> bool {
    file().same(&wanted(peers), now.as_bytes())
}

#[test]
fn file_is_head_and_block_per_peer() {
    let block = |n: u8| format!("\n# client c{n}\n[Peer]\n{}\n", PublicKey::from_bytes([n; 32]));
    assert_eq!(text(&[3, 1]), format!("{HEAD}{}{}", block(3), block(1)));
    assert_eq!(text(&[]), HEAD);
}

#[test]
fn blocks_say_the_same_in_any_order() {
    for other in [&[1, 2, 3, 4][..], &[4, 3, 2, 1], &[1, 2, 4, 3], &[2, 3, 4, 1]] {
        assert!(same(&[1, 2, 3, 4], &text(other)), "{other:?}");
    }
    assert!(same(&[], HEAD));
}

#[test]
fn everything_else_is_a_difference() {
    let two = text(&[1, 2]);
    let cases = [
        ("a block is missing", text(&[1])),
        ("a block too many", text(&[1, 2, 3])),
        ("another block", text(&[1, 3])),
        ("another block before", text(&[3, 2])),
        ("one block twice", text(&[1, 1])),
        ("one block twice, in another order", text(&[2, 2])),
        ("no head", two[HEAD.len()..].to_owned()),
        ("another head", two.replace("ours", "mine")),
        ("a line behind", format!("{two}PersistentKeepalive = 25\n")),
        ("a line in a block", two.replacen("[Peer]", "[Peer]\nPersistentKeepalive = 25", 1)),
        ("a line in the last block, in another order", text(&[2, 1]).replacen("c1\n", "c1\n#\n", 1)),
        ("a line before the blocks", two.replacen("\n# client", "MTU = 1400\n\n# client", 1)),
        ("cut short", two[..two.len() - 1].to_owned()),
        ("nothing", String::new()),
    ];
    for (what, now) in cases {
        assert!(!same(&[1, 2], &now), "{what}");
    }
    assert!(!file().same(&wanted(&[1, 2]), &[text(&[2, 1]).as_bytes(), &[0xff]].concat()), "no text");
}

#[test]
fn a_text_is_compared_byte_by_byte() {
    let file = DesiredFile::new(0o644, "a\nb\n");
    assert!(file.same(&DesiredState::nothing(), b"a\nb\n"));
    assert!(!file.same(&DesiredState::nothing(), b"b\na\n"));
    assert_eq!(format!("{file:?}"), "WantedFile(644, 4 bytes)");
}

#[test]
fn lines_after_the_head_in_any_order() {
    let file = DesiredFile::of_lines(0o600, "# ours\n", "a 1\nb 2\n");
    let same = |now: &str| file.same(&DesiredState::nothing(), now.as_bytes());
    assert!(same("# ours\na 1\nb 2\n") && same("# ours\nb 2\na 1\n"));
    for now in [
        "",
        "# ours\n",
        "# ours\na 1\n",
        "# ours\na 1\nb 3\n",
        "# ours\na 1\na 1\n",
        "a 1\n# ours\nb 2\n",
        "# ours\na 1\nb 2",
    ] {
        assert!(!same(now), "{now:?}");
    }
    assert_eq!(file.with_content(&DesiredState::nothing(), <[u8]>::to_vec), b"# ours\na 1\nb 2\n");
    assert_eq!(format!("{file:?}"), "WantedFile(600, 15 bytes)");
}
