//! What a crash leaves, and what it does not.

use super::*;

fn log_with(dir: &Path, batches: &[Bytes]) -> Log {
    let options = LogOptions {
        config: LogConfig {
            segment_bytes: 1 << 20,
            ..small_config()
        },
        ..clean()
    };
    let log = open(dir, &options);
    for bytes in batches {
        append(&log, bytes);
    }
    log
}

fn first_log(dir: &Path) -> std::path::PathBuf {
    dir.join("00000000000000000000.log")
}

#[test]
fn a_last_batch_that_is_torn_at_any_byte_is_cut_off() {
    let dir = scratch("torn");
    let log = log_with(dir.path(), &[batch(2), batch(1), batch(3)]);
    let whole = read_all(&log, 0);
    let content = std::fs::read(first_log(dir.path())).unwrap();
    let end = log.size_bytes() as usize;
    let start = end - whole[2].len();
    for cut in start..end {
        // Once the file ends there, once the preallocated zeros go on.
        for is_zeroed in [false, true] {
            let copy = copy_of(dir.path());
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(first_log(copy.path()))
                .unwrap();
            file.set_len(cut as u64).unwrap();
            if is_zeroed {
                file.set_len(65_536).unwrap();
            }
            let again = open(copy.path(), &unclean());
            if is_zeroed && content[cut..end].iter().all(|byte| *byte == 0) {
                assert_eq!(again.log_end_offset(), 6, "the zeros are what was there");
                continue;
            }
            assert_eq!(again.log_end_offset(), 3, "cut at {cut}");
            assert_eq!(read_all(&again, 0), whole[..2]);
            assert_eq!(append(&again, &batch(1)).base_offset, 3);
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_in_the_last_batch_is_found() {
    let dir = scratch("torn");
    let log = log_with(dir.path(), &[batch(2), batch(1)]);
    let whole = read_all(&log, 0);
    let end = log.size_bytes() as usize;
    for at in end - whole[1].len()..end {
        let copy = copy_of(dir.path());
        let mut bytes = std::fs::read(first_log(copy.path())).unwrap();
        bytes[at] ^= 0x40;
        std::fs::write(first_log(copy.path()), bytes).unwrap();
        let again = open(copy.path(), &unclean());
        let in_batch = at - (end - whole[1].len());
        // Base offset and leader epoch are not under the checksum: a larger offset is one that could be.
        let is_harmless = (0..8).contains(&in_batch) || (12..16).contains(&in_batch);
        assert!(is_harmless || again.log_end_offset() == 2, "byte {in_batch}");
    }
}

#[test]
fn only_what_is_past_the_recovery_point_is_read() {
    let dir = scratch("torn");
    let log = log_with(dir.path(), &vec![batch(1); 300]);
    log.sync().unwrap();
    log.snapshot_producers().unwrap();
    let recovery_point = log.recovery_point();
    assert_eq!(recovery_point, 300);
    log.release_idle().unwrap();
    fill(&log, 5, &batch(1));
    let copy = copy_of(dir.path());
    let again = open(
        copy.path(),
        &LogOptions {
            recovery_point,
            high_watermark: 305,
            ..unclean()
        },
    );
    assert_eq!(again.log_end_offset(), 305);
    assert_eq!(again.recovery().lost_from, None);
    let checked = again.recovery().checked_bytes as usize;
    let size = batch(1).len();
    assert!((5 * size..5 * size + 1000).contains(&checked), "{checked}");
    assert_eq!(read_all(&again, 0), read_all(&log, 0));
}

fn try_open(dir: &Path, options: &LogOptions) -> Result<Log, Damage> {
    match Log::open(Arc::new(RealDisk::new()), dir, options) {
        Ok(log) => Ok(log),
        Err(OpenError::Damaged(damage)) => Err(damage),
        Err(other) => panic!("{other}"),
    }
}

fn contents(dir: &Path) -> std::collections::BTreeMap<std::ffi::OsString, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let logs = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".log"));
    logs.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn what_somebody_was_promised_is_never_cut_off() {
    let dir = scratch("torn");
    let log = log_with(dir.path(), &[batch(2), batch(1), batch(1)]);
    let second = read_all(&log, 0)[0].len();
    log.close().unwrap();
    type Harm = fn(&Path, usize);
    let harms: [(Harm, DamageKind); 4] = [
        (
            |path, second| {
                let mut bytes = std::fs::read(path).unwrap();
                bytes[second + 70] ^= 1;
                std::fs::write(path, bytes).unwrap();
            },
            DamageKind::BadBatch,
        ),
        (
            |path, second| {
                let bytes = std::fs::read(path).unwrap();
                std::fs::write(path, &bytes[..second + 70]).unwrap();
            },
            DamageKind::BadBatch,
        ),
        (
            |path, second| {
                let bytes = std::fs::read(path).unwrap();
                std::fs::write(path, &bytes[..second]).unwrap();
            },
            DamageKind::Missing,
        ),
        (
            |path, second| {
                let mut bytes = std::fs::read(path).unwrap();
                bytes[second..].fill(0);
                std::fs::write(path, bytes).unwrap();
            },
            DamageKind::Missing,
        ),
    ];
    let promises = [(3, 0), (0, 3), (4, 4), (2, 0), (0, 2)];
    for (number, (harm, kind)) in harms.into_iter().enumerate() {
        for (recovery_point, high_watermark) in promises {
            for is_clean in [false, true] {
                if number == 0 && (is_clean || recovery_point > 3) {
                    // What is on the disk is not read again at start: whoever reads there is told.
                    continue;
                }
                let copy = copy_of(dir.path());
                harm(&first_log(copy.path()), second);
                let before = contents(copy.path());
                let options = LogOptions {
                    recovery_point,
                    high_watermark,
                    is_clean,
                    ..unclean()
                };
                let outcome = try_open(copy.path(), &options);
                if recovery_point.max(high_watermark) <= 2 {
                    assert_eq!(outcome.unwrap().log_end_offset(), 2, "nobody was promised more");
                    continue;
                }
                let damage = outcome.unwrap_err();
                assert_eq!(
                    (&damage.path, damage.position, damage.kind, damage.log_end_offset),
                    (&first_log(copy.path()), second as u64, kind, 2)
                );
                assert!(damage.to_string().contains("00000000000000000000.log"), "{damage}");
                assert_eq!(contents(copy.path()), before, "nothing is changed");
                let accepted = LogOptions {
                    accepts_loss: true,
                    ..options
                };
                let log = try_open(copy.path(), &accepted).unwrap();
                assert_eq!(
                    (log.log_end_offset(), log.high_watermark().min(2)),
                    (2, high_watermark.min(2))
                );
                let lost_from = (high_watermark > 2).then_some(2);
                assert_eq!(log.recovery().lost_from, lost_from);
            }
        }
    }
}

#[test]
fn damage_in_a_segment_before_the_last_one_does_not_remove_those_behind_it() {
    let dir = scratch("torn");
    let log = open(dir.path(), &unclean());
    fill(&log, 60, &batch(3));
    assert!(log.segment_count() > 2);
    let mut bytes = std::fs::read(first_log(dir.path())).unwrap();
    bytes[100] ^= 1;
    std::fs::write(first_log(dir.path()), bytes).unwrap();
    drop(log);
    let before = contents(dir.path());
    let options = LogOptions {
        high_watermark: 100,
        ..unclean()
    };
    let damage = try_open(dir.path(), &options).unwrap_err();
    assert_eq!((damage.log_end_offset, damage.promised_end()), (0, 100));
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_log_whose_files_are_gone_is_not_begun_again() {
    let dir = scratch("torn");
    let options = LogOptions {
        high_watermark: 5,
        ..unclean()
    };
    let damage = try_open(dir.path(), &options).unwrap_err();
    assert_eq!((damage.path.as_path(), damage.log_end_offset), (dir.path(), 0));
    let given_up = LogOptions {
        log_start_offset: 5,
        ..options
    };
    assert_eq!(try_open(dir.path(), &given_up).unwrap().log_end_offset(), 5);
}

#[test]
fn leader_epochs_that_are_missing_or_make_no_sense_are_read_from_the_log() {
    let dir = scratch("torn");
    let log = open(dir.path(), &clean());
    for epoch in [0, 0, 3, 7] {
        let leader_epoch = LeaderEpoch(epoch);
        log.append(Append {
            leader_epoch,
            ..client(&batch(2))
        })
        .unwrap();
    }
    let epochs = log.epochs();
    assert_eq!(epochs.len(), 3);
    log.close().unwrap();
    let path = dir.path().join("leader-epoch-checkpoint");
    let harms: [fn(&Path); 4] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::write(path, "").unwrap(),
        |path| std::fs::write(path, "0\n3\n0 0\n").unwrap(),
        |path| std::fs::write(path, [0xff; 30]).unwrap(),
    ];
    for harm in harms {
        harm(&path);
        let log = open(
            dir.path(),
            &LogOptions {
                recovery_point: 8,
                ..clean()
            },
        );
        assert_eq!(log.epochs(), epochs);
        log.close().unwrap();
    }
}

#[test]
fn indexes_that_are_missing_or_lie_are_built_again() {
    let dir = scratch("torn");
    let log = open(dir.path(), &clean());
    for at in 0..200 {
        append(&log, &batch_at(&[at * 10, at * 10 + 5], 50));
    }
    let expected = read_all(&log, 0);
    log.close().unwrap();
    type Harm = fn(&Path);
    let harms: [Harm; 6] = [
        |path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes.resize(bytes.len() + 2400, 0);
            std::fs::write(path, bytes).unwrap();
        },
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::write(path, [0xff; 80]).unwrap(),
        |path| std::fs::write(path, [0; 800]).unwrap(),
        |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        },
        |path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes.reverse();
            std::fs::write(path, bytes).unwrap();
        },
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        for suffix in [".index", ".timeindex"] {
            for options in [clean(), unclean()] {
                let copy = copy_of(dir.path());
                for entry in std::fs::read_dir(copy.path()).unwrap() {
                    let path = entry.unwrap().path();
                    if path.to_string_lossy().ends_with(suffix) && std::fs::metadata(&path).unwrap().len() > 0 {
                        harm(&path);
                    }
                }
                let again = open(copy.path(), &options);
                assert_eq!(read_all(&again, 0), expected, "harm {number} to {suffix}");
                for offset in (0..400).step_by(7) {
                    let slice = again.read(offset, Offset::MAX, 1, true).unwrap();
                    assert!(slice.base_offset <= offset && offset < slice.next_offset);
                }
                if options.is_clean && suffix == ".timeindex" {
                    continue;
                }
                for timestamp in (0..2_000).step_by(70) {
                    let found = again.offset_for_timestamp(timestamp).unwrap().unwrap();
                    assert_eq!(
                        found.offset,
                        (timestamp + 4) / 5,
                        "harm {number} to {suffix}, {timestamp} ms"
                    );
                }
            }
        }
    }
}

