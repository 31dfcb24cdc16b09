//! Tests of planning and applying on the in-memory host.

use std::collections::BTreeSet;
use std::path::Path;

use phantom_types::{Backend, InterfaceName, PresharedKey, PrivateKey};

use super::*;
use crate::fake::FakeHost;
use crate::{
    Command, DeviceUpdate, Hook, Host, HostError, LinkChange, Match, PeerConfig, PolicyRule, Restart, Route,
    RouteKind, RuleAction, ServiceManager, ServiceState, Unit, UnitKind, Verdict,
};

mod leftovers;
mod order;

fn name() -> InterfaceName {
    "wg_main".parse().unwrap()
}

fn unit(host: &Host, backend: Backend) -> Unit {
    let kind = match backend {
        Backend::Embedded => UnitKind::Daemon {
            run: Command { program: host.programs.device.clone(), args: vec!["wg_main".into()] },
            after_start: None,
            after_stop: None,
        },
        Backend::Kernel => UnitKind::OneShot {
            start: Command { program: host.programs.api.clone(), args: Vec::new() },
            stop: None,
        },
    };
    Unit {
        name: "wg-quick@wg_main".into(),
        description: "test".into(),
        kind,
        restart: Restart::No,
        capabilities: Vec::new(),
        writable: Vec::new(),
        readable: Vec::new(),
        devices: Vec::new(),
        dynamic_user: false,
        socket: None,
        bounds: None,
        renewable: false,
        before_network: false,
        after_network: false,
        after: Vec::new(),
        wanted_at_boot: true,
    }
}

/// The kernel's WireGuard where there is one.
fn best(context: &ApplyContext<'_>) -> Backend {
    let kernel = context.host.wireguard.kernel_available().unwrap();
    if kernel { Backend::Kernel } else { Backend::Embedded }
}

fn peer(n: u8) -> DesiredPeer {
    let config = PeerConfig {
        public_key: PrivateKey::from_random([n; 32]).public_key(),
        preshared_key: Some(PresharedKey::from_bytes([n; 32])),
        endpoint: None,
        keepalive: None,
        allowed_ips: vec![format!("10.8.0.{n}/32").parse().unwrap()],
    };
    DesiredPeer { config, owner: format!("client-{n}").into() }
}

fn wanted(host: &Host, tags: &OwnershipTags, backend: Backend, peers: &[u8]) -> DesiredState {
    let mut wanted = DesiredState::default();
    let interface = DesiredInterface {
        backend,
        running: true,
        addresses: BTreeSet::from(["10.8.0.1/24".parse().unwrap()]),
        mtu: 1420,
        guard: None,
        unit: unit(host, backend),
        device: DesiredDevice {
            private_key: PrivateKey::from_random([99; 32]),
            listen_port: Some(51820),
            fwmark: 0,
            peers: Some(peers.iter().map(|n| peer(*n)).collect()),
        },
    };
    wanted.interfaces.insert(name(), interface);
    wanted.firewall.add(
        Hook::Forward,
        1,
        vec![Match::In { interface: "wg_main".into(), not: false }],
        Verdict::Accept,
    );
    wanted.sysctls.insert("net.ipv4.ip_forward".into(), "1".into());
    wanted.file("/etc/wireguard/wg_main.conf", 0o600, format!("{}\n[Interface]\n", tags.first_line()));
    let table = tags.exit_table();
    wanted.routes.insert(Route {
        table,
        destination: "0.0.0.0/0".parse().unwrap(),
        metric: 200,
        kind: RouteKind::Unreachable,
        source: None,
        protocol: OwnershipTags::PROTOCOL,
    });
    wanted.rules.insert(PolicyRule {
        priority: tags.exit_priority(),
        ipv6: false,
        from: Some("10.8.0.0/24".parse().unwrap()),
        to: None,
        in_interface: None,
        action: RuleAction::Lookup(table),
        protocol: OwnershipTags::PROTOCOL,
    });
    wanted
}

