//! Transactions that are not: refused with their code, and nothing of them is appended.

use ottla_protocol::{
    ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    messages::FindCoordinatorRequest,
    records::{EndTransactionMarker, builder::end_transaction_batch},
};
use ottla_tests::{
    client::{Client, first_code, now_ms, produce_request},
    raw::with_broker,
    transactional::{PRODUCE_WITHOUT_ADDING, Producer, UNVERIFIED, write_markers},
};

type Outcome = ottla_tests::Result<()>;

const PRODUCER: Producer = Producer { id: 7, epoch: 3 };
const T: (&str, i32) = ("t", 0);
const OFFSETS: (&str, i32) = ("__consumer_offsets", 0);

fn end_offset(client: &mut Client) -> ottla_tests::Result<i64> {
    client.offset_at("t", 0, -1)
}

fn find_coordinator(client: &mut Client) -> Outcome {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec!["g".into()],
        ..Default::default()
    };
    assert_eq!(client.call(&request, 4)?.coordinators[0].error_code, 0);
    Ok(())
}

#[test]
fn records_that_no_coordinator_knows_of_are_not_appended() -> Outcome {
    with_broker("bad-transactions", &[], |_, client| {
        for version in [3, PRODUCE_WITHOUT_ADDING, 12] {
            let mut request = produce_request("t", 0, PRODUCER.batch(0, b"value"), -1);
            request.transactional_id = Some("nobody".into());
            let code = first_code(&client.call(&request, version)?)?;
            assert_ne!(code, ErrorCode::None, "version {version}");
        }
        let unnamed = produce_request("t", 0, PRODUCER.batch(0, b"value"), -1);
        let code = first_code(&client.call(&unnamed, PRODUCE_WITHOUT_ADDING)?)?;
        assert_eq!(code, ErrorCode::TransactionalIdAuthorizationFailed);
        assert_eq!(end_offset(client)?, 0);
        Ok(())
    })
}

#[test]
fn a_produce_without_an_answer_that_cannot_be_verified_closes_the_connection() -> Outcome {
    with_broker("bad-transactions", &[], |broker, client| {
        let mut silent = broker.connect()?;
        let mut request = produce_request("t", 0, PRODUCER.batch(0, b"value"), 0);
        request.transactional_id = Some("nobody".into());
        silent.send(&request, PRODUCE_WITHOUT_ADDING)?;
        assert!(silent.is_closed_in_silence()?);
        assert_eq!(end_offset(client)?, 0);
        Ok(())
    })
}

#[test]
fn clients_write_no_markers_as_records() -> Outcome {
    with_broker("bad-transactions", &[UNVERIFIED], |_, client| {
        PRODUCER.produce(client, T, 0)?;
        let marker = EndTransactionMarker {
            is_commit: true,
            coordinator_epoch: 0,
        };
        let marker = end_transaction_batch(marker, ProducerId(PRODUCER.id), ProducerEpoch(PRODUCER.epoch), now_ms());
        let mut request = produce_request("t", 0, marker, -1);
        request.transactional_id = Some("by hand".into());
        let code = first_code(&client.call(&request, PRODUCE_WITHOUT_ADDING)?)?;
        assert_eq!(code, ErrorCode::InvalidRecord);
        assert_eq!(end_offset(client)?, 1);
        assert_eq!(PRODUCER.end(client, true, T)?, ErrorCode::None);
        Ok(())
    })
}

