//! Which connection goes first, compared with a list that is searched from end to end.

use proptest::prelude::*;

use super::*;

fn networks(number: u8) -> Option<Networks> {
    let address = match number {
        0 => return None,
        1..4 => format!("192.0.{number}.1"),
        _ => format!("2001:db8:{}:{}00::1", number % 2, number),
    };
    Some(Networks::of(address.parse().unwrap()))
}

fn member(networks: Option<Networks>) -> Member {
    Member { networks, stop: oneshot::channel().0 }
}

#[test]
fn nobody_is_first_of_nobody() {
    let mut crowd = Crowd::default();
    let order = Order { has_spoken: false, number: 1 };
    assert_eq!((crowd.first(), crowd.len()), (None, 0));
    assert!(crowd.remove(None, order).is_none());
    crowd.insert(order, member(networks(1)));
    assert!(crowd.remove(None, order).is_none(), "of another network");
    assert_eq!(crowd.len(), 1);
    assert!(crowd.remove(networks(1), order).is_some());
    assert_eq!((crowd.first(), crowd.len(), crowd.groups.len(), crowd.ranks.len()), (None, 0, 0, 0));
}

proptest! {
    #[test]
    fn the_first_is_that_of_the_largest_group(acts in prop::collection::vec((0..8_u8, any::<bool>(), any::<u8>()), 1..200)) {
        let mut crowd = Crowd::default();
        let mut model: Vec<(Option<Networks>, Order)> = Vec::new();
        for (number, (of, has_spoken, act)) in acts.into_iter().enumerate() {
            if act < 180 || model.is_empty() {
                let order = Order { has_spoken, number: number as u64 };
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
            let size = |group: Group| model.iter().filter(|(networks, _)| group_of(*networks) == group).count();
            let first = model.iter().map(|(networks, order)| (group_of(*networks), *order));
            let first = first.min_by_key(|(group, order)| (Reverse(size(*group)), *order));
            prop_assert_eq!((crowd.first(), crowd.len()), (first, model.len()));
            for (networks, _) in model.iter().filter_map(|(networks, order)| Some(((*networks)?, order))) {
                let of_network = |other: &Option<Networks>| other.is_some_and(|other| other.subscriber == networks.subscriber);
                let oldest = model.iter().filter(|(other, _)| of_network(other)).map(|(_, order)| *order).min();
                let found = crowd.first_of(networks, networks.subscriber).map(|(_, order)| order);
                prop_assert_eq!(found, oldest);
            }
        }
    }
}
