//! The log of a session.

use std::net::SocketAddr;

use phantom_module::Lang;
use phantom_multihop::SessionEvent;
use phantom_multihop::actions::GetSessionLog;
use phantom_multihop::model::{Multihop as Stored, SessionRecord};
use phantom_multihop::rows::MultihopChange as _;
use phantom_types::{ExitName, Timestamp};
use serde_json::{Value, json};

use crate::world::MultihopFixture;

/// 2025-09-09T01:17:02.600871.
const START: i64 = 1_757_380_622_600_871;

fn log(world: &MultihopFixture, lines: u32, lang: Lang) -> Value {
    world.json(GetSessionLog { lines }, lang)
}

fn exit() -> ExitName {
    "xeovo-uk".parse().unwrap()
}

fn enable(world: &MultihopFixture) {
    world.import("good", "xeovo-uk.conf").unwrap();
    let stored = Stored {
        chosen_exit: exit(),
        kill_switch: true,
        fallback_exits: Vec::new(),
        active_exit: exit(),
        endpoint_address: None,
        staged: None,
        activated_at: Timestamp::from_micros(START),
    };
    world.change(|tx| tx.set_multihop(Some(&stored)).unwrap());
}

#[test]
fn without_a_log_nothing_is_shown() {
    let world = MultihopFixture::new();
    let mut expected = json!({
        "active_session": false, "log_exists": false, "active_exit": null,
        "monitor_status": { "monitoring": false, "type": null, "pid": null }, "log_lines": [], "logs": [],
        "total_lines": 0, "displayed_lines": 0, "message": "No active multihop session",
    });
    assert_eq!(log(&world, 50, Lang::En), expected);
    expected["message"] = "Aktif multihop oturumu yok".into();
    assert_eq!(log(&world, 50, Lang::Tr), expected);
}

#[test]
fn active_session_has_lines_and_records() {
    let world = MultihopFixture::new();
    enable(&world);
    world.change(|tx| {
        tx.add_record(&SessionEvent::SessionStarted.record(Timestamp::from_micros(START), exit())).unwrap();
        let later = Timestamp::from_micros(START + 30_010_419);
        tx.add_record(&SessionEvent::HandshakeGood { seconds: 4 }.record(later, exit())).unwrap();
    });
    let expected = json!({
        "active_session": true, "log_exists": true, "active_exit": "xeovo-uk",
        "monitor_status": { "monitoring": false, "type": null, "pid": null },
        "log_lines": [
            { "timestamp": "01:17:02", "message": "Session started", "level": "INFO" },
            { "timestamp": "01:17:32", "message": "Handshake 4 s ago: good", "level": "INFO" },
        ],
        "logs": [
            { "timestamp": "2025-09-09T01:17:02.600871", "exit_name": "xeovo-uk", "event": "session_started",
              "details": "Session started" },
            { "timestamp": "2025-09-09T01:17:32.611290", "exit_name": "xeovo-uk", "event": "handshake_good",
              "details": "Handshake 4 s ago: good" },
        ],
        "total_lines": 2, "displayed_lines": 2,
    });
    assert_eq!(log(&world, 50, Lang::En), expected);
    let turkish = log(&world, 1, Lang::Tr);
    assert_eq!(turkish["log_lines"][0]["message"], "Son el sıkışma 4 sn önce: iyi");
    assert_eq!(turkish["logs"][0]["details"], "Son el sıkışma 4 sn önce: iyi");
    assert_eq!((&turkish["total_lines"], &turkish["displayed_lines"]), (&json!(2), &json!(1)));
}

#[test]
fn last_log_stays_with_worded_levels() {
    let world = MultihopFixture::new();
    let endpoint: SocketAddr = "192.0.2.9:51820".parse().unwrap();
    let events = [
        (SessionEvent::HandshakeWarning { seconds: 150 }, "WARNING"),
        (SessionEvent::HandshakeLost { seconds: 181 }, "ERROR"),
        (SessionEvent::ReconnectAttempt { attempt: 1 }, "WARNING"),
        (SessionEvent::EndpointChanged { endpoint }, "INFO"),
        (SessionEvent::Reconnected, "SUCCESS"),
        (SessionEvent::SessionEnded, "INFO"),
    ];
    world.change(|tx| {
        for (event, _) in &events {
            tx.add_record(&event.record(Timestamp::from_micros(START), exit())).unwrap();
        }
        // Of a later version.
        let unknown = SessionRecord {
            at: Timestamp::from_micros(START),
            exit: exit(),
            event: "weather_changed".to_owned(),
            details: Some(json!({ "sky": "blue" })),
        };
        tx.add_record(&unknown).unwrap();
    });
    let found = log(&world, 50, Lang::En);
    assert_eq!((&found["active_session"], &found["log_exists"]), (&json!(false), &json!(true)));
    assert_eq!(
        (&found["active_exit"], &found["message"]),
        (&Value::Null, &json!("No active multihop session"))
    );
    let lines = found["log_lines"].as_array().unwrap();
    for (line, (event, level)) in lines.iter().zip(&events) {
        assert_eq!((&line["message"], &line["level"]), (&json!(event.sentence(Lang::En)), &json!(level)));
    }
    assert_eq!(lines[6]["message"], "weather_changed");
    assert_eq!(found["logs"][3]["details"], "Endpoint is now 192.0.2.9:51820");
}
