//! InitProducerId: who gets which id and epoch.

use super::*;

#[test]
fn a_new_id_gets_a_new_producer_and_each_that_follows_fences_the_one_before() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let first = driver.init("a", None)?;
    assert_eq!((first.id, first.epoch.0), (ProducerId(101), 0));
    let second = driver.init("a", None)?;
    assert_eq!(second, with_epoch(first, 1));
    assert_eq!(driver.add("a", first, "t"), Err(TransactionError::Fenced));
    assert_eq!(driver.end("a", first, true), Err(TransactionError::Fenced));
    assert_eq!(driver.state("a"), Some("Empty"));
    Ok(())
}

#[test]
fn timeouts_and_ids_are_bounded() {
    let mut driver = Driver::new();
    let mut ask = |id: &str, timeout_ms| {
        let request = InitProducerId {
            transactional_id: id.into(),
            timeout_ms,
            expected: None,
        };
        let decision = driver
            .transactions
            .handle_init_producer_id(&request, Some(ProducerId(1)), at(0));
        driver.take(decision)
    };
    assert_eq!(ask("a", 0), Err(TransactionError::InvalidTimeout));
    assert_eq!(ask("a", 900_001), Err(TransactionError::InvalidTimeout));
    assert!(ask("a", 900_000).is_ok());
    assert_eq!(ask("", 1), Err(TransactionError::InvalidRequest));
    assert_eq!(ask(&"x".repeat(40_000), 1), Err(TransactionError::InvalidRequest));
}

#[test]
fn an_open_transaction_is_aborted_first_and_its_producer_is_fenced_at_once() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let old = driver.init("a", None)?;
    driver.add("a", old, "t")?;
    assert_eq!(driver.init("a", None), Err(TransactionError::Concurrent));
    assert_eq!(driver.state("a"), Some("PrepareAbort"));
    assert_eq!(driver.end("a", old, true), Err(TransactionError::Concurrent));
    assert_eq!(driver.init("a", None), Err(TransactionError::Concurrent));
    let endings = driver.write_markers();
    assert!(!endings[0].is_commit);
    assert_eq!(endings[0].producer, with_epoch(old, 1));
    let new = driver.init("a", None)?;
    assert_eq!(new, with_epoch(old, 2));
    assert_eq!(driver.add("a", old, "t"), Err(TransactionError::Fenced));
    assert_eq!(driver.end("a", old, true), Err(TransactionError::Fenced));
    Ok(())
}

#[test]
fn a_producer_goes_on_as_itself_and_asks_again_if_the_answer_got_lost() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let first = driver.init("a", None)?;
    let second = driver.init("a", Some(first))?;
    assert_eq!(second, with_epoch(first, 1));
    assert_eq!(driver.init("a", Some(first))?, second, "the same question again");
    let other = driver.init("a", None)?;
    assert_eq!(driver.init("a", Some(second)), Err(TransactionError::Fenced));
    assert_eq!(
        driver.init("a", Some(with_epoch(first, 9))),
        Err(TransactionError::Fenced)
    );
    let stranger = Producer {
        id: ProducerId(7),
        ..other
    };
    assert_eq!(driver.init("a", Some(stranger)), Err(TransactionError::Fenced));
    Ok(())
}

#[test]
fn used_up_epochs_lead_to_another_producer_id() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let old = driver.exhaust("a");
    let new = driver.init("a", Some(old))?;
    assert_ne!(new.id, old.id);
    assert_eq!(new.epoch.0, 0);
    assert_eq!(driver.init("a", Some(old))?, new, "the same question again");
    assert_eq!(driver.add("a", old, "t"), Err(TransactionError::UnknownMapping));
    Ok(())
}

#[test]
fn whoever_names_itself_after_its_id_expired_is_a_new_producer() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    let old = driver.init("a", None)?;
    driver.pass_ms(8 * 24 * 60 * 60 * 1_000);
    assert_eq!(driver.state("a"), None);
    let new = driver.init("a", Some(old))?;
    assert_eq!(new.epoch.0, 0);
    assert_ne!(new.id, old.id);
    Ok(())
}

#[test]
fn below_version_2_the_epoch_that_fences_is_the_markers_too() -> Result<(), TransactionError> {
    let mut driver = Driver::new();
    driver.transactions.see_version(1);
    let old = driver.init("a", None)?;
    driver.add("a", old, "t")?;
    assert_eq!(driver.init("a", None), Err(TransactionError::Concurrent));
    let endings = driver.write_markers();
    assert_eq!(
        (endings[0].producer, endings[0].client_version),
        (with_epoch(old, 1), 0)
    );
    assert_eq!(driver.init("a", None)?, with_epoch(old, 2));
    Ok(())
}
