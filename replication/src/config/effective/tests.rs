//! The expected answers were read from Apache Kafka 4.4.0.

use super::*;

fn values(pairs: &[(&str, &str)]) -> ConfigValues {
    pairs
        .iter()
        .map(|(name, text)| ((*name).into(), (*text).into()))
        .collect()
}

fn one(entries: Vec<ConfigEntry>) -> ConfigEntry {
    let [entry] = <[_; 1]>::try_from(entries).expect("one key was asked for");
    entry
}

fn topic_key(layers: Layers<'_>, overrides: &ConfigValues, name: &str) -> ConfigEntry {
    one(layers.describe_topic(overrides, Some(&BTreeSet::from([name]))))
}

fn shown(entry: &ConfigEntry) -> Vec<String> {
    let place = |synonym: &SynonymEntry| {
        let value = synonym.value.as_deref().unwrap_or("null");
        format!("{}={value}:{}", synonym.name, synonym.source.code())
    };
    entry.synonyms.iter().map(place).collect()
}

#[test]
fn every_place_that_sets_a_topic_key_is_listed_and_the_nearest_counts() {
    let (topic, broker, cluster, file) = (
        values(&[("retention.ms", "97")]),
        values(&[("log.retention.ms", "98")]),
        values(&[("log.retention.ms", "99")]),
        values(&[("log.retention.hours", "5")]),
    );
    let layers = Layers {
        broker: &broker,
        cluster: &cluster,
        file: &file,
    };
    let entry = topic_key(layers, &topic, "retention.ms");
    assert_eq!(
        (entry.value.as_deref(), entry.source),
        (Some("97"), ConfigSource::Topic)
    );
    let expected = [
        "retention.ms=97:1",
        "log.retention.ms=98:2",
        "log.retention.ms=99:3",
        "log.retention.hours=5:4",
        "log.retention.hours=168:5",
    ];
    assert_eq!(shown(&entry), expected);
    let entry = topic_key(layers, &ConfigValues::new(), "retention.ms");
    assert_eq!(
        (entry.value.as_deref(), entry.source),
        (Some("98"), ConfigSource::DynamicBroker)
    );
}

#[test]
fn a_topic_without_settings_shows_defaults_as_defaults() {
    let entry = topic_key(Layers::defaults(), &ConfigValues::new(), "cleanup.policy");
    assert_eq!(
        (entry.value.as_deref(), entry.source),
        (Some("delete"), ConfigSource::Default)
    );
    assert_eq!(shown(&entry), ["log.cleanup.policy=delete:5"]);
    let entry = topic_key(Layers::defaults(), &ConfigValues::new(), "retention.ms");
    assert_eq!(
        (entry.value.as_deref(), entry.source),
        (Some("604800000"), ConfigSource::Default)
    );
    assert_eq!(shown(&entry), Vec::<String>::new());
    assert_eq!(Layers::defaults().describe_topic(&ConfigValues::new(), None).len(), 37);
}

#[test]
fn hours_in_the_file_become_milliseconds_of_the_topic_and_do_not_look_like_a_default() {
    let file = values(&[("log.retention.hours", "5"), ("log.roll.ms", "1234567")]);
    let layers = Layers {
        file: &file,
        ..Layers::defaults()
    };
    let entry = topic_key(layers, &ConfigValues::new(), "retention.ms");
    assert_eq!(
        (entry.value.as_deref(), entry.source),
        (Some("18000000"), ConfigSource::StaticBroker)
    );
    let entry = topic_key(layers, &ConfigValues::new(), "segment.ms");
    assert_eq!(shown(&entry), ["log.roll.ms=1234567:4", "log.roll.hours=168:5"]);
}

#[test]
fn a_key_that_is_not_known_is_absent() {
    let asked = BTreeSet::from(["retention.ms", "no.such.key"]);
    assert_eq!(
        Layers::defaults()
            .describe_topic(&ConfigValues::new(), Some(&asked))
            .len(),
        1
    );
}

#[test]
fn broker_keys_show_file_and_default_and_hide_secrets() {
    let file = values(&[("num.partitions", "2"), ("ssl.key.password", "hunter2")]);
    let layers = Layers {
        file: &file,
        ..Layers::defaults()
    };
    let key = |name: &str| one(layers.describe_broker(Some(&BTreeSet::from([name]))));
    let partitions = key("num.partitions");
    assert_eq!(
        (partitions.value.as_deref(), partitions.is_read_only),
        (Some("2"), true)
    );
    assert_eq!(shown(&partitions), ["num.partitions=2:4", "num.partitions=1:5"]);
    let password = key("ssl.key.password");
    assert_eq!((password.value.as_deref(), password.is_sensitive), (None, true));
    assert_eq!(shown(&password), ["ssl.key.password=null:4"]);
    let retention = key("log.retention.ms");
    assert_eq!((retention.value, retention.source), (None, ConfigSource::Default));
}

#[test]
fn the_cluster_shows_only_what_was_set_for_all_brokers() {
    let cluster = values(&[("foo.bar", "x"), ("log.retention.ms", "99")]);
    let layers = Layers {
        cluster: &cluster,
        ..Layers::defaults()
    };
    let entries = layers.describe_cluster(None);
    let unknown = &entries[0];
    assert_eq!(
        (unknown.value.as_deref(), unknown.is_sensitive, unknown.kind),
        (None, true, None)
    );
    assert_eq!(
        (entries[1].value.as_deref(), shown(&entries[1])),
        (Some("99"), vec!["log.retention.ms=99:3".into()])
    );
}

#[test]
fn group_keys_fall_back_to_broker_keys() {
    let group = values(&[("consumer.session.timeout.ms", "46000")]);
    let asked = BTreeSet::from([
        "consumer.session.timeout.ms",
        "share.isolation.level",
        "streams.assignor.name",
    ]);
    let entries = Layers::defaults().describe_group(&group, Some(&asked));
    assert_eq!(
        shown(&entries[0]),
        [
            "consumer.session.timeout.ms=46000:8",
            "group.consumer.session.timeout.ms=45000:5"
        ]
    );
    assert_eq!(shown(&entries[1]), ["share.isolation.level=read_uncommitted:5"]);
    assert_eq!(entries[2].value.as_deref(), Some("sticky"));
    assert_eq!(shown(&entries[2]), ["group.streams.assignors=sticky:5"]);
}

#[test]
fn client_metrics_show_all_three_keys() {
    let entries = describe_client_metrics(&values(&[("metrics", "a.b,c")]), None);
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (entry.value.as_deref(), entry.source))
        .collect();
    let expected = [
        (Some("300000"), ConfigSource::Default),
        (Some(""), ConfigSource::Default),
        (Some("a.b,c"), ConfigSource::ClientMetrics),
    ];
    assert_eq!(shown, expected);
}
