//! Import, list and removal.

use phantom_module::{ErrorCode as _, Lang, Module as _, Params, TypedModule as _};
use phantom_multihop::MultihopError;
use phantom_multihop::actions::{ImportVpnConfig, ListExits, RemoveVpnConfig};
use phantom_multihop::model::Multihop as Stored;
use phantom_multihop::rows::{MultihopChange as _, MultihopState as _};
use phantom_store::State;
use phantom_types::Timestamp;
use serde_json::json;

use crate::world::{MultihopFixture, corpus, told};

const XEOVO: &str = "xeovo-uk.conf";

fn import(path: &str, name: Option<&str>) -> ImportVpnConfig {
    ImportVpnConfig { config_path: path.to_owned(), custom_name: name.map(|name| name.parse().unwrap()) }
}

fn remove(name: &str) -> RemoveVpnConfig {
    RemoveVpnConfig { exit_name: name.parse().unwrap() }
}

#[test]
fn import_answer_matches_the_contract() {
    let world = MultihopFixture::new();
    let path = world.put(XEOVO, &std::fs::read(corpus("good").join(XEOVO)).unwrap());
    let file = world.engine.paths().exits_dir().join(XEOVO);
    let optimizations = json!(["MTU optimized for multihop", "PersistentKeepalive enabled"]);
    let metadata = json!({
        "name": "xeovo-uk", "imported_at": "2025-09-09T01:11:47.000000", "original_path": path, "backup_path": null,
        "config_file": file.display().to_string(), "provider": "Unknown Provider",
        "optimizations_applied": optimizations, "multihop_enhanced": true,
    });
    let expected = json!({
        "success": true, "exit_name": "xeovo-uk", "config_name": "xeovo-uk",
        "message": "VPN configuration imported successfully", "optimizations": optimizations,
        "ignored": [{ "key": "DNS", "line": 4, "reason": "DNS of an exit is not used" }], "warnings": [],
        "backup_path": null, "metadata": metadata,
    });
    assert_eq!(world.json(import(&path, None), Lang::En), expected);
    let turkish = world.json(import(&path, Some("UK-2")), Lang::Tr);
    assert_eq!(turkish["exit_name"], "uk-2");
    assert_eq!(turkish["message"], "VPN yapılandırması başarıyla içe aktarıldı");
    assert_eq!(
        turkish["optimizations"],
        json!(["MTU multihop için optimize edildi", "PersistentKeepalive etkinleştirildi"])
    );
    assert_eq!(turkish["ignored"][0]["reason"], "Çıkışın DNS ayarı kullanılmaz");
}

#[test]
fn mtu_and_keepalive_notes_have_both_languages() {
    for (file, en, tr) in [
        (
            "opnsense.conf",
            ["MTU 1412 kept", "PersistentKeepalive 60 kept"],
            ["MTU 1412 korundu", "PersistentKeepalive 60 korundu"],
        ),
        (
            "keepalive-120.conf",
            ["MTU optimized for multihop", "PersistentKeepalive lowered from 120 to 5 seconds"],
            ["MTU multihop için optimize edildi", "PersistentKeepalive 120 saniyeden 5 saniyeye düşürüldü"],
        ),
    ] {
        let world = MultihopFixture::new();
        let path = world.put(file, &std::fs::read(corpus("good").join(file)).unwrap());
        assert_eq!(world.json(import(&path, Some("a")), Lang::En)["optimizations"], json!(en));
        assert_eq!(world.json(import(&path, Some("b")), Lang::Tr)["optimizations"], json!(tr));
    }
    let world = MultihopFixture::new();
    let path = world.put("split.conf", &std::fs::read(corpus("good").join("split-tunnel.conf")).unwrap());
    assert_eq!(
        world.json(import(&path, None), Lang::Tr)["warnings"],
        json!(["AllowedIPs tüm IPv4 adreslerini kapsamıyor"])
    );
}

