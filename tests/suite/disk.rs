//! A disk that is full and a folder that is read-only: the change fails, nothing has changed, and readers go on.
//!
//! The disk is a small file system in memory in a mount namespace of its own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use phantom_tests::{Server, is_root, skip};

const CHANGES: [&[&str]; 7] = [
    &["core", "add_client", "client_name=new"],
    &["core", "remove_client", "client_name=b"],
    &["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"],
    &["core", "setup", "port=443"],
    &["core", "update_tweak_setting", "setting_name=block_ipv6_leak", "value=false"],
    &["dns", "change_dns_servers", "primary=9.9.9.9"],
    &["ghost", "enable", "domain=vpn.example.com", "skip_dns_check=true", "self_signed=true"],
];

/// Runs a role of this file on a small file system.
fn on_a_small_disk(test: &str, role: &str) {
    if !is_root() {
        return skip(test, "a file system can only be mounted by root");
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=1m tmpfs \"$0\" || exit 77; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(dir.path());
    command.arg(std::env::current_exe().unwrap()).args([role, "--exact", "--ignored", "--nocapture"]);
    let output = command.env("ROLE_DIR", dir.path()).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) {
        return skip(test, "this machine does not let us mount a file system");
    }
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn role_dir() -> PathBuf {
    PathBuf::from(std::env::var_os("ROLE_DIR").expect("the test that starts this role says where"))
}

/// Every change fails and leaves everything as it was, and everything can be read.
fn every_change_fails(server: &Server) {
    let before = server.dump();
    for words in CHANGES {
        let answer = server.api(words);
        assert!(!answer.success(), "{words:?}");
        let codes = ["CONFIG_ERROR", "SERVICE_OPERATION_FAILED", "NETWORK_ERROR", "GHOST_MODE_ERROR"];
        assert!(codes.contains(&answer.code().as_str()), "{words:?}: {}", answer.out);
        let left = &answer.json()["data"]["rolled_back"];
        assert!(left.is_null() || *left == true, "{words:?}: {}", answer.out);
        assert_eq!(server.dump(), before, "{words:?}");
        for reading in ["list_clients", "server_status", "get_subnet_info", "get_tweak_settings"] {
            server.api(&["core", reading]).ok();
        }
        server.api(&["core", "export_client", "client_name=a"]).ok();
    }
}

/// Every change works again, and no step is needed.
fn every_change_works(server: &Server) {
    for words in CHANGES {
        server.api(words).ok();
        server.assert_in_sync();
    }
}

#[test]
#[ignore = "a role that another test starts on a small disk"]
fn role_on_a_full_disk() {
    let server = Server::bare_in(&role_dir());
    server.api(&["core", "setup", "server_ip=192.0.2.7"]).ok();
    let server = server.with(&["a", "b"]);
    let filler = role_dir().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    every_change_fails(&server);
    drop(file);
    fs::remove_file(filler).unwrap();
    every_change_works(&server);
}

#[test]
#[ignore = "a role that another test starts on a small disk"]
fn role_on_a_read_only_disk() {
    let server = Server::bare_in(&role_dir());
    server.api(&["core", "setup", "server_ip=192.0.2.7"]).ok();
    let server = server.with(&["a", "b"]);
    let remount = |how: &str, dir: &Path| {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(dir).status().unwrap();
        assert!(status.success());
    };
    remount("ro", &role_dir());
    every_change_fails(&server);
    remount("rw", &role_dir());
    every_change_works(&server);
}

#[test]
fn full_disk_fails_only_the_change() {
    on_a_small_disk("full_disk_fails_only_the_change", "disk::role_on_a_full_disk");
}

#[test]
fn read_only_disk_fails_only_the_change() {
    on_a_small_disk("read_only_disk_fails_only_the_change", "disk::role_on_a_read_only_disk");
}
