//! Tests of the parser, and properties that hold for every text.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const KEY: &str = "a0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e9f";

fn refused(text: &str) -> UapiError {
    parse_set(text).expect_err(text)
}

#[test]
fn the_example_of_the_protocol_is_understood() {
    // https://www.wireguard.com/xplatform/, "Example Dialog", shortened.
    let text = "private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a\nfwmark=0\n\
        listen_port=12912\nreplace_peers=true\n\
        public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33\n\
        preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52\n\
        replace_allowed_ips=true\nallowed_ip=192.168.4.4/32\nendpoint=[abcd:23::33%2]:51820\n\
        public_key=58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376\nupdate_only=true\n\
        replace_allowed_ips=true\nallowed_ip=192.168.4.6/32\npersistent_keepalive_interval=111\n\
        endpoint=182.122.22.19:3233\n\
        public_key=662e14fd594556f522604703340351258903b64f35553763f19426ab2a515c58\nremove=true\n";
    let request = parse_set(text).unwrap();
    assert_eq!((request.listen_port, request.fwmark, request.replace_peers), (Some(12912), Some(0), true));
    assert_eq!(request.private_key.as_ref().map(|key| key.as_bytes()[..2].to_vec()), Some(vec![0xe8, 0x4b]));
    let [first, second, third] = &request.peers[..] else { panic!("{} peers", request.peers.len()) };
    assert_eq!(first.endpoint.map(|endpoint| endpoint.to_string()).as_deref(), Some("[abcd:23::33%2]:51820"));
    assert!(first.replace_allowed_ips && first.preshared_key.is_some() && !first.update_only);
    assert_eq!(second.persistent_keepalive_interval, Some(111));
    assert!(second.update_only && !second.remove);
    assert!(third.remove);
}

#[test]
fn an_empty_request_changes_nothing() {
    assert_eq!(parse_set(""), Ok(SetRequest::default()));
    assert_eq!(parse_set("\nprivate_key=x"), Ok(SetRequest::default()));
}

#[test]
fn a_bad_line_is_named_and_numbered() {
    assert_eq!(refused("listen_port"), UapiError::NoPair { line: 1 });
    assert_eq!(refused("fwmark=1\nlisten_port=65536"), UapiError::Value { line: 2 });
    assert_eq!(refused("endpoint=1.2.3.4:5"), UapiError::UnknownKey { line: 1 });
    assert_eq!(refused(&format!("public_key={KEY}\nlisten_port=5")), UapiError::UnknownKey { line: 2 });
    assert_eq!(refused("colour=blue"), UapiError::UnknownKey { line: 1 });
    assert_eq!((refused("x").errno(), refused("x=").errno(), refused("fwmark=").errno()), (71, 22, 22));
}

#[test]
fn values_are_strict() {
    for line in [
        "listen_port=+5",
        "listen_port=-1",
        "listen_port= 5",
        "listen_port=5 ",
        "listen_port=0x10",
        "fwmark=4294967296",
        "replace_peers=false",
        "replace_peers=1",
        "private_key=",
        "private_key=a0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e9",
        "private_key=g0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e9f",
        "private_key=ğğğğğğğğğğğğğğğğğğğğğğğğğğğğğğğğ",
    ] {
        assert_eq!(refused(line), UapiError::Value { line: 1 }, "{line}");
    }
    for line in [
        "endpoint=1.2.3.4",
        "endpoint=host:5",
        "endpoint=::1:5",
        "allowed_ip=10.0.0.1",
        "allowed_ip=10.0.0.1/33",
        "allowed_ip=10.0.0.1/+8",
        "allowed_ip=10.0.0.1/",
        "allowed_ip=--10.0.0.1/8",
        "allowed_ip=::/129",
        "allowed_ip=10.0.0.0/255.0.0.0",
        "persistent_keepalive_interval=65536",
        "persistent_keepalive_interval=off",
        "protocol_version=2",
        "remove=yes",
    ] {
        assert_eq!(refused(&format!("public_key={KEY}\n{line}")), UapiError::Value { line: 2 }, "{line}");
    }
}

#[test]
fn host_bits_and_mapped_endpoints_are_normalised() {
    let text = format!(
        "public_key={KEY}\nallowed_ip=10.1.2.3/8\nallowed_ip=-2001:db8::5/32\nallowed_ip=9.9.9.9/0\n\
         endpoint=[::ffff:1.2.3.4]:5"
    );
    let request = parse_set(&text).unwrap();
    let peer = &request.peers[0];
    let shown: Vec<_> = peer.allowed_ips.iter().map(|ip| (ip.network.to_string(), ip.remove)).collect();
    assert_eq!(
        shown,
        [("10.0.0.0/8".into(), false), ("2001:db8::/32".into(), true), ("0.0.0.0/0".into(), false)]
    );
    assert_eq!(peer.endpoint, Some("1.2.3.4:5".parse().unwrap()));
}

#[test]
fn replacing_networks_forgets_those_named_before() {
    let text =
        format!("public_key={KEY}\nallowed_ip=10.0.0.0/8\nreplace_allowed_ips=true\nallowed_ip=11.0.0.0/8");
    let peer = parse_set(&text).unwrap().peers.remove(0);
    assert_eq!(peer.allowed_ips.len(), 1);
    assert_eq!(peer.allowed_ips[0].network.to_string(), "11.0.0.0/8");
}

