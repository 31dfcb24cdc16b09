//! Files of other kinds that people take for a WireGuard configuration, told by how they begin or by a line that only they have.

use std::fmt;

/// A file that holds the same, or looks as if it did, in another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A connection of `NetworkManager`.
    NetworkManager,
    /// Files of systemd-networkd.
    Networkd,
    /// Settings of `OpenWrt`.
    Uci,
    /// A script of `RouterOS`.
    RouterOs,
    /// A link that begins with `wireguard://` or `wg://`.
    WireGuardLink,
    /// A key of the Amnezia client, which begins with `vpn://`.
    AmneziaLink,
    /// A link of another protocol.
    OtherLink,
    /// A configuration of `OpenVPN`.
    OpenVpn,
    /// JSON, as Xray, sing-box and Amnezia write it.
    Json,
    /// YAML, as Clash writes it.
    Yaml,
    /// A page of the web, often the one that asks to log in.
    Html,
    /// A picture, often of a QR code.
    Picture,
    /// A packed file.
    Archive,
    /// A PDF document.
    Pdf,
    /// Text of 16 bits a character.
    Utf16,
}

impl FileKind {
    /// A word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NetworkManager => "nmconnection",
            Self::Networkd => "networkd",
            Self::Uci => "uci",
            Self::RouterOs => "routeros",
            Self::WireGuardLink => "wireguard_link",
            Self::AmneziaLink => "amnezia_link",
            Self::OtherLink => "other_link",
            Self::OpenVpn => "openvpn",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Html => "html",
            Self::Picture => "picture",
            Self::Archive => "archive",
            Self::Pdf => "pdf",
            Self::Utf16 => "utf16",
        }
    }

    /// What it is, as a Turkish noun: the same as its `Display` in English.
    pub const fn turkish(self) -> &'static str {
        match self {
            Self::NetworkManager => "bir NetworkManager bağlantısı (.nmconnection)",
            Self::Networkd => "bir systemd-networkd dosyası (.netdev, .network)",
            Self::Uci => "bir OpenWrt yapılandırması (UCI)",
            Self::RouterOs => "bir RouterOS betiği",
            Self::WireGuardLink => "bir bağlantı adresi (wireguard://)",
            Self::AmneziaLink => "Amnezia istemcisinin bir anahtarı (vpn://)",
            Self::OtherLink => "başka bir protokolün bağlantı adresi",
            Self::OpenVpn => "bir OpenVPN yapılandırması (.ovpn)",
            Self::Json => "Xray, sing-box ve Amnezia'nın yazdığı türden bir JSON metni",
            Self::Yaml => "Clash'ın yazdığı türden bir YAML metni",
            Self::Html => "bir web sayfası, belki de oturum açma sayfası",
            Self::Picture => "bir resim, belki de bir QR kodu",
            Self::Archive => "sıkıştırılmış bir dosya (önce açılmalıdır)",
            Self::Pdf => "bir PDF belgesi",
            Self::Utf16 => "UTF-16 kodlamalı bir metin (UTF-8 olarak kaydedilmelidir)",
        }
    }

    /// The kind that the first bytes of a file tell, where they are no text.
    pub fn of_bytes(content: &[u8]) -> Option<Self> {
        const SIGNS: [(&[u8], FileKind); 8] = [
            (b"\x89PNG", FileKind::Picture),
            (b"\xff\xd8\xff", FileKind::Picture),
            (b"GIF8", FileKind::Picture),
            (b"PK\x03\x04", FileKind::Archive),
            (b"\x1f\x8b", FileKind::Archive),
            (b"%PDF", FileKind::Pdf),
            (b"\xff\xfe", FileKind::Utf16),
            (b"\xfe\xff", FileKind::Utf16),
        ];
        SIGNS.iter().find(|(sign, _)| content.starts_with(sign)).map(|(_, kind)| *kind)
    }

    /// The kind of a text that is no WireGuard configuration, and the number of the line that tells it, from 1.
    pub(super) fn of_text(text: &str) -> Option<(Self, usize)> {
        let begin = text.trim_start();
        let first = 1 + text[..text.len() - begin.len()].matches('\n').count();
        if let Some(kind) = Self::of_begin(begin) {
            return Some((kind, first));
        }
        text.lines().enumerate().find_map(|(at, line)| Some((Self::of_line(line.trim())?, at + 1)))
    }

    fn of_begin(begin: &str) -> Option<Self> {
        let head: String = begin.chars().take(64).collect::<String>().to_ascii_lowercase();
        if let Some(kind) = Self::of_link(&head) {
            return Some(kind);
        }
        let array = head.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'));
        match head.as_bytes().first()? {
            b'{' => Some(Self::Json),
            b'[' if array => Some(Self::Json),
            b'<' if head.starts_with("<!doctype")
                || head.starts_with("<html")
                || head.starts_with("<head") =>
            {
                Some(Self::Html)
            }
            _ => None,
        }
    }

    fn of_link(head: &str) -> Option<Self> {
        let (scheme, _) = head.split_once("://")?;
        match scheme {
            "wireguard" | "wg" => Some(Self::WireGuardLink),
            "vpn" => Some(Self::AmneziaLink),
            _ if !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Some(Self::OtherLink)
            }
            _ => None,
        }
    }

    /// The kind of which this line is, in exactly this spelling: WireGuard's own sections have others.
    fn of_line(line: &str) -> Option<Self> {
        let tells = |(_, whole, begins): &&(Self, &[&str], &[&str])| {
            whole.contains(&line) || begins.iter().any(|begin| line.starts_with(begin))
        };
        LINES.iter().find(tells).map(|(kind, ..)| *kind)
    }
}

