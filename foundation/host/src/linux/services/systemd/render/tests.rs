//! Unit files, in full.

use std::path::PathBuf;

use super::{command, unit_file, word};
use crate::{Bounds, Command, Internet, OwnSocket, OwnershipTags, Proc, Restart, Unit, UnitKind};

fn run(program: &str, args: &[&str]) -> Command {
    Command { program: program.into(), args: args.iter().map(|arg| (*arg).to_owned()).collect() }
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

/// The embedded device.
fn daemon() -> Unit {
    Unit {
        name: "wg-quick@wg_main".into(),
        description: "Phantom-WG server wg_main".into(),
        kind: UnitKind::Daemon {
            run: run("/usr/local/bin/phantom-wg-device", &["wg_main"]),
            after_start: Some(run("/usr/local/bin/phantom-api", &["core", "reconcile"])),
            after_stop: None,
        },
        restart: Restart::OnFailure,
        capabilities: vec!["NET_ADMIN".into()],
        writable: paths(&["/run/phantom-wg", "/run/wireguard"]),
        readable: Vec::new(),
        devices: paths(&["/dev/net/tun"]),
        dynamic_user: false,
        socket: None,
        bounds: Some(Bounds {
            memory_mib: 1024,
            tasks: 512,
            internet: Internet::Speaks,
            netlink: true,
            proc: Proc::Itself,
            owners: false,
            manager: false,
        }),
        renewable: false,
        before_network: false,
        after_network: true,
        after: Vec::new(),
        wanted_at_boot: true,
    }
}

/// What runs `phantom-api` at boot.
fn one_shot() -> Unit {
    Unit {
        name: "phantom-boot".into(),
        description: "100% ready\nfirewall".into(),
        kind: UnitKind::OneShot {
            start: run("/usr/local/bin/phantom-api", &["core", "reconcile"]),
            stop: Some(run("/usr/local/bin/phantom-api", &["--root", "/root/my server", "x"])),
        },
        restart: Restart::No,
        capabilities: vec!["NET_ADMIN".into(), "NET_RAW".into()],
        writable: paths(&["/opt/phantom-wg", "/run", "/proc/sys"]),
        readable: Vec::new(),
        devices: Vec::new(),
        dynamic_user: false,
        socket: None,
        bounds: None,
        renewable: false,
        before_network: true,
        after_network: false,
        after: Vec::new(),
        wanted_at_boot: false,
    }
}

fn text(unit: &Unit, growing: bool) -> String {
    unit_file(&OwnershipTags::new(None).first_line(), unit, growing)
}

#[test]
fn a_daemon() {
    assert_eq!(
        text(&daemon(), true),
        "\
# phantom-wg: written by Phantom-WG from its database; changes made here are lost
[Unit]
Description=Phantom-WG server wg_main
Wants=network-online.target
After=network-online.target nss-lookup.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/local/bin/phantom-wg-device wg_main
ExecStartPost=+/usr/local/bin/phantom-api core reconcile
TimeoutStopSec=20
Restart=on-failure
RestartSec=1
RestartSteps=6
RestartMaxDelaySec=60
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_ADMIN
ProtectSystem=strict
RuntimeDirectory=phantom-wg wireguard
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
PrivateDevices=yes
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
BindPaths=-/dev/net/tun
InaccessiblePaths=-/run/systemd/private
InaccessiblePaths=-/run/dbus
ProtectProc=invisible
ProcSubset=pid
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@resources @privileged
SystemCallErrorNumber=EPERM
LimitCORE=0
MemoryMax=1024M
TasksMax=512

[Install]
WantedBy=multi-user.target
"
    );
    let old = text(&daemon(), false);
    assert!(old.contains("\nRestartSec=3\n") && !old.contains("RestartSteps"));
}

#[test]
fn a_one_shot() {
    assert_eq!(
        text(&one_shot(), false),
        "\
# phantom-wg: written by Phantom-WG from its database; changes made here are lost
[Unit]
Description=100%% ready firewall
DefaultDependencies=no
Conflicts=shutdown.target
Wants=network-pre.target
After=local-fs.target systemd-sysctl.service systemd-modules-load.service
Before=network-pre.target shutdown.target
Wants=modprobe@ip_tables.service modprobe@ip6_tables.service
After=modprobe@ip_tables.service modprobe@ip6_tables.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/bin/phantom-api core reconcile
ExecStop=/usr/local/bin/phantom-api --root \"/root/my server\" x
TimeoutStartSec=180
TimeoutStopSec=120
Restart=no
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
ProtectSystem=strict
ReadWritePaths=-/opt/phantom-wg
ReadWritePaths=-/run
ProtectHome=no
PrivateTmp=yes
PrivateMounts=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectKernelModules=yes
ProtectKernelTunables=no
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@resources
SystemCallErrorNumber=EPERM
LimitCORE=0
"
    );
}

#[test]
fn service_user_is_given_its_capabilities() {
    let mut unit = daemon();
    unit.dynamic_user = true;
    unit.capabilities = vec!["NET_BIND_SERVICE".into()];
    let given = "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nDynamicUser=yes\nUser=phantom-wg_main\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n";
    assert!(text(&unit, true).contains(given));
    unit.capabilities.clear();
    unit.name = "phantom-own".into();
    assert!(text(&unit, true).contains("CapabilityBoundingSet=\nDynamicUser=yes\nAmbientCapabilities=\n"));
}

#[test]
fn service_user_serves_root_by_second_name() {
    let mut unit = daemon();
    let own = "/run/own/wg.sock";
    unit.socket = Some(OwnSocket { own: own.into(), public: "/run/wireguard/wg.sock".into() });
    (unit.dynamic_user, unit.writable) = (true, Vec::new());
    let text = text(&unit, true);
    let lines = "\
NotifyAccess=main
ExecStartPre=-+/bin/chmod a+rw /dev/net/tun
ExecStartPre=+/bin/mkdir -p -m 0700 /run/wireguard
ExecStartPre=+/bin/chmod 0700 /run/wireguard
ExecStart=/usr/local/bin/phantom-wg-device wg_main
ExecStartPost=+/bin/ln -f /proc/1/root/run/own/wg.sock /proc/1/root/run/wireguard/wg.sock
ExecStopPost=+/bin/rm -f /run/wireguard/wg.sock
ExecStartPost=+/usr/local/bin/phantom-api core reconcile
";
    assert!(text.contains(lines), "{text}");
    let folder = "RuntimeDirectory=own\nRuntimeDirectoryMode=0700\nRuntimeDirectoryPreserve=no\n";
    assert!(text.contains(folder), "{text}");
}

/// In `/run/private`, where systemd keeps the folders of users that it makes up, nobody else comes.
#[test]
fn shared_directory_is_not_kept_in_private() {
    let mut unit = daemon();
    (unit.dynamic_user, unit.socket) = (true, None);
    unit.writable = vec!["/run/own".into(), "/run/web".into()];
    let folders = |preserve: &str| {
        format!("RuntimeDirectory=own web\nRuntimeDirectoryMode=0700\nRuntimeDirectoryPreserve={preserve}\n")
    };
    assert!(text(&unit, true).contains(&folders("no")), "{}", text(&unit, true));
    let UnitKind::Daemon { after_start, .. } = &mut unit.kind else { panic!("{unit:?}") };
    *after_start = None;
    assert!(text(&unit, true).contains(&folders("yes")), "{}", text(&unit, true));
}

#[test]
fn bounds_are_what_it_has_use_for() {
    let with = |change: fn(&mut Bounds)| {
        let mut unit = daemon();
        unit.bounds.as_mut().into_iter().for_each(change);
        text(&unit, true)
    };
    let nothing = with(|bounds| bounds.internet = Internet::Nothing);
    assert!(nothing.contains("Families=AF_UNIX AF_NETLINK\n") && !nothing.contains("IPAddressDeny"));
    let asks = with(|bounds| bounds.internet = Internet::Asks);
    assert!(asks.contains("Families=AF_UNIX AF_INET AF_INET6 AF_NETLINK\nIPAddressDeny=any\n"), "{asks}");
    assert!(with(|bounds| bounds.netlink = false).contains("Families=AF_UNIX AF_INET AF_INET6\n"));
    assert!(with(|bounds| bounds.owners = true).contains("Filter=~@resources\n"));
    assert!(!with(|bounds| bounds.manager = true).contains("InaccessiblePaths"));
    let kernel = with(|bounds| bounds.proc = Proc::Kernel);
    assert!(kernel.contains("ProtectProc=invisible\n") && !kernel.contains("ProcSubset"));
    let everything = with(|bounds| bounds.proc = Proc::Everything);
    assert!(!everything.contains("ProtectProc") && !everything.contains("ProcSubset"));
}

#[test]
fn urgent_unit_loads_nothing_first() {
    let mut unit = one_shot();
    assert!(text(&unit, true).contains("After=modprobe@ip_tables.service"));
    unit.kind = UnitKind::OnFile { file: "/run/x/repair".into(), run: run("/bin/true", &[]) };
    assert!(!text(&unit, true).contains("modprobe"));
}

#[test]
fn restarts_are_what_systemd_takes() {
    let line = |mut unit: Unit, restart| {
        unit.restart = restart;
        let text = text(&unit, false);
        text.lines().find(|line| line.starts_with("Restart=")).unwrap().to_owned()
    };
    assert_eq!(line(daemon(), Restart::Always), "Restart=always");
    assert_eq!(line(daemon(), Restart::No), "Restart=no");
    assert_eq!(line(one_shot(), Restart::Always), "Restart=on-failure");
    assert_eq!(line(one_shot(), Restart::OnFailure), "Restart=on-failure");
}

#[test]
fn only_directories_directly_in_run_are_made() {
    let mut unit = daemon();
    unit.writable = paths(&["/run/a/b", "/run/a", "/run/x.lock", "/var/lib/x y", "/running", "/tmp/t"]);
    let text = text(&unit, true);
    assert!(text.contains("RuntimeDirectory=a\n"));
    assert!(text.contains("ReadWritePaths=-/run/x.lock\nReadWritePaths=\"-/var/lib/x y\"\nReadWritePaths=-/running\nReadWritePaths=-/tmp/t\n"));
    assert!(text.contains("PrivateTmp=no\n"));
}

#[test]
fn unit_sees_only_named_paths_in_home() {
    let with = |readable: &[&str]| {
        let unit = Unit { readable: paths(readable), ..daemon() };
        let lines: Vec<String> = text(&unit, true).lines().map(str::to_owned).collect();
        let about = ["ProtectHome=", "PrivateTmp=", "InaccessiblePaths=-/root", "InaccessiblePaths=-/home"];
        lines.into_iter().filter(|line| about.iter().any(|start| line.starts_with(start))).collect::<Vec<_>>()
    };
    assert_eq!(with(&["/etc/ssl/cert.pem", "/rooted/x"]), ["ProtectHome=yes", "PrivateTmp=yes"]);
    assert_eq!(
        with(&["/root/cert.pem", "/root/key.pem"]),
        ["ProtectHome=read-only", "InaccessiblePaths=-/home", "PrivateTmp=yes"]
    );
    assert_eq!(with(&["/root/cert.pem", "/home/a/key.pem"]), ["ProtectHome=read-only", "PrivateTmp=yes"]);
    assert_eq!(with(&["/tmp/cert.pem"]), ["ProtectHome=yes", "PrivateTmp=no"]);
    let mut writes = daemon();
    writes.writable.extend(paths(&["/root/x"]));
    assert!(text(&writes, true).contains("ProtectHome=no\n"));
}

#[test]
fn words_are_taken_literally() {
    assert_eq!(word("/usr/bin/a-b_c@1.2:3,+"), "/usr/bin/a-b_c@1.2:3,+");
    assert_eq!((word(""), word("a b"), word("50%")), ("\"\"".into(), "\"a b\"".into(), "50%%".into()));
    assert_eq!(word("a\"b\\c\nd;e'"), "\"a\\\"b\\\\c\\nd;e'\"");
    assert_eq!(command(&run("/x y/z", &["$HOME", "--a=%i", ";"])), "\"/x y/z\" $$HOME --a=%%i \";\"");
}
