//! From values to places in a plot.

use super::super::report::number;

/// A linear or logarithmic scale from values to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_log: bool,
}

impl Scale {
    /// Whole powers of ten around the values, on `from..to`. Values of zero and below stand at the low end.
    pub(super) fn log(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0 && value.is_finite());
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in positive {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        let low = low.log10().floor();
        let high = high.log10().ceil().max(low + 1.0);
        Self {
            low,
            high,
            from,
            to,
            is_log: true,
        }
    }

    /// From zero to a round number above the greatest, on `from..to`.
    pub(super) fn linear(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let greatest = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        Self {
            low: 0.0,
            high: if greatest > 0.0 { rounded_up(greatest) } else { 1.0 },
            from,
            to,
            is_log: false,
        }
    }

    /// Where a value stands.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.is_log {
            value.max(f64::MIN_POSITIVE).log10()
        } else {
            value
        };
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// Where lines of the grid stand, with what is written at them.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        if self.is_log {
            let powers = self.low as i32..=self.high as i32;
            return powers
                .map(|power| 10f64.powi(power))
                .map(|value| (self.at(value), short(value)))
                .collect();
        }
        let step = self.high / 4.0;
        (0..=4)
            .map(|n| f64::from(n) * step)
            .map(|value| (self.at(value), short(value)))
            .collect()
    }
}

/// The least of 1, 2, 4, 8, 10 times a power of ten that is not below; each has round quarters.
fn rounded_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0];
    steps
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value * 0.999_999)
        .unwrap_or(10.0 * power)
}

/// As short as it can be without another value.
fn short(value: f64) -> String {
    let text = number(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_scale_reaches_from_power_to_power() {
        let scale = Scale::log([0.3, 40.0], 0.0, 300.0);
        assert_eq!((scale.at(0.1), scale.at(1.0), scale.at(100.0)), (0.0, 100.0, 300.0));
        let marks: Vec<_> = scale.marks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(marks, ["0.1", "1", "10", "100"]);
        assert_eq!(scale.at(0.0), 0.0, "nothing is outside the plot");
    }

    #[test]
    fn a_linear_scale_begins_at_zero_and_ends_at_a_round_number() {
        let scale = Scale::linear([3.0, 131.0], 0.0, 100.0);
        assert_eq!((scale.at(0.0), scale.at(160.0)), (0.0, 100.0));
        let marks: Vec<_> = scale.marks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(marks, ["0", "40", "80", "120", "160"]);
    }

    #[test]
    fn nothing_to_show_has_a_scale_all_the_same() {
        assert!(Scale::linear([], 0.0, 1.0).at(0.5).is_finite());
        assert!(Scale::log([0.0, f64::NAN], 0.0, 1.0).at(0.5).is_finite());
    }
}
