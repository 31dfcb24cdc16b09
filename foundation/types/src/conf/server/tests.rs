//! Tests of the server's configuration.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn config() -> ServerConfig {
    ServerConfig {
        private_key: PrivateKey::from_random([1; 32]),
        address: vec!["10.8.0.1/24".parse().unwrap()],
        listen_port: 51820,
        mtu: 1420,
    }
}

fn key(number: u32) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

fn push(text: &mut String, number: u32) {
    let peer = ServerPeer {
        name: &format!("client-{number}").parse().unwrap(),
        public_key: &key(number),
        preshared_key: Some(&PresharedKey::from_bytes([9; 32])),
        allowed_ips: &["10.8.0.2/32".parse().unwrap()],
    };
    push_peer_block(text, &peer);
}

fn file(numbers: &[u32]) -> String {
    let mut text = render_interface("phantom-wg 0.1.0", &config()).to_string();
    for number in numbers {
        push(&mut text, *number);
    }
    text
}

fn removed(text: &str, number: u32) -> Option<String> {
    remove_peer_block(text, &key(number)).map(|text| text.to_string())
}

#[test]
fn the_layout() {
    let text = "# phantom-wg 0.1.0\n[Interface]\nPrivateKey = AAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAUE=\n\
        Address = 10.8.0.1/24\nListenPort = 51820\nMTU = 1420\n\
        \n# client client-5\n[Peer]\nPublicKey = AAAABQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n\
        PresharedKey = CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\nAllowedIPs = 10.8.0.2/32\n";
    assert_eq!(file(&[5]), text);
}

#[test]
fn a_mark_cannot_become_configuration() {
    let text = render_interface("# ours\n[Peer]\nPublicKey = x", &config());
    assert!(text.starts_with("# ours\n[Interface]\n"));
    assert!(render_interface("", &config()).starts_with("# \n[Interface]\n"));
}

#[test]
fn neither_part_moves_while_it_is_built() {
    let mut wide = config();
    wide.address = vec!["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128".parse().unwrap(); 9];
    (wide.listen_port, wide.mtu) = (u16::MAX, u16::MAX);
    let text = render_interface("mark", &wide);
    assert!(text.capacity() - text.len() < 100, "{} {}", text.capacity(), text.len());
    let mut block = String::with_capacity(PEER_BLOCK_MAX);
    let (place, capacity) = (block.as_ptr(), block.capacity());
    let peer = ServerPeer {
        name: &"n".repeat(NAME_MAX).parse().unwrap(),
        public_key: &key(1),
        preshared_key: Some(&PresharedKey::from_bytes([9; 32])),
        allowed_ips: &[
            "255.255.255.255/32".parse().unwrap(),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128".parse().unwrap(),
        ],
    };
    push_peer_block(&mut block, &peer);
    assert_eq!((block.as_ptr(), block.capacity()), (place, capacity));
}

#[test]
fn exactly_the_block_of_the_key_goes() {
    let text = file(&[1, 2, 3]);
    assert_eq!(removed(&text, 1).unwrap(), file(&[2, 3]));
    assert_eq!(removed(&text, 2).unwrap(), file(&[1, 3]));
    assert_eq!(removed(&text, 3).unwrap(), file(&[1, 2]));
    assert_eq!(removed(&text, 4), None);
    assert_eq!(removed(&file(&[1, 2, 1]), 1).unwrap(), file(&[2]), "every block of the key");
    assert_eq!(removed("", 1), None);
}

#[test]
fn what_other_people_wrote_stays() {
    let ours = format!("# client a\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.8.0.2/32\n", key(1));
    for (before, after) in [
        ("[Interface]\nListenPort = 1\n", "\n# a note on the next one\n\n[Peer]\nPublicKey = x\n"),
        ("[Interface]\nListenPort = 1\n# a note\n", "# at the end\n"),
        ("# client of nobody\n\n", "\n\n\n"),
        ("", ""),
    ] {
        let text = format!("{before}{ours}{after}");
        let blank_line_above = before.ends_with("\n\n");
        let before = if blank_line_above { &before[..before.len() - 1] } else { before };
        assert_eq!(removed(&text, 1).unwrap(), format!("{before}{after}"));
    }
}

#[test]
fn peer_block_in_another_dialect_is_understood() {
    let text =
        format!("[Interface]\r\nListenPort=1\r\n\r\n[peer] # x\r\n  publickey={} # y\r\nfoo=1\r\n", key(1));
    assert_eq!(removed(&text, 1).unwrap(), "[Interface]\r\nListenPort=1\r\n");
    let not_a_peer = format!("[Interface]\nPublicKey = {}\n#[Peer]\n#PublicKey = {}\n", key(1), key(1));
    assert_eq!(removed(&not_a_peer, 1), None);
}

proptest! {
    #[test]
    fn pushed_and_removed_is_as_before(numbers in vec(0u32..50, 0..30), number in 50u32..60, at in any::<usize>()) {
        let mut with = numbers.clone();
        with.insert(at % (numbers.len() + 1), number);
        prop_assert_eq!(removed(&file(&with), number).unwrap(), file(&numbers));
    }

    #[test]
    fn appended_block_can_be_removed_again(text in "([a-z#=\\[\\] \r]{0,9}\n){0,9}") {
        let mut with = text.clone();
        push(&mut with, 1);
        prop_assert_eq!(removed(&with, 1).unwrap(), text);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = remove_peer_block(&text, &key(1));
    }
}