#[test]
fn the_uplink_limits_the_mtu() {
    let world = MultihopFixture::new();
    let narrow = phantom_host::LinkChange { mtu: Some(1450), ..Default::default() };
    world.fake.change_link("eth0", &narrow).unwrap();
    let name = world.import("good", XEOVO).unwrap().exit_name;
    let exit = world.engine.store().read(|state| state.exit(&name)).unwrap().unwrap();
    assert_eq!(exit.mtu, 1370);
}

#[test]
fn unreadable_file_is_named() {
    let world = MultihopFixture::new();
    world.put("large.conf", &vec![b'#'; (64 << 10) + 1]);
    world.put("dir/file.conf", b"");
    for (path, why) in [
        ("/in/absent.conf", None),
        ("/in/dir", Some("it is a folder")),
        ("/in/large.conf", Some("it is larger than 64 KiB")),
        ("/in/dir/file.conf/x", None),
    ] {
        let (code, message, data) = told(&world.run(import(path, None)).unwrap_err());
        let mut expected = json!({ "config_path": path });
        if let Some(why) = why {
            expected["detail"] = why.into();
        }
        assert_eq!((code, data), ("VPN_CONFIG_ERROR", expected));
        assert_eq!(message, format!("Config file not found or not readable: {path}"));
    }
    let relative = world.run(import("absent.conf", None)).unwrap_err();
    let here = std::env::current_dir().unwrap().join("absent.conf");
    assert_eq!(told(&relative).2, json!({ "config_path": here.display().to_string() }));
    // The largest file that is read.
    let mut text = std::fs::read(corpus("good").join(XEOVO)).unwrap();
    text.resize(64 << 10, b'#');
    world.put("full.conf", &text);
    world.run(import("/in/full.conf", None)).unwrap();
}

#[test]
fn an_existing_exit_is_never_overwritten() {
    let world = MultihopFixture::new();
    world.import("good", XEOVO).unwrap();
    let before = world.exit_file("xeovo-uk");
    let again = world.import("good", XEOVO).unwrap_err();
    let message = "Config 'xeovo-uk' already exists".to_owned();
    let data = json!({ "exit_name": "xeovo-uk", "hint": "Give another name: custom_name=<name>" });
    assert_eq!(told(&again), ("VPN_CONFIG_ERROR", message, data));
    assert_eq!(again.message(Lang::Tr), "'xeovo-uk' yapılandırması zaten var");
    let other = world.put("other.conf", &std::fs::read(corpus("good").join("pia.conf")).unwrap());
    let upper = world.run(import(&other, Some("XEOVO-UK"))).unwrap_err();
    assert!(matches!(upper, MultihopError::Exists { .. }));
    assert_eq!(world.exit_file("xeovo-uk"), before);
    assert_eq!(world.exits(), ["xeovo-uk"]);
}

#[test]
fn operator_file_in_our_directory_is_kept() {
    let world = MultihopFixture::new();
    let text = std::fs::read(corpus("good").join(XEOVO)).unwrap();
    let path = world.engine.paths().exits_dir().join(XEOVO).display().to_string();
    world.fake.put_file(&path, &text, 0o600, 0);
    let refused = world.run(import(&path, None)).unwrap_err();
    assert!(matches!(refused, MultihopError::Exists { .. }));
    world.run(import(&path, Some("uk"))).unwrap();
    assert_eq!(world.exit_files(), ["uk.conf", XEOVO]);
    assert_eq!(world.exit_file("xeovo-uk").unwrap().as_bytes(), text);
}

#[test]
fn leftovers_of_killed_change_are_removed() {
    let world = MultihopFixture::new();
    let mark = world.engine.tags().first_line();
    let path = |name: &str| world.engine.paths().exits_dir().join(name).display().to_string();
    world.fake.put_file(&path("gone.conf"), format!("{mark}\n[Interface]\n").as_bytes(), 0o600, 0);
    world.fake.put_file(&path("notes.txt"), b"mine\n", 0o600, 0);
    world.import("good", XEOVO).unwrap();
    assert_eq!(world.exit_files(), ["notes.txt", XEOVO]);
}

