//! Summation that keeps what rounding loses (Kahan, as improved by Neumaier).

/// A running sum and its compensation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

impl Sum {
    pub(crate) const fn of(first: f64) -> Self {
        Self { sum: first, lost: 0.0 }
    }

    pub(crate) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - total) + value;
        } else {
            self.lost += (value - total) + self.sum;
        }
        self.sum = total;
    }

    pub(crate) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

/// A running mean: the sum divided at the end, or, once that sum would overflow, a mean that is moved by each value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    count: f64,
    state: Sum,
    moving: bool,
}

impl Mean {
    pub(crate) const fn of(first: f64) -> Self {
        Self { count: 1.0, state: Sum::of(first), moving: false }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let count = self.count;
        if !self.moving {
            let mut next = self.state;
            next.add(value);
            if !next.sum.is_infinite() {
                self.state = next;
                return;
            }
            self.moving = true;
            self.state.sum /= count - 1.0;
            self.state.lost /= count - 1.0;
        }
        let share = (count - 1.0) / count;
        self.state = Sum { sum: share * self.state.sum, lost: share * self.state.lost };
        self.state.add(value / count);
    }

    pub(crate) fn mean(self) -> f64 {
        if self.moving {
            self.state.sum + self.state.lost
        } else {
            self.state.sum / self.count + self.state.lost / self.count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mean, Sum};

    #[test]
    fn what_rounding_loses_is_kept() {
        let mut sum = Sum::default();
        for value in [1.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.total(), 2.0);
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let mut mean = Mean::of(f64::MAX);
        mean.add(f64::MAX);
        mean.add(f64::MAX);
        assert!((mean.mean() - f64::MAX).abs() <= f64::MAX * 1e-15);
    }
}