#[test]
fn markers_out_of_date_are_refused_in_every_kind_of_partition() -> Outcome {
    with_broker(
        "bad-transactions",
        &[UNVERIFIED, "offsets.topic.num.partitions=1"],
        |_, client| {
            find_coordinator(client)?;
            // Until the coordinator has loaded.
            ottla_tests::process::eventually(|| Ok(PRODUCER.commit(client, "g", 1)? == ErrorCode::None))?;
            PRODUCER.produce(client, T, 0)?;
            for partition in [OFFSETS, T] {
                let marker = PRODUCER.marker(true, &[partition]);
                let mut code =
                    |change: &dyn Fn(&mut ottla_protocol::messages::write_txn_markers_request::WritableTxnMarker)| {
                        let mut changed = marker.clone();
                        change(&mut changed);
                        write_markers(client, vec![changed])
                    };
                let old_epoch = [ErrorCode::InvalidProducerEpoch];
                assert_eq!(code(&|marker| marker.producer_epoch = 2)?, old_epoch);
                assert_eq!(
                    code(&|marker| marker.transaction_version = 2)?,
                    old_epoch,
                    "it would have an epoch of its own"
                );
                assert_eq!(code(&|marker| marker.producer_epoch = -1)?, [ErrorCode::InvalidRequest]);
                assert_eq!(code(&|marker| marker.coordinator_epoch = 5)?, [ErrorCode::None]);
                let fenced = [ErrorCode::TransactionCoordinatorFenced];
                assert_eq!(code(&|marker| marker.coordinator_epoch = 4)?, fenced);
                // Of a producer that was never here: there is nothing to end, and its epoch is known from now on.
                assert_eq!(code(&|marker| marker.producer_id = 99)?, [ErrorCode::None]);
            }
            Ok(())
        },
    )
}

#[test]
fn an_epoch_that_a_marker_has_fenced_writes_nothing_any_more() -> Outcome {
    with_broker("bad-transactions", &[UNVERIFIED], |_, client| {
        PRODUCER.produce(client, T, 0)?;
        let next = Producer {
            epoch: PRODUCER.epoch + 1,
            ..PRODUCER
        };
        let mut marker = next.marker(false, &[T]);
        marker.transaction_version = 2;
        assert_eq!(write_markers(client, vec![marker.clone()])?, [ErrorCode::None]);
        assert_eq!(PRODUCER.produce(client, T, 1)?.0, ErrorCode::InvalidProducerEpoch);
        assert_eq!(next.produce(client, T, 1)?.0, ErrorCode::OutOfOrderSequenceNumber);
        assert_eq!(next.produce(client, T, 0)?, (ErrorCode::None, 2));
        // The marker of the last transaction, once more and too late.
        assert_eq!(write_markers(client, vec![marker])?, [ErrorCode::InvalidProducerEpoch]);
        assert_eq!(next.end(client, true, T)?, ErrorCode::None);
        Ok(())
    })
}

#[test]
fn commits_of_whoever_is_no_member_or_no_producer_are_refused() -> Outcome {
    with_broker(
        "bad-transactions",
        &[UNVERIFIED, "offsets.topic.num.partitions=1"],
        |_, client| {
            assert_eq!(
                PRODUCER.commit(client, "g", 1)?,
                ErrorCode::NotCoordinator,
                "nobody coordinates yet"
            );
            find_coordinator(client)?;
            ottla_tests::process::eventually(|| Ok(PRODUCER.commit(client, "g", 1)? == ErrorCode::None))?;
            assert_eq!(PRODUCER.commit(client, "", 1)?, ErrorCode::InvalidGroupId);
            let old = Producer { epoch: 2, ..PRODUCER };
            assert_eq!(old.commit(client, "g", 2)?, ErrorCode::InvalidProducerEpoch);
            let nobody = Producer { id: -1, epoch: -1 };
            assert_eq!(nobody.commit(client, "g", 2)?, ErrorCode::InvalidProducerIdMapping);
            let mut request = PRODUCER.commit_request("g", 2);
            request.member_id = "m".into();
            request.generation_id_or_member_epoch = 4;
            let code = |client: &mut Client, version| {
                let response = client.call(&request, version)?;
                ottla_tests::Result::Ok(ottla_tests::client::code(response.topics[0].partitions[0].error_code))
            };
            assert_eq!(code(client, 4)?, ErrorCode::UnknownMemberId);
            request.topics[0].name = "missing".into();
            let response = client.call(&request, 4)?;
            let missing = ErrorCode::UnknownTopicOrPartition.code();
            assert_eq!(response.topics[0].partitions[0].error_code, missing);
            Ok(())
        },
    )
}

#[test]
fn commits_that_no_coordinator_knows_of_are_refused() -> Outcome {
    with_broker("bad-transactions", &["offsets.topic.num.partitions=1"], |_, client| {
        find_coordinator(client)?;
        assert_ne!(PRODUCER.commit(client, "g", 1)?, ErrorCode::None);
        assert_eq!(client.offset_at("__consumer_offsets", 0, -1)?, 0);
        Ok(())
    })
}
