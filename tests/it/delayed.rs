//! Requests of transactions that come late, twice, or whose answers do: through a proxy that holds them, while their client
//! goes on over another connection. What was aborted is never seen, what was committed is seen as a whole, and nothing of
//! a producer that was replaced is written.

use ottla_protocol::{
    ApiKey, ErrorCode,
    ids::ProducerId,
    messages::{
        AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest,
        InitProducerIdRequest, OffsetFetchRequest, ProduceRequest, TxnOffsetCommitRequest,
        add_partitions_to_txn_request::AddPartitionsToTxnTopic,
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
    records::{
        batch::{HEADER_BYTES, batches},
        record::records,
    },
};
use ottla_tests::{
    client::{Client, code, fetch_request, first_code, produce_request},
    process::{Broker, eventually},
    proxy::{Fault, Proxy},
    scratch::Scratch,
    transactional::{PRODUCE_WITHOUT_ADDING, Producer},
};
use std::collections::BTreeMap;

const ID: &str = "by hand";
const GROUP: &str = "g";
const READ_COMMITTED: i8 = 1;
const TIMEOUT_MS: i32 = 60_000;

/// How a client plays transactions: the versions of its requests.
#[derive(Clone, Copy, Debug)]
struct Versions {
    produce: i16,
    end: i16,
    commit: i16,
}

/// Before `transaction.version` 2: partitions and offsets are added first, the epoch stays.
const EXPLICIT: Versions = Versions {
    produce: PRODUCE_WITHOUT_ADDING,
    end: 4,
    commit: 4,
};
/// From `transaction.version` 2 on.
const IMPLICIT: Versions = Versions {
    produce: 12,
    end: 5,
    commit: 5,
};

struct Setting {
    _scratch: Scratch,
    broker: Broker,
    proxy: Proxy,
    /// Not through the proxy.
    client: Client,
    /// Through it.
    slow: Client,
}

/// A broker with the topic `t` of two partitions and, where it may be asked for, the coordinators of [`ID`] and [`GROUP`].
fn start() -> ottla_tests::Result<Setting> {
    let scratch = Scratch::new("delayed");
    let overrides = [
        "transaction.state.log.num.partitions=2",
        "offsets.topic.num.partitions=1",
    ];
    let broker = Broker::start(scratch.path(), &overrides)?;
    let mut client = broker.connect()?;
    client.create_topic("t", 2, &[])?;
    for (key_type, key) in [(1, ID), (0, GROUP)] {
        let request = FindCoordinatorRequest {
            key_type,
            coordinator_keys: vec![key.into()],
            ..Default::default()
        };
        assert_eq!(
            code(client.call(&request, 6)?.coordinators[0].error_code),
            ErrorCode::None
        );
    }
    let proxy = Proxy::start(broker.address())?;
    let slow = Client::connect(proxy.address())?;
    Ok(Setting {
        _scratch: scratch,
        broker,
        proxy,
        client,
        slow,
    })
}

/// The next producer of [`ID`]; a transaction that is open is aborted.
fn init(client: &mut Client) -> ottla_tests::Result<Producer> {
    let request = InitProducerIdRequest {
        transactional_id: Some(ID.into()),
        transaction_timeout_ms: TIMEOUT_MS,
        ..Default::default()
    };
    let mut response = Default::default();
    eventually(|| {
        response = client.call(&request, 5)?;
        Ok(!code(response.error_code).is_retriable())
    })?;
    assert_eq!(code(response.error_code), ErrorCode::None);
    Ok(Producer {
        id: response.producer_id,
        epoch: response.producer_epoch,
    })
}

fn record(producer: Producer, partition: i32, sequence: i32, value: &str) -> ProduceRequest {
    let mut request = produce_request("t", partition, producer.batch(sequence, value.as_bytes()), -1);
    request.transactional_id = Some(ID.into());
    request
}

/// Adds partitions as clients do before transactions version 2.
fn adding(producer: Producer, partitions: &[i32]) -> AddPartitionsToTxnRequest {
    AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: ID.into(),
        v3_and_below_producer_id: producer.id,
        v3_and_below_producer_epoch: producer.epoch,
        v3_and_below_topics: vec![AddPartitionsToTxnTopic {
            name: "t".into(),
            partitions: partitions.to_vec(),
        }],
        ..Default::default()
    }
}

