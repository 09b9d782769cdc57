//! Everything that parses what a stranger, or a broken disk, gives us: one function for each kind of input, which panics
//! if something is wrong. `it/corpus.rs` runs them over the stored inputs and changes of those, libFuzzer over its own
//! (`cargo-fuzz/`); docs/testing.md says how.

mod batches;
mod dirs;
mod logs;
mod messages;
mod seeds;

pub use batches::{batches, records};
pub use dirs::dirs;
pub use logs::logs;
pub use messages::messages;

/// One kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, that of the folder of its inputs and of libFuzzer's program.
    pub name: &'static str,
    /// Takes an input.
    pub run: fn(&[u8]),
    /// Sound inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Whether an input costs files.
    pub is_slow: bool,
}

/// All kinds.
pub const TARGETS: [Target; 5] = [
    Target {
        name: "batches",
        run: batches,
        seeds: seeds::batches,
        is_slow: false,
    },
    Target {
        name: "records",
        run: records,
        seeds: seeds::records,
        is_slow: false,
    },
    Target {
        name: "messages",
        run: messages,
        seeds: messages::sound,
        is_slow: false,
    },
    Target {
        name: "logs",
        run: logs,
        seeds: seeds::logs,
        is_slow: true,
    },
    Target {
        name: "dirs",
        run: dirs,
        seeds: seeds::dirs,
        is_slow: true,
    },
];
