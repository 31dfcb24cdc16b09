//! The resolver against real servers, each test in a network namespace of its own thread.

#![expect(clippy::disallowed_methods, reason = "the tests start a name server")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::*;

pub(super) const LIMIT: Duration = Duration::from_secs(3);

/// Runs the test on a thread with a network of its own, in which only the loopback interface exists.
pub(super) fn in_namespace(test: &'static str, run: impl FnOnce() + Send + 'static) {
    let body = move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            let reason = format!("skipped: {test}: no network namespace: {error}\n");
            io::stderr().write_all(reason.as_bytes()).unwrap();
            return;
        }
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        run();
    };
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

/// A dnsmasq that answers from its arguments alone; it ends with this value.
pub(super) struct Dnsmasq(Child);

impl Dnsmasq {
    pub(super) fn start(listen: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--pid-file="])
            .args(["--no-resolv", "--no-hosts", "--user=root", "--bind-interfaces"])
            .arg(format!("--listen-address={listen}"))
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("started")), "dnsmasq did not start");
        Self(child)
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn probe_of(server: &str, domain: &str) -> Probe {
    Probe { server: server.parse().unwrap(), domain: domain.parse().unwrap() }
}

fn ask_all(probes: &[(&str, &str)]) -> (Vec<Result<DnsAnswer, ProbeError>>, Duration) {
    let probes: Vec<_> = probes.iter().map(|(server, domain)| probe_of(server, domain)).collect();
    let start = Instant::now();
    (LinuxResolver::new().probe(&probes, LIMIT).unwrap(), start.elapsed())
}

fn addresses_of(outcome: &Result<DnsAnswer, ProbeError>) -> Vec<String> {
    outcome.as_ref().unwrap().addresses.iter().map(IpAddr::to_string).collect()
}

fn rcode_of(outcome: &Result<DnsAnswer, ProbeError>) -> &str {
    match outcome {
        Err(ProbeError::NoAddress { rcode, elapsed }) => {
            assert!(*elapsed < LIMIT);
            rcode
        }
        other => panic!("{other:?}"),
    }
}

