//! Names for the files that clients load into their WireGuard programs.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::ClientName;

/// Longest name of a file without its ending: wg-quick(8) makes an interface of it, which has 15 characters at most
/// (`IFNAMSIZ` of `linux/if.h` less the terminating NUL), and WireGuard for Android asks the same of a tunnel's name.
const STEM_MAX: usize = 15;
const ENDING: &str = ".conf";

/// Names that Windows keeps for devices, whatever ending stands behind them.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
/// The same with a digit behind it.
const NUMBERED: [&str; 2] = ["com", "lpt"];

/// Names that no interface of wg-quick(8) can have: the kernel refuses the first two (they are folders of
/// `/proc/sys/net/ipv4/conf`), and the loopback interface has the third.
const INTERFACES: [&str; 3] = ["all", "default", "lo"];

/// The name of a file with a client's configuration, ending included: one that every WireGuard program takes, and that no other
/// client of the same server has.
///
/// A name of up to 15 characters stays what it is, unless a system keeps it for something else. Of such a name, and of a longer
/// one, the beginning is kept, and the number of the client follows behind a dot. No client's name has a dot, and no two clients have one number, so that neither the other clients nor their order
/// matter: the file of a client is always called the same. WireGuard's programs allow `=` and `+` as well, which systemd
/// would not take in `wg-quick@NAME`.
///
/// ```
/// use phantom_types::{ClientName, FileName};
///
/// let name: ClientName = "john".parse()?;
/// assert_eq!(FileName::direct(&name, 7).as_str(), "john.conf");
/// let long: ClientName = "sales-department-notebook".parse()?;
/// assert_eq!(FileName::direct(&long, 7).as_str(), "sales-departm.7.conf");
/// assert_eq!(FileName::tunnel(&long, 7).as_str(), "sales-depart.t7.conf");
/// # Ok::<(), phantom_types::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct FileName(String);

impl FileName {
    /// The file for a client that connects directly. `id` is the client's number, which no other client has.
    pub fn direct(name: &ClientName, id: u32) -> Self {
        let text = name.as_str();
        if text.len() <= STEM_MAX && !is_device(text) && !INTERFACES.contains(&text) {
            return Self(format!("{text}{ENDING}"));
        }
        Self::numbered(text, &format!(".{id}"))
    }

    /// The file for the same client inside of a tunnel: on the client's machine both can be there.
    pub fn tunnel(name: &ClientName, id: u32) -> Self {
        Self::numbered(name.as_str(), &format!(".t{id}"))
    }

    /// The beginning of a name, and what tells it from others.
    fn numbered(text: &str, number: &str) -> Self {
        // A client's name is ASCII, so that any place is a boundary.
        let head = &text[..text.len().min(STEM_MAX - number.len())];
        // The names of devices have three letters or more.
        let (head, filler) = if is_device(head) { (&head[..head.len() - 1], "_") } else { (head, "") };
        Self(format!("{head}{filler}{number}{ENDING}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether Windows takes the name, in any case, for that of a device.
fn is_device(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let digit = |rest: &str| matches!(rest.as_bytes(), [b'0'..=b'9']);
    DEVICES.contains(&lower.as_str())
        || NUMBERED.iter().any(|device| lower.strip_prefix(device).is_some_and(digit))
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl JsonSchema for FileName {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "FileName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-zA-Z0-9_.-]{1,15}\\.conf$" })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn named(text: &str) -> ClientName {
        text.parse().unwrap()
    }

    /// What wg-quick(8) takes, and with the same letters WireGuard for Android and for Windows; and what is no unit name of
    /// systemd's without being escaped is left out.
    fn is_taken_everywhere(file: &str) -> bool {
        let Some(stem) = file.strip_suffix(".conf") else { return false };
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let before_dot = stem.split('.').next().unwrap_or_default();
        (1..=STEM_MAX).contains(&stem.len())
            && stem.bytes().all(letter)
            && !stem.starts_with(['.', '-'])
            && !stem.ends_with('.')
            && !is_device(before_dot)
            && !["all", "default", "lo"].contains(&stem)
    }

    #[test]
    fn a_name_that_fits_stays() {
        for (name, direct, tunnel) in [
            ("a", "a.conf", "a.t4000000000.conf"),
            ("a23456789012345", "a23456789012345.conf", "a23.t4000000000.conf"),
            ("a234567890123456", "a234.4000000000.conf", "a23.t4000000000.conf"),
            ("CON", "CO_.4000000000.conf", "CO_.t4000000000.conf"),
            ("lpt1", "lpt_.4000000000.conf", "lpt.t4000000000.conf"),
            ("all", "all.4000000000.conf", "all.t4000000000.conf"),
            ("default", "defa.4000000000.conf", "def.t4000000000.conf"),
            ("lo", "lo.4000000000.conf", "lo.t4000000000.conf"),
            ("lo0", "lo0.conf", "lo0.t4000000000.conf"),
            ("console", "console.conf", "co_.t4000000000.conf"),
        ] {
            let name = named(name);
            let files = [FileName::direct(&name, 4_000_000_000), FileName::tunnel(&name, 4_000_000_000)];
            assert_eq!(files.each_ref().map(FileName::as_str), [direct, tunnel]);
            assert!(files.iter().all(|file| is_taken_everywhere(file.as_str())), "{files:?}");
        }
    }

    #[test]
    fn similar_client_names_have_distinct_files() {
        let mut seen = BTreeSet::new();
        for id in 1..=60_000 {
            let name = named(&format!("customer-of-the-northern-region-{id:06}"));
            for file in [FileName::direct(&name, id), FileName::tunnel(&name, id)] {
                assert!(is_taken_everywhere(file.as_str()), "{file}");
                assert!(seen.insert(file.to_string().to_lowercase()), "{file}");
            }
        }
    }

    proptest! {
        /// Whatever they are called: also where one looks like what another is shortened to.
        #[test]
        fn no_two_clients_have_the_same_file(
            first in "[A-Za-z0-9_][A-Za-z0-9_-]{0,49}", second in "[A-Za-z0-9_][A-Za-z0-9_-]{0,49}",
            one in 1u32.., other in 1u32..,
        ) {
            prop_assume!(!first.eq_ignore_ascii_case(&second) && one != other);
            let (first, second) = (named(&first), named(&second));
            let files = [
                FileName::direct(&first, one),
                FileName::tunnel(&first, one),
                FileName::direct(&second, other),
                FileName::tunnel(&second, other),
            ];
            let names: BTreeSet<String> = files.iter().map(|file| file.to_string().to_lowercase()).collect();
            prop_assert_eq!(names.len(), 4);
            prop_assert!(files.iter().all(|file| is_taken_everywhere(file.as_str())));
        }
    }
}
