//! Configurations in many dialects, and what is to be read from them; lines that cannot be used.

use crate::EndpointError;
use crate::conf::ConfFault;

/// Files in the manner of providers and programs, and what is to be read from them.
pub(super) const CORPUS: [(&str, &str); 16] = [
    (
        "[Interface]\nPrivateKey = {private}\nAddress = 10.2.0.2/32\nDNS = 10.2.0.1\n\n[Peer]\nPublicKey = {public}\n\
         AllowedIPs = 0.0.0.0/0\nEndpoint = uk.gw.xeovo.com:51820\n",
        "10.2.0.2/32||None||uk.gw.xeovo.com:51820|0.0.0.0/0|None|DNS@4=Dns",
    ),
    // Dual-stack lists without blanks, as Mullvad's generator writes them.
    (
        "[Interface]\n# Device: Calm Cat\nPrivateKey = {private}\nAddress = 10.64.9.9/32,fc00:bbbb::1/128\nDNS = 10.64.0.1\n\
         \n[Peer]\nPublicKey = {public}\nAllowedIPs = 0.0.0.0/0,::0/0\nEndpoint = 185.213.155.134:51820\n",
        "10.64.9.9/32|fc00:bbbb::1/128|None||185.213.155.134:51820|0.0.0.0/0 ::/0|None|Address@4=Ipv6Address DNS@5=Dns",
    ),
    // Comments between the keys, as Proton's generator writes them.
    (
        "[Interface]\n# Bouncing = 0\n# NAT-PMP (Port Forwarding) = off\nPrivateKey = {private}\nAddress = 10.2.0.2/32\n\
         [Peer]\n# CH#5\nPublicKey = {public}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 192.0.2.7:51820\nPersistentKeepalive = 25",
        "10.2.0.2/32||None||192.0.2.7:51820|0.0.0.0/0 ::/0|Some(25)|",
    ),
    // Byte order mark, CRLF, tabs, every name in lower case, no blanks.
    (
        "\u{feff}[interface]\r\nprivatekey={private}\r\naddress=10.0.0.2/24\r\nmtu=1300\r\n\r\n[PEER]\r\n\tpublickey\t=\t{public}\t\r\n\
         presharedkey={psk}\r\nallowedips=0.0.0.0/0\r\nendpoint=[2001:db8::1]:443\r\npersistentkeepalive=OFF\r\n",
        "10.0.0.2/24||Some(1300)|psk|[2001:db8::1]:443|0.0.0.0/0|None|",
    ),
    // Blanks in names, values and lists, which wg takes out.
    (
        "  [ Interface ]  \nPrivate Key = {private}\nAddress = 10.0.0.2 / 24 , 10.1.0.2 /16\n[ peer ]\nPublic Key={public}\n\
         Allowed IPs = 10.0.0.0/8   172.16.0.0/12,192.168.0.0/16,\nEndpoint = vpn.example.com : 51820\nPersistent Keepalive = 0\n",
        "10.0.0.2/24 10.1.0.2/16||None||vpn.example.com:51820|10.0.0.0/8 172.16.0.0/12 192.168.0.0/16|None|",
    ),
    // The peer first, repeated lines, comments behind values in both manners.
    (
        "[Peer]; the exit\nEndpoint = VPN.Example.com:1 # theirs\nAllowedIPs = 0.0.0.0/1;a\nAllowedIPs = 128.0.0.0/1 ;b\nPublicKey = {public}#c\n\
         [Interface] # ours\nAddress = 10.0.0.2\nAddress = 10.0.0.3/24 ; d\nPrivateKey = {private};e\nMTU = 0\n",
        "10.0.0.2/32 10.0.0.3/24||None||vpn.example.com:1|0.0.0.0/1 128.0.0.0/1|None|",
    ),
    // Hooks, and everything else that is not used.
    (
        "[Interface]\nPrivateKey = {private}\nAddress = 10.0.0.2/24\nListenPort = 51820\nFwMark = 0xca6c\nTable = off\nSaveConfig = true\n\
         PreUp = sysctl -w a=b\npostup = iptables -I OUTPUT -j X; ip route add y # z\nPreDown = a\nPostDown =\nDNS = 1.1.1.1, example.com\n\
         Jc = 4\n[Peer]\nPublicKey = {public}\nEndpoint = 192.0.2.1:1\nAllowedIPs = 0.0.0.0/0\nDNS = 1.1.1.1\n",
        "10.0.0.2/24||None||192.0.2.1:1|0.0.0.0/0|None|ListenPort@4=Other FwMark@5=Other Table@6=Other SaveConfig@7=Other \
         PreUp@8=Hook PostUp@9=Hook PreDown@10=Hook PostDown@11=Hook DNS@12=Dns Jc@13=Other DNS@18=Dns",
    ),
    // Used keys in the other section have no meaning there.
    (
        "[Interface]\nPrivateKey = {private}\nPublicKey = {public}\nAddress = 10.0.0.2/24\n[Peer]\nPublicKey = {public}\nMTU = 9000\n\
         Address = 10.9.9.9/32\nEndpoint = 192.0.2.1:1\nAllowedIPs = 0.0.0.0/0\n",
        "10.0.0.2/24||None||192.0.2.1:1|0.0.0.0/0|None|PublicKey@3=Other MTU@7=Other Address@8=Other",
    ),
    // Host bits: kept in an address, cleared in what the peer carries.
    (
        "[Interface]\nPrivateKey={private}\nAddress=10.0.0.77/8\n[Peer]\nPublicKey={public}\nEndpoint=192.0.2.1:1\nAllowedIPs=10.1.2.3/8,2001:db8::1/32",
        "10.0.0.77/8||None||192.0.2.1:1|10.0.0.0/8 2001:db8::/32|None|",
    ),
    // The largest and smallest numbers.
    (
        "[Interface]\nPrivateKey={private}\nAddress=0.0.0.0/0\nMTU=65535\n[Peer]\nPublicKey={public}\nEndpoint=192.0.2.1:65535\nAllowedIPs=0.0.0.0/0\nPersistentKeepalive=65535",
        "0.0.0.0/0||Some(65535)||192.0.2.1:65535|0.0.0.0/0|Some(65535)|",
    ),
    // One report for each line with IPv6, whatever else is on it.
    (
        "[Interface]\nPrivateKey={private}\nAddress=fd00::1, fd00::2/64, 10.0.0.1\nAddress=fd00::3\n[Peer]\nPublicKey={public}\nEndpoint=192.0.2.1:1\nAllowedIPs=::/0",
        "10.0.0.1/32|fd00::1/128 fd00::2/64 fd00::3/128|None||192.0.2.1:1|::/0|None|Address@3=Ipv6Address Address@4=Ipv6Address",
    ),
    // Only comments and blank lines around.
    (
        "\n\n;x\n   # y\n\u{a0}\n[Interface]\n\nPrivateKey={private}\n\nAddress=10.0.0.1\n\n[Peer]\n\nPublicKey={public}\nEndpoint=192.0.2.1:1\nAllowedIPs=0.0.0.0/0\n\n#\n;",
        "10.0.0.1/32||None||192.0.2.1:1|0.0.0.0/0|None|",
    ),
    // A section can be left and not entered again, but its keys need no order.
    (
        "[Interface]\nMTU=1280\nAddress=10.0.0.1\nPrivateKey={private}\n[Peer]\nPersistentKeepalive=60\nPresharedKey={psk}\nAllowedIPs=0.0.0.0/0\nEndpoint=192.0.2.1:1\nPublicKey={public}",
        "10.0.0.1/32||Some(1280)|psk|192.0.2.1:1|0.0.0.0/0|Some(60)|",
    ),
    // Unknown keys without a value. The last could be the end of a secret, so its name is not told.
    (
        "[Interface]\nPrivateKey={private}\nAddress=10.0.0.1\nI2 =\nFoo=\nSomeVendorKey = \nSomeVendorKey=\n[Peer]\nPublicKey={public}\nEndpoint=gateway:1\nAllowedIPs=0.0.0.0/0",
        "10.0.0.1/32||None||gateway:1|0.0.0.0/0|None|I2@4=Other Foo@5=Other SomeVendorKey@6=Other (hidden)@7=Other",
    ),
    // AmneziaWG whose packets are WireGuard's own, with junk beside them.
    (
        "[Interface]\nPrivateKey={private}\nAddress=10.0.0.1\nJc = 4\njmin = 40\nJmax = 70\nS1 = 0\nS2 = 00\nH1 = 1\nH2 = 2 # usual\nH3 = 3-3\nH4 =\nI1 = <b 0xc700>\n\
         [Peer]\nPublicKey={public}\nEndpoint=my_vpn.example.com.:1\nAllowedIPs=0.0.0.0/0\nAdvancedSecurity = on",
        "10.0.0.1/32||None||my_vpn.example.com.:1|0.0.0.0/0|None|Jc@4=Other jmin@5=Other Jmax@6=Other S1@7=Other S2@8=Other H1@9=Other H2@10=Other \
         H3@11=Other H4@12=Other I1@13=Other AdvancedSecurity@18=Other",
    ),
    // An unknown key of a length and spelling that is still shown.
    (
        "[Interface]\nPrivateKey={private}\nAddress=10.0.0.1\nSome_Key-of-a-vendor-2=1\n[Peer]\nPublicKey={public}\nEndpoint=192.0.2.1:1\nAllowedIPs=0.0.0.0/0",
        "10.0.0.1/32||None||192.0.2.1:1|0.0.0.0/0|None|Some_Key-of-a-vendor-2@4=Other",
    ),
];

