//! Times of whole processes, taken in turns: what disturbs the machine for a while disturbs all that is compared.

use std::process::Stdio;
use std::time::Instant;

use crate::command::Cmd;
use crate::problem::{Problem, Result};

/// One measurement: a figure in a unit of its own.
pub(super) type Measurement<'m> = &'m mut dyn FnMut() -> Result<f64>;

/// Takes each measurement once unheeded, then all in turn so many times; the medians. The order changes from round to
/// round, so that none always comes behind the same other, whose writes the disk may still be busy with.
#[expect(clippy::needless_pass_by_value, reason = "an array of references, made for this call alone")]
pub(super) fn interleave<const N: usize>(runs: usize, all: [Measurement<'_>; N]) -> Result<[f64; N]> {
    let mut taken: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(runs));
    for round in 0..=runs {
        for at in order::<N>(round) {
            let figure = all[at]()?;
            if round > 0 {
                taken[at].push(figure);
            }
        }
    }
    Ok(taken.map(median))
}

/// All numbers below `N`, each once: every round begins with the next one, and goes on in other steps.
fn order<const N: usize>(round: usize) -> [usize; N] {
    // A step that has no factor in common with their number comes to all of them.
    let reaches_all = |step: &usize| (2..=*step).all(|n| !(step.is_multiple_of(n) && N.is_multiple_of(n)));
    let steps: Vec<usize> = (1..N.max(2)).filter(reaches_all).collect();
    let step = steps[round % steps.len()]; // there always is 1
    std::array::from_fn(|turn| (round + turn * step) % N)
}

/// The middle one, or the mean of the two in the middle; NaN of nothing.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

/// Of rounds in each of which two were measured, the one whose ratio is the middle one: both of a round had the same
/// machine, which the medians of each may not have had. NaN of nothing.
pub(super) fn middle_round(mut rounds: Vec<[f64; 2]>) -> [f64; 2] {
    rounds.sort_by(|[one, other], [next, nexts]| (one / other).total_cmp(&(next / nexts)));
    rounds.get(rounds.len() / 2).copied().unwrap_or([f64::NAN; 2])
}

/// Milliseconds from before the start of the process until its end has been seen. Its output is thrown away.
pub(super) fn timed(command: &Cmd) -> Result<f64> {
    let start = Instant::now();
    let mut child = command.spawn(Stdio::null(), Stdio::null(), Stdio::inherit())?;
    let status = child.wait();
    let took = start.elapsed();
    match status {
        Ok(status) if status.success() => Ok(took.as_secs_f64() * 1e3),
        Ok(status) => Err(Problem::new(format!("{command}: {status}"))),
        Err(error) => Err(Problem::new(format!("{command}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5_f64.to_bits());
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn middle_round_has_the_middle_ratio() {
        let rounds = vec![[9.0, 3.0], [1.0, 1.0], [100.0, 50.0]];
        assert_eq!(middle_round(rounds).map(f64::to_bits), [100.0, 50.0].map(f64::to_bits));
        assert!(middle_round(Vec::new())[0].is_nan());
    }

    #[test]
    fn everything_comes_behind_everything_else() {
        let mut behind = std::collections::BTreeSet::new();
        for round in 0..42 {
            let order = order::<7>(round);
            assert_eq!(std::collections::BTreeSet::from(order), (0..7).collect());
            behind.extend(order.windows(2).map(|pair| (pair[0], pair[1])));
        }
        assert_eq!(behind.len(), 7 * 6);
        for round in 0..12 {
            assert_eq!(std::collections::BTreeSet::from(order::<4>(round)).len(), 4);
            assert_eq!((order::<1>(round), order::<0>(round)), ([0], []));
        }
    }

    #[test]
    fn first_round_is_ignored_and_turns_alternate() {
        let order = std::cell::RefCell::new(String::new());
        let (mut a, mut b) = (100.0, 0.0);
        let mut first = || {
            order.borrow_mut().push('a');
            a -= 1.0;
            Ok(a)
        };
        let mut second = || {
            order.borrow_mut().push('b');
            b += 1.0;
            Ok(b)
        };
        let medians = interleave(3, [&mut first, &mut second]).unwrap();
        assert_eq!(medians.map(f64::to_bits), [97.0, 3.0].map(f64::to_bits));
        assert_eq!(*order.borrow(), "abbaabba");
    }
}
