//! The state of Multihop while it is off.

use phantom_module::Lang;
use phantom_multihop::actions::Status;
use serde_json::json;

use crate::world::MultihopFixture;

#[test]
fn inactive_it_says_so_in_both_languages() {
    let world = MultihopFixture::new();
    world.import("good", "xeovo-uk.conf").unwrap();
    let monitor = json!({ "monitoring": false, "type": null, "pid": null });
    let english = json!({
        "enabled": false, "active_exit": null, "available_configs": 1,
        "vpn_interface": { "active": false, "error": "VPN interface not active" }, "monitor_status": monitor,
        "traffic_routing": "Direct", "traffic_flow": "Clients -> Phantom Server -> Internet (direct)",
    });
    let turkish = json!({
        "enabled": false, "active_exit": null, "available_configs": 1,
        "vpn_interface": { "active": false, "error": "VPN arayüzü aktif değil" }, "monitor_status": monitor,
        "traffic_routing": "Doğrudan", "traffic_flow": "İstemciler -> Phantom Sunucusu -> İnternet (doğrudan)",
    });
    assert_eq!(world.json(Status {}, Lang::En), english);
    assert_eq!(world.json(Status {}, Lang::Tr), turkish);
}
