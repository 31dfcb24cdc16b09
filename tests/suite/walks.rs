//! Random walks over the actions, with faults on the way: after every success no step is needed, after every failure
//! nothing has changed.

use std::collections::BTreeMap;
use std::time::Duration;

use phantom_host::{DeviceUpdate, LinkChange};
use phantom_tests::Server;
use serde_json::Value;

use crate::cases::named;
use crate::faults::{changed, dump};

/// Numbers without a pattern, the same ones for a seed (the sequence of `SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }
    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// What a walk knows of the server.
struct Walk {
    server: Server,
    dice: Dice,
    clients: BTreeMap<String, String>,
    /// What was done, for the report of a failure.
    steps: Vec<String>,
}

const DOMAIN: &str = "domain=157-230-114-231.sslip.io";
const SUBNETS: [&str; 5] =
    ["10.8.0.0/24", "192.168.100.0/24", "172.16.0.0/20", "10.77.0.0/28", "10.8.0.0/16"];

impl Walk {
    fn new(seed: u64) -> Self {
        let server = named(Server::ready());
        if seed % 2 == 1 {
            server.fake.add_foreign_ufw("22/tcp                     ALLOW IN    Anywhere");
            server.api(&["core", "reconcile"]).ok();
        }
        Self { server, dice: Dice(seed), clients: BTreeMap::new(), steps: Vec::new() }
    }

    fn words(&mut self) -> Vec<String> {
        let name = format!("client_name=c{}", self.dice.roll(12));
        let words: Vec<&str> = match self.dice.roll(19) {
            0..=4 => vec!["core", "add_client", &name],
            5..=7 => vec!["core", "remove_client", &name],
            8 => vec!["core", "stop_service"],
            9 => vec!["core", "start_service"],
            10 => vec!["core", "restart_service"],
            11 => {
                let subnet = format!("new_subnet={}", self.dice.choose(&SUBNETS));
                return ["core", "change_subnet", &subnet, "confirm=true"].map(str::to_owned).to_vec();
            }
            12 => vec!["core", "setup", self.dice.choose(&["port=443", "port=51820", "port=53"])],
            13 => vec![
                "core",
                "setup",
                self.dice.choose(&["backend=kernel", "backend=embedded", "backend=auto"]),
            ],
            14 => {
                let value = self.dice.choose(&["value=on", "value=off"]);
                vec![
                    "core",
                    "update_tweak_setting",
                    "setting_name=restart_service_after_client_creation",
                    value,
                ]
            }
            15 => {
                ["ghost", "enable", DOMAIN, self.dice.choose(&["self_signed=on", "self_signed=off"])].into()
            }
            16..=17 => vec!["ghost", "disable"],
            _ => {
                vec!["dns", "change_dns_servers", self.dice.choose(&["primary=9.9.9.9", "secondary=1.1.1.1"])]
            }
        };
        words.into_iter().map(str::to_owned).collect()
    }

    fn step(&mut self) {
        let words = self.words();
        let refused = if self.dice.roll(3) == 0 { self.dice.roll(18) + 1 } else { 0 };
        self.steps.push(format!("{} (write {refused} refused)", words.join(" ")));
        self.server.fake.reset_writes();
        if refused > 0 {
            self.server.fake.refuse_write(refused);
        }
        self.server.fake.advance(Duration::from_secs(2));
        let before = dump(&self.server);
        let answer = self.server.run(words.iter().map(Into::into).collect());
        if answer.success() {
            self.note(&words, &answer.json()["data"]);
        } else {
            let after = dump(&self.server);
            assert_eq!(
                before,
                after,
                "{}\n{}{}",
                self.steps.join("\n"),
                answer.out,
                changed(&before, &after)
            );
        }
        self.server.fake.reset_writes();
        self.check();
        if self.dice.roll(6) == 0 {
            self.external_change();
        }
    }

