//! Tests of the client's configuration.

use super::*;
use crate::conf;
use proptest::collection::vec;
use proptest::prelude::*;

/// The client of the published samples.
fn sample() -> ClientConfig {
    ClientConfig {
        private_key: "INPOjXGUqhzPsS4rE65U7Ao6UXdhXNqwDoQz8HgD53s=".parse().unwrap(),
        address: vec!["10.8.0.2/24".parse().unwrap()],
        dns: vec!["8.8.8.8".parse().unwrap(), "8.8.4.4".parse().unwrap()],
        mtu: ClientConfig::MTU,
        public_key: "Y/V6vf2w+AWpqz3h6DYAOHuW3ZJ3vZ0jSc8D0edVthw=".parse().unwrap(),
        preshared_key: Some("y43/xUvLJBHe7RvsGFoHnURcTzWwrEOcJxx/tT+GQVo=".parse().unwrap()),
        endpoint: "157.230.114.231:51820".parse().unwrap(),
        allowed_ips: ["0.0.0.0/0", "10.8.0.0/24", "::/0"].map(|text| text.parse().unwrap()).into(),
        keepalive: ClientConfig::KEEPALIVE,
    }
}

#[test]
fn layout_matches_the_contract_sample() {
    let text = "[Interface]\nPrivateKey = INPOjXGUqhzPsS4rE65U7Ao6UXdhXNqwDoQz8HgD53s=\nAddress = 10.8.0.2/24\n\
        DNS = 8.8.8.8, 8.8.4.4\nMTU = 1420\n\n[Peer]\nPublicKey = Y/V6vf2w+AWpqz3h6DYAOHuW3ZJ3vZ0jSc8D0edVthw=\n\
        PresharedKey = y43/xUvLJBHe7RvsGFoHnURcTzWwrEOcJxx/tT+GQVo=\nEndpoint = 157.230.114.231:51820\n\
        AllowedIPs = 0.0.0.0/0, 10.8.0.0/24, ::/0\nPersistentKeepalive = 25";
    assert_eq!(sample().render().as_str(), text);
}

#[test]
fn ipv6_everywhere() {
    let mut config = sample();
    config.address.push("fd00::2/128".parse().unwrap());
    config.endpoint = "[2001:db8::1]:51820".parse().unwrap();
    config.dns = vec!["2606:4700:4700::1111".parse().unwrap(), "1.1.1.1".parse().unwrap()];
    let text = config.render();
    assert!(text.contains("\nAddress = 10.8.0.2/24, fd00::2/128\n"));
    assert!(text.contains("\nEndpoint = [2001:db8::1]:51820\n"));
    assert!(text.contains("\nDNS = 2606:4700:4700::1111, 1.1.1.1\n"));
}

#[test]
fn what_is_optional_leaves_no_line() {
    let config = ClientConfig { dns: Vec::new(), preshared_key: None, keepalive: 0, ..sample() };
    let text = config.render();
    assert!(!["DNS", "PresharedKey", "PersistentKeepalive"].into_iter().any(|key| text.contains(key)));
    assert!(text.ends_with("::/0"));
}

#[test]
fn secrets_show_in_the_text_only() {
    let shown = format!("{:?}", sample());
    assert!(!shown.contains("INPO") && !shown.contains("y43/"), "{shown}");
}

fn network() -> impl Strategy<Value = IpNetwork> {
    let v4 = (any::<u32>(), 0u8..=32).prop_map(|(base, prefix)| (IpAddr::V4(base.into()), prefix));
    let v6 = (any::<u128>(), 0u8..=128).prop_map(|(base, prefix)| (IpAddr::V6(base.into()), prefix));
    prop_oneof![v4, v6].prop_map(|(base, prefix)| IpNetwork::new(base, prefix).unwrap())
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let name =
        "[a-z0-9]{1,20}\\.[a-z0-9-]{0,30}x\\.example".prop_filter_map("a domain", |text| text.parse().ok());
    let host = prop_oneof![any::<IpAddr>().prop_map(crate::HostName::Ip), name];
    (host, 1u16..).prop_map(|(host, port)| Endpoint::new(host, port))
}

prop_compose! {
    fn config()(
        keys in any::<([u8; 32], [u8; 32], Option<[u8; 32]>)>(), v4 in (any::<u32>(), 0u8..=32),
        rest in vec(network(), 0..4), dns in vec(any::<IpAddr>(), 0..4), mtu in 1u16.., endpoint in endpoint(),
        allowed_ips in vec(network(), 1..80), keepalive in any::<u16>(),
    ) -> ClientConfig {
        let first = IpNetwork::new(IpAddr::V4(v4.0.into()), v4.1).unwrap();
        ClientConfig {
            private_key: PrivateKey::from_bytes(keys.0),
            address: std::iter::once(first).chain(rest).collect(),
            dns, mtu, endpoint, allowed_ips, keepalive,
            public_key: PublicKey::from_bytes(keys.1),
            preshared_key: keys.2.map(PresharedKey::from_bytes),
        }
    }
}

proptest! {
    #[test]
    fn what_is_rendered_reads_back(config in config()) {
        let parsed = conf::parse(&config.render()).unwrap();
        prop_assert_eq!(&parsed.private_key, &config.private_key);
        let mut addresses: Vec<IpNetwork> = parsed.address.iter().copied().map(IpNetwork::V4).collect();
        addresses.extend(parsed.address6.iter().copied().map(IpNetwork::V6));
        let mut expected = config.address.clone();
        expected.sort_by_key(IpNetwork::is_ipv6); // stable: both families keep their order
        prop_assert_eq!(addresses, expected);
        prop_assert_eq!(parsed.mtu, Some(config.mtu));
        prop_assert_eq!(parsed.public_key, config.public_key);
        prop_assert_eq!(&parsed.preshared_key, &config.preshared_key);
        prop_assert_eq!(&parsed.endpoint, &config.endpoint);
        let masked = config.allowed_ips.iter().map(|net| IpNetwork::new(net.network(), net.prefix()).unwrap());
        prop_assert_eq!(parsed.allowed_ips, masked.collect::<Vec<_>>());
        prop_assert_eq!(parsed.keepalive, Some(config.keepalive).filter(|seconds| *seconds > 0));
        let reported: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.key.as_str()).collect();
        prop_assert_eq!(reported.contains(&"DNS"), !config.dns.is_empty());
    }

    /// A text that had to move while it grew would leave its keys in freed memory.
    #[test]
    fn the_text_is_built_in_one_place(config in config()) {
        prop_assert!(config.render().len() <= config.room());
        prop_assert_eq!(config.render().capacity(), String::with_capacity(config.room()).capacity());
    }
}
