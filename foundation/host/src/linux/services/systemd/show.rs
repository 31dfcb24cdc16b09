//! What `systemctl` and `journalctl` print.

use phantom_types::Timestamp;

use crate::{HostError, Result, ServiceState, ServiceStatus};

/// The properties that a status is made of.
pub(super) const PROPERTIES: [&str; 6] =
    ["ActiveState", "SubState", "Job", "MainPID", "ActiveEnterTimestamp", "UnitFileState"];

/// The status in the output of `systemctl show --timestamp=us+utc`.
pub(super) fn status(text: &str) -> Result<ServiceStatus> {
    let shown = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let property = |name: &str| {
        shown(name).ok_or_else(|| HostError::unexpected(format!("systemctl does not show {name}")))
    };
    let state = match property("ActiveState")? {
        "active" | "reloading" | "refreshing" => ServiceState::Active,
        // It has ended with an error, and waits for the end of the pause before it is started again.
        "activating" if shown("SubState") == Some("auto-restart") => ServiceState::Failed,
        "activating" => ServiceState::Starting,
        "deactivating" => ServiceState::Stopping,
        // Something is to be done with it (shown only then), and what does not run can only be started: at boot it waits
        // for those that it is ordered after.
        _ if shown("Job").is_some_and(|job| !matches!(job, "" | "0")) => ServiceState::Starting,
        "failed" => ServiceState::Failed,
        _ => ServiceState::Inactive,
    };
    // The time stays when the unit has ended.
    let started_at = timestamp(property("ActiveEnterTimestamp")?).filter(|_| state == ServiceState::Active);
    Ok(ServiceStatus {
        pid: property("MainPID")?.parse().ok().filter(|pid| *pid != 0),
        started_at,
        // `enabled-runtime` is gone with the next boot.
        enabled: property("UnitFileState")? == "enabled",
        state,
    })
}

/// Whether the service ended with an error and waits for the end of a pause: one that is started then is started behind that
/// pause.
pub(super) fn pauses(text: &str) -> bool {
    text.lines().any(|line| line == "SubState=auto-restart")
}

/// The version in `systemd 252 (252.39-1~deb12u1)`.
pub(super) fn version(text: &str) -> Option<u32> {
    text.split_whitespace().nth(1)?.split(['.', '~', '-']).next()?.parse().ok()
}

/// The lines of a journal; what it says about itself (`-- No entries --`, `-- Boot 4f... --`) is no log line.
pub(super) fn log_lines(text: &str) -> Vec<String> {
    let own = |line: &&str| line.starts_with("-- ") && line.ends_with(" --");
    text.lines().filter(|line| !line.is_empty() && !own(line)).map(str::to_owned).collect()
}

/// `Tue 2025-09-09 01:11:47.123456 UTC`; `None` for a time that never was (empty, or `n/a`).
fn timestamp(text: &str) -> Option<Timestamp> {
    let mut words = text.split(' ').skip(1);
    let (date, time) = (words.next()?, words.next()?);
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let days = days_from_civil(date.next()??, date.next()??, date.next()??)?;
    let seconds = days * 86_400 + clock.next()?? * 3_600 + clock.next()?? * 60 + clock.next()??;
    Some(Timestamp::from_micros(seconds * 1_000_000 + micros))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719468 days lie between 0000-03-01 and 1970-01-01.
    Some(year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::{days_from_civil, log_lines, status, timestamp, version};
    use crate::ServiceState;

    #[test]
    fn a_running_daemon() {
        // systemd 252 of Debian 12, `--timestamp=us+utc`.
        let text = "MainPID=812\nActiveEnterTimestamp=Tue 2025-09-09 01:11:47.123456 UTC\nActiveState=active\nUnitFileState=enabled\n";
        let seen = status(text).unwrap();
        assert_eq!((seen.state, seen.pid, seen.enabled), (ServiceState::Active, Some(812), true));
        assert_eq!(seen.started_at.unwrap().service_manager_form(), "Tue 2025-09-09 01:11:47 UTC");
        assert_eq!(seen.started_at.unwrap().micros() % 1_000_000, 123_456);
    }

    #[test]
    fn other_states() {
        let state = |active: &str| {
            let text = format!("MainPID=0\nActiveEnterTimestamp=\nActiveState={active}\nUnitFileState=\n");
            let seen = status(&text).unwrap();
            assert_eq!((seen.pid, seen.started_at, seen.enabled), (None, None, false));
            seen.state
        };
        assert_eq!(state("inactive"), ServiceState::Inactive);
        assert_eq!(state("failed"), ServiceState::Failed);
        assert_eq!(state("activating"), ServiceState::Starting);
        assert_eq!(state("activating\nSubState=start-post"), ServiceState::Starting);
        assert_eq!(state("activating\nSubState=auto-restart"), ServiceState::Failed);
        assert_eq!(state("deactivating"), ServiceState::Stopping);
        assert_eq!(state("reloading"), ServiceState::Active);
        assert_eq!(state("maintenance"), ServiceState::Inactive);
        // A unit whose turn comes, systemd 252 of Debian 12.
        let due = "Job=77\nMainPID=0\nActiveEnterTimestamp=\nActiveState=inactive\nUnitFileState=enabled\n";
        assert_eq!(status(due).unwrap().state, ServiceState::Starting);
        // A unit that has ended keeps the time of its last start.
        let ended = "MainPID=0\nActiveEnterTimestamp=Tue 2025-09-09 01:11:47 UTC\nActiveState=failed\nUnitFileState=disabled\n";
        assert_eq!(status(ended).unwrap().started_at, None);
        assert!(status("MainPID=0\n").is_err());
    }

    #[test]
    fn dates_are_counted() {
        assert_eq!(days_from_civil(1970, 1, 1), Some(0));
        assert_eq!(days_from_civil(2000, 2, 29), Some(11_016));
        assert_eq!(days_from_civil(2000, 3, 1), Some(11_017));
        assert_eq!(days_from_civil(2100, 3, 1), Some(47_541));
        assert_eq!(timestamp("Thu 1970-01-01 00:00:01 UTC").unwrap().micros(), 1_000_000);
        assert_eq!(timestamp("Thu 1970-01-01 00:00:00.5 UTC").unwrap().micros(), 500_000);
        for wrong in
            ["", "n/a", "0", "Tue 2025-13-09 01:11:47 UTC", "Tue 2025-09 01:11:47 UTC", "Tue x-y-z a:b:c UTC"]
        {
            assert_eq!(timestamp(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(version("systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT"), Some(252));
        assert_eq!(version("systemd 257.9 (257.9-1)"), Some(257));
        assert_eq!(version("systemd 256~rc3 (256~rc3)"), Some(256));
        assert_eq!(version(""), None);
    }

    #[test]
    fn journal_own_lines_are_not_log_lines() {
        let text = "-- Boot 4f1cbb2b6ac54a6d8b3f7e0f1d2c3b4a --\nSep 09 01:11:47 vpn wg-quick[812]: [#] ip link\n-- No entries --\n\n-- Journal begins at Tue 2025-09-09 --\n";
        assert_eq!(log_lines(text), ["Sep 09 01:11:47 vpn wg-quick[812]: [#] ip link"]);
        assert!(log_lines("").is_empty());
    }
}
