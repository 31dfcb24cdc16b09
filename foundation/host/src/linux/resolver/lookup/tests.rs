//! Lookups at servers that are silent or odd, each test in a network namespace of its own thread.

#![expect(clippy::disallowed_methods, reason = "the tests prepare links and filters")]

use std::net::{Ipv4Addr, SocketAddrV6, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use super::super::runtime;
use super::super::tests::{Dnsmasq, GOOD, LIMIT, MakeReply, TRUNCATED, in_namespace, reply as answer};
use super::*;

const NAME: &str = "vpn.example.org";
/// `AAAA` and `A` in a question (RFC 1035, RFC 3596).
const SIX: [u8; 2] = [0, 28];
const FOUR: [u8; 2] = [0, 1];

/// The questions that a server got: name and type.
type Asked = Arc<Mutex<Vec<(String, [u8; 2])>>>;

/// The name in a question, and the type that is asked for.
fn question_of(packet: &[u8]) -> (String, [u8; 2]) {
    let (mut at, mut labels) = (12, Vec::new());
    while packet[at] > 0 {
        let end = at + 1 + usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(&packet[at + 1..end]).into_owned());
        at = end;
    }
    (labels.join("."), [packet[at + 1], packet[at + 2]])
}

/// Answers on this socket for as long as the test runs: `four` questions for IPv4 addresses, `six` those for IPv6.
fn serve_on(socket: UdpSocket, four: MakeReply, six: MakeReply) -> Asked {
    let asked = Asked::default();
    let noted = asked.clone();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let question = question_of(&buffer[..length]);
            let reply = if question.1 == SIX { six } else { four };
            noted.lock().unwrap().push(question);
            if let Some(bytes) = reply(&buffer[..length]) {
                let _ = socket.send_to(&bytes, from);
            }
        }
    });
    asked
}

fn serve(address: &str, four: MakeReply, six: MakeReply) -> Asked {
    serve_on(UdpSocket::bind((address, 53)).unwrap(), four, six)
}

