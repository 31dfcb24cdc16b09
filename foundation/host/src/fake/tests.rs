//! What the conformance suite cannot ask of a real host: the handles of the fake, and kernel WireGuard.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phantom_types::{Backend, InterfaceName, PresharedKey, PrivateKey, PublicKey, Timestamp};

use super::*;
use crate::{
    Command, DeviceUpdate, DnsAnswer, Hook, LinkChange, LinkKind, OwnershipTags, PeerConfig, PeerUpdate,
    Port, Probe, ProbeError, Protocol, Restart, Ruleset, RulesetStatus, ServiceManager as Kind, ServiceState,
    Unit, UnitKind, Verdict,
};

mod devices;
mod services;
mod snapshots;

const WAIT: Duration = Duration::from_secs(5);

fn wg() -> InterfaceName {
    "wg_main".parse().unwrap()
}

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn peer(number: u8, allowed: &[&str]) -> PeerConfig {
    PeerConfig {
        public_key: key(number),
        preshared_key: Some(PresharedKey::from_bytes([number + 100; 32])),
        endpoint: None,
        keepalive: None,
        allowed_ips: allowed.iter().map(|network| network.parse().unwrap()).collect(),
    }
}

fn set(configs: &[PeerConfig]) -> DeviceUpdate {
    DeviceUpdate { peers: configs.iter().cloned().map(PeerUpdate::Set).collect(), ..DeviceUpdate::default() }
}

fn up(up: bool) -> LinkChange {
    LinkChange { up: Some(up), ..LinkChange::default() }
}

/// A host with the kernel's WireGuard device `wg_main`, configured and up.
fn with_device() -> (Host, FakeHost) {
    let (host, fake) = Host::fake();
    host.wireguard.create(&wg()).unwrap();
    let update = DeviceUpdate {
        private_key: Some(PrivateKey::from_bytes([99; 32])),
        listen_port: Some(51820),
        ..set(&[peer(1, &["10.8.0.2/32"]), peer(2, &["10.8.0.3/32"])])
    };
    host.wireguard.configure(&wg(), Backend::Kernel, &update).unwrap();
    host.network.add_address(&wg(), "10.8.0.1/24".parse().unwrap()).unwrap();
    host.network.set_link(&wg(), &up(true)).unwrap();
    (host, fake)
}

#[test]
fn a_fresh_server() {
    let (host, fake) = Host::fake();
    let uplink = host.network.uplink().unwrap().unwrap();
    assert_eq!((uplink.interface.as_str(), uplink.prefix), ("eth0", Some(24)));
    assert_eq!(uplink.address, Some([203, 0, 113, 10].into()));
    assert_eq!(uplink.ipv6, Some("2001:db8::10".parse().unwrap()));
    assert_eq!(host.network.link(&wg()).unwrap(), None);
    assert_eq!(fake.writes(), 0);
    assert_eq!(fake.dump(), Host::fake().1.dump());
}

#[test]
fn refused_writes_change_nothing() {
    let (host, fake) = with_device();
    let (before, made) = (fake.dump(), fake.writes());
    fake.refuse_write(2);
    host.files.make_dir("/etc".as_ref(), 0o755).unwrap();
    let error = host.files.write("/etc/x".as_ref(), b"x", 0o600).unwrap_err();
    assert_eq!(error.chain(), "files.write /etc/x 0600: refused by the test");
    host.wireguard.configure(&wg(), Backend::Kernel, &DeviceUpdate::default()).unwrap();
    assert_eq!(fake.dump(), before);
    assert_eq!(fake.writes(), made + 3);

    fake.refuse_from(1);
    let address = "10.9.0.1/24".parse().unwrap();
    for _ in 0..2 {
        assert!(host.network.add_address(&wg(), address).is_err());
        assert!(host.wireguard.configure(&wg(), Backend::Kernel, &set(&[peer(3, &[])])).is_err());
    }
    assert_eq!(fake.dump(), before);
    fake.reset_writes();
    host.network.add_address(&wg(), address).unwrap();
    assert_eq!(fake.write_log(), ["network.add_address wg_main 10.9.0.1/24"]);
}

#[test]
fn forgotten_writes_are_accepted_and_change_nothing() {
    let (host, fake) = with_device();
    let before = fake.dump();
    let address = "10.9.0.1/24".parse().unwrap();
    fake.forget_write(2);
    host.files.make_dir("/etc".as_ref(), 0o755).unwrap();
    assert!(!fake.has_forgotten());
    host.files.write("/etc/x".as_ref(), b"x", 0o600).unwrap();
    assert!(fake.has_forgotten());
    assert_eq!(fake.dump(), before);
    host.network.add_address(&wg(), address).unwrap();
    assert_ne!(fake.dump(), before, "one write alone was to be forgotten");
    host.network.remove_address(&wg(), address).unwrap();

    fake.forget_from(1);
    for _ in 0..2 {
        host.network.add_address(&wg(), address).unwrap();
        host.wireguard.configure(&wg(), Backend::Kernel, &set(&[peer(3, &[]), peer(4, &[])])).unwrap();
    }
    assert!(host.network.remove_address(&wg(), address).is_err(), "it is not there, and that is said");
    assert_eq!(fake.dump(), before);
    fake.reset_writes();
    host.network.add_address(&wg(), address).unwrap();
    assert_ne!(fake.dump(), before);
}

