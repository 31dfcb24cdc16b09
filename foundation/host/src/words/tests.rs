//! What errors of the host say, in both languages.

use std::io;
use std::path::Path;
use std::time::Duration;

use phantom_types::{Lang, explain};

use super::*;
use crate::reconcile::{ApplyError, StepAction};

#[test]
fn causes_are_in_the_language_asked_for() {
    let step = ApplyError {
        at: 2,
        kind: StepKind::Link,
        action: StepAction::Create,
        target: "wg_main".to_owned(),
        source: HostError::Kernel {
            what: "creating interface wg_main".to_owned(),
            source: io::Error::from_raw_os_error(1),
        },
    };
    assert_eq!(
        explain(&step, Lang::En),
        "step 3: Create Link wg_main failed: creating interface wg_main: Operation not permitted (os error 1)"
    );
    assert_eq!(
        explain(&step, Lang::Tr),
        "3. adım başarısız (arayüz wg_main): wg_main arayüzü oluşturulurken: bu işleme izin verilmiyor (hata 1)"
    );
    let silent = HostError::Silent {
        object: "embedded WireGuard device wg_main (process 12)".to_owned(),
        limit: Duration::from_secs(4),
    };
    assert_eq!(silent.turkish(), "gömülü WireGuard aygıtı wg_main (işlem 12) 4.0 saniyedir yanıt vermiyor");
    let program = HostError::Command {
        argv: vec!["nft".to_owned(), "-f".to_owned()],
        status: Some(1),
        stderr: "Error: syntax error\n".to_owned(),
    };
    assert_eq!(program.turkish(), "nft -f başarısız oldu (çıkış durumu 1): «Error: syntax error»");
    let foreign = HostError::Foreign { object: "interface wg_main".to_owned() };
    assert_eq!(foreign.turkish(), "wg_main arayüzü var ve bu sisteme ait değil");
}

#[test]
fn phrase_is_recognised_by_all_its_words() {
    for (en, tr) in [
        ("setting net.ipv4.ip_forward to 1", "net.ipv4.ip_forward ayarı 1 yapılırken"),
        ("removing 10.8.0.1/24 from wg_main", "10.8.0.1/24 silinirken (yeri: wg_main)"),
        ("removing /run/x", "/run/x silinirken"),
        ("reading WireGuard device wg_main", "wg_main WireGuard aygıtı okunurken"),
        (
            "reading the routes of table 100: it kept changing while it was being read",
            "100 tablosunun rotaları okunurken: okunurken sürekli değişti",
        ),
        ("no words of ours", "no words of ours"),
    ] {
        assert_eq!(phrase(en), tr);
    }
}

/// The texts in these sources that name what was being done when the host said no.
fn requests(dir: &Path, found: &mut Vec<String>) {
    const DOING: [&str; 21] = [
        "reading",
        "replacing",
        "opening",
        "creating",
        "removing",
        "adding",
        "setting",
        "starting",
        "waiting",
        "binding",
        "connecting",
        "asking",
        "sending",
        "listing",
        "configuring",
        "guarding",
        "deleting",
        "changing",
        "making",
        "writing",
        "appending",
    ];
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            requests(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap();
            let texts = source.split('"').skip(1).step_by(2);
            let ours = texts.filter(|text| {
                text.split_once(' ').is_some_and(|(first, _)| DOING.contains(&first)) && !text.contains('\n')
            });
            found.extend(ours.map(str::to_owned));
        }
    }
}

#[test]
fn every_host_request_has_its_words() {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/linux");
    let mut found = Vec::new();
    requests(&host, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for text in found {
        // Some name their object elsewhere.
        let known = [text.clone(), format!("{text} x")].into_iter().any(|text| phrase(&text) != text);
        assert!(known, "this has no Turkish: {text}");
    }
}