const FOUND: MakeReply = |question| Some(answer(question, GOOD, &[Ipv4Addr::new(192, 0, 2, 7)]));
const FOUND6: MakeReply = |question| {
    let mut bytes = answer(question, GOOD, &[]);
    bytes[7] = 1;
    bytes.extend([0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 0, 0, 16]);
    bytes.extend("2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    Some(bytes)
};
const NOTHING: MakeReply = |question| Some(answer(question, GOOD, &[]));
const NO_NAME: MakeReply = |question| Some(answer(question, GOOD | 3, &[]));
const FAILED: MakeReply = |question| Some(answer(question, GOOD | 2, &[]));
const REFUSED: MakeReply = |question| Some(answer(question, GOOD | 5, &[]));
const SILENT: MakeReply = |_| None;

/// Looks a name up with these servers and options; gives what was found and how long it took.
fn look(name: &str, from: Viewpoint, hosts: &str, conf: &str) -> (Result<Vec<String>, ProbeError>, Duration) {
    let begin = Instant::now();
    let found =
        runtime().unwrap().block_on(find(&name.parse().unwrap(), from, LIMIT, (hosts, conf))).unwrap();
    (found.map(|found| found.iter().map(ToString::to_string).collect()), begin.elapsed())
}

fn look_up(conf: &str) -> (Result<Vec<String>, ProbeError>, Duration) {
    look(NAME, Viewpoint::Host, "", conf)
}

const TWO: &str = "nameserver 127.0.0.2\nnameserver 127.0.0.3\n";
const THREE: &str = "nameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.4\n";
const SHORT: Duration = Duration::from_millis(700);
/// Less than the limit.
const WELL_WITHIN: Duration = Duration::from_millis(2300);

#[test]
fn silent_servers_before_the_one_that_answers() {
    in_namespace("silent_servers_before_the_one_that_answers", || {
        let first = serve("127.0.0.2", SILENT, SILENT);
        serve("127.0.0.3", SILENT, SILENT);
        let _real = Dnsmasq::start("127.0.0.4", &["--host-record=vpn.example.org,192.0.2.7"]);
        let (outcome, took) = look_up(THREE);
        assert_eq!(outcome.unwrap(), ["192.0.2.7"]);
        assert!(took < WELL_WITHIN, "{took:?}");
        let asked = first.lock().unwrap().clone();
        assert!(asked.contains(&(NAME.to_owned(), FOUR)) && asked.contains(&(NAME.to_owned(), SIX)));
        // As the file says, the next one is not asked before that time.
        let (outcome, took) = look_up(&format!("{THREE}options timeout:1"));
        assert_eq!(outcome.unwrap(), ["192.0.2.7"]);
        assert!(took < LIMIT, "{took:?}");
    });
}

#[test]
fn failing_nameserver_is_skipped_at_once() {
    in_namespace("failing_nameserver_is_skipped_at_once", || {
        // A dnsmasq that knows nobody to ask refuses.
        let _refuses = Dnsmasq::start("127.0.0.2", &[]);
        let _real = Dnsmasq::start("127.0.0.4", &["--host-record=vpn.example.org,192.0.2.7,2001:db8::7"]);
        let (outcome, took) = look_up(THREE);
        let mut addresses = outcome.unwrap();
        addresses.sort();
        assert_eq!(addresses, ["192.0.2.7", "2001:db8::7"]);
        assert!(took < SHORT, "{took:?}");
    });
}

#[test]
fn whatever_becomes_of_the_question_for_ipv6() {
    in_namespace("whatever_becomes_of_the_question_for_ipv6", || {
        let odd: [MakeReply; 9] = [
            |question| Some(answer(question, GOOD | 1, &[])),
            FAILED,
            NO_NAME,
            |question| Some(answer(question, GOOD | 4, &[])),
            REFUSED,
            |question| Some(answer(question, GOOD | TRUNCATED, &[])),
            |question| Some(question[..question.len().min(14)].to_vec()),
            SILENT,
            NOTHING,
        ];
        for (number, odd) in odd.into_iter().enumerate() {
            let address = format!("127.0.1.{}", number + 1);
            serve(&address, FOUND, odd);
            let (outcome, took) = look_up(&format!("nameserver {address}\n"));
            assert_eq!(outcome.as_deref(), Ok(&["192.0.2.7".to_owned()][..]), "{number}");
            assert!(took < WELL_WITHIN, "{number}: {took:?}");
        }
        // The other way round a name is found as well.
        serve("127.0.2.1", SILENT, FOUND6);
        assert_eq!(look_up("nameserver 127.0.2.1\n").0.unwrap(), ["2001:db8::7"]);
        serve("127.0.2.2", NOTHING, FOUND6);
        assert_eq!(look_up("nameserver 127.0.2.2\n").0.unwrap(), ["2001:db8::7"]);
        let asked = serve("127.0.2.3", FOUND, FOUND6);
        assert_eq!(look_up("nameserver 127.0.2.3\noptions no-aaaa\n").0.unwrap(), ["192.0.2.7"]);
        assert!(!asked.lock().unwrap().iter().any(|(_, kind)| *kind == SIX));
    });
}

#[test]
fn filter_on_path_drops_ipv6_questions() {
    in_namespace("filter_on_path_drops_ipv6_questions", || {
        let _real = Dnsmasq::start("127.0.0.2", &["--host-record=vpn.example.org,192.0.2.7,2001:db8::7"]);
        // Behind the headers of UDP and DNS, and behind a name of 17 bytes: the type.
        let rules = "add table ip odd; add chain ip odd c { type filter hook input priority 0; }; \
                     add rule ip odd c udp dport 53 @th,296,16 28 drop";
        assert!(Command::new("nft").arg(rules).status().unwrap().success());
        let (outcome, took) = look_up("nameserver 127.0.0.2\n");
        assert_eq!(outcome.unwrap(), ["192.0.2.7"]);
        assert!(took < WELL_WITHIN, "{took:?}");
    });
}

#[test]
fn useless_answer_differs_from_no_answer() {
    in_namespace("useless_answer_differs_from_no_answer", || {
        serve("127.0.0.2", FAILED, FAILED);
        serve("127.0.0.3", SILENT, SILENT);
        let rcode = |outcome: Result<Vec<String>, ProbeError>| match outcome {
            Err(ProbeError::NoAddress { rcode, .. }) => rcode,
            other => panic!("{other:?}"),
        };
        let (outcome, took) = look_up("nameserver 127.0.0.2\n");
        assert_eq!(rcode(outcome), "SERVFAIL");
        assert!(took < SHORT, "{took:?}");
        let (outcome, took) = look_up(TWO);
        assert_eq!(rcode(outcome), "SERVFAIL", "one of them answered");
        assert!(took < LIMIT + SHORT, "{took:?}");
        assert_eq!(rcode(look_up("nameserver 127.0.0.9\nnameserver 127.0.0.2\n").0), "SERVFAIL");
        let (outcome, took) = look_up("nameserver 127.0.0.3\nnameserver 127.0.0.9\n");
        assert_eq!(outcome, Err(ProbeError::Timeout));
        assert!(took < LIMIT + SHORT, "{took:?}");
        let (outcome, took) = look_up("nameserver 127.0.0.9\nnameserver 192.0.2.1\n");
        assert_eq!(outcome, Err(ProbeError::Unreachable));
        assert!(took < SHORT, "{took:?}");
    });
}

#[test]
fn nonexistent_name_ends_the_search() {
    in_namespace("nonexistent_name_ends_the_search", || {
        serve("127.0.0.2", NO_NAME, SILENT);
        let second = serve("127.0.0.3", FOUND, FOUND6);
        let (outcome, took) = look_up(TWO);
        assert_eq!(outcome.unwrap(), [] as [&str; 0]);
        assert!(took < SHORT, "{took:?}");
        assert!(second.lock().unwrap().is_empty());
        // Not as long as a server that comes first may still know it.
        serve(
            "127.0.0.5",
            |question| {
                thread::sleep(Duration::from_millis(1200));
                FOUND(question)
            },
            SILENT,
        );
        serve("127.0.0.6", NO_NAME, NO_NAME);
        let (outcome, _) = look_up("nameserver 127.0.0.5\nnameserver 127.0.0.6\n");
        assert_eq!(outcome.unwrap(), ["192.0.2.7"]);
    });
}

#[test]
fn the_file_of_the_host_comes_first() {
    in_namespace("the_file_of_the_host_comes_first", || {
        let asked = serve("127.0.0.2", FOUND, NOTHING);
        let conf = "nameserver 127.0.0.2\n";
        let hosts = "# 198.51.100.1 vpn.example.org\n198.51.100.2\tother VPN.Example.org # mine\n::1 localhost\nnonsense\n\
                     2001:db8::9 vpn.example.org.\n198.51.100.3 vpn.example.org.uk\n";
        let of = |from, hosts: &str| look(NAME, from, hosts, conf).0.unwrap();
        let mut both = of(Viewpoint::Outside, hosts);
        both.sort();
        assert_eq!(both, ["198.51.100.2", "2001:db8::9"]);
        assert!(asked.lock().unwrap().is_empty(), "nobody is asked");
        // Debian's own line. For others it says nothing.
        let own = "127.0.1.1 vpn.example.org vpn\n";
        assert_eq!(of(Viewpoint::Host, own), ["127.0.1.1"]);
        assert_eq!(of(Viewpoint::Outside, own), ["192.0.2.7"]);
    });
}

#[test]
fn the_search_list_and_the_dots() {
    let names = |text: &str, from, conf: &str| -> Vec<String> {
        let all = candidates(&text.parse().unwrap(), from, &Settings::read(conf)).unwrap();
        all.iter().map(|(name, _)| name.to_ascii()).collect()
    };
    let conf = "search a.example b.example.\n";
    let all = ["vpn.example.org.", "vpn.example.org.a.example.", "vpn.example.org.b.example."];
    assert_eq!(names(NAME, Viewpoint::Host, conf), all);
    assert_eq!(names(NAME, Viewpoint::Outside, conf), all[..1]);
    let last = [all[1], all[2], all[0]];
    assert_eq!(names(NAME, Viewpoint::Host, &format!("{conf}options ndots:3\n")), last);
    assert_eq!(names(NAME, Viewpoint::Host, ""), all[..1]);
    in_namespace("the_search_list_and_the_dots", || {
        let asked = serve(
            "127.0.0.2",
            |question| {
                if question_of(question).0.ends_with("a.example") {
                    FOUND(question)
                } else {
                    NO_NAME(question)
                }
            },
            NOTHING,
        );
        let conf = "nameserver 127.0.0.2\nsearch a.example\n";
        assert_eq!(look_up(conf).0.unwrap(), ["192.0.2.7"]);
        assert_eq!(asked.lock().unwrap()[0].0, NAME, "the name itself comes first");
        assert_eq!(look(NAME, Viewpoint::Outside, "", conf).0.unwrap(), [] as [&str; 0]);
    });
}

#[test]
fn rotate_spreads_the_questions() {
    in_namespace("rotate_spreads_the_questions", || {
        let servers = ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|at| serve(at, FOUND, NOTHING));
        for _ in 0..60 {
            look_up(&format!("{THREE}options rotate\n")).0.unwrap();
        }
        let counts = servers.each_ref().map(|asked| asked.lock().unwrap().len());
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
        for _ in 0..10 {
            look_up(THREE).0.unwrap();
        }
        let now = servers.each_ref().map(|asked| asked.lock().unwrap().len());
        assert_eq!((now[1], now[2]), (counts[1], counts[2]), "without it the first is asked");
    });
}

