//! Each thing that a request names, once.
//!
//! A few bytes name a topic, its answer may have thousands. Were there an answer for each mention, a small request
//! could ask for an endless one.

use std::{collections::HashSet, hash::Hash};

/// What is left of `asked` without repetitions by `key`, in the same order.
pub(super) fn once<T, K: Hash + Eq>(asked: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = HashSet::with_capacity(asked.len());
    asked.into_iter().filter(|each| seen.insert(key(each))).collect()
}
