//! Sizes and ages in words, as `wg show` prints them.

/// A size in words: `900 B`, `38.02 MiB`; B, KiB, MiB, GiB and TiB, with two decimals above B, rounded half to
/// even as C's `%.2f` rounds an exact value.
pub fn bytes_in_words(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let step = (bytes.ilog2() as usize / 10).min(UNITS.len());
    let unit = 1u128 << (10 * step);
    let scaled = u128::from(bytes) * 100;
    let (floor, rest) = (scaled / unit, scaled % unit);
    let up = rest * 2 > unit || (rest * 2 == unit && floor % 2 == 1);
    let hundredths = floor + u128::from(up);
    format!("{}.{:02} {}", hundredths / 100, hundredths % 100, UNITS[step - 1])
}

/// An age in words: `1 minute, 4 seconds ago`, and `Now` for 0.
///
/// Years (of 365 days), days, hours, minutes and seconds, each only when it is not 0. English in every language,
/// because programs read them (`docs/contract.md`, "Values").
pub fn ago(seconds: u64) -> String {
    const UNITS: [(&str, u64); 5] =
        [("year", 365 * 86_400), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];
    let mut left = seconds;
    let mut words = Vec::new();
    for (unit, length) in UNITS {
        match left / length {
            0 => {}
            1 => words.push(format!("1 {unit}")),
            count => words.push(format!("{count} {unit}s")),
        }
        left %= length;
    }
    if words.is_empty() { "Now".to_owned() } else { format!("{} ago", words.join(", ")) }
}

/// The same in Turkish, from those words: `1 dakika, 4 saniye önce`, and `Şimdi`. Other words stay what they are.
pub fn ago_in_turkish(words: &str) -> String {
    if words == "Now" {
        return "Şimdi".to_owned();
    }
    let part = |part: &str| {
        let (count, unit) = part.split_once(' ')?;
        let unit = match unit.strip_suffix('s').unwrap_or(unit) {
            "year" => "yıl",
            "day" => "gün",
            "hour" => "saat",
            "minute" => "dakika",
            "second" => "saniye",
            _ => return None,
        };
        count.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{count} {unit}"))
    };
    let parts: Option<Vec<String>> =
        words.strip_suffix(" ago").and_then(|all| all.split(", ").map(part).collect());
    parts.map_or_else(|| words.to_owned(), |parts| format!("{} önce", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ages_in_turkish_words() {
        for (words, turkish) in [
            ("Now", "Şimdi"),
            ("1 second ago", "1 saniye önce"),
            ("1 minute, 4 seconds ago", "1 dakika, 4 saniye önce"),
            ("2 years, 2 days, 2 hours ago", "2 yıl, 2 gün, 2 saat önce"),
            ("N/A", "N/A"),
            ("long ago", "long ago"),
        ] {
            assert_eq!(ago_in_turkish(words), turkish);
        }
    }

    #[test]
    fn sizes_in_words() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1152, "1.12 KiB"), // 1.125: half to even
            (1408, "1.38 KiB"), // 1.375: half to even
            (1_048_575, "1024.00 KiB"),
            (1_048_576, "1.00 MiB"),
            (39_866_860, "38.02 MiB"),
            (1 << 30, "1.00 GiB"),
            (1 << 40, "1.00 TiB"),
            (1 << 50, "1024.00 TiB"),
            (u64::MAX, "16777216.00 TiB"),
        ];
        for (bytes, words) in cases {
            assert_eq!(bytes_in_words(bytes), words, "{bytes}");
        }
    }

    #[test]
    fn ages_in_words() {
        let cases = [
            (0, "Now"),
            (1, "1 second ago"),
            (64, "1 minute, 4 seconds ago"),
            (120, "2 minutes ago"),
            (3_601, "1 hour, 1 second ago"),
            (2 * 31_536_000 + 2 * 86_400 + 7_200 + 121, "2 years, 2 days, 2 hours, 2 minutes, 1 second ago"),
            (31_536_000, "1 year ago"),
            (31_535_999, "364 days, 23 hours, 59 minutes, 59 seconds ago"),
        ];
        for (seconds, words) in cases {
            assert_eq!(ago(seconds), words, "{seconds}");
        }
    }

    proptest! {
        /// The floating-point form that `wg` computes; the division is exact below 2^53.
        #[test]
        fn sizes_match_floating_point_division(bytes in 1024u64..(1 << 53)) {
            #[expect(clippy::cast_precision_loss, reason = "the range is exact")]
            let value = bytes as f64;
            let (unit, name) = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
                .into_iter().find(|unit| bytes >= unit.0).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "a power of two")]
            let value = value / unit as f64;
            prop_assert_eq!(bytes_in_words(bytes), format!("{value:.2} {name}"));
        }

        #[test]
        fn every_age_has_words(seconds: u64) {
            prop_assert!(ago(seconds).ends_with("ago") || seconds == 0);
            prop_assert!(ago_in_turkish(&ago(seconds)).ends_with("önce") || seconds == 0);
        }
    }
}
