//! Seeded interleavings of members, time, topics, and restarts of the broker, with invariants after every step.
//!
//! Members (dynamic and static ones, by name and by regular expression) join, beat, leave, crash and pause; heartbeats
//! and answers get lost, come late or twice; topics come, grow and go. In half of the runs some clients speak the classic
//! protocol, eager or cooperative ones: the group is upgraded and downgraded as the others come and go. Decisions are
//! applied at once, but answers are held until their records are "committed"; a restart may lose any number of records
//! that were not, with all answers that waited. Checked:
//!
//! - I16: no partition is had by two members in epochs that count, in the coordinator or in the members themselves;
//! - epochs in the log only rise, and a member's epoch only goes back when it begins anew;
//! - the group reads back from the log as it is;
//! - when the chaos ends the group becomes stable, with every partition owned, and all in the same epoch; and so it
//!   does once more, as a classic group, when those of the consumer protocol have left.
//!
//! The harness sees: [`a_partition_that_is_given_before_it_is_given_up_is_found_out`] plants that bug in the
//! coordinator (partitions are given to a member while another one may still have them) and
//! finds two owners; [`answers_that_do_not_wait_for_their_records_are_found_out`] releases answers before their records
//! are committed, and finds members in epochs that a restart took back. tests/mutants puts in two more, which give two
//! owners: what a classic member has is free as soon as the group is upgraded, and a classic member that was expelled is
//! let in with what it had.

mod classic_client;
mod client;
mod world;

use world::{Bug, World};

const STEPS: usize = 600;

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
fn no_partition_has_two_owners_and_the_group_converges_whatever_happens() {
    for seed in 0..150 {
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

fn finds(bug: Bug, what: &str) -> bool {
    let mut violations = (0..30).filter_map(|seed| run(seed, Some(bug)).err());
    violations.any(|violation| violation.contains(what))
}

#[test]
fn a_partition_that_is_given_before_it_is_given_up_is_found_out() {
    assert!(finds(Bug::GivesEarly, "two owners"));
}

#[test]
fn answers_that_do_not_wait_for_their_records_are_found_out() {
    assert!(finds(Bug::AnswersEarly, "ahead of its group"));
}
