//! The configuration of the server: one interface and a block for each client.

use std::ops::Range;

use ipnetwork::IpNetwork;
use zeroize::Zeroizing;

use super::buffer::{KEY_LEN, NETWORK_MAX, NUMBER_MAX, push_line, push_list, push_secret, reserve};
use crate::name::NAME_MAX;
use crate::{ClientName, PresharedKey, PrivateKey, PublicKey};

/// What stands before a client's name in the comment above its block.
const CLIENT: &str = "# client ";

/// Bytes that always hold the block of a client with one IPv4 and one IPv6 network: a buffer with this much room
/// takes it without moving.
pub const PEER_BLOCK_MAX: usize = "\n# client \n[Peer]\nPublicKey = \nPresharedKey = \nAllowedIPs = \n".len()
    + NAME_MAX
    + 2 * KEY_LEN
    + 2 * (NETWORK_MAX + ", ".len());

/// The server's own part of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The server's key.
    pub private_key: PrivateKey,
    /// Its addresses in the tunnel, each with the prefix length of its subnet.
    pub address: Vec<IpNetwork>,
    /// UDP port to listen on.
    pub listen_port: u16,
    /// Largest packet in the tunnel, in bytes.
    pub mtu: u16,
}

/// A client as the server's configuration has it.
#[derive(Clone, Copy, Debug)]
pub struct ServerPeer<'a> {
    /// Its name, for people: it is in a comment.
    pub name: &'a ClientName,
    /// What it is known by.
    pub public_key: &'a PublicKey,
    /// Key of this pair; with none, the line is left out.
    pub preshared_key: Option<&'a PresharedKey>,
    /// What it may send and receive.
    pub allowed_ips: &'a [IpNetwork],
}

/// The head of the server's configuration: the mark as a comment on the first line, then the interface. Ends in
/// one LF; what [`push_peer_block`] adds follows.
///
/// `mark` may begin with `#` or not. Only its first line is used, so that it cannot become configuration.
pub fn render_interface(mark: &str, config: &ServerConfig) -> Zeroizing<String> {
    const WORDS: usize = "# \n[Interface]\nPrivateKey = \nAddress = \nListenPort = \nMTU = \n".len();
    let mark = mark.lines().next().unwrap_or_default().trim_start_matches(['#', ' ']);
    let room =
        WORDS + mark.len() + KEY_LEN + 2 * NUMBER_MAX + config.address.len() * (NETWORK_MAX + ", ".len());
    let mut text = Zeroizing::new(String::with_capacity(room));
    for part in ["# ", mark, "\n[Interface]"] {
        text.push_str(part);
    }
    push_secret(&mut text, "PrivateKey", &config.private_key.reveal());
    push_list(&mut text, "Address", &config.address);
    push_line(&mut text, "ListenPort", config.listen_port);
    push_line(&mut text, "MTU", config.mtu);
    text.push('\n');
    text
}

/// Appends the block of one client: a blank line, a comment with its name, the peer. Ends in one LF, so that
/// blocks can be appended to the file one by one, and any number written piece by piece.
///
/// When the text has to move to grow, its old place is wiped.
pub fn push_peer_block(text: &mut String, peer: &ServerPeer<'_>) {
    reserve(text, PEER_BLOCK_MAX + peer.allowed_ips.len().saturating_sub(2) * (NETWORK_MAX + ", ".len()));
    for part in ["\n", CLIENT, peer.name.as_str(), "\n[Peer]"] {
        text.push_str(part);
    }
    push_line(text, "PublicKey", peer.public_key);
    if let Some(key) = peer.preshared_key {
        push_secret(text, "PresharedKey", &key.reveal());
    }
    push_list(text, "AllowedIPs", peer.allowed_ips);
    text.push('\n');
}

/// The server's configuration without the blocks of this key: each from the comment with the client's name (and
/// one blank line above it) to the last line that is not blank or a comment. `None` when no block has the key.
///
/// Everything else stays byte for byte, other comments included.
pub fn remove_peer_block(text: &str, key: &PublicKey) -> Option<Zeroizing<String>> {
    let key = key.to_string(); // every key has one text only
    if !text.contains(&key) {
        return None;
    }
    let blocks = blocks_of(text, &key);
    if blocks.is_empty() {
        return None;
    }
    let mut rest = Zeroizing::new(String::with_capacity(text.len()));
    let mut from = 0;
    for block in blocks {
        rest.push_str(&text[from..block.start]);
        from = block.end;
    }
    rest.push_str(&text[from..]);
    Some(rest)
}

/// A section of a configuration while it is read.
struct Section {
    /// Where it begins, with the blank line and the client comment that lead it in, and ends, behind its last line
    /// that says something.
    range: Range<usize>,
    /// Whether it is a `[Peer]`.
    peer: bool,
    /// Whether its public key is the one that is looked for.
    found: bool,
}

/// Where the peers with this key stand, in order.
fn blocks_of(text: &str, key: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut section: Option<Section> = None;
    let mut blank = None; // where the line above begins, when it is blank
    let mut lead = None; // where the lead-in begins, when the line above is a client comment
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        let bare = line.split_once('#').map_or(line, |(bare, _)| bare).trim();
        if bare.starts_with('[') {
            let start = lead.or(blank).unwrap_or(at);
            let next = Section { range: start..end, peer: bare.eq_ignore_ascii_case("[Peer]"), found: false };
            found.extend(section.replace(next).filter(|section| section.found).map(|section| section.range));
        } else if let Some(section) = section.as_mut().filter(|_| !bare.is_empty()) {
            section.range.end = end;
            section.found |= section.peer && is_public_key(bare, key);
        }
        lead = line.starts_with(CLIENT).then(|| blank.unwrap_or(at));
        blank = line.trim().is_empty().then_some(at);
        at = end;
    }
    found.extend(section.filter(|section| section.found).map(|section| section.range));
    found
}

/// Whether a line, bare of comment and blanks, is `PublicKey = key`.
fn is_public_key(line: &str, key: &str) -> bool {
    let value = line.strip_suffix(key).map(str::trim_end).and_then(|head| head.strip_suffix('='));
    value.is_some_and(|name| name.trim_end().eq_ignore_ascii_case("PublicKey"))
}

#[cfg(test)]
mod tests;
