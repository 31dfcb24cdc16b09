//! Files in the dialects of known providers and programs, made up, with keys that nobody has; and files that are none.

use std::collections::BTreeSet;

use phantom_module::{ErrorCode as _, Lang};
use phantom_multihop::rows::MultihopState as _;
use phantom_types::conf;
use serde_json::json;

use crate::world::{MultihopFixture, corpus, told};

/// Name, provider, end point, addresses, what is carried, MTU and keepalive, lines that are not used, warnings.
const GOOD: [(&str, &str); 42] = [
    (
        "AirVPN_NL_Alblasserdam_UDP-1637-Entry3.conf",
        "airvpn_nl_alblasserdam_udp-1637-entry3|AirVPN|nl3.vpn.airdns.org:1637|10.151.32.7/32|0.0.0.0/0, ::/0|1320 15|Address@2 DNS@5|0",
    ),
    (
        "NordLynx US9999.conf",
        "nordlynxus9999|NordVPN|us9999.nordvpn.com:51820|10.5.0.2/32|0.0.0.0/0, ::/0|1420 25|DNS@4|0",
    ),
    (
        "TorGuard.conf",
        "torguard|TorGuard|192.0.2.50:1443|10.13.37.6/24|0.0.0.0/0|1390 25|ListenPort@4 DNS@6|0",
    ),
    (
        "UPPER-CASE.CONF",
        "upper-case|Unknown Provider|198.51.100.12:51820|10.63.0.2/32|0.0.0.0/0|1420 5|DNS@4|0",
    ),
    (
        "Windscribe-Amsterdam-Tulip.conf",
        "windscribe-amsterdam-tulip|Windscribe|ams-285-wg.whiskergalaxy.com:443|100.72.13.9/32|0.0.0.0/0, ::/0|1420 5|DNS@4|0",
    ),
    (
        "amneziawg-junk.conf",
        "amneziawg-junk|Unknown Provider|198.51.100.10:43180|10.60.1.2/32|0.0.0.0/0, ::/0|1420 25|DNS@3 Jc@5 Jmin@6 Jmax@7 I1@8 I2@9|0",
    ),
    (
        "azirevpn-se-sto.conf",
        "azirevpn-se-sto|AzireVPN|se-sto.azirevpn.net:51820|10.0.24.7/19|0.0.0.0/0, ::/0|1420 5|Address@3 DNS@4|0",
    ),
    (
        "behind-a-tunnel.conf",
        "behind-a-tunnel|Unknown Provider|127.0.0.1:51821|10.75.0.2/32|0.0.0.0/0|1300 25||0",
    ),
    (
        "blanks-in-names.conf",
        "blanks-in-names|Unknown Provider|198.51.100.25:51820|10.79.0.2/32, 10.79.1.2/24|0.0.0.0/0, ::/0|1420 30||0",
    ),
    ("bom-crlf.conf", "bom-crlf|Unknown Provider|198.51.100.11:51820|10.61.0.2/32|0.0.0.0/0|1420 25|DNS@4|0"),
    (
        "client.conf",
        "de_fra_exit_1_example_net|Unknown Provider|de-fra.exit-1.example.net:51820|10.76.0.2/32|0.0.0.0/0|1420 5||0",
    ),
    ("comments.conf", "comments|Unknown Provider|198.51.100.18:51820|10.70.0.2/32|0.0.0.0/0|1420 5||0"),
    (
        "empty-unknown.conf",
        "empty-unknown|Unknown Provider|198.51.100.30:51820|10.83.0.2/32|0.0.0.0/0|1420 5|Comment@4 (hidden)@5|0",
    ),
    (
        "every-hook.conf",
        "every-hook|Unknown Provider|198.51.100.17:51820|10.69.0.2/32|0.0.0.0/0|1420 5|Table@4 SaveConfig@5 FwMark@6 PreUp@7 PostUp@8 PreDown@9 PostDown@10|0",
    ),
    (
        "fritzbox.conf",
        "fritzbox|Unknown Provider|abcdefghijklmnop.myfritz.net:52479|192.168.178.201/24|192.168.178.0/24, 0.0.0.0/0|1420 25|DNS@4 DNS@5|0",
    ),
    (
        "hide.me.conf",
        "hideme|hide.me|nl-v4.hideservers.net:432|10.130.2.8/32|0.0.0.0/0, ::/0|1420 20|DNS@4|0",
    ),
    (
        "ipv6-first.conf",
        "ipv6-first|Unknown Provider|[2001:db8:0:1::15]:51820|10.67.0.2/32|::/0, 0.0.0.0/0|1420 5|Address@3|0",
    ),
    (
        "ivpn-nl1.conf",
        "ivpn-nl1|IVPN|nl1.wg.ivpn.net:2049|172.26.20.7/32|0.0.0.0/0, ::/0|1420 5|Address@3 DNS@4|0",
    ),
    (
        "keepalive-120.conf",
        "keepalive-120|Unknown Provider|198.51.100.20:51820|10.72.0.2/32|0.0.0.0/0|1420 5||0",
    ),
    ("lower-case.conf", "lower-case|Unknown Provider|vpn.example.com:51820|10.62.0.2/32|0.0.0.0/0|1300 5||0"),
    (
        "misplaced-keys.conf",
        "misplaced-keys|Unknown Provider|198.51.100.24:51820|10.78.0.2/32|0.0.0.0/0|1420 5|PublicKey@3 MTU@8 DNS@9|0",
    ),
    ("mtu-1200.conf", "mtu-1200|Unknown Provider|198.51.100.22:51820|10.74.0.2/32|0.0.0.0/0|1280 5||0"),
    ("mtu-9000.conf", "mtu-9000|Unknown Provider|198.51.100.21:51820|10.73.0.2/32|0.0.0.0/0|1420 5||0"),
    (
        "mullvad-killswitch.conf",
        "mullvad-killswitch|Mullvad|192.0.2.20:51820|10.64.9.9/32|0.0.0.0/0|1420 5|PostUp@5 PreDown@6|0",
    ),
    (
        "mullvad-se.conf",
        "mullvad-se|Mullvad|se-got-wg-001.relays.mullvad.net:51820|10.64.9.9/32|0.0.0.0/0, ::/0|1420 5|Address@4 DNS@5|0",
    ),
    ("one-label.conf", "one-label|Unknown Provider|gateway:51820|10.82.0.2/32|0.0.0.0/0|1420 5||0"),
    ("opnsense.conf", "opnsense|Unknown Provider|198.51.100.9:51821|10.77.0.5/32|0.0.0.0/0|1412 60||0"),
    (
        "ovpn-oslo.conf",
        "ovpn-oslo|OVPN|192.0.2.30:9929|172.18.9.4/32|0.0.0.0/0, ::/0|1420 5|Address@4 DNS@5|0",
    ),
    ("peer-first.conf", "peer-first|Unknown Provider|198.51.100.19:51820|10.71.0.2/32|0.0.0.0/0|1420 5||0"),
    ("pia.conf", "pia|Private Internet Access|192.0.2.40:1337|10.9.130.4/32|0.0.0.0/0|1420 25|DNS@5|0"),
    ("pivpn.conf", "pivpn|Unknown Provider|pi.example.net:51820|10.6.0.2/24|0.0.0.0/0, ::/0|1420 5|DNS@4|0"),
    (
        "proton-named.conf",
        "proton-named|Proton VPN|node-nl-42.protonvpn.net:51820|10.2.0.2/32|0.0.0.0/0|1420 5||0",
    ),
    (
        "proton-se-12.conf",
        "proton-se-12|Unknown Provider|192.0.2.7:51820|10.2.0.2/32|0.0.0.0/0, ::/0|1420 25|DNS@10|0",
    ),
    (
        "several-addresses.conf",
        "several-addresses|Unknown Provider|198.51.100.14:51820|10.66.0.2/32, 10.66.1.2/24, 10.66.2.2/32|0.0.0.0/1, 128.0.0.0/1|1420 5|Address@5|0",
    ),
    (
        "split-tunnel.conf",
        "split-tunnel|Unknown Provider|198.51.100.16:51820|10.68.0.2/32|10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16|1420 5||1",
    ),
    (
        "surfshark-nl-ams.conf",
        "surfshark-nl-ams|Surfshark|nl-ams.prod.surfshark.com:51820|10.14.0.2/16|0.0.0.0/0|1420 5|DNS@7|0",
    ),
    ("tabs.conf", "tabs|Unknown Provider|198.51.100.13:51820|10.65.0.2/32|0.0.0.0/0, ::/0|1420 5||0"),
    ("trailing-dot.conf", "trailing-dot|Mullvad|se-1.mullvad.net.:51820|10.81.0.2/32|0.0.0.0/0|1420 5||0"),
    (
        "underscore-host.conf",
        "underscore-host|Unknown Provider|wg_1.home.example.org:51820|10.80.0.2/32|0.0.0.0/0|1420 5||0",
    ),
    (
        "wg-easy.conf",
        "wg-easy|Unknown Provider|home.example.org:51820|10.10.0.4/24|0.0.0.0/0, ::/0|1420 5|DNS@5|0",
    ),
    (
        "wgcf-profile.conf",
        "wgcf-profile|Cloudflare WARP|engage.cloudflareclient.com:2408|172.16.0.2/32|0.0.0.0/0, ::/0|1280 5|Address@4 DNS@5|0",
    ),
    (
        "xeovo-uk.conf",
        "xeovo-uk|Unknown Provider|uk.gw.xeovo.com:51820|10.99.0.2/32|0.0.0.0/0, ::/0|1420 5|DNS@4|0",
    ),
];