#[test]
fn left_overs_and_orphans_go() {
    let dir = scratch("torn");
    let log = log_with(dir.path(), &[batch(1)]);
    log.close().unwrap();
    let names = [
        "00000000000000000100.log.deleted",
        "00000000000000000100.index.cleaned",
        "00000000000000000200.index",
        "00000000000000000200.timeindex",
    ];
    for name in names {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    std::fs::write(
        dir.path().join("00000000000000000300-0000000001.checkpoint.deleted"),
        "x",
    )
    .unwrap();
    let again = open(dir.path(), &clean());
    assert_eq!(again.log_end_offset(), 1);
    for name in names {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
    assert!(
        dir.path()
            .join("00000000000000000300-0000000001.checkpoint.deleted")
            .exists(),
        "not ours"
    );
}

#[test]
fn segments_behind_the_end_of_the_log_go() {
    let dir = scratch("torn");
    let log = open(dir.path(), &clean());
    fill(&log, 200, &batch(2));
    let whole = read_all(&log, 0);
    let second = log.segments.read()[1].base_offset();
    let copy = copy_of(dir.path());
    let path = crate::segment::path(copy.path(), second, "log");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let again = open(copy.path(), &unclean());
    assert_eq!(again.segment_count(), 2);
    assert!(again.recovery().removed_segments > 3);
    let kept = read_all(&again, 0);
    assert!(!kept.is_empty() && kept[..] == whole[..kept.len()]);
    let end = again.log_end_offset();
    assert_eq!(append(&again, &batch(1)).base_offset, end);
}

/// As Kafka's compaction leaves it: a segment has lost its last batches, and the next one begins where it did.
fn log_with_gap(dir: &Path) -> (Vec<Bytes>, Offset) {
    let log = open(dir, &clean());
    fill(&log, 100, &batch(2));
    let whole = read_all(&log, 0);
    let second = log.segments.read()[1].base_offset();
    drop(log);
    let kept = (second as usize / 2 - 3) * whole[0].len();
    let file = std::fs::OpenOptions::new().write(true).open(first_log(dir)).unwrap();
    file.set_len(kept as u64).unwrap();
    let left = [&whole[..second as usize / 2 - 3], &whole[second as usize / 2..]].concat();
    (left, second)
}

#[test]
fn a_gap_that_compaction_by_kafka_left_is_no_end_of_the_log() {
    let dir = scratch("torn");
    let (left, second) = log_with_gap(dir.path());
    let compacted = LogOptions {
        config: LogConfig {
            is_compacted: true,
            ..small_config()
        },
        high_watermark: 200,
        ..unclean()
    };
    let not_any_more = LogOptions {
        cleaned_up_to: Some(second),
        config: small_config(),
        ..compacted.clone()
    };
    let cleaned_before_power_loss = LogOptions {
        cleaned_up_to: Some(second),
        has_lost_power: true,
        ..compacted.clone()
    };
    for options in [&compacted, &not_any_more, &cleaned_before_power_loss] {
        let copy = copy_of(dir.path());
        let log = open(copy.path(), options);
        assert_eq!((log.log_end_offset(), log.recovery().removed_segments), (200, 0));
        assert_eq!(read_all(&log, 0), left);
    }
    // Nobody compacts this log: what is missing has been there.
    let options = LogOptions {
        config: small_config(),
        ..compacted.clone()
    };
    let damage = try_open(copy_of(dir.path()).path(), &options).unwrap_err();
    assert_eq!(damage.log_end_offset, second - 6);
    // It may be the power loss that took it.
    let lost = LogOptions {
        has_lost_power: true,
        ..compacted
    };
    let copy = copy_of(dir.path());
    let log = open(copy.path(), &lost);
    assert_eq!(log.log_end_offset(), second - 6);
}

#[test]
fn indexes_of_which_a_power_loss_took_a_part_are_not_trusted() {
    let dir = scratch("torn");
    let options = LogOptions {
        config: LogConfig {
            segment_bytes: 1 << 20,
            index_interval_bytes: 0,
            ..small_config()
        },
        ..unclean()
    };
    let log = open(dir.path(), &options);
    for at in 0..300 {
        append(&log, &batch_at(&[1_000 + at * 10], 50));
    }
    log.sync().unwrap();
    log.release_idle().unwrap();
    for suffix in ["index", "timeindex"] {
        for range in [0..512, 512..1024, 1024..usize::MAX] {
            let copy = copy_of(dir.path());
            let path = first_log(copy.path()).with_extension(suffix);
            let mut bytes = std::fs::read(&path).unwrap();
            let end = range.end.min(bytes.len());
            bytes[range.start..end].fill(0);
            std::fs::write(&path, bytes).unwrap();
            let again = open(
                copy.path(),
                &LogOptions {
                    recovery_point: 300,
                    ..options.clone()
                },
            );
            for at in 0..300 {
                let found = again.offset_for_timestamp(1_000 + at * 10).unwrap().unwrap();
                assert_eq!(found.offset, at, "{suffix} without {range:?}");
                assert_eq!(again.read(at, Offset::MAX, 1, true).unwrap().base_offset, at);
            }
        }
    }
}
