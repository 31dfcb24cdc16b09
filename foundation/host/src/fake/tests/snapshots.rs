//! A host that is kept is the same when it comes back, whatever was done with it since.

use super::*;

/// A host with something of everything that a handle can change.
fn lived_in() -> (Host, FakeHost) {
    let (host, fake) = Host::fake();
    host.wireguard.create(&wg()).unwrap();
    host.wireguard.configure(&wg(), Backend::Kernel, &set(&[peer(1, &["10.8.0.2/32"])])).unwrap();
    fake.put_file("/etc/example", b"text", 0o600, 0);
    fake.set_sysctl("net.ipv4.ip_forward", Some("1"));
    fake.advance(WAIT);
    (host, fake)
}

#[test]
fn host_can_be_restored_many_times() {
    let (host, fake) = lived_in();
    fake.refuse_write(2);
    let (snapshot, before, now) = (fake.snapshot(), fake.dump(), host.clock.now());
    let random = {
        let mut bytes = [0; 16];
        host.random.fill(&mut bytes).unwrap();
        bytes
    };
    for _ in 0..2 {
        fake.advance(WAIT);
        fake.cut_link("wg_main").unwrap();
        fake.cut_file("/etc/example");
        fake.flush_firewall();
        fake.reset_writes();
        fake.set_sysctl("net.ipv4.ip_forward", Some("0"));
        assert_ne!(fake.dump(), before);
        fake.restore(&snapshot);
        assert_eq!((fake.dump(), host.clock.now()), (before.clone(), now));
        let mut bytes = [0; 16];
        host.random.fill(&mut bytes).unwrap();
        assert_eq!(bytes, random, "the same randomness follows");
        // The first write passes and the second one is refused, as it was to be.
        assert!(host.files.remove("/etc/example".as_ref()).is_ok());
        assert!(host.files.write("/etc/example".as_ref(), b"", 0o600).is_err());
    }
}

#[test]
fn pending_events_after_a_snapshot_are_dropped() {
    let (_, fake) = lived_in();
    let (snapshot, before) = (fake.snapshot(), fake.dump());
    fake.after(WAIT, |fake| fake.cut_link("wg_main").unwrap());
    fake.restore(&snapshot);
    fake.advance(WAIT * 2);
    assert_eq!(fake.dump(), before);
}

#[test]
#[should_panic(expected = "nothing is to happen")]
fn pending_events_prevent_a_snapshot() {
    let (_, fake) = lived_in();
    fake.after(WAIT, |_| ());
    fake.snapshot();
}
