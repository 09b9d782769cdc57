//! How soon a member is to come again.
//!
//! A coordinator cannot call its members: what it has for them waits for their next heartbeat. So while a group is on its
//! way, those of its members that wait for something are asked to come sooner than the setting says; the answer of a
//! heartbeat says when, and every client keeps to it. Kafka asks for the setting's interval always, and a rebalance takes
//! two or three of them.

use crate::cluster::ConsumerSettings;

/// The soonest that a member is asked to come again.
const SOONEST_MS: i64 = 250;
/// A group on its way comes this often in all, at the most.
const HEARTBEATS_PER_SECOND: i64 = 2_000;

/// Where a member and its group stand after a heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) members: usize,
    /// Whether the group has changed since its target assignment was computed.
    pub(super) is_target_outdated: bool,
    /// Whether the member has what the target assignment gives it.
    pub(super) is_reconciled: bool,
    /// Milliseconds since the target assignment was computed.
    pub(super) target_age_ms: i64,
}

impl Progress {
    /// When the member is to come again, in milliseconds.
    pub(super) fn heartbeat_interval_ms(self, settings: ConsumerSettings) -> i32 {
        let usual_ms = i64::from(settings.heartbeat_interval_ms);
        // A clock that was set back says nothing.
        let age_ms = self.target_age_ms.max(0);
        let wanted_ms = if self.is_target_outdated {
            // The next one is computed for whoever comes first when it is due.
            i64::from(settings.assignment_interval_ms) - age_ms
        } else if !self.is_reconciled {
            // It waits for others. Who do not give up their partitions soon will take long: no more haste then.
            age_ms / 2
        } else {
            return settings.heartbeat_interval_ms;
        };
        let members = i64::try_from(self.members).unwrap_or(i64::MAX);
        let soonest_ms = SOONEST_MS.max(members.saturating_mul(1_000) / HEARTBEATS_PER_SECOND);
        let interval_ms = wanted_ms.max(soonest_ms).min(usual_ms);
        i32::try_from(interval_ms).unwrap_or(settings.heartbeat_interval_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING: Progress = Progress {
        members: 10,
        is_target_outdated: false,
        is_reconciled: false,
        target_age_ms: 0,
    };

    fn interval_ms(progress: Progress) -> i32 {
        progress.heartbeat_interval_ms(ConsumerSettings::default())
    }

    #[test]
    fn who_waits_for_nothing_comes_as_often_as_the_setting_says() {
        let is_reconciled = true;
        assert_eq!(
            interval_ms(Progress {
                is_reconciled,
                ..WAITING
            }),
            5_000
        );
    }

    #[test]
    fn who_waits_for_others_comes_soon_and_less_and_less() {
        assert_eq!(interval_ms(WAITING), 250);
        let at = |target_age_ms| {
            interval_ms(Progress {
                target_age_ms,
                ..WAITING
            })
        };
        assert_eq!([at(-7), at(600), at(4_000), at(60_000)], [250, 300, 2_000, 5_000]);
    }

    #[test]
    fn the_next_target_is_met_when_it_is_due() {
        let at = |target_age_ms| {
            interval_ms(Progress {
                is_target_outdated: true,
                target_age_ms,
                ..WAITING
            })
        };
        assert_eq!([at(0), at(400), at(990)], [1_000, 600, 250]);
    }

    #[test]
    fn a_large_group_is_less_hasty() {
        let of = |members| interval_ms(Progress { members, ..WAITING });
        assert_eq!([of(1_000), of(5_000), of(1_000_000)], [500, 2_500, 5_000]);
    }

    #[test]
    fn haste_is_never_slower_than_the_setting() {
        let settings = ConsumerSettings {
            heartbeat_interval_ms: 100,
            ..ConsumerSettings::default()
        };
        assert_eq!(WAITING.heartbeat_interval_ms(settings), 100);
    }
}
