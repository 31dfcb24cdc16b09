//! The changes that faults are brought to.

use phantom_tests::Server;

use crate::cases::{
    ENABLE, ENABLE_MULTIHOP, ENABLE_SELF_SIGNED, named, stopped, through_exit, through_exit_on, with_domain,
    with_exit, with_exit_on, with_ghost, with_john, with_second_exit,
};

/// A change on a server.
pub(crate) struct Change {
    pub(crate) name: &'static str,
    pub(crate) words: &'static [&'static str],
    pub(crate) server: fn() -> Server,
}

const fn change(name: &'static str, words: &'static [&'static str], server: fn() -> Server) -> Change {
    Change { name, words, server }
}

/// Every changing action that touches the host, on the kernel's WireGuard and on the embedded one, with and without
/// ufw, with either manager of services.
pub(crate) const CHANGES: &[Change] = &[
    change("add", &["core", "add_client", "client_name=new"], with_john),
    change("add, embedded", &["core", "add_client", "client_name=new"], embedded),
    change("add with restart", &["core", "add_client", "client_name=new"], restarting),
    change("add while stopped", &["core", "add_client", "client_name=new"], stopped),
    change("add after sabotage", &["core", "add_client", "client_name=new"], without_link),
    change("remove", &["core", "remove_client", "client_name=john-laptop"], with_john),
    change("remove with restart", &["core", "remove_client", "client_name=john-laptop"], restarting),
    change(
        "remove, embedded with restart",
        &["core", "remove_client", "client_name=john-laptop"],
        embedded_restarting,
    ),
    change("subnet", SUBNET, || with_john().with(&["second"])),
    change("subnet, embedded", SUBNET, embedded),
    change("subnet, ufw", SUBNET, with_ufw),
    change("subnet while stopped", SUBNET, stopped),
    change("first setup", SETUP, Server::bare),
    change(
        "first setup, embedded",
        &["core", "setup", "server_ip=192.0.2.7", "backend=embedded"],
        Server::bare,
    ),
    change("first setup, ufw", SETUP, bare_with_ufw),
    change("first setup, supervisor", SETUP, bare_with_supervisor),
    change("setup: port", &["core", "setup", "port=443"], with_john),
    change("setup: port, ufw", &["core", "setup", "port=443"], with_ufw),
    change("setup: to embedded", &["core", "setup", "backend=embedded"], with_john),
    change("setup: to kernel", &["core", "setup", "backend=kernel"], embedded),
    change("start", &["core", "start_service"], stopped),
    change("start, embedded", &["core", "start_service"], || stopped_of(embedded())),
    change("stop", &["core", "stop_service"], with_john),
    change("stop, embedded", &["core", "stop_service"], embedded),
    change("restart", &["core", "restart_service"], with_john),
    change("restart, embedded", &["core", "restart_service"], embedded),
    change("restart, supervisor", &["core", "restart_service"], with_supervisor),
    change("ghost enable", ENABLE, with_domain),
    change("ghost enable, embedded", ENABLE, || named(embedded())),
    // The visit of a certificate authority is not part of the change: see the tests of Ghost Mode.
    change("ghost enable, ufw", ENABLE_SELF_SIGNED, || named(with_ufw())),
    change("ghost enable, supervisor", ENABLE, || named(with_supervisor())),
    change("ghost enable while stopped", ENABLE, || named(stopped())),
    change("ghost disable", DISABLE, with_ghost),
    change("ghost disable, ufw", DISABLE, || with_ghost_on(with_ufw())),
    change("ghost disable, supervisor", DISABLE, || with_ghost_on(with_supervisor())),
    change("ghost disable after sabotage", DISABLE, without_tunnel),
    change("ghost disable, with a status", DISABLE, with_status),
    change("multihop enable", ENABLE_MULTIHOP, with_exit),
    change("multihop enable, embedded", ENABLE_MULTIHOP, || with_exit_on(embedded())),
    change("multihop enable, supervisor", ENABLE_MULTIHOP, || with_exit_on(with_supervisor())),
    change("multihop enable, open", OPEN, with_exit),
    change("multihop switch", SWITCH, || with_second_exit(through_exit())),
    change("multihop switch, embedded", SWITCH, || with_second_exit(through_exit_on(embedded()))),
    change("multihop open", OPEN, through_exit),
    change("multihop disable", &["multihop", "disable_multihop"], through_exit),
    change("multihop disable, embedded", &["multihop", "disable_multihop"], || through_exit_on(embedded())),
    change("multihop switch, with fallbacks", FALLBACKS, || with_second_exit(through_exit())),
    change("multihop remove", REMOVE_EXIT, through_exit),
    change("multihop reset", &["multihop", "reset_state"], through_exit),
    change("multihop reset after sabotage", &["multihop", "reset_state"], without_exit_link),
];

/// The changes that are a transaction and nothing else.
pub(super) const STORED: &[Change] = &[
    change("setup: endpoint", &["core", "setup", "endpoint=vpn.example.com"], with_john),
    change("setup: address", &["core", "setup", "server_ip=198.51.100.7"], with_john),
    change("setting", &["core", "update_tweak_setting", "setting_name=language", "value=tr"], with_john),
    change("dns", &["dns", "change_dns_servers", "primary=9.9.9.9"], with_john),
];

const DISABLE: &[&str] = &["ghost", "disable"];
const OPEN: &[&str] = &["multihop", "enable_multihop", "exit_name=xeovo-uk", "kill_switch=false"];
const SWITCH: &[&str] = &["multihop", "enable_multihop", "exit_name=nl"];
const FALLBACKS: &[&str] = &["multihop", "enable_multihop", "exit_name=nl", "fallback_exits=xeovo-uk"];
const REMOVE_EXIT: &[&str] = &["multihop", "remove_vpn_config", "exit_name=xeovo-uk"];
const SUBNET: &[&str] = &["core", "change_subnet", "new_subnet=192.168.100.0/22", "confirm=true"];
const SETUP: &[&str] = &["core", "setup", "server_ip=192.0.2.7"];

pub(crate) fn embedded() -> Server {
    Server::set_up(&["backend=embedded"]).with(&["john-laptop"])
}
fn restarting_of(server: Server) -> Server {
    let setting = "setting_name=restart_service_after_client_creation";
    server.api(&["core", "update_tweak_setting", setting, "value=true"]).ok();
    server
}
fn restarting() -> Server {
    restarting_of(with_john())
}
fn embedded_restarting() -> Server {
    restarting_of(embedded())
}
fn stopped_of(server: Server) -> Server {
    server.api(&["core", "stop_service"]).ok();
    server.fake.reset_writes();
    server
}
fn with_ghost_on(server: Server) -> Server {
    let server = named(server);
    server.api(ENABLE_SELF_SIGNED).ok();
    server
}
/// Nothing of the tunnel runs any more.
fn without_tunnel() -> Server {
    let server = with_ghost();
    let instance = server.paths().instance().map(|instance| format!("-{instance}")).unwrap_or_default();
    for unit in ["phantom-ghost", "phantom-ghost-keeper"] {
        server.fake.crash_service(&format!("{unit}{instance}"));
    }
    server
}
/// The keeper has said something.
fn with_status() -> Server {
    let server = with_ghost();
    std::fs::write(server.paths().run_dir().join("ghost-status.json"), b"{\"serving\":true}").unwrap();
    server
}
/// The way to the exit is gone.
fn without_exit_link() -> Server {
    let server = through_exit();
    server.fake.cut_link("wg_vpn").unwrap();
    server
}
fn without_link() -> Server {
    let server = with_john();
    server.fake.cut_link("wg_main").unwrap();
    server
}
fn bare_with_ufw() -> Server {
    let server = Server::bare();
    server.fake.add_foreign_ufw("22/tcp                     ALLOW IN    Anywhere");
    server
}
fn with_ufw() -> Server {
    let server = bare_with_ufw();
    server.api(SETUP).ok();
    server.with(&["john-laptop"])
}
fn bare_with_supervisor() -> Server {
    let server = Server::bare();
    server.fake.set_manager(phantom_host::ServiceManager::Builtin);
    server
}
fn with_supervisor() -> Server {
    let server = bare_with_supervisor();
    server.api(SETUP).ok();
    server.with(&["john-laptop"])
}
