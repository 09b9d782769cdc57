//! What a transaction writes to.

use super::*;
use std::collections::BTreeMap;

fn parts(names: &[&str]) -> Vec<(Str, i32)> {
    names.iter().map(|name| (Str::from(*name), 0)).collect()
}

#[test]
fn partitions_are_checked_one_by_one_and_added_all_at_once() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let producer = driver.init("a", None)?;
    driver.add("a", producer, "t")?;
    let written = driver.log.len();
    driver.add("a", producer, "t")?;
    assert_eq!(driver.log.len(), written, "what is there is not written again");
    let seen = driver
        .transactions
        .verify_partitions(&"a".into(), producer, &parts(&["t", "u"]));
    assert_eq!(seen, [Ok(()), Err(TransactionError::Abortable)]);
    Ok(())
}

#[test]
fn reports_show_states_and_the_oldest_transaction_that_is_open() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    driver.now_ms = 1_000;
    driver.init("idle", None)?;
    assert_eq!(driver.transactions.summary().oldest_open_ms, None);
    for (id, now_ms) in [("late", 5_000), ("early", 3_000)] {
        let producer = driver.init(id, None)?;
        driver.now_ms = now_ms;
        driver.add(id, producer, "t")?;
    }
    let mut summary = driver.transactions.summary();
    assert_eq!(summary.by_state, BTreeMap::from([("Empty", 1), ("Ongoing", 2)]));
    assert_eq!(summary.oldest_open_ms, Some(3_000));
    summary.add(TransactionSummary {
        by_state: BTreeMap::from([("Empty", 1)]),
        oldest_open_ms: Some(4_000),
    });
    assert_eq!((summary.by_state["Empty"], summary.oldest_open_ms), (2, Some(3_000)));
    Ok(())
}

#[test]
fn nobody_adds_under_a_name_that_is_not_theirs() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let producer = driver.init("a", None)?;
    let stranger = Producer {
        id: ProducerId(5),
        ..producer
    };
    assert_eq!(driver.add("b", producer, "t"), Err(TransactionError::UnknownMapping));
    assert_eq!(driver.add("a", stranger, "t"), Err(TransactionError::UnknownMapping));
    assert_eq!(
        driver.add("a", with_epoch(producer, 1), "t"),
        Err(TransactionError::Fenced)
    );
    assert_eq!(driver.add("", producer, "t"), Err(TransactionError::InvalidRequest));
    let seen = |id: &str, producer| {
        driver
            .transactions
            .verify_partitions(&id.into(), producer, &parts(&["t"]))
            .remove(0)
    };
    assert_eq!(seen("b", producer), Err(TransactionError::UnknownMapping));
    assert_eq!(seen("a", stranger), Err(TransactionError::UnknownMapping));
    assert_eq!(seen("a", with_epoch(producer, 1)), Err(TransactionError::Fenced));
    assert_eq!(seen("a", producer), Err(TransactionError::Abortable));
    Ok(())
}

#[test]
fn nothing_is_added_while_markers_of_the_last_transaction_are_pending() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let producer = driver.init("a", None)?;
    driver.add("a", producer, "t")?;
    let next = driver.end("a", producer, true)?;
    assert_eq!(driver.add("a", next, "t"), Err(TransactionError::Concurrent));
    let seen = driver.transactions.verify_partitions(&"a".into(), next, &parts(&["t"]));
    assert_eq!(seen, [Err(TransactionError::Concurrent)]);
    driver.write_markers();
    assert_eq!(driver.add("a", next, "t"), Ok(()));
    Ok(())
}

#[test]
fn a_transaction_has_no_more_partitions_than_a_record_can_name() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let producer = driver.init("a", None)?;
    let many: Vec<(Str, i32)> = (0..300_000).map(|index| ("t".into(), index)).collect();
    let decision = driver
        .transactions
        .handle_add_partitions(&"a".into(), producer, &many, 2, at(0));
    assert_eq!(driver.take(decision), Err(TransactionError::TooLarge));
    assert_eq!(driver.state("a"), Some("Empty"));
    Ok(())
}

#[test]
fn transactions_are_listed_by_producer_state_duration_and_pattern() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let first = driver.init("billing-1", None)?;
    let second = driver.init("orders-1", None)?;
    driver.add("billing-1", first, "t")?;
    driver.now_ms = 1_000;
    driver.add("orders-1", second, "t")?;
    driver.now_ms = 2_000;
    let ids = |producers: &[i64], states: &[&str], longer_than_ms, pattern: Option<&str>| {
        let states: Vec<Str> = states.iter().map(|state| Str::from(*state)).collect();
        let pattern = pattern.map(Str::from);
        let filter = TransactionFilter::new(producers, &states, longer_than_ms, pattern.as_ref());
        let listed = driver.transactions.list(&filter.expect("a filter"), 2_000);
        let ids: Vec<String> = listed.iter().map(|one| one.transactional_id.to_string()).collect();
        ids
    };
    assert_eq!(ids(&[], &[], -1, None), ["billing-1", "orders-1"]);
    assert_eq!(ids(&[second.id.0], &[], -1, None), ["orders-1"]);
    assert_eq!(ids(&[], &["Ongoing"], -1, None).len(), 2);
    assert_eq!(ids(&[], &["Empty"], -1, None).len(), 0);
    assert_eq!(ids(&[], &[], 1_000, None), ["billing-1"]);
    assert_eq!(ids(&[], &[], -1, Some("bill")).len(), 0, "the whole id must match");
    assert_eq!(ids(&[], &[], -1, Some("bill.*")), ["billing-1"]);
    assert!(TransactionFilter::new(&[], &[], -1, Some(&"(".into())).is_err());
    assert_eq!(
        Transactions::unknown_states(&["Ongoing".into(), "Dead".into(), "Nope".into()]),
        ["Nope"]
    );
    let described = driver.transactions.describe(&"billing-1".into())?;
    assert_eq!(described.transaction_state, "Ongoing");
    assert_eq!(
        (described.topics[0].topic.as_str(), &*described.topics[0].partitions),
        ("t", &[0][..])
    );
    assert_eq!(
        driver.transactions.describe(&"x".into()),
        Err(TransactionError::NotFound)
    );
    Ok(())
}
