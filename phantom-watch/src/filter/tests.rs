//! Messages of the kernel, by hand.

use super::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn filter() -> WatchedFilter {
    WatchedFilter {
        table: Some("phantom_wg".to_owned()),
        marks: vec!["PHANTOM-WG".to_owned(), "phantom_wg_forward".to_owned()],
        generation: Some(1),
        legacy: Vec::new(),
    }
}

/// What is told of these chains and rules, each by its family and its attributes.
fn print(chains: &[(u8, Attributes<'_>)], rules: &[(u8, Attributes<'_>)]) -> Print {
    let filter = filter();
    let mut reader = Reader::new(&filter);
    for (family, attributes) in chains {
        let (message, attributes) = message(*family, attributes);
        reader.chain(&message, &attributes);
    }
    for (family, attributes) in rules {
        let (message, attributes) = message(*family, attributes);
        reader.rule(&message, &attributes);
    }
    reader.print()
}

/// Ours of one chain or rule.
fn told(kind: MessageKind, family: u8, attributes: Attributes<'_>) -> Option<Vec<u8>> {
    let one = [(family, attributes)];
    let print = if kind == MessageKind::Chain { print(&one, &[]) } else { print(&[], &one) };
    print.ours.first().cloned()
}

#[derive(Clone, Copy, PartialEq)]
enum MessageKind {
    Chain,
    Rule,
}

