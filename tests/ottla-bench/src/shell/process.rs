//! What a process uses, from /proc: processor time of all its threads, memory by kind.

use anyhow::{Context, ensure};
use std::{
    fs,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

/// How often memory is looked at: the kernel walks the page table for it.
const EVERY: Duration = Duration::from_millis(250);

/// A process that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// Memory in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// All that is resident.
    pub resident_mib: f64,
    /// What is the process' own.
    pub anonymous_mib: f64,
    /// Pages of files: the kernel may have them back.
    pub file_mib: f64,
}

impl Memory {
    fn max(self, other: Self) -> Self {
        Self {
            resident_mib: self.resident_mib.max(other.resident_mib),
            anonymous_mib: self.anonymous_mib.max(other.anonymous_mib),
            file_mib: self.file_mib.max(other.file_mib),
        }
    }
}

impl Process {
    /// User and system time so far, of all threads, ended ones too, in seconds; the kernel counts in hundredths.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn cpu_seconds(self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).context("the broker's process has ended")?;
        let ticks = ticks(&stat).context("/proc/PID/stat looks otherwise here")?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Its memory now.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn memory(self) -> anyhow::Result<Memory> {
        let rollup =
            fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0)).context("the broker's process has ended")?;
        memory(&rollup).context("/proc/PID/smaps_rollup looks otherwise here")
    }

    /// Looks at the memory again and again until asked for the peak.
    pub fn watch(self) -> Watch {
        let (stop, stopped) = channel();
        let watching = std::thread::spawn(move || {
            let mut peak = self.memory()?;
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                peak = peak.max(self.memory()?);
            }
            Ok(peak)
        });
        Watch { stop, watching }
    }

    /// The lowest memory of so many looks: what stays when nothing happens.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn idle_memory(self, looks: usize) -> anyhow::Result<Memory> {
        ensure!(looks > 0, "no looks");
        let mut least: Option<Memory> = None;
        for _ in 0..looks {
            std::thread::sleep(EVERY);
            let now = self.memory()?;
            least = Some(
                least
                    .filter(|least| least.resident_mib <= now.resident_mib)
                    .unwrap_or(now),
            );
        }
        least.context("no looks")
    }
}

/// A look at memory that goes on.
#[derive(Debug)]
pub struct Watch {
    stop: Sender<()>,
    watching: JoinHandle<anyhow::Result<Memory>>,
}

impl Watch {
    /// The most of each kind since it began; ends it.
    ///
    /// # Errors
    /// The process has ended meanwhile.
    pub fn peak(self) -> anyhow::Result<Memory> {
        drop(self.stop);
        self.watching
            .join()
            .map_err(|_| anyhow::anyhow!("the thread that looks at memory has panicked"))?
    }
}

/// Fields 14 and 15, counted behind the name, which may have spaces and brackets in it.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn memory(rollup: &str) -> Option<Memory> {
    let kb = |name: &str| -> Option<f64> {
        let line = rollup
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    let (resident, anonymous) = (kb("Rss")?, kb("Anonymous")?);
    Some(Memory {
        resident_mib: resident / 1024.0,
        anonymous_mib: anonymous / 1024.0,
        file_mib: (resident - anonymous) / 1024.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_behind_a_name_that_may_hold_brackets() {
        let stat = "77 (a ) b (c) S 1 77 77 0 -1 4194560 500 0 0 0 120 34 5 6 20 0 4 0 100 1 2";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("77 (a) S 1"), None);
    }

    #[test]
    fn what_is_resident_is_anonymous_or_of_files() {
        let rollup =
            "55-7f ---p 0 00:00 0 [rollup]\nRss:   3072 kB\nPss:   100 kB\nPss_Anon:  7 kB\nAnonymous:   1024 kB\n";
        let memory = memory(rollup).expect("whole");
        assert_eq!(
            (memory.resident_mib, memory.anonymous_mib, memory.file_mib),
            (3.0, 1.0, 2.0)
        );
        assert_eq!(super::memory("Rss: 1 kB\n"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let own = Process(std::process::id());
        assert!(own.cpu_seconds().is_ok());
        assert!(own.watch().peak().expect("it runs").resident_mib > 0.0);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        // Above the greatest number that the kernel gives.
        assert!(Process(u32::MAX).cpu_seconds().is_err());
    }
}
