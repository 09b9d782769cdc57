//! Record batches that are not right: refused with their code, and nothing of them is appended.

use ottla_protocol::{
    ErrorCode,
    messages::ProduceResponse,
    records::batch::{HEADER_BYTES, update_crc},
};
use ottla_tests::{
    client::{Client, batch, code, first_code, produce_request},
    raw::with_broker,
};

type Outcome = ottla_tests::Result<()>;

/// Changes bytes of a good batch, corrects its checksum, and says what the broker answers.
fn code_for(client: &mut Client, change: impl FnOnce(&mut Vec<u8>)) -> ottla_tests::Result<ErrorCode> {
    let mut bytes = batch(&[b"a", b"b"]).to_vec();
    change(&mut bytes);
    if bytes.len() >= HEADER_BYTES {
        update_crc(&mut bytes);
    }
    Ok(client.produce("t", 0, bytes.into(), -1)?.0)
}

#[test]
fn batches_that_are_not_right_are_refused_with_their_code_and_nothing_is_appended() -> Outcome {
    with_broker("bad-batches", &[], |broker, _| {
        let mut client = broker.connect()?;
        let mut damaged = batch(&[b"a"]).to_vec();
        *damaged.last_mut().expect("a batch has bytes") ^= 1;
        assert_eq!(client.produce("t", 0, damaged.into(), -1)?.0, ErrorCode::CorruptMessage);
        assert_eq!(
            code_for(&mut client, |batch| batch[16] = 1)?,
            ErrorCode::InvalidRecord,
            "magic 1"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[16] = 3)?,
            ErrorCode::InvalidRecord,
            "magic 3"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[22] |= 0x20)?,
            ErrorCode::InvalidRecord,
            "control bit"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[26] = 9)?,
            ErrorCode::InvalidRecord,
            "last offset delta"
        );
        assert_eq!(
            code_for(&mut client, |batch| batch[60] = 9)?,
            ErrorCode::InvalidRecord,
            "records count"
        );
        let unsupported = ErrorCode::UnsupportedCompressionType;
        assert_eq!(code_for(&mut client, |batch| batch[22] = 7)?, unsupported, "codec 7");
        let two = |batch: &mut Vec<u8>| batch.extend_from_within(..);
        assert_eq!(code_for(&mut client, two)?, ErrorCode::InvalidRecord, "two batches");
        assert_eq!(code_for(&mut client, Vec::clear)?, ErrorCode::InvalidRecord, "no batch");
        let zstd = |batch: &mut Vec<u8>| batch[22] = 4;
        let mut old = batch(&[b"a"]).to_vec();
        zstd(&mut old);
        update_crc(&mut old);
        let response: ProduceResponse = client.call(&produce_request("t", 0, old.into(), -1), 6)?;
        assert_eq!(first_code(&response)?, unsupported, "zstd in version 6");
        let large = vec![b'x'; 2 << 20];
        assert_eq!(
            client.produce("t", 0, batch(&[&large]), -1)?.0,
            ErrorCode::MessageTooLarge
        );
        let end = client.fetch("t", 0, 0, 0)?.responses[0].partitions[0].high_watermark;
        assert_eq!(end, 0, "something was appended");
        Ok(())
    })
}

#[test]
fn keys_and_timestamps_are_held_against_the_topic() -> Outcome {
    with_broker("bad-batches", &[], |broker, _| {
        use ottla_protocol::records::{BatchBuilder, NewRecord};
        let mut client = broker.connect()?;
        client.create_topic("compacted", 1, &[("cleanup.policy", "compact")])?;
        let mut keyless = BatchBuilder::new();
        let now = ottla_tests::client::now_ms();
        keyless.append(&NewRecord {
            key: None,
            ..NewRecord::of(now, b"", b"v")
        });
        let response = client.call(&produce_request("compacted", 0, keyless.build(), -1), 9)?;
        assert_eq!(first_code(&response)?, ErrorCode::InvalidRecord);
        let errors = &response.responses[0].partition_responses[0].record_errors;
        assert_eq!(errors.iter().map(|error| error.batch_index).collect::<Vec<_>>(), [0]);
        let mut future = BatchBuilder::new();
        future.append(&NewRecord::of(now + 7_200_000, b"k", b"v"));
        assert_eq!(
            client.produce("t", 0, future.build(), -1)?.0,
            ErrorCode::InvalidTimestamp
        );
        Ok(())
    })
}
