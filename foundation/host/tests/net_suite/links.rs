//! Links and addresses.

use phantom_host::linux::LinuxNetwork;
use phantom_host::{Link, LinkChange, LinkKind, Network};

use crate::namespace::{attempt, figure, ip, isolated, run, wait_for};
use crate::words::{EEXIST, errno, name, net};

#[test]
fn links_are_seen_changed_and_deleted() {
    isolated("links::links_are_seen_changed_and_deleted", || {
        ip("link add ve0 type veth peer name ve1\ntuntap add dev tun0 mode tun");
        let network = LinuxNetwork::new();
        let veth = network.link(&name("ve0")).unwrap().unwrap();
        let expected = Link {
            name: "ve0".into(),
            index: veth.index,
            kind: LinkKind::Other("veth".into()),
            up: false,
            mtu: 1500,
            alias: None,
        };
        assert_eq!(veth, expected);
        assert_eq!(network.link(&name("tun0")).unwrap().unwrap().kind, LinkKind::Tun);
        assert_eq!(network.link(&name("absent0")).unwrap(), None);
        let all = network.links().unwrap();
        assert!(all.contains(&veth) && all.iter().any(|link| link.name == "lo" && link.up), "{all:?}");

        let change = LinkChange { up: Some(true), mtu: Some(1420), alias: Some("phantom-wg".into()) };
        network.set_link(&name("tun0"), &change).unwrap();
        let tun = network.link(&name("tun0")).unwrap().unwrap();
        assert_eq!((tun.up, tun.mtu, tun.alias.as_deref()), (true, 1420, Some("phantom-wg")));
        assert!(run("ip", &["-o", "link", "show", "tun0"]).contains("alias phantom-wg"));
        network.set_link(&name("tun0"), &LinkChange { up: Some(false), ..LinkChange::default() }).unwrap();
        let tun = network.link(&name("tun0")).unwrap().unwrap();
        assert_eq!(
            (tun.up, tun.mtu, tun.alias.as_deref()),
            (false, 1420, Some("phantom-wg")),
            "the rest stays"
        );
        network
            .set_link(&name("tun0"), &LinkChange { alias: Some(String::new()), ..LinkChange::default() })
            .unwrap();
        assert_eq!(network.link(&name("tun0")).unwrap().unwrap().alias, None);
        assert!(!run("ip", &["-o", "link", "show", "tun0"]).contains("alias"));

        assert!(network.set_link(&name("absent0"), &change).unwrap_err().is_absent());
        let too_small = LinkChange { mtu: Some(10), ..LinkChange::default() };
        assert_eq!(errno(network.set_link(&name("ve0"), &too_small).unwrap_err()), 22, "EINVAL");
        network.delete_link(&name("tun0")).unwrap();
        network.delete_link(&name("ve0")).unwrap();
        assert_eq!(network.links().unwrap().len(), 1, "the peer of a veth goes with it");
        assert!(network.delete_link(&name("ve0")).unwrap_err().is_absent());
        assert!(network.delete_link(&name("lo")).is_err());
    });
}