const ADDRESS: &str = "not a list of IP addresses, each with or without a prefix length";
const KEY: &str = "not a key: the base64 of 32 bytes (44 characters)";
const NUMBER: &str = "not a number of at most 65535";
const PORT: &str = "an end point ends in ':' and a port of 1 to 65535";
const BRACKETS: &str =
    "an IPv6 address in an end point, and only that, is written in brackets: [2001:db8::1]:51820";
const INTERNATIONAL: &str = "the host of the end point is not usable: neither an IP address nor a domain name: \
    a name with other letters than a to z is written in its ASCII form: xn--mnchen-3ya.example";
const AMNEZIA_H1: &str = "this value of H1 changes the packets themselves (AmneziaWG), and plain WireGuard cannot reach such a \
    server: ask for a configuration of plain WireGuard";
const AMNEZIA_S1: &str = "this value of S1 changes the packets themselves (AmneziaWG), and plain WireGuard cannot reach such a \
    server: ask for a configuration of plain WireGuard";
const LINK: &str = "this is a link (wireguard://): it takes a text file with [Interface] and [Peer]";
const HTML: &str = "this is a web page, perhaps the one that asks to log in: it takes a text file with [Interface] and [Peer]";
const OPENVPN: &str =
    "this is a configuration of OpenVPN (.ovpn): it takes a text file with [Interface] and [Peer]";
