//! Tests of what becomes of names, with programs in the place of `getent`.

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// A program that does what this line of a shell says. It sees the kind as `$1` and the name as `$2`.
#[expect(clippy::disallowed_methods, reason = "a test's own program")]
fn shell(line: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line, "sh"]);
    shell
}

#[expect(clippy::disallowed_methods, reason = "a program that is not there")]
fn missing() -> Command {
    Command::new("/nonexistent/getent")
}

fn found(line: &str) -> io::Result<Vec<String>> {
    let all = addresses_by(shell(line), "vpn.example.org", LIMIT)?;
    Ok(all.iter().map(ToString::to_string).collect())
}

fn kind(line: &str) -> ErrorKind {
    found(line).expect_err(line).kind()
}

#[test]
fn addresses_are_taken_once_in_order() {
    let text = "2001:db8::1     STREAM vpn.example.org\n2001:db8::1     DGRAM  \n192.0.2.7       STREAM \n\
                192.0.2.7       RAW    \nfe80::1%eth0    STREAM \n";
    let expected: [IpAddr; 2] = ["2001:db8::1".parse().unwrap(), "192.0.2.7".parse().unwrap()];
    assert_eq!(parse(text), expected);
    assert!(parse("").is_empty());
}

#[test]
fn resolver_program_gets_name_without_environment() {
    let line = r#"[ "$1 $2 $#" = "ahosts vpn.example.org 2" ] && [ -z "$HOME$CARGO_MANIFEST_DIR" ] && echo 192.0.2.7"#;
    assert_eq!(found(line).unwrap(), ["192.0.2.7"]);
}

#[test]
fn one_that_hangs_is_ended_in_time() {
    let limit = Duration::from_millis(300);
    // Before it says something, and after that: what is half said may lack the best address.
    for line in ["exec sleep 60", "echo 192.0.2.7; exec sleep 60"] {
        let begin = Instant::now();
        let error = addresses_by(shell(line), "vpn.example.org", limit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{line}");
        let took = begin.elapsed();
        assert!((limit..limit + LIMIT).contains(&took), "{line}: {took:?}");
    }
    // A child of it that keeps the pipe open is not waited for either.
    let begin = Instant::now();
    let error = addresses_by(shell("sleep 40 & sleep 40"), "vpn.example.org", limit).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begin.elapsed() < limit + LIMIT);
}

#[test]
fn complete_answer_counts_before_the_end() {
    let line = "echo 192.0.2.7; exec >/dev/null; exec sleep 60";
    let begin = Instant::now();
    let all = addresses_by(shell(line), "vpn.example.org", Duration::from_millis(300)).unwrap();
    assert_eq!(all.len(), 1);
    assert!(begin.elapsed() < LIMIT);
}

#[test]
fn rubbish_is_no_address() {
    for line in [
        "echo nobody knows; echo",
        r"printf '\377\376\0\n'",
        "echo 192.0.2.7x; echo 999.1.1.1",
        "exit 2",
        "exit 0",
    ] {
        assert_eq!(kind(line), ErrorKind::NotFound, "{line}");
    }
    // Without an end: no more than an answer's length is read of it, and the program is not left behind.
    assert_eq!(kind("exec yes rubbish"), ErrorKind::NotFound);
    // An address among it counts.
    assert_eq!(found(r"printf '\377\n'; echo '192.0.2.7 STREAM x'; echo rubbish").unwrap(), ["192.0.2.7"]);
}

#[test]
fn one_that_fails_is_an_error() {
    assert_eq!(kind("exit 77"), ErrorKind::Other);
    assert_eq!(kind("kill -SEGV $$"), ErrorKind::Other);
}

/// `localhost` is in the file of every host, and no resolver is asked for it.
#[test]
fn missing_program_falls_back_to_call() {
    for getent in [missing(), shell("exit 1")] {
        let all = addresses_by(getent, "localhost", LIMIT).unwrap();
        assert!(!all.is_empty() && all.iter().all(IpAddr::is_loopback), "{all:?}");
    }
    assert!(addresses_by(missing(), "nobody.invalid", LIMIT).is_err());
}

#[test]
fn the_real_one_knows_this_host() {
    let all = addresses("localhost", LIMIT).unwrap();
    assert!(!all.is_empty() && all.iter().all(IpAddr::is_loopback), "{all:?}");
    assert_eq!(group("root", LIMIT).unwrap(), Some(0));
    assert_eq!(group("nobody-is-called-so", LIMIT).unwrap(), None);
}

#[test]
fn what_is_no_name_reaches_no_program() {
    for name in ["", "-s", "--service=x", "a\0b"] {
        let error = addresses_by(shell("echo 192.0.2.7"), name, LIMIT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}");
        assert!(group_by(shell("echo x:x:7:"), name, LIMIT).is_err(), "{name:?}");
    }
}

#[test]
fn a_group_has_its_own_number() {
    let group = |line: &str| group_by(shell(line), "web", LIMIT).unwrap();
    assert_eq!(group("echo web:x:33:john,jane"), Some(33));
    assert_eq!(group("exit 2"), None);
    for line in ["echo webb:x:33:", "echo web:x", "echo web:x:many:", "echo"] {
        assert_eq!(group(line), None, "{line}");
    }
    assert_eq!(group_by(missing(), "root", LIMIT).unwrap(), Some(0));
    assert_eq!(group_by(missing(), "nobody-is-called-so", LIMIT).unwrap(), None);
}
