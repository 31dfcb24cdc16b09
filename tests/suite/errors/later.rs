//! Calls that the present state forbids, and calls that the host does not follow.

use phantom_tests::Server;
use serde_json::{Value, json};

use super::servers::{
    bare_refusing, empty, foreign_file, foreign_link, full, garbage, newer, no_ipv6, panicking,
    port_53_taken, port_taken, refusing, refusing_all_late, refusing_late, stopped_port_taken,
    stopped_refusing, with_multihop, without_privilege,
};
use super::{ADD, CHANGE, Failing, failing};
use crate::cases::{with_ghost, with_john};
use crate::keyless::without_private_key;

/// The calls that the present state forbids.
pub(crate) const STATE: &[Failing] = &[
    failing(
        "PERMISSION_DENIED",
        ADD,
        without_privilege,
        || json!({ "reason": "INSUFFICIENT_PRIVILEGES", "required": "root" }),
    ),
    failing("NOT_INITIALIZED", ADD, Server::bare, || json!({ "hint": "phantom-api core setup" })),
    failing(
        "MISSING_PARAMETER setup",
        &["core", "setup"],
        Server::bare,
        || json!({ "parameter": "server_ip" }),
    ),
    failing(
        "CLIENT_EXISTS",
        &["core", "add_client", "client_name=John-Laptop"],
        with_john,
        || json!({ "client_name": "john-laptop" }),
    ),
    failing(
        "CLIENT_NOT_FOUND",
        &["core", "remove_client", "client_name=John-Laptop"],
        with_john,
        || json!({ "client_name": "John-Laptop" }),
    ),
    failing(
        "CLIENT_NOT_FOUND",
        &["core", "export_client", "client_name=../../etc/passwd"],
        with_john,
        || json!({ "client_name": "../../etc/passwd" }),
    ),
    failing(
        "IP_ALLOCATION_ERROR",
        ADD,
        full,
        || json!({ "subnet": "10.8.0.0/29", "usable_ips": 6, "clients": 5 }),
    ),
    failing(
        "VALIDATION_ERROR setting",
        &["core", "update_tweak_setting", "setting_name=x", "value=1"],
        Server::ready,
        || {
            let valid = [
                "restart_service_after_client_creation",
                "block_ipv6_leak",
                "language",
                "ghost_operator_secret",
            ];
            json!({ "setting": "x", "valid_settings": valid })
        },
    ),
    failing(
        "INVALID_PARAMETER type",
        &["core", "update_tweak_setting", "setting_name=block_ipv6_leak", "value=2"],
        Server::ready,
        || json!({ "parameter": "value", "expected": "boolean" }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["core", "update_tweak_setting", "setting_name=language", "value=de"],
        Server::ready,
        || json!({ "parameter": "value", "allowed": ["en", "tr"] }),
    ),
    failing(
        "VALIDATION_ERROR confirm",
        &["core", "change_subnet", "new_subnet=192.168.1.0/24"],
        Server::ready,
        || json!({ "parameter": "confirm" }),
    ),
    failing(
        "VALIDATION_ERROR dns",
        &["dns", "test_dns_servers", "servers=a,b"],
        Server::ready,
        || json!({ "parameter": "servers" }),
    ),
    failing(
        "VALIDATION_ERROR setup",
        &["core", "setup", "subnet=10.9.0.0/24"],
        Server::ready,
        || json!({ "parameter": "subnet", "current": "10.8.0.0/24" }),
    ),
    failing(
        "VALIDATION_ERROR setup",
        &["core", "setup", "interface=wg9"],
        Server::ready,
        || json!({ "parameter": "interface", "current": "wg_main" }),
    ),
    failing(
        "VALIDATION_ERROR setup",
        &["core", "setup", "port=1"],
        with_ghost,
        || json!({ "parameter": "port", "current": "51820" }),
    ),
    failing(
        "VALIDATION_ERROR setup",
        &["core", "setup", "backend=embedded"],
        with_multihop,
        || json!({ "parameter": "backend", "current": "kernel" }),
    ),
    failing(
        "VALIDATION_ERROR foreign",
        &["core", "setup", "server_ip=192.0.2.7"],
        foreign_link,
        || json!({ "parameter": "interface", "current": "interface wg_main" }),
    ),
    failing(
        "VALIDATION_ERROR foreign",
        &["core", "setup", "server_ip=192.0.2.7"],
        foreign_file,
        || json!({ "parameter": "interface", "current": "/etc/wireguard/wg_main.conf" }),
    ),
    failing(
        "CONFIG_ERROR ipv6",
        &["core", "export_client", "client_name=john-laptop", "use_ipv6=true"],
        no_ipv6,
        || json!({ "setting": "server.ipv6" }),
    ),
    failing(
        "CONFIG_ERROR private_key",
        &["core", "export_client", "client_name=john-laptop"],
        without_private_key,
        || json!({ "setting": "client.private_key", "client_name": "john-laptop" }),
    ),
    failing("CONFIG_ERROR file", &["core", "list_clients"], garbage, file),
    failing("CONFIG_ERROR file", ADD, garbage, file),
    failing("CONFIG_ERROR file", &["core", "list_clients"], newer, file),
    failing("CONFIG_ERROR file", ADD, newer, file),
    failing("CONFIG_ERROR file", &["core", "setup"], empty, file),
    failing("PORT_IN_USE", &["core", "setup", "server_ip=192.0.2.7"], port_taken, port),
    failing(
        "PORT_IN_USE",
        &["core", "setup", "port=53"],
        port_53_taken,
        || json!({ "port": 53, "protocol": "udp" }),
    ),
    failing("PORT_IN_USE", &["core", "start_service"], stopped_port_taken, port),
    failing("PORT_IN_USE", &["core", "restart_service"], stopped_port_taken, port),
];

/// The calls that the host does not follow.
pub(crate) const HOST: &[Failing] = &[
    failing("SERVICE_OPERATION_FAILED", ADD, refusing, || refused("add_client")),
    failing(
        "SERVICE_OPERATION_FAILED",
        &["core", "remove_client", "client_name=john-laptop"],
        refusing,
        || refused("remove_client"),
    ),
    failing("SERVICE_OPERATION_FAILED", &["core", "restart_service"], refusing, || {
        refused("restart_service")
    }),
    failing("SERVICE_OPERATION_FAILED", &["core", "stop_service"], refusing, || refused("stop_service")),
    failing("SERVICE_OPERATION_FAILED", &["core", "start_service"], stopped_refusing, || {
        refused("start_service")
    }),
    failing("SERVICE_OPERATION_FAILED", &["core", "setup", "port=1"], refusing, || refused("setup")),
    failing("SERVICE_OPERATION_FAILED", &["core", "setup", "server_ip=192.0.2.7"], bare_refusing, || {
        refused("setup")
    }),
    failing(
        "NETWORK_ERROR subnet",
        CHANGE,
        refusing_late,
        || json!({ "backup_id": "subnet_change_1757380307", "rolled_back": true, "step": "<any>" }),
    ),
    failing(
        "NETWORK_ERROR rollback",
        CHANGE,
        refusing_all_late,
        || json!({ "backup_id": "subnet_change_1757380307", "rolled_back": false, "step": "<any>" }),
    ),
    failing("INTERNAL_ERROR", ADD, panicking, || Value::Null),
];

fn file() -> Value {
    json!({ "file": "/opt/phantom-wg/data/phantom.db" })
}
fn port() -> Value {
    json!({ "port": 51820, "protocol": "udp" })
}
fn refused(operation: &str) -> Value {
    json!({ "operation": operation, "detail": "<any>", "rolled_back": true })
}
