//! The coordinator of transactions over a real socket: who a producer is, what its transaction has, how it ends, and
//! what of that a kill leaves.

use ottla_protocol::{
    ErrorCode, Request,
    messages::{
        AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, DescribeTransactionsRequest,
        EndTxnRequest, EndTxnResponse, FindCoordinatorRequest, InitProducerIdRequest, InitProducerIdResponse,
        ListTransactionsRequest,
        add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
        describe_transactions_response::TransactionState,
    },
};
use ottla_tests::{
    client::{Client, code},
    process::{Broker, eventually},
    scratch::Scratch,
};

const FEW_PARTITIONS: &str = "transaction.state.log.num.partitions=3";

/// A broker with the topic `t` of two partitions, and a client that has found the coordinator of `id`.
fn start(scratch: &Scratch, id: &str, overrides: &[&str]) -> ottla_tests::Result<(Broker, Client)> {
    let overrides = [&[FEW_PARTITIONS], overrides].concat();
    let broker = Broker::start(scratch.path(), &overrides)?;
    let mut client = broker.connect()?;
    client.create_topic("t", 2, &[])?;
    find(&mut client, id)?;
    Ok((broker, client))
}

fn find(client: &mut Client, id: &str) -> ottla_tests::Result<()> {
    let request = FindCoordinatorRequest {
        key_type: 1,
        coordinator_keys: vec![id.into()],
        ..Default::default()
    };
    let found = client.call(&request, 6)?.coordinators.remove(0);
    assert_eq!(code(found.error_code), ErrorCode::None);
    assert!(found.port > 0);
    Ok(())
}

/// InitProducerId, asked again while the coordinator loads or ends the transaction before.
fn init(client: &mut Client, id: &str, timeout_ms: i32) -> ottla_tests::Result<InitProducerIdResponse> {
    let request = InitProducerIdRequest {
        transactional_id: Some(id.into()),
        transaction_timeout_ms: timeout_ms,
        ..Default::default()
    };
    let mut response = InitProducerIdResponse::default();
    eventually(|| {
        response = client.call(&request, 5)?;
        Ok(!code(response.error_code).is_retriable())
    })?;
    Ok(response)
}

fn topics(name: &str, partitions: &[i32]) -> Vec<AddPartitionsToTxnTopic> {
    vec![AddPartitionsToTxnTopic {
        name: name.into(),
        partitions: partitions.to_vec(),
    }]
}

/// AddPartitionsToTxn as clients send it.
fn add(
    client: &mut Client,
    id: &str,
    producer: &InitProducerIdResponse,
    topic: &str,
    partitions: &[i32],
    version: i16,
) -> ottla_tests::Result<Vec<ErrorCode>> {
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id.into(),
        v3_and_below_producer_id: producer.producer_id,
        v3_and_below_producer_epoch: producer.producer_epoch,
        v3_and_below_topics: topics(topic, partitions),
        ..Default::default()
    };
    let response: AddPartitionsToTxnResponse = client.call(&request, version)?;
    let partitions = response.results_by_topic_v3_and_below.into_iter();
    let codes = partitions.flat_map(|topic| topic.results_by_partition);
    Ok(codes.map(|partition| code(partition.partition_error_code)).collect())
}