#[test]
fn hook_sees_writes_and_may_use_host() {
    let (host, fake) = Host::fake();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (list, other) = (Arc::clone(&seen), host.clone());
    fake.on_write(move |number, name| {
        list.lock().unwrap().push(format!("{number} {name}"));
        other.files.write("/etc/by-hook".as_ref(), b"", 0o644).unwrap();
    });
    host.sysctl.set("net.ipv4.ip_forward", "1").unwrap();
    host.sysctl.set("net.ipv4.ip_forward", "0").unwrap();
    fake.clear_on_write();
    host.sysctl.set("net.ipv4.ip_forward", "1").unwrap();
    let expected = ["1 sysctl.set net.ipv4.ip_forward 1", "3 sysctl.set net.ipv4.ip_forward 0"];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(fake.writes(), 5);
}

fn unit(name: &str, kind: UnitKind) -> Unit {
    Unit {
        name: name.into(),
        description: "a unit".into(),
        kind,
        restart: Restart::No,
        capabilities: vec!["NET_ADMIN".into()],
        writable: vec![],
        readable: Vec::new(),
        devices: vec![],
        dynamic_user: false,
        socket: None,
        bounds: None,
        renewable: false,
        before_network: false,
        after_network: true,
        after: Vec::new(),
        wanted_at_boot: true,
    }
}

fn command(text: &str) -> Command {
    let mut words = text.split(' ').map(str::to_owned);
    Command { program: words.next().unwrap().into(), args: words.collect() }
}

fn device_unit(host: &Host) -> Unit {
    let run = Command { program: host.programs.device.clone(), args: vec!["wg_main".into()] };
    let after_start = Some(command("/usr/local/bin/phantom-api core reconcile"));
    unit(
        "wg-quick@wg_main",
        UnitKind::Daemon { run, after_start, after_stop: Some(command("/bin/after stop")) },
    )
}

#[test]
fn a_boot_leaves_what_is_on_disk() {
    let (host, fake) = with_device();
    let tags = OwnershipTags::new(None);
    let fresh = Host::fake().1.dump();
    host.files.write("/etc/sysctl.d/90-x.conf".as_ref(), b"# x\nnet.ipv4.ip_forward = 1\n", 0o644).unwrap();
    host.files.write("/run/x".as_ref(), b"", 0o600).unwrap();
    let mut rules = Ruleset::default();
    rules.add(Hook::Input, 1, vec![], Verdict::Accept);
    host.firewall.replace(&tags, &rules).unwrap();
    assert_eq!(host.firewall.in_force(&tags, &rules).unwrap(), RulesetStatus::InSync);
    let oneshot = UnitKind::OneShot { start: command("/bin/start"), stop: None };
    let mut early = unit("phantom-boot", oneshot);
    early.before_network = true;
    let late = device_unit(&host);
    host.network.delete_link(&wg()).unwrap();
    for unit in [&late, &early] {
        host.services.install(unit).unwrap();
    }
    fake.reboot();
    assert_eq!(host.sysctl.get("net.ipv4.ip_forward").unwrap().as_deref(), Some("1"));
    assert_eq!(host.files.read("/run/x".as_ref()).unwrap(), None);
    assert_eq!(host.firewall.in_force(&tags, &rules).unwrap(), RulesetStatus::Missing);
    assert_eq!(
        fake.commands(),
        [command("/bin/start"), command("/usr/local/bin/phantom-api core reconcile")]
    );
    assert_eq!(host.services.status("phantom-boot").unwrap().pid, None, "nothing stays behind");
    assert!(host.wireguard.device(&wg(), Backend::Embedded).unwrap().is_some());

    for unit in [&late, &early] {
        host.services.uninstall(&unit.name).unwrap();
    }
    fake.cut_file("/etc/sysctl.d/90-x.conf");
    fake.reboot();
    assert_eq!(fake.dump(), fresh);
}

