//! Until when the peer has to do something: send the rest of a frame, take its answers, or say anything at all.
//!
//! Silence between requests may last long. A frame that has begun has to come at a rate that a slow network has too,
//! so that nobody holds a connection with a byte a minute; and answers have to be taken.

use std::time::Duration;
use tokio::time::Instant;

/// How long a frame that has begun may take, and how long a client may leave answers unread.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(60);

/// A large frame has a second more for so many bytes of it that have come.
const SLOWEST_BYTES_PER_SECOND: u64 = 1024;

/// What the peer is waited for to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// The rest of a frame, of which so many bytes have come.
    Frame { received: usize },
    /// Reading what was written.
    Taking,
    /// Anything.
    Sign,
}

/// When the peer last did what.
#[derive(Debug)]
pub(super) struct Pace {
    idle_limit: Duration,
    /// When a byte last came, or an answer was ready.
    last_sign: Instant,
    /// When the peer last took bytes that waited for it, or such bytes began to wait.
    last_taken: Instant,
    /// When the frame began of which a part has come.
    frame_began: Option<Instant>,
}

impl Pace {
    /// `idle_limit`: `connections.max.idle.ms`, which no other limit exceeds.
    pub(super) fn new(idle_limit: Duration, now: Instant) -> Self {
        Self {
            idle_limit,
            last_sign: now,
            last_taken: now,
            frame_began: None,
        }
    }

    /// Bytes came, or an answer became ready.
    pub(super) fn sign(&mut self, now: Instant) {
        self.last_sign = now;
    }

    /// The peer took answers, or the first ones began to wait for it.
    pub(super) fn taken(&mut self, now: Instant) {
        self.last_taken = now;
    }

    /// A frame is complete.
    pub(super) fn frame_ended(&mut self) {
        self.frame_began = None;
    }

    /// A part of a frame is there; it began when the bytes last came, if it has not begun before.
    pub(super) fn frame_begun(&mut self) {
        self.frame_began.get_or_insert(self.last_sign);
    }

    /// When the peer has had its time.
    pub(super) fn deadline(&self, owed: Owed) -> Instant {
        let limit = STALL_LIMIT.min(self.idle_limit);
        match owed {
            Owed::Frame { received } => {
                let earned = Duration::from_secs(received as u64 / SLOWEST_BYTES_PER_SECOND);
                self.frame_began.unwrap_or(self.last_sign) + limit + earned
            }
            Owed::Taking => self.last_taken + limit,
            Owed::Sign => self.last_sign + self.idle_limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const IDLE: Duration = Duration::from_secs(600);

    #[test]
    fn a_byte_now_and_then_does_not_keep_a_frame_open() {
        let start = Instant::now();
        let mut pace = Pace::new(IDLE, start);
        for received in 1..100 {
            pace.sign(start + SECOND * received);
            pace.frame_begun();
            let owed = Owed::Frame {
                received: received as usize,
            };
            assert_eq!(pace.deadline(owed), start + SECOND + STALL_LIMIT);
        }
        pace.frame_ended();
        pace.frame_begun();
        assert_eq!(
            pace.deadline(Owed::Frame { received: 1 }),
            start + SECOND * 99 + STALL_LIMIT
        );
    }

    #[test]
    fn a_large_frame_has_the_time_that_a_slow_network_takes() {
        let start = Instant::now();
        let mut pace = Pace::new(IDLE, start);
        pace.frame_begun();
        assert_eq!(
            pace.deadline(Owed::Frame { received: 100 << 10 }),
            start + STALL_LIMIT + SECOND * 100
        );
    }

    #[test]
    fn sending_does_not_count_as_taking() {
        let start = Instant::now();
        let mut pace = Pace::new(IDLE, start);
        pace.taken(start + SECOND);
        pace.sign(start + SECOND * 50);
        assert_eq!(pace.deadline(Owed::Taking), start + SECOND + STALL_LIMIT);
        assert_eq!(pace.deadline(Owed::Sign), start + SECOND * 50 + IDLE);
    }

    #[test]
    fn no_limit_exceeds_the_idle_limit() {
        let start = Instant::now();
        let pace = Pace::new(SECOND, start);
        assert_eq!(pace.deadline(Owed::Taking), start + SECOND);
        assert_eq!(pace.deadline(Owed::Sign), start + SECOND);
    }
}
