//! Latencies as a curve over the shares of requests that were at least as quick.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Up to ten minutes, in microseconds; what takes longer is counted as that.
const MAX_US: u64 = 600_000_000;

/// Latencies in microseconds, three digits kept, each counted from when the work was meant to begin.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_US, 3).expect("the bounds are in order"))
    }
}

/// A point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The share, 0 to 1.
    pub quantile: f64,
    /// What this share stays within.
    pub ms: f64,
}

/// The curve of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Of what.
    pub name: &'static str,
    /// How many were counted.
    pub count: u64,
    /// By rising quantile.
    pub points: Vec<Point>,
}

/// Evenly apart on a scale of nines; more than a curve needs and less than a file feels.
const QUANTILES: [f64; 20] = [
    0.0, 0.1, 0.25, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995,
    0.9999,
];

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, us: u64) {
        self.0.saturating_record(us);
    }

    /// Counts all of the other's.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What this share stays within, in milliseconds; `None` while nothing was counted.
    pub fn ms_at(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 / 1e3)
    }

    /// The curve. A quantile that fewer than one in the count lies beyond says nothing, and is left out but for the
    /// greatest value itself.
    pub fn curve(&self, name: &'static str) -> Curve {
        let count = self.0.len();
        let told = QUANTILES
            .iter()
            .filter(|quantile| (1.0 - **quantile) * count as f64 >= 1.0);
        let mut points: Vec<Point> = told
            .filter_map(|quantile| {
                Some(Point {
                    quantile: *quantile,
                    ms: self.ms_at(*quantile)?,
                })
            })
            .collect();
        points.extend(self.ms_at(1.0).map(|ms| Point { quantile: 1.0, ms }));
        Curve { name, count, points }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_rises_and_ends_with_the_greatest() {
        let mut latencies = Latencies::default();
        (1..=1_000).for_each(|us| latencies.record(us * 1_000));
        let curve = latencies.curve("produce");
        assert_eq!(curve.count, 1_000);
        assert!(
            curve
                .points
                .is_sorted_by(|a, b| a.ms <= b.ms && a.quantile < b.quantile)
        );
        let last = curve.points.last().expect("points");
        assert!(last.quantile == 1.0 && (999.0..=1_001.0).contains(&last.ms), "{last:?}");
        assert!(
            curve
                .points
                .iter()
                .all(|point| point.quantile <= 0.999 || point.quantile == 1.0)
        );
    }

    #[test]
    fn nothing_has_no_latency() {
        assert_eq!(Latencies::default().ms_at(0.99), None);
        assert!(Latencies::default().curve("none").points.is_empty());
    }

    #[test]
    fn what_takes_longer_than_the_histogram_reaches_is_counted() {
        let mut latencies = Latencies::default();
        latencies.record(u64::MAX);
        assert_eq!(latencies.count(), 1);
    }
}