#[test]
fn tcp_only_when_file_says_so() {
    in_namespace("tcp_only_when_file_says_so", || {
        let _real = Dnsmasq::start("127.0.0.2", &["--host-record=vpn.example.org,192.0.2.7"]);
        let rules = "add table ip odd; add chain ip odd c { type filter hook input priority 0; }; \
                     add rule ip odd c udp dport 53 drop";
        assert!(Command::new("nft").arg(rules).status().unwrap().success());
        assert_eq!(look_up("nameserver 127.0.0.2\noptions use-vc\n").0.unwrap(), ["192.0.2.7"]);
        assert_eq!(look_up("nameserver 127.0.0.2\n").0, Err(ProbeError::Timeout));
    });
}

#[test]
fn a_server_on_a_link() {
    in_namespace("a_server_on_a_link", || {
        let script = "ip link add d0 type veth peer name d1 && ip link set d0 up && ip link set d1 up &&
            ip addr add fe80::a/64 dev d0 nodad && ip addr add fe80::b/64 dev d1 nodad";
        assert!(Command::new("sh").args(["-ec", script]).status().unwrap().success());
        let link = nix::net::if_::if_nametoindex("d1").unwrap();
        let own = SocketAddrV6::new("fe80::b".parse().unwrap(), 53, 0, link);
        let asked = serve_on(UdpSocket::bind(own).unwrap(), FOUND, NOTHING);
        let (outcome, _) = look_up("nameserver fe80::b%d0\n");
        assert_eq!(outcome.unwrap(), ["192.0.2.7"], "{asked:?}");
        assert!(look_up("nameserver fe80::b%nowhere\n").0.is_err());
    });
}