#[test]
fn import_without_its_file_is_undone() {
    let world = MultihopFixture::new();
    world.put(XEOVO, &std::fs::read(corpus("good").join(XEOVO)).unwrap());
    let before = world.fake.dump();
    world.fake.reset_writes();
    world.fake.refuse_write(1);
    let refused = world.run(import("/in/xeovo-uk.conf", None)).unwrap_err();
    let file = world.engine.paths().exits_dir().join(XEOVO).display().to_string();
    let (code, message, data) = told(&refused);
    assert_eq!((code, data), ("CONFIG_ERROR", json!({ "file": file })));
    assert!(message.starts_with(&format!("Cannot read or write {file}: ")), "{message}");
    assert_eq!(world.fake.dump(), before);
    assert!(world.exits().is_empty() && world.exit_files().is_empty());
    world.run(import("/in/xeovo-uk.conf", None)).unwrap();
}

#[test]
fn readable_file_is_in_desired_state() {
    let world = MultihopFixture::new();
    world.import("good", XEOVO).unwrap();
    let origin = phantom_engine::Origin { module: "core", action: "reconcile" };
    let call = phantom_module::Call::new(Lang::En);
    let steps = || world.engine.reconcile(origin, &call).unwrap().steps.len();
    assert_eq!(steps(), 0, "an import leaves nothing to do");
    let path = world.engine.paths().exits_dir().join(XEOVO).display().to_string();
    world.fake.cut_file(&path);
    assert_eq!(steps(), 1);
    assert!(world.exit_file("xeovo-uk").unwrap().contains("Endpoint = uk.gw.xeovo.com:51820\n"));
}

#[test]
fn exits_are_listed_by_name() {
    let world = MultihopFixture::new();
    let none = json!({ "exits": [], "multihop_enabled": false, "active_exit": null, "total": 0 });
    assert_eq!(world.json(ListExits {}, Lang::En), none);
    world.import("good", XEOVO).unwrap();
    world.import("good", "mullvad-se.conf").unwrap();
    let at = "2025-09-09T01:11:47.000000";
    let exit = |name: &str, endpoint: &str, provider: &str, active: bool| {
        json!({ "name": name, "endpoint": endpoint, "active": active, "provider": provider, "imported_at": at,
                "multihop_enhanced": true })
    };
    let mullvad = exit("mullvad-se", "se-got-wg-001.relays.mullvad.net:51820", "Mullvad", false);
    let xeovo = |active| exit("xeovo-uk", "uk.gw.xeovo.com:51820", "Unknown Provider", active);
    let expected = |enabled: bool| {
        json!({ "exits": [mullvad, xeovo(enabled)], "multihop_enabled": enabled,
                "active_exit": enabled.then_some("xeovo-uk"), "total": 2 })
    };
    assert_eq!(world.json(ListExits {}, Lang::En), expected(false));
    world.change(|tx| tx.set_multihop(Some(&enabled("mullvad-se", "xeovo-uk"))).unwrap());
    let mut replaced = expected(true);
    replaced["chosen_exit"] = json!("mullvad-se");
    assert_eq!(world.json(ListExits {}, Lang::En), replaced, "a fallback that is in use is the active one");
    world.change(|tx| tx.set_multihop(Some(&enabled("xeovo-uk", "xeovo-uk"))).unwrap());
    assert_eq!(world.json(ListExits {}, Lang::En), expected(true));
}

fn enabled(exit: &str, in_use: &str) -> Stored {
    Stored {
        chosen_exit: exit.parse().unwrap(),
        kill_switch: true,
        fallback_exits: vec!["xeovo-uk".parse().unwrap()],
        active_exit: in_use.parse().unwrap(),
        endpoint_address: None,
        staged: None,
        activated_at: Timestamp::from_micros(1),
    }
}

