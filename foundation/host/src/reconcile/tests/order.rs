//! What holds behind every single step, wherever one comes from and goes to.

use ipnetwork::IpNetwork;

use super::*;

/// What is wanted with these ways to exits: interfaces of their own, each with an address, of which nothing comes in.
fn with_exits(context: &ApplyContext<'_>, backend: Backend, exits: &[(&str, &str)]) -> DesiredState {
    let mut wanted = wanted(context.host, context.tags, backend, &[1]);
    for (link, address) in exits {
        let name: InterfaceName = link.parse().unwrap();
        let address: IpNetwork = address.parse().unwrap();
        let mut one = wanted.interfaces[&super::name()].clone();
        one.addresses = BTreeSet::from([address]);
        one.unit.name = format!("wg-quick@{name}");
        if let UnitKind::Daemon { run, .. } = &mut one.unit.kind {
            run.args = vec![name.to_string()];
        }
        one.device.listen_port = None;
        wanted.interfaces.insert(name, one);
        let there = Match::In { interface: (*link).to_owned(), not: false };
        wanted.firewall.add(Hook::Prerouting, 5, vec![there], Verdict::Drop);
        let rule = wanted.rules.first().unwrap().clone();
        wanted.rules.insert(PolicyRule { from: Some(address), ..rule });
    }
    wanted
}

/// That nothing that comes in by a way to an exit is answered, and that whatever has our address there has its own way.
fn is_closed(context: &ApplyContext<'_>, fake: &FakeHost, behind: &str) {
    let rules = context.host.network.rules().unwrap();
    for (link, address) in context.host.network.addresses().unwrap() {
        let own = IpNetwork::from(address.ip());
        let there = link.starts_with("wg_vpn");
        assert!(
            !there || rules.iter().any(|rule| rule.from == Some(own)),
            "{behind}: {address} has no way of its own"
        );
    }
    let filter = fake.firewall_rules(context.tags).unwrap_or_default();
    for link in ["wg_vpn", "wg_vpn_new"] {
        if context.host.network.link(&link.parse().unwrap()).unwrap().is_none() {
            continue;
        }
        let there = [Match::In { interface: link.to_owned(), not: false }];
        let closed = filter.rules().iter().any(|rule| {
            (rule.hook, rule.verdict) == (Hook::Prerouting, Verdict::Drop) && rule.matches == there
        });
        assert!(closed, "{behind}: something comes in by {link}");
    }
}

#[test]
fn packets_stay_blocked_while_objects_are_replaced() {
    on_a_host(|context, fake| {
        let backend = best(context);
        let (one, other) = (("wg_vpn", "10.99.1.2/32"), ("wg_vpn", "10.99.2.2/32"));
        let beside = ("wg_vpn_new", "10.99.2.2/32");
        for exits in [&[][..], &[one], &[one, beside], &[other], &[one], &[one, beside], &[one], &[]] {
            let wanted = with_exits(context, backend, exits);
            let steps = plan(context.tags, &observe(context, &wanted).unwrap(), &wanted).unwrap();
            for step in &steps {
                apply(context, &wanted, std::slice::from_ref(step)).unwrap();
                is_closed(context, fake, &format!("{exits:?}, {step:?}"));
            }
            assert_eq!(converge(context, &wanted).unwrap(), 0, "{exits:?}");
            assert_eq!(fake.firewall_rules(context.tags), Some(wanted.firewall.clone()), "{exits:?}");
        }
    });
}
