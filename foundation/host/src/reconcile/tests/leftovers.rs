//! What those leave who are killed.

use super::*;

#[test]
fn a_file_that_was_begun_to_be_written_goes_and_others_of_its_kind_stay() {
    on_a_host(|context, fake| {
        let wanted = wanted(context.host, context.marks, best(context), &[1]);
        bring(context, &wanted).unwrap();
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
        assert_eq!(bring(context, &wanted).unwrap(), 1);
        let there = |path: &str| context.host.files.info(Path::new(path)).unwrap().is_some();
        assert!(!there(begun) && there(full) && others.into_iter().all(there));
        assert_eq!(bring(context, &wanted).unwrap(), 0);
        // With the file itself it goes as well.
        fake.put_file(begun, b"", 0o600, 0);
        bring(context, &Wanted::nothing()).unwrap();
        assert!(!there(begun) && !there("/etc/wireguard/wg_main.conf") && there(full));
    });
}

/// systemd goes on with a start by itself; our own supervisor is whoever called.
#[test]
fn a_start_whose_caller_was_killed_is_begun_again_where_nobody_else_goes_on_with_it() {
    for (manager, begun_again) in [(Manager::Builtin, true), (Manager::Systemd, false)] {
        on_a_host(|context, fake| {
            fake.set_manager(manager);
            let mut wanted = wanted(context.host, context.marks, Backend::Embedded, &[1]);
            let run = Command { program: context.host.programs.api.clone(), args: Vec::new() };
            let kind = UnitKind::Daemon { run, after_start: None, after_stop: None };
            let monitor = Unit { name: "monitor".into(), kind, ..unit(context.host, Backend::Embedded) };
            wanted.units.insert(monitor.name.clone(), (monitor, Some(true)));
            bring(context, &wanted).unwrap();
            for name in ["wg-quick@wg_main", "monitor"] {
                fake.service_is_starting(name);
                let state = || context.host.services.status(name).unwrap().state;
                assert_eq!(state(), ServiceState::Starting);
                assert_eq!(bring(context, &wanted).unwrap() > 0, begun_again, "{name}");
                assert_eq!(state() == ServiceState::Active, begun_again, "{name}");
                assert_eq!(bring(context, &wanted).unwrap(), 0, "{name}");
            }
        });
    }
}

#[test]
fn a_copy_that_somebody_made_of_a_file_of_ours_stays() {
    on_a_host(|context, fake| {
        let wanted = wanted(context.host, context.marks, best(context), &[1]);
        bring(context, &wanted).unwrap();
        let ours = format!("{}\n", context.marks.first_line());
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
        assert_eq!(bring(context, &wanted).unwrap(), 1);
        bring(context, &Wanted::nothing()).unwrap();
        let there = |path: &str| context.host.files.info(Path::new(path)).unwrap().is_some();
        assert!(copies.into_iter().all(there) && !there(stale));
    });
}

/// IPv6 knows an address by itself, whatever its prefix length, and a rule by what is named of it.
#[test]
fn what_the_kernel_takes_for_the_wanted_one_goes_first() {
    on_a_host(|context, fake| {
        let mut wanted = wanted(context.host, context.marks, best(context), &[1]);
        let address = "fd08::1/64".parse().unwrap();
        wanted.interfaces.get_mut(&name()).unwrap().addresses.insert(address);
        bring(context, &wanted).unwrap();
        fake.take_address("wg_main", address).unwrap();
        fake.give_address("wg_main", "fd08::1/128".parse().unwrap()).unwrap();
        let rule = wanted.rules.first().unwrap().clone();
        fake.take_rule(&rule).unwrap();
        fake.give_rule(&Rule { in_interface: Some("wg_main".into()), ..rule }).unwrap();
        assert_eq!(bring(context, &wanted).unwrap(), 4);
        assert_eq!(bring(context, &wanted).unwrap(), 0);
    });
}
