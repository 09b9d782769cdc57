//! Seeded interleavings of producers, the coordinator, time, and restarts, with invariants after every step.
//!
//! Producers of two transactional ids begin, write to partitions, end, crash and come back, under each
//! `transaction.version`: from 2 on what they write joins the partition to the transaction (KIP-890), before that they add
//! it first. Requests and answers are delayed, doubled, reordered and lost. Decisions are applied at once,
//! but answers and markers wait until their records are "committed"; a restart may lose any number of records that were
//! not, with everything that waited. Partitions are as lenient as can be: they take a marker of any epoch. Checked:
//!
//! - a transaction has one outcome, in all its partitions; what was acknowledged is part of it;
//! - committed is only what its own producer asked to commit, and whoever was told an outcome was told the truth;
//! - a producer that was fenced adds nothing more;
//! - when the chaos ends every prepared transaction ends, and nothing is left open.
//!
//! The harness sees: [`answers_that_do_not_wait_for_their_records_are_found_out`] releases answers and markers before
//! their records are committed. Bugs in the decisions themselves are in tests/mutants.

mod partition;
mod world;

use world::{Bug, World};

const STEPS: usize = 1_500;

/// Runs one seed; the error names what was violated.
fn run(seed: u64, bug: Option<Bug>) -> Result<World, String> {
    let mut world = World::new(seed, bug);
    for step in 0..STEPS {
        world.step();
        let checked = world.check();
        checked.map_err(|violation| format!("seed {seed}, step {step}: {violation}"))?;
    }
    let calmed = world.calm_down();
    calmed.map_err(|violation| format!("seed {seed}, at the end: {violation}"))?;
    Ok(world)
}

#[test]
fn every_transaction_is_committed_as_a_whole_or_not_at_all_whatever_happens() {
    let (mut committed, mut aborted) = (0, 0);
    for seed in 0..200 {
        let world = run(seed, None).unwrap_or_else(|violation| panic!("{violation}"));
        committed += world.count(true);
        aborted += world.count(false);
    }
    assert!(committed > 400 && aborted > 400, "{committed} and {aborted}: too quiet");
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let log_of = |seed| {
        let mut world = World::new(seed, None);
        (0..STEPS).for_each(|_| world.step());
        world.log().to_vec()
    };
    assert_eq!(log_of(7), log_of(7));
    assert_ne!(log_of(7), log_of(8));
}

#[test]
fn answers_that_do_not_wait_for_their_records_are_found_out() {
    let violations: Vec<String> = (0..200)
        .filter_map(|seed| run(seed, Some(Bug::AnswersEarly)).err())
        .collect();
    assert!(!violations.is_empty());
}
