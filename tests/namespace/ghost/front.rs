//! A web server has the port of HTTPS already: it stays in front, and clients get through it.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::{
    NAME, PROGRAMS, casper, censor, certificate, configuration, connect_ours, named, works, works_once,
};
use crate::world::{At, TestNet, in_world_with, wait_for};

const DOCUMENTATION: &str = include_str!("../../../docs/ghost.md");
/// What the web server in front says.
const LOG: &str = "/run/web-server.log";
const SOCKET: &str = "/run/phantom-web/http";
const ENABLE: [&str; 4] = ["ghost", "enable", "domain=vpn.example.org", "listen=unix:/run/phantom-web/http"];

/// The web server that `variable` names, or in its usual place. Without it, says that `test` is skipped.
fn program(test: &str, variable: &str, place: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let found = named.into_iter().chain([place.into()]).find(|path| path.is_file());
    if found.is_none() {
        phantom_tests::skip(test, &format!("there is no such web server: name it in {variable}"));
    }
    found
}

/// The block of the documentation that begins with this line.
fn documented(first: &str) -> &'static str {
    let begin = DOCUMENTATION.find(&format!("\n{first}\n")).unwrap() + 1;
    let block = &DOCUMENTATION[begin..];
    &block[..block.find("```").unwrap()]
}

