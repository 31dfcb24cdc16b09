//! Whether two samples of times come from one distribution: the test of Mann and Whitney, pure.
//!
//! H. B. Mann, D. R. Whitney, "On a test of whether one of two random variables is stochastically larger than the other",
//! Annals of Mathematical Statistics 18 (1947), with the normal approximation and the correction for ties.

/// The probability of a false alarm at which two samples count as different: one in a thousand.
pub(super) const ALPHA: f64 = 0.001;

/// The outcome of one comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Comparison {
    /// Sizes of both samples.
    pub(super) samples: [usize; 2],
    /// Medians of both samples, in the samples' unit.
    pub(super) medians: [f64; 2],
    /// The test's statistic in standard deviations.
    pub(super) z: f64,
    /// The probability to see such a difference where there is none, two-sided.
    pub(super) p: f64,
}

impl Comparison {
    /// Compares two samples, neither of them empty.
    pub(super) fn between(a: &[f64], b: &[f64]) -> Self {
        let sizes = [count(a.len()), count(b.len())];
        let mut all: Vec<(f64, bool)> =
            a.iter().map(|time| (*time, true)).chain(b.iter().map(|time| (*time, false))).collect();
        all.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (mut ranks, mut ties, mut before) = (0.0, 0.0, 0.0);
        for group in all.chunk_by(|one, other| one.0.total_cmp(&other.0).is_eq()) {
            let size = count(group.len());
            // All of a group have the mean of the ranks that it takes.
            ranks += count(group.iter().filter(|(_, first)| *first).count())
                * f64::midpoint(before + 1.0, before + size);
            ties += size * size * size - size;
            before += size;
        }
        let u = ranks - sizes[0] * (sizes[0] + 1.0) / 2.0;
        let (total, pairs) = (sizes[0] + sizes[1], sizes[0] * sizes[1]);
        let variance = pairs / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)).max(1.0));
        let distance = u - pairs / 2.0;
        // Half a step towards the middle: ranks are whole, the normal distribution is not.
        let z = if variance > 0.0 {
            distance.signum() * (distance.abs() - 0.5).max(0.0) / variance.sqrt()
        } else {
            0.0
        };
        Self { samples: [a.len(), b.len()], medians: [median(a), median(b)], z, p: two_sided(z) }
    }

    /// Whether the samples differ, at [`ALPHA`].
    pub(super) fn differs(&self) -> bool {
        self.p < ALPHA
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples have thousands of values, not 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

fn median(sample: &[f64]) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The probability that a normally distributed value is at least `z` away from its mean: the complementary error function
/// of z/√2, by formula 7.1.26 of Abramowitz and Stegun (absolute error below 1.5e-7).
fn two_sided(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let factors = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let polynomial = factors.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    (polynomial * (-x * x).exp()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same every time.
    fn noise(seed: u64, length: usize) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
        };
        // Skewed, as answer times are.
        (0..length)
            .map(|_| 100.0 + 20.0 * next() + if next() > 0.95 { 400.0 * next() } else { 0.0 })
            .collect()
    }

    #[test]
    fn probabilities_of_the_normal_distribution() {
        for (z, p) in
            [(0.0, 1.0), (1.0, 0.317_310_5), (1.959_964, 0.05), (-2.575_829, 0.01), (3.290_527, 0.001)]
        {
            assert!((two_sided(z) - p).abs() < 1e-6, "{z}: {}", two_sided(z));
        }
    }

    #[test]
    fn the_statistic_of_a_small_example() {
        // U = 3 of at most 24, without ties: mean 12, variance 4·6·11/12 = 22.
        let found = Comparison::between(&[1.0, 2.0, 4.0, 6.0], &[3.0, 5.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((found.z - (3.0 - 12.0 + 0.5) / 22_f64.sqrt()).abs() < 1e-9, "{found:?}");
        assert_eq!(found.medians.map(f64::to_bits), [3.0, 7.5].map(f64::to_bits));
        let same = Comparison::between(&[5.0; 9], &[5.0; 9]);
        assert!(!same.differs() && same.z == 0.0);
    }

    #[test]
    fn timing_difference_is_found_only_if_real() {
        for seed in 0..40 {
            let (a, b) = (noise(2 * seed + 1, 300), noise(2 * seed + 1_000_001, 300));
            assert!(!Comparison::between(&a, &b).differs(), "seed {seed}: {:?}", Comparison::between(&a, &b));
            let slower: Vec<_> = b.iter().map(|time| time + 4.0).collect();
            assert!(Comparison::between(&a, &slower).differs(), "seed {seed}");
        }
    }
}
