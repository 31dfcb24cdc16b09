//! Services of systemd, which does not run where the conformance suite does.

use super::*;

#[test]
fn services_of_systemd() {
    let (host, fake) = Host::fake();
    let unit = device_unit(&host);
    let before = fake.dump();
    assert!(matches!(host.services.start(&unit, WAIT), Err(HostError::Command { status: Some(5), .. })));
    host.services.install(&unit).unwrap();
    assert!(host.services.installed(&unit).unwrap() && host.services.status(&unit.name).unwrap().enabled);
    fake.edit_unit(&unit.name);
    assert!(!host.services.installed(&unit).unwrap());
    host.services.install(&unit).unwrap();
    host.services.start(&unit, WAIT).unwrap();
    let status = host.services.status(&unit.name).unwrap();
    assert_eq!((status.state, status.started_at), (ServiceState::Active, Some(host.clock.now())));
    assert_eq!(host.services.ours().unwrap(), ["wg-quick@wg_main"]);
    assert_eq!(host.network.link(&wg()).unwrap().unwrap().kind, LinkKind::Tun);

    host.services.uninstall(&unit.name).unwrap();
    assert_eq!(
        fake.commands(),
        [command("/usr/local/bin/phantom-api core reconcile"), command("/bin/after stop")]
    );
    assert_eq!(host.wireguard.device(&wg(), Backend::Embedded).unwrap(), None);
    host.network.delete_link(&wg()).unwrap();
    assert_eq!(fake.dump(), before);
    assert_eq!(host.services.logs(&unit.name, 1).unwrap().lines.len(), 1);

    assert!(!host.services.foreign(&unit.name).unwrap());
    fake.add_foreign_unit(&unit.name);
    assert!(host.services.foreign(&unit.name).unwrap());
    assert!(matches!(host.services.install(&unit), Err(HostError::Foreign { .. })));
    host.services.uninstall(&unit.name).unwrap();
    assert!(fake.dump().contains("wg-quick@wg_main enabled foreign"));
    assert_eq!(host.services.ours().unwrap(), <[String; 0]>::default());
}

#[test]
fn services_that_fail() {
    let (host, fake) = Host::fake();
    let unit = device_unit(&host);
    host.services.install(&unit).unwrap();
    fake.fail_service(&unit.name, Some(StartFault::Exits));
    assert!(host.services.start(&unit, WAIT).is_err());
    assert_eq!(host.services.status(&unit.name).unwrap().state, ServiceState::Failed);
    assert_eq!(host.wireguard.device(&wg(), Backend::Embedded).unwrap(), None);
    fake.fail_service(&unit.name, None);
    host.services.start(&unit, WAIT).unwrap();

    let tcp = Port { protocol: Protocol::Tcp, number: 443 };
    fake.service_listens(&unit.name, &[tcp]);
    assert!(host.sockets.bound(tcp).unwrap());
    fake.crash_service(&unit.name);
    assert!(!host.sockets.bound(tcp).unwrap());
    assert_eq!(host.services.status(&unit.name).unwrap().pid, None);
    assert_eq!(host.wireguard.device(&wg(), Backend::Embedded).unwrap(), None);
    assert!(host.network.link(&wg()).unwrap().is_some(), "the link outlives its process");
    fake.start_service(&unit.name).unwrap();
    assert!(host.wireguard.device(&wg(), Backend::Embedded).unwrap().is_some());

    // Without its link the process has nothing to do.
    host.network.delete_link(&wg()).unwrap();
    assert_eq!(host.services.status(&unit.name).unwrap().state, ServiceState::Inactive);
    // A link of another kind is in the way.
    fake.add_link("wg_main", LinkKind::Other("veth".into())).unwrap();
    assert!(host.services.start(&unit, WAIT).is_err());
    assert_eq!(host.network.link(&wg()).unwrap().unwrap().kind, LinkKind::Other("veth".into()));
}
