//! What is run, how often, and in which order.

use std::time::Duration;

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Set {
    /// The questions that have a bar, short runs: at most ten minutes for two brokers.
    Quick,
    /// Every shape, long runs, five rounds.
    Full,
}

/// How a run is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// How much is asked.
    pub set: Set,
    /// How often the order A B B A is gone through.
    pub rounds: usize,
    /// How long each measurement takes.
    pub seconds: f64,
    /// How long a broker is warmed up before anything counts.
    pub warm_up_seconds: f64,
}

impl Plan {
    /// The set's own, unless rounds or seconds are given.
    pub fn of(set: Set, rounds: Option<usize>, seconds: Option<f64>) -> Self {
        let (own_rounds, own_seconds, warm_up_seconds) = match set {
            Set::Quick => (1, 3.0, 15.0),
            Set::Full => (5, 20.0, 60.0),
        };
        Self {
            set,
            rounds: rounds.unwrap_or(own_rounds),
            seconds: seconds.unwrap_or(own_seconds),
            warm_up_seconds: seconds.map_or(warm_up_seconds, |seconds| warm_up_seconds.min(4.0 * seconds)),
        }
    }

    /// A measurement's time.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// A measurement's time for latencies, which need more of it.
    pub fn long_duration(&self) -> Duration {
        self.duration() * 5 / 2
    }

    /// One of two, by the set.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        match self.set {
            Set::Quick => quick,
            Set::Full => full,
        }
    }
}

/// The order in which brokers are measured: forth and back, as often as there are rounds. Two brokers: A B B A. What
/// drifts while it goes on meets both alike.
///
/// A broker that is alone is measured twice a round too.
pub fn order(brokers: usize, rounds: usize) -> Vec<usize> {
    let round = (0..brokers).chain((0..brokers).rev());
    std::iter::repeat_n(round, rounds).flatten().collect()
}

/// The broker that the others are compared with: Apache Kafka where it is among them, else the last one. `None` where
/// there is one alone.
pub fn reference(brokers: &[&str]) -> Option<usize> {
    let last = brokers.len().checked_sub(1).filter(|last| *last > 0)?;
    Some(brokers.iter().position(|name| *name == "kafka").unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_brokers_are_measured_a_b_b_a() {
        assert_eq!(order(2, 1), vec![0, 1, 1, 0]);
        assert_eq!(order(2, 2), vec![0, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(order(1, 1), vec![0, 0]);
    }

    #[test]
    fn kafka_is_what_others_are_compared_with_else_the_last() {
        assert_eq!(reference(&["kafka", "ottla"]), Some(0));
        assert_eq!(reference(&["ottla", "10.0.0.1:9092"]), Some(1));
        assert_eq!(reference(&["kafka"]), None);
        assert_eq!(reference(&[]), None);
    }

    #[test]
    fn what_is_given_wins_over_the_set_and_a_short_run_has_a_short_warm_up() {
        let plan = Plan::of(Set::Full, Some(2), Some(1.0));
        assert_eq!((plan.rounds, plan.seconds, plan.warm_up_seconds), (2, 1.0, 4.0));
        assert_eq!(Plan::of(Set::Quick, None, None).rounds, 1);
    }
}
