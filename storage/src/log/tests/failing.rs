//! A disk that is full, or does not write what it was given.

use std::io;

use super::*;
use crate::disk::faulty::FaultyDisk;

const DIR: &str = "/log";

fn open_on(disk: &FaultyDisk) -> Log {
    Log::open(Arc::new(disk.clone()), Path::new(DIR), &clean()).unwrap()
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room_again() {
    let disk = FaultyDisk::default();
    let log = open_on(&disk);
    append(&log, &batch(1));
    log.release_idle().unwrap();
    for round in 0..3 {
        disk.fill_up(true);
        // What is allocated takes some more batches; then nothing fits, and nothing of what does not fit is seen.
        let refused = (0..1_000).find_map(|_| log.append(client(&batch(20))).err());
        assert!(matches!(refused, Some(AppendError::Io(error)) if error.kind() == io::ErrorKind::StorageFull));
        let end = log.log_end_offset();
        assert_eq!(read_all(&log, 0).len() as i64, (end - 1 - round) / 20 + 1 + round);
        let _ = log.sync();
        assert!(!log.is_offline());
        disk.fill_up(false);
        assert_eq!(append(&log, &batch(1)).base_offset, end);
    }
    log.sync().unwrap();
    let expected = read_all(&log, 0);
    log.close().unwrap();
    assert_eq!(read_all(&open_on(&disk), 0), expected);
}

#[test]
fn after_a_failed_sync_the_log_is_offline_for_good() {
    let disk = FaultyDisk::default();
    let log = open_on(&disk);
    append(&log, &batch(1));
    log.sync().unwrap();
    append(&log, &batch(1));
    disk.fail_next_sync();
    assert!(matches!(log.sync(), Err(SyncError::SyncFailed(_))));
    assert!(log.is_offline());
    assert!(matches!(log.sync(), Err(SyncError::Offline)), "it is not tried again");
    assert_eq!(log.recovery_point(), 1);
    assert!(matches!(log.append(client(&batch(1))), Err(AppendError::Offline)));
    assert!(matches!(log.close(), Err(SyncError::Offline)));
    assert_eq!(read_all(&log, 0).len(), 2, "reading goes on");
}
