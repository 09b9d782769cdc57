use super::*;
use ottla_protocol::{
    Str,
    ids::{NodeId, Uuid},
    messages::{
        AbortTransactionRecord, BeginTransactionRecord, BrokerRegistrationChangeRecord, ClearElrRecord, ConfigRecord,
        EndTransactionRecord, FeatureLevelRecord, PartitionChangeRecord, PartitionRecord, ProducerIdsRecord,
        RegisterBrokerRecord, RemoveTopicRecord, TopicRecord,
    },
};

const ORDERS: Uuid = Uuid([1; 16]);

fn topic(name: &str, id: Uuid) -> MetadataRecord {
    TopicRecord {
        name: name.into(),
        topic_id: id,
    }
    .into()
}

fn partition(id: Uuid, index: i32) -> MetadataRecord {
    let record = PartitionRecord {
        partition_id: index,
        topic_id: id,
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid([9; 16])],
        ..PartitionRecord::default()
    };
    record.into()
}

fn config(kind: ResourceType, resource: &str, name: &str, value: Option<&str>) -> MetadataRecord {
    let record = ConfigRecord {
        resource_type: kind.code(),
        resource_name: resource.into(),
        name: name.into(),
        value: value.map(Str::from),
    };
    record.into()
}

fn feature_level(name: &str, level: i16) -> MetadataRecord {
    FeatureLevelRecord {
        name: name.into(),
        feature_level: level,
    }
    .into()
}

fn some_records() -> Vec<MetadataRecord> {
    vec![
        feature_level(feature::GROUP_VERSION, 1),
        feature_level(feature::METADATA_VERSION, 33),
        RegisterBrokerRecord {
            broker_id: 1,
            broker_epoch: 14,
            ..Default::default()
        }
        .into(),
        topic("orders", ORDERS),
        config(ResourceType::Topic, "orders", "retention.ms", Some("1000")),
        partition(ORDERS, 0),
        partition(ORDERS, 1),
        config(ResourceType::Broker, "", "min.insync.replicas", Some("1")),
        ProducerIdsRecord {
            broker_id: 1,
            broker_epoch: 14,
            next_producer_id: 1000,
        }
        .into(),
    ]
}

#[test]
fn a_snapshot_rebuilds_the_image_and_starts_with_the_metadata_version() {
    let image = MetadataImage::replay(&some_records());
    let records = image.to_records();
    assert_eq!(records[0], feature_level(feature::METADATA_VERSION, 33));
    assert_eq!(MetadataImage::replay(&records), image);
    assert_eq!(records.len(), some_records().len());
}

#[test]
fn a_clone_does_not_see_later_records() {
    let mut image = MetadataImage::replay(&some_records());
    let before = image.clone();
    image.apply(&topic("payments", Uuid([2; 16])));
    assert_eq!((before.topics().count(), image.topics().count()), (1, 2));
}

#[test]
fn a_change_of_leader_raises_both_epochs_and_other_changes_only_one() {
    let mut image = MetadataImage::replay(&some_records());
    let change = PartitionChangeRecord {
        topic_id: ORDERS,
        partition_id: 0,
        ..Default::default()
    };
    image.apply(
        &PartitionChangeRecord {
            leader: -1,
            isr: Some(vec![]),
            ..change.clone()
        }
        .into(),
    );
    let partition = image.topics().partition("orders", 0).expect("it exists");
    assert_eq!(
        (partition.leader, partition.leader_epoch.0, partition.partition_epoch),
        (NodeId::NONE, 1, 1)
    );
    image.apply(
        &PartitionChangeRecord {
            eligible_leader_replicas: Some(vec![1]),
            ..change
        }
        .into(),
    );
    let partition = image.topics().partition("orders", 0).expect("it exists");
    assert_eq!((partition.leader_epoch.0, partition.partition_epoch), (1, 2));
    assert_eq!(partition.eligible_leader_replicas, [NodeId(1)]);
    image.apply(&ClearElrRecord { topic_name: Str::EMPTY }.into());
    let partition = image.topics().partition("orders", 0).expect("it exists");
    assert_eq!(
        (partition.eligible_leader_replicas.len(), partition.partition_epoch),
        (0, 3)
    );
    let untouched = image.topics().partition("orders", 1).expect("it exists");
    assert_eq!(untouched.partition_epoch, 0);
}

