use super::*;

/// Producer id 7, epoch 1, sequence 5; two records "a" and "b" at 1000 and 1001 ms.
fn sample() -> Vec<u8> {
    let records: &[u8] = &[14, 0, 0, 0, 1, 2, b'a', 0, 14, 0, 2, 2, 1, 2, b'b', 0];
    let header = BatchHeader {
        base_offset: 0,
        batch_length: (HEADER_BYTES - LOG_OVERHEAD + records.len()) as i32,
        partition_leader_epoch: LeaderEpoch::NONE,
        magic: MAGIC,
        crc: 0,
        attributes: Attributes::default(),
        last_offset_delta: 1,
        base_timestamp: 1000,
        max_timestamp: 1001,
        producer_id: ProducerId(7),
        producer_epoch: ProducerEpoch(1),
        base_sequence: 5,
        records_count: 2,
    };
    let mut batch = [&header.encode()[..], records].concat();
    update_crc(&mut batch);
    batch
}

fn edited(edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut batch = sample();
    edit(&mut batch);
    batch
}

#[test]
fn a_header_comes_back_as_it_was_encoded() {
    let batch = sample();
    let header = BatchHeader::parse(&batch).unwrap();
    assert_eq!(header.encode(), batch[..HEADER_BYTES]);
    assert_eq!(header.size_bytes(), batch.len());
    assert_eq!(
        (header.last_offset(), header.next_offset(), header.last_sequence()),
        (1, 2, 6)
    );
    assert_eq!(peek_size(&batch), Some(batch.len()));
}

#[test]
fn a_header_is_cut_off_at_every_byte_before_its_end() {
    let batch = sample();
    for end in 0..HEADER_BYTES {
        let expected = BatchError::Truncated {
            needed_bytes: HEADER_BYTES,
            available_bytes: end,
        };
        assert_eq!(BatchHeader::parse(&batch[..end]), Err(expected));
    }
    assert!(BatchHeader::parse(&batch[..HEADER_BYTES]).is_ok());
}

#[test]
fn impossible_lengths_are_named_before_anything_else() {
    for length in [0, -1, 13, 48, i32::MIN] {
        let batch = edited(|batch| put(batch, LENGTH_AT, length.to_be_bytes()));
        assert_eq!(BatchHeader::parse(&batch), Err(BatchError::ImpossibleLength(length)));
        assert_eq!(peek_size(&batch), None);
    }
    // A preallocated tail is not taken for the old format with magic 0.
    assert_eq!(BatchHeader::parse(&[0; 100]), Err(BatchError::ImpossibleLength(0)));
    assert_eq!(peek_size(&sample()[..11]), None);
}

#[test]
fn other_formats_are_refused_by_name() {
    let with_magic = |magic: i8| edited(|batch| put(batch, MAGIC_AT, magic.to_be_bytes()));
    assert_eq!(BatchHeader::parse(&with_magic(0)), Err(BatchError::LegacyMagic(0)));
    assert_eq!(BatchHeader::parse(&with_magic(1)), Err(BatchError::LegacyMagic(1)));
    assert_eq!(BatchHeader::parse(&with_magic(3)), Err(BatchError::UnknownMagic(3)));
    assert_eq!(BatchHeader::parse(&with_magic(-1)), Err(BatchError::UnknownMagic(-1)));
}

#[test]
fn negative_counts_are_refused() {
    let count = edited(|batch| put(batch, RECORDS_COUNT_AT, (-1i32).to_be_bytes()));
    let delta = edited(|batch| put(batch, LAST_OFFSET_DELTA_AT, (-1i32).to_be_bytes()));
    assert!(matches!(
        BatchHeader::parse(&count),
        Err(BatchError::NegativeCount { records_count: -1, .. })
    ));
    assert!(matches!(
        BatchHeader::parse(&delta),
        Err(BatchError::NegativeCount {
            last_offset_delta: -1,
            ..
        })
    ));
}

#[test]
fn offsets_of_strangers_do_not_overflow() {
    let batch = edited(|batch| set_base_offset(batch, i64::MAX));
    assert_eq!(BatchHeader::parse(&batch).unwrap().next_offset(), i64::MAX);
}

