//! The events of a session: stored as facts, worded when they are read.

use std::net::SocketAddr;

use phantom_module::Lang;
use phantom_types::{ExitName, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::model::SessionRecord;

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// Traffic goes through the exit from now on.
    SessionStarted,
    /// The handshake is young, for the first time or again.
    HandshakeGood {
        /// Its age in seconds.
        seconds: u64,
    },
    /// The next handshake is overdue.
    HandshakeWarning {
        /// Age of the last one in seconds.
        seconds: u64,
    },
    /// The exit does not answer.
    HandshakeLost {
        /// Age of the last handshake in seconds.
        seconds: u64,
    },
    /// The exit is called again.
    ReconnectAttempt {
        /// Which attempt this is, from 1.
        attempt: u32,
    },
    /// It answers again.
    Reconnected,
    /// The exit answers, and nothing comes back from behind it.
    ServiceLost,
    /// Answers come back from behind it again.
    ServiceBack,
    /// The exit's name leads to another address.
    EndpointChanged {
        /// The address.
        endpoint: SocketAddr,
    },
    /// Traffic goes through another exit.
    ExitSwitched {
        /// The exit before.
        old: ExitName,
        /// The exit now.
        new: ExitName,
    },
    /// Traffic does not go through an exit any more.
    SessionEnded,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// For finding faults.
    Debug,
    /// In the order of things.
    Info,
    /// Something is good again.
    Success,
    /// Something may go wrong.
    Warning,
    /// Something is wrong.
    Error,
}

