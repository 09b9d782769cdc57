//! Many logs, few descriptors.

use std::os::fd::AsRawFd;

use super::*;
use crate::disk::{Disk, DiskFile, FileSlot, OpenMode};

/// How many descriptors of this process are of files below `dir`.
fn open_below(dir: &Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.starts_with(dir))
        .count()
}

#[test]
fn many_logs_are_read_and_written_with_few_files_open() {
    const LOGS: usize = 60;
    const LIMIT: usize = 20;
    let dir = scratch("open-files");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::with_open_files(LIMIT));
    let logs: Vec<Log> = (0..LOGS)
        .map(|number| Log::open(disk.clone(), &dir.path().join(format!("t-{number}")), &clean()).unwrap())
        .collect();
    let large = batch_at(&[1_000], 3_000);
    for round in 1..=5 {
        for log in &logs {
            // Over several segments, by copying and by calls.
            append(log, &batch(3));
            append(log, &large);
            assert!(
                open_below(dir.path()) <= LIMIT,
                "{} files are open",
                open_below(dir.path())
            );
        }
        assert!(open_below(dir.path()) > LIMIT / 2, "what fits is kept open");
        for log in &logs {
            assert_eq!(read_all(log, 0).len(), 2 * round);
            assert!(
                open_below(dir.path()) <= LIMIT,
                "{} files are open",
                open_below(dir.path())
            );
        }
    }
    for log in &logs {
        log.release_idle().unwrap();
    }
    assert_eq!(open_below(dir.path()), 0, "an idle log holds none");
    for log in &logs {
        log.sync().unwrap();
        log.close().unwrap();
    }
}

#[test]
fn a_map_lives_without_its_file() {
    let dir = scratch("open-files");
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..LogConfig::default()
    };
    let log = open(
        dir.path(),
        &LogOptions {
            config,
            is_clean: true,
            ..LogOptions::default()
        },
    );
    append(&log, &batch(1));
    log.all_segments().iter().for_each(|segment| segment.release());
    assert!(log.is_mapped());
    assert_eq!(open_below(dir.path()), 0);
    append(&log, &batch(1));
    assert_eq!(open_below(dir.path()), 0, "copied into the map");
    append(&log, &batch_at(&[1_000], 40_000));
    assert_eq!(open_below(dir.path()), 1, "written by a call");
    assert_eq!(read_all(&log, 0).len(), 3);
}

#[test]
fn a_file_that_is_held_is_not_closed() {
    let dir = scratch("open-files");
    let disk = RealDisk::with_open_files(4);
    let slots: Vec<FileSlot> = (0..20)
        .map(|number| FileSlot::new(Arc::new(disk.clone()), dir.path().join(format!("{number}"))))
        .collect();
    let held: Vec<_> = slots[..3]
        .iter()
        .map(|slot| slot.open(OpenMode::Create).unwrap())
        .collect();
    for slot in &slots[3..] {
        slot.open(OpenMode::Create).unwrap();
        assert!(open_below(dir.path()) <= 5);
    }
    for (slot, file) in slots.iter().zip(&held) {
        let again = slot.open(OpenMode::Write).unwrap();
        let number = |file: &Arc<dyn DiskFile>| file.descriptor().unwrap().as_raw_fd();
        assert_eq!(number(&again), number(file));
    }
}
