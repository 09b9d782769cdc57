//! Seeded interleavings of clients, time, and restarts of the broker, with invariants after every step.
//!
//! Clients (dynamic and static ones) join, sync, beat, commit, leave, vanish and come back; their ghosts go on sending
//! what they sent before. Decisions are applied at once, but answers are held until their records are "committed"; a
//! restart may lose any number of records that were not, with all answers that waited. Checked:
//!
//! - I15: in one generation no partition has two owners, whoever is told so and whenever, also over restarts;
//! - I14: a committed offset never lies below one that was acknowledged, and only members of the running generation
//!   commit;
//! - the generations in the log only rise; a group that is stable reads back from the log as it is;
//! - the group's own counts and maps agree with each other;
//! - when the chaos ends the group becomes stable, with every partition owned.
//!
//! The harness sees: [`answers_that_do_not_wait_for_their_records_are_found_out`] releases answers before their records
//! are committed, and finds two owners or a commit that was lost.

mod client;
pub(crate) mod random;
mod world;

use world::{Bug, World};

const STEPS: usize = 400;

/// Runs one seed; the error names what was violated.
fn run(seed: u64, bug: Option<Bug>) -> Result<(), String> {
    let mut world = World::new(seed, bug);
    for step in 0..STEPS {
        world.step();
        world
            .check()
            .map_err(|violation| format!("seed {seed}, step {step}: {violation}"))?;
    }
    world
        .calm_down()
        .map_err(|violation| format!("seed {seed}, at the end: {violation}"))
}

#[test]
fn no_partition_has_two_owners_and_no_offset_goes_back_whatever_happens() {
    for seed in 0..100 {
        run(seed, None).unwrap_or_else(|violation| panic!("{violation}"));
    }
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
    let violations: Vec<String> = (0..150)
        .filter_map(|seed| run(seed, Some(Bug::AnswersEarly)).err())
        .collect();
    let found = |what: &str| violations.iter().any(|violation| violation.contains(what));
    assert!(found("two owners"), "{violations:?}");
    assert!(found("went back"), "{violations:?}");
}