const NUMBER: ConfFault = ConfFault::Number { maximum: u16::MAX };

/// Lines to put in the place of one of the good file's, by number, and the error that each brings: the key that
/// is named and the fault.
pub(super) const FAULTS: [(usize, &str, Option<&str>, ConfFault); 57] = [
    (1, "[Interface", None, ConfFault::Syntax),
    (1, "[Interface]]", None, ConfFault::UnknownSection),
    (1, "[]", None, ConfFault::UnknownSection),
    (5, "[Server]", None, ConfFault::UnknownSection),
    (5, "[Interface]", None, ConfFault::SectionTwice),
    (9, "[Peer]", None, ConfFault::SectionTwice),
    (1, "PrivateKey = {private}", Some("PrivateKey"), ConfFault::NoSection),
    (1, "DNS = 1.1.1.1", None, ConfFault::NoSection),
    (1, "Foo = 1.1.1.1", None, ConfFault::NoSection),
    (2, "PrivateKey = ", Some("PrivateKey"), ConfFault::NoValue),
    (2, "PrivateKey = # {private}", Some("PrivateKey"), ConfFault::NoValue),
    (2, "PrivateKey = INPO", Some("PrivateKey"), ConfFault::Key),
    (2, "PrivateKey = {private}=", Some("PrivateKey"), ConfFault::Key),
    (6, "publickey = {public}x", Some("PublicKey"), ConfFault::Key),
    (7, "PresharedKey =", Some("PresharedKey"), ConfFault::NoValue),
    (7, "PresharedKey = (none)", Some("PresharedKey"), ConfFault::Character { character: '(' }),
    (7, "PublicKey = {public}", Some("PublicKey"), ConfFault::Twice),
    (4, "PrivateKey = {private}", Some("PrivateKey"), ConfFault::Twice),
    (3, "Address = 10.0.0.256", Some("Address"), ConfFault::Address),
    (3, "Address = 10.0.0.2/33", Some("Address"), ConfFault::Address),
    (3, "Address = 10.0.0.2/+8", Some("Address"), ConfFault::Address),
    (3, "Address = 10.0.0.2/", Some("Address"), ConfFault::Address),
    (3, "Address = 10.0.0.2/255.255.255.0", Some("Address"), ConfFault::Address),
    (3, "Address = 10.0.0.2/24, fd00::1/129", Some("Address"), ConfFault::Address),
    (3, "Address = 010.0.0.2/24", Some("Address"), ConfFault::Address),
    (3, "Address = vpn.example.com", Some("Address"), ConfFault::Address),
    (3, "Address = ,", Some("Address"), ConfFault::Address),
    (3, "Address = fd00::2/64", Some("Address"), ConfFault::NoIpv4),
    (9, "AllowedIPs = 0.0.0.0/0 - 10.0.0.0/8", Some("AllowedIPs"), ConfFault::Address),
    (9, "AllowedIPs = -10.0.0.0/8", Some("AllowedIPs"), ConfFault::Address),
    (9, "AllowedIPs =", Some("AllowedIPs"), ConfFault::NoValue),
    (4, "MTU = big", Some("MTU"), NUMBER),
    (4, "MTU = 65536", Some("MTU"), NUMBER),
    (4, "MTU = -1", Some("MTU"), NUMBER),
    (4, "MTU = +1420", Some("MTU"), NUMBER),
    (4, "MTU =", Some("MTU"), ConfFault::NoValue),
    (8, "Endpoint = 192.0.2.1", Some("Endpoint"), ConfFault::Endpoint(EndpointError::Port)),
    (8, "Endpoint = 192.0.2.1:0", Some("Endpoint"), ConfFault::Endpoint(EndpointError::Port)),
    (8, "Endpoint = 2001:db8::1:51820", Some("Endpoint"), ConfFault::Endpoint(EndpointError::Brackets)),
    (9, "PersistentKeepalive = 65536", Some("PersistentKeepalive"), NUMBER),
    (9, "PersistentKeepalive = on", Some("PersistentKeepalive"), NUMBER),
    (9, "Endpoint = 192.0.2.1:51820", Some("Endpoint"), ConfFault::Twice),
    (2, "just words", None, ConfFault::Syntax),
    (2, "= 5", None, ConfFault::Syntax),
    (2, "Foo Bar = 1", None, ConfFault::Syntax),
    (2, "Ф = 1", None, ConfFault::Character { character: 'Ф' }),
    (2, "Private\u{200b}Key = {private}", None, ConfFault::Character { character: '\u{200b}' }),
    (3, "Address = “10.0.0.2/24”", Some("Address"), ConfFault::Character { character: '“' }),
    (2, "PrivateKey = <your key>", Some("PrivateKey"), ConfFault::Character { character: '<' }),
    (4, "S1 = 110", Some("S1"), ConfFault::AmneziaWg { key: "S1" }),
    (4, "s4=1 # x", Some("S4"), ConfFault::AmneziaWg { key: "S4" }),
    (4, "S2 = 0x0", Some("S2"), ConfFault::AmneziaWg { key: "S2" }),
    (4, "H1 = 1593635057", Some("H1"), ConfFault::AmneziaWg { key: "H1" }),
    (4, "H2 = 1", Some("H2"), ConfFault::AmneziaWg { key: "H2" }),
    (4, "H4 = 4-900", Some("H4"), ConfFault::AmneziaWg { key: "H4" }),
    (2, "NameOfMoreThanThirtyTwoCharacters = 1", None, ConfFault::Syntax),
    (9, "            157.0.0.0/9, 157.128.0.0/10", None, ConfFault::Syntax),
];