const UCI: &str =
    "this is a configuration of OpenWrt (UCI): it takes a text file with [Interface] and [Peer]";
const JSON: &str =
    "this is JSON, as Xray, sing-box and Amnezia write it: it takes a text file with [Interface] and [Peer]";
const NMCONNECTION: &str = "this is a connection of NetworkManager (.nmconnection): it takes a text file with [Interface] and [Peer]";
const SYNTAX: &str = "neither a section nor 'Key = value'";
const SECTION_TWICE: &str = "the section is there twice";

/// Line, key and fault of a file with a wrong line.
const WRONG: [(&str, usize, Option<&str>, &str); 31] = [
    ("address-empty.conf", 3, Some("Address"), "no value"),
    ("address-netmask.conf", 3, Some("Address"), ADDRESS),
    ("allowed-ips-host.conf", 7, Some("AllowedIPs"), ADDRESS),
    ("amnezia-range.conf", 4, Some("H1"), AMNEZIA_H1),
    ("amneziawg.conf", 8, Some("S1"), AMNEZIA_S1),
    ("broken-public-key.conf", 6, Some("PublicKey"), KEY),
    ("endpoint-ipv6-bare.conf", 8, Some("Endpoint"), BRACKETS),
    ("endpoint-port-0.conf", 8, Some("Endpoint"), PORT),
    ("endpoint-url.conf", 8, Some("Endpoint"), BRACKETS),
    ("endpoint-without-port.conf", 8, Some("Endpoint"), PORT),
    ("ipv6-only.conf", 3, Some("Address"), "no IPv4 address"),
    ("keepalive-on.conf", 8, Some("PersistentKeepalive"), NUMBER),
    ("key-before-section.conf", 1, Some("PrivateKey"), "a key outside any section"),
    ("idn-host.conf", 8, Some("Endpoint"), INTERNATIONAL),
    ("link.txt", 1, None, LINK),
    ("login-page.html", 1, None, HTML),
    ("mtu-auto.conf", 3, Some("MTU"), NUMBER),
    ("nul-bytes.conf", 3, None, "U+0000 is not allowed here"),
    ("openvpn.ovpn", 1, None, OPENVPN),
    ("openwrt-network", 1, None, UCI),
    ("placeholder-key.conf", 2, Some("PrivateKey"), "'<' is not allowed here"),
    ("preshared-none.conf", 7, Some("PresharedKey"), "'(' is not allowed here"),
    ("profile.json", 1, None, JSON),
    ("short-private-key.conf", 2, Some("PrivateKey"), KEY),
    ("smart-quotes.conf", 3, Some("Address"), "U+201C is not allowed here"),
    ("two-interfaces.conf", 10, None, SECTION_TWICE),
    ("two-peers.conf", 10, None, SECTION_TWICE),
    ("two-private-keys.conf", 3, Some("PrivateKey"), "the key is there twice"),
    ("unclosed-section.conf", 5, None, SYNTAX),
    ("unknown-section.conf", 10, None, "a section other than [Interface] and [Peer]"),
    ("wg0.nmconnection", 1, None, NMCONNECTION),
];

