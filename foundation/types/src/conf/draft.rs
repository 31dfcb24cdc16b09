//! A configuration while it is being read.

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use super::error::{ConfError, ConfFault};
use super::line::{self, Key, Line, Section};
use super::parse::{Comments, Ignored, IgnoredKind, Parsed};
use crate::{Endpoint, PresharedKey, PrivateKey, PublicKey};

/// A value that can be given once.
type Once<T> = Option<T>;

/// What was read so far.
#[derive(Default)]
pub(super) struct Draft {
    section: Option<Section>,
    /// Number of the line with `[Interface]`.
    interface: Once<usize>,
    /// Number of the line with `[Peer]`.
    peer: Once<usize>,
    private_key: Once<PrivateKey>,
    address: Vec<Ipv4Network>,
    address6: Vec<Ipv6Network>,
    /// Number of the last line with an `Address`.
    address_line: usize,
    /// The inner `None` is a 0.
    mtu: Once<Option<u16>>,
    public_key: Once<PublicKey>,
    preshared_key: Once<PresharedKey>,
    endpoint: Once<Endpoint>,
    allowed_ips: Vec<IpNetwork>,
    /// The inner `None` is a 0.
    keepalive: Once<Option<u16>>,
    ignored: Vec<Ignored>,
    comments: Comments,
}

fn once<T>(slot: &mut Once<T>, value: T) -> Result<(), ConfFault> {
    if slot.is_some() {
        return Err(ConfFault::Twice);
    }
    *slot = Some(value);
    Ok(())
}

impl Draft {
    /// Takes one line with its number.
    pub(super) fn read(&mut self, number: usize, text: &str) -> Result<(), ConfError> {
        let at = |key| move |fault| ConfError::Line { line: number, key, fault };
        let (said, comment) = line::split(text).map_err(|fault| {
            let key = if let ConfFault::AmneziaWg { key } = fault { Some(key) } else { None };
            at(key)(fault)
        })?;
        self.comments.push(comment.unwrap_or_default());
        match said {
            Line::Empty => Ok(()),
            Line::Section(section) => self.enter(section, number).map_err(at(None)),
            Line::Value(_, word, _) if self.section.is_none() => Err(at(Some(word))(ConfFault::NoSection)),
            Line::Ignored(..) if self.section.is_none() => Err(at(None)(ConfFault::NoSection)),
            Line::Ignored(name, kind) => {
                self.ignore(name, number, kind);
                Ok(())
            }
            Line::Value(key, word, _) if Some(key.section()) != self.section => {
                self.ignore(word, number, IgnoredKind::Other);
                Ok(())
            }
            Line::Value(key, word, value) => self.set(key, value, number).map_err(at(Some(word))),
        }
    }

    fn enter(&mut self, section: Section, number: usize) -> Result<(), ConfFault> {
        self.section = Some(section);
        let line = match section {
            Section::Interface => &mut self.interface,
            Section::Peer => &mut self.peer,
        };
        once(line, number).map_err(|_| ConfFault::SectionTwice)
    }

    fn ignore(&mut self, key: &str, line: usize, kind: IgnoredKind) {
        self.ignored.push(Ignored { key: key.to_owned(), line, kind });
    }

    fn set(&mut self, key: Key, value: &str, number: usize) -> Result<(), ConfFault> {
        if value.is_empty() {
            return Err(ConfFault::NoValue);
        }
        // An international host name is told in the form that it needs, and is no strange character.
        if key != Key::Endpoint {
            line::check_characters(value)?;
        }
        if matches!(key, Key::Private | Key::Public | Key::Preshared) {
            line::check_base64(value)?;
        }
        let secret = || line::compact(value);
        match key {
            Key::Private => once(&mut self.private_key, secret().parse().map_err(|_| ConfFault::Key)?),
            Key::Public => once(&mut self.public_key, secret().parse().map_err(|_| ConfFault::Key)?),
            Key::Preshared => once(&mut self.preshared_key, secret().parse().map_err(|_| ConfFault::Key)?),
            Key::Endpoint => once(&mut self.endpoint, line::endpoint(value)?),
            Key::Mtu => once(&mut self.mtu, line::number(value)?),
            Key::Keepalive => once(&mut self.keepalive, line::keepalive(value)?),
            Key::Address => {
                self.add_addresses(&line::networks(value)?, number);
                Ok(())
            }
            Key::AllowedIps => {
                let masked = |net: IpNetwork| {
                    IpNetwork::new(net.network(), net.prefix()).map_err(|_| ConfFault::Address)
                };
                self.allowed_ips
                    .extend(line::networks(value)?.into_iter().map(masked).collect::<Result<Vec<_>, _>>()?);
                Ok(())
            }
        }
    }

    fn add_addresses(&mut self, networks: &[IpNetwork], number: usize) {
        for network in networks {
            match network {
                IpNetwork::V4(network) => self.address.push(*network),
                IpNetwork::V6(network) => self.address6.push(*network),
            }
        }
        self.address_line = number;
        if networks.iter().any(IpNetwork::is_ipv6) {
            self.ignore("Address", number, IgnoredKind::Ipv6Address);
        }
    }

    /// The configuration, if nothing is missing.
    pub(super) fn finish(self) -> Result<Parsed, ConfError> {
        let missing = |key, line| ConfError::Missing { key, line };
        let interface = Some(self.interface.ok_or_else(|| missing("[Interface]", None))?);
        let peer = Some(self.peer.ok_or_else(|| missing("[Peer]", None))?);
        let private_key = self.private_key.ok_or_else(|| missing("PrivateKey", interface))?;
        if self.address.is_empty() {
            return Err(match self.address_line {
                0 => missing("Address", interface),
                line => ConfError::Line { line, key: Some("Address"), fault: ConfFault::NoIpv4 },
            });
        }
        let public_key = self.public_key.ok_or_else(|| missing("PublicKey", peer))?;
        let endpoint = self.endpoint.ok_or_else(|| missing("Endpoint", peer))?;
        if self.allowed_ips.is_empty() {
            return Err(missing("AllowedIPs", peer));
        }
        Ok(Parsed {
            private_key,
            address: self.address,
            address6: self.address6,
            mtu: self.mtu.flatten(),
            public_key,
            preshared_key: self.preshared_key,
            endpoint,
            allowed_ips: self.allowed_ips,
            keepalive: self.keepalive.flatten(),
            ignored: self.ignored,
            comments: self.comments,
        })
    }
}