    fn note(&mut self, words: &[String], data: &Value) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        match words[1].as_str() {
            "add_client" => {
                drop(self.clients.insert(text(&data["client"]["name"]), text(&data["client"]["ip"])));
            }
            "remove_client" => drop(self.clients.remove(&text(&data["client_name"]))),
            "change_subnet" => {
                let moves = data["ip_mapping"].as_object().unwrap();
                self.clients.values_mut().for_each(|address| *address = text(&moves[address.as_str()]));
            }
            _ => {}
        }
    }

    /// The stored clients are those of the walk, and the host shows them.
    fn check(&self) {
        let plan = self.server.api(&["core", "reconcile", "dry_run=true"]).json();
        assert_eq!(plan["data"]["in_sync"], true, "{}\n{plan:#}", self.steps.join("\n"));
        let list = self.server.api(&["core", "list_clients", "per_page=1000"]).ok();
        let stored = list["clients"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let stored: BTreeMap<_, _> = stored.map(|one| (text(&one["name"]), text(&one["ip"]))).collect();
        assert_eq!(stored, self.clients, "{}", self.steps.join("\n"));
        let status = self.server.api(&["core", "server_status"]).ok();
        if status["interface"]["active"] == true {
            assert_eq!(status["interface"]["peers"].as_array().unwrap().len(), self.clients.len());
        }
    }

    fn tunnel_units(&self) -> [String; 2] {
        let instance = self.server.paths().instance();
        let instance = instance.map(|instance| format!("-{instance}")).unwrap_or_default();
        ["phantom-ghost", "phantom-ghost-keeper"].map(|unit| format!("{unit}{instance}"))
    }

    /// Somebody disturbs what is ours, and adds what is not; reconciling repairs the one and leaves the other.
    fn external_change(&mut self) {
        let fake = self.server.fake.clone();
        let what = self.dice.roll(11);
        self.steps.push(format!("sabotage {what}"));
        match what {
            0 => drop(fake.cut_link("wg_main")),
            1 => fake.flush_firewall(),
            2 => fake.set_sysctl("net.ipv4.ip_forward", Some("0")),
            3 => fake.cut_file("/etc/wireguard/wg_main.conf"),
            4 => drop(
                fake.change_link("wg_main", &LinkChange { up: Some(false), mtu: Some(1280), alias: None }),
            ),
            5 => fake.crash_service("wg-quick@wg_main"),
            6 => {
                // A server that was stopped has no device to disturb.
                let nobody = DeviceUpdate { replace_peers: true, ..DeviceUpdate::default() };
                let _ = fake.disturb_device("wg_main", &nobody);
            }
            7 => fake.edit_unit("wg-quick@wg_main"),
            8 => self.tunnel_units().iter().for_each(|unit| fake.crash_service(unit)),
            9 => self.tunnel_units().iter().for_each(|unit| fake.edit_unit(unit)),
            // Where Ghost Mode is off there is none.
            _ => drop(std::fs::remove_file(self.server.paths().run_dir().join("ghost.conf"))),
        }
        fake.add_foreign_rule(&format!("-A INPUT -s 192.0.2.{} -j DROP", self.steps.len() % 250));
        let answer = self.server.api(&["core", "reconcile"]);
        assert!(answer.success(), "{}\n{}", self.steps.join("\n"), answer.out);
        self.check();
    }
}

#[test]
fn random_walk_keeps_host_and_state_together() {
    let seeds = 1..=if std::env::var_os("LONG_TESTS").is_some() { 50 } else { 4 };
    for seed in seeds {
        let mut walk = Walk::new(seed);
        for _ in 0..200 {
            walk.step();
        }
        let foreign = walk.server.fake.dump().lines().filter(|line| line.starts_with("foreign: ")).count();
        let sabotaged = walk.steps.iter().filter(|step| step.starts_with("sabotage")).count();
        assert_eq!(foreign, sabotaged, "a rule of somebody else is gone");
        assert!(sabotaged > 10, "the walk was too quiet");
    }
}

#[test]
fn reconciling_after_a_boot_brings_everything_back() {
    for backend in ["backend=kernel", "backend=embedded"] {
        let server = Server::set_up(&[backend]).with(&["a", "b"]);
        let before = server.fake.dump();
        server.reboot();
        let report = server.api(&["core", "reconcile"]).ok();
        assert_eq!((&report["changed"], &report["recovered"]), (&true.into(), &Value::Null));
        let place = server.dir().display().to_string();
        let host =
            |dump: &str| dump.lines().filter(|line| !line.contains(&place)).collect::<Vec<_>>().join("\n");
        assert_eq!(changed(&host(&before), &host(&server.fake.dump())), "", "{backend}");
        server.assert_in_sync();
    }
}

#[test]
fn stopped_service_stays_stopped_until_boot() {
    let server = Server::ready().with(&["a"]);
    server.api(&["core", "stop_service"]).ok();
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(server.api(&["core", "server_status"]).ok()["service"]["running"], false);
    server.api(&["core", "add_client", "client_name=b"]).ok();
    assert_eq!(
        server.api(&["core", "server_status"]).ok()["interface"]["active"],
        false,
        "adding starts nothing"
    );
    server.reboot();
    server.api(&["core", "reconcile"]).ok();
    let status = server.api(&["core", "server_status"]).ok();
    assert_eq!(status["service"]["running"], true);
    assert_eq!(status["interface"]["peers"].as_array().unwrap().len(), 2, "both clients are live");
}