/// What is missing in a file, and the line of the section that lacks it.
const MISSING: [(&str, &str, Option<usize>); 9] = [
    ("empty.conf", "[Interface]", None),
    ("no-address.conf", "Address", Some(1)),
    ("no-allowed-ips.conf", "AllowedIPs", Some(5)),
    ("no-endpoint.conf", "Endpoint", Some(5)),
    ("no-interface.conf", "[Interface]", None),
    ("no-peer.conf", "[Peer]", None),
    ("no-private-key.conf", "PrivateKey", Some(1)),
    ("no-public-key.conf", "PublicKey", Some(5)),
    ("only-comments.conf", "[Interface]", None),
];

/// Files that cannot be read as text, why, and the word for their kind.
const UNREADABLE: [(&str, &str, Option<&str>); 3] = [
    ("latin1.conf", "it is no text in UTF-8", None),
    ("qr-code.png", "it is a picture, perhaps of a QR code", Some("picture")),
    ("utf16.conf", "it is text in UTF-16, which is to be saved as UTF-8", Some("utf16")),
];

/// The word for the kind of a file that is text of another kind.
const KINDS: [(&str, &str); 6] = [
    ("link.txt", "wireguard_link"),
    ("login-page.html", "html"),
    ("openvpn.ovpn", "openvpn"),
    ("openwrt-network", "uci"),
    ("profile.json", "json"),
    ("wg0.nmconnection", "nmconnection"),
];

/// Address that meets the own subnet.
const OVERLAPPING: [(&str, &str); 2] =
    [("overlap-address.conf", "10.8.0.77/32"), ("overlap-network.conf", "10.8.5.2/16")];

/// A file whose name says nothing, with an end point that gives no name.
const NAMELESS: &str = "wg.conf";

