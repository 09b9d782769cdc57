//! Members that subscribe by a regular expression.

use super::*;

fn matching(member_id: &str, regex: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(regex.into()),
        ..joining(member_id)
    }
}

fn topics(response: &ConsumerGroupHeartbeatResponse) -> Vec<Uuid> {
    let assignment = response.assignment.as_ref().expect("an assignment");
    assignment.topic_partitions.iter().map(|topic| topic.topic_id).collect()
}

#[test]
fn topics_that_match_are_assigned_also_those_that_come_later() {
    let mut driver = driver(1);
    let response = driver.beat(&matching("a", "t.*"));
    assert_eq!((response.member_epoch, topics(&response)), (2, vec![TOPIC]));
    driver.change_cluster(|cluster| cluster.set_topic("t2", 8, 1));
    // Names are not gone through more than once a second.
    assert_eq!(driver.beat(&beating("a", 2)).assignment, None);
    driver.pass_ms(1_000);
    let response = driver.beat(&beating("a", 2));
    assert_eq!(
        (response.member_epoch, topics(&response)),
        (3, vec![TOPIC, Uuid([8; 16])])
    );
    let written = driver.log.len();
    driver.pass_ms(1_000);
    driver.beat(&beating("a", 3));
    assert_eq!(driver.log.len(), written);
}

#[test]
fn an_expression_that_matches_nothing_begins_no_epoch() {
    let mut driver = driver(1);
    let response = driver.beat(&matching("a", "x.*"));
    assert_eq!(seen(&response), ok(1, &[][..]));
    assert_eq!(state(&driver), ("Stable".to_owned(), 1, 1));
    driver.reload();
    assert_eq!(seen(&driver.beat(&beating("a", 1))), ok(1, None));
}

#[test]
fn the_last_member_takes_its_expression_with_it() {
    let mut driver = driver(1);
    driver.beat(&matching("a", "t"));
    driver.beat(&matching("b", "t"));
    let tombstones = |driver: &Driver| {
        let of_regex = driver.log.iter().filter(|record| record.key[..2] == [0, 16]);
        of_regex.filter(|record| record.value.is_none()).count()
    };
    driver.beat(&beating("b", -1));
    assert_eq!(tombstones(&driver), 0);
    driver.beat(&matching("a", "other"));
    assert_eq!(tombstones(&driver), 1);
    driver.beat(&beating("a", -1));
    assert_eq!(tombstones(&driver), 2);
    assert_eq!(state(&driver).0, "Empty");
}

#[test]
fn an_expression_that_is_none_changes_nothing() {
    let mut driver = driver(1);
    driver.beat(&matching("a", "t"));
    let written = driver.log.len();
    let wrong = ConsumerGroupHeartbeatRequest {
        subscribed_topic_regex: Some("(".into()),
        ..beating("a", 2)
    };
    let response = driver.beat(&wrong);
    assert_eq!(code(response.error_code), ErrorCode::InvalidRegularExpression);
    assert_eq!(driver.log.len(), written);
    assert_eq!(seen(&driver.beat(&beating("a", 2))), ok(2, None));
}

#[test]
fn names_and_expressions_go_together() {
    let mut driver = driver(1);
    driver.change_cluster(|cluster| cluster.set_topic("u", 8, 1));
    let both = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec!["u".into()]),
        ..matching("a", "t")
    };
    assert_eq!(topics(&driver.beat(&both)), [TOPIC, Uuid([8; 16])]);
    let only_names = ConsumerGroupHeartbeatRequest {
        subscribed_topic_regex: Some("".into()),
        ..beating("a", 2)
    };
    assert_eq!(topics(&driver.beat(&only_names)), [Uuid([8; 16])]);
}
