//! How a device begins and ends.

use std::fs;
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::{Device, ask, at_client, log, ok, pair, run, sandbox, set_up_server, socket, until};
use crate::ping::{answers, ping};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Sends pings while something is done.
fn under_traffic<T>(action: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            at_client(|| ping(SERVER, Duration::from_micros(200), |_| done.load(Ordering::Relaxed)))
        });
        thread::sleep(Duration::from_millis(100));
        let result = action();
        done.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn deleted_link_ends_an_idle_device() {
    sandbox("lifecycle::deleted_link_ends_an_idle_device", || {
        for up in [false, true] {
            let device = Device::start("wga", "");
            if up {
                ok("ip link set wga up");
            }
            ok("ip link del wga");
            assert_eq!(device.wait().code(), Some(1), "{}", log("wga"));
            assert!(log("wga").contains("wga: the link has been deleted"), "{}", log("wga"));
            assert!(!Path::new(&socket("wga")).exists());
        }
    });
}

#[test]
fn deleted_link_ends_a_busy_device() {
    sandbox("lifecycle::deleted_link_ends_a_busy_device", || {
        let device = pair("");
        assert!(at_client(|| answers(SERVER)));
        let ended = under_traffic(|| {
            ok("ip link del wga");
            device.wait()
        });
        assert_eq!(ended.code(), Some(1));
        assert!(!Path::new(&socket("wga")).exists());
    });
}

#[test]
fn signal_ends_device_and_link_stays() {
    sandbox("lifecycle::signal_ends_device_and_link_stays", || {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let device = pair("");
            assert!(at_client(|| answers(SERVER)));
            let (status, took) = under_traffic(|| device.end(signal));
            assert_eq!(status.code(), Some(0));
            assert!(took < Duration::from_secs(1), "{took:?}");
            assert!(!Path::new(&socket("wga")).exists());
            assert!(ok("ip addr show wga").contains("10.9.0.1/24"));
            ok("ip link del wga");
            ok("ip -n client link del wgb");
        }
    });
}

#[test]
fn restart_restores_everything() {
    sandbox("lifecycle::restart_restores_everything", || {
        let device = pair("");
        ok("ip route add 10.88.0.0/16 dev wga");
        ok("ip link set wga mtu 1400");
        assert!(at_client(|| answers(SERVER)));
        let index = || ok("ip -o link show wga").split(':').next().map(str::to_owned);
        let before = index();
        let (status, _) = device.end(Signal::SIGTERM);
        assert!(status.success());
        assert!(ok("ip route").contains("10.88.0.0/16 dev wga"));
        let _device = Device::start("wga", "");
        assert!(log("wga").contains("link attached"));
        let (key, client) = (crate::lab::key_file(1), crate::lab::public(2));
        ok(&format!("wg set wga private-key {key} listen-port 51820 peer {client} allowed-ips 10.9.0.2/32"));
        assert_eq!(index(), before);
        assert!(ok("ip addr show wga").contains("10.9.0.1/24"));
        assert!(ok("ip route").contains("10.88.0.0/16 dev wga"));
        assert!(ok("ip link show wga").contains("mtu 1400"));
        assert!(at_client(|| answers(SERVER)));
        crate::traffic::transfer(SERVER.into(), 1 << 20);
    });
}

#[test]
fn offload_of_a_link_is_optional() {
    sandbox("lifecycle::offload_of_a_link_is_optional", || {
        let mut device = pair("");
        for options in ["--no-offload", ""] {
            assert!(device.end(Signal::SIGTERM).0.success());
            device = Device::start("wga", options);
            let (key, client) = (crate::lab::key_file(1), crate::lab::public(2));
            ok(&format!(
                "wg set wga private-key {key} listen-port 51820 peer {client} allowed-ips 10.9.0.2/32"
            ));
            crate::traffic::transfer(SERVER.into(), 1 << 20);
        }
    });
}

#[test]
fn a_second_device_is_refused() {
    sandbox("lifecycle::a_second_device_is_refused", || {
        let device = pair("");
        let second = || Device::command("wga", "").status().unwrap().code();
        assert_eq!(second(), Some(1));
        assert!(
            log("wga").ends_with("phantom-wg-device: wga is served by another process\n"),
            "{}",
            log("wga")
        );
        assert_eq!(ask("wga", "get=1\n\n").matches("public_key=").count(), 1);
        // Even without its socket it holds the link.
        fs::remove_file(socket("wga")).unwrap();
        assert_eq!(second(), Some(1));
        assert!(!Path::new(&socket("wga")).exists());
        assert!(at_client(|| answers(SERVER)));
        assert!(device.end(Signal::SIGTERM).0.success());
    });
}