fn add(client: &mut Client, producer: Producer, partitions: &[i32]) -> ottla_tests::Result<ErrorCode> {
    let mut answer = ErrorCode::None;
    eventually(|| {
        let response = client.call(&adding(producer, partitions), 3)?;
        answer = code(response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code);
        Ok(!answer.is_retriable())
    })?;
    Ok(answer)
}

/// Writes records of a transaction, one into each partition, which becomes part of it.
fn write(
    client: &mut Client,
    versions: Versions,
    producer: Producer,
    sequence: i32,
    value: &str,
) -> ottla_tests::Result<()> {
    if versions.produce == PRODUCE_WITHOUT_ADDING {
        assert_eq!(add(client, producer, &[0, 1])?, ErrorCode::None);
    }
    for partition in [0, 1] {
        let request = record(producer, partition, sequence, value);
        let mut answer = ErrorCode::None;
        // The transaction before may still be ending.
        eventually(|| {
            answer = first_code(&client.call(&request, versions.produce)?)?;
            Ok(!answer.is_retriable())
        })?;
        assert_eq!(answer, ErrorCode::None);
    }
    Ok(())
}

fn ending(producer: Producer, committed: bool) -> EndTxnRequest {
    EndTxnRequest {
        transactional_id: ID.into(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        committed,
    }
}

/// Ends the transaction; the producer as which the client goes on.
fn end(client: &mut Client, versions: Versions, producer: Producer, committed: bool) -> ottla_tests::Result<Producer> {
    let mut response = Default::default();
    eventually(|| {
        response = client.call(&ending(producer, committed), versions.end)?;
        Ok(!code(response.error_code).is_retriable())
    })?;
    assert_eq!(code(response.error_code), ErrorCode::None);
    Ok(match versions.end {
        5.. => Producer {
            id: response.producer_id,
            epoch: response.producer_epoch,
        },
        _ => producer,
    })
}

/// What a consumer of committed records sees in a partition of `t`, and whether something is open there.
fn committed(client: &mut Client, partition: i32) -> ottla_tests::Result<(Vec<String>, bool)> {
    let mut request = fetch_request("t", partition, 0, 0);
    request.isolation_level = READ_COMMITTED;
    let mut response = client.call(&request, 12)?;
    let fetched = response.responses.remove(0).partitions.remove(0);
    let mut aborted = BTreeMap::<ProducerId, Vec<i64>>::new();
    for one in fetched.aborted_transactions.unwrap_or_default() {
        let starts = aborted.entry(ProducerId(one.producer_id)).or_default();
        starts.push(one.first_offset);
    }
    let mut skipped = Vec::new();
    let mut values = Vec::new();
    for found in batches(&fetched.records.unwrap_or_default()) {
        let (header, batch) = found?;
        let id = header.producer_id;
        let starts = aborted.entry(id).or_default();
        if let Some(at) = starts.iter().position(|start| *start <= header.base_offset) {
            starts.remove(at);
            skipped.push(id);
        }
        if header.attributes.is_control() {
            skipped.retain(|other| *other != id);
            continue;
        }
        if skipped.contains(&id) {
            continue;
        }
        for record in records(&batch[HEADER_BYTES..], header.records_count) {
            values.push(String::from_utf8_lossy(record?.value.unwrap_or_default()).into_owned());
        }
    }
    Ok((values, fetched.last_stable_offset < fetched.high_watermark))
}

/// Waits until nothing is open, then compares what is committed, the same in both partitions.
fn expect(client: &mut Client, values: &[&str]) -> ottla_tests::Result<()> {
    for partition in [0, 1] {
        eventually(|| Ok(!committed(client, partition)?.1))?;
        assert_eq!(committed(client, partition)?.0, values, "partition {partition}");
    }
    Ok(())
}

/// The group's offset, once no transaction may change it any more.
fn offset(client: &mut Client) -> ottla_tests::Result<i64> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: "t".into(),
                partition_indexes: vec![0],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        require_stable: true,
        ..Default::default()
    };
    let mut found = Default::default();
    eventually(|| {
        let mut group = client.call(&request, 9)?.groups.remove(0);
        assert_eq!(code(group.error_code), ErrorCode::None);
        found = group.topics.remove(0).partitions.remove(0);
        Ok(code(found.error_code) != ErrorCode::UnstableOffsetCommit)
    })?;
    assert_eq!(code(found.error_code), ErrorCode::None);
    Ok(found.committed_offset)
}

