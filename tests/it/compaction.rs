//! Compaction by a real broker: under load and kill -9 the last value of each key stays, at its offset (I18), and a
//! reader from the beginning gets to the end (BR-18, BR-19).

use bytes::Bytes;
use ottla_protocol::{
    ErrorCode,
    records::{
        BatchBuilder, Codec, Compression, NewRecord,
        batch::{HEADER_BYTES, batches},
        compression::decompress,
        record::records,
    },
};
use ottla_tests::{
    client::{Client, code, now_ms},
    process::Broker,
    scratch::Scratch,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const TOPIC: &str = "accounts";
const KEYS: usize = 20;
/// The broker gets so long to compact what there is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Key to offset and value.
type Values = BTreeMap<String, (i64, String)>;

/// Writes each key a few times, in all codecs; notes the last values.
fn write(client: &mut Client, round: usize, last: &mut Values) -> ottla_tests::Result<()> {
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for (number, compression) in codecs.into_iter().enumerate() {
        let written: Vec<(String, String)> = (0..KEYS)
            .filter(|key| (key + number) % 3 != 0)
            .map(|key| {
                let value = format!("{round}.{number} {}", "x".repeat(2_000));
                (format!("key-{key}"), value)
            })
            .collect();
        let mut builder = BatchBuilder::new().codec(Codec::of(compression));
        for (key, value) in &written {
            builder.append(&NewRecord::of(now_ms(), key.as_bytes(), value.as_bytes()));
        }
        let (error, base_offset) = client.produce(TOPIC, 0, builder.build(), -1)?;
        assert_eq!(error, ErrorCode::None);
        for (offset, (key, value)) in (base_offset..).zip(written) {
            last.insert(key, (offset, value));
        }
    }
    Ok(())
}

/// Reads from the beginning to the end. Returns the last values, and how many records there were.
fn read(client: &mut Client) -> ottla_tests::Result<(Values, usize)> {
    let (mut last, mut count, mut next) = (Values::new(), 0, 0);
    loop {
        let response = client.fetch(TOPIC, 0, next, 0)?;
        let answer = &response.responses[0].partitions[0];
        assert_eq!(code(answer.error_code), ErrorCode::None);
        if next == answer.high_watermark {
            return Ok((last, count));
        }
        let before = next;
        for item in batches(&answer.records.clone().unwrap_or_default()) {
            let Ok((header, batch)) = item else { break };
            next = header.next_offset();
            let section = Bytes::copy_from_slice(&batch[HEADER_BYTES..]);
            let section = decompress(header.attributes.compression()?, &section, 1 << 20)?;
            for record in records(&section, header.records_count) {
                let record = record?;
                let text = |field: Option<&[u8]>| String::from_utf8_lossy(field.unwrap_or_default()).into_owned();
                let offset = header.base_offset + i64::from(record.offset_delta);
                last.insert(text(record.key), (offset, text(record.value)));
                count += 1;
            }
        }
        assert!(next > before, "a reader is stuck at {next}");
    }
}

#[test]
fn the_last_values_stay_while_the_broker_compacts_and_is_killed() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("compaction");
    let mut broker = Broker::start(
        scratch.path(),
        &["log.cleaner.backoff.ms=20", "log.segment.delete.delay.ms=0"],
    )?;
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    let mut last = Values::new();
    broker.connect()?.create_topic(TOPIC, 1, &configs)?;
    for round in 0..60 {
        let mut client = broker.connect()?;
        write(&mut client, round, &mut last)?;
        let (found, _) = read(&mut client)?;
        assert!(found == last, "round {round}: {:?}", difference(&found, &last));
        if round % 10 == 9 {
            broker.kill_and_restart()?;
        }
    }
    // All but the active segment are compacted some time; uncompressed batches alone fill one.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (found, count) = read(&mut broker.connect()?)?;
        assert!(found == last, "{:?}", difference(&found, &last));
        if count < 2_000 && broker.data().join("cleaner-offset-checkpoint").exists() {
            break;
        }
        assert!(Instant::now() < deadline, "{count} records are left");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(broker.stop()?.success());
    broker.restart()?;
    let (found, _) = read(&mut broker.connect()?)?;
    assert!(found == last, "{:?}", difference(&found, &last));
    Ok(())
}

/// The first key that differs.
fn difference(found: &Values, expected: &Values) -> Option<String> {
    let differs = |key: &&String| found.get(*key) != expected.get(*key);
    let key = found.keys().chain(expected.keys()).find(differs)?;
    let of = |values: &Values| {
        values
            .get(key)
            .map(|(offset, value)| (*offset, value.chars().take(10).collect::<String>()))
    };
    Some(format!("{key}: found {:?}, expected {:?}", of(found), of(expected)))
}
