//! Whole log directories on the disk that forgets, against a model in memory (I1, I5, I6, I13, I18, I19).
//!
//! A seed decides everything: what is appended, flushed, rolled, cut, deleted, compacted and checkpointed, when the process
//! is killed, when power is lost, when the disk fails in the middle of something or is full. After each restart the
//! logs are held against [`model::Model`]. A failure names its seed; `OTTLA_SEED=n` runs that one alone, `OTTLA_SEEDS=n`
//! so many of them. `tests/mutants` puts known bugs in and shows that this turns red.
//!
//! Transactions and the codecs are the subject of [`super::compaction_checker`].

mod model;
mod world;

use super::*;
use world::World;

#[test]
fn what_was_promised_survives_every_crash() {
    crate::testing::for_each_seed(150, |seed| {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.step();
        }
        world.restart_cleanly();
    });
}

#[test]
fn a_seed_gives_the_same_trace_twice() {
    let trace = |seed| {
        let mut world = World::new(seed);
        (0..150).for_each(|_| world.step());
        world.trace()
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}
