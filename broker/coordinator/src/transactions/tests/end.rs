//! EndTxn of both kinds, timeouts, and the end of what was prepared.

use super::*;

/// An id whose transaction is open.
fn open(driver: &mut Driver, id: &str) -> Producer {
    let producer = driver.init(id, None).expect("a producer");
    driver.add(id, producer, "t").expect("it is open");
    producer
}

#[test]
fn each_end_gives_the_next_epoch_and_is_answered_alike_when_asked_again() {
    let mut driver = Driver::new();
    let producer = open(&mut driver, "a");
    let next = with_epoch(producer, 1);
    assert_eq!(driver.end("a", producer, true), Ok(next));
    assert_eq!(driver.state("a"), Some("PrepareCommit"));
    assert_eq!(driver.end("a", producer, true), Err(TransactionError::Concurrent));
    let endings = driver.write_markers();
    assert_eq!((endings[0].producer, endings[0].is_commit), (next, true));
    assert_eq!(endings[0].partitions, [(Str::from("t"), 0)]);
    assert_eq!(driver.state("a"), Some("CompleteCommit"));
    assert_eq!(driver.end("a", producer, true), Ok(next), "the answer got lost");
    assert_eq!(driver.end("a", producer, false), Err(TransactionError::InvalidState));
    assert!(driver.write_markers().is_empty(), "once is enough");
}

#[test]
fn a_late_end_does_not_hit_the_next_transaction() {
    let mut driver = Driver::new();
    let producer = open(&mut driver, "a");
    let next = driver.end("a", producer, true).expect("it ends");
    driver.write_markers();
    driver.add("a", next, "t").expect("the next one begins");
    assert_eq!(driver.end("a", producer, true), Err(TransactionError::Fenced));
    assert_eq!(driver.end("a", producer, false), Err(TransactionError::Fenced));
    assert_eq!(driver.state("a"), Some("Ongoing"));
}

#[test]
fn nothing_can_be_committed_where_nothing_was_begun_but_it_can_be_aborted() {
    let mut driver = Driver::new();
    let producer = driver.init("a", None).expect("a producer");
    assert_eq!(driver.end("a", producer, true), Err(TransactionError::InvalidState));
    let next = driver.end("a", producer, false).expect("an empty abort");
    assert_eq!(next, with_epoch(producer, 1));
    assert!(driver.write_markers()[0].partitions.is_empty());
    assert_eq!(driver.state("a"), Some("CompleteAbort"));
    assert_eq!(driver.end("a", next, true), Err(TransactionError::InvalidState));
    let after = driver.end("a", next, false).expect("once more");
    assert_eq!(after, with_epoch(producer, 2));
}

#[test]
fn the_last_epoch_is_followed_by_another_producer_id() {
    let mut driver = Driver::new();
    let old = driver.exhaust("a");
    driver.add("a", old, "t").expect("it is open");
    let new = driver.end("a", old, true).expect("it ends");
    assert_ne!(new.id, old.id);
    assert_eq!(new.epoch.0, 0);
    assert_eq!(driver.add("a", new, "t"), Err(TransactionError::Concurrent));
    let endings = driver.write_markers();
    assert_eq!(
        endings[0].producer,
        with_epoch(old, i16::MAX),
        "markers are the old id's"
    );
    assert_eq!(driver.end("a", old, true), Ok(new), "the answer got lost");
    assert_eq!(driver.add("a", new, "t"), Ok(()));
    assert_eq!(driver.end("a", old, true), Err(TransactionError::UnknownMapping));
}

#[test]
fn older_clients_keep_their_epoch() {
    let mut driver = Driver::new();
    let producer = open(&mut driver, "a");
    assert_eq!(
        driver.end_old("a", with_epoch(producer, 1), true),
        Err(TransactionError::Fenced)
    );
    assert_eq!(driver.end_old("a", producer, true), Ok(producer));
    assert_eq!(driver.end_old("a", producer, true), Err(TransactionError::Concurrent));
    assert_eq!(driver.end_old("a", producer, false), Err(TransactionError::Concurrent));
    let endings = driver.write_markers();
    assert_eq!((endings[0].producer, endings[0].client_version), (producer, 0));
    assert_eq!(driver.end_old("a", producer, true), Ok(producer));
    assert_eq!(
        driver.end_old("a", producer, false),
        Err(TransactionError::InvalidState)
    );
    let empty = driver.init("b", None).expect("a producer");
    assert_eq!(driver.end_old("b", empty, false), Err(TransactionError::InvalidState));
    assert_eq!(driver.end_old("c", empty, false), Err(TransactionError::UnknownMapping));
}

#[test]
fn a_transaction_past_its_timeout_is_aborted_and_its_producer_told() {
    let mut driver = Driver::new();
    let producer = open(&mut driver, "a");
    driver.pass_ms(60_000);
    assert_eq!(driver.state("a"), Some("Ongoing"), "not before its time");
    driver.pass_ms(10_001);
    assert_eq!(driver.state("a"), Some("PrepareAbort"));
    assert_eq!(driver.end("a", producer, true), Err(TransactionError::Concurrent));
    driver.write_markers();
    assert_eq!(driver.end("a", producer, true), Err(TransactionError::InvalidState));
    assert_eq!(driver.add("a", producer, "t"), Err(TransactionError::Fenced));
}

#[test]
fn a_timeout_with_used_up_epochs_waits_for_a_producer_id() {
    let mut driver = Driver::new();
    let old = driver.exhaust("a");
    driver.add("a", old, "t").expect("it is open");
    driver.pass_ms(70_001);
    assert_eq!(driver.state("a"), Some("Ongoing"));
    assert!(driver.transactions.take_wish_for_producer_id());
    assert!(!driver.transactions.take_wish_for_producer_id(), "once");
    driver.transactions.bring_producer_id(ProducerId(9), at(driver.now_ms));
    assert!(driver.transactions.next_deadline_ms() <= driver.now_ms);
    driver.pass_ms(0);
    assert_eq!(driver.state("a"), Some("PrepareAbort"));
    driver.write_markers();
    assert_eq!(driver.transactions.by_id["a"].producer.id, ProducerId(9));
}

#[test]
fn only_ids_that_are_idle_for_long_enough_expire() {
    let mut driver = Driver::new();
    let producer = open(&mut driver, "open");
    driver.init("idle", None).expect("a producer");
    let week_ms = 7 * 24 * 60 * 60 * 1_000;
    driver
        .transactions
        .by_id
        .get_mut("open")
        .expect("it is there")
        .timeout_ms = i32::MAX;
    driver.pass_ms(week_ms - 1);
    assert!(driver.state("idle").is_some());
    driver.pass_ms(3_600_001);
    assert_eq!(driver.state("idle"), None);
    assert_eq!(driver.state("open"), Some("Ongoing"));
    driver.end("open", producer, true).expect("it ends");
    driver.pass_ms(week_ms + 3_600_001);
    assert_eq!(driver.state("open"), Some("PrepareCommit"), "markers first");
}
