//! What those leave who are killed.

use super::*;

#[test]
fn unfinished_temp_file_goes_and_others_stay() {
    on_a_host(|context, fake| {
        let wanted = wanted(context.host, context.tags, best(context), &[1]);
        converge(context, &wanted).unwrap();
        let begun = "/etc/wireguard/.wg_main.conf.65ddf4098586749a";
        let others = [
            "/etc/wireguard/.wg_home.conf.65ddf4098586749a", // of a file that is not ours
            "/etc/wireguard/.wg_main.conf.65ddf4098586749",
            "/etc/wireguard/wg_main.conf.65ddf4098586749a",
        ];
        let full = "/etc/wireguard/.wg_main.conf.0000000000000000";
        for path in others.into_iter().chain([begun]) {
            fake.put_file(path, b"", 0o600, 0);
        }
        fake.put_file(full, b"somebody's", 0o600, 0);
        assert_eq!(converge(context, &wanted).unwrap(), 1);
        let there = |path: &str| context.host.files.info(Path::new(path)).unwrap().is_some();
        assert!(!there(begun) && there(full) && others.into_iter().all(there));
        assert_eq!(converge(context, &wanted).unwrap(), 0);
        // With the file itself it goes as well.
        fake.put_file(begun, b"", 0o600, 0);
        converge(context, &DesiredState::nothing()).unwrap();
        assert!(!there(begun) && !there("/etc/wireguard/wg_main.conf") && there(full));
    });
}

/// systemd goes on with a start by itself; our own supervisor is whoever called.
#[test]
fn interrupted_start_is_begun_again() {
    for (manager, begun_again) in [(ServiceManager::Builtin, true), (ServiceManager::Systemd, false)] {
        on_a_host(|context, fake| {
            fake.set_manager(manager);
            let mut wanted = wanted(context.host, context.tags, Backend::Embedded, &[1]);
            let run = Command { program: context.host.programs.api.clone(), args: Vec::new() };
            let kind = UnitKind::Daemon { run, after_start: None, after_stop: None };
            let monitor = Unit { name: "monitor".into(), kind, ..unit(context.host, Backend::Embedded) };
            wanted.units.insert(monitor.name.clone(), (monitor, Some(true)));
            converge(context, &wanted).unwrap();
            for name in ["wg-quick@wg_main", "monitor"] {
                fake.service_is_starting(name);
                let state = || context.host.services.status(name).unwrap().state;
                assert_eq!(state(), ServiceState::Starting);
                assert_eq!(converge(context, &wanted).unwrap() > 0, begun_again, "{name}");
                assert_eq!(state() == ServiceState::Active, begun_again, "{name}");
                assert_eq!(converge(context, &wanted).unwrap(), 0, "{name}");
            }
        });
    }
}

#[test]
fn operator_copy_of_our_file_stays() {
    on_a_host(|context, fake| {
        let wanted = wanted(context.host, context.tags, best(context), &[1]);
        converge(context, &wanted).unwrap();
        let ours = format!("{}\n", context.tags.first_line());
        let copies = [
            "/etc/wireguard/wg_main.conf.before-test",
            "/etc/wireguard/wg_main.conf~",
            "/etc/sysctl.d/10-mine.conf",
            "/etc/sysctl.d/90-phantom-wg.conf.orig",
            "/etc/systemd/network/90-phantom-wg_vpn.network.old",
        ];
        let stale = "/etc/wireguard/wg_old.conf";
        for path in copies.into_iter().chain([stale]) {
            fake.put_file(path, ours.as_bytes(), 0o600, 0);
        }
        assert_eq!(converge(context, &wanted).unwrap(), 1);
        converge(context, &DesiredState::nothing()).unwrap();
        let there = |path: &str| context.host.files.info(Path::new(path)).unwrap().is_some();
        assert!(copies.into_iter().all(there) && !there(stale));
    });
}

/// IPv6 knows an address by itself, whatever its prefix length, and a rule by what is named of it.
#[test]
fn object_confused_with_desired_goes_first() {
    on_a_host(|context, fake| {
        let mut wanted = wanted(context.host, context.tags, best(context), &[1]);
        let address = "fd08::1/64".parse().unwrap();
        wanted.interfaces.get_mut(&name()).unwrap().addresses.insert(address);
        converge(context, &wanted).unwrap();
        fake.take_address("wg_main", address).unwrap();
        fake.give_address("wg_main", "fd08::1/128".parse().unwrap()).unwrap();
        let rule = wanted.rules.first().unwrap().clone();
        fake.take_rule(&rule).unwrap();
        fake.give_rule(&PolicyRule { in_interface: Some("wg_main".into()), ..rule }).unwrap();
        assert_eq!(converge(context, &wanted).unwrap(), 4);
        assert_eq!(converge(context, &wanted).unwrap(), 0);
    });
}