fn commit_code(response: &ottla_protocol::messages::TxnOffsetCommitResponse) -> ErrorCode {
    code(response.topics[0].partitions[0].error_code)
}

#[test]
fn an_end_that_comes_in_the_next_transaction_does_not_end_it() -> ottla_tests::Result<()> {
    let mut setting = start()?;
    let first = init(&mut setting.client)?;
    write(&mut setting.client, IMPLICIT, first, 0, "one")?;
    setting.proxy.next(ApiKey::EndTxn, Fault::HoldRequest);
    let late = setting.slow.send(&ending(first, true), IMPLICIT.end)?;
    setting.proxy.until_held(1)?;
    let second = end(&mut setting.client, IMPLICIT, first, true)?;
    assert_eq!((second.id, second.epoch), (first.id, first.epoch + 1));
    write(&mut setting.client, IMPLICIT, second, 0, "two")?;
    setting.proxy.release();
    let answer = setting.slow.receive::<EndTxnRequest>(IMPLICIT.end, late)?;
    assert_eq!(code(answer.error_code), ErrorCode::ProducerFenced);
    assert!(committed(&mut setting.client, 0)?.1, "the second is open");
    end(&mut setting.client, IMPLICIT, second, false)?;
    expect(&mut setting.client, &["one"])
}

#[test]
fn an_end_that_comes_after_its_own_is_answered_alike_and_never_otherwise() -> ottla_tests::Result<()> {
    for versions in [EXPLICIT, IMPLICIT] {
        let mut setting = start()?;
        let producer = init(&mut setting.client)?;
        write(&mut setting.client, versions, producer, 0, "one")?;
        setting.proxy.next(ApiKey::EndTxn, Fault::HoldRequest);
        let late = setting.slow.send(&ending(producer, true), versions.end)?;
        setting.proxy.until_held(1)?;
        let next = end(&mut setting.client, versions, producer, true)?;
        expect(&mut setting.client, &["one"])?;
        setting.proxy.release();
        let answer = setting.slow.receive::<EndTxnRequest>(versions.end, late)?;
        assert_eq!(code(answer.error_code), ErrorCode::None);
        if versions.end == IMPLICIT.end {
            assert_eq!(answer.producer_epoch, next.epoch, "it is the same end");
        }
        let other = setting.client.call(&ending(producer, false), versions.end)?;
        assert_eq!(code(other.error_code), ErrorCode::InvalidTxnState);
        expect(&mut setting.client, &["one"])?;
    }
    Ok(())
}

#[test]
fn an_end_of_a_producer_that_was_replaced_ends_nothing() -> ottla_tests::Result<()> {
    for versions in [EXPLICIT, IMPLICIT] {
        let mut setting = start()?;
        let zombie = init(&mut setting.client)?;
        write(&mut setting.client, versions, zombie, 0, "zombie's")?;
        setting.proxy.next(ApiKey::EndTxn, Fault::HoldRequest);
        let late = setting.slow.send(&ending(zombie, true), versions.end)?;
        setting.proxy.until_held(1)?;
        let producer = init(&mut setting.client)?;
        write(&mut setting.client, versions, producer, 0, "one")?;
        setting.proxy.release();
        let answer = setting.slow.receive::<EndTxnRequest>(versions.end, late)?;
        assert_eq!(code(answer.error_code), ErrorCode::ProducerFenced);
        end(&mut setting.client, versions, producer, true)?;
        expect(&mut setting.client, &["one"])?;
    }
    Ok(())
}

