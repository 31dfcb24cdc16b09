//! The scripts for tables of others, on captured listings.

use super::super::nft::{Listing, NftTable, TableFamily};
use super::super::rules::NormalizedRule;
use super::super::samples::{CAPTURED, captured};
use super::{ForeignAccepts, ForeignPlan, is_word};
use crate::{Hook, Match, OwnershipTags, RulesetRule, Verdict};

fn accepts() -> Vec<NormalizedRule> {
    let accept = |matches| RulesetRule { hook: Hook::Forward, order: 1, matches, verdict: Verdict::Accept };
    let from = Match::From { network: "10.8.0.0/24".parse().unwrap(), not: false };
    let input = Match::In { interface: "wg_main".into(), not: false };
    [vec![Match::Established], vec![input.clone(), from], vec![input, Match::Ipv6]]
        .into_iter()
        .map(|matches| NormalizedRule::from_rule(&accept(matches)).unwrap().unwrap())
        .collect()
}

fn ours() -> ForeignAccepts {
    ForeignAccepts::for_forward(&OwnershipTags::new(None))
}

fn iptables() -> NftTable {
    NftTable { family: TableFamily::Ip, table: "filter".into() }
}

fn not_these() -> std::collections::BTreeSet<NftTable> {
    [NftTable::own("phantom_wg".into()), iptables()].into()
}

const FILL: &str = "\
add chain inet filter phantom_wg_forward
flush chain inet filter phantom_wg_forward
add rule inet filter phantom_wg_forward ct state established,related accept comment \"phantom-wg 8ec0115e\"
add rule inet filter phantom_wg_forward iifname \"wg_main\" ip saddr 10.8.0.0/24 accept comment \"phantom-wg 4d2a5cb9\"
add rule inet filter phantom_wg_forward meta nfproto ipv6 iifname \"wg_main\" accept comment \"phantom-wg fc18893e\"
";
const INSERT: &str = "insert rule inet filter forward jump phantom_wg_forward comment \"phantom-wg\"\n";

/// The captured listing with the rules of [`FILL`] in place, and these rules in front of `forward`.
fn filled(front: &str) -> Listing {
    let table = |chain: &str, comment: &str, handle: u32, expr: &str| {
        format!(
            "{{\"rule\": {{\"family\": \"inet\", \"table\": \"filter\", \"chain\": \"{chain}\", \"handle\": {handle}, \"comment\": \"{comment}\", \"expr\": [{expr}]}}}},\n"
        )
    };
    let meta = |key: &str, name: &str| {
        format!(
            "{{\"match\": {{\"op\": \"==\", \"left\": {{\"meta\": {{\"key\": \"{key}\"}}}}, \"right\": \"{name}\"}}}}"
        )
    };
    let state = "{\"match\": {\"op\": \"in\", \"left\": {\"ct\": {\"key\": \"state\"}}, \"right\": [\"established\", \"related\"]}}";
    let from = "{\"match\": {\"op\": \"==\", \"left\": {\"payload\": {\"protocol\": \"ip\", \"field\": \"saddr\"}}, \"right\": {\"prefix\": {\"addr\": \"10.8.0.0\", \"len\": 24}}}}";
    let accept = "{\"accept\": null}";
    let chain = "phantom_wg_forward";
    let mut more = String::new();
    for (at, word) in front.split_whitespace().enumerate() {
        let handle = 70 + u32::try_from(at).unwrap();
        let (comment, target) = match word {
            "jump" => ("phantom-wg", chain),
            "unmarked" => ("", chain),
            "sibling" => ("phantom-wg-test", "phantom_wg_test_forward"),
            _ => ("", "vpn"),
        };
        more += &table("forward", comment, handle, &format!("{{\"jump\": {{\"target\": \"{target}\"}}}}"));
    }
    more += &table(chain, "phantom-wg 8ec0115e", 80, &format!("{state}, {accept}"));
    more += &table(
        chain,
        "phantom-wg 4d2a5cb9",
        81,
        &format!("{}, {from}, {accept}", meta("iifname", "wg_main")),
    );
    more += &table(
        chain,
        "phantom-wg fc18893e",
        82,
        &format!("{}, {}, {accept}", meta("nfproto", "ipv6"), meta("iifname", "wg_main")),
    );
    let before = "{\"rule\": {\"family\": \"inet\", \"table\": \"filter\", \"chain\": \"forward\"";
    Listing::parse(CAPTURED[0].replacen(before, &format!("{more}{before}"), 1).as_bytes()).unwrap()
}