type Attributes<'a> = &'a [(u16, &'a [u8])];

/// A base chain named `name` in the table `filter`.
fn base(name: &'static [u8], number: u32, kind: &'static [u8]) -> Vec<(u16, Vec<u8>)> {
    let hook = attribute(HOOK_NUMBER, &number.to_be_bytes());
    vec![(1, b"filter\0".to_vec()), (3, name.to_vec()), (4, hook), (7, kind.to_vec())]
}

/// A rule of this handle in a chain of the table `filter`, with an expression.
fn in_chain(chain: &[u8], handle: u64, expression: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let list = attribute(1, expression);
    vec![(1, b"filter\0".to_vec()), (2, chain.to_vec()), (3, handle.to_be_bytes().to_vec()), (4, list)]
}

fn expression(name: &[u8], data: &[u8]) -> Vec<u8> {
    [attribute(1, name), attribute(2, data)].concat()
}

fn jump(to: &[u8]) -> Vec<u8> {
    let verdict = attribute(2, &[attribute(1, &(-3_i32).to_be_bytes()), attribute(2, to)].concat());
    expression(b"immediate\0", &[attribute(1, &[0; 4]), attribute(2, &verdict)].concat())
}

fn borrowed(attributes: &[(u16, Vec<u8>)]) -> Vec<(u16, &[u8])> {
    attributes.iter().map(|(kind, value)| (*kind, value.as_slice())).collect()
}

fn message(family: u8, attributes: &[(u16, &[u8])]) -> (Vec<u8>, Vec<u8>) {
    let attributes: Vec<u8> = attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect();
    let mut message = vec![0; HEADER + FAMILY_HEADER];
    message[HEADER] = family;
    message.extend(&attributes);
    (message, attributes)
}

#[test]
fn own_objects_are_told_from_others() {
    let handle = 7_u64.to_be_bytes();
    let rule = |table: &'static [u8], chain: &'static [u8]| [(1, table), (2, chain)];
    let told = |family, attributes: &[(u16, &[u8])]| told(MessageKind::Rule, family, attributes);
    assert!(told(INET, &rule(b"phantom_wg\0", b"forward\0")).is_some());
    assert_eq!(told(2, &rule(b"phantom_wg\0", b"forward\0")), None, "a table of another family");
    assert_eq!(told(INET, &rule(b"filter\0", b"forward\0")), None);
    assert_eq!(told(INET, &rule(b"phantom_wg2\0", b"forward\0")), None);
    assert!(told(2, &rule(b"filter\0", b"PHANTOM-WG-FORWARD\0")).is_some());
    // A jump to a chain of ours is in what the rule does.
    let jump = |to: &'static [u8]| [(1, &b"filter\0"[..]), (2, b"FORWARD\0"), (3, &handle), (4, to)];
    assert!(told(2, &jump(b"..PHANTOM-WG-FORWARD\0")).is_some());
    assert!(told(INET, &jump(b"..phantom_wg_forward\0")).is_some());
}

#[test]
fn other_rule_in_same_place_differs() {
    let rule = |handle: u64, before: u64| {
        let (handle, before) = (handle.to_be_bytes(), before.to_be_bytes());
        let attributes = [(1, &b"phantom_wg\0"[..]), (2, b"forward\0"), (3, &handle), (6, &before)];
        told(MessageKind::Rule, INET, &attributes).unwrap()
    };
    assert_eq!(rule(7, 6), rule(7, 6));
    assert_ne!(rule(7, 6), rule(8, 6));
    assert_ne!(rule(7, 6), rule(7, 5), "another one was put before it");
}

#[test]
fn dropping_chain_counts_whoever_made_it() {
    let number = |hook: u32| attribute(HOOK_NUMBER, &hook.to_be_bytes());
    let chain = |hook: u32, policy: u32| {
        let (hook, policy) = (number(hook), policy.to_be_bytes());
        told(MessageKind::Chain, 2, &[(1, b"filter\0"), (3, b"FORWARD\0"), (4, &hook), (5, &policy)])
    };
    assert!(chain(FORWARD, 1).is_some());
    assert_ne!(chain(FORWARD, 0), chain(FORWARD, 1));
    assert_eq!(chain(3, 0), None, "nothing comes to the chain of what the host sends");
}

/// The handles of the rules that are told of, one byte each, with a door of this kind named `in`.
fn counted(number: u32, kind: &'static [u8], rules: &[Vec<(u16, Vec<u8>)>]) -> Vec<u8> {
    let door = base(b"in\0", number, kind);
    // Another one, where packets do not come for this host.
    let out = base(b"out\0", 3, b"filter\0");
    let (door, out) = (borrowed(&door), borrowed(&out));
    let rules: Vec<_> = rules.iter().map(|rule| borrowed(rule)).collect();
    let rules: Vec<(u8, Attributes<'_>)> = rules.iter().map(|rule| (2, rule.as_slice())).collect();
    let print = print(&[(2, &door), (2, &out)], &rules);
    assert!(print.ours.is_empty(), "it is nothing of ours");
    let handle = |entry: &Vec<u8>| entry[entry.len() - 2];
    let mut found: Vec<u8> = print.doors.iter().filter(|entry| entry[0] == b'r').map(handle).collect();
    found.sort_unstable();
    found
}

#[test]
fn port_closing_rule_counts_whoever_made_it() {
    let drops = expression(b"immediate\0", &[]);
    let rule = || [in_chain(b"in\0", 7, &drops)];
    for (number, counts) in [(0, true), (1, true), (3, false)] {
        assert_eq!(counted(number, b"filter\0", &rule()) == [7], counts, "{number}");
    }
    // What it sends elsewhere no accept takes back.
    assert_eq!(counted(0, b"nat\0", &rule()), [0; 0]);
}

#[test]
fn rules_of_reached_chains_count_too() {
    let drops = || expression(b"immediate\0", &[]);
    let mut rules = vec![
        in_chain(b"deep\0", 3, &drops()),
        in_chain(b"first\0", 2, &jump(b"deep\0")),
        in_chain(b"in\0", 1, &jump(b"first\0")),
        in_chain(b"elsewhere\0", 4, &drops()),
        in_chain(b"out\0", 5, &jump(b"elsewhere\0")),
    ];
    assert_eq!(counted(1, b"filter\0", &rules), [1, 2, 3]);
    // A circle, which no kernel takes, ends.
    rules.push(in_chain(b"deep\0", 6, &jump(b"first\0")));
    assert_eq!(counted(1, b"filter\0", &rules), [1, 2, 3, 6]);
    // Where a map says where they go on, it may be any chain that the kernel does not ask by itself.
    let map = expression(b"lookup\0", &[attribute(1, b"map\0"), attribute(3, &[0; 4])].concat());
    rules.push(in_chain(b"in\0", 7, &map));
    assert_eq!(counted(1, b"filter\0", &rules), [1, 2, 3, 4, 6, 7]);
    let set = expression(b"lookup\0", &[attribute(1, b"set\0"), attribute(2, &[1; 4])].concat());
    rules.pop();
    rules.push(in_chain(b"in\0", 7, &set));
    assert_eq!(counted(1, b"filter\0", &rules), [1, 2, 3, 6, 7]);
}

#[test]
fn dormant_or_recreated_table_differs() {
    let filter = filter();
    let table = |family, flags: u32, handle: u64| {
        let (flags, handle) = (flags.to_be_bytes(), handle.to_be_bytes());
        let mut reader = Reader::new(&filter);
        reader.tables.insert((INET, b"phantom_wg".to_vec()));
        let (message, attributes) = message(family, &[(1, b"phantom_wg\0"), (2, &flags), (4, &handle)]);
        reader.table(&message, &attributes);
        reader.print().ours.pop_first()
    };
    assert!(table(INET, 0, 3).is_some());
    assert_ne!(table(INET, 0, 3), table(INET, 1, 3));
    assert_ne!(table(INET, 0, 3), table(INET, 0, 4));
    assert_eq!(table(2, 0, 3), None);
    let chain = |policy: u32| {
        told(MessageKind::Chain, INET, &[(1, b"phantom_wg\0"), (3, b"forward\0"), (5, &policy.to_be_bytes())])
    };
    assert_ne!(chain(0), chain(1));
}
