//! Reads of what is not at the end of the log: sent from files, brought into memory first, or not there any more.

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    messages::{
        FetchRequest, FetchResponse,
        fetch_request::{FetchPartition, FetchTopic},
    },
    records::{
        BatchBuilder, NewRecord,
        batch::{batches, verify_crc},
    },
};
use ottla_tests::{
    client::{Client, code, fetch_request, now_ms},
    process::{Broker, eventually},
    scratch::Scratch,
};
use std::{
    fs::{self, File},
    io,
    path::PathBuf,
};

type Outcome = ottla_tests::Result<()>;

const SEGMENT_BYTES: &str = "1048576";
const BATCHES: i64 = 400;
const VALUE_BYTES: usize = 9_000;

fn numbered(number: i64) -> Bytes {
    let mut value = vec![b'v'; VALUE_BYTES];
    value[..8].copy_from_slice(&number.to_be_bytes());
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord::of(now_ms(), b"key", &value));
    builder.build()
}

/// A topic whose two partitions have some sealed segments of numbered batches.
fn with_history(test: impl FnOnce(&mut Broker, &mut Client) -> Outcome) -> Outcome {
    let scratch = Scratch::new("reading");
    let mut broker = Broker::start(scratch.path(), &[])?;
    let mut client = broker.connect()?;
    client.create_topic("t", 2, &[("segment.bytes", SEGMENT_BYTES)])?;
    for number in 0..BATCHES {
        for partition in 0..2 {
            let (error, offset) = client.produce("t", partition, numbered(number), -1)?;
            assert_eq!((error, offset), (ErrorCode::None, number));
        }
    }
    test(&mut broker, &mut client)?;
    broker.assert_sound()
}

fn of_both(offsets: [i64; 2]) -> FetchRequest {
    let mut request = fetch_request("t", 0, 0, 0);
    let partition = |(index, offset): (usize, i64)| FetchPartition {
        partition: index as i32,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    request.topics = vec![FetchTopic {
        topic: "t".into(),
        partitions: offsets.into_iter().enumerate().map(partition).collect(),
        ..Default::default()
    }];
    request
}

/// Checks the batches of each partition of an answer, and moves the offsets behind them.
fn follow(response: &FetchResponse, offsets: &mut [i64; 2]) -> Outcome {
    for partition in &response.responses[0].partitions {
        assert_eq!(code(partition.error_code), ErrorCode::None);
        let next = &mut offsets[partition.partition_index as usize];
        for batch in batches(&partition.records.clone().unwrap_or_default()) {
            let (header, bytes) = batch?;
            verify_crc(bytes)?;
            assert_eq!(header.base_offset, *next);
            let number = next.to_be_bytes();
            assert!(bytes.windows(number.len()).skip(61).any(|window| window == number));
            *next += 1;
        }
    }
    Ok(())
}

/// Reads both partitions to their ends.
fn read_to_the_end(client: &mut Client, version: i16) -> ottla_tests::Result<usize> {
    let (mut offsets, mut fetches) = ([0, 0], 0);
    while offsets != [BATCHES; 2] {
        let before = offsets;
        let response = client.call(&of_both(offsets), version)?;
        follow(&response, &mut offsets)?;
        assert_ne!(offsets, before, "each fetch gets on");
        fetches += 1;
    }
    Ok(fetches)
}

#[test]
fn what_is_sent_from_files_arrives_whole_and_in_order() -> Outcome {
    with_history(|_, client| {
        for version in [4, 11, 12] {
            let fetches = read_to_the_end(client, version)?;
            assert!(fetches < 10, "{fetches} fetches for 4 MB a partition");
        }
        Ok(())
    })
}

#[test]
fn a_client_that_reads_late_gets_all_answers_in_their_order() -> Outcome {
    with_history(|_, client| {
        // Far more than sockets hold: most of it is still in the file when the client begins to read.
        let mut sent = Vec::new();
        for from in 0..40 {
            sent.push((from, client.send(&of_both([from, from + 100]), 12)?));
        }
        for (from, id) in sent {
            let mut offsets = [from, from + 100];
            follow(&client.receive::<FetchRequest>(12, id)?, &mut offsets)?;
            assert!(offsets[0] > from && offsets[1] > from + 100, "{offsets:?}");
        }
        Ok(())
    })
}

/// The files of the topic's logs and indexes.
fn files(broker: &Broker) -> ottla_tests::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for partition in ["t-0", "t-1"] {
        for entry in fs::read_dir(broker.data().join(partition))? {
            files.push(entry?.path());
        }
    }
    Ok(files)
}

#[test]
fn what_is_not_in_memory_is_read_as_well() -> Outcome {
    with_history(|broker, client| {
        for path in files(broker)? {
            let file = File::open(path)?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
        read_to_the_end(client, 12)?;
        assert_eq!(client.offset_at("t", 0, -1)?, BATCHES);
        Ok(())
    })
}

#[test]
fn a_file_that_was_cut_from_outside_closes_the_connection_and_nothing_else() -> Outcome {
    with_history(|broker, client| {
        let path = broker.data().join("t-0/00000000000000000000.log");
        File::options().write(true).open(path)?.set_len(300_000)?;
        let mut second = broker.connect()?;
        second.send(&fetch_request("t", 0, 0, 0), 12)?;
        let error = second.receive_raw().expect_err("the file has not what was promised");
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::UnexpectedEof), "{error:?}");
        let mut offsets = [0, 0];
        follow(&client.call(&fetch_request("t", 1, 0, 0), 12)?, &mut offsets)?;
        assert!(offsets[1] > 100);
        eventually(|| Ok(broker.log().contains("connection closed")))
    })
}

#[test]
fn a_file_that_shrinks_under_its_map_is_an_error_of_that_partition() -> Outcome {
    with_history(|broker, client| {
        let logs = fs::read_dir(broker.data().join("t-0"))?.map(|entry| Ok(entry?.path()));
        let logs: Vec<PathBuf> = logs.collect::<ottla_tests::Result<_>>()?;
        let is_log = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "log");
        let active = logs.iter().filter(is_log).max().expect("the partition has segments");
        File::options().write(true).open(active)?.set_len(0)?;
        for _ in 0..2 {
            let (error, _) = client.produce("t", 0, numbered(BATCHES), -1)?;
            assert_eq!(error, ErrorCode::KafkaStorageError);
        }
        let fetched = client.fetch("t", 0, BATCHES - 1, 0)?;
        assert_eq!(
            code(fetched.responses[0].partitions[0].error_code),
            ErrorCode::KafkaStorageError
        );
        assert_eq!(
            client.produce("t", 1, numbered(BATCHES), -1)?,
            (ErrorCode::None, BATCHES)
        );
        let mut offsets = [0, BATCHES];
        follow(&client.call(&fetch_request("t", 1, BATCHES, 0), 12)?, &mut offsets)?;
        assert_eq!(offsets[1], BATCHES + 1);
        Ok(())
    })
}
