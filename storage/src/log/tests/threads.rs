//! Appending, reading, syncing and retaining at the same time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

#[test]
fn readers_see_whole_batches_in_order_whatever_else_goes_on() {
    let dir = scratch("threads");
    let config = LogConfig {
        segment_bytes: 200_000,
        retention_bytes: 400_000,
        ..small_config()
    };
    let log = open(dir.path(), &LogOptions { config, ..clean() });
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| read_until(&log, &is_done));
        }
        scope.spawn(|| {
            // A last round comes after the last append, however the threads take turns.
            let mut was_done = false;
            while !was_done {
                was_done = is_done.load(Ordering::Relaxed);
                log.sync().unwrap();
                log.snapshot_producers().unwrap();
                log.apply_retention(1_000).unwrap();
                log.remove_doomed_files(i64::MAX).unwrap();
                log.release_idle().unwrap();
            }
        });
        for round in 0..3_000 {
            let len = if round % 20 == 0 { 40_000 } else { round % 700 };
            append(&log, &batch_at(&[round as i64], len));
            log.set_high_watermark(log.log_end_offset());
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(log.first_segment_offset() > 0);
    let expected = read_all(&log, log.log_start_offset());
    log.close().unwrap();
    let again = open(dir.path(), &LogOptions { config, ..clean() });
    assert_eq!(read_all(&again, again.log_start_offset()), expected);
}

fn read_until(log: &Log, is_done: &AtomicBool) {
    let mut offset = 0;
    while !is_done.load(Ordering::Relaxed) || offset < log.log_end_offset() {
        match log.read(offset, log.high_watermark(), 10_000, true) {
            Ok(slice) => {
                let next_offset = slice.next_offset;
                let bytes = slice.records.into_bytes().unwrap();
                for batch in batches(&bytes) {
                    let (header, batch) = batch.unwrap();
                    verify_crc(batch).unwrap();
                    assert_eq!((header.base_offset, header.base_timestamp), (offset, offset));
                    offset = header.next_offset();
                }
                assert_eq!(offset, next_offset);
            }
            Err(ReadError::OffsetOutOfRange { valid, .. }) => offset = valid.start,
            Err(error) => panic!("{error}"),
        }
    }
}