/// A certificate of an authority that this system trusts, and the name of the server.
fn prepared(world: &TestNet) {
    world.setup();
    world.add("anna");
    certificate(world);
    named(world);
    // The web server reads it as another user.
    world.sh("mkdir /etc/web; cat /etc/ghost/server.pem /etc/ghost/server.key > /etc/web/both.pem
         cp /etc/ghost/server.pem /etc/ghost/server.key /etc/web; chmod -R a+rX /etc/web
         mkdir -p /etc/ssl/certs; cat /etc/ghost/ca.pem >> /etc/ssl/certs/ca-certificates.crt");
}

/// A web server that was started, and where it listens.
struct Started {
    pid: u32,
    port: u16,
}

impl Started {
    /// Starts a web server.
    fn new(world: &TestNet, program: &str, args: &[&str], port: u16) -> Self {
        Self { pid: world.spawn_with_log(At::Server, program, args, LOG), port }
    }

    /// Waits until it listens, or ends. How long that takes depends on what else the machine does, and nothing is learnt from it:
    /// the limit is for one that hangs.
    #[track_caller]
    fn listens(&self, world: &TestNet) {
        let listens = || world.sh("ss -Htln").contains(&format!(":{} ", self.port));
        wait_for(Duration::from_mins(5), || listens() || world.ended(self.pid).is_some());
        let ended = world.ended(self.pid);
        if ended.is_some() || !listens() {
            let said = std::fs::read_to_string(LOG).unwrap();
            let look = "ss -Htlnp; ps -eo pid,ppid,user,stat,wchan:20,etime,time,args; df /etc /tmp; free";
            let all = String::from_utf8_lossy(&world.try_at(At::Server, look).stdout).into_owned();
            panic!("no web server listens at port {}: {ended:?}\n{said}\n{all}", self.port);
        }
    }
}

/// Only root and one group may connect to the socket.
fn only_one_group_gets_in(world: &TestNet, group: &str) {
    let owners = world.sh(&format!("stat -c '%a %G' /run/phantom-web {SOCKET}"));
    assert_eq!(owners, format!("750 {group}\n660 {group}\n"));
    let visit = |user: &str| {
        let curl = format!("curl -s -m 5 -o /dev/null --unix-socket {SOCKET} http://{NAME}/");
        world
            .try_at(At::Server, &format!("setpriv --reuid 65533 --regid {user} --clear-groups {curl}"))
            .status
            .success()
    };
    assert!(visit(group) && !visit("nogroup"));
    // Its server, which belongs to neither, faces the network through the web server and has no right at all.
    let pid = world.sh("pgrep -f '[p]hantom-ghost serve'");
    let status = world.sh(&format!("cat /proc/{}/status", pid.trim()));
    assert!(status.contains("\nGroups:\t \n") && status.contains("CapEff:\t0000000000000000"), "{status}");
}

#[test]
fn behind_a_web_server_nginx() {
    let test = "ghost::front::behind_a_web_server_nginx";
    let Some(nginx) = program(test, "PHANTOM_NGINX", "/usr/sbin/nginx") else { return };
    in_world_with(test, &[&PROGRAMS[..], &["curl", "setpriv"]].concat(), |world| {
        prepared(world);
        let plain = world.export("anna");
        // Not configured yet: the error says so, and nothing is changed.
        let before = world.look();
        let failed = world.fails(&ENABLE, "GHOST_MODE_ERROR");
        assert_eq!(
            (&failed["data"]["step"], &failed["data"]["rolled_back"]),
            (&json!("verify"), &json!(true))
        );
        assert!(failed["error"].as_str().unwrap().contains("TCP port 443"), "{failed}");
        assert_eq!(before.host, world.look().host);
        let block = documented("server {").replace("    listen [::]:443 ssl;\n", "");
        let block = block.replace(&format!("/etc/ssl/{NAME}."), "/etc/web/server.");
        let configured = format!(
            "user www-data; pid /run/nginx.pid; error_log /etc/web/error.log; events {{}}
             http {{ access_log /etc/web/access.log; {block} }}"
        );
        std::fs::write("/etc/web/nginx.conf", configured).unwrap();
        world.sh("mkdir -p /var/lib/nginx");
        let words = ["-c", "/etc/web/nginx.conf", "-e", "stderr", "-g", "daemon off;"];
        let nginx = Started::new(world, nginx.to_str().unwrap(), &words, 443);
        nginx.listens(world);

        let before = world.look();
        let enabled = world.ok(&[&ENABLE[..], &["public_port=443"]].concat());
        assert_eq!(
            (&enabled["port"], &enabled["certificate"]["source"]),
            (&json!(443), &json!("web_server"))
        );
        only_one_group_gets_in(world, "www-data");
        let status = world.ok(&["ghost", "status"]);
        assert_eq!(
            status["front"],
            json!({ "listen": format!("unix:{SOCKET}"), "listen_group": "www-data" })
        );
        assert!(
            status["status"] == "active" && status["certificate"]["expires_at"].is_string(),
            "{status:#}"
        );
        censor(world);
        world.connect(At::Client1, &plain);
        world.does_not_reach(At::Client1, "10.8.0.1");
        world.disconnect(At::Client1);
        connect_ours(world, "anna");
        world.connect(At::Client1, &configuration(&casper(world, "anna")));
        works(world);
        world.in_sync();

        // The tunnel's server is started again by somebody, and is let in again.
        world.sh("pkill -9 -f '[p]hantom-ghost serve'");
        world.ok(&["core", "reconcile"]);
        let serving = || world.ok(&["ghost", "status"])["status"] == "active";
        assert!(wait_for(Duration::from_secs(20), serving), "{:#}", world.ok(&["ghost", "status"]));
        only_one_group_gets_in(world, "www-data");
        let reaches = || world.try_at(At::Client1, "ping -c1 -W1 10.8.0.1").status.success();
        assert!(wait_for(Duration::from_secs(40), reaches), "the tunnel does not come back");
        world.disconnect(At::Client1);

        world.ok(&["ghost", "disable"]);
        assert_eq!(before.host, world.look().host);
        world.sh("! ls /run/phantom-web/http 2>/dev/null");
        nginx.listens(world);
    });
}

#[test]
fn behind_a_web_server_haproxy() {
    let test = "ghost::front::behind_a_web_server_haproxy";
    let Some(haproxy) = program(test, "PHANTOM_HAPROXY", "/usr/sbin/haproxy") else { return };
    in_world_with(test, &[&PROGRAMS[..], &["curl", "setpriv"]].concat(), |world| {
        prepared(world);
        world.sh("getent group haproxy || echo haproxy:x:990: >> /etc/group
                  getent passwd haproxy || echo haproxy:x:990:990::/nonexistent:/bin/false >> /etc/passwd");
        let block = documented("frontend https");
        let block = block.replace(":443", ":8443");
        let block = block.replace("/etc/haproxy/certs/vpn.example.org.pem", "/etc/web/both.pem");
        let configured = format!(
            "global\n    user haproxy\n    group haproxy\ndefaults\n    timeout connect 5s\n    timeout client 60s\n    \
             timeout server 60s\n{block}\n"
        );
        std::fs::write("/etc/web/haproxy.cfg", configured).unwrap();
        let words = ["-db", "-f", "/etc/web/haproxy.cfg"];
        Started::new(world, haproxy.to_str().unwrap(), &words, 8443).listens(world);
        // Another group than that of the web server: it cannot connect, and that is found before anything is changed.
        world.fails(&[&ENABLE[..], &["public_port=8443"]].concat(), "GHOST_MODE_ERROR");
        let enabled = world.ok(&[&ENABLE[..], &["public_port=8443", "listen_group=haproxy"]].concat());
        assert_eq!(enabled["port"], 8443);
        only_one_group_gets_in(world, "haproxy");
        assert!(casper(world, "anna").contains(" wss://vpn.example.org:8443 --tls-verify-certificate\n"));
        connect_ours(world, "anna");
        world.connect(At::Client1, &configuration(&casper(world, "anna")));
        works_once(world);
        world.in_sync();
    });
}

#[test]
fn behind_a_web_server_caddy() {
    let test = "ghost::front::behind_a_web_server_caddy";
    let Some(caddy) = program(test, "PHANTOM_CADDY", "/usr/bin/caddy") else { return };
    in_world_with(test, &[&PROGRAMS[..], &["curl", "setpriv"]].concat(), |world| {
        prepared(world);
        world.sh("getent group caddy || echo caddy:x:991: >> /etc/group");
        // Its folder, with what it needs beside it, may be where root alone finds it.
        let (folder, name) = (caddy.parent().unwrap(), caddy.file_name().unwrap());
        world.sh(&format!("mkdir /run/caddy; mount --bind {} /run/caddy", folder.display()));
        let block =
            documented("{").replacen("{\n", "{\n    admin off\n    auto_https disable_redirects\n", 1);
        let tls = format!("{NAME} {{\n    tls /etc/web/server.pem /etc/web/server.key");
        std::fs::write("/etc/web/Caddyfile", block.replace(&format!("{NAME} {{"), &tls)).unwrap();
        // A home of its own: another Caddy on this machine, of this test or not, would share its locks in /tmp.
        world.sh("install -d -m 700 -o 991 -g 991 /etc/web/home");
        let script = format!(
            "export HOME=/etc/web/home; unset XDG_DATA_HOME XDG_CONFIG_HOME; exec setpriv --reuid 991 --regid 991 \
             --clear-groups --inh-caps=+net_bind_service --ambient-caps=+net_bind_service /run/caddy/{} run \
             --adapter caddyfile --config /etc/web/Caddyfile",
            name.display()
        );
        Started::new(world, "sh", &["-c", &script], 443).listens(world);
        world.ok(&[&ENABLE[..], &["listen_group=caddy"]].concat());
        only_one_group_gets_in(world, "caddy");
        censor(world);
        connect_ours(world, "anna");
        world.connect(At::Client1, &configuration(&casper(world, "anna")));
        works(world);
        world.in_sync();
    });
}