#[test]
fn a_get_names_peers_or_all() {
    assert_eq!(parse_get("").unwrap().peers, None);
    let two = parse_get(&format!("public_key={KEY}\npublic_key={KEY}\n\nx")).unwrap();
    assert_eq!(two.peers.map(|peers| peers.len()), Some(2));
    assert_eq!(parse_get("private_key=x"), Err(UapiError::UnknownKey { line: 1 }));
    assert_eq!(parse_get("public_key=x"), Err(UapiError::Value { line: 1 }));
}

/// A line that looks like one of the protocol and has an arbitrary value, some of them good.
fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("private_key"),
        Just("listen_port"),
        Just("fwmark"),
        Just("replace_peers"),
        Just("public_key"),
        Just("remove"),
        Just("update_only"),
        Just("preshared_key"),
        Just("endpoint"),
        Just("persistent_keepalive_interval"),
        Just("replace_allowed_ips"),
        Just("allowed_ip"),
        Just("protocol_version"),
    ];
    let value = prop_oneof![
        Just("true".to_owned()),
        "[0-9]{1,11}",
        "[0-9a-fA-F]{64}",
        "-?[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}/[0-9]{1,3}",
        "\\[[0-9a-f:]{0,12}(%[0-9]{0,4})?\\]:[0-9]{0,6}",
        "-?[0-9a-f:]{0,12}/[0-9]{0,3}",
        ".{0,80}",
    ];
    (key, value).prop_map(|(key, value)| format!("{key}={value}\n"))
}

/// A request as it is written by a client.
fn written(request: &SetRequest) -> String {
    let hex = |bytes: &[u8; 32]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    let mut out = String::new();
    for (key, value) in [
        ("private_key", request.private_key.as_ref().map(|key| hex(key.as_bytes()))),
        ("listen_port", request.listen_port.map(|port| port.to_string())),
        ("fwmark", request.fwmark.map(|mark| mark.to_string())),
        ("replace_peers", request.replace_peers.then(|| "true".to_owned())),
    ] {
        value.map(|value| writeln!(out, "{key}={value}"));
    }
    for peer in &request.peers {
        let interval = peer.persistent_keepalive_interval;
        for (key, value) in [
            ("public_key", Some(hex(peer.public_key.as_bytes()))),
            ("remove", peer.remove.then(|| "true".to_owned())),
            ("update_only", peer.update_only.then(|| "true".to_owned())),
            ("preshared_key", peer.preshared_key.as_ref().map(|key| hex(key.as_bytes()))),
            ("endpoint", peer.endpoint.map(|endpoint| endpoint.to_string())),
            ("persistent_keepalive_interval", interval.map(|seconds| seconds.to_string())),
            ("replace_allowed_ips", peer.replace_allowed_ips.then(|| "true".to_owned())),
        ] {
            value.map(|value| writeln!(out, "{key}={value}"));
        }
        for ip in &peer.allowed_ips {
            writeln!(out, "allowed_ip={}{}", if ip.remove { "-" } else { "" }, ip.network).unwrap();
        }
    }
    out
}

prop_compose! {
    fn peer()(
        key in any::<[u8; 32]>(),
        flags in any::<[bool; 3]>(),
        secret in any::<Option<[u8; 32]>>(),
        endpoint in any::<Option<(IpAddr, u16)>>(),
        interval in any::<Option<u16>>(),
        networks in prop::collection::vec((any::<IpAddr>(), 0u8..=32, any::<bool>()), 0..4),
    ) -> PeerRequest {
        let network = |(ip, prefix, remove)| {
            let given = IpNetwork::new(ip, prefix).unwrap();
            AllowedIp { network: IpNetwork::new(given.network(), prefix).unwrap(), remove }
        };
        PeerRequest {
            public_key: PublicKey::from_bytes(key),
            remove: flags[0],
            update_only: flags[1],
            preshared_key: secret.map(PresharedKey::from_bytes),
            endpoint: endpoint.map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port)),
            persistent_keepalive_interval: interval,
            replace_allowed_ips: flags[2],
            allowed_ips: networks.into_iter().map(network).collect(),
        }
    }
}

prop_compose! {
    fn request()(
        secret in any::<Option<[u8; 32]>>(),
        (listen_port, fwmark, replace_peers) in any::<(Option<u16>, Option<u32>, bool)>(),
        peers in prop::collection::vec(peer(), 0..4),
    ) -> SetRequest {
        SetRequest { private_key: secret.map(PrivateKey::from_bytes), listen_port, fwmark, replace_peers, peers }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,400}") {
        let _ = (parse_set(&text), parse_get(&text));
    }

    #[test]
    fn what_is_written_is_read(request in request()) {
        prop_assert_eq!(parse_set(&written(&request)), Ok(request));
    }

    #[test]
    fn error_names_line_and_text_round_trips(lines in prop::collection::vec(line(), 1..6)) {
        let text = lines.concat();
        match parse_set(&text) {
            Ok(request) => prop_assert_eq!(parse_set(&written(&request)), Ok(request)),
            Err(UapiError::NoPair { line } | UapiError::UnknownKey { line } | UapiError::Value { line }) => {
                prop_assert!((1..=text.split('\n').count()).contains(&line));
            }
        }
    }
}
