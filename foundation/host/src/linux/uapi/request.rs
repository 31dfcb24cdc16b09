//! Requests.

use std::collections::BTreeSet;
use std::io::{self, Write};

use phantom_types::PublicKey;

use super::buffer::Writer;
use crate::{DeviceUpdate, PeerConfig, PeerUpdate};

/// Asks for the device, with only these peers when there are any `keys`.
pub(super) fn write_get(out: &mut Writer<impl Write>, keys: &BTreeSet<PublicKey>) -> io::Result<()> {
    out.line("get", 1)?;
    for key in keys {
        out.key("public_key", key.as_bytes())?;
    }
    out.write_all(b"\n")?;
    out.flush()
}

/// Asks for a change. One request however large it is: the device applies it piece by piece on its own.
pub(super) fn write_set(out: &mut Writer<impl Write>, update: &DeviceUpdate) -> io::Result<()> {
    out.line("set", 1)?;
    if let Some(key) = &update.private_key {
        out.key("private_key", key.as_bytes())?;
    }
    if let Some(port) = update.listen_port {
        out.line("listen_port", port)?;
    }
    if let Some(mark) = update.fwmark {
        out.line("fwmark", mark)?;
    }
    if update.replace_peers {
        out.line("replace_peers", true)?;
    }
    for peer in &update.peers {
        match peer {
            PeerUpdate::Set(config) => write_peer(out, config)?,
            PeerUpdate::Remove(key) => {
                out.key("public_key", key.as_bytes())?;
                out.line("remove", true)?;
            }
        }
    }
    out.write_all(b"\n")?;
    out.flush()
}

fn write_peer(out: &mut Writer<impl Write>, config: &PeerConfig) -> io::Result<()> {
    out.key("public_key", config.public_key.as_bytes())?;
    out.line("replace_allowed_ips", true)?;
    for network in &config.allowed_ips {
        out.line("allowed_ip", network)?;
    }
    // All zeros take the preshared key away, 0 turns the keepalive off.
    out.key("preshared_key", config.preshared_key.as_ref().map_or(&[0; 32], |key| key.as_bytes()))?;
    out.line("persistent_keepalive_interval", config.keepalive.unwrap_or(0))?;
    if let Some(endpoint) = config.endpoint {
        out.line("endpoint", endpoint)?;
    }
    Ok(())
}
