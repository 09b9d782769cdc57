//! What this runs on.

use crate::core::report::Setting;
use anyhow::Context;
use std::{fs, path::Path, thread::available_parallelism, time::Duration};

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
    of_memory("MemTotal")
}

/// Memory that nothing is in.
///
/// # Errors
/// /proc/meminfo does not tell.
pub fn free_bytes() -> anyhow::Result<u64> {
    of_memory("MemFree")
}

fn of_memory(name: &str) -> anyhow::Result<u64> {
    let told = field("/proc/meminfo", name).with_context(|| format!("/proc/meminfo tells no {name}"))?;
    let kib = told.trim_end_matches(" kB").parse::<u64>();
    Ok(kib.with_context(|| format!("{name} is no number"))? << 10)
}

/// How long this machine's processors were to work and did not, because the host had none for them; added up over all. A
/// machine that is held up for hundredths of a second says little about latencies.
pub fn stolen() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stolen_ticks(&stat)
        .map(|ticks| Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

fn stolen_ticks(stat: &str) -> Option<u64> {
    let all = stat.lines().next()?.strip_prefix("cpu ")?;
    all.split_ascii_whitespace().nth(7)?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_took_is_the_eighth_figure_of_all_processors() {
        let stat = "cpu  500229 113370 238365 533120 12102 0 25322 33545 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(stolen_ticks(stat), Some(33_545));
        assert_eq!(stolen_ticks("intr 1\n"), None);
        assert!(stolen().is_some());
    }
}
