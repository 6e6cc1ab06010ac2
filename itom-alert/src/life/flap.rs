//! Flap detection as Icinga 2 does it: the last 21 states give 20 possible changes; newer changes weigh more.

use serde::{Deserialize, Serialize};

const SLOTS: u32 = 20;

/// The changes among the last 21 states.
///
/// ```
/// use itom_alert::life::Flap;
/// let mut flap = Flap::default();
/// for _ in 0..5 {
///     flap.record_change();
/// }
/// assert!((flap.percent() - 28.5).abs() < 0.01);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flap {
    /// Bit 0 is the newest result.
    bits: u32,
}

impl Flap {
    /// The state changed.
    pub const fn record_change(&mut self) {
        self.bits = ((self.bits << 1) | 1) & ((1 << SLOTS) - 1);
    }

    /// The state stayed.
    pub const fn record_same(&mut self) {
        self.bits = (self.bits << 1) & ((1 << SLOTS) - 1);
    }

    /// How much it flaps, in percent: each change weighs 0.80 (oldest) to 1.18 (newest), divided by 20 slots.
    #[must_use]
    pub fn percent(&self) -> f64 {
        let weight: f64 = (0..SLOTS)
            .filter(|age| self.bits & (1 << age) != 0)
            .map(|age| 1.18 - 0.02 * f64::from(age))
            .sum();
        100.0 * weight / f64::from(SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors() {
        let mut flap = Flap::default();
        let mut seen = Vec::new();
        for _ in 0..6 {
            flap.record_change();
            seen.push((flap.percent() * 10.0).round() / 10.0);
        }
        assert_eq!(seen, [5.9, 11.7, 17.4, 23.0, 28.5, 33.9]);
        let mut quiet = 0;
        while flap.percent() >= 25.0 {
            flap.record_same();
            quiet += 1;
        }
        assert!(quiet > 0 && quiet <= 15, "{quiet}");
        // Icinga's documentation: .84 .86 .88 .9 .98 1.06 1.12 1.18 make 39.1 %.
        let ages = [17, 16, 15, 14, 10, 6, 3, 0];
        let documented = Flap { bits: ages.iter().map(|age| 1 << age).sum() };
        assert!((documented.percent() - 39.1).abs() < 0.01);
    }
}
