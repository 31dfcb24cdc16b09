//! Tests of what is asked and of what answers mean.
#![expect(clippy::disallowed_methods, reason = "a test puts a program in a folder of its own")]

use std::sync::Mutex;

use phantom_host::Host;
use phantom_host::linux::LinuxProcesses;

use super::*;

/// The host in memory with a program that notes what it is asked, and answers this.
fn with_answer(status: Option<i32>, answer: &'static str) -> (Program, Arc<Mutex<Vec<Process>>>) {
    let (host, fake) = Host::fake();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    fake.give_program(NAME, move |_, process| {
        seen.lock().unwrap().push(process.clone());
        Ok(ProgramOutput {
            argv: process.argv(),
            status,
            stdout: answer.into(),
            stderr: "its words".to_owned(),
        })
    });
    (Program::on(&host), asked)
}

fn self_sign() -> CertificateRequest {
    CertificateRequest::SelfSign { domain: "a.b".parse().unwrap(), certs_dir: "/x".into() }
}

#[test]
fn exit_without_an_answer_is_host_error() {
    for (status, answer, expected) in [
        (Some(0), "", "phantom-ghost self-sign answered nothing"),
        (Some(0), "no JSON", "phantom-ghost self-sign answered wrongly: its words"),
        (Some(1), "", "phantom-ghost self-sign failed (exit status 1): its words"),
        (Some(2), "{}", "phantom-ghost self-sign failed (exit status 2): its words"),
    ] {
        let (program, _) = with_answer(status, answer);
        assert_eq!(program.certificate(&self_sign()).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_refusal_is_the_programs_own_words() {
    let (program, asked) = with_answer(Some(1), r#"{"error":{"kind":"expired","detail":"it expired"}}"#);
    let fault = program.certificate(&self_sign()).unwrap().unwrap_err();
    assert_eq!(fault.detail, "it expired");
    let asked = asked.lock().unwrap().pop().unwrap();
    assert_eq!(asked.argv(), ["phantom-ghost", "self-sign"]);
    assert!(asked.interruptible);
    assert_eq!(asked.input.unwrap().as_slice(), br#"{"domain":"a.b","certs_dir":"/x"}"#);
}

#[test]
fn answers_and_refusals_are_told_apart() {
    let good = br#"{"cert_path":"/c","key_path":"/k","expires_at":"2026-01-02T03:04:05Z","more":1}"#;
    let reply = read(good).unwrap().unwrap();
    assert_eq!(reply.cert_path, Some("/c".into()));
    assert!(reply.expires_at.unwrap().parse::<Timestamp>().is_ok());
    let refused = br#"{"error":{"kind":"expired","detail":"it expired on 2024-01-01"}}"#;
    assert_eq!(read(refused).unwrap().unwrap_err(), "it expired on 2024-01-01");
    assert!(read(b"{\"ok\":true}\n").unwrap().is_ok());
    assert_eq!(read(b"{\"ports\":[5,6]}\n").unwrap().unwrap().ports, Some(vec![5, 6]));
    let warned = read(br#"{"cert_path":"/c","warnings":["tls-alpn-01: a firewall"]}"#).unwrap().unwrap();
    assert_eq!(warned.warnings, ["tls-alpn-01: a firewall"]);
    assert_eq!(read(b"{\"pages\":[\"/a\"]}\n").unwrap().unwrap().pages, Some(vec!["/a".to_owned()]));
    assert!(read(b"").is_none() && read(b"no JSON").is_none());
}

/// It is given less time than it is waited for, so that it can say itself what went wrong, and its words are handed on.
#[test]
fn authority_has_time_and_attempts_are_reported() {
    let folder = std::env::temp_dir().join(format!("phantom-tunnel-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (program, asked) = (folder.join("phantom-ghost"), folder.join("asked"));
    let answer =
        r#"{"cert_path":"/c","key_path":"/k","expires_at":"2026-01-02T03:04:05Z","warnings":["port 443"]}"#;
    let script = format!("#!/bin/sh\ncat > {}\necho '{answer}'\n", asked.display());
    // Written by another process: this one's children of other tests could keep the file open for writing, and then nobody may start it.
    let write = ["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", &script];
    assert!(std::process::Command::new("/bin/sh").args(write).arg(&program).status().unwrap().success());
    let request = CertificateRequest::Issue {
        domain: "a.b".parse().unwrap(),
        directory: "https://ca.example/dir".into(),
        ca_file: None,
        certs_dir: "/x".into(),
    };
    let processes = Arc::new(LinuxProcesses::new(phantom_host::Interrupt::default()));
    let certificate = Program { processes, path: program }.certificate(&request).unwrap().unwrap();
    let asked: serde_json::Value = serde_json::from_slice(&std::fs::read(asked).unwrap()).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(certificate.warnings, ["port 443"]);
    let given = Duration::from_secs(asked["time_limit"].as_u64().unwrap());
    assert!(given >= Duration::from_mins(5) && given + Duration::from_secs(10) <= ISSUE_LIMIT);
}

#[test]
fn missing_program_is_a_host_error() {
    let processes = Arc::new(LinuxProcesses::new(phantom_host::Interrupt::default()));
    let tunnel = Program { processes, path: "/nonexistent/phantom-ghost".into() };
    assert!(tunnel.certificate(&self_sign()).is_err());
    assert!(tunnel.shared_ports(Path::new("/x")).is_err());
}
