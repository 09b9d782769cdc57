//! Reads that are sent from the file, and readers that go on where they were.

use super::*;
use crate::disk::{Disk, faulty::FaultyDisk, without_waiting};

/// Large enough that a read of all of it stays in the file.
const MANY: usize = 400;

fn large_config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 20,
        index_interval_bytes: 1024,
        ..LogConfig::default()
    }
}

/// A log with two sealed segments of `MANY` batches, and an empty active one.
fn two_sealed(dir: &Path) -> Log {
    two_sealed_on(Arc::new(RealDisk::new()), dir)
}

fn two_sealed_on(disk: Arc<dyn Disk>, dir: &Path) -> Log {
    let options = LogOptions {
        config: large_config(),
        is_clean: true,
        ..LogOptions::default()
    };
    let log = Log::open(disk, dir, &options).unwrap();
    for at in 0..2 * MANY {
        append(&log, &batch_at(&[1_000 + at as i64], 301));
        if at + 1 == MANY {
            log.roll(1_000).unwrap();
        }
    }
    log.roll(1_000).unwrap();
    log
}

fn region(slice: &ReadSlice) -> &FileRegion {
    match &slice.records {
        Records::File(region) => region,
        Records::Memory(bytes) => panic!("{} bytes in memory", bytes.len()),
    }
}

/// Base offsets of the batches that were read.
fn offsets(slice: &ReadSlice) -> Vec<Offset> {
    let bytes = slice.records.clone().into_bytes().unwrap();
    let offsets = batches(&bytes).map(|batch| {
        let (header, batch) = batch.unwrap();
        verify_crc(batch).unwrap();
        header.base_offset
    });
    offsets.collect()
}

#[test]
fn a_large_read_of_a_sealed_segment_stays_in_its_file_and_ends_with_a_batch() {
    let dir = scratch("reading");
    let log = two_sealed(dir.path());
    let (many, size) = (MANY as i64, batch_at(&[0], 301).len());
    for (from, upper_bound, max_bytes, expected_end) in [
        (0, Offset::MAX, usize::MAX >> 1, many),
        (17, Offset::MAX, 100 * size, 117),
        (17, Offset::MAX, 100 * size + size - 1, 117),
        (17, Offset::MAX, 101 * size, 118),
        (5, 300, usize::MAX >> 1, 300),
        (many + 1, 2 * many - 1, usize::MAX >> 1, 2 * many - 1),
        (many - 150, many, usize::MAX >> 1, many),
    ] {
        let slice = log.read(from, upper_bound, max_bytes, false).unwrap();
        region(&slice);
        assert_eq!((slice.base_offset, slice.next_offset), (from, expected_end));
        assert_eq!(offsets(&slice), (from..expected_end).collect::<Vec<_>>());
    }
}

#[test]
fn a_small_read_is_in_memory() {
    let dir = scratch("reading");
    let log = two_sealed(dir.path());
    let slice = log.read(10, Offset::MAX, 2000, true).unwrap();
    assert!(matches!(slice.records, Records::Memory(_)));
    let slice = log.read(10, 13, 1 << 20, true).unwrap();
    assert_eq!(offsets(&slice), [10, 11, 12]);
    assert!(matches!(slice.records, Records::Memory(_)));
}

