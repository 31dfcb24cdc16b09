//! What `nft -a -t list ruleset` prints, as far as the JSON does not say it: the rules as people write them, the
//! interfaces of ingress chains, and flags.

use std::collections::{HashMap, HashSet};

/// The listing, by tables and chains.
#[derive(Default)]
pub(super) struct Texts<'a> {
    rules: HashMap<(String, String, u64), &'a str>,
    devices: HashMap<(String, String), Vec<String>>,
    dormant: HashSet<String>,
}

impl<'a> Texts<'a> {
    pub(super) fn read(listing: &'a str) -> Self {
        let mut texts = Self::default();
        let (mut table, mut chain) = (String::new(), None);
        for line in listing.lines() {
            // The depth tells what it is: names may be any text, and rules hold braces.
            let (content, handle) = split_handle(line.trim_start_matches('\t'));
            match line.len() - line.trim_start_matches('\t').len() {
                0 => {
                    if let Some(name) = opened(content, "table ") {
                        (table, chain) = (name.to_owned(), None);
                    }
                }
                1 => {
                    chain = opened(content, "chain ").map(str::to_owned);
                    if content.strip_prefix("flags ").is_some_and(|flags| flags.contains("dormant")) {
                        texts.dormant.insert(table.clone());
                    }
                }
                _ => {
                    let Some(chain) = &chain else { continue };
                    let place = (table.clone(), chain.clone());
                    if let Some(handle) = handle {
                        texts.rules.insert((place.0, place.1, handle), content);
                    } else if content.starts_with("type ")
                        && let Some(devices) = devices(content)
                    {
                        texts.devices.insert(place, devices);
                    }
                }
            }
        }
        texts
    }

    pub(super) fn rule(&self, table: &str, chain: &str, handle: u64) -> Option<&'a str> {
        self.rules.get(&(table.to_owned(), chain.to_owned(), handle)).copied()
    }
    pub(super) fn devices(&self, table: &str, chain: &str) -> Option<Vec<String>> {
        self.devices.get(&(table.to_owned(), chain.to_owned())).cloned()
    }
    pub(super) fn dormant(&self, table: &str) -> bool {
        self.dormant.contains(table)
    }
}

/// The name in `table inet filter {` or `chain input {`.
fn opened<'a>(content: &'a str, word: &str) -> Option<&'a str> {
    content.strip_prefix(word)?.trim_end().strip_suffix('{').map(str::trim_end)
}

/// A line without `# handle 7` at its end, and that number.
fn split_handle(line: &str) -> (&str, Option<u64>) {
    let split = line.rsplit_once("# handle ").and_then(|(content, handle)| {
        let handle = handle.trim_end().parse().ok()?;
        Some((content.trim_end(), Some(handle)))
    });
    split.unwrap_or((line, None))
}

/// The interfaces in `type filter hook ingress devices = { eth0, eth1 } priority 0; policy accept;`.
fn devices(content: &str) -> Option<Vec<String>> {
    let name = |name: &str| name.trim().trim_matches('"').to_owned();
    if let Some((_, rest)) = content.split_once(" devices = {") {
        return Some(rest.split('}').next()?.split(',').map(name).collect());
    }
    let (_, rest) = content.split_once(" device ")?;
    Some(vec![name(rest.split(' ').next()?)])
}

#[cfg(test)]
mod tests {
    use super::Texts;

    const LISTING: &str = "table inet t { # handle 1\n\tflags owner,dormant\n\n\tset s { # handle 3\n\t\ttype ipv4_addr\n\t}\n
\tchain input { # handle 2\n\t\ttype filter hook input priority filter; policy drop;\n\
\t\ttcp dport { 22, 80 } accept comment \"a # handle 9\" # handle 5\n\t}\n\
\tchain i { # handle 4\n\t\ttype filter hook ingress devices = { eth0, \"eth1\" } priority 0; policy accept;\n\t}\n\
\tchain j { # handle 6\n\t\ttype filter hook ingress device \"lo\" priority 0; policy accept;\n\t}\n}\n";

    #[test]
    fn rules_devices_and_flags_are_found() {
        let texts = Texts::read(LISTING);
        let rule = texts.rule("inet t", "input", 5);
        assert_eq!(rule, Some("tcp dport { 22, 80 } accept comment \"a # handle 9\""));
        assert_eq!(texts.rule("inet t", "input", 3), None);
        assert_eq!(texts.devices("inet t", "i"), Some(vec!["eth0".into(), "eth1".into()]));
        assert_eq!(texts.devices("inet t", "j"), Some(vec!["lo".into()]));
        assert!(texts.dormant("inet t") && texts.devices("inet t", "input").is_none());
    }
}
