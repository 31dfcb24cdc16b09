//! Which connection goes first, compared with a list that is searched from end to end.

use proptest::prelude::*;

use super::*;

fn networks(number: u8) -> Option<Networks> {
    let address = match number {
        0 => return None,
        1..4 => format!("192.{}.{number}.1", number % 2),
        _ => format!("2001:db{}:{}:{number}00::1", number % 3, number % 2),
    };
    Some(Networks::containing(address.parse().unwrap()))
}

fn member(networks: Option<Networks>) -> Member {
    Member { networks, stop: oneshot::channel().0 }
}

#[test]
fn nobody_is_first_of_nobody() {
    let mut crowd = Crowd::default();
    let order = Order { has_spoken: false, has_had_turn: false, number: 1 };
    assert_eq!((crowd.first(), crowd.len()), (None, 0));
    assert!(crowd.remove(None, order).is_none());
    crowd.insert(order, member(networks(1)));
    assert!(crowd.remove(None, order).is_none(), "of another network");
    assert_eq!(crowd.len(), 1);
    assert!(crowd.remove(networks(1), order).is_some());
    assert_eq!((crowd.first(), crowd.len()), (None, 0));
    assert_eq!((crowd.groups.len(), crowd.regions.len(), crowd.ranks.len()), (0, 0, 0));
}

/// What goes first of these: of the region that has most, the group that has most, and of it the first.
fn first_of(model: &[(Option<Networks>, Order)]) -> Option<(Group, Order)> {
    let region = |group: Group| group.map(|group| group.region);
    let (mut groups, mut regions) = (HashMap::new(), HashMap::new());
    for (networks, _) in model {
        let group = group_of(*networks);
        *groups.entry(group).or_insert(0) += 1;
        *regions.entry(region(group)).or_insert(0) += 1;
    }
    let best = |among: &mut dyn Iterator<Item = (Group, Order)>| {
        among.min_by_key(|(group, order)| (Reverse(groups[group]), *order))
    };
    let all = || model.iter().map(|(networks, order)| (group_of(*networks), *order));
    let of_regions = regions
        .iter()
        .filter_map(|(of, size)| Some((*size, best(&mut all().filter(|(group, _)| region(*group) == *of))?)));
    let first = of_regions.min_by_key(|(size, (_, order))| (Reverse(*size), *order))?;
    Some(first.1)
}

proptest! {
    #[test]
    fn oldest_of_largest_group_goes_first(
        acts in prop::collection::vec((0..12_u8, any::<bool>(), any::<bool>(), any::<u8>()), 1..200)
    ) {
        let mut crowd = Crowd::default();
        let mut model: Vec<(Option<Networks>, Order)> = Vec::new();
        for (number, (of, has_spoken, has_had_turn, act)) in acts.into_iter().enumerate() {
            if act < 180 || model.is_empty() {
                let order = Order { has_spoken, has_had_turn, number: number as u64 };
                crowd.insert(order, member(networks(of)));
                model.push((networks(of), order));
            } else if act < 220 {
                let (networks, order) = model.remove(usize::from(act) % model.len());
                prop_assert!(crowd.remove(networks, order).is_some());
            } else {
                let first = crowd.first().unwrap();
                prop_assert!(crowd.take(first).is_some());
                model.retain(|(networks, order)| (group_of(*networks), *order) != first);
            }
            prop_assert_eq!((crowd.first(), crowd.len()), (first_of(&model), model.len()));
            for (networks, _) in model.iter().filter_map(|(networks, order)| Some(((*networks)?, order))) {
                let of_network = |other: &Option<Networks>| other.is_some_and(|other| other.subscriber == networks.subscriber);
                let oldest = model.iter().filter(|(other, _)| of_network(other)).map(|(_, order)| *order).min();
                let found = crowd.first_of(networks, networks.subscriber).map(|(_, order)| order);
                prop_assert_eq!(found, oldest);
            }
        }
    }
}