fn converge(context: &ApplyContext<'_>, wanted: &DesiredState) -> Result<usize, HostError> {
    let steps = plan(context.tags, &observe(context, wanted)?, wanted)?;
    apply(context, wanted, &steps).map_err(|error| error.source)?;
    Ok(steps.len())
}

fn on_a_host(test: impl Fn(&ApplyContext<'_>, &FakeHost)) {
    for kernel in [true, false] {
        let (host, fake) = Host::fake();
        fake.set_kernel_wireguard(kernel);
        let tags = OwnershipTags::new(None);
        host.files.make_dir(Path::new("/run/phantom-wg"), 0o700).unwrap();
        test(&ApplyContext::new(&host, &tags, Path::new("/run/phantom-wg")), &fake);
    }
}

#[test]
fn applying_twice_is_empty_and_removal_traceless() {
    for backend in [Backend::Embedded, Backend::Kernel] {
        let (host, fake) = Host::fake();
        fake.set_kernel_wireguard(true);
        let tags = OwnershipTags::new(None);
        host.files.make_dir(Path::new("/run/phantom-wg/claims"), 0o700).unwrap();
        host.files.make_dir(Path::new("/etc/wireguard"), 0o755).unwrap();
        let context = ApplyContext::new(&host, &tags, Path::new("/run/phantom-wg"));
        let before = fake.dump();
        let full = wanted(&host, &tags, backend, &[2, 3, 4]);
        assert!(converge(&context, &full).unwrap() > 8);
        let left = plan(&tags, &observe(&context, &full).unwrap(), &full).unwrap();
        assert!(left.is_empty(), "{backend}: {left:?}");

        let mut nothing = DesiredState::nothing();
        nothing.files.insert("/etc/wireguard/wg_main.conf".into(), None);
        nothing.sysctls.insert("net.ipv4.ip_forward".into(), "0".into());
        converge(&context, &nothing).unwrap();
        assert_eq!(converge(&context, &nothing).unwrap(), 0);
        assert_eq!(fake.dump(), before, "{backend}");
    }
}

#[test]
fn new_program_restarts_service_on_request() {
    on_a_host(|context, fake| {
        let mut wanted = wanted(context.host, context.tags, Backend::Embedded, &[2]);
        let interface = wanted.interfaces.values().next().unwrap().unit.clone();
        for (name, renewable) in [("phantom-helper", true), ("phantom-carrier", false)] {
            let run = Command { program: "/usr/bin/helper".into(), args: Vec::new() };
            let kind = UnitKind::Daemon { run, after_start: None, after_stop: None };
            let unit = Unit { name: name.to_owned(), kind, renewable, ..interface.clone() };
            wanted.units.insert(unit.name.clone(), (unit, Some(true)));
        }
        converge(context, &wanted).unwrap();
        let asked = ApplyContext { renews: true, ..*context };
        assert_eq!(converge(&asked, &wanted).unwrap(), 0);
        for name in ["phantom-helper", "phantom-carrier", interface.name.as_str()] {
            fake.replace_program(name);
        }
        assert_eq!(converge(context, &wanted).unwrap(), 0, "nobody has asked for it");
        let pid = |name: &str| context.host.services.status(name).unwrap().pid;
        let before = ["phantom-helper", "phantom-carrier", interface.name.as_str()].map(pid);
        let steps = plan(context.tags, &observe(&asked, &wanted).unwrap(), &wanted).unwrap();
        let steps: Vec<_> = steps.iter().map(|step| (step.kind, step.action, step.target.as_str())).collect();
        assert_eq!(steps, [(StepKind::Service, StepAction::Update, "phantom-helper")]);
        assert_eq!(converge(&asked, &wanted).unwrap(), 1);
        assert_eq!(converge(&asked, &wanted).unwrap(), 0);
        let after = ["phantom-helper", "phantom-carrier", interface.name.as_str()].map(pid);
        assert_eq!(before[1..], after[1..]);
        assert_ne!(before[0], after[0]);
    });
}

#[test]
fn service_hook_does_not_wait_for_dependents() {
    on_a_host(|context, fake| {
        let mut wanted = wanted(context.host, context.tags, Backend::Embedded, &[2]);
        let interface = wanted.interfaces.values().next().unwrap().unit.clone();
        let start = Command { program: "/usr/bin/true".into(), args: Vec::new() };
        let kind = UnitKind::OneShot { start, stop: None };
        let after = vec![interface.name.clone()];
        let other = Unit { name: "phantom-other".to_owned(), kind, after, ..interface };
        wanted.units.insert(other.name.clone(), (other.clone(), Some(true)));
        converge(context, &wanted).unwrap();
        let called = |in_service| {
            context.host.services.uninstall("phantom-other").unwrap();
            fake.reset_writes();
            assert!(converge(&ApplyContext { in_service, ..*context }, &wanted).unwrap() > 0);
            fake.write_log().into_iter().filter(|name| name.ends_with("phantom-other")).collect::<Vec<_>>()
        };
        let (installed, asked) = ("services.install phantom-other", "services.request phantom-other");
        assert_eq!(called(true), [installed, asked]);
        assert_eq!(called(false), [installed, "services.start phantom-other"]);
        // Whoever holds the lock while the service of the interface is starting, whose commands wait for it.
        fake.service_is_starting(&other.after[0]);
        assert_eq!(called(false), [installed, asked]);
    });
}

#[test]
fn backend_change_recreates_the_interface() {
    let (host, fake) = Host::fake();
    fake.set_kernel_wireguard(true);
    let tags = OwnershipTags::new(None);
    host.files.make_dir(Path::new("/run/phantom-wg"), 0o700).unwrap();
    let context = ApplyContext::new(&host, &tags, Path::new("/run/phantom-wg"));
    for backend in [Backend::Kernel, Backend::Embedded, Backend::Kernel] {
        let state = wanted(&host, &tags, backend, &[2, 3]);
        converge(&context, &state).unwrap();
        assert_eq!(converge(&context, &state).unwrap(), 0, "{backend}");
        let device = host.wireguard.device(&name(), backend).unwrap().unwrap();
        assert_eq!((device.peers.len(), device.listen_port), (2, 51820), "{backend}");
    }
}

#[test]
fn only_the_difference_of_peers_is_written() {
    on_a_host(|context, fake| {
        let host = context.host;
        converge(context, &wanted(host, context.tags, Backend::Embedded, &[2, 3, 4])).unwrap();
        let changed = wanted(host, context.tags, Backend::Embedded, &[3, 4, 5]);
        let steps = plan(context.tags, &observe(context, &changed).unwrap(), &changed).unwrap();
        let texts: Vec<String> = steps
            .iter()
            .map(|step| format!("{:?} {:?} {} {:?}", step.kind, step.action, step.target, step.owner))
            .collect();
        assert_eq!(
            texts,
            ["Peer Create wg_main 10.8.0.5/32 Some(\"client-5\")", "Peer Delete wg_main 10.8.0.2/32 None"],
            "{}",
            fake.dump()
        );
    });
}

#[test]
fn many_peers_take_few_requests() {
    on_a_host(|context, fake| {
        let mut state = wanted(context.host, context.tags, Backend::Embedded, &[2]);
        converge(context, &state).unwrap();
        let peers = state.interfaces.get_mut(&name()).and_then(|one| one.device.peers.as_mut()).unwrap();
        peers.extend((0..2500_u16).map(|n| {
            let [high, low] = n.to_be_bytes();
            let mut one = peer(7);
            let mut key = [1; 32];
            key[..2].copy_from_slice(&[high, low]);
            one.config.public_key = phantom_types::PublicKey::from_bytes(key);
            one.config.allowed_ips = vec![format!("10.9.{high}.{low}/32").parse().unwrap()];
            one
        }));
        fake.reset_writes();
        assert_eq!(converge(context, &state).unwrap(), 2500);
        assert_eq!(fake.writes(), 3);
        assert_eq!(converge(context, &state).unwrap(), 0);
        let none = wanted(context.host, context.tags, Backend::Embedded, &[]);
        assert_eq!(converge(context, &none).unwrap(), 2501);
        assert!(context.host.wireguard.device(&name(), Backend::Embedded).unwrap().unwrap().peers.is_empty());
    });
}

#[test]
fn plan_is_not_applied_with_another_state() {
    on_a_host(|context, _| {
        converge(context, &wanted(context.host, context.tags, Backend::Embedded, &[])).unwrap();
        let more = wanted(context.host, context.tags, Backend::Embedded, &[2, 3]);
        let steps = plan(context.tags, &observe(context, &more).unwrap(), &more).unwrap();
        let fewer = wanted(context.host, context.tags, Backend::Embedded, &[2]);
        let refused = apply(context, &fewer, &steps).unwrap_err();
        assert_eq!(refused.source.to_string(), "wg_main 10.8.0.3/32 is not part of the desired state");
    });
}

/// There is one for each of ten thousand peers when a device has lost them all.
#[test]
fn a_step_is_small() {
    assert!(size_of::<Step>() <= 96, "{} bytes", size_of::<Step>());
}

#[test]
fn stopped_interface_stays_down_with_unit_installed() {
    on_a_host(|context, _| {
        let running = wanted(context.host, context.tags, Backend::Embedded, &[2]);
        converge(context, &running).unwrap();
        let stopped = running.clone().stopped();
        converge(context, &stopped).unwrap();
        assert_eq!(converge(context, &stopped).unwrap(), 0);
        assert!(context.host.network.link(&name()).unwrap().is_none());
        assert!(context.host.services.installed(&running.interfaces[&name()].unit).unwrap());
        converge(context, &running).unwrap();
        assert_eq!(
            context.host.wireguard.device(&name(), Backend::Embedded).unwrap().unwrap().peers.len(),
            1
        );
    });
}

#[test]
fn foreign_object_is_reported_and_kept() {
    on_a_host(|context, fake| {
        let path = Path::new("/etc/wireguard/wg_main.conf");
        context.host.files.make_dir(Path::new("/etc/wireguard"), 0o755).unwrap();
        context.host.files.write(path, b"# by hand\n", 0o600).unwrap();
        let state = wanted(context.host, context.tags, best(context), &[2]);
        converge(context, &state).unwrap();
        let observed = observe(context, &state).unwrap();
        assert_eq!(foreign(&observed, &state), [Foreign::File(path.into())]);
        assert!(plan(context.tags, &observed, &state).unwrap().is_empty(), "everything else is there");
        assert_eq!(context.host.files.read(path).unwrap().unwrap(), b"# by hand\n");
        assert!(fake.dump().contains("wg_main"));
    });
}

#[test]
fn untagged_file_is_ours_by_key_only() {
    on_a_host(|context, _| {
        let path = Path::new("/etc/wireguard/wg_main.conf");
        let mut state = wanted(context.host, context.tags, best(context), &[2]);
        let key = state.interfaces[&name()].device.private_key.reveal();
        let ours = format!("{}\n[Interface]\nPrivateKey = {}\n", context.tags.first_line(), *key);
        state.file(path, 0o600, ours.clone());
        converge(context, &state).unwrap();
        for (text, is_ours) in [
            (format!("[Interface]\nListenPort = 51820\nPrivateKey = {}\n", *key), true),
            (format!("[Interface]\n  privatekey={} # mine\n", *key), true),
            (format!("[Interface]\n# PrivateKey = {}\n", *key), false),
            (format!("[Interface]\nPresharedKey = {}\n", *key), false),
            (
                ours.replace(&*key, &PrivateKey::from_random([1; 32]).reveal()).replace("# phantom", "# p"),
                false,
            ),
        ] {
            context.host.files.write(path, text.as_bytes(), 0o600).unwrap();
            let observed = observe(context, &state).unwrap();
            let steps = plan(context.tags, &observed, &state).unwrap();
            let replaced: Vec<&Path> = steps.iter().filter_map(Step::replaces).collect();
            assert_eq!((replaced.len(), steps.len()), (usize::from(is_ours), usize::from(is_ours)), "{text}");
            assert_eq!(foreign(&observed, &state).len(), usize::from(!is_ours), "{text}");
            apply(context, &state, &steps).unwrap();
            let now = context.host.files.read(path).unwrap().unwrap();
            assert_eq!(now == ours.as_bytes(), is_ours, "{text}");
        }
    });
}

#[test]
fn foreign_unit_is_kept_stopping_dependents_only() {
    on_a_host(|context, fake| {
        let state = wanted(context.host, context.tags, best(context), &[2]);
        fake.add_foreign_unit("wg-quick@wg_main");
        let observed = observe(context, &state).unwrap();
        let unit = Path::new("/etc/systemd/system/wg-quick@wg_main.service");
        assert_eq!(foreign(&observed, &state), [Foreign::File(unit.into())]);
        let done = converge(context, &state);
        if best(context) == Backend::Embedded {
            // Nobody else can start its process.
            assert!(matches!(done, Err(HostError::Foreign { .. })), "{done:?}");
            return;
        }
        done.unwrap();
        assert!(fake.dump().contains("wg-quick@wg_main enabled foreign"), "{}", fake.dump());
        assert!(context.host.wireguard.device(&name(), Backend::Kernel).unwrap().is_some());
        assert_eq!(converge(context, &state).unwrap(), 0);
        converge(context, &state.clone().stopped()).unwrap();
        assert!(context.host.network.link(&name()).unwrap().is_none());
    });
}

#[test]
fn untagged_link_is_ours_by_key_only() {
    // Without any alias the embedded device of our own service is ours whatever key it has.
    for (backend, alias) in
        [(Backend::Kernel, ""), (Backend::Kernel, "somebody"), (Backend::Embedded, "somebody")]
    {
        let (host, fake) = Host::fake();
        fake.set_kernel_wireguard(true);
        let tags = OwnershipTags::new(None);
        host.files.make_dir(Path::new("/run/phantom-wg"), 0o700).unwrap();
        let context = ApplyContext::new(&host, &tags, Path::new("/run/phantom-wg"));
        let state = wanted(&host, &tags, backend, &[2, 3]);
        converge(&context, &state).unwrap();
        let healthy = fake.dump();
        let change = LinkChange { alias: Some(alias.into()), ..LinkChange::default() };
        host.network.set_link(&name(), &change).unwrap();
        assert_eq!(converge(&context, &state).unwrap(), 1, "{backend} {alias:?}");
        assert_eq!(fake.dump(), healthy, "{backend} {alias:?}");

        // With another key it is somebody else's.
        host.network.set_link(&name(), &change).unwrap();
        let key = |private_key| DeviceUpdate { private_key: Some(private_key), ..DeviceUpdate::default() };
        let (ours, other) =
            (state.interfaces[&name()].device.private_key.clone(), PrivateKey::from_random([7; 32]));
        host.wireguard.configure(&name(), backend, &key(other)).unwrap();
        let before = fake.dump();
        let refused = converge(&context, &state).unwrap_err();
        assert!(matches!(refused, HostError::Foreign { .. }), "{refused}");
        assert_eq!(fake.dump(), before, "{backend} {alias:?}");
        host.wireguard.configure(&name(), backend, &key(ours)).unwrap();
        converge(&context, &state).unwrap();
    }
}

#[test]
fn manual_changes_to_our_objects_are_repaired() {
    on_a_host(|context, _| {
        let host = context.host;
        let state = wanted(host, context.tags, Backend::Embedded, &[2, 3]);
        converge(context, &state).unwrap();
        let external_change: [(&str, &dyn Fn()); 6] = [
            ("link gone", &|| host.network.delete_link(&name()).unwrap()),
            ("firewall gone", &|| host.firewall.remove(context.tags).unwrap()),
            ("link down", &|| {
                let down = LinkChange { up: Some(false), ..LinkChange::default() };
                host.network.set_link(&name(), &down).unwrap();
            }),
            ("mode widened", &|| {
                host.files.set_mode(Path::new("/etc/wireguard/wg_main.conf"), 0o644).unwrap();
            }),
            ("forwarding off", &|| host.sysctl.set("net.ipv4.ip_forward", "0").unwrap()),
            ("rule gone", &|| {
                for rule in host
                    .network
                    .rules()
                    .unwrap()
                    .iter()
                    .filter(|rule| rule.protocol == OwnershipTags::PROTOCOL)
                {
                    host.network.remove_rule(rule).unwrap();
                }
            }),
        ];
        for (what, harm) in external_change {
            harm();
            assert!(converge(context, &state).unwrap() > 0, "{what}");
            assert_eq!(converge(context, &state).unwrap(), 0, "{what}");
        }
    });
}

#[test]
fn interface_sysctl_is_reapplied_on_recreated_link() {
    on_a_host(|context, fake| {
        let key = "net.ipv4.conf.wg_main.rp_filter";
        for backend in [Backend::Embedded, Backend::Kernel] {
            if backend == Backend::Kernel && !context.host.wireguard.kernel_available().unwrap() {
                continue;
            }
            let mut wanted = wanted(context.host, context.tags, backend, &[1]);
            wanted.sysctls.insert(key.into(), "2".into());
            converge(context, &wanted).unwrap();
            let now = || context.host.sysctl.get(key).unwrap();
            assert_eq!((now().as_deref(), converge(context, &wanted).unwrap()), (Some("2"), 0));
            context.host.sysctl.set(key, "0").unwrap();
            assert_eq!((converge(context, &wanted).unwrap(), now().as_deref()), (1, Some("2")));
            fake.cut_link("wg_main").unwrap();
            assert_eq!(now(), None);
            converge(context, &wanted).unwrap();
            assert_eq!((now().as_deref(), converge(context, &wanted).unwrap()), (Some("2"), 0));
            // Where the interface is not to run there is nothing to be set.
            let stopped = wanted.stopped();
            converge(context, &stopped).unwrap();
            assert_eq!((now(), converge(context, &stopped).unwrap()), (None, 0));
        }
    });
}

#[test]
fn interface_route_comes_and_goes_with_it() {
    on_a_host(|context, fake| {
        let backend = best(context);
        let mut wanted = wanted(context.host, context.tags, backend, &[1]);
        let kind = RouteKind::Via { interface: "wg_main".into(), gateway: None };
        let unreachable = wanted.routes.first().unwrap().clone();
        let route = Route { metric: 0, kind, ..unreachable.clone() };
        wanted.routes.insert(route.clone());
        let routes = || context.host.network.routes(context.tags.exit_table()).unwrap();
        converge(context, &wanted).unwrap();
        assert_eq!((routes().len(), converge(context, &wanted).unwrap()), (2, 0));
        let stopped = wanted.clone().stopped();
        converge(context, &stopped).unwrap();
        assert_eq!((routes(), converge(context, &stopped).unwrap()), (vec![unreachable], 0));
        converge(context, &wanted).unwrap();
        assert!(routes().contains(&route) && converge(context, &wanted).unwrap() == 0);
        // In the place of another kind of link a new one is made, and the route with it.
        let other = if backend == Backend::Kernel { Backend::Embedded } else { return };
        let interface = wanted.interfaces.get_mut(&name()).unwrap();
        (interface.backend, interface.unit) = (other, unit(context.host, other));
        converge(context, &wanted).unwrap();
        assert!(routes().contains(&route) && converge(context, &wanted).unwrap() == 0);
        let _ = fake;
    });
}