/// The bytes of a reply to a question: its identification, these flags, its question, these records of type A.
pub(super) fn reply(question: &[u8], flags: u16, records: &[Ipv4Addr]) -> Vec<u8> {
    let mut bytes = question[..2].to_vec();
    bytes.extend(flags.to_be_bytes());
    bytes.extend([0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    bytes.extend(&question[12..]);
    for record in records {
        // A pointer to the question's name; type A, class IN, TTL 0, four bytes.
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        bytes.extend(record.octets());
    }
    bytes
}

/// Response, recursion desired and available, no error.
pub(super) const GOOD: u16 = 0x8180;
pub(super) const TRUNCATED: u16 = 0x0200;

/// Makes the reply to a question; `None` is silence.
pub(super) type MakeReply = fn(&[u8]) -> Option<Vec<u8>>;

/// Answers the questions that arrive at this address by UDP, one after the other, each as its function says,
/// and gives back the questions.
fn udp_server(address: &str, replies: Vec<MakeReply>) -> thread::JoinHandle<Vec<Vec<u8>>> {
    let socket = UdpSocket::bind((address, 53)).unwrap();
    socket.set_read_timeout(Some(LIMIT * 2)).unwrap();
    thread::spawn(move || {
        let mut questions = Vec::new();
        for reply in replies {
            let mut buffer = [0; 2048];
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { break };
            questions.push(buffer[..length].to_vec());
            if let Some(bytes) = reply(&buffer[..length]) {
                socket.send_to(&bytes, from).unwrap();
            }
        }
        questions
    })
}

#[test]
fn answers_of_a_real_server() {
    in_namespace("answers_of_a_real_server", || {
        let arguments = [
            "--address=/google.com/1.2.3.4",
            "--address=/gone.example/",
            "--host-record=six.example,fd00::1",
            "--local=/six.example/",
        ];
        let _server = Dnsmasq::start("127.0.0.1,::1", &arguments);
        let (outcomes, took) = ask_all(&[
            ("127.0.0.1", "google.com"),
            ("::1", "google.com"),
            ("127.0.0.1", "gone.example"),
            ("127.0.0.1", "six.example"),
            ("127.0.0.1", "elsewhere.example"),
        ]);
        assert_eq!(addresses_of(&outcomes[0]), ["1.2.3.4"]);
        assert_eq!(addresses_of(&outcomes[1]), ["1.2.3.4"], "over IPv6");
        assert_eq!(rcode_of(&outcomes[2]), "NXDOMAIN");
        assert_eq!(rcode_of(&outcomes[3]), "NOERROR");
        assert_eq!(rcode_of(&outcomes[4]), "REFUSED");
        assert!(took < Duration::from_secs(1), "{took:?}");
        let elapsed = outcomes[0].as_ref().unwrap().elapsed;
        assert!(elapsed > Duration::ZERO && elapsed <= took, "{elapsed:?} of {took:?}");
    });
}

#[test]
fn a_failing_server_delays_no_other() {
    in_namespace("a_failing_server_delays_no_other", || {
        let _server = Dnsmasq::start("127.0.0.1", &["--address=/google.com/1.2.3.4"]);
        let silent = UdpSocket::bind("127.0.0.2:53").unwrap();
        let (outcomes, took) = ask_all(&[
            ("127.0.0.2", "google.com"),
            ("127.0.0.3", "google.com"),
            ("192.0.2.1", "google.com"),
            ("2001:db8::1", "google.com"),
            ("127.0.0.1", "google.com"),
        ]);
        assert_eq!(outcomes[0], Err(ProbeError::Timeout));
        assert_eq!(outcomes[1], Err(ProbeError::Unreachable), "closed port");
        assert_eq!(outcomes[2], Err(ProbeError::Unreachable), "no route");
        assert_eq!(outcomes[3], Err(ProbeError::Unreachable), "no route, IPv6");
        assert!(outcomes[4].as_ref().unwrap().elapsed < Duration::from_millis(500));
        assert!(took >= LIMIT && took < LIMIT + Duration::from_millis(500), "{took:?}");
        drop(silent);
    });
}

#[test]
fn truncated_answer_is_retried_by_tcp() {
    in_namespace("truncated_answer_is_retried_by_tcp", || {
        let mut hosts = tempfile::NamedTempFile::new().unwrap();
        for last in 1..=80 {
            writeln!(hosts, "10.0.0.{last} many.example").unwrap();
        }
        let file = format!("--addn-hosts={}", hosts.path().display());
        let _server = Dnsmasq::start("127.0.0.1", &[&file]);
        let (outcomes, _) = ask_all(&[("127.0.0.1", "many.example")]);
        assert_eq!(addresses_of(&outcomes[0]).len(), 80, "80 records do not fit into 512 bytes");
    });
}

#[test]
fn a_cut_answer_without_tcp_behind_it() {
    in_namespace("a_cut_answer_without_tcp_behind_it", || {
        let cut = |question: &[u8]| Some(reply(question, GOOD | TRUNCATED, &[]));
        let closed = udp_server("127.0.0.2", vec![cut]);
        let mute = udp_server("127.0.0.3", vec![cut]);
        let listener = TcpListener::bind("127.0.0.3:53").unwrap();
        let (outcomes, took) = ask_all(&[("127.0.0.2", "google.com"), ("127.0.0.3", "google.com")]);
        assert_eq!(rcode_of(&outcomes[0]), "NOERROR");
        assert_eq!(outcomes[1], Err(ProbeError::Timeout));
        assert!(took < LIMIT + Duration::from_millis(500), "{took:?}");
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let udp_question = mute.join().unwrap().remove(0);
        assert_eq!(usize::from(u16::from_be_bytes(length)), udp_question.len(), "the same question");
        closed.join().unwrap();
    });
}

#[test]
fn question_is_plain_and_about_one_name() {
    in_namespace("question_is_plain_and_about_one_name", || {
        let good =
            |question: &[u8]| Some(reply(question, GOOD, &[[10, 1, 1, 1].into(), [10, 1, 1, 2].into()]));
        // The special names of RFC 6761 are asked for as well: what this server says is what counts.
        for (address, domain) in
            [("127.0.0.2", "google.com"), ("127.0.0.3", "some.localhost"), ("127.0.0.4", "some.invalid")]
        {
            let server = udp_server(address, vec![good]);
            let (outcomes, _) = ask_all(&[(address, domain)]);
            assert_eq!(addresses_of(&outcomes[0]), ["10.1.1.1", "10.1.1.2"]);
            let question = server.join().unwrap().remove(0);
            // Standard query, recursion desired; one question, and no other record, thus no EDNS.
            assert_eq!(question[2..12], [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            let mut expected = Vec::new();
            for label in domain.split('.') {
                expected.push(u8::try_from(label.len()).unwrap());
                expected.extend(label.as_bytes());
            }
            expected.extend([0, 0, 1, 0, 1]);
            assert_eq!(question[12..], expected);
        }
    });
}

#[test]
fn a_lost_question_is_repeated() {
    in_namespace("a_lost_question_is_repeated", || {
        let good = |question: &[u8]| Some(reply(question, GOOD, &[Ipv4Addr::LOCALHOST]));
        let server = udp_server("127.0.0.2", vec![|_| None, good]);
        let (outcomes, took) = ask_all(&[("127.0.0.2", "google.com")]);
        assert_eq!(addresses_of(&outcomes[0]), ["127.0.0.1"]);
        assert!(took < LIMIT, "{took:?}");
        assert!(
            outcomes[0].as_ref().unwrap().elapsed >= Duration::from_millis(300),
            "counted from the first one"
        );
        server.join().unwrap();
    });
}

#[test]
fn odd_replies() {
    in_namespace("odd_replies", || {
        let silence: MakeReply = |_| None;
        let cases: [(MakeReply, Result<&str, ProbeError>); 6] = [
            (|question| Some(reply(question, GOOD | 2, &[])), Ok("SERVFAIL")),
            (|question| Some(reply(question, GOOD | 4, &[])), Ok("NOTIMP")),
            (|question| Some(reply(question, GOOD | 15, &[])), Ok("RCODE15")),
            (|question| Some(reply(question, GOOD | 3, &[Ipv4Addr::LOCALHOST])), Ok("NXDOMAIN")),
            (
                |question| Some(reply(question, GOOD, &[Ipv4Addr::LOCALHOST])[..question.len() + 3].to_vec()),
                Ok("FORMERR"),
            ),
            // Another identification: not an answer to this question.
            (
                |question| Some(reply(&[&[!question[0]], &question[1..]].concat(), GOOD, &[])),
                Err(ProbeError::Timeout),
            ),
        ];
        for (number, (make, expected)) in cases.into_iter().enumerate() {
            // The repeated questions of the one that has to wait find the server still there.
            let again = if expected.is_ok() { 0 } else { 2 };
            let replies = [make].into_iter().chain([silence; 2].into_iter().take(again)).collect();
            let address = format!("127.0.0.{}", number + 2);
            let server = udp_server(&address, replies);
            let (outcomes, _) = ask_all(&[(&address, "google.com")]);
            match expected {
                Ok(rcode) => assert_eq!(rcode_of(&outcomes[0]), rcode, "{number}"),
                Err(error) => assert_eq!(outcomes[0], Err(error), "{number}"),
            }
            server.join().unwrap();
        }
    });
}

#[test]
fn no_question_needs_no_answer() {
    assert_eq!(LinuxResolver::new().probe(&[], LIMIT).unwrap(), []);
    let probe = Probe { server: Ipv6Addr::LOCALHOST.into(), domain: "a.example".parse().unwrap() };
    assert_eq!(question(&probe).unwrap().to_ascii(), "a.example.");
}

fn by(interface: &str, address: &str) -> AskFrom {
    AskFrom { interface: interface.parse().unwrap(), address: address.parse().unwrap() }
}

#[test]
fn question_uses_only_its_given_source() {
    in_namespace("question_uses_only_its_given_source", || {
        let added = Command::new("ip")
            .args(["link", "add", "d0", "type", "veth", "peer", "name", "d1"])
            .status()
            .unwrap();
        assert!(added.success());
        for words in [
            &["addr", "add", "10.9.8.2/24", "dev", "d0"][..],
            &["link", "set", "d0", "up"],
            &["link", "set", "d1", "up"],
        ] {
            assert!(Command::new("ip").args(words).status().unwrap().success(), "{words:?}");
        }
        let socket = UdpSocket::bind(("127.0.0.3", 53)).unwrap();
        let server = thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&reply(&buffer[..length], GOOD, &[Ipv4Addr::new(192, 0, 2, 7)]), from).unwrap();
            // Whoever asks later gets no answer.
            (from, socket)
        });
        let (resolver, probe) = (LinuxResolver::new(), probe_of("127.0.0.3", "example.org"));
        let answer = resolver.probe_by(&by("lo", "127.0.0.9"), &probe, LIMIT).unwrap();
        assert_eq!(addresses_of(&answer), ["192.0.2.7"]);
        let (from, socket) = server.join().unwrap();
        assert_eq!(from.ip(), IpAddr::from([127, 0, 0, 9]));
        // The route to the server is not that of the interface.
        let short = Duration::from_millis(500);
        assert!(resolver.probe_by(&by("d0", "10.9.8.2"), &probe, short).unwrap().is_err());
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv_from(&mut [0; 512]).is_err(), "it was asked by another way");
        for absent in [by("nowhere", "127.0.0.9"), by("lo", "10.9.9.9")] {
            let error = resolver.probe_by(&absent, &probe, LIMIT).unwrap_err();
            assert!(matches!(error, HostError::Absent { .. }), "{error:?}");
        }
    });
}

#[test]
fn truncated_tcp_answer_is_not_retried() {
    in_namespace("truncated_tcp_answer_is_not_retried", || {
        let listener = TcpListener::bind(("127.0.0.3", 53)).unwrap();
        let server = udp_server("127.0.0.3", vec![|question| Some(reply(question, GOOD | TRUNCATED, &[]))]);
        let probe = probe_of("127.0.0.3", "example.org");
        let answer = LinuxResolver::new().probe_by(&by("lo", "127.0.0.9"), &probe, LIMIT).unwrap();
        assert_eq!(rcode_of(&answer), "NOERROR");
        assert_eq!(server.join().unwrap().len(), 1);
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "it was asked by TCP");
    });
}
