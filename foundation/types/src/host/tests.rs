//! Tests of hosts and end points.

use super::*;
use proptest::prelude::*;

#[test]
fn domains_are_lower_case() {
    for (text, domain) in [
        ("Example.COM", "example.com"),
        ("157-230-114-231.sslip.io", "157-230-114-231.sslip.io"),
        ("a.b", "a.b"),
        ("1.2.3.4a", "1.2.3.4a"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("0.x0", "0.x0"),
    ] {
        assert_eq!(text.parse::<Domain>().unwrap().as_str(), domain);
    }
}

#[test]
fn what_is_no_domain_is_refused() {
    let long_label = format!("{}.com", "a".repeat(64));
    let long_name = format!("{}com", "a.".repeat(126));
    for (text, error) in [
        ("", DomainError::Label),
        ("localhost", DomainError::Labels),
        (".com", DomainError::Label),
        ("example.com.", DomainError::Label),
        ("a..b", DomainError::Label),
        ("-a.com", DomainError::Label),
        ("a-.com", DomainError::Label),
        ("a_b.com", DomainError::Character { character: '_' }),
        ("*.example.com", DomainError::Character { character: '*' }),
        ("https://example.com", DomainError::Character { character: ':' }),
        ("example.com:443", DomainError::Character { character: ':' }),
        ("example.com/", DomainError::Character { character: '/' }),
        (" example.com", DomainError::Character { character: ' ' }),
        ("example.com\n", DomainError::Character { character: '\n' }),
        ("exämple.com", DomainError::International { ascii: "xn--exmple-cua.com".to_owned() }),
        ("ex ämple.com", DomainError::Character { character: ' ' }),
        ("1.2.3.4", DomainError::Number),
        ("example.42", DomainError::Number),
        (&long_label, DomainError::Label),
        (&long_name, DomainError::TooLong),
    ] {
        assert_eq!(text.parse::<Domain>(), Err(error), "{text}");
    }
    assert!(format!("{}.com", "a".repeat(63)).parse::<Domain>().is_ok());
    assert!(format!("{}c", "a.".repeat(126)).parse::<Domain>().is_ok(), "253 characters");
}

#[test]
fn a_domain_lies_within_those_above_it() {
    let domain: Domain = "uk.gw.xeovo.com".parse().unwrap();
    assert!(
        ["uk.gw.xeovo.com", "gw.xeovo.com", "xeovo.com", "com"]
            .into_iter()
            .all(|other| domain.is_within(other))
    );
    assert!(
        !["eovo.com", "uk.gw.xeovo.net", "x.uk.gw.xeovo.com"]
            .into_iter()
            .any(|other| domain.is_within(other))
    );
}

#[test]
fn host_is_an_address_or_a_domain() {
    assert_eq!("192.0.2.1".parse(), Ok(HostName::from(Ipv4Addr::new(192, 0, 2, 1))));
    assert_eq!("2001:DB8::1".parse::<HostName>().unwrap().to_string(), "2001:db8::1");
    assert_eq!("Vpn.Example.com".parse::<HostName>().unwrap().to_string(), "vpn.example.com");
    for text in [
        "",
        "192.0.2.01",
        "192.0.2",
        "[2001:db8::1]",
        "vpn",
        "192.0.2.1:51820",
        "fe80::1%eth0",
        "2001:db8::1/64",
    ] {
        assert!(text.parse::<HostName>().is_err(), "{text}");
    }
}

#[test]
fn end_points_of_every_kind() {
    for (text, printed) in [
        ("192.0.2.1:51820", "192.0.2.1:51820"),
        ("[2001:DB8:0::1]:1", "[2001:db8::1]:1"),
        ("VPN.example.com:65535", "vpn.example.com:65535"),
        ("192.0.2.1:051820", "192.0.2.1:51820"),
    ] {
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!(endpoint.to_string(), printed);
        assert_eq!(printed.parse(), Ok(endpoint));
    }
    let address: SocketAddr = "[2001:db8::1]:51820".parse().unwrap();
    assert_eq!(Endpoint::from(address).socket_addr(), Some(address));
    assert_eq!("vpn.example.com:1".parse::<Endpoint>().unwrap().socket_addr(), None);
}

#[test]
fn endpoint_accepts_every_name_wg_resolves() {
    for text in [
        "gateway:51820",
        "gateway.:51820",
        "my_router:51820",
        "wg_1.home.lan:51820",
        "_wg._udp.example.com:51820",
        "vpn.example.com.:51820",
        "xn--mnchen-3ya.de:51820",
    ] {
        let endpoint: Endpoint = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(endpoint.to_string(), text);
        let HostName::Domain(name) = &endpoint.host else { panic!("{text}") };
        assert_eq!(serde_json::from_value::<Endpoint>(text.into()).unwrap(), endpoint);
        // What is only the resolver's to complete is no name of a server, and no parameter.
        assert_eq!(name.as_str().parse::<Domain>().is_ok(), text.starts_with("xn--"), "{text}");
    }
    let absolute: Endpoint = "se-1.mullvad.net.:1".parse().unwrap();
    assert!(matches!(&absolute.host, HostName::Domain(name) if name.is_within("mullvad.net")));
}

#[test]
fn international_name_is_shown_in_ascii() {
    for (text, ascii) in [
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("İstanbul.example", "xn--i-istanbul-"),
        ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
        ("日本.jp", "xn--wgv71a.jp"),
    ] {
        let error = text.parse::<Domain>().unwrap_err();
        let DomainError::International { ascii: told } = &error else { panic!("{text}: {error}") };
        assert!(told.is_ascii() && told.contains("xn--"), "{told}");
        assert!(told.parse::<Domain>().is_ok(), "{told}");
        assert!(told == ascii || text.starts_with('İ'), "{text}: {told}");
        let error = format!("{text}:1").parse::<Endpoint>().unwrap_err();
        assert!(matches!(error, EndpointError::Host(HostNameError(DomainError::International { .. }))));
    }
}

#[test]
fn what_is_no_end_point_is_refused() {
    let label = EndpointError::Host(HostNameError(DomainError::Label));
    let number = EndpointError::Host(HostNameError(DomainError::Number));
    let blank = EndpointError::Host(HostNameError(DomainError::Character { character: ' ' }));
    for (text, error) in [
        ("", EndpointError::Port),
        ("192.0.2.1", EndpointError::Port),
        ("192.0.2.1:", EndpointError::Port),
        ("192.0.2.1:0", EndpointError::Port),
        ("192.0.2.1:65536", EndpointError::Port),
        ("192.0.2.1:+5", EndpointError::Port),
        ("192.0.2.1:5 ", EndpointError::Port),
        ("192.0.2.1:wireguard", EndpointError::Port),
        ("[2001:db8::1]", EndpointError::Port),
        ("2001:db8::1:51820", EndpointError::Brackets),
        ("[192.0.2.1]:51820", EndpointError::Brackets),
        ("[vpn.example.com]:51820", EndpointError::Brackets),
        ("[2001:db8::1:51820", EndpointError::Brackets),
        ("2001:db8::1]:51820", EndpointError::Brackets),
        ("[[2001:db8::1]]:51820", EndpointError::Brackets),
        ("http://vpn.example.com:80", EndpointError::Brackets),
        (":51820", label.clone()),
        (".:51820", label.clone()),
        ("a..b:51820", label),
        ("256.0.2.1:51820", number.clone()),
        ("12345:51820", number),
        ("a b.example.com:51820", blank),
    ] {
        assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
    }
}

#[test]
fn json_is_text_and_schema_names_format() {
    let endpoint: Endpoint = serde_json::from_value("VPN.example.com:51820".into()).unwrap();
    assert_eq!(serde_json::to_value(&endpoint).unwrap(), "vpn.example.com:51820");
    assert_eq!(serde_json::to_value(&endpoint.host).unwrap(), "vpn.example.com");
    assert!(serde_json::from_value::<Domain>("localhost".into()).is_err());
    let format = |schema: Schema| schema.get("format").and_then(|format| format.as_str().map(str::to_owned));
    let mut generator = SchemaGenerator::default();
    let formats = [
        format(generator.subschema_for::<Domain>()),
        format(generator.subschema_for::<HostName>()),
        format(generator.subschema_for::<Endpoint>()),
    ];
    assert_eq!(formats.map(Option::unwrap), ["domain", "host", "endpoint"]);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = (text.parse::<Domain>(), text.parse::<HostName>(), text.parse::<Endpoint>());
    }

    #[test]
    fn parsed_value_prints_and_parses_the_same(text in "[\\[\\]0-9a-fA-F:.-]{1,24}(:[0-9]{1,5})?") {
        if let Ok(endpoint) = text.parse::<Endpoint>() {
            prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
        }
        if let Ok(host) = text.parse::<HostName>() {
            prop_assert_eq!(host.to_string().parse(), Ok(host));
        }
    }

    #[test]
    fn every_socket_address_is_an_end_point(ip in any::<IpAddr>(), port in 1u16..) {
        let address = SocketAddr::new(ip, port);
        let endpoint = Endpoint::from(address);
        prop_assert_eq!(endpoint.to_string(), address.to_string());
        prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
    }
}
