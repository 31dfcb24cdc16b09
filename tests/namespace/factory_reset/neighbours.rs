//! What stands close to a server that is reset: ufw with the rule that lets the administrator in, and the tunnel.

use std::path::Path;

use serde_json::json;

use super::{assert_new, host_of_others, others, run, text, used};
use crate::ghost::in_ghost_mode;
use crate::look::assert_same_lines;
use crate::world::{TestNet, in_world_with};

/// ufw with rules of others, switched on; whether that worked.
fn with_ufw(world: &TestNet, test: &str) -> bool {
    let output = world.try_at(
        crate::world::At::Server,
        "ufw default deny incoming; ufw default deny routed; ufw allow 22/tcp comment 'never lock me out'
         ufw allow 51820/udp; ufw limit 2222/tcp; ufw --force enable 2>&1",
    );
    if output.status.success() {
        return true;
    }
    phantom_tests::skip(
        test,
        &format!("ufw cannot be enabled here: {}", String::from_utf8_lossy(&output.stdout)),
    );
    false
}

#[test]
fn foreign_ufw_rules_and_ssh_stay() {
    let test = "factory_reset::neighbours::foreign_ufw_rules_and_ssh_stay";
    in_world_with(test, &["openssl", "ufw", "iptables", "python3"], |world| {
        if !with_ufw(world, test) {
            return;
        }
        let theirs = || {
            world.sh("ufw show added | grep -v phantom-wg | sort; ufw status verbose | grep -v '^Default\\|phantom-wg\\|^$'")
        };
        let ours = || world.sh("ufw show added | grep phantom-wg | sort || true");
        let before = theirs();
        let old = used(world);
        let (with, after) = (ours(), theirs());
        assert!(with.contains("51999/udp") && with.contains("wg_main"), "{with}");
        assert_eq!(before, after);
        text(&run(&["--yes"], ""), 0);
        assert_new(world, &old);
        assert_eq!((ours(), theirs()), (with, before.clone()));
        text(&run(&["--uninstall", "--yes"], ""), 0);
        assert_eq!((ours(), theirs()), (String::new(), before));
    });
}

#[test]
fn own_rule_that_admits_ssh_stays() {
    let test = "factory_reset::neighbours::own_rule_that_admits_ssh_stays";
    in_world_with(test, &["openssl", "ufw", "iptables", "python3"], |world| {
        if !with_ufw(world, test) {
            return;
        }
        used(world);
        world.sh("mkdir -p /etc/ssh/sshd_config.d; echo 'Port 4443' > /etc/ssh/sshd_config.d/port.conf
            ufw allow 4443/tcp comment phantom-wg");
        let look = || (world.look(), world.sh("ufw show added; ufw status verbose"));
        let before = look();
        let said = text(&run(&["--yes"], ""), 1);
        assert!(
            said.contains("SSH port 4443/tcp") && said.ends_with("Cancelled, nothing was changed.\n"),
            "{said}"
        );
        assert!(before == look());
    });
}

#[test]
fn tunnel_goes_with_secrets_operator_files_stay() {
    let test = "factory_reset::neighbours::tunnel_goes_with_secrets_operator_files_stay";
    in_world_with(test, &["openssl", "dnsmasq", "dig", "ss"], |world| {
        others(world);
        let before = host_of_others(world);
        let old = used(world);
        let enabled = in_ghost_mode(world);
        let secret = enabled["secret"].as_str().unwrap().to_owned();
        let theirs = || world.sh("cd /etc/ghost; sha256sum * | sort");
        let certificates = theirs();
        world.sh("mkdir -p /opt/phantom-wg/certs/account; echo key > /opt/phantom-wg/certs/account/key.pem");
        assert!(world.sh("ss -Hltn 'sport = :443'").contains(":443"));
        text(&run(&["--yes"], ""), 0);
        assert_new(world, &old);
        assert_eq!(world.ok(&["ghost", "status"])["enabled"], json!(false));
        assert_eq!(world.sh("ss -Hltn 'sport = :443'; pgrep -r R,S,D phantom-ghost || true"), "");
        assert_eq!(theirs(), certificates);
        assert!(!Path::new("/run/phantom-wg/ghost.conf").exists());
        let found = world.sh(&format!("grep -raF '{secret}' /opt /run /etc/systemd 2>/dev/null || true"));
        assert_eq!(found, "", "the secret is still there");
        assert_same_lines(&before, &host_of_others(world), "objects of others");
    });
}