#[test]
fn records_of_a_producer_that_was_replaced_are_not_appended() -> ottla_tests::Result<()> {
    // The first record of a transaction, which its coordinator is asked about, and a later one, which it is not.
    for (versions, is_first) in [(EXPLICIT, true), (EXPLICIT, false), (IMPLICIT, true), (IMPLICIT, false)] {
        let mut setting = start()?;
        let zombie = init(&mut setting.client)?;
        if versions.produce == PRODUCE_WITHOUT_ADDING {
            assert_eq!(add(&mut setting.client, zombie, &[0, 1])?, ErrorCode::None);
        }
        if !is_first {
            write(&mut setting.client, versions, zombie, 0, "zombie's")?;
        }
        setting.proxy.next(ApiKey::Produce, Fault::HoldRequest);
        let sequence = i32::from(!is_first);
        let late = record(zombie, 0, sequence, "late");
        let late = setting.slow.send(&late, versions.produce)?;
        setting.proxy.until_held(1)?;
        let producer = init(&mut setting.client)?;
        setting.proxy.release();
        let answer = setting.slow.receive::<ProduceRequest>(versions.produce, late)?;
        assert_eq!(
            first_code(&answer)?,
            ErrorCode::InvalidProducerEpoch,
            "{versions:?} {is_first}"
        );
        expect(&mut setting.client, &[])?;
        write(&mut setting.client, versions, producer, 0, "one")?;
        end(&mut setting.client, versions, producer, true)?;
        expect(&mut setting.client, &["one"])?;
    }
    Ok(())
}

#[test]
fn a_record_that_comes_after_its_transaction_is_part_of_no_other() -> ottla_tests::Result<()> {
    for versions in [EXPLICIT, IMPLICIT] {
        let mut setting = start()?;
        let producer = init(&mut setting.client)?;
        write(&mut setting.client, versions, producer, 0, "one")?;
        setting.proxy.next(ApiKey::Produce, Fault::HoldRequest);
        let late = setting.slow.send(&record(producer, 0, 1, "late"), versions.produce)?;
        setting.proxy.until_held(1)?;
        // Its client has given up on it, and aborts.
        let next = end(&mut setting.client, versions, producer, false)?;
        expect(&mut setting.client, &[])?;
        setting.proxy.release();
        let answer = setting.slow.receive::<ProduceRequest>(versions.produce, late)?;
        assert_ne!(first_code(&answer)?, ErrorCode::None, "{versions:?}");
        expect(&mut setting.client, &[])?;
        // With the same epoch the sequences go on.
        let sequence = i32::from(next.epoch == producer.epoch);
        write(&mut setting.client, versions, next, sequence, "two")?;
        end(&mut setting.client, versions, next, true)?;
        expect(&mut setting.client, &["two"])?;
    }
    Ok(())
}

#[test]
fn partitions_that_are_added_late_or_twice_hold_nothing_up() -> ottla_tests::Result<()> {
    let mut setting = start()?;
    let producer = init(&mut setting.client)?;
    setting.proxy.next(ApiKey::AddPartitionsToTxn, Fault::HoldRequest);
    let late = setting.slow.send(&adding(producer, &[0, 1]), 3)?;
    setting.proxy.until_held(1)?;
    write(&mut setting.client, EXPLICIT, producer, 0, "one")?;
    end(&mut setting.client, EXPLICIT, producer, true)?;
    expect(&mut setting.client, &["one"])?;
    setting.proxy.release();
    setting.slow.receive::<AddPartitionsToTxnRequest>(3, late)?;
    expect(&mut setting.client, &["one"])?;
    setting.proxy.next(ApiKey::AddPartitionsToTxn, Fault::Twice);
    let twice = setting.slow.call(&adding(producer, &[0, 1]), 3)?;
    assert_eq!(
        code(twice.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code),
        ErrorCode::None
    );
    write(&mut setting.client, EXPLICIT, producer, 1, "two")?;
    end(&mut setting.client, EXPLICIT, producer, true)?;
    expect(&mut setting.client, &["one", "two"])?;
    // Of one that was replaced it adds nothing.
    setting.proxy.next(ApiKey::AddPartitionsToTxn, Fault::HoldRequest);
    let late = setting.slow.send(&adding(producer, &[0]), 3)?;
    setting.proxy.until_held(2)?;
    init(&mut setting.client)?;
    setting.proxy.release();
    let answer = setting.slow.receive::<AddPartitionsToTxnRequest>(3, late)?;
    assert_eq!(
        code(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code),
        ErrorCode::ProducerFenced
    );
    Ok(())
}