fn end(
    client: &mut Client,
    id: &str,
    producer: &InitProducerIdResponse,
    committed: bool,
    version: i16,
) -> ottla_tests::Result<EndTxnResponse> {
    let request = EndTxnRequest {
        transactional_id: id.into(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        committed,
    };
    client.call(&request, version)
}

/// What is known of the id, once its coordinator has loaded.
fn describe(client: &mut Client, id: &str) -> ottla_tests::Result<TransactionState> {
    let request = DescribeTransactionsRequest {
        transactional_ids: vec![id.into()],
    };
    let mut state = TransactionState::default();
    eventually(|| {
        state = client.call(&request, 0)?.transaction_states.remove(0);
        Ok(!code(state.error_code).is_retriable())
    })?;
    Ok(state)
}

fn becomes(client: &mut Client, id: &str, wanted: &str) -> ottla_tests::Result<()> {
    eventually(|| Ok(describe(client, id)?.transaction_state == wanted))
}

/// The answers of Apache Kafka 4.4.0 without `transaction.two.phase.commit.enable`.
#[test]
fn two_phase_commit_is_refused_where_its_version_is_served_at_all() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("two-phase");
    let (broker, mut client) = start(&scratch, "two", &["unstable.api.versions.enable=true"])?;
    let largest = |client: &mut Client| -> ottla_tests::Result<i16> {
        let apis = client.api_versions()?.api_keys.into_iter();
        let own = apis.filter(|api| api.api_key == InitProducerIdRequest::KEY as i16);
        Ok(own.map(|api| api.max_version).max().unwrap_or(-1))
    };
    assert_eq!(largest(&mut client)?, 6);
    let mut ask = |id: Option<&str>, epoch, enable2_pc, keep_prepared_txn| {
        let request = InitProducerIdRequest {
            transactional_id: id.map(Into::into),
            transaction_timeout_ms: 60_000,
            producer_epoch: epoch,
            enable2_pc,
            keep_prepared_txn,
            ..Default::default()
        };
        let mut answer = InitProducerIdResponse::default();
        eventually(|| {
            answer = client.call(&request, 6)?;
            Ok(!code(answer.error_code).is_retriable())
        })?;
        let ongoing = (answer.ongoing_txn_producer_id, answer.ongoing_txn_producer_epoch);
        assert_eq!(ongoing, (-1, -1));
        Ok::<_, anyhow::Error>(code(answer.error_code))
    };
    for (id, epoch, enables, keeps, expected) in [
        (Some("two"), -1, false, false, ErrorCode::None),
        (
            Some("two"),
            -1,
            true,
            false,
            ErrorCode::TransactionalIdAuthorizationFailed,
        ),
        (Some("two"), -1, false, true, ErrorCode::UnsupportedVersion),
        (
            Some("two"),
            -1,
            true,
            true,
            ErrorCode::TransactionalIdAuthorizationFailed,
        ),
        (Some("two"), 1, true, true, ErrorCode::InvalidRequest),
        (Some(""), -1, true, true, ErrorCode::InvalidRequest),
        // Without a transaction there is nothing to prepare.
        (None, -1, true, true, ErrorCode::None),
    ] {
        assert_eq!(
            ask(id, epoch, enables, keeps)?,
            expected,
            "{id:?} {epoch} {enables} {keeps}"
        );
    }
    drop(broker);
    let scratch = Scratch::new("one-phase");
    let (_broker, mut client) = start(&scratch, "one", &[])?;
    assert_eq!(largest(&mut client)?, 5);
    client.send(&InitProducerIdRequest::default(), 6)?;
    assert!(client.is_closed_in_silence()?);
    Ok(())
}

#[test]
fn the_later_producer_fences_the_earlier_in_words_that_its_version_knows() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("transaction-coordinator");
    let (_broker, mut client) = start(&scratch, "a", &[])?;
    let first = init(&mut client, "a", 60_000)?;
    assert_eq!((first.error_code, first.producer_epoch), (0, 0));
    let second = init(&mut client, "a", 60_000)?;
    assert_eq!((second.producer_id, second.producer_epoch), (first.producer_id, 1));
    assert_eq!(
        add(&mut client, "a", &first, "t", &[0], 3)?,
        [ErrorCode::ProducerFenced]
    );
    assert_eq!(
        add(&mut client, "a", &first, "t", &[0], 1)?,
        [ErrorCode::InvalidProducerEpoch]
    );
    let refused = |response: EndTxnResponse| code(response.error_code);
    assert_eq!(
        refused(end(&mut client, "a", &first, true, 5)?),
        ErrorCode::ProducerFenced
    );
    assert_eq!(
        refused(end(&mut client, "a", &first, true, 1)?),
        ErrorCode::InvalidProducerEpoch
    );
    assert_eq!(
        refused(end(&mut client, "b", &first, true, 5)?),
        ErrorCode::InvalidProducerIdMapping
    );
    assert_eq!(
        refused(end(&mut client, "a", &second, true, 5)?),
        ErrorCode::InvalidTxnState
    );
    let too_long = init(&mut client, "a", 900_001)?;
    assert_eq!(code(too_long.error_code), ErrorCode::InvalidTransactionTimeout);
    Ok(())
}

#[test]
fn partitions_are_added_together_or_not_at_all_and_brokers_may_look() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("transaction-coordinator");
    let (_broker, mut client) = start(&scratch, "a", &[])?;
    let producer = init(&mut client, "a", 60_000)?;
    assert_eq!(
        add(&mut client, "a", &producer, "t", &[0, 9], 3)?,
        [ErrorCode::OperationNotAttempted, ErrorCode::UnknownTopicOrPartition]
    );
    assert_eq!(describe(&mut client, "a")?.transaction_state, "Empty");
    assert_eq!(add(&mut client, "a", &producer, "t", &[1], 3)?, [ErrorCode::None]);
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: "a".into(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        verify_only: true,
        topics: topics("t", &[0, 1]),
    };
    let request = AddPartitionsToTxnRequest {
        transactions: vec![transaction],
        ..Default::default()
    };
    let results = client.call(&request, 5)?.results_by_transaction.remove(0);
    assert_eq!(results.transactional_id, "a");
    let partitions = results.topic_results[0].results_by_partition.iter();
    let codes: Vec<ErrorCode> = partitions.map(|one| code(one.partition_error_code)).collect();
    assert_eq!(codes, [ErrorCode::TransactionAbortable, ErrorCode::None]);
    let offsets = AddOffsetsToTxnRequest {
        transactional_id: "a".into(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        group_id: "g".into(),
    };
    assert_eq!(code(client.call(&offsets, 4)?.error_code), ErrorCode::None);
    let state = describe(&mut client, "a")?;
    let names: Vec<&str> = state.topics.iter().map(|topic| topic.topic.as_str()).collect();
    assert_eq!(names, ["__consumer_offsets", "t"]);
    Ok(())
}