#[test]
fn a_deleted_topic_takes_its_configs_along() {
    let mut image = MetadataImage::replay(&some_records());
    image.apply(&RemoveTopicRecord { topic_id: ORDERS }.into());
    assert!(image.topics().by_name("orders").is_none() && image.topics().by_id(ORDERS).is_none());
    assert!(image.configs().of_topic("orders").is_empty());
}

#[test]
fn topics_are_listed_by_name_from_a_cursor() {
    let names = ["c", "a", "b"];
    let records: Vec<_> = names
        .iter()
        .zip(1..)
        .map(|(name, id)| topic(name, Uuid([id; 16])))
        .collect();
    let image = MetadataImage::replay(&records);
    let from: Vec<_> = image
        .topics()
        .iter_from("aa")
        .map(|topic| topic.name.to_string())
        .collect();
    assert_eq!(from, ["b", "c"]);
}

#[test]
fn a_config_without_value_goes_back_to_the_default() {
    let mut image = MetadataImage::replay(&some_records());
    image.apply(&config(ResourceType::Topic, "orders", "retention.ms", None));
    assert_eq!(image.configs().iter().count(), 1);
}

#[test]
fn a_broker_is_fenced_and_unfenced_by_changes() {
    let mut image = MetadataImage::replay(&some_records());
    assert!(!image.brokers().is_active(NodeId(1)));
    let change = BrokerRegistrationChangeRecord {
        broker_id: 1,
        broker_epoch: 14,
        ..Default::default()
    };
    image.apply(
        &BrokerRegistrationChangeRecord {
            fenced: -1,
            ..change.clone()
        }
        .into(),
    );
    assert!(image.brokers().is_active(NodeId(1)));
    image.apply(
        &BrokerRegistrationChangeRecord {
            in_controlled_shutdown: 1,
            ..change
        }
        .into(),
    );
    assert!(!image.brokers().is_active(NodeId(1)));
}

#[test]
fn an_aborted_transaction_leaves_no_trace_and_a_complete_one_stays() {
    let mut image = MetadataImage::default();
    image.apply(&BeginTransactionRecord::default().into());
    image.apply(&topic("orders", ORDERS));
    assert!(image.is_in_transaction());
    image.apply(&AbortTransactionRecord::default().into());
    assert!(!image.is_in_transaction());
    assert_eq!(image, MetadataImage::default());
    image.apply(&BeginTransactionRecord::default().into());
    image.apply(&topic("orders", ORDERS));
    image.apply(&EndTransactionRecord::default().into());
    assert_eq!((image.topics().count(), image.is_in_transaction()), (1, false));
}

#[test]
fn records_about_what_does_not_exist_are_passed_over() {
    let mut image = MetadataImage::default();
    image.apply(&partition(ORDERS, 0));
    image.apply(
        &PartitionChangeRecord {
            topic_id: ORDERS,
            ..Default::default()
        }
        .into(),
    );
    image.apply(&RemoveTopicRecord { topic_id: ORDERS }.into());
    image.apply(
        &BrokerRegistrationChangeRecord {
            broker_id: 1,
            ..Default::default()
        }
        .into(),
    );
    assert_eq!(image, MetadataImage::default());
}

fn changes(image: &mut MetadataImage, records: &[MetadataRecord]) -> Changes {
    let mut changes = Changes::default();
    for record in records {
        changes.note(image, record);
        image.apply(record);
    }
    changes
}

#[test]
fn changes_name_new_topics_and_keep_deleted_ones() {
    let mut image = MetadataImage::default();
    let created = changes(&mut image, &some_records());
    let expected = TopicChange {
        is_created: true,
        partitions: [0, 1].into(),
    };
    assert_eq!(created.topics[&ORDERS], expected);
    assert!(created.features && created.brokers.contains(&NodeId(1)));
    let deleted = changes(&mut image, &[RemoveTopicRecord { topic_id: ORDERS }.into()]);
    assert_eq!(deleted.deleted_topics[&ORDERS].partition_count(), 2);
    assert!(deleted.topics.is_empty() && deleted.configs.is_empty());
}

#[test]
fn a_topic_created_and_deleted_in_one_go_is_no_change() {
    let records = [
        topic("orders", ORDERS),
        config(ResourceType::Topic, "orders", "retention.ms", Some("1")),
        partition(ORDERS, 0),
        RemoveTopicRecord { topic_id: ORDERS }.into(),
    ];
    assert!(changes(&mut MetadataImage::default(), &records).is_empty());
}
