//! Requests and answers of the verbs, without an authority.

use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_757_380_307_123_456);

fn clock() -> Timestamp {
    NOW
}

fn later() -> Timestamp {
    Timestamp::from_micros(NOW.micros() + 300 * 86_400 * 1_000_000)
}

fn no_server(_: &Path) -> Box<dyn Challenger> {
    panic!("no control socket is named")
}

fn parsed(reply: &CommandReply) -> (u8, Value) {
    assert!(!reply.line.contains('\n'));
    (reply.exit_code, serde_json::from_str(&reply.line).unwrap())
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[test]
fn self_signed_certificate_is_made_once() {
    let home = tempfile::tempdir().unwrap();
    let certs = home.path().join("certs");
    let request = bytes(&json!({"domain": "VPN.example.com", "certs_dir": certs}));
    let (code, first) = parsed(&self_sign(&request, clock));
    let folder = certs.join("vpn.example.com");
    let paths = json!({"cert_path": folder.join("fullchain.pem"), "key_path": folder.join("privkey.pem")});
    assert_eq!((code, &first["cert_path"], &first["key_path"]), (0, &paths["cert_path"], &paths["key_path"]));
    assert_eq!((&first["expires_at"], &first["reused"]), (&json!("2026-09-09T01:11:47Z"), &json!(false)));
    assert_eq!(parsed(&self_sign(&request, clock)).1["reused"], json!(true));

    let mut asked = paths.clone();
    asked["domain"] = json!("vpn.example.com");
    let (code, seen) = parsed(&inspect(&bytes(&asked), clock));
    assert_eq!((code, &seen["not_before"]), (0, &json!("2025-09-09T00:11:47Z")));
    assert_eq!(seen["expires_at"], first["expires_at"]);
    assert_eq!(seen["fingerprint_sha256"].as_str().unwrap().len(), 64);

    // When it is over, it can still be asked until when it was valid.
    let ended = || Timestamp::from_micros(NOW.micros() + 400 * 86_400 * 1_000_000);
    assert_eq!(parsed(&inspect(&bytes(&asked), ended)).1["error"]["kind"], json!("expired"));
    asked["at_any_time"] = json!(true);
    assert_eq!(parsed(&inspect(&bytes(&asked), ended)).1["expires_at"], first["expires_at"]);

    // When less than a third of its life is left, another one is made.
    assert_eq!(parsed(&self_sign(&request, later)).1["reused"], json!(false));
}

#[test]
fn failures_say_what_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let error = |reply: CommandReply| {
        let (code, value) = parsed(&reply);
        assert_eq!(code, 1);
        (
            value["error"]["kind"].as_str().unwrap().to_owned(),
            value["error"]["detail"].as_str().unwrap().to_owned(),
        )
    };
    for request in
        ["", "{}", r#"{"domain":"-x-","certs_dir":"/x"}"#, r#"{"domain":"a.b","certs_dir":"/x","y":1}"#]
    {
        assert_eq!(error(self_sign(request.as_bytes(), clock)).0, "request", "{request}");
    }
    let absent =
        json!({"domain": "a.example.com", "cert_path": "/absent/a.pem", "key_path": "/absent/b.pem"});
    let (kind, detail) = error(inspect(&bytes(&absent), clock));
    assert_eq!(kind, "unreadable");
    assert_eq!(detail, "/absent/a.pem cannot be read: No such file or directory (os error 2)");
    let nowhere = bytes(&json!({"domain": "a.example.com", "certs_dir": "/absent/certs"}));
    assert_eq!(error(self_sign(&nowhere, clock)).0, "store");

    let mut wanted = json!({"domain": "a.example.com", "certs_dir": home.path().join("certs"),
        "directory": "http://127.0.0.1:9/dir", "ca_file": "/absent/ca.pem"});
    let (kind, detail) = error(issue(&bytes(&wanted), clock, &no_server));
    assert_eq!(kind, "ca_file", "{detail}");
    assert!(detail.contains("/absent/ca.pem"), "{detail}");
    wanted.as_object_mut().unwrap().remove("ca_file");
    let (kind, detail) = error(issue(&bytes(&wanted), clock, &no_server));
    assert_eq!(kind, "acme_unavailable", "only https: {detail}");
    wanted["directory"] = json!("https://127.0.0.1:9/dir");
    let (kind, detail) = error(issue(&bytes(&wanted), clock, &no_server));
    assert_eq!(kind, "acme_unavailable");
    assert!(detail.contains("Connection refused"), "{detail}");
}

#[test]
fn times_are_rfc_3339() {
    assert_eq!(rfc3339(NOW), "2025-09-09T01:11:47Z");
    assert_eq!(rfc3339(Timestamp::from_micros(0)), "1970-01-01T00:00:00Z");
}