#[test]
fn every_flipped_bit_behind_the_checksum_is_noticed() {
    let batch = sample();
    assert_eq!(verify_crc(&batch), Ok(()));
    for bit in CRC_AT * 8..batch.len() * 8 {
        let flipped = edited(|batch| batch[bit / 8] ^= 1 << (bit % 8));
        assert!(verify_crc(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn a_checksum_needs_the_whole_batch_and_nothing_after_it() {
    let batch = sample();
    let cut = &batch[..batch.len() - 1];
    let expected = BatchError::Truncated {
        needed_bytes: batch.len(),
        available_bytes: cut.len(),
    };
    assert_eq!(verify_crc(cut), Err(expected));
    assert_eq!(verify_crc(&[&batch[..], b"next"].concat()), Ok(()));
}

#[test]
fn base_offset_and_leader_epoch_leave_the_checksum_alone() {
    let batch = edited(|batch| {
        set_base_offset(batch, 1 << 40);
        set_leader_epoch(batch, LeaderEpoch(9));
    });
    let header = BatchHeader::parse(&batch).unwrap();
    assert_eq!(
        (header.base_offset, header.partition_leader_epoch),
        (1 << 40, LeaderEpoch(9))
    );
    assert_eq!(verify_crc(&batch), Ok(()));
}

#[test]
fn log_append_time_is_written_with_a_new_checksum() {
    let batch = edited(|batch| set_log_append_time(batch, 77));
    let header = BatchHeader::parse(&batch).unwrap();
    assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!((header.base_timestamp, header.max_timestamp), (1000, 77));
    assert_ne!(header.crc, BatchHeader::parse(&sample()).unwrap().crc);
    assert_eq!(verify_crc(&batch), Ok(()));
}

#[test]
fn attributes_keep_the_bits_that_nobody_asked_to_change() {
    let all = Attributes(-1);
    assert_eq!(all.compression(), Err(UnknownCodec(7)));
    assert!(all.is_transactional() && all.is_control() && all.has_delete_horizon());
    let cleared = all
        .with_compression(Compression::Lz4)
        .with_control(false)
        .with_transactional(false);
    assert_eq!(cleared.compression(), Ok(Compression::Lz4));
    assert!(!cleared.is_control() && !cleared.is_transactional() && cleared.has_delete_horizon());
    assert_eq!(cleared.0, !0b11_0100);
    let bits = Attributes::default()
        .with_timestamp_type(TimestampType::LogAppendTime)
        .with_delete_horizon(true);
    assert_eq!(bits.0, 0b100_1000);
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(increment_sequence(i32::MAX, 1), 0);
    assert_eq!(increment_sequence(i32::MAX - 1, 3), 1);
    assert_eq!(increment_sequence(i32::MAX, i32::MAX), i32::MAX - 1);
    assert_eq!(increment_sequence(0, 9), 9);
    let unsequenced = edited(|batch| put(batch, BASE_SEQUENCE_AT, NO_SEQUENCE.to_be_bytes()));
    assert_eq!(BatchHeader::parse(&unsequenced).unwrap().last_sequence(), NO_SEQUENCE);
}

#[test]
fn batches_are_walked_up_to_a_torn_tail() {
    let batch = sample();
    let log = [&batch[..], &batch[..], &batch[..]].concat();
    assert_eq!(
        batches(&log)
            .filter(|item| matches!(item, Ok((_, whole)) if *whole == batch))
            .count(),
        3
    );
    for end in 2 * batch.len() + 1..log.len() {
        let mut walk = batches(&log[..end]).skip(2);
        assert!(matches!(walk.next(), Some(Err(BatchError::Truncated { .. }))), "{end}");
        assert_eq!(walk.next(), None);
    }
    assert_eq!(batches(&[]).next(), None);
}

#[test]
fn damage_is_not_a_torn_tail() {
    let log = [&sample()[..], &[0xff; 80]].concat();
    let mut walk = batches(&log);
    assert!(walk.next().unwrap().is_ok());
    assert_eq!(walk.next(), Some(Err(BatchError::ImpossibleLength(-1))));
    assert_eq!(walk.next(), None);
}
