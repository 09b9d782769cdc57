//! Checks of values, alone and against each other.

use super::{ConfigScope, ConfigValues, InvalidValue, Layers, TopicConfig, Value, definition};

/// Parses `text` for the key `name` and checks that it is allowed. A key that is not known gives `None`.
///
/// # Errors
/// The text is of the wrong type or not allowed.
pub fn check_value(scope: ConfigScope, name: &str, text: &str) -> Result<Option<Value>, InvalidValue> {
    let Some(key) = definition(scope, name) else {
        return Ok(None);
    };
    let value = Value::parse(name, key.kind, text)?;
    key.valid.check(name, &value)?;
    Ok(Some(value))
}

/// Checks everything that a topic sets, each value alone and against the others, as Kafka does.
///
/// `overrides` is what the topic would have afterwards; `layers` what it falls back to.
///
/// # Errors
/// The first value that is refused.
pub fn check_topic(overrides: &ConfigValues, layers: Layers<'_>) -> Result<(), InvalidValue> {
    for name in overrides.keys() {
        if definition(ConfigScope::Topic, name).is_none() {
            return Err(InvalidValue(format!("Unknown topic config name: {name}")));
        }
    }
    for (name, text) in overrides {
        check_value(ConfigScope::Topic, name, text)?;
    }
    let topic = TopicConfig::resolve(overrides, layers);
    check_compaction_lags(&topic)?;
    if topic.remote_storage_enable {
        check_tiering(&topic, layers)?;
    }
    Ok(())
}

fn check_compaction_lags(topic: &TopicConfig) -> Result<(), InvalidValue> {
    let (least, most) = (topic.min_compaction_lag_ms, topic.max_compaction_lag_ms);
    if least > most {
        let reason =
            format!("conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})");
        return Err(InvalidValue(reason));
    }
    Ok(())
}

fn check_tiering(topic: &TopicConfig, layers: Layers<'_>) -> Result<(), InvalidValue> {
    if !layers.broker_flag("remote.log.storage.system.enable") {
        let reason = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote \
                      log storage.";
        return Err(InvalidValue(reason.to_owned()));
    }
    if topic.cleanup_policy.compact {
        return Err(InvalidValue(
            "Remote log storage is unsupported for the compacted topics".to_owned(),
        ));
    }
    check_local_part("ms", topic.local_retention_ms, topic.retention_ms)?;
    check_local_part("bytes", topic.local_retention_bytes, topic.retention_bytes)
}

/// What is kept on local disk is part of what is kept at all; -2 follows the whole.
fn check_local_part(unit: &str, local: i64, whole: i64) -> Result<(), InvalidValue> {
    let name = format!("local.retention.{unit}");
    if local == -2 || whole == -1 && local == -1 {
        return Ok(());
    }
    if local == -1 {
        let reason = format!("Value must not be -1 as retention.{unit} value is set as {whole}.");
        return Err(InvalidValue::new(&name, local, reason));
    }
    if whole != -1 && local > whole {
        let reason = format!("Value must not be more than retention.{unit} property value: {whole}");
        return Err(InvalidValue::new(&name, local, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pairs: &[(&str, &str)]) -> String {
        let overrides = pairs
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect();
        let verdict = check_topic(&overrides, Layers::defaults());
        verdict.err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn refusals_of_topic_configs_read_as_those_of_kafka() {
        assert_eq!(refusal(&[("foo", "bar")]), "Unknown topic config name: foo");
        assert_eq!(
            refusal(&[("retention.ms", "abc")]),
            "Invalid value abc for configuration retention.ms: Not a number of type LONG"
        );
        assert_eq!(
            refusal(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]),
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
        );
        assert_eq!(
            refusal(&[("remote.storage.enable", "true")]),
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
             storage."
        );
    }

    #[test]
    fn local_retention_counts_only_with_tiering() {
        assert_eq!(refusal(&[("local.retention.ms", "10"), ("retention.ms", "5")]), "");
        assert_eq!(refusal(&[("cleanup.policy", "")]), "");
    }
}