#[test]
fn an_exit_is_removed_with_its_file() {
    let world = MultihopFixture::new();
    world.import("good", XEOVO).unwrap();
    world.import("good", "mullvad-se.conf").unwrap();
    let message = "VPN configuration 'xeovo-uk' removed";
    let expected = json!({ "removed": "xeovo-uk", "was_active": false, "message": message });
    assert_eq!(world.json(remove("Xeovo-UK"), Lang::En), expected);
    assert_eq!(
        (world.exits(), world.exit_files()),
        (vec!["mullvad-se".into()], vec!["mullvad-se.conf".into()])
    );
    let removed = world.json(remove("mullvad-se"), Lang::Tr);
    assert_eq!(removed["message"], "'mullvad-se' VPN yapılandırması kaldırıldı");
    assert!(world.exit_files().is_empty());
}

#[test]
fn unknown_exit_lists_the_known_ones() {
    let world = MultihopFixture::new();
    world.import("good", XEOVO).unwrap();
    let before = world.fake.dump();
    let refused = world.run(remove("nl")).unwrap_err();
    let data = json!({ "exit_name": "nl", "available": ["xeovo-uk"] });
    assert_eq!(told(&refused), ("EXIT_NODE_ERROR", "VPN configuration 'nl' not found".to_owned(), data));
    assert_eq!(refused.message(Lang::Tr), "'nl' VPN yapılandırması bulunamadı");
    assert_eq!((world.fake.dump(), world.exits()), (before, vec!["xeovo-uk".to_owned()]));
}

#[test]
fn removal_without_its_file_is_undone() {
    let world = MultihopFixture::new();
    world.import("good", XEOVO).unwrap();
    let before = world.fake.dump();
    world.fake.reset_writes();
    world.fake.refuse_write(1);
    assert_eq!(world.run(remove("xeovo-uk")).unwrap_err().code(), "CONFIG_ERROR");
    assert_eq!((world.fake.dump(), world.exits()), (before, vec!["xeovo-uk".to_owned()]));
    world.run(remove("xeovo-uk")).unwrap();
}

#[test]
fn active_exit_is_disabled_and_removed() {
    let world = MultihopFixture::new();
    world.import("good", XEOVO).unwrap();
    world.import("good", "mullvad-se.conf").unwrap();
    world.change(|tx| tx.set_multihop(Some(&enabled("mullvad-se", "mullvad-se"))).unwrap());
    assert_eq!(world.json(remove("xeovo-uk"), Lang::En)["was_active"], false);
    let stored = world.engine.store().read(State::multihop).unwrap().unwrap();
    assert!(stored.fallback_exits.is_empty());
    assert_eq!(world.json(remove("mullvad-se"), Lang::En)["was_active"], true);
    assert_eq!(world.engine.store().read(State::multihop).unwrap(), None);
}

#[test]
fn who_is_not_root_learns_nothing() {
    let world = MultihopFixture::new().without_privilege();
    for refused in [
        world.run(import("/in/absent.conf", None)).unwrap_err(),
        world.run(remove("nl")).unwrap_err(),
        world.run(ListExits {}).unwrap_err(),
    ] {
        assert_eq!(refused.code(), "PERMISSION_DENIED");
    }
}

#[test]
fn action_table_is_read_by_name() {
    let world = MultihopFixture::new();
    let multihop = <phantom_multihop::Multihop as phantom_engine::SystemModule>::new(world.engine.clone());
    assert_eq!(phantom_multihop::Multihop::NAME, "multihop");
    let call = phantom_module::Call::new(Lang::En);
    let bad = Params::from_words([("config_path", "/x"), ("custom_name", "a b")]);
    let refused = multihop.execute("import_vpn_config", bad, &call).unwrap_err();
    assert_eq!(refused.code(), "INVALID_PARAMETER");
    let missing = multihop.execute("import_vpn_config", Params::from_words([("config_path", "")]), &call);
    assert_eq!(missing.unwrap_err().code(), "MISSING_PARAMETER");
    for spec in multihop.specs() {
        assert!(!spec.summary.en.is_empty() && spec.summary.en != spec.summary.tr);
    }
}
