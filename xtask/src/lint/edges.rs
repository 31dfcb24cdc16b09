//! Which crate may depend on which: the layers of the architecture, held against what cargo says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::workspace;

/// A crate, the crates of this workspace that it may use, and the foreign ones that nobody else may use.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    alone: &'static [&'static str],
}

const fn layer(
    name: &'static str,
    may_use: &'static [&'static str],
    alone: &'static [&'static str],
) -> Layer {
    Layer { name, may_use, alone }
}

const FOUNDATION: &[&str] =
    &["phantom-types", "phantom-module", "phantom-store", "phantom-host", "phantom-engine"];

/// From the bottom up. What a crate may use is what stands above it here and is named; a module never uses a module.
const LAYERS: &[Layer] = &[
    layer("phantom-types", &[], &["x25519-dalek"]),
    layer("phantom-module", &["phantom-types"], &["erased-serde"]),
    layer("phantom-store", &["phantom-types"], &["rusqlite"]),
    layer(
        "phantom-host",
        &["phantom-types"],
        &[
            "rtnetlink",
            "netlink-packet-wireguard",
            "netlink-packet-route",
            "netlink-sys",
            "iptables",
            "hickory-resolver",
        ],
    ),
    layer("phantom-device", &["phantom-types"], &["tun-rs", "ring", "x25519-dalek"]),
    layer("phantom-engine", &["phantom-types", "phantom-module", "phantom-store", "phantom-host"], &[]),
    layer("phantom-core", FOUNDATION, &[]),
    layer("phantom-dns", FOUNDATION, &[]),
    layer("phantom-ghost", FOUNDATION, &[]),
    layer(
        "phantom-certs",
        &["phantom-types"],
        &["instant-acme", "rcgen", "rustls-webpki", "x509-parser", "hyper-rustls"],
    ),
    // The client's end is on other people's machines: it asks the kernel by which way the server is reached.
    layer("phantom-tunnel", &["phantom-types", "phantom-certs"], &["netlink-packet-route"]),
    layer("phantom-casper", &["phantom-types", "phantom-store"], &[]),
    layer("phantom-factory-reset", &["phantom-types", "phantom-store", "phantom-host"], &[]),
    layer("phantom-multihop", FOUNDATION, &[]),
    // Two foundations speak to the kernel: the host, which changes it, and the watcher, which only looks.
    layer("phantom-watch", &["phantom-types"], &["netlink-packet-route", "netlink-sys"]),
    layer(
        "phantom-api",
        &[
            "phantom-types",
            "phantom-module",
            "phantom-store",
            "phantom-host",
            "phantom-engine",
            "phantom-core",
            "phantom-dns",
            "phantom-ghost",
            "phantom-multihop",
        ],
        &[],
    ),
    // The face: it knows the orchestrator and the tables, and no module.
    layer(
        "phantom-cli",
        &[
            "phantom-types",
            "phantom-module",
            "phantom-store",
            "phantom-host",
            "phantom-casper",
            "phantom-api",
        ],
        &["ratatui", "crossterm", "unicode-width"],
    ),
];

/// The pure crate: values and text, nothing that reads, writes, waits or calls.
const PURE: (&str, &[&str]) = (
    "phantom-types",
    &["serde", "thiserror", "ipnetwork", "x25519-dalek", "base64", "zeroize", "schemars", "time", "idna"],
);

/// What a crate with a program must not carry, through however many crates.
const LIGHT: &[(&str, &[&str])] = &[
    // It starts in a millisecond and runs as root.
    (
        "phantom-api",
        &[
            "gotatun",
            "tun-rs",
            "phantom-device",
            "phantom-tunnel",
            "phantom-certs",
            "clap",
            "ratatui",
            "rustls",
            "openssl-sys",
            "native-tls",
            "reqwest",
            "tracing-subscriber",
        ],
    ),
    // It is always there, and nobody.
    (
        "phantom-watch",
        &[
            "tokio",
            "futures",
            "mio",
            "clap",
            "rusqlite",
            "rtnetlink",
            "rustls",
            "phantom-module",
            "phantom-store",
            "phantom-host",
        ],
    ),
    // It reads the stored state and writes text.
    (
        "phantom-casper",
        &[
            "tokio",
            "futures",
            "mio",
            "clap",
            "ratatui",
            "rustls",
            "aws-lc-rs",
            "ring",
            "phantom-module",
            "phantom-host",
            "phantom-engine",
            "phantom-api",
            "phantom-tunnel",
        ],
    ),
    // It stands on the stored state and the host alone, and works when everything else is broken.
    (
        "phantom-factory-reset",
        &[
            "clap",
            "ratatui",
            "rustls",
            "aws-lc-rs",
            "ring",
            "phantom-module",
            "phantom-engine",
            "phantom-core",
            "phantom-dns",
            "phantom-ghost",
            "phantom-multihop",
            "phantom-api",
            "phantom-tunnel",
        ],
    ),
    // It runs as root beside the server.
    (
        "phantom-cli",
        &[
            "gotatun",
            "tun-rs",
            "phantom-device",
            "phantom-tunnel",
            "phantom-certs",
            "clap",
            "rustls",
            "aws-lc-rs",
            "openssl-sys",
            "native-tls",
            "reqwest",
            "tracing-subscriber",
        ],
    ),
    // It faces the network: no state, no host, one TLS library.
    (
        "phantom-tunnel",
        &[
            "rusqlite",
            "phantom-store",
            "phantom-host",
            "phantom-engine",
            "phantom-module",
            "clap",
            "openssl-sys",
            "native-tls",
            "reqwest",
            "tracing-subscriber",
        ],
    ),
];