#[test]
fn what_is_no_such_tun_is_refused() {
    sandbox("lifecycle::what_is_no_such_tun_is_refused", || {
        ok("ip link add wga type bridge");
        let status = Device::command("wga", "").status().unwrap();
        assert_eq!(status.code(), Some(1));
        assert!(log("wga").contains("there is an interface wga that is no such TUN"), "{}", log("wga"));
        assert!(ok("ip -d link show wga").contains("bridge"));
    });
}

#[test]
fn link_that_cannot_be_served_is_removed() {
    sandbox("lifecycle::link_that_cannot_be_served_is_removed", || {
        fs::create_dir_all(socket("wga")).unwrap();
        assert_eq!(Device::command("wga", "").status().unwrap().code(), Some(1));
        assert!(log("wga").contains("cannot serve /var/run/wireguard/wga.sock"), "{}", log("wga"));
        assert!(!run("ip link show wga").status.success());
    });
}

#[test]
fn socket_is_private_with_any_umask() {
    sandbox("lifecycle::socket_is_private_with_any_umask", || {
        fs::create_dir("/run/wireguard").unwrap();
        ok("chmod 0755 /run/wireguard");
        for umask in ["000", "077", "022"] {
            let program = env!("CARGO_BIN_EXE_phantom-wg-device");
            let mut command = Command::new("sh");
            command.args(["-c", &format!("umask {umask}; exec {program} wga 2>/dev/null")]);
            let device = Device::start_by(&mut command, "wga");
            assert_eq!((mode("/run/wireguard"), mode(&socket("wga"))), (0o700, 0o600), "umask {umask}");
            assert!(device.end(Signal::SIGTERM).0.success());
        }
        drop(UnixListener::bind(socket("wga")).unwrap());
        let _device = Device::start("wga", "");
        assert_eq!(mode(&socket("wga")), 0o600, "one that was left behind is replaced");
    });
}

#[test]
fn the_service_manager_is_told() {
    sandbox("lifecycle::the_service_manager_is_told", || {
        let name = SocketAddr::from_abstract_name("notify").unwrap();
        let managers = [
            (UnixDatagram::bind("/run/notify").unwrap(), "/run/notify"),
            (UnixDatagram::bind_addr(&name).unwrap(), "@notify"),
        ];
        for (manager, address) in managers {
            let device = Device::command("wga", "").env("NOTIFY_SOCKET", address).spawn().unwrap();
            let heard = || {
                let mut text = [0; 64];
                let length = manager.recv(&mut text).unwrap();
                String::from_utf8(text[..length].to_vec()).unwrap()
            };
            assert_eq!(heard(), "READY=1\n");
            assert_eq!(ask("wga", "get=1\n\n"), "errno=0\n\n", "it is ready then");
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(device.id().try_into().unwrap()),
                Signal::SIGTERM,
            )
            .unwrap();
            assert_eq!(heard(), "STOPPING=1\n");
            assert!(device.wait_with_output().unwrap().status.success());
        }
        let _device = Device::start_by(Device::command("wga", "").env("NOTIFY_SOCKET", "/run/nobody"), "wga");
        until("a complaint", || log("wga").contains("cannot notify the service manager"));
    });
}