#[test]
fn accepts_are_repeated_where_forwarding_is_dropped() {
    for listing in captured() {
        let plan = ours().plan(&listing, &not_these(), &accepts());
        assert_eq!(plan, ForeignPlan { present: false, script: format!("{FILL}{INSERT}") });
    }
}

#[test]
fn what_is_right_is_left_alone() {
    for front in ["jump", "sibling jump", "jump vpn"] {
        let plan = ours().plan(&filled(front), &not_these(), &accepts());
        assert_eq!(plan, ForeignPlan { present: true, script: String::new() }, "{front}");
    }
}

#[test]
fn what_is_wrong_is_put_right() {
    let script = |front| ours().plan(&filled(front), &not_these(), &accepts()).script;
    let delete = |handle| format!("delete rule inet filter forward handle {handle}\n");
    assert_eq!(script(""), INSERT);
    assert_eq!(script("vpn jump"), format!("{}{INSERT}", delete(71)));
    assert_eq!(script("unmarked"), format!("{}{INSERT}", delete(70)));
    assert_eq!(script("jump jump"), format!("{}{}{INSERT}", delete(70), delete(71)));
    // Other rules than those in the chain.
    let fewer = ours().plan(&filled("jump"), &not_these(), &accepts()[..1]);
    assert!(
        fewer.script.starts_with("add chain inet filter phantom_wg_forward\nflush chain"),
        "{}",
        fewer.script
    );
    assert_eq!(fewer.script.lines().count(), 3);
}

#[test]
fn nothing_wanted_leaves_nothing() {
    let gone = "flush chain inet filter phantom_wg_forward\ndelete chain inet filter phantom_wg_forward\n";
    let plan = ours().plan(&filled("jump"), &not_these(), &[]);
    assert_eq!(
        plan,
        ForeignPlan { present: true, script: format!("delete rule inet filter forward handle 70\n{gone}") }
    );
    for listing in captured() {
        assert_eq!(ours().plan(&listing, &not_these(), &[]), ForeignPlan::default());
    }
    // A table that has been opened meanwhile needs us no longer.
    let mut open = filled("jump");
    let place = NftTable { family: TableFamily::Inet, table: "filter".into() };
    open.tables.get_mut(&place).unwrap().chains.get_mut("forward").unwrap().open_for_test();
    assert!(ours().plan(&open, &not_these(), &accepts()).script.ends_with(gone));
}

#[test]
fn table_of_one_family_gets_its_rules() {
    for listing in captured() {
        let own = [NftTable::own("phantom_wg".into())].into();
        let script = ours().plan(&listing, &own, &accepts()).script;
        assert!(script.contains(
            "add rule ip filter phantom_wg_forward iifname \"wg_main\" ip saddr 10.8.0.0/24 accept"
        ));
        assert!(
            script.contains("insert rule ip filter FORWARD jump phantom_wg_forward comment \"phantom-wg\"\n")
        );
        assert!(!script.contains("ip filter phantom_wg_forward meta nfproto"), "{script}");
    }
}

#[test]
fn names_unsafe_for_nft_are_left_alone() {
    assert!(is_word("filter_FORWARD") && is_word("a-b.c/d") && is_word("DOCKER-USER"));
    for name in ["", "1a", "a b", "a;b", "a\"", "a{", "-a", "ü", "a\nflush ruleset"] {
        assert!(!is_word(name), "{name:?}");
    }
}