/// A link whose message could not be decoded would be missing without a word: many kinds are tried.
#[test]
fn links_of_many_kinds_are_all_listed() {
    isolated("links::links_of_many_kinds_are_all_listed", || {
        ip("link add ve0 type veth peer name ve1");
        let mut made = Vec::new();
        for (kind, rest) in [
            ("bridge", ""),
            ("bond", ""),
            ("dummy", ""),
            ("ifb", ""),
            ("vxlan", "id 7 dstport 4789 local 127.0.0.1"),
            ("macvlan", "link ve0"),
            ("ipvlan", "link ve1"),
            ("vlan", "link ve0 id 5"),
            ("vrf", "table 77"),
            ("gre", "local 127.0.0.1 remote 127.0.0.2"),
            ("ip6gre", "local ::1 remote ::2"),
            ("ipip", "local 127.0.0.1 remote 127.0.0.2"),
            ("sit", "local 127.0.0.1 remote 127.0.0.2"),
            ("geneve", "id 9 remote 127.0.0.2"),
            ("netkit", ""),
            ("xfrm", "if_id 3"),
            ("macsec", "link ve0"),
            ("nlmon", ""),
            ("wireguard", ""),
            ("gretap", "local 127.0.0.1 remote 127.0.0.3"),
        ] {
            let link = format!("t-{kind}");
            let mut args = vec!["link", "add", "name", &link];
            if let Some(lower) = rest.strip_prefix("link ") {
                let (lower, rest) = lower.split_once(' ').unwrap_or((lower, ""));
                args.extend(["link", lower, "type", kind]);
                args.extend(rest.split_whitespace());
            } else {
                args.extend(["type", kind]);
                args.extend(rest.split_whitespace());
            }
            if attempt("ip", &args).is_ok() {
                made.push((link, kind));
            }
        }
        figure("kinds of links tried", made.iter().map(|(_, kind)| *kind).collect::<Vec<_>>());
        let network = LinuxNetwork::new();
        let all = network.links().unwrap();
        let listed = run("ip", &["-o", "link"]);
        assert_eq!(all.len(), listed.lines().count(), "{listed}");
        for (link, kind) in &made {
            let found = all.iter().find(|found| found.name == *link).unwrap_or_else(|| panic!("{link}"));
            let expected =
                if *kind == "wireguard" { LinkKind::WireGuard } else { LinkKind::Other((*kind).into()) };
            assert_eq!(found.kind, expected);
            assert_eq!(network.link(&name(link)).unwrap().as_ref(), Some(found));
        }
        assert!(made.len() >= 3, "this kernel makes hardly any kind of link");
    });
}

#[test]
fn addresses_are_added_once_and_removed_once() {
    isolated("links::addresses_are_added_once_and_removed_once", || {
        ip("link add ve0 type veth peer name ve1\nlink set ve0 up\nlink set ve1 up");
        let network = LinuxNetwork::new();
        let (v4, v6) = (net("10.8.0.1/24"), net("2001:db8::1/64"));
        for address in [v4, v6] {
            network.add_address(&name("ve0"), address).unwrap();
            assert_eq!(errno(network.add_address(&name("ve0"), address).unwrap_err()), EEXIST);
        }
        wait_for("the link-local address", || {
            run("ip", &["-6", "address", "show", "dev", "ve0"]).contains("fe80::")
        });
        let mut found = network.addresses().unwrap();
        found.sort();
        let on = |interface: &str, address| (interface.to_owned(), address);
        let expected = [on("lo", net("127.0.0.1/8")), on("lo", net("::1/128")), on("ve0", v4), on("ve0", v6)];
        assert_eq!(found, expected, "link-local addresses are left out");
        assert!(run("ip", &["route", "show", "table", "main"]).contains("10.8.0.0/24 dev ve0"));
        assert!(network.remove_address(&name("ve0"), net("10.8.0.1/16")).unwrap_err().is_absent());
        assert!(network.remove_address(&name("ve0"), net("10.8.0.2/24")).unwrap_err().is_absent());
        assert!(network.remove_address(&name("ve1"), v4).unwrap_err().is_absent());
        for address in [v4, v6] {
            network.remove_address(&name("ve0"), address).unwrap();
            assert!(network.remove_address(&name("ve0"), address).unwrap_err().is_absent());
        }
        assert_eq!(network.addresses().unwrap().len(), 2);
        assert!(network.add_address(&name("absent0"), v4).unwrap_err().is_absent());
    });
}

#[test]
fn address_with_peer_end_is_removed() {
    isolated("links::address_with_peer_end_is_removed", || {
        ip(
            "link add ve0 type veth peer name ve1\nlink set ve0 up\naddress add 10.1.1.1 peer 10.1.1.2/32 dev ve0\n\
            address add 10.1.1.1 peer 10.1.1.3/32 dev ve0\naddress add 10.2.0.1/24 dev ve0\n\
            address add 10.2.0.2/24 dev ve0\n-6 address add fd01::1 peer fd01::2/128 dev ve0 nodad",
        );
        let network = LinuxNetwork::new();
        for address in ["10.1.1.1/32", "fd01::1/128", "10.2.0.1/24"] {
            network.remove_address(&name("ve0"), net(address)).unwrap();
        }
        assert!(network.remove_address(&name("ve0"), net("10.2.0.2/24")).unwrap_err().is_absent());
        let left = network.addresses().unwrap();
        assert!(left.iter().all(|(interface, _)| interface == "lo"), "{left:?}");
    });
}
