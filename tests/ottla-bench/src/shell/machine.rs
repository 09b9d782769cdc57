//! What this runs on.

use crate::core::report::Setting;
use anyhow::Context;
use std::{fs, path::Path, thread::available_parallelism};

/// Cores, processor, memory, kernel, and the file system below `scratch`.
pub fn facts(scratch: &Path) -> Vec<Setting> {
    let cores = available_parallelism().map_or("unknown".to_owned(), |cores| cores.to_string());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        Setting::new("cores", cores),
        Setting::new("processor", field("/proc/cpuinfo", "model name").unwrap_or_default()),
        Setting::new("memory", field("/proc/meminfo", "MemTotal").unwrap_or_default()),
        Setting::new("kernel", kernel.trim()),
        Setting::new("file system", file_system(scratch).unwrap_or_default()),
        Setting::new("librdkafka", rdkafka::util::get_rdkafka_version().1),
    ]
}

/// All memory of this machine.
///
/// # Errors
/// /proc/meminfo does not tell.
pub fn memory_bytes() -> anyhow::Result<u64> {
    let told = field("/proc/meminfo", "MemTotal").context("/proc/meminfo tells no MemTotal")?;
    let kib: u64 = told.trim_end_matches(" kB").parse().context("MemTotal is no number")?;
    Ok(kib << 10)
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The kind of the mount with the longest path above this one.
fn file_system(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(at, _)| path.starts_with(at));
    above.max_by_key(|(at, _)| at.len()).map(|(_, kind)| kind.to_owned())
}

/// As many open files as this process may ask for: it has a socket for each producer of a thousand.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Refused: connections will fail with the system's own words.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}