#[test]
fn time_goes_by_when_told() {
    let (host, fake) = Host::fake();
    let start = host.clock.now();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for seconds in [5, 2, 60] {
        let list = Arc::clone(&seen);
        fake.after(Duration::from_secs(seconds), move |fake| {
            let host = fake.host();
            list.lock().unwrap().push((
                seconds,
                host.clock.monotonic().as_secs(),
                host.clock.now().since(start),
            ));
        });
    }
    host.clock.sleep(Duration::from_secs(10));
    assert_eq!(*seen.lock().unwrap(), [(2, 2, Duration::from_secs(2)), (5, 5, Duration::from_secs(5))]);
    assert_eq!(host.clock.now().since(start), Duration::from_secs(10));
    fake.set_now(Timestamp::from_micros(0));
    assert_eq!(host.clock.monotonic(), Duration::from_secs(10));
}

#[test]
fn answers_of_the_resolver() {
    let (host, fake) = Host::fake();
    let [one, two, three]: [IpAddr; 3] = [[1, 1, 1, 1].into(), [8, 8, 8, 8].into(), [9, 9, 9, 9].into()];
    let elapsed = Duration::from_millis(12);
    let good = DnsAnswer { addresses: vec![[1, 2, 3, 4].into()], elapsed };
    let bad = ProbeError::NoAddress { rcode: "NXDOMAIN".into(), elapsed };
    fake.set_answer(one, None, Ok(good.clone()));
    fake.set_answer(one, Some("gone.example".parse().unwrap()), Err(bad.clone()));
    fake.set_answer(two, None, Err(ProbeError::Unreachable));
    let ask = |server, domain: &str| Probe { server, domain: domain.parse().unwrap() };
    let probes = [ask(one, "google.com"), ask(one, "gone.example"), ask(two, "google.com")];
    let limit = Duration::from_secs(3);
    let outcomes = host.resolver.probe(&probes, limit).unwrap();
    assert_eq!(outcomes, [Ok(good), Err(bad), Err(ProbeError::Unreachable)]);
    assert_eq!(host.clock.monotonic(), elapsed, "as long as the slowest");
    assert_eq!(host.resolver.probe(&[ask(three, "google.com")], limit).unwrap(), [Err(ProbeError::Timeout)]);
    assert_eq!(host.clock.monotonic(), elapsed + limit);
}

#[test]
fn randomness_is_the_same_in_every_run() {
    let bytes = |fake: &FakeHost| {
        let mut bytes = [0; 13];
        fake.host().random.fill(&mut bytes).unwrap();
        bytes
    };
    let (_, one) = Host::fake();
    let (_, other) = Host::fake();
    let first = bytes(&one);
    assert_eq!(first, bytes(&other));
    assert_ne!(first, bytes(&one));
    other.set_seed(1);
    assert_ne!(bytes(&other), first);
}

#[test]
fn dump_shows_differences_and_no_secret() {
    let (host, fake) = with_device();
    host.files.write("/etc/open".as_ref(), b"plain text\n", 0o644).unwrap();
    host.files.write("/etc/secret".as_ref(), b"hidden text\n", 0o600).unwrap();
    let dump = fake.dump();
    assert!(dump.contains(r#"/etc/open 0644 0 "plain text\n""#), "{dump}");
    assert!(!dump.contains("hidden text"), "{dump}");
    for secret in [PrivateKey::from_bytes([99; 32]).reveal(), PresharedKey::from_bytes([101; 32]).reveal()] {
        assert!(!dump.contains(secret.as_str()), "{dump}");
    }
    let disturbances: [fn(&FakeHost); 12] = [
        |fake| fake.put_file("/etc/secret", b"hidden tex2\n", 0o600, 0),
        |fake| fake.put_file("/etc/open", b"plain text\n", 0o644, 1),
        |fake| assert!(fake.remove_peer("wg_main", &key(1))),
        |fake| {
            let other = PeerConfig { preshared_key: None, ..peer(1, &["10.8.0.2/32"]) };
            assert!(fake.disturb_device("wg_main", &set(&[other])));
        },
        |fake| fake.change_link("wg_main", &up(false)).unwrap(),
        |fake| fake.take_address("wg_main", "10.8.0.1/24".parse().unwrap()).unwrap(),
        |fake| fake.add_foreign_rule("-A INPUT -j DROP"),
        |fake| fake.add_foreign_ufw("22/tcp ALLOW Anywhere"),
        |fake| fake.set_sysctl("net.ipv4.ip_forward", Some("1")),
        |fake| fake.bind(Port { protocol: Protocol::Tcp, number: 443 }),
        |fake| fake.add_foreign_unit("nginx"),
        |fake| fake.set_manager(Kind::Builtin),
    ];
    for (number, disturb) in disturbances.into_iter().enumerate() {
        let (host, fake) = with_device();
        host.files.write("/etc/open".as_ref(), b"plain text\n", 0o644).unwrap();
        host.files.write("/etc/secret".as_ref(), b"hidden text\n", 0o600).unwrap();
        assert_eq!(fake.dump(), dump);
        disturb(&fake);
        assert_ne!(fake.dump(), dump, "{number}");
    }
}
