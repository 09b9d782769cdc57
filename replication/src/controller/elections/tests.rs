//! The records were read from the metadata log of Apache Kafka 4.4.0.

use super::*;
use crate::controller::fixture::{controller_with_topics, run};
use ottla_protocol::{
    ids::LeaderEpoch,
    messages::{FeatureLevelRecord, PartitionRecord, elect_leaders_request::TopicPartitions},
};

const ME: NodeId = NodeId(1);

fn changes(records: &[MetadataRecord]) -> Vec<PartitionChangeRecord> {
    let change = |record: &MetadataRecord| match record {
        MetadataRecord::PartitionChange(record) => PartitionChangeRecord {
            topic_id: Default::default(),
            partition_id: -1,
            ..record.clone()
        },
        other => panic!("unexpected {other:?}"),
    };
    records.iter().map(change).collect()
}

fn after(controller: &mut Controller, event: BrokerEvent) -> Vec<PartitionChangeRecord> {
    let records = controller.changes_after(event);
    run(
        controller,
        Outcome {
            records: records.clone(),
            response: (),
        },
    );
    changes(&records)
}

fn partition(controller: &Controller) -> &Partition {
    controller.image().topics().partition("a", 0).expect("created")
}

#[test]
fn the_only_replica_stays_eligible_when_it_leaves_and_leads_again_when_it_is_back() {
    let mut controller = controller_with_topics(&["a"]);
    let leaves = PartitionChangeRecord {
        isr: Some(vec![]),
        leader: -1,
        eligible_leader_replicas: Some(vec![1]),
        last_known_elr: Some(vec![1]),
        ..Default::default()
    };
    assert_eq!(after(&mut controller, BrokerEvent::Leaves(ME)), [leaves]);
    let joins = PartitionChangeRecord {
        isr: Some(vec![1]),
        leader: 1,
        eligible_leader_replicas: Some(vec![]),
        last_known_elr: Some(vec![]),
        ..Default::default()
    };
    assert_eq!(after(&mut controller, BrokerEvent::Joins(ME)), [joins]);
    assert_eq!(
        (
            partition(&controller).leader_epoch,
            partition(&controller).partition_epoch
        ),
        (LeaderEpoch(2), 2)
    );
    assert_eq!(
        partition(&controller).leader_recovery_state,
        LeaderRecoveryState::Recovered
    );
}

#[test]
fn the_last_known_leader_that_lost_its_tail_leads_as_recovering() {
    let mut controller = controller_with_topics(&["a"]);
    after(&mut controller, BrokerEvent::Leaves(ME));
    let no_longer_eligible = PartitionChangeRecord {
        eligible_leader_replicas: Some(vec![]),
        ..Default::default()
    };
    assert_eq!(
        after(&mut controller, BrokerEvent::LostItsTail(ME)),
        [no_longer_eligible]
    );
    let leads = PartitionChangeRecord {
        isr: Some(vec![1]),
        leader: 1,
        leader_recovery_state: 1,
        last_known_elr: Some(vec![]),
        ..Default::default()
    };
    assert_eq!(after(&mut controller, BrokerEvent::Joins(ME)), [leads]);
}

#[test]
fn a_leader_that_lost_its_tail_steps_down_and_is_remembered() {
    let mut controller = controller_with_topics(&["a"]);
    let change = PartitionChangeRecord {
        isr: Some(vec![]),
        leader: -1,
        last_known_elr: Some(vec![1]),
        ..Default::default()
    };
    assert_eq!(after(&mut controller, BrokerEvent::LostItsTail(ME)), [change]);
}

#[test]
fn without_eligible_replicas_the_last_one_stays_in_the_isr() {
    let mut controller = controller_with_topics(&["a"]);
    let off = FeatureLevelRecord {
        name: "eligible.leader.replicas.version".into(),
        feature_level: 0,
    };
    controller.apply(&off.into());
    let leaves = PartitionChangeRecord {
        leader: -1,
        ..Default::default()
    };
    assert_eq!(after(&mut controller, BrokerEvent::Leaves(ME)), [leaves]);
    assert_eq!(partition(&controller).isr, [ME]);
    let joins = PartitionChangeRecord {
        leader: 1,
        ..Default::default()
    };
    assert_eq!(after(&mut controller, BrokerEvent::Joins(ME)), [joins]);
}

fn rules(election: Election, may_lead: &dyn Fn(NodeId) -> bool) -> Rules<'_> {
    Rules {
        election,
        min_isr: 2,
        keeps_eligible_replicas: true,
        shrinking_raises_epoch: false,
        lost_its_tail: None,
        may_lead,
    }
}

