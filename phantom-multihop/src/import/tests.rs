//! Tests of the rules that turn a file into an exit. Whole files are in the corpus.

use phantom_types::PrivateKey;

use super::*;

/// A file with these lines in its sections.
fn file(interface: &str, peer: &str) -> String {
    let key = PrivateKey::from_random([5; 32]);
    let (private, public) = (key.reveal(), key.public_key());
    format!(
        "[Interface]\nPrivateKey = {}\n{interface}\n[Peer]\nPublicKey = {public}\n{peer}\n",
        private.as_str()
    )
}

fn source(path: &str) -> ImportContext<'_> {
    ImportContext {
        name: None,
        path: Path::new(path),
        uplink_mtu: Some(1500),
        now: Timestamp::from_micros(7),
    }
}

fn imported(path: &str, interface: &str, peer: &str) -> Import {
    import(&file(interface, peer), source(path)).unwrap()
}

const ADDRESS: &str = "Address = 10.2.0.2/32";
const PEER: &str = "Endpoint = uk.gw.xeovo.com:51820\nAllowedIPs = 0.0.0.0/0";

#[test]
fn the_name_is_that_of_the_file() {
    for (path, name) in [
        ("/x/xeovo-uk.conf", "xeovo-uk"),
        ("/x/Mullvad SE (Göteborg) #3.conf", "mullvadsegteborg3"),
        ("/x/uk.london.conf", "uklondon"),
        ("/x/--nl.conf", "nl"),
        ("/x/wg0.conf", "wg0"),
        ("/x/.hidden", "hidden"),
        ("/x/WG.conf", "uk_gw_xeovo_com"),
        ("/x/client.conf", "uk_gw_xeovo_com"),
        ("/x/config", "uk_gw_xeovo_com"),
        ("/x/-.conf", "uk_gw_xeovo_com"),
        ("/x/çıkış.conf", "k"),
        ("/x/日本.conf", "uk_gw_xeovo_com"),
    ] {
        assert_eq!(imported(path, ADDRESS, PEER).exit.name.as_str(), name, "{path}");
    }
    let long = format!("/x/{}.conf", "n".repeat(60));
    assert_eq!(imported(&long, ADDRESS, PEER).exit.name.as_str(), "n".repeat(50));
}

#[test]
fn requested_name_precedes_the_file_name() {
    let source = ImportContext { name: Some("UK-1".parse().unwrap()), ..source("/x/wg.conf") };
    assert_eq!(import(&file(ADDRESS, PEER), source).unwrap().exit.name.as_str(), "uk-1");
}

#[test]
fn ipv4_endpoint_can_give_the_name() {
    let peer = |endpoint: &str| format!("Endpoint = {endpoint}\nAllowedIPs = 0.0.0.0/0");
    assert_eq!(imported("/wg.conf", ADDRESS, &peer("192.0.2.1:1")).exit.name.as_str(), "192_0_2_1");
    assert_eq!(
        imported("/wg.conf", ADDRESS, &peer("a-b.example.org:1")).exit.name.as_str(),
        "a_b_example_org"
    );
    let refused = import(&file(ADDRESS, &peer("[2001:db8::1]:1")), source("/wg.conf"));
    assert_eq!(refused.unwrap_err(), ImportProblem::NoName);
}

#[test]
fn mtu_is_the_least_and_fits_ipv6() {
    let name: Endpoint = "uk.example.org:1".parse().unwrap();
    let four: Endpoint = "192.0.2.1:1".parse().unwrap();
    for (file, uplink, endpoint, mtu) in [
        (None, None, &name, 1420),
        (None, Some(1500), &name, 1420),
        (None, Some(1500), &four, 1420),
        (Some(1380), Some(1500), &name, 1380),
        (Some(1500), Some(9000), &name, 1420),
        (Some(9000), None, &four, 1420),
        (None, Some(1450), &name, 1370),
        (None, Some(1450), &four, 1390),
        (Some(1380), Some(1450), &name, 1370),
        (Some(1200), Some(1500), &name, 1280),
        (Some(1420), Some(1300), &name, 1280),
        (None, Some(40), &name, 1280),
        (Some(65535), Some(u32::MAX), &name, 1420),
    ] {
        assert_eq!(fitting_mtu(file, uplink, endpoint), mtu, "{file:?} {uplink:?} {endpoint}");
    }
}

#[test]
fn keepalive_up_to_a_minute_is_kept() {
    for (line, keepalive, of_file) in [
        ("", 5, None),
        ("PersistentKeepalive = 0", 5, None),
        ("PersistentKeepalive = off", 5, None),
        ("PersistentKeepalive = 1", 1, Some(1)),
        ("PersistentKeepalive = 25", 25, Some(25)),
        ("PersistentKeepalive = 60", 60, Some(60)),
        ("PersistentKeepalive = 61", 5, Some(61)),
        ("PersistentKeepalive = 65535", 5, Some(65535)),
    ] {
        let exit = imported("/a.conf", ADDRESS, &format!("{PEER}\n{line}")).exit;
        assert_eq!((exit.keepalive, exit.file_keepalive), (keepalive, of_file), "{line}");
    }
}

#[test]
fn address_must_not_overlap_own_subnet() {
    let subnet: Subnet = "10.8.0.0/24".parse().unwrap();
    for (address, met) in [
        ("10.2.0.2/32", None),
        ("10.8.0.5/32", Some("10.8.0.5/32")),
        ("10.8.0.5", Some("10.8.0.5/32")),
        ("10.8.1.5/24", None),
        ("10.8.1.5/16", Some("10.8.1.5/16")),
        ("10.0.0.2/8", Some("10.0.0.2/8")),
        ("0.0.0.0/0", Some("0.0.0.0/0")),
        ("10.7.255.255/32, 10.9.0.0/32", None),
        ("10.2.0.2/32, 10.8.0.255/32", Some("10.8.0.255/32")),
    ] {
        let exit = imported("/a.conf", &format!("Address = {address}"), PEER).exit;
        assert_eq!(overlapping(&exit, subnet).map(|met| met.to_string()).as_deref(), met, "{address}");
    }
}

#[test]
fn carrying_all_of_ipv4_is_reported() {
    for (allowed, all) in [
        ("0.0.0.0/0", true),
        ("::/0, 0.0.0.0/0", true),
        ("0.0.0.0/1, 128.0.0.0/1", true),
        ("128.0.0.0/2, 0.0.0.0/1, 192.0.0.0/2", true),
        ("::/0", false),
        ("0.0.0.0/1", false),
        ("0.0.0.0/1, 128.0.0.0/2, 192.0.0.0/3", false),
        ("10.0.0.0/8", false),
    ] {
        let peer = format!("Endpoint = 192.0.2.1:1\nAllowedIPs = {allowed}");
        assert_eq!(imported("/a.conf", ADDRESS, &peer).carries_all, all, "{allowed}");
    }
}
