//! A wanted file: a text, or a list of an interface's peers that is spelt out only where it is needed.

use phantom_types::{InterfaceName, PrivateKey};
use zeroize::Zeroizing;

use super::{DesiredPeer, DesiredState};

/// A file.
#[derive(Clone)]
pub struct DesiredFile {
    /// Permission bits.
    pub mode: u32,
    content: Content,
}

#[derive(Clone)]
enum Content {
    /// Exactly this; may hold secrets.
    Text(Zeroizing<Vec<u8>>),
    /// What the same desired state has as peers.
    Peers(PeerFile),
    /// A text whose lines behind so many bytes may come in any order; may hold secrets.
    Lines { head: usize, text: Zeroizing<Vec<u8>> },
}

/// A file that lists the peers of an interface: a head, and behind it a block for each peer, in any order. A peer that
/// is added goes to the end of the file, so that the order of the blocks is that of their adding.
///
/// It is never held as a whole: its blocks are made of the wanted peers one by one.
#[derive(Clone)]
pub struct PeerFile {
    /// What the file begins with; may hold secrets.
    pub head: Zeroizing<String>,
    /// The interface; it is part of the same desired state.
    pub interface: InterfaceName,
    /// What each block begins with, and what stands nowhere else.
    pub lead: &'static str,
    /// Appends the block of a peer; the same peer has the same block always.
    pub block: fn(&mut String, &DesiredPeer),
}

impl std::fmt::Debug for DesiredFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.content {
            Content::Text(text) | Content::Lines { text, .. } => {
                write!(f, "WantedFile({:o}, {} bytes)", self.mode, text.len())
            }
            Content::Peers(list) => write!(f, "WantedFile({:o}, peers of {})", self.mode, list.interface),
        }
    }
}

impl DesiredFile {
    /// A file with exactly this content.
    pub fn new(mode: u32, content: impl Into<Vec<u8>>) -> Self {
        Self { mode, content: Content::Text(Zeroizing::new(content.into())) }
    }

    /// A file that lists the peers of an interface.
    pub fn of_peers(mode: u32, list: PeerFile) -> Self {
        Self { mode, content: Content::Peers(list) }
    }

    /// A file that begins with `head` and goes on with `lines`, in any order: a line that is added goes to its end.
    pub fn of_lines(mode: u32, head: &str, lines: &str) -> Self {
        let mut text = Zeroizing::new(Vec::with_capacity(head.len() + lines.len()));
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(lines.as_bytes());
        Self { mode, content: Content::Lines { head: head.len(), text } }
    }

    /// Whether what is there says what this file is to say.
    pub(super) fn same(&self, wanted: &DesiredState, now: &[u8]) -> bool {
        match &self.content {
            Content::Text(text) => now == text.as_slice(),
            Content::Peers(list) => list.same(list.peers(wanted), now),
            Content::Lines { head, text } => same_lines(*head, text, now),
        }
    }

    /// Whether what is there holds a private key that this file is to hold: nobody else has that key, so that it is ours
    /// even where its mark was lost, as after `wg-quick save` or in an editor.
    pub(super) fn same_key(&self, now: &[u8]) -> bool {
        let head = match &self.content {
            Content::Text(text) | Content::Lines { text, .. } => {
                std::str::from_utf8(text).unwrap_or_default()
            }
            Content::Peers(list) => list.head.as_str(),
        };
        private_keys(head).any(|key| holds_key(now, &key))
    }

    /// Hands on the content as it is to be written.
    pub(super) fn with_content<T>(&self, wanted: &DesiredState, f: impl FnOnce(&[u8]) -> T) -> T {
        match &self.content {
            Content::Text(text) | Content::Lines { text, .. } => f(text),
            Content::Peers(list) => f(list.text(list.peers(wanted)).as_bytes()),
        }
    }
}

/// Whether two texts are the same but for the order of the lines behind so many bytes.
fn same_lines(head: usize, wanted: &[u8], now: &[u8]) -> bool {
    // Mostly the order is the same, or the length already tells.
    if wanted == now || wanted.len() != now.len() || wanted[..head] != now[..head] {
        return wanted == now;
    }
    sorted_lines(&wanted[head..]) == sorted_lines(&now[head..])
}

fn sorted_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

impl PeerFile {
    fn peers<'w>(&self, wanted: &'w DesiredState) -> &'w [DesiredPeer] {
        let interface = wanted.interfaces.get(&self.interface);
        interface.and_then(|interface| interface.device.peers.as_deref()).unwrap_or_default()
    }

    /// Puts the block of a peer in the place of the one before.
    fn render(&self, block: &mut String, peer: &DesiredPeer) {
        block.clear();
        (self.block)(block, peer);
    }

    fn text(&self, peers: &[DesiredPeer]) -> Zeroizing<String> {
        let mut block = Zeroizing::new(String::new());
        let mut room = self.head.len();
        for peer in peers {
            self.render(&mut block, peer);
            room += block.len();
        }
        // Room for all of it from the start: a text that grows leaves copies of the keys behind.
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str(&self.head);
        for peer in peers {
            self.render(&mut block, peer);
            text.push_str(&block);
        }
        text
    }

    fn same(&self, peers: &[DesiredPeer], now: &[u8]) -> bool {
        let Some(mut rest) = now.strip_prefix(self.head.as_bytes()) else { return false };
        let mut block = Zeroizing::new(String::new());
        // Mostly the order is the same, or the same up to some block; only what follows has to be searched.
        for (at, peer) in peers.iter().enumerate() {
            self.render(&mut block, peer);
            match rest.strip_prefix(block.as_bytes()) {
                Some(behind) => rest = behind,
                None => return self.same_in_any_order(&peers[at..], rest, &mut block),
            }
        }
        rest.is_empty()
    }

    fn same_in_any_order(&self, peers: &[DesiredPeer], now: &[u8], block: &mut String) -> bool {
        let blocks = std::str::from_utf8(now).ok().and_then(|text| blocks(text, self.lead));
        let Some(mut blocks) = blocks.filter(|blocks| blocks.len() == peers.len()) else { return false };
        blocks.sort_unstable();
        let mut found = vec![false; blocks.len()];
        peers.iter().all(|peer| {
            self.render(block, peer);
            let at = blocks.binary_search(&block.as_str());
            at.is_ok_and(|at| !std::mem::replace(&mut found[at], true))
        })
    }
}

/// Whether this is a WireGuard configuration with this private key.
pub fn holds_key(content: &[u8], key: &PrivateKey) -> bool {
    std::str::from_utf8(content).is_ok_and(|text| private_keys(text).any(|there| there == *key))
}

/// The private keys in the text of a WireGuard configuration.
fn private_keys(text: &str) -> impl Iterator<Item = PrivateKey> + '_ {
    text.lines().filter_map(|line| {
        let (name, value) = line.split('#').next()?.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("PrivateKey") { value.trim().parse().ok() } else { None }
    })
}

/// The blocks that a text consists of; `None` when it does not begin with one.
fn blocks<'t>(text: &'t str, lead: &str) -> Option<Vec<&'t str>> {
    let mut starts = text.match_indices(lead).map(|(at, _)| at);
    let mut start = starts.next().filter(|at| *at == 0)?;
    let mut blocks = Vec::new();
    for end in starts.chain(std::iter::once(text.len())) {
        blocks.push(&text[start..end]);
        start = end;
    }
    Some(blocks)
}

#[cfg(test)]
mod tests;
