//! The texts of this crate against the real `wg` and `wg-quick`, and Debian's wireguard-go as the device.
//!
//! Each test runs the tools in namespaces of its own, in which /run is empty. Where the tools or the namespaces
//! are not to be had it says so on standard error as `skipped: TEST: why`.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests fail by panic, as tests do")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use phantom_types::conf::{push_peer_block, remove_peer_block, render_interface};
use phantom_types::{
    ClientConfig, ClientName, FileName, PresharedKey, PrivateKey, PublicKey, ServerConfig, ServerPeer, ago,
    bytes_in_words,
};

/// Runs a shell script in its own network, mount and process namespaces, with `$1` the directory.
#[expect(clippy::disallowed_methods, reason = "tests drive the real tools")]
fn isolated(directory: &Path, script: &str) -> Option<Output> {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-euc", &format!("mount -t tmpfs none /run; mkdir /run/wireguard; {script}"), "sh"]);
    command.arg(directory).env("WG_COLOR_MODE", "never").env("LC_ALL", "C").output().ok()
}

/// Whether these programs, a device for them and the namespaces are here; says what is missing.
fn ready(test: &str, programs: &[&str], directory: &Path) -> bool {
    let script =
        format!("for program in {}; do command -v $program >/dev/null || exit 9; done", programs.join(" "));
    let done = isolated(directory, &script).is_some_and(|output| output.status.success());
    if !done {
        // Past the capture of the test harness: a skipped test is to be seen.
        let line =
            format!("skipped: {test}: needs unshare, root or user namespaces, and {}\n", programs.join(", "));
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    done
}

/// A directory of this test alone, gone when dropped.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("phantom-types-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file that only its owner can read, as wg-quick wants it.
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Strips the file `typ0.conf` with wg-quick, gives it to a real device with wg, and returns what the device has
/// then.
const LOAD: &str = "wireguard-go -f typ0 >/dev/null 2>&1 & \
    n=0; until [ -S /run/wireguard/typ0.sock ]; do n=$((n+1)); [ $n -lt 200 ] || exit 8; sleep 0.05; done; \
    wg-quick strip \"$1/typ0.conf\" >\"$1/stripped\"; wg setconf typ0 \"$1/stripped\"; wg showconf typ0";

fn public(number: u8) -> PublicKey {
    PrivateKey::from_random([number; 32]).public_key()
}

/// The blocks of a configuration, each as the set of its lines (its header among them) without comments.
fn blocks(conf: &str) -> BTreeSet<BTreeSet<&str>> {
    let mut blocks: Vec<BTreeSet<&str>> = Vec::new();
    for line in conf.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            blocks.push(BTreeSet::new());
        }
        blocks.last_mut().unwrap().insert(line);
    }
    let count = blocks.len();
    let set: BTreeSet<_> = blocks.into_iter().collect();
    assert_eq!(set.len(), count, "two blocks are the same");
    set
}

#[test]
fn wg_quick_accepts_every_client_file() {
    let directory = Directory::new("files");
    if !ready("wg_quick_accepts_every_client_file", &["wg", "wg-quick"], &directory.0) {
        return;
    }
    let strip = |file: &str, id: u8| {
        let key = PrivateKey::from_random([id; 32]);
        directory.write(file, &format!("[Interface]\nPrivateKey = {}\n", *key.reveal()));
        isolated(&directory.0, &format!("wg-quick strip \"$1/{file}\"")).unwrap().status.success()
    };
    let mut files = BTreeSet::new();
    for (id, length) in [15, 16, 17, 49, 50].into_iter().enumerate() {
        let (id, name) =
            (u8::try_from(id + 1).unwrap(), "sales-department-of-the-northern-region-notebook-0");
        let name: ClientName = name[..length].parse().unwrap();
        // What a client's own name would have been.
        assert_eq!(strip(&format!("{name}.conf"), id), length == 15, "{name}");
        for file in [FileName::direct(&name, id.into()), FileName::tunnel(&name, id.into())] {
            assert!(strip(file.as_str(), id), "{file}");
            assert!(files.insert(file.to_string()), "{file}");
        }
    }
}

#[test]
fn wg_takes_the_server_s_configuration() {
    let directory = Directory::new("server");
    if !ready("wg_takes_the_server_s_configuration", &["wg", "wg-quick", "wireguard-go"], &directory.0) {
        return;
    }
    let config = ServerConfig {
        private_key: PrivateKey::from_random([1; 32]),
        address: vec!["10.8.0.1/24".parse().unwrap(), "fd00::1/64".parse().unwrap()],
        listen_port: 51820,
        mtu: 1420,
    };
    let mut file = render_interface("# phantom-wg 0.1.0: generated; changes are overwritten", &config);
    for number in 2..60 {
        let preshared = PresharedKey::from_bytes([number; 32]);
        let peer = ServerPeer {
            name: &format!("client_{number}-x").parse().unwrap(),
            public_key: &public(number),
            preshared_key: Some(&preshared).filter(|_| number % 3 > 0),
            allowed_ips: &[
                format!("10.8.0.{number}/32").parse().unwrap(),
                format!("fd00::{number}/128").parse().unwrap(),
            ],
        };
        push_peer_block(&mut file, &peer);
    }
    let file = remove_peer_block(&file, &public(7)).unwrap();
    directory.write("typ0.conf", &file);
    let shown = text(&isolated(&directory.0, LOAD).unwrap());
    let quick = |line: &&str| !line.starts_with("Address") && !line.starts_with("MTU");
    let expected = file.lines().filter(quick).collect::<Vec<_>>().join("\n");
    assert_eq!(blocks(&shown), blocks(&expected));
    assert_eq!(blocks(&shown).len(), 58, "an interface and 57 peers");
}

