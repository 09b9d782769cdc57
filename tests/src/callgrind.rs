//! What callgrind writes: instructions in all, and how often memory was asked for.
//!
//! Its counts of calls are of no use here: they go on while nothing is collected. Its counts of instructions do not, so calls
//! are counted by how often the first instruction of what is called was executed. That takes `--dump-instr=yes` and
//! `--compress-pos=no`.

use anyhow::Context;
use std::collections::{BTreeMap, HashMap};

/// Where Rust code asks the allocator for memory.
const ALLOCATING: &[&str] = &["mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned"];

/// What was counted between two dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Instructions.
    pub instructions: u64,
    /// Allocations, and changes of size.
    pub allocations: u64,
}

/// Reads one dump.
///
/// # Errors
/// It has no sum of instructions, or no addresses.
pub fn parse(text: &str) -> crate::Result<Counted> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    // How often each instruction of these functions was executed, by address.
    let mut executed: BTreeMap<&str, BTreeMap<u64, u64>> = BTreeMap::new();
    let (mut instructions, mut function, mut is_of_call) = (None, "", false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = resolve(&mut names, name);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            resolve(&mut names, name);
        } else if line.starts_with("calls=") {
            // What the call has cost stands in the next line.
            is_of_call = true;
        } else if let Some(sum) = line.strip_prefix("totals:") {
            instructions = Some(sum.trim().parse().with_context(|| line.to_owned())?);
        } else if line.starts_with("0x") && !std::mem::take(&mut is_of_call) && ALLOCATING.contains(&function) {
            let (address, count) = cost(line).with_context(|| line.to_owned())?;
            *executed.entry(function).or_default().entry(address).or_default() += count;
        }
    }
    let entries = executed.values().filter_map(|function| function.values().next());
    Ok(Counted {
        instructions: instructions.context("a dump of callgrind has a line of totals")?,
        allocations: entries.sum(),
    })
}

/// Address and count of a line `0xADDRESS LINE COUNT`.
fn cost(line: &str) -> Option<(u64, u64)> {
    let mut parts = line.strip_prefix("0x")?.split(' ');
    let address = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some((address, parts.nth(1)?.parse().ok()?))
}

/// A name, which stands behind its number the first time only: `(7) mi_free`, then `(7)`.
fn resolve<'a>(names: &mut HashMap<&'a str, &'a str>, function: &'a str) -> &'a str {
    match function.split_once(' ') {
        Some((number, name)) => {
            names.insert(number, name);
            name
        }
        None => names.get(function).copied().unwrap_or(function),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_executions_of_the_first_instruction() {
        let dump = "events: Ir\nfn=(1) costs::main\n0x10 10 5\ncfn=(2) mi_malloc_aligned\ncalls=900 0x40 0\n0x14 11 300\n\
                    fn=(2)\n0x44 1 3\n0x40 1 3\nfi=(9)\n0x48 2 2\ncfn=(3) mi_theap_malloc\ncalls=800 0x80 0\n0x38 1 70\n\
                    fn=(4) mi_realloc_aligned\n0x60 1 4\n0x61 1 9\nfn=(5) mi_free\n0x70 1 7\ntotals: 1234\n";
        let counted = Counted {
            instructions: 1234,
            allocations: 7,
        };
        assert_eq!(parse(dump).expect("it is a dump"), counted);
    }

    #[test]
    fn what_has_no_sum_is_no_dump() {
        assert!(parse("fn=(1) main\n0x1 1 1\n").is_err());
    }
}