/// Crates for development, which see everything and are seen by nobody.
const DEVELOPMENT: &[&str] = &["xtask", "phantom-tests"];

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[key].as_array().into_iter().flatten()
}

/// A crate's dependencies that end up in what is shipped, by name: not those of tests.
fn shipped(package: &Value) -> BTreeSet<&str> {
    let dependencies = list(package, "dependencies");
    dependencies.filter(|entry| entry["kind"] != "dev").map(|entry| text(entry, "name")).collect()
}

#[test]
fn crates_use_only_what_their_layer_may() {
    let metadata = workspace::metadata().unwrap();
    let packages: Vec<&Value> = list(&metadata, "packages").collect();
    let members: BTreeSet<&str> = packages.iter().map(|package| text(package, "name")).collect();
    let mut complaints = Vec::new();
    for package in &packages {
        let name = text(package, "name");
        if DEVELOPMENT.contains(&name) {
            continue;
        }
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
            complaints.push(format!("{name} has no place in the layers"));
            continue;
        };
        for dependency in shipped(package) {
            if members.contains(dependency) && !layer.may_use.contains(&dependency) {
                complaints.push(format!("{name} must not use {dependency}"));
            }
            let mut owners = LAYERS.iter().filter(|layer| layer.alone.contains(&dependency)).peekable();
            if let Some(first) = owners.peek().map(|owner| owner.name)
                && owners.all(|owner| owner.name != name)
            {
                complaints.push(format!("{name} must not use {dependency}: {first} may"));
            }
            if name == PURE.0 && !PURE.1.contains(&dependency) {
                complaints.push(format!("{name} is pure and must not use {dependency}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn no_test_reaches_below_its_layer() {
    let metadata = workspace::metadata().unwrap();
    for package in list(&metadata, "packages") {
        let name = text(package, "name");
        let dependencies = list(package, "dependencies").map(|entry| text(entry, "name"));
        let seen = dependencies.filter(|other| DEVELOPMENT.contains(other)).collect::<Vec<_>>();
        assert!(name == "xtask" || seen.is_empty(), "{name} uses {seen:?}");
    }
}

#[test]
fn modules_are_a_choice_of_the_orchestrator() {
    let metadata = workspace::metadata().unwrap();
    let api = list(&metadata, "packages").find(|package| text(package, "name") == "phantom-api").unwrap();
    let modules = list(api, "dependencies").filter(|entry| {
        let dependency = text(entry, "name");
        entry["kind"].is_null()
            && ["core", "dns", "ghost", "multihop"].iter().any(|m| dependency == format!("phantom-{m}"))
    });
    let modules: Vec<&Value> = modules.collect();
    assert!(modules.len() >= 3, "the modules are gone");
    for module in modules {
        assert_eq!(module["optional"], true, "{} must be optional", text(module, "name"));
    }
}

#[test]
fn the_programs_carry_nothing_heavy() {
    let heavy: Vec<String> = LIGHT.iter().flat_map(|(name, banned)| carried(name, banned)).collect();
    assert!(heavy.is_empty(), "{}", heavy.join("\n"));
}

/// The ways from a crate to those that are banned from it, as `cargo tree` knows them: `cargo metadata` also lists what an
/// optional dependency that nobody has switched on would bring.
fn carried(name: &str, banned: &[&str]) -> Vec<String> {
    let words = ["tree", "--locked", "-p", name, "-e", "normal", "--prefix", "depth", "-f", " {p}"];
    let tree = workspace::cargo().args(words).read().unwrap();
    let (mut way, mut heavy) = (Vec::new(), Vec::new());
    for line in tree.lines() {
        let mut words = line.split(' ');
        let depth: usize = words.next().and_then(|word| word.parse().ok()).unwrap();
        way.truncate(depth);
        way.push(words.next().unwrap());
        if banned.contains(&way[depth]) {
            heavy.push(way.join(" > "));
        }
    }
    assert!(tree.lines().count() > 20, "the tree of {name} is no tree: {tree}");
    heavy
}