#[test]
fn wg_takes_a_client_s_configuration() {
    let directory = Directory::new("client");
    if !ready("wg_takes_a_client_s_configuration", &["wg", "wg-quick", "wireguard-go"], &directory.0) {
        return;
    }
    for (endpoint, keepalive) in [("157.230.114.231:51820", 25), ("[2001:db8::1]:443", 0)] {
        let config = ClientConfig {
            private_key: PrivateKey::from_random([2; 32]),
            address: vec!["10.8.0.2/24".parse().unwrap(), "fd00::2/128".parse().unwrap()],
            dns: vec!["8.8.8.8".parse().unwrap(), "2606:4700:4700::1111".parse().unwrap()],
            mtu: ClientConfig::MTU,
            public_key: public(1),
            preshared_key: Some(PresharedKey::from_bytes([3; 32])),
            endpoint: endpoint.parse().unwrap(),
            allowed_ips: ["0.0.0.0/0", "10.8.0.0/24", "::/0"].map(|text| text.parse().unwrap()).into(),
            keepalive,
        };
        directory.write("typ0.conf", &config.render());
        let shown = text(&isolated(&directory.0, LOAD).unwrap());
        let peer = blocks(&shown).into_iter().find(|block| block.contains("[Peer]")).unwrap();
        let line = |line: String| assert!(peer.contains(line.as_str()), "{line} in {peer:?}");
        line(format!("PublicKey = {}", public(1)));
        line(format!("Endpoint = {endpoint}"));
        line(format!("PresharedKey = {}", PresharedKey::from_bytes([3; 32]).reveal().as_str()));
        assert_eq!(peer.contains("PersistentKeepalive = 25"), keepalive == 25);
        let allowed = peer.iter().find_map(|line| line.strip_prefix("AllowedIPs = ")).unwrap();
        assert_eq!(
            allowed.split(", ").collect::<BTreeSet<_>>(),
            BTreeSet::from(["0.0.0.0/0", "10.8.0.0/24", "::/0"])
        );
        assert!(shown.contains(config.private_key.reveal().as_str()));
    }
}

#[test]
fn public_keys_are_those_of_wg_pubkey() {
    let directory = Directory::new("keys");
    if !ready("public_keys_are_those_of_wg_pubkey", &["wg"], &directory.0) {
        return;
    }
    for number in 0..20 {
        let key = PrivateKey::from_random([number; 32].map(|byte: u8| byte.wrapping_mul(53)));
        directory.write("key", &key.reveal());
        let shown = text(&isolated(&directory.0, "wg pubkey <\"$1/key\"").unwrap());
        assert_eq!(shown.trim_end(), key.public_key().to_string());
    }
}

/// Byte counts and ages at which the words change or are rounded.
fn figures() -> Vec<(u64, u64)> {
    let mut bytes: Vec<u64> = (1..50).map(|n| 1024 + n * 64 + n % 2).collect(); // among them halves of hundredths
    bytes.extend((0..48).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1, (1 << bit) * 13 / 10]));
    let lengths = [1, 60, 3_600, 86_400, 31_536_000];
    let ages =
        (0..).map(|n: usize| lengths[n % 5] * (n as u64 % 7 + 1) + lengths[n / 5 % 5] * (n as u64 % 3) + 2);
    bytes.into_iter().zip(ages).collect()
}

/// Answers `wg` as a device whose peers have these byte counts and handshakes this long ago.
fn serve(listener: &UnixListener, figures: &[(u64, u64)]) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        // wg first connects to see whether somebody is there, and says nothing.
        if line == "get=1\n" {
            stream.write_all(answer(figures).as_bytes()).unwrap();
        }
    }
}

/// What a device with such peers says.
fn answer(figures: &[(u64, u64)]) -> String {
    #[expect(clippy::disallowed_methods, reason = "wg shows ages by the clock of the machine")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut answer = String::from("listen_port=1\n");
    for (number, (bytes, age)) in (1u32..).zip(figures) {
        let handshake = now - age;
        let peer = format!(
            "public_key={number:064x}\nlast_handshake_time_sec={handshake}\nlast_handshake_time_nsec=0\n\
             rx_bytes={bytes}\ntx_bytes=1\n"
        );
        answer.push_str(&peer);
    }
    answer.push_str("errno=0\n\n");
    answer
}

#[test]
fn sizes_and_ages_are_worded_like_wg() {
    let directory = Directory::new("words");
    if !ready("sizes_and_ages_are_worded_like_wg", &["wg"], &directory.0) {
        return;
    }
    let figures = figures();
    let listener = UnixListener::bind(directory.0.join("typ1.sock")).unwrap();
    let served = figures.clone();
    std::thread::spawn(move || serve(&listener, &served)); // ends with the process of the test
    let output = isolated(&directory.0, "mount --bind \"$1\" /run/wireguard; wg show typ1").unwrap();
    let shown = text(&output);
    let peers: Vec<&str> = shown.split("peer: ").skip(1).collect();
    assert_eq!(peers.len(), figures.len());
    for (number, (bytes, age)) in (1u32..).zip(&figures) {
        let mut key = [0; 32];
        key[28..].copy_from_slice(&number.to_be_bytes());
        let key = PublicKey::from_bytes(key).to_string();
        let peer = peers.iter().find(|peer| peer.starts_with(&key)).unwrap();
        let transfer = format!("  transfer: {} received, 1 B sent\n", bytes_in_words(*bytes));
        assert!(peer.contains(&transfer), "{transfer} in {peer}");
        // wg reads the clock a moment after this test did.
        let handshake = |late: u64| format!("  latest handshake: {}\n", ago(age + late));
        assert!((0..3).any(|late| peer.contains(&handshake(late))), "{} in {peer}", handshake(0));
    }
}