/// What a service manager leaves it: another user with one capability, a folder of its own, and a second name of the socket
/// in root's folder.
#[test]
fn another_user_serves_root_alone() {
    sandbox("lifecycle::another_user_serves_root_alone", || {
        // Where this other user may come to it.
        let program = "/run/phantom-wg-device";
        fs::copy(env!("CARGO_BIN_EXE_phantom-wg-device"), program).unwrap();
        ok("install -d -m 0700 /run/wireguard");
        ok("install -d -m 0700 -o 61200 -g 61200 /run/own");
        ok("chmod a+rw /dev/net/tun");
        let mut command = Command::new("setpriv");
        let user = ["--reuid=61200", "--regid=61200", "--clear-groups"];
        let rights = ["--bounding-set=-all,+net_admin", "--inh-caps=+net_admin", "--ambient-caps=+net_admin"];
        command.args(user).args(rights).args(["--no-new-privs", "sh", "-c"]);
        command.arg(format!("umask 077; exec {program} wga --socket /run/own/wga.sock 2>/run/wga.log"));
        let mut device = command.spawn().unwrap();
        until("the socket", || fs::exists("/run/own/wga.sock").unwrap());
        ok("ln -f /run/own/wga.sock /run/wireguard/wga.sock");
        let status = fs::read_to_string(format!("/proc/{}/status", device.id())).unwrap();
        assert!(status.contains("Uid:\t61200\t61200\t61200\t61200"), "{status}");
        assert!(status.contains("CapPrm:\t0000000000001000"), "{status}");
        assert_eq!(mode("/run/own/wga.sock"), 0o666, "the folders keep others out");
        ok("wg set wga fwmark 5 listen-port 51821");
        ok("ip link set wga mtu 1390 up");
        // Root without any capability, as a service that only looks.
        assert!(ok("setpriv --bounding-set=-all wg show wga").contains("listening port: 51821"));
        // Others cannot reach it, and one of them who could is refused.
        let as_other = "setpriv --reuid=61201 --regid=61201 --clear-groups wg show wga";
        assert!(!run(as_other).status.success());
        ok("chmod 0755 /run/wireguard /run/own");
        let refused = run(as_other);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("Permission denied"), "{refused:?}");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(device.id().try_into().unwrap()), Signal::SIGTERM)
            .unwrap();
        assert!(device.wait().unwrap().success());
        assert!(!fs::exists("/run/own/wga.sock").unwrap(), "its own name goes with it");
        assert!(run("ip link show wga").status.success(), "the link stays");
    });
}

/// The same as root.
#[test]
fn one_capability_is_enough() {
    sandbox("lifecycle::one_capability_is_enough", || {
        ok("install -d -m 0700 /run/wireguard");
        let program = env!("CARGO_BIN_EXE_phantom-wg-device");
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all,+net_admin", "--no-new-privs", program, "wga"]);
        let device = Device::start_by(&mut command, "wga");
        let status = fs::read_to_string(format!("/proc/{}/status", device.pid())).unwrap();
        assert!(status.contains("CapEff:\t0000000000001000"), "{status}");
        set_up_server();
        ok("wg set wga fwmark 5 listen-port 51821");
        assert!(device.end(Signal::SIGTERM).0.success());
        assert!(!Path::new(&socket("wga")).exists());
    });
}

#[test]
fn mtu_is_set_as_asked_or_kept() {
    sandbox("lifecycle::mtu_is_set_as_asked_or_kept", || {
        for (options, mtu) in
            [("", 1420), ("--mtu 1380", 1380), ("", 1380), ("--mtu=", 0), ("--mtu 9000", 9000)]
        {
            if mtu == 0 {
                assert_eq!(Device::command("wga", options).status().unwrap().code(), Some(2));
                continue;
            }
            let device = Device::start("wga", options);
            assert!(ok("ip link show wga").contains(&format!("mtu {mtu} ")), "{options}");
            assert!(!ok("ip link show wga").contains("UP"), "it is left down");
            assert!(device.end(Signal::SIGTERM).0.success());
        }
    });
}

#[test]
fn a_bad_command_line_is_refused() {
    sandbox("lifecycle::a_bad_command_line_is_refused", || {
        let program = env!("CARGO_BIN_EXE_phantom-wg-device");
        for arguments in
            ["", "wga wgb", "--mtu 5 wga", "--mtu x wga", "--threads 0 wga", "--what wga", "9wg", "a/b"]
        {
            let output = run(&format!("{program} {arguments}"));
            assert_eq!(output.status.code(), Some(2), "{arguments}");
            assert!(String::from_utf8(output.stderr).unwrap().contains("Usage:"), "{arguments}");
        }
        assert!(ok(&format!("{program} --help")).starts_with("Usage:"));
        assert!(ok(&format!("{program} -V")).starts_with("phantom-wg-device "));
    });
}

/// A peer that goes away for longer than WireGuard tries (90 s) is found again by persistent keepalives alone.
#[test]
#[ignore = "takes three minutes"]
fn keepalives_go_on_for_ever() {
    sandbox("lifecycle::keepalives_go_on_for_ever", || {
        let _device = pair("");
        let client = crate::lab::public(2);
        ok("ip netns exec client wg set wgb listen-port 50000");
        ok("ip -n client link set v1 down");
        ok(&format!("wg set wga peer {client} endpoint 192.0.2.2:50000 persistent-keepalive 10"));
        thread::sleep(Duration::from_secs(130));
        ok("ip -n client link set v1 up");
        until("a handshake", || !ok("wg show wga latest-handshakes").trim().ends_with("\t0"));
    });
}
