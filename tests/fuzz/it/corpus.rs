//! Every kind of input over sound ones, over what is stored in corpus/, and over changes of those that follow from a seed. An input that
//! once did harm is stored there, and stays.
//!
//! OTTLA_SEED: another seed. OTTLA_INPUTS: how many changed inputs of each kind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::{env, fs};

use ottla_fuzz::TARGETS;
use ottla_tests::random::Random;

const INPUTS: usize = 20_000;
const SLOW_INPUTS: usize = 100;
const CHANGES_MAX: usize = 6;
/// What a changed input is longer than the one that it was made from, at most.
const GROWTH_MAX: usize = 64;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

fn stored(name: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    // Without a folder nothing has done harm yet.
    let Ok(entries) = fs::read_dir(&dir) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("an input")).collect()
}

/// Some bytes changed, put in, left out, or taken from another input.
fn changed(random: &mut Random, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut input = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(CHANGES_MAX) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => input.truncate(at),
            3 => {
                let length = random.below(GROWTH_MAX);
                let more = random.bytes(length);
                input.splice(at..at, more);
            }
            4 => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len() + 1);
                let end = input.len().min(at + other.len() - from);
                input.splice(at..end, other[from..].iter().copied());
            }
            _ => {
                let end = input.len().min(at + random.below(GROWTH_MAX));
                input.drain(at..end);
            }
        }
    }
    input
}

#[test]
fn no_input_does_harm() {
    let seed = number("OTTLA_SEED").unwrap_or(1);
    for target in TARGETS {
        let mut inputs = stored(target.name);
        inputs.extend((target.seeds)());
        let mut random = Random::of_seed(seed);
        let default = if target.is_slow { SLOW_INPUTS } else { INPUTS };
        let count = number("OTTLA_INPUTS").map_or(default, |count| count as usize);
        let made = (0..count).map(|_| changed(&mut random, &inputs));
        for input in inputs.iter().cloned().chain(made) {
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                let path = env::temp_dir().join(format!("ottla-fuzz-{}-{}", target.name, std::process::id()));
                fs::write(&path, &input).expect("room for the input");
                panic!(
                    "{} panicked with the input that is now in {}",
                    target.name,
                    path.display()
                );
            }
        }
    }
}