impl SessionEvent {
    /// The word of the API.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SessionStarted => "session_started",
            Self::HandshakeGood { .. } => "handshake_good",
            Self::HandshakeWarning { .. } => "handshake_warning",
            Self::HandshakeLost { .. } => "handshake_lost",
            Self::ReconnectAttempt { .. } => "reconnect_attempt",
            Self::Reconnected => "reconnected",
            Self::ServiceLost => "service_lost",
            Self::ServiceBack => "service_back",
            Self::EndpointChanged { .. } => "endpoint_changed",
            Self::ExitSwitched { .. } => "exit_switched",
            Self::SessionEnded => "session_ended",
        }
    }

    /// How much it matters.
    pub const fn level(&self) -> Level {
        match self {
            Self::SessionStarted
            | Self::HandshakeGood { .. }
            | Self::EndpointChanged { .. }
            | Self::ExitSwitched { .. }
            | Self::SessionEnded => Level::Info,
            Self::HandshakeWarning { .. } | Self::ReconnectAttempt { .. } => Level::Warning,
            Self::HandshakeLost { .. } | Self::ServiceLost => Level::Error,
            Self::Reconnected | Self::ServiceBack => Level::Success,
        }
    }

    /// A sentence for people.
    pub fn sentence(&self, lang: Lang) -> String {
        let en = lang == Lang::En;
        match self {
            Self::SessionStarted => lang.pick("Session started", "Oturum başladı").to_owned(),
            Self::HandshakeGood { seconds } if en => format!("Handshake {seconds} s ago: good"),
            Self::HandshakeGood { seconds } => format!("Son el sıkışma {seconds} sn önce: iyi"),
            Self::HandshakeWarning { seconds } if en => format!("Handshake {seconds} s ago: late"),
            Self::HandshakeWarning { seconds } => format!("Son el sıkışma {seconds} sn önce: gecikti"),
            Self::HandshakeLost { seconds } if en => {
                format!("No handshake for {seconds} s: connection lost")
            }
            Self::HandshakeLost { seconds } => format!("{seconds} saniyedir el sıkışma yok: bağlantı koptu"),
            Self::ReconnectAttempt { attempt: number } => {
                format!("{} {number}", lang.pick("Reconnect attempt", "Yeniden bağlanma denemesi"))
            }
            Self::Reconnected => lang.pick("Reconnected", "Yeniden bağlandı").to_owned(),
            Self::ServiceLost => lang
                .pick(
                    "The exit answers, but nothing comes back from behind it",
                    "Çıkış yanıt veriyor ama ötesinden hiçbir şey geri gelmiyor",
                )
                .to_owned(),
            Self::ServiceBack => lang
                .pick(
                    "Answers come back from behind the exit again",
                    "Çıkışın ötesinden yeniden yanıt geliyor",
                )
                .to_owned(),
            Self::EndpointChanged { endpoint } => {
                format!("{} {endpoint}", lang.pick("Endpoint is now", "Uç nokta artık"))
            }
            Self::ExitSwitched { old, new } if en => format!("Exit switched from {old} to {new}"),
            Self::ExitSwitched { old, new } => format!("Çıkış değişti: {old} → {new}"),
            Self::SessionEnded => lang.pick("Session ended", "Oturum bitti").to_owned(),
        }
    }

    /// The record of it in the log.
    pub fn record(&self, at: Timestamp, exit: ExitName) -> SessionRecord {
        SessionRecord { at, exit, event: self.name().to_owned(), details: self.details() }
    }

    /// The event of a record; `None` for one that this version does not know.
    pub fn of_record(record: &SessionRecord) -> Option<Self> {
        let detail = |key: &str| record.details.as_ref().and_then(|details| details.get(key));
        let seconds = || detail("seconds").and_then(Value::as_u64);
        let text = |key: &str| detail(key).and_then(Value::as_str);
        Some(match record.event.as_str() {
            "session_started" => Self::SessionStarted,
            "handshake_good" => Self::HandshakeGood { seconds: seconds()? },
            "handshake_warning" => Self::HandshakeWarning { seconds: seconds()? },
            "handshake_lost" => Self::HandshakeLost { seconds: seconds()? },
            "reconnect_attempt" => {
                Self::ReconnectAttempt { attempt: u32::try_from(detail("number")?.as_u64()?).ok()? }
            }
            "reconnected" => Self::Reconnected,
            "service_lost" => Self::ServiceLost,
            "service_back" => Self::ServiceBack,
            "endpoint_changed" => Self::EndpointChanged { endpoint: text("endpoint")?.parse().ok()? },
            "exit_switched" => {
                Self::ExitSwitched { old: text("old")?.parse().ok()?, new: text("new")?.parse().ok()? }
            }
            "session_ended" => Self::SessionEnded,
            _ => return None,
        })
    }

    /// The values of the sentence.
    fn details(&self) -> Option<Value> {
        Some(match self {
            Self::HandshakeGood { seconds }
            | Self::HandshakeWarning { seconds }
            | Self::HandshakeLost { seconds } => json!({ "seconds": seconds }),
            Self::ReconnectAttempt { attempt: number } => json!({ "number": number }),
            Self::EndpointChanged { endpoint } => json!({ "endpoint": endpoint }),
            Self::ExitSwitched { old, new } => json!({ "old": old, "new": new }),
            Self::SessionStarted
            | Self::Reconnected
            | Self::ServiceLost
            | Self::ServiceBack
            | Self::SessionEnded => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(SessionEvent, &'static str, &'static str)> {
        let endpoint = "185.213.155.134:51820".parse().unwrap();
        let (old, new) = ("uk".parse().unwrap(), "nl".parse().unwrap());
        vec![
            (SessionEvent::SessionStarted, "Session started", "Oturum başladı"),
            (
                SessionEvent::HandshakeGood { seconds: 4 },
                "Handshake 4 s ago: good",
                "Son el sıkışma 4 sn önce: iyi",
            ),
            (
                SessionEvent::HandshakeWarning { seconds: 140 },
                "Handshake 140 s ago: late",
                "Son el sıkışma 140 sn önce: gecikti",
            ),
            (
                SessionEvent::HandshakeLost { seconds: 181 },
                "No handshake for 181 s: connection lost",
                "181 saniyedir el sıkışma yok: bağlantı koptu",
            ),
            (
                SessionEvent::ReconnectAttempt { attempt: 3 },
                "Reconnect attempt 3",
                "Yeniden bağlanma denemesi 3",
            ),
            (SessionEvent::Reconnected, "Reconnected", "Yeniden bağlandı"),
            (
                SessionEvent::ServiceLost,
                "The exit answers, but nothing comes back from behind it",
                "Çıkış yanıt veriyor ama ötesinden hiçbir şey geri gelmiyor",
            ),
            (
                SessionEvent::ServiceBack,
                "Answers come back from behind the exit again",
                "Çıkışın ötesinden yeniden yanıt geliyor",
            ),
            (
                SessionEvent::EndpointChanged { endpoint },
                "Endpoint is now 185.213.155.134:51820",
                "Uç nokta artık 185.213.155.134:51820",
            ),
            (
                SessionEvent::ExitSwitched { old, new },
                "Exit switched from uk to nl",
                "Çıkış değişti: uk → nl",
            ),
            (SessionEvent::SessionEnded, "Session ended", "Oturum bitti"),
        ]
    }

    #[test]
    fn every_event_round_trips_in_both_languages() {
        for (event, en, tr) in all() {
            assert_eq!((event.sentence(Lang::En).as_str(), event.sentence(Lang::Tr).as_str()), (en, tr));
            let record = event.record(Timestamp::from_micros(1), "uk".parse().unwrap());
            assert_eq!(SessionEvent::of_record(&record), Some(event));
        }
    }

    #[test]
    fn incomplete_record_is_not_guessed() {
        for (event, ..) in all() {
            let record = event.record(Timestamp::from_micros(1), "uk".parse().unwrap());
            let bare = SessionRecord { details: None, ..record.clone() };
            assert_eq!(SessionEvent::of_record(&bare).is_some(), record.details.is_none(), "{event:?}");
            let unknown = SessionRecord { event: format!("{}_x", record.event), ..record };
            assert_eq!(SessionEvent::of_record(&unknown), None);
        }
    }
}