fn names(kind: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(corpus(kind)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_corpus_file_is_tested() {
    assert_eq!(names("good"), GOOD.iter().map(|(file, _)| (*file).to_owned()).collect());
    let mut bad: BTreeSet<String> = UNREADABLE.iter().map(|(file, ..)| (*file).to_owned()).collect();
    bad.extend(WRONG.iter().map(|(file, ..)| (*file).to_owned()));
    bad.extend(MISSING.iter().map(|(file, ..)| (*file).to_owned()));
    bad.extend(OVERLAPPING.iter().map(|(file, _)| (*file).to_owned()));
    bad.insert(NAMELESS.to_owned());
    assert_eq!(names("bad"), bad);
    assert!(GOOD.len() + bad.len() >= 40);
}

#[test]
fn good_files_of_every_dialect_are_imported() {
    for (file, expected) in GOOD {
        let world = MultihopFixture::new();
        let imported = world.import("good", file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let exit = world.engine.store().read(|state| state.exit(&imported.exit_name)).unwrap().unwrap();
        let list = |list: Vec<String>| list.join(", ");
        let ignored: Vec<String> =
            imported.ignored.iter().map(|line| format!("{}@{}", line.key, line.line)).collect();
        let found = [
            imported.exit_name.to_string(),
            exit.provider.clone(),
            exit.endpoint.to_string(),
            list(exit.addresses.iter().map(ToString::to_string).collect()),
            list(exit.allowed_ips.iter().map(ToString::to_string).collect()),
            format!("{} {}", exit.mtu, exit.keepalive),
            ignored.join(" "),
            imported.warnings.len().to_string(),
        ];
        assert_eq!(found.join("|"), expected, "{file}");
        assert_eq!(exit.original_path, format!("/in/{file}"));
        let text = std::fs::read_to_string(corpus("good").join(file)).unwrap();
        assert!(text.contains(exit.private_key.reveal().as_str()), "{file}");
        assert!(text.contains(&exit.public_key.to_string()), "{file}");
        let shared = exit.preshared_key.as_ref().map(|key| text.contains(key.reveal().as_str()));
        assert_eq!(shared, text.to_lowercase().contains("preshared").then_some(true), "{file}");
    }
}

#[test]
fn readable_file_says_the_used_settings() {
    for (file, _) in GOOD {
        let world = MultihopFixture::new();
        let imported = world.import("good", file).unwrap();
        let exit = world.engine.store().read(|state| state.exit(&imported.exit_name)).unwrap().unwrap();
        let text = world.exit_file(imported.exit_name.as_str()).unwrap();
        assert!(text.starts_with(&format!("{}\n[Interface]\n", world.engine.tags().first_line())), "{text}");
        let parsed = conf::parse(&text).unwrap();
        assert_eq!((&parsed.private_key, &parsed.public_key), (&exit.private_key, &exit.public_key));
        assert_eq!((&parsed.address, &parsed.allowed_ips), (&exit.addresses, &exit.allowed_ips));
        assert_eq!((parsed.mtu, parsed.keepalive), (Some(exit.mtu), Some(exit.keepalive)));
        assert_eq!((&parsed.preshared_key, &parsed.endpoint), (&exit.preshared_key, &exit.endpoint));
        assert!(parsed.ignored.is_empty(), "{file}: {:?}", parsed.ignored);
        let lower = text.to_lowercase();
        for word in ["postup", "predown", "dns =", "table", "saveconfig", "owned", "curl", "jc ="] {
            assert!(!lower.contains(word), "{file}: {word}");
        }
    }
}

/// Tries a bad file: nothing is stored, nothing is written, and no error shows a key.
fn refused(file: &str) -> (&'static str, String, serde_json::Value) {
    let world = MultihopFixture::new();
    let before = world.fake.dump();
    let error = world.import("bad", file).expect_err(file);
    world.fake.cut_file("/in");
    assert_eq!(world.fake.dump(), before, "{file}");
    assert!(world.exits().is_empty(), "{file}");
    let said = format!(
        "{} {} {:?} {error} {}",
        error.message(Lang::En),
        error.message(Lang::Tr),
        error.data(),
        phantom_module::chain(&error)
    );
    for key in ["QEBAQEBA", "BwcHBwcH", "CQkJCQkJ", "<insert"] {
        assert!(!said.contains(key), "{file}: {said}");
    }
    assert_ne!(error.message(Lang::En), error.message(Lang::Tr), "{file}");
    told(&error)
}

#[test]
fn bad_files_are_refused_by_line() {
    for (file, line, key, fault) in WRONG {
        let message = format!("Invalid VPN configuration, line {line}: {fault}");
        let mut data = json!({ "line": line, "key": key });
        if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == file) {
            data["kind"] = (*kind).into();
        }
        assert_eq!(refused(file), ("VPN_CONFIG_ERROR", message, data), "{file}");
    }
    for (file, key, line) in MISSING {
        let message = format!("Invalid VPN configuration: {key} is missing");
        assert_eq!(
            refused(file),
            ("VPN_CONFIG_ERROR", message, json!({ "line": line, "key": key })),
            "{file}"
        );
    }
}

#[test]
fn import_rejects_binary_unnamed_or_overlapping() {
    for (file, why, kind) in UNREADABLE {
        let path = format!("/in/{file}");
        let message = format!("Config file not found or not readable: {path}");
        let mut data = json!({ "config_path": path, "detail": why });
        if let Some(kind) = kind {
            data["kind"] = kind.into();
        }
        assert_eq!(refused(file), ("VPN_CONFIG_ERROR", message, data), "{file}");
    }
    for (file, address) in OVERLAPPING {
        let message = format!(
            "Exit address {address} overlaps the own subnet 10.8.0.0/24. Change the own subnet first: phantom-api core change_subnet"
        );
        let data =
            json!({ "address": address, "subnet": "10.8.0.0/24", "hint": "phantom-api core change_subnet" });
        assert_eq!(refused(file), ("VPN_CONFIG_ERROR", message, data), "{file}");
    }
    let message = "No name can be derived: give custom_name".to_owned();
    assert_eq!(refused(NAMELESS), ("VPN_CONFIG_ERROR", message, json!({ "exit_name": null })));
}
