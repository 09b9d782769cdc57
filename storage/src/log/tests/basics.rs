//! Appending, reading and opening again.

use super::*;

#[test]
fn records_get_consecutive_offsets_and_are_read_back() {
    let dir = scratch("log");
    let log = open(dir.path(), &clean());
    assert_eq!(append(&log, &batch(3)).base_offset, 0);
    let second = append(&log, &batch(2));
    assert_eq!((second.base_offset, second.last_offset), (3, 4));
    assert_eq!(log.log_end_offset(), 5);

    let slice = log.read(4, Offset::MAX, 1 << 20, true).unwrap();
    assert_eq!((slice.base_offset, slice.next_offset), (3, 5));
    let bytes = slice.records.into_bytes().unwrap();
    let (header, _) = batches(&bytes).next().unwrap().unwrap();
    assert_eq!((header.base_offset, header.partition_leader_epoch), (3, LeaderEpoch(0)));
    verify_crc(&bytes).unwrap();
}

#[test]
fn a_read_ends_at_whole_batches_and_at_the_bound() {
    let dir = scratch("log");
    let log = open(dir.path(), &clean());
    let size = batch(1).len();
    for _ in 0..4 {
        append(&log, &batch(1));
    }
    let len =
        |from, bound, max_bytes, at_least_one| log.read(from, bound, max_bytes, at_least_one).unwrap().records.len();
    assert_eq!(len(0, 10, 2 * size + 1, true), 2 * size);
    assert_eq!(len(0, 10, 2 * size - 1, true), size);
    assert_eq!(
        len(0, 10, 1, true),
        size,
        "KIP-74: the first batch comes, however large"
    );
    assert_eq!(len(0, 10, 1, false), 0);
    assert_eq!(len(0, 3, 1 << 20, true), 3 * size);
    assert_eq!(len(2, 2, 1 << 20, true), 0);
    assert_eq!(len(4, 10, 1 << 20, true), 0, "the log end offset is valid and empty");
    assert!(matches!(
        log.read(5, 10, 1, true),
        Err(ReadError::OffsetOutOfRange { offset: 5, .. })
    ));
    assert!(matches!(
        log.read(-1, 10, 1, true),
        Err(ReadError::OffsetOutOfRange { .. })
    ));
}

#[test]
fn a_closed_log_is_the_same_when_opened_again() {
    let dir = scratch("log");
    let log = open(dir.path(), &clean());
    for _ in 0..200 {
        append(&log, &batch(2));
    }
    assert!(log.segment_count() > 5);
    let before = read_all(&log, 0);
    assert_eq!(before.len(), 200);
    log.close().unwrap();
    assert!(matches!(log.append(client(&batch(1))), Err(AppendError::Offline)));

    let again = open(dir.path(), &clean());
    assert_eq!(again.log_end_offset(), 400);
    assert_eq!(again.size_bytes(), log.size_bytes());
    assert_eq!(read_all(&again, 0), before);
    assert_eq!(append(&again, &batch(1)).base_offset, 400);
    let files: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".log"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(
        files < again.size_bytes() + 70_000,
        "nothing but the active segment is preallocated: {files}"
    );
}

#[test]
fn a_killed_log_has_all_that_was_appended() {
    let dir = scratch("log");
    let log = open(dir.path(), &clean());
    for _ in 0..100 {
        append(&log, &batch(2));
        let copy = copy_of(dir.path());
        let again = open(copy.path(), &unclean());
        assert_eq!(read_all(&again, 0), read_all(&log, 0));
        assert_eq!(again.recovery().truncated_bytes, 0);
        assert_eq!(append(&again, &batch(1)).base_offset, log.log_end_offset());
    }
}
