//! What a decision depends on besides the request and the image.

use super::random::Random;
use ottla_protocol::ids::{TimestampMs, Uuid};

/// The time, the version of the request, and a source of new ids.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    now_ms: TimestampMs,
    version: i16,
    new_id: &'a dyn Fn() -> Uuid,
}

/// How often an id is drawn again because tools would take it for an option, before it is taken all the same.
const DRAWS: usize = 32;

impl<'a> Context<'a> {
    /// `new_id` draws an id that nothing has yet: 128 bits, of which enough are random.
    pub fn new(now_ms: TimestampMs, new_id: &'a dyn Fn() -> Uuid) -> Self {
        Self {
            now_ms,
            version: i16::MAX,
            new_id,
        }
    }

    /// The same for a request of this version; without it a request counts as of the newest.
    pub fn at(self, version: i16) -> Self {
        Self { version, ..self }
    }

    /// When the decision is made.
    pub fn now_ms(&self) -> TimestampMs {
        self.now_ms
    }

    /// The version of the request.
    pub(super) fn version(&self) -> i16 {
        self.version
    }

    /// The id of a new topic: none of Kafka's own, and none whose text starts with a dash.
    pub(super) fn topic_id(&self) -> Uuid {
        let is_fine = |id: &Uuid| !is_reserved(*id) && !id.to_string().starts_with('-');
        let mut draws = (0..DRAWS).map(|_| (self.new_id)());
        draws.find(is_fine).unwrap_or_else(|| (self.new_id)())
    }

    /// Random choices for this decision.
    pub(super) fn random(&self) -> Random {
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(&(self.new_id)().0);
        seed[16..].copy_from_slice(&(self.new_id)().0);
        Random::new(seed)
    }
}

/// Whether an id is one of the first hundred, which Kafka keeps for itself.
pub(super) fn is_reserved(id: Uuid) -> bool {
    u128::from_be_bytes(id.0) < 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn ids_that_are_reserved_or_look_like_options_are_drawn_again() {
        let draws = Cell::new(0);
        let looks_like_an_option = Uuid([0xf8; 16]);
        assert!(looks_like_an_option.to_string().starts_with('-'));
        let new_id = || {
            draws.set(draws.get() + 1);
            [Uuid::ZERO, looks_like_an_option, Uuid([7; 16])][draws.get() - 1]
        };
        assert_eq!(Context::new(0, &new_id).topic_id(), Uuid([7; 16]));
    }
}