#[test]
fn an_index_that_lies_does_not_lead_a_read_astray() {
    type Entry = [u8; 8];
    fn flipped(entries: &[Entry]) -> Vec<Entry> {
        let flip = |mut entry: Entry| {
            entry[7] ^= 4;
            entry
        };
        entries.iter().copied().map(flip).collect()
    }
    fn shifted(entries: &[Entry]) -> Vec<Entry> {
        let pairs = entries.iter().zip(&entries[20..]);
        pairs
            .map(|(entry, later)| [&entry[..4], &later[4..]].concat().try_into().unwrap())
            .collect()
    }
    for lie in [flipped, shifted] {
        let dir = scratch("reading");
        let log = two_sealed(dir.path());
        let path = dir.path().join("00000000000000000000.index");
        let index = std::fs::read(&path).unwrap();
        let entries: Vec<Entry> = index.chunks_exact(8).map(|entry| entry.try_into().unwrap()).collect();
        let count = entries.len();
        let mut entries = lie(&entries);
        entries.resize(count, [0xff; 8]);
        std::fs::write(&path, entries.concat()).unwrap();
        let slice = log.read(20, 220, 1 << 20, false).unwrap();
        assert_eq!(offsets(&slice), (20..220).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_being_sent_outlives_deletion_and_truncation() {
    let dir = scratch("reading");
    let log = two_sealed(dir.path());
    let many = MANY as i64;
    let first = log.read(0, Offset::MAX, 1 << 20, false).unwrap();
    let second = log.read(many, Offset::MAX, 1 << 20, false).unwrap();
    let before = second.records.clone().into_bytes().unwrap();

    log.set_high_watermark(log.log_end_offset());
    log.delete_records_before(many).unwrap();
    log.apply_retention(10_000).unwrap();
    log.remove_doomed_files(i64::MAX).unwrap();
    assert_eq!(log.first_segment_offset(), many, "the first segment is gone");
    assert_eq!(offsets(&first), (0..many).collect::<Vec<_>>());

    log.truncate_to(many + 10, 1_000).unwrap();
    fill(&log, MANY, &batch_at(&[7], 302));
    assert_eq!(second.records.clone().into_bytes().unwrap(), before);
    let again = log.read(many, Offset::MAX, 1 << 20, false).unwrap();
    assert_ne!(again.records.into_bytes().unwrap()[..before.len()], before);
}

#[test]
fn a_reader_that_goes_on_where_it_was_searches_no_index() {
    let dir = scratch("reading");
    let log = two_sealed(dir.path());
    let size = batch_at(&[0], 301).len();
    for max_bytes in [3 * size, 150 * size] {
        log.read(100, Offset::MAX, max_bytes, true).unwrap();
        assert!(
            log.index_searches() > 0,
            "a reader that comes from nowhere has to search"
        );
        let mut slice = log.read(100, Offset::MAX, max_bytes, true).unwrap();
        let before = log.index_searches();
        while slice.next_offset < log.log_end_offset() {
            let from = slice.next_offset;
            slice = log.read(from, Offset::MAX, max_bytes, true).unwrap();
            assert_eq!(slice.base_offset, from);
            assert!(slice.next_offset > from);
        }
        assert_eq!(log.index_searches(), before, "reads of {max_bytes}, over a roll");
    }
}

#[test]
fn where_a_reader_was_does_not_count_after_a_truncation() {
    let dir = scratch("reading");
    let log = two_sealed(dir.path());
    let many = MANY as i64;
    let size = batch_at(&[0], 301).len();
    let slice = log.read(many, Offset::MAX, 5 * size, true).unwrap();
    assert_eq!(slice.next_offset, many + 5);
    log.truncate_to(many + 2, 1_000).unwrap();
    // Where the reader was, another batch begins now, as two take the place of one.
    let half = (0..301).find(|len| 2 * batch_at(&[7], *len).len() == size).unwrap();
    fill(&log, 20, &batch_at(&[7], half));
    let slice = log.read(many + 5, Offset::MAX, 5 * size, true).unwrap();
    assert_eq!(slice.base_offset, many + 5);
    assert_eq!(offsets(&slice)[0], many + 5);
}

#[test]
fn who_must_not_wait_gets_no_file_opened() {
    let dir = scratch("reading");
    let log = two_sealed(dir.path());
    log.release_idle().unwrap();
    let read = || log.read(5, Offset::MAX, 1 << 20, true);
    assert!(without_waiting(read).unwrap_err().would_wait());
    let timestamp = 1_000 + MANY as i64 / 2;
    let look_up = || log.offset_for_timestamp(timestamp);
    log.release_idle().unwrap();
    assert!(without_waiting(look_up).unwrap_err().would_wait());
    // What another thread has brought into memory is found.
    let expected = offsets(&read().unwrap());
    assert_eq!(offsets(&without_waiting(read).unwrap()), expected);
    let found = look_up().unwrap().unwrap();
    assert_eq!(without_waiting(look_up).unwrap().unwrap(), found);
    assert_eq!(found.timestamp, timestamp);
}

#[test]
fn what_is_not_in_memory_is_read_by_who_may_wait() {
    let disk = FaultyDisk::default();
    let log = two_sealed_on(Arc::new(disk.clone()), Path::new("/log"));
    let many = MANY as i64;
    let read = || log.read(many / 2, Offset::MAX, 5000, true);
    let look_up = || log.offset_for_timestamp(1_000 + many / 2);
    let latest = || log.max_timestamp();
    let (expected, found) = (offsets(&read().unwrap()), look_up().unwrap());
    disk.cool_down();
    assert!(without_waiting(look_up).unwrap_err().would_wait());
    assert!(without_waiting(latest).unwrap_err().would_wait());
    assert!(without_waiting(read).unwrap_err().would_wait());
    read().unwrap();
    assert_eq!(offsets(&without_waiting(read).unwrap()), expected);
    assert!(
        without_waiting(look_up).unwrap_err().would_wait(),
        "the time index has not been read"
    );
    look_up().unwrap();
    assert_eq!(without_waiting(look_up).unwrap(), found);
    latest().unwrap();
    assert_eq!(without_waiting(latest).unwrap().unwrap().offset, 2 * many - 1);
}