fn three_replicas(leader: i32, isr: &[i32]) -> Partition {
    let record = PartitionRecord {
        replicas: vec![1, 2, 3],
        isr: isr.to_vec(),
        leader,
        leader_epoch: 5,
        ..PartitionRecord::default()
    };
    Partition::from(&record)
}

fn ids(numbers: &[i32]) -> Vec<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}

#[test]
fn the_next_replica_in_sync_leads_and_a_leader_that_can_stay_stays() {
    let without_first = |id: NodeId| id != NodeId(1);
    let change = rules(Election::Online, &without_first).change(&three_replicas(1, &[1, 2, 3]), ids(&[2, 3]));
    let expected = PartitionChangeRecord {
        leader: 2,
        isr: Some(vec![2, 3]),
        ..Default::default()
    };
    assert_eq!(change, Some(expected));
    let everybody = |_| true;
    let change = rules(Election::Online, &everybody).change(&three_replicas(3, &[1, 2, 3]), ids(&[1, 2, 3]));
    assert_eq!(change, None);
}

#[test]
fn a_preferred_election_moves_the_leader_back_to_the_first_replica() {
    let everybody = |_| true;
    let change = rules(Election::Preferred, &everybody).change(&three_replicas(3, &[1, 2, 3]), ids(&[1, 2, 3]));
    assert_eq!(
        change,
        Some(PartitionChangeRecord {
            leader: 1,
            ..Default::default()
        })
    );
    let change = rules(Election::Preferred, &everybody).change(&three_replicas(3, &[2, 3]), ids(&[2, 3]));
    assert_eq!(change, None, "a replica that lags does not lead");
}

#[test]
fn replicas_that_leave_below_min_insync_replicas_become_eligible() {
    let only_third = |id: NodeId| id == NodeId(3);
    let change = rules(Election::Online, &only_third).change(&three_replicas(1, &[1, 2, 3]), ids(&[3]));
    let expected = PartitionChangeRecord {
        leader: 3,
        isr: Some(vec![3]),
        eligible_leader_replicas: Some(vec![1, 2]),
        ..Default::default()
    };
    assert_eq!(change, Some(expected));
}

#[test]
fn an_unclean_election_takes_any_replica_and_drops_the_others() {
    let only_third = |id: NodeId| id == NodeId(3);
    let offline = three_replicas(-1, &[1]);
    assert_eq!(rules(Election::Online, &only_third).change(&offline, ids(&[1])), None);
    let expected = PartitionChangeRecord {
        leader: 3,
        isr: Some(vec![3]),
        leader_recovery_state: 1,
        ..Default::default()
    };
    assert_eq!(
        rules(Election::Unclean, &only_third).change(&offline, ids(&[1])),
        Some(expected)
    );
}

fn ask(controller: &Controller, election_type: i8, asked: Option<&[(&str, i32)]>) -> Vec<(String, i32, i16)> {
    let partitions = |(topic, index): &(&str, i32)| TopicPartitions {
        topic: (*topic).into(),
        partitions: vec![*index],
    };
    let topic_partitions = asked.map(|asked| asked.iter().map(partitions).collect());
    let request = ElectLeadersRequest {
        election_type,
        topic_partitions,
        ..Default::default()
    };
    let outcome = controller.handle_elect_leaders(&request);
    let results = outcome.response.replica_election_results.iter();
    let flat = results.flat_map(|topic| {
        topic
            .partition_result
            .iter()
            .map(|it| (topic.topic.to_string(), it.partition_id, it.error_code))
    });
    flat.collect()
}

#[test]
fn an_admin_is_told_why_nobody_was_elected() {
    let mut controller = controller_with_topics(&["a"]);
    let asked = ask(&controller, 0, Some(&[("a", 0), ("a", 9), ("no", 0)]));
    assert_eq!(asked, [("a".into(), 0, 84), ("a".into(), 9, 3), ("no".into(), 0, 3)]);
    assert_eq!(ask(&controller, 0, None), []);
    after(&mut controller, BrokerEvent::Leaves(ME));
    controller
        .image_mut()
        .apply(&ottla_protocol::messages::FenceBrokerRecord { id: 1, epoch: 12 }.into());
    assert_eq!(ask(&controller, 0, None), [("a".into(), 0, 80)]);
    assert_eq!(ask(&controller, 1, None), [("a".into(), 0, 83)]);
}