/// Whole lines, and beginnings of lines, that only files of one kind have.
const LINES: [(FileKind, &[&str], &[&str]); 6] = [
    (FileKind::NetworkManager, &["[connection]", "[wireguard]"], &["[wireguard-peer."]),
    (FileKind::Networkd, &["[NetDev]", "[WireGuard]", "[WireGuardPeer]"], &[]),
    (
        FileKind::Uci,
        &[],
        &["config interface", "config wireguard", "option proto", "uci set network.", "network."],
    ),
    (FileKind::RouterOs, &[], &["/interface wireguard", "/interface/wireguard"]),
    (FileKind::OpenVpn, &["client", "<ca>", "<connection>", "tls-client"], &["remote ", "dev tun"]),
    (FileKind::Yaml, &["proxies:", "outbounds:"], &[]),
];

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetworkManager => "a connection of NetworkManager (.nmconnection)",
            Self::Networkd => "a file of systemd-networkd (.netdev, .network)",
            Self::Uci => "a configuration of OpenWrt (UCI)",
            Self::RouterOs => "a script of RouterOS",
            Self::WireGuardLink => "a link (wireguard://)",
            Self::AmneziaLink => "a key of the Amnezia client (vpn://)",
            Self::OtherLink => "a link of another protocol",
            Self::OpenVpn => "a configuration of OpenVPN (.ovpn)",
            Self::Json => "JSON, as Xray, sing-box and Amnezia write it",
            Self::Yaml => "YAML, as Clash writes it",
            Self::Html => "a web page, perhaps the one that asks to log in",
            Self::Picture => "a picture, perhaps of a QR code",
            Self::Archive => "a packed file, which is to be unpacked first",
            Self::Pdf => "a PDF document",
            Self::Utf16 => "text in UTF-16, which is to be saved as UTF-8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_recognised() {
        for (text, kind, line) in [
            (
                "[connection]\nid=wg0\ntype=wireguard\n[wireguard]\nprivate-key=x\n",
                FileKind::NetworkManager,
                1,
            ),
            ("# x\n\n[wireguard-peer.abc=]\nendpoint=a:1\n", FileKind::NetworkManager, 3),
            ("[NetDev]\nName=wg0\nKind=wireguard\n", FileKind::Networkd, 1),
            ("\nconfig interface 'wg0'\n\toption proto 'wireguard'\n", FileKind::Uci, 2),
            ("network.wg0=interface\nnetwork.wg0.proto='wireguard'\n", FileKind::Uci, 1),
            ("/interface wireguard add name=wg0\n", FileKind::RouterOs, 1),
            ("\n wireguard://KEY@192.0.2.1:51820?address=10.0.0.2#name", FileKind::WireGuardLink, 2),
            ("WG://192.0.2.1:51820", FileKind::WireGuardLink, 1),
            ("vpn://AAAB", FileKind::AmneziaLink, 1),
            ("vless://id@192.0.2.1:443", FileKind::OtherLink, 1),
            ("# made by x\nclient\ndev tun\nremote 192.0.2.1 1194\n", FileKind::OpenVpn, 2),
            ("{\"outbounds\": []}", FileKind::Json, 1),
            ("[\n  {}]", FileKind::Json, 1),
            ("proxies:\n  - name: x\n", FileKind::Yaml, 1),
            ("<!DOCTYPE html><html>", FileKind::Html, 1),
        ] {
            assert_eq!(FileKind::of_text(text), Some((kind, line)), "{text}");
        }
        for text in [
            "",
            "[Interface]\nPrivateKey = x\n",
            "just words",
            "Endpoint = http://a:1",
            "[",
            "://",
            "# a://b",
        ] {
            assert_eq!(FileKind::of_text(text), None, "{text}");
        }
        for (bytes, kind) in [
            (&b"\x89PNG\r\n"[..], Some(FileKind::Picture)),
            (b"PK\x03\x04\x14", Some(FileKind::Archive)),
            (b"\xff\xfe[\0I\0", Some(FileKind::Utf16)),
            (b"\xe9", None),
            (b"", None),
        ] {
            assert_eq!(FileKind::of_bytes(bytes), kind, "{bytes:?}");
        }
    }
}
