//! The header of the PROXY protocol (haproxy.org/download/3.0/doc/proxy-protocol.txt), which tells a web server behind us whose
//! connection it gets.

use std::net::{IpAddr, SocketAddr};

use phantom_types::ProxyVersion;

/// How a header of version 2 begins (PROXY protocol, section 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Both ends of a stranger's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// The stranger's.
    pub(super) stranger: SocketAddr,
    /// Ours.
    pub(super) own: SocketAddr,
}

impl Ends {
    /// An IPv4 address that a socket shows as an IPv6 one is an IPv4 address here.
    pub(super) fn new(stranger: SocketAddr, own: SocketAddr) -> Self {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Self { stranger: canonical(stranger), own: canonical(own) }
    }

    /// Those of a stranger whom nobody's rules let in: documentation addresses (RFC 5737).
    pub(super) fn of_nobody() -> Self {
        Self::new(([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 443).into())
    }

    /// Those of a stranger of whom the address alone is known.
    pub(super) fn for_stranger(stranger: IpAddr) -> Self {
        let own: IpAddr = match stranger.to_canonical() {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        Self::new((stranger, 0).into(), (own, 0).into())
    }
}

/// The header of a connection with these ends. Without them it says that nobody is behind it.
pub(super) fn header(version: ProxyVersion, ends: Option<Ends>) -> Vec<u8> {
    match version {
        ProxyVersion::V1 => text(ends).into_bytes(),
        ProxyVersion::V2 => binary(ends),
    }
}

fn text(ends: Option<Ends>) -> String {
    let known = ends.and_then(|Ends { stranger, own }| {
        let family = match (stranger, own) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
            (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
            _ => return None,
        };
        let (from, to) = (stranger.ip(), own.ip());
        Some(format!("PROXY {family} {from} {to} {} {}\r\n", stranger.port(), own.port()))
    });
    known.unwrap_or_else(|| "PROXY UNKNOWN\r\n".to_owned())
}

fn binary(ends: Option<Ends>) -> Vec<u8> {
    let (family, addresses) = match ends.map(|Ends { stranger, own }| (stranger, own)) {
        Some((SocketAddr::V4(from), SocketAddr::V4(to))) => {
            (0x11, [from.ip().octets(), to.ip().octets()].concat())
        }
        Some((SocketAddr::V6(from), SocketAddr::V6(to))) => {
            (0x21, [from.ip().octets(), to.ip().octets()].concat())
        }
        // LOCAL: the connection is our own.
        _ => return [SIGNATURE, &[0x20, 0, 0, 0]].concat(),
    };
    let ports = ends.map(|ends| [ends.stranger.port().to_be_bytes(), ends.own.port().to_be_bytes()].concat());
    let body = [addresses, ports.unwrap_or_default()].concat();
    let length = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
    [SIGNATURE, &[0x21, family], &length, &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(stranger: &str, own: &str) -> Ends {
        Ends::new(stranger.parse().unwrap(), own.parse().unwrap())
    }

    #[test]
    fn the_line_of_version_1() {
        let line_of = |ends| String::from_utf8(header(ProxyVersion::V1, ends)).unwrap();
        let line = |ends| line_of(Some(ends));
        let four = "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n";
        assert_eq!(line(ends("192.0.2.7:40000", "198.51.100.1:443")), four);
        assert_eq!(line(ends("[::ffff:192.0.2.7]:40000", "[::ffff:198.51.100.1]:443")), four);
        let six = "PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n";
        assert_eq!(line(ends("[2001:db8::7]:40000", "[2001:db8::1]:443")), six);
        assert_eq!(line_of(None), "PROXY UNKNOWN\r\n");
        assert_eq!(line(ends("192.0.2.7:1", "[2001:db8::1]:2")), "PROXY UNKNOWN\r\n");
        let forwarded = Ends::for_stranger("192.0.2.7".parse().unwrap());
        assert_eq!(line(forwarded), "PROXY TCP4 192.0.2.7 0.0.0.0 0 0\r\n");
    }

    #[test]
    fn the_bytes_of_version_2() {
        let four = header(ProxyVersion::V2, Some(ends("192.0.2.7:258", "198.51.100.1:443")));
        let expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x01\x02\x01\xbb";
        assert_eq!(four, expected);
        let six = header(ProxyVersion::V2, Some(ends("[2001:db8::7]:258", "[2001:db8::1]:443")));
        assert_eq!(six.len(), 16 + 36);
        assert_eq!(
            (&six[12..16], &six[16..20], &six[31..34]),
            (&[0x21, 0x21, 0, 36][..], &[0x20, 1, 0xd, 0xb8][..], &[7, 0x20, 1][..])
        );
        assert_eq!(six[48..], [1, 2, 1, 187]);
        assert_eq!(header(ProxyVersion::V2, None), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }
}
