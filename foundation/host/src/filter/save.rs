//! What `iptables-save` and `ip6tables-save` print, of both variants.

mod matches;
mod targets;

use super::tree::{Base, FilterAction, Rule, Statement, Table, Version};
use super::{BaseChain, FilterFamily, FilterHook, FilterProgram, Filters, TableId};
use matches::Matches;

impl Filters {
    /// Reads the tables of one variant of iptables and one family: what `iptables-save` (or with `ipv6`,
    /// `ip6tables-save`) prints. Lines that are not understood make what depends on them unknown.
    pub fn read_iptables(text: &str, program: FilterProgram, ipv6: bool) -> Self {
        let family = if ipv6 { FilterFamily::Ip6 } else { FilterFamily::Ip };
        let mut filters = Self::new();
        let mut table: Option<Table> = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = Some(Table::new(TableId { program, family, name: name.trim().to_owned() }));
            } else if line.trim_end() == "COMMIT" {
                filters.tables.extend(table.take());
            } else if let Some(table) = &mut table {
                add(table, line);
            }
        }
        filters
    }
}

fn add(table: &mut Table, line: &str) {
    if let Some(chain) = line.strip_prefix(':') {
        let mut words = chain.split(' ');
        let (name, policy) = (words.next().unwrap_or_default(), words.next().unwrap_or("-"));
        let base = base(&table.id, name, policy);
        table.chain(name).base = base;
        return;
    }
    let line = without_counters(line);
    let Some(rest) = line.strip_prefix("-A ") else { return };
    let (chain, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let version = if table.id.family == FilterFamily::Ip6 { Version::V6 } else { Version::V4 };
    let steps = steps(rest, version);
    table.chain(chain).rules.push(Rule { handle: None, text: line.to_owned(), steps });
}

/// `iptables-save -c` puts `[packets:bytes]` in front.
fn without_counters(line: &str) -> &str {
    let counted = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    counted.map_or(line, |(_, rule)| rule)
}

/// What makes a chain of iptables a base chain: its name, in its table.
fn base(table: &TableId, name: &str, policy: &str) -> Option<Base> {
    if policy == "-" {
        return None;
    }
    let hook = FilterHook::of_name(&name.to_ascii_lowercase())?;
    let nat = table.name == "nat";
    let chain = BaseChain {
        table: table.clone(),
        name: name.to_owned(),
        hook,
        priority: priority(&table.name, hook),
        policy_drop: policy == "DROP",
    };
    Some(Base { chain, nat, devices: None })
}

/// Of `linux/netfilter_ipv4.h`.
fn priority(table: &str, hook: FilterHook) -> i64 {
    match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", FilterHook::Prerouting | FilterHook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    }
}

/// The steps of a rule, from the words after its chain.
fn steps(rule: &str, version: Version) -> Vec<Statement> {
    let words = words(rule);
    let (mut steps, rest) = Matches::new(version).read(&words);
    match rest {
        [jump, target, options @ ..] => {
            let goto = jump == "-g" || jump == "--goto";
            targets::add(&mut steps, target, options, goto);
        }
        // It counts, and does nothing.
        [] => {}
        [_] => steps.push(Statement::Do(FilterAction::Unknown)),
    }
    steps
}

/// The words of a line. Quotes hold one together, a backslash takes the next character as it is.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => (quoted, begun) = (!quoted, true),
            '\\' if quoted => word.extend(characters.next()),
            blank if blank.is_whitespace() && !quoted => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            other => word.push(other),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

/// A value with its mask, as in `0x5/0xff`.
fn masked(text: &str) -> Option<(u128, u128)> {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    Some((super::names::number(value)?, super::names::number(mask)?))
}

/// The value of the option of this name.
fn option<'a>(options: &'a [String], name: &str) -> Option<&'a str> {
    options.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1].as_str())
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn quotes_hold_words_together() {
        let line = r#"-m comment --comment "a \"quoted\\ thing\" here" -j LOG --log-prefix "" -x"#;
        let expected = [
            "-m",
            "comment",
            "--comment",
            r#"a "quoted\ thing" here"#,
            "-j",
            "LOG",
            "--log-prefix",
            "",
            "-x",
        ];
        assert_eq!(words(line), expected);
    }
}
