//! Typed calls, as a program that embeds the modules makes them: the limits of the wire hold, and a bug stays in its call.

use phantom_api::{Call, CallError, DispatchError, ErrorCode, Lang, Phantom, TypedModule};
use phantom_core::Core;
use phantom_core::actions::{AddClient, LatestClients, ListClients, ServiceLogs, Setup};
use phantom_dns::Dns;
use phantom_dns::actions::TestServers;
use phantom_multihop::Multihop;
use phantom_multihop::actions::{EnableMultihop, GetSessionLog};
use phantom_tests::Server;
use serde_json::{Value, json};

use crate::cases::with_exit;

const CALL: Call = Call { lang: Lang::En, note: |_| () };

/// Code and facts of a refused call, which must be those of the same call by name.
#[track_caller]
fn refused<T>(done: Result<T, impl ErrorCode>) -> (&'static str, Value) {
    let error = done.err().expect("it is beyond a limit");
    (error.code(), error.data().unwrap_or_default())
}

fn range(parameter: &str, minimum: i64, maximum: i64) -> (&'static str, Value) {
    let data = json!({ "parameter": parameter, "minimum": minimum, "maximum": maximum });
    ("INVALID_PARAMETER", data)
}

#[test]
fn limits_hold_for_typed_calls_too() {
    let server = with_exit();
    let phantom = server.phantom();
    let core = phantom.module::<Core>().unwrap();
    let list =
        |page, per_page| core.call(ListClients { page, per_page, search: None, names_first: false }, &CALL);
    assert_eq!(refused(list(1, 0)), range("per_page", 1, 100_000));
    assert_eq!(refused(list(1, 100_001)), range("per_page", 1, 100_000));
    assert_eq!(refused(list(0, 10)), range("page", 1, 4_294_967_295));
    assert_eq!(list(1, 100_000).unwrap().total, list(u32::MAX, 1).unwrap().total);
    assert_eq!(refused(core.call(LatestClients { count: 0 }, &CALL)), range("count", 1, 1_000));
    assert_eq!(refused(core.call(ServiceLogs { lines: 10_001 }, &CALL)), range("lines", 1, 10_000));
    let setup = Setup { port: Some(0), ..Setup::default() };
    assert_eq!(refused(core.call(setup, &CALL)), range("port", 1, 65_535));
    let search = Some("x".repeat(256));
    let text = ("INVALID_PARAMETER", json!({ "parameter": "search", "expected": "text" }));
    assert_eq!(
        refused(core.call(ListClients { page: 1, per_page: 1, search, names_first: false }, &CALL)),
        text
    );

    let dns = phantom.module::<Dns>().unwrap();
    let many =
        TestServers { servers: vec!["192.0.2.1".to_owned(); 65], domain: "example.org".parse().unwrap() };
    assert_eq!(refused(dns.call(many, &CALL)).0, "INVALID_PARAMETER");
    let multihop = phantom.module::<Multihop>().unwrap();
    assert_eq!(refused(multihop.call(GetSessionLog { lines: 0 }, &CALL)), range("lines", 1, 10_000));
    let exit = |n: usize| format!("exit-{n}").parse().unwrap();
    let fallback_exits = (0..65).map(exit).collect();
    let enable = EnableMultihop { exit_name: exit(0), kill_switch: true, fallback_exits, probe: None };
    assert_eq!(refused(multihop.call(enable, &CALL)).0, "INVALID_PARAMETER");
}

#[test]
fn typed_call_answers_like_named_one() {
    let server = Server::ready();
    let phantom = server.phantom();
    let added = phantom.call(AddClient { client_name: "anna".parse().unwrap() }, &CALL).unwrap();
    assert_eq!((added.output.client.name.as_str(), added.unknown.len()), ("anna", 0));
    let list =
        phantom.call(ListClients { page: 1, per_page: 10, search: None, names_first: false }, &CALL).unwrap();
    assert_eq!((list.output.total, list.unknown.len()), (1, 0));
    let again = phantom.call(AddClient { client_name: "anna".parse().unwrap() }, &CALL);
    assert_eq!(refused(again), ("CLIENT_EXISTS", json!({ "client_name": "anna" })));
    let list = phantom.call(ListClients { page: 1, per_page: 0, search: None, names_first: false }, &CALL);
    assert_eq!(refused(list), range("per_page", 1, 100_000));

    let alone = Phantom::builder(server.host.clone(), phantom_api::Store::new(server.paths().clone()));
    let alone = alone.system::<Core>().build().unwrap();
    let none = alone.call(GetSessionLog { lines: 1 }, &CALL);
    assert!(matches!(none, Err(CallError::Dispatch(DispatchError::Module { .. }))));
}
