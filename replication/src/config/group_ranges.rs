//! The broker's settings of groups against each other, as Kafka checks them at start. The bounds of share and streams
//! groups, which are not served, count as well: a file that Kafka refuses is refused.

use super::{InvalidValue, Layers};

/// A setting with its bounds, `group.<kind>.<rest>` between `group.<kind>.min.<rest>` and `group.<kind>.max.<rest>`.
struct Bounded {
    kind: &'static str,
    rest: &'static str,
}

const KINDS: [&str; 3] = ["consumer", "share", "streams"];
const BOUNDED: [&str; 3] = ["heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms"];
const BOUNDED_OF_SHARE: [&str; 3] = [
    "delivery.count.limit",
    "partition.max.record.locks",
    "record.lock.duration.ms",
];

/// Checks that each default of a group lies within its bounds, and each heartbeat within a session.
///
/// # Errors
/// The first setting that does not, in Kafka's words.
pub fn check_group_ranges(layers: Layers<'_>) -> Result<(), InvalidValue> {
    for kind in KINDS {
        for rest in BOUNDED {
            Bounded { kind, rest }.check(layers)?;
        }
        let (heartbeat, session) = (
            format!("group.{kind}.heartbeat.interval.ms"),
            format!("group.{kind}.session.timeout.ms"),
        );
        if layers.broker_number(&heartbeat) >= layers.broker_number(&session) {
            return Err(InvalidValue(format!("{heartbeat} must be less than {session}")));
        }
    }
    for rest in BOUNDED_OF_SHARE {
        Bounded { kind: "share", rest }.check(layers)?;
    }
    let (standbys, max) = (
        "group.streams.num.standby.replicas",
        "group.streams.max.standby.replicas",
    );
    match layers.broker_number(standbys) <= layers.broker_number(max) {
        true => Ok(()),
        false => Err(InvalidValue(format!("{standbys} must be less than or equal to {max}"))),
    }
}

impl Bounded {
    fn check(&self, layers: Layers<'_>) -> Result<(), InvalidValue> {
        let Self { kind, rest } = self;
        let (min, own, max) = (
            format!("group.{kind}.min.{rest}"),
            format!("group.{kind}.{rest}"),
            format!("group.{kind}.max.{rest}"),
        );
        let number = |name: &str| layers.broker_number(name);
        let refused = |one: &str, how: &str, other: &str| Err(InvalidValue(format!("{one} must be {how} {other}")));
        if number(&max) < number(&min) {
            return refused(&max, "greater than or equal to", &min);
        }
        if number(&own) < number(&min) {
            return refused(&own, "greater than or equal to", &min);
        }
        if number(&own) > number(&max) {
            return refused(&own, "less than or equal to", &max);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigValues;

    /// What is said of these settings; nothing if they are allowed.
    fn refusal(settings: &[(&str, &str)]) -> String {
        let file: ConfigValues = settings
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect();
        let layers = Layers {
            file: &file,
            ..Layers::defaults()
        };
        check_group_ranges(layers)
            .err()
            .map_or_else(String::new, |error| error.to_string())
    }

    /// Each as Apache Kafka 4.4.0 says it when it does not start.
    #[test]
    fn settings_outside_of_their_bounds_are_refused_in_kafkas_words() {
        assert_eq!(refusal(&[]), "");
        for (name, value, expected) in [
            (
                "consumer.session.timeout.ms",
                "1000",
                "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                "consumer.session.timeout.ms",
                "70000",
                "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
            ),
            (
                "consumer.heartbeat.interval.ms",
                "20000",
                "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms",
            ),
            (
                "consumer.min.session.timeout.ms",
                "70000",
                "consumer.max.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                "consumer.assignment.interval.ms",
                "20000",
                "consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms",
            ),
            (
                "consumer.min.assignment.interval.ms",
                "20000",
                "consumer.max.assignment.interval.ms must be greater than or equal to group.consumer.min.assignment.interval.ms",
            ),
            (
                "share.session.timeout.ms",
                "1000",
                "share.session.timeout.ms must be greater than or equal to group.share.min.session.timeout.ms",
            ),
            (
                "streams.session.timeout.ms",
                "1000",
                "streams.session.timeout.ms must be greater than or equal to group.streams.min.session.timeout.ms",
            ),
            (
                "streams.num.standby.replicas",
                "5",
                "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
            ),
        ] {
            assert_eq!(
                refusal(&[(&format!("group.{name}"), value)]),
                format!("group.{expected}")
            );
        }
        let short_session = [
            ("group.consumer.min.session.timeout.ms", "1000"),
            ("group.consumer.session.timeout.ms", "5000"),
        ];
        assert_eq!(
            refusal(&short_session),
            "group.consumer.heartbeat.interval.ms must be less than group.consumer.session.timeout.ms"
        );
    }
}
