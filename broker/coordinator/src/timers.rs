//! When something must happen although nobody asks.
//!
//! Deadlines live where they belong (in members and groups); here is only a queue of moments at which to look. A
//! moment may come early: a heartbeat moves its member's deadline without touching the queue, and the look at the old
//! moment queues the new one. So a heartbeat costs no queue operation.

use ottla_protocol::Str;
use std::collections::BTreeSet;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Whether a member, or one that was given an id and has not joined, has been silent for too long.
    Session { group: Str, member: Str },
    /// Whether a member of a consumer group has taken too long to give up partitions.
    Revocation { group: Str, member: Str },
    /// Whether a classic member of a consumer group that was to rejoin has not.
    Rejoin { group: Str, member: Str },
    /// Whether a classic member of a consumer group has not asked for its assignment.
    MemberSync { group: Str, member: Str },
    /// Whether a rebalance has waited long enough for members to join.
    Join { group: Str },
    /// Whether members have not fetched their assignment in time.
    Sync { group: Str },
    /// Whether offsets or empty groups have expired.
    Expiry,
}

impl Timer {
    /// The group and the member of a timer that is one member's.
    pub(crate) fn of_member(self) -> Option<(Str, Str)> {
        match self {
            Self::Session { group, member }
            | Self::Revocation { group, member }
            | Self::Rejoin { group, member }
            | Self::MemberSync { group, member } => Some((group, member)),
            Self::Join { .. } | Self::Sync { .. } | Self::Expiry => None,
        }
    }
}

/// The queue of moments, in milliseconds of the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(i64, Timer)>);

impl Timers {
    /// Looks at `timer` at `at_ms`.
    pub(crate) fn schedule(&mut self, at_ms: i64, timer: Timer) {
        self.0.insert((at_ms, timer));
    }

    /// Takes the first moment that is not after `now_ms`.
    pub(crate) fn pop_due(&mut self, now_ms: i64) -> Option<(i64, Timer)> {
        if self.0.first()?.0 > now_ms {
            return None;
        }
        self.0.pop_first()
    }

    /// The first moment.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.0.first().map(|(at_ms, _)| *at_ms)
    }
}

/// A deadline that moves often, and the moment at which the queue looks at it next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deadline {
    at_ms: i64,
    queued_ms: Option<i64>,
}

/// What a look at a [`Deadline`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// An older moment, replaced by an earlier one.
    Stale,
    /// Not yet; look again then.
    Later(i64),
    /// It has passed.
    Passed,
}

impl Deadline {
    /// Moves the deadline. Returns a moment to queue, if none is queued that is early enough.
    pub(crate) fn set(&mut self, at_ms: i64) -> Option<i64> {
        self.at_ms = at_ms;
        if self.queued_ms.is_some_and(|queued_ms| queued_ms <= at_ms) {
            return None;
        }
        self.queued_ms = Some(at_ms);
        self.queued_ms
    }

    /// Answers a look at the moment `queued_ms` that the queue had. After [`Look::Passed`] nothing is queued.
    pub(crate) fn look(&mut self, queued_ms: i64) -> Look {
        if self.queued_ms != Some(queued_ms) {
            return Look::Stale;
        }
        if self.at_ms > queued_ms {
            self.queued_ms = Some(self.at_ms);
            return Look::Later(self.at_ms);
        }
        self.queued_ms = None;
        Look::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moves_back_queues_nothing_until_the_old_moment() {
        let mut deadline = Deadline::default();
        assert_eq!(deadline.set(10), Some(10));
        assert_eq!(deadline.set(25), None);
        assert_eq!(deadline.look(10), Look::Later(25));
        assert_eq!(deadline.look(25), Look::Passed);
        assert_eq!(deadline.set(30), Some(30));
    }

    #[test]
    fn a_deadline_that_moves_forward_makes_the_old_moment_stale() {
        let mut deadline = Deadline::default();
        assert_eq!(deadline.set(300), Some(300));
        assert_eq!(deadline.set(10), Some(10));
        assert_eq!(deadline.look(10), Look::Passed);
        assert_eq!(deadline.look(300), Look::Stale);
    }

    #[test]
    fn moments_come_in_order_and_not_too_early() {
        let mut timers = Timers::default();
        timers.schedule(7, Timer::Expiry);
        timers.schedule(5, Timer::Join { group: "g".into() });
        assert_eq!(timers.next_ms(), Some(5));
        assert_eq!(timers.pop_due(4), None);
        assert_eq!(timers.pop_due(9), Some((5, Timer::Join { group: "g".into() })));
        assert_eq!(timers.pop_due(9), Some((7, Timer::Expiry)));
        assert_eq!(timers.next_ms(), None);
    }
}
