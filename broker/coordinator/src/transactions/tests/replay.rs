//! What a coordinator finds in its log.

use super::*;
use bytes::Bytes;

#[test]
fn a_prepared_transaction_is_ended_after_a_reload() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let producer = driver.init("a", None)?;
    driver.add("a", producer, "t")?;
    driver.end("a", producer, true)?;
    let before = driver.transactions.take_endings();
    driver.reload();
    assert_eq!(
        driver.transactions.take_endings(),
        before,
        "nobody said that they are written"
    );
    driver.reload();
    driver.write_markers();
    driver.reload();
    assert!(driver.write_markers().is_empty());
    assert_eq!(driver.state("a"), Some("CompleteCommit"));
    Ok(())
}

#[test]
fn everything_but_the_volatile_reads_back_as_it_was() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let producer = driver.init("a", None)?;
    driver.add("a", producer, "t")?;
    driver.add("a", producer, "u")?;
    let old = driver.exhaust("b");
    driver.add("b", old, "t")?;
    driver.end("b", old, false)?;
    let mut before = driver.transactions.by_id.clone();
    driver.reload();
    for transaction in before.values_mut() {
        transaction.last_producer_epoch = ProducerEpoch::NONE;
    }
    assert_eq!(driver.transactions.by_id, before);
    Ok(())
}

#[test]
fn records_are_kafkas_bytes() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    driver.init("a", None)?;
    let record = &driver.log[0];
    assert_eq!(record.key, Bytes::from_static(b"\0\0\0\x01a"));
    let value = record.value.as_ref().expect("a value");
    assert_eq!(value[..2], [0, 1], "transaction.version 2 writes version 1");
    driver.transactions.see_version(0);
    driver.init("a", None)?;
    let value = driver.log[1].value.as_ref().expect("a value");
    assert_eq!(value[..2], [0, 0]);
    Ok(())
}

#[test]
fn what_is_cut_short_or_unknown_is_an_error_and_changes_nothing() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let producer = driver.init("a", None)?;
    driver.add("a", producer, "t")?;
    let whole = driver.log[1].clone();
    let before = driver.transactions.by_id.clone();
    let value = whole.value.clone().expect("a value");
    for length in 0..value.len() {
        let cut = CoordinatorRecord {
            value: Some(value.slice(..length)),
            ..whole.clone()
        };
        assert!(driver.transactions.apply(&cut).is_err(), "{length}");
    }
    let mut bytes = value.to_vec();
    // The status follows version, producer id, epoch and timeout.
    bytes[16] = 7;
    let odd = CoordinatorRecord {
        value: Some(bytes.into()),
        ..whole.clone()
    };
    assert_eq!(
        driver.transactions.apply(&odd),
        Err(ApplyError::UnknownTransactionStatus(7))
    );
    let other = CoordinatorRecord {
        key: Bytes::from_static(b"\0\x09"),
        value: None,
    };
    assert_eq!(driver.transactions.apply(&other), Ok(()));
    assert_eq!(driver.transactions.by_id, before);
    Ok(())
}
