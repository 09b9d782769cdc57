//! What is measured: the name of a figure, its unit, which direction is better, and the bar it is held against.

use serde::Serialize;

/// Which of two values of a figure is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// The smaller.
    Less,
    /// The greater.
    More,
    /// Neither: it says what happened, such as how many records a request had.
    Neither,
}

/// What a figure is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "value")]
pub enum Bar {
    /// Of the ratio to the broker that is compared with.
    Ratio(f64),
    /// Of the value itself.
    Value(f64),
}

/// A figure of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Its name in JSON, with the unit last.
    pub key: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The unit, for people.
    pub unit: &'static str,
    /// Which direction is better.
    pub better: Better,
    /// What it is to reach, where something was promised.
    pub bar: Option<Bar>,
}

impl Figure {
    /// A figure of which less is better.
    pub const fn less(key: &'static str, title: &'static str, unit: &'static str) -> Self {
        Self::new(key, title, unit, Better::Less)
    }

    /// A figure of which more is better.
    pub const fn more(key: &'static str, title: &'static str, unit: &'static str) -> Self {
        Self::new(key, title, unit, Better::More)
    }

    /// A figure that says what happened.
    pub const fn told(key: &'static str, title: &'static str, unit: &'static str) -> Self {
        Self::new(key, title, unit, Better::Neither)
    }

    const fn new(key: &'static str, title: &'static str, unit: &'static str, better: Better) -> Self {
        Self {
            key,
            title,
            unit,
            better,
            bar: None,
        }
    }

    /// The same, held against a bar.
    pub const fn with_bar(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }

    /// The same, held against a bar where there is one.
    pub const fn with_maybe_bar(mut self, bar: Option<Bar>) -> Self {
        self.bar = bar;
        self
    }

    /// Whether the bar is reached by this value and ratio; `None` where there is no bar or nothing to hold against it.
    pub fn is_reached(&self, value: Option<f64>, ratio: Option<f64>) -> Option<bool> {
        let (measured, bar) = match self.bar? {
            Bar::Ratio(bar) => (ratio?, bar),
            Bar::Value(bar) => (value?, bar),
        };
        match self.better {
            Better::Less => Some(measured <= bar),
            Better::More => Some(measured >= bar),
            Better::Neither => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_a_ceiling_where_less_is_better_and_a_floor_where_more_is() {
        let cpu = Figure::less("cpu", "CPU", "s").with_bar(Bar::Ratio(0.5));
        assert_eq!(cpu.is_reached(None, Some(0.5)), Some(true));
        assert_eq!(cpu.is_reached(None, Some(0.51)), Some(false));
        let rate = Figure::more("rate", "rate", "MB/s").with_bar(Bar::Ratio(1.2));
        assert_eq!(rate.is_reached(None, Some(1.1)), Some(false));
        assert_eq!(rate.is_reached(None, Some(1.3)), Some(true));
    }

    #[test]
    fn without_a_measurement_a_bar_is_neither_reached_nor_missed() {
        let memory = Figure::less("rss", "memory", "MiB").with_bar(Bar::Value(15.0));
        assert_eq!(memory.is_reached(None, Some(0.1)), None);
        assert_eq!(memory.is_reached(Some(14.0), None), Some(true));
        assert_eq!(Figure::less("x", "x", "s").is_reached(Some(1.0), Some(1.0)), None);
    }
}
