//! Tests of the layout of `wg show`.

use phantom_host::PeerConfig;
use phantom_types::{PresharedKey, PrivateKey};

use super::*;

fn device() -> Device {
    let key = PrivateKey::from_random([5; 32]);
    let config = PeerConfig {
        public_key: "5oIcIKFil5M5wfHyxgJbde1TFIPWEYDqx6sWef4Fy1k=".parse().unwrap(),
        preshared_key: None,
        endpoint: Some("185.213.155.134:51820".parse().unwrap()),
        keepalive: Some(5),
        allowed_ips: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
    };
    let peer =
        Peer { config, last_handshake: Some(Timestamp::from_micros(6_000_000)), rx_bytes: 92, tx_bytes: 180 };
    Device { private_key: Some(key), listen_port: 52903, fwmark: 0, peers: vec![peer] }
}

fn text(device: &Device) -> String {
    shown(&"wg_vpn".parse().unwrap(), device, Timestamp::from_micros(10_000_000))
}

#[test]
fn the_layout_is_that_of_the_api() {
    let public = PrivateKey::from_random([5; 32]).public_key();
    let expected = format!(
        "interface: wg_vpn\n  public key: {public}\n  private key: (hidden)\n  listening port: 52903\n\n\
         peer: 5oIcIKFil5M5wfHyxgJbde1TFIPWEYDqx6sWef4Fy1k=\n  endpoint: 185.213.155.134:51820\n  \
         allowed ips: 0.0.0.0/0, ::/0\n  latest handshake: 4 seconds ago\n  \
         transfer: 92 B received, 180 B sent\n  persistent keepalive: every 5 seconds"
    );
    assert_eq!(text(&device()), expected);
}

#[test]
fn secrets_and_missing_fields_are_hidden() {
    let mut all = device();
    all.fwmark = 0xca6c;
    all.peers[0].config.preshared_key = Some(PresharedKey::from_bytes([3; 32]));
    all.peers[0].config.keepalive = Some(61);
    let shown = text(&all);
    let secrets = [PrivateKey::from_random([5; 32]).reveal(), PresharedKey::from_bytes([3; 32]).reveal()];
    assert!(secrets.iter().all(|secret| !shown.contains(secret.as_str())), "{shown}");
    assert!(shown.contains("\n  fwmark: 0xca6c\n") && shown.contains("\n  preshared key: (hidden)\n"));
    assert!(shown.ends_with("persistent keepalive: every 1 minute, 1 second"), "{shown}");
    let mut bare = Device::default();
    assert_eq!(text(&bare), "interface: wg_vpn");
    bare.peers = device().peers;
    let config = PeerConfig {
        endpoint: None,
        keepalive: None,
        allowed_ips: Vec::new(),
        ..bare.peers[0].config.clone()
    };
    bare.peers[0] = Peer { config, last_handshake: None, rx_bytes: 0, tx_bytes: 0 };
    let peer = "peer: 5oIcIKFil5M5wfHyxgJbde1TFIPWEYDqx6sWef4Fy1k=\n  allowed ips: (none)";
    assert_eq!(text(&bare), format!("interface: wg_vpn\n\n{peer}"));
}