#[test]
fn transactions_are_listed_and_described() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("transaction-coordinator");
    let (_broker, mut client) = start(&scratch, "a", &[])?;
    let producer = init(&mut client, "a", 60_000)?;
    init(&mut client, "b", 60_000)?;
    add(&mut client, "a", &producer, "t", &[0], 3)?;
    let request = ListTransactionsRequest {
        state_filters: vec!["Ongoing".into(), "Odd".into()],
        ..Default::default()
    };
    let listed = client.call(&request, 1)?;
    assert_eq!(listed.unknown_state_filters, ["Odd"]);
    let ids: Vec<&str> = listed
        .transaction_states
        .iter()
        .map(|one| one.transactional_id.as_str())
        .collect();
    assert_eq!(ids, ["a"]);
    let of_pattern = |client: &mut Client, pattern: &str| {
        let request = ListTransactionsRequest {
            transactional_id_pattern: Some(pattern.into()),
            ..Default::default()
        };
        client.call(&request, 2)
    };
    assert_eq!(of_pattern(&mut client, "[b-z]")?.transaction_states.len(), 1);
    assert_eq!(
        code(of_pattern(&mut client, "(")?.error_code),
        ErrorCode::InvalidRegularExpression
    );
    let state = describe(&mut client, "a")?;
    assert_eq!(state.transaction_state, "Ongoing");
    assert_eq!((state.producer_id, state.producer_epoch), (producer.producer_id, 0));
    assert_eq!(state.transaction_timeout_ms, 60_000);
    assert!(state.transaction_start_time_ms > 0);
    assert_eq!(
        code(describe(&mut client, "x")?.error_code),
        ErrorCode::TransactionalIdNotFound
    );
    Ok(())
}

#[test]
fn what_was_answered_survives_a_kill_and_what_was_prepared_is_ended_afterwards() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("transaction-coordinator");
    let (mut broker, mut client) = start(&scratch, "a", &[])?;
    let producer = init(&mut client, "a", 60_000)?;
    add(&mut client, "a", &producer, "t", &[0, 1], 3)?;
    broker.kill()?;
    broker.restart()?;
    let mut client = broker.connect()?;
    assert_eq!(describe(&mut client, "a")?.transaction_state, "Ongoing");
    let ended = end(&mut client, "a", &producer, true, 5)?;
    assert_eq!((code(ended.error_code), ended.producer_epoch), (ErrorCode::None, 1));
    broker.kill()?;
    broker.restart()?;
    let mut client = broker.connect()?;
    let state = describe(&mut client, "a")?.transaction_state;
    assert!(state == "PrepareCommit" || state == "CompleteCommit", "{state}");
    // A topic that is gone takes its part along.
    client.delete_topic("t")?;
    becomes(&mut client, "a", "CompleteCommit")?;
    // The answer got lost, says the client.
    let again = end(&mut client, "a", &producer, true, 5)?;
    assert_eq!((code(again.error_code), again.producer_epoch), (ErrorCode::None, 1));
    assert_eq!(
        code(end(&mut client, "a", &producer, false, 5)?.error_code),
        ErrorCode::InvalidTxnState
    );
    Ok(())
}

#[test]
fn a_transaction_past_its_timeout_is_aborted() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("transaction-coordinator");
    let often = "transaction.abort.timed.out.transaction.cleanup.interval.ms=50";
    let (_broker, mut client) = start(&scratch, "a", &[often])?;
    let producer = init(&mut client, "a", 1)?;
    add(&mut client, "a", &producer, "t", &[0], 3)?;
    eventually(|| Ok(describe(&mut client, "a")?.transaction_state.ends_with("Abort")))?;
    let aborted = describe(&mut client, "a")?;
    assert_eq!(aborted.producer_epoch, 1, "its producer is fenced");
    Ok(())
}

#[test]
fn nothing_may_be_aborted_and_the_producer_goes_on_with_the_next_epoch() -> ottla_tests::Result<()> {
    let scratch = Scratch::new("transaction-coordinator");
    let (_broker, mut client) = start(&scratch, "a", &[])?;
    let producer = init(&mut client, "a", 60_000)?;
    let ended = end(&mut client, "a", &producer, false, 5)?;
    assert_eq!((code(ended.error_code), ended.producer_epoch), (ErrorCode::None, 1));
    becomes(&mut client, "a", "CompleteAbort")?;
    let next = InitProducerIdResponse {
        producer_epoch: 1,
        ..producer
    };
    assert_eq!(add(&mut client, "a", &next, "t", &[0], 3)?, [ErrorCode::None]);
    Ok(())
}