#[test]
fn offsets_that_are_committed_twice_count_once_and_late_ones_do_not() -> ottla_tests::Result<()> {
    for versions in [EXPLICIT, IMPLICIT] {
        let mut setting = start()?;
        let mut producer = init(&mut setting.client)?;
        let add_offsets = |client: &mut Client, producer: Producer| -> ottla_tests::Result<()> {
            if versions.commit >= IMPLICIT.commit {
                return Ok(());
            }
            let request = AddOffsetsToTxnRequest {
                transactional_id: ID.into(),
                producer_id: producer.id,
                producer_epoch: producer.epoch,
                group_id: GROUP.into(),
            };
            eventually(|| Ok(!code(client.call(&request, 3)?.error_code).is_retriable()))
        };
        add_offsets(&mut setting.client, producer)?;
        setting.proxy.next(ApiKey::TxnOffsetCommit, Fault::Twice);
        let committed = setting.slow.call(&producer.commit_request(GROUP, 5), versions.commit)?;
        assert_eq!(commit_code(&committed), ErrorCode::None);
        setting.proxy.next(ApiKey::TxnOffsetCommit, Fault::HoldRequest);
        let late = setting.slow.send(&producer.commit_request(GROUP, 9), versions.commit)?;
        setting.proxy.until_held(1)?;
        let zombie = producer;
        producer = end(&mut setting.client, versions, producer, true)?;
        assert_eq!(offset(&mut setting.client)?, 5);
        setting.proxy.release();
        let answer = setting.slow.receive::<TxnOffsetCommitRequest>(versions.commit, late)?;
        assert_ne!(commit_code(&answer), ErrorCode::None, "{versions:?}");
        assert_eq!(offset(&mut setting.client)?, 5);
        // The next one aborts.
        add_offsets(&mut setting.client, producer)?;
        let mut next = ErrorCode::None;
        eventually(|| {
            let request = producer.commit_request(GROUP, 7);
            next = commit_code(&setting.client.call(&request, versions.commit)?);
            Ok(!next.is_retriable())
        })?;
        assert_eq!(next, ErrorCode::None);
        end(&mut setting.client, versions, producer, false)?;
        assert_eq!(offset(&mut setting.client)?, 5);
        // Of a producer that was replaced it does not count either.
        init(&mut setting.client)?;
        let late = setting
            .client
            .call(&zombie.commit_request(GROUP, 11), versions.commit)?;
        assert_eq!(commit_code(&late), ErrorCode::InvalidProducerEpoch, "{versions:?}");
        assert_eq!(offset(&mut setting.client)?, 5);
    }
    Ok(())
}

#[test]
fn an_end_whose_answer_is_lost_in_a_kill_has_one_outcome() -> ottla_tests::Result<()> {
    for versions in [EXPLICIT, IMPLICIT] {
        let mut setting = start()?;
        let producer = init(&mut setting.client)?;
        write(&mut setting.client, versions, producer, 0, "one")?;
        setting.proxy.next(ApiKey::EndTxn, Fault::LoseAnswer);
        setting.slow.send(&ending(producer, true), versions.end)?;
        assert!(setting.slow.is_closed_in_silence()?);
        setting.broker.kill_and_restart()?;
        let mut client = setting.broker.connect()?;
        // The answer had been given: it is committed.
        let other = client.call(&ending(producer, false), versions.end)?;
        assert_ne!(code(other.error_code), ErrorCode::None);
        let next = end(&mut client, versions, producer, true)?;
        expect(&mut client, &["one"])?;
        let sequence = i32::from(next.epoch == producer.epoch);
        write(&mut client, versions, next, sequence, "two")?;
        end(&mut client, versions, next, true)?;
        expect(&mut client, &["one", "two"])?;
    }
    Ok(())
}
