//! Truncation.

use super::*;

#[test]
fn records_at_and_after_the_offset_go() {
    let dir = scratch("cut");
    let log = open(dir.path(), &clean());
    fill(&log, 100, &batch(2));
    let all = read_all(&log, 0);
    log.set_high_watermark(180);
    assert!(!log.truncate_to(200, 0).unwrap());
    for to in [190, 189, 100, 51, 2, 0] {
        assert!(log.truncate_to(to, 0).unwrap());
        let left = (to / 2) as usize;
        assert_eq!(log.log_end_offset(), to / 2 * 2);
        assert_eq!(read_all(&log, 0), all[..left], "cut to {to}");
        assert!(log.high_watermark() <= log.log_end_offset());
        assert_eq!(append(&log, &batch(2)).base_offset, to / 2 * 2);
        let copy = copy_of(dir.path());
        let again = open(copy.path(), &unclean());
        assert_eq!(again.log_end_offset(), log.log_end_offset());
        assert_eq!(read_all(&again, 0), read_all(&log, 0));
    }
}

#[test]
fn bytes_that_are_being_sent_do_not_change_when_their_place_is_written_again() {
    let dir = scratch("cut");
    let log = open(
        dir.path(),
        &LogOptions {
            config: LogConfig::default(),
            ..clean()
        },
    );
    append(&log, &batch_at(&[1], 50));
    append(&log, &batch_at(&[2], 50));
    append(&log, &batch_at(&[3], 80_000));
    let held = log
        .read(1, Offset::MAX, 200, true)
        .unwrap()
        .records
        .into_bytes()
        .unwrap();
    let before = held.to_vec();
    // By now there is a second map.
    fill(&log, 3, &batch_at(&[3], 80_000));
    log.truncate_to(1, 0).unwrap();
    append(&log, &batch_at(&[9], 50));
    append(&log, &batch_at(&[9], 90_000));
    assert_eq!(held, before);
    assert_ne!(read_all(&log, 1)[0], before);
    drop(held);
    log.close().unwrap();
    let again = open(dir.path(), &clean());
    assert_eq!(read_all(&again, 0), read_all(&log, 0));
}

#[test]
fn producers_epochs_and_timestamps_follow() {
    let dir = scratch("cut");
    let log = open(dir.path(), &clean());
    append(&log, &produced(9, 0, 0, 1));
    append(&log, &batch_at(&[500], 50));
    let later = produced(9, 0, 1, 1);
    log.append(Append {
        leader_epoch: LeaderEpoch(2),
        ..client(&later)
    })
    .unwrap();
    append(&log, &batch_at(&[9_000], 50));
    assert_eq!(log.max_timestamp().unwrap().unwrap().offset, 3);

    log.truncate_to(2, 0).unwrap();
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(0)));
    assert_eq!(log.producers()[0].last_sequence, 0);
    assert_eq!(log.max_timestamp().unwrap().unwrap().offset, 0);
    assert!(!append(&log, &later).is_duplicate, "what was cut is not remembered");
}

#[test]
fn below_its_first_segment_a_log_starts_anew() {
    let dir = scratch("cut");
    let log = open(dir.path(), &clean());
    log.truncate_fully_and_start_at(100, 0).unwrap();
    assert_eq!(
        (log.log_start_offset(), log.high_watermark(), log.log_end_offset()),
        (100, 100, 100)
    );
    append(&log, &batch(3));
    assert!(log.truncate_to(50, 0).unwrap());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (50, 50));
    assert_eq!(append(&log, &batch(1)).base_offset, 50);
    drop(log);
    let again = open(dir.path(), &unclean());
    assert_eq!((again.log_start_offset(), again.log_end_offset()), (50, 51));
}
