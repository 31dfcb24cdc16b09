//! Answers of the built-in site and of an operator's files.

use super::*;
use crate::request::{Parsed, parse};

fn ask(site: &DecoySite, line: &str, headers: &str) -> (String, String, Answer) {
    let text = format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let Parsed::Complete(head, _) = parse(text.as_bytes()) else { panic!("{text}") };
    let answer = site.answer(&head, false, "then");
    (answer.head.clone(), String::from_utf8_lossy(&answer.body).into_owned(), answer)
}

fn files() -> DecoySite {
    let file = |text: &str| FileBytes(text.as_bytes().to_vec());
    DecoySite::new(&Decoy::Files(BTreeMap::from([
        ("index.html".to_owned(), file("mine")),
        ("404.html".to_owned(), file("gone")),
        ("a b/style.css".to_owned(), file("p{}")),
        ("docs/index.html".to_owned(), file("docs")),
    ])))
}

#[test]
fn a_plain_page_and_nothing_else() {
    let site = DecoySite::new(&Decoy::Builtin);
    let (head, body, answer) = ask(&site, "GET /", "");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nDate: then\r\nContent-Type: text/html; charset=utf-8\r\n"),
        "{head}"
    );
    assert!(body.contains("<h1>Welcome</h1>") && !answer.close && !answer.error);
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    let (head, body, answer) = ask(&site, "GET /nope", "");
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n") && body.contains("404 Not Found") && answer.error);
    let (head, _, _) = ask(&site, "PUT /nope", "");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let (head, _, _) = ask(&site, "POST /", "");
    assert!(head.starts_with("HTTP/1.1 405") && head.contains("Allow: GET, HEAD\r\n"), "{head}");
}

#[test]
fn files_of_the_operator() {
    let site = files();
    assert_eq!(ask(&site, "GET /?x=1", "").1, "mine");
    assert_eq!(ask(&site, "GET /docs/", "").1, "docs");
    let (head, body, _) = ask(&site, "GET /a%20b/style.css", "");
    assert!(head.contains("text/css") && body == "p{}");
    let (head, body, _) = ask(&site, "GET /../etc/passwd", "");
    assert!(head.starts_with("HTTP/1.1 404") && body == "gone");
    for path in ["/%", "/%zz", "/%ff", "/a"] {
        assert_eq!(ask(&site, &format!("GET {path}"), "").1, "gone");
    }
}

#[test]
fn head_conditions_and_connections() {
    let site = files();
    let (get, ..) = ask(&site, "GET /", "");
    let (head, body, _) = ask(&site, "HEAD /", "");
    assert_eq!((head, body.as_str()), (get.clone(), ""));
    let tag = get.split("ETag: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let (head, body, _) = ask(&site, "GET /", &format!("If-None-Match: {tag}\r\n"));
    assert!(
        head.starts_with("HTTP/1.1 304 Not Modified\r\n")
            && body.is_empty()
            && !head.contains("Content-Length")
    );
    assert!(ask(&site, "GET /", "Connection: close\r\n").2.close);
    assert!(ask(&site, "POST /", "Content-Length: 4\r\n").2.close);
    let refused = DecoySite::refuse(RequestFault::TooLarge, "then");
    assert!(refused.close && refused.head.starts_with("HTTP/1.1 431"));
}

#[test]
fn dates_have_the_form_of_http() {
    let date = date();
    let form: String = date
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                '0'
            } else if c.is_ascii_lowercase() {
                'a'
            } else {
                c
            }
        })
        .collect();
    assert_eq!(form.replace("Aaa", "X").to_uppercase().len(), form.replace("Aaa", "X").len());
    assert_eq!(form.chars().filter(char::is_ascii_digit).count(), 12, "{date}");
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
}
