//! Which values of the right type a key allows, and how a refusal says so.

use super::value::{InvalidValue, Value};
use std::collections::BTreeSet;

/// The values that a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Valid {
    /// Every value of the type.
    Any,
    /// Numbers from this one on.
    AtLeast(i64),
    /// Numbers between these two, both allowed.
    Between(i64, i64),
    /// Numbers between these two, both allowed, and -1.
    BetweenOrMinusOne(i64, i64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A text with at least one character.
    NonEmpty,
    /// `latest`, `earliest` or `by_duration:` with an ISO 8601 duration.
    OffsetReset,
    /// A list without empty items and repetitions.
    UniqueList,
    /// The same with at least one item.
    NonEmptyList,
    /// A list without repetitions out of these items.
    ListOf(&'static [&'static str]),
    /// The same with at least one item.
    NonEmptyListOf(&'static [&'static str]),
    /// `*`, or `partition:broker` pairs.
    ThrottledReplicas,
    /// `id@host:port` items.
    Voters,
    /// `host:port` items.
    Servers,
}

impl Valid {
    /// Checks a value that was given for the key `name`.
    ///
    /// # Errors
    /// The value is not allowed; reads as Kafka's refusal does.
    pub fn check(self, name: &str, value: &Value) -> Result<(), InvalidValue> {
        match value {
            Value::Number(_) | Value::Double(_) => self.check_number(name, value),
            Value::String(text) => self.check_text(name, text),
            Value::List(items) => self.check_list(name, items),
            Value::Boolean(_) | Value::Password(_) => Ok(()),
        }
    }

    fn check_number(self, name: &str, value: &Value) -> Result<(), InvalidValue> {
        let number = value.as_double().unwrap_or_default();
        let (least, most) = match self {
            Self::AtLeast(least) => (least, i64::MAX),
            Self::Between(least, most) => (least, most),
            Self::BetweenOrMinusOne(least, most) => {
                if number == -1.0 || (least as f64..=most as f64).contains(&number) {
                    return Ok(());
                }
                let reason = format!("Value must be between {least} and {most} or equal to -1");
                return Err(InvalidValue::new(name, value, reason));
            }
            _ => return Ok(()),
        };
        if number < least as f64 {
            return Err(InvalidValue::new(
                name,
                value,
                format!("Value must be at least {least}"),
            ));
        }
        if number > most as f64 {
            return Err(InvalidValue::new(
                name,
                value,
                format!("Value must be no more than {most}"),
            ));
        }
        Ok(())
    }

    fn check_text(self, name: &str, text: &str) -> Result<(), InvalidValue> {
        match self {
            Self::OneOf(allowed) => one_of(name, text, allowed),
            Self::OneOfAnyCase(allowed) => {
                if allowed.iter().any(|item| item.eq_ignore_ascii_case(text)) {
                    return Ok(());
                }
                let reason = format!("String must be one of (case insensitive): {}", allowed.join(", "));
                Err(InvalidValue::new(name, text, reason))
            }
            Self::NonEmpty if text.is_empty() => Err(InvalidValue::new(name, text, "String must be non-empty")),
            Self::OffsetReset if !is_offset_reset(text) => {
                let reason = format!(
                    "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', 'latest' \
                     or of the format 'by_duration:<PnDTnHnMn.nS>'."
                );
                Err(InvalidValue::new(name, text, reason))
            }
            _ => Ok(()),
        }
    }

    fn check_list(self, name: &str, items: &[String]) -> Result<(), InvalidValue> {
        match self {
            Self::UniqueList => unique(name, items),
            Self::NonEmptyList => {
                at_least_one(name, items, "any non-empty value")?;
                unique(name, items)
            }
            Self::ListOf(allowed) => list_of(name, items, allowed),
            Self::NonEmptyListOf(allowed) => {
                at_least_one(name, items, &format!("[{}]", allowed.join(", ")))?;
                list_of(name, items, allowed)
            }
            Self::ThrottledReplicas => throttled_replicas(name, items),
            Self::Voters => voters(name, items),
            Self::Servers => servers(name, items),
            _ => Ok(()),
        }
    }
}

fn one_of(name: &str, text: &str, allowed: &[&str]) -> Result<(), InvalidValue> {
    if allowed.contains(&text) {
        return Ok(());
    }
    let reason = format!("String must be one of: {}", allowed.join(", "));
    Err(InvalidValue::new(name, text, reason))
}

fn at_least_one(name: &str, items: &[String], allowed: &str) -> Result<(), InvalidValue> {
    if items.is_empty() {
        let reason = format!("Configuration '{name}' must not be empty. Valid values include: {allowed}");
        return Err(InvalidValue(reason));
    }
    Ok(())
}

fn not_repeated(name: &str, items: &[String]) -> Result<(), InvalidValue> {
    if items.iter().collect::<BTreeSet<_>>().len() < items.len() {
        let reason = format!("Configuration '{name}' values must not be duplicated.");
        return Err(InvalidValue(reason));
    }
    Ok(())
}

fn unique(name: &str, items: &[String]) -> Result<(), InvalidValue> {
    not_repeated(name, items)?;
    if items.iter().any(String::is_empty) {
        return Err(InvalidValue(format!(
            "Configuration '{name}' values must not be empty."
        )));
    }
    Ok(())
}

fn list_of(name: &str, items: &[String], allowed: &[&str]) -> Result<(), InvalidValue> {
    not_repeated(name, items)?;
    for item in items {
        if item.is_empty() {
            return Err(InvalidValue(format!(
                "Configuration '{name}' values must not be empty."
            )));
        }
        one_of(name, item, allowed)?;
    }
    Ok(())
}

fn throttled_replicas(name: &str, items: &[String]) -> Result<(), InvalidValue> {
    let is_pair = |item: &String| {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        item.split_once(':')
            .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    if items.iter().all(is_pair) || items.len() == 1 && items[0] == "*" {
        return Ok(());
    }
    let reason = format!(
        "{name} must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    Err(InvalidValue::new(name, format!("[{}]", items.join(", ")), reason))
}

fn voters(name: &str, items: &[String]) -> Result<(), InvalidValue> {
    let is_voter = |item: &String| {
        let parts = item.split_once('@');
        parts.is_some_and(|(id, address)| id.parse::<u32>().is_ok() && is_host_and_port(address))
    };
    if items.iter().all(is_voter) {
        return Ok(());
    }
    let form = "Each entry should be in the form `{id}@{host}:{port}`.";
    Err(InvalidValue(format!("Invalid configuration value for {name}. {form}")))
}

fn servers(name: &str, items: &[String]) -> Result<(), InvalidValue> {
    let Some(wrong) = items.iter().find(|item| !is_host_and_port(item)) else {
        return Ok(());
    };
    let form = r#"Each entry should be in the form "{host}:{port}""#;
    let reason = format!("Failed to parse host name from {wrong} for the configuration {name}. {form}");
    Err(InvalidValue(reason))
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_offset_reset(text: &str) -> bool {
    match text.split_once(':') {
        None => text == "latest" || text == "earliest",
        Some((head, duration)) => head == "by_duration" && duration_ms(duration).is_some(),
    }
}

/// Milliseconds of an ISO 8601 duration of days and smaller, such as `P1DT2H3M4.5S`; `None` for anything else and
/// for negative ones.
pub fn duration_ms(text: &str) -> Option<i64> {
    let rest = text.strip_prefix(['P', 'p'])?;
    let (days, times) = rest
        .split_once(['T', 't'])
        .map_or((rest, None), |(days, times)| (days, Some(times)));
    let mut total = 0.0;
    let mut parts = 0;
    for (section, units) in [
        (days, &[('D', 86_400_000.0)][..]),
        (times.unwrap_or(""), &TIME_UNITS_MS[..]),
    ] {
        let mut rest = section;
        for (unit, unit_ms) in units {
            let Some(end) = rest.find([*unit, unit.to_ascii_lowercase()]) else {
                continue;
            };
            let number: f64 = rest[..end]
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
            if *unit != 'S' && number.fract() != 0.0 {
                return None;
            }
            total += number * unit_ms;
            parts += 1;
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            return None;
        }
    }
    let is_whole = parts > 0 && times != Some("") && total < i64::MAX as f64;
    is_whole.then_some(total as i64)
}

const TIME_UNITS_MS: [(char, f64); 3] = [('H', 3_600_000.0), ('M', 60_000.0), ('S', 1000.0)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::ConfigType;

    fn refusal(valid: Valid, kind: ConfigType, text: &str) -> Option<String> {
        let value = Value::parse("k", kind, text).expect("of the type");
        valid.check("k", &value).err().map(|error| error.to_string())
    }

    #[test]
    fn numbers_outside_the_range_are_refused_with_the_limit() {
        let range = Valid::Between(1, 17);
        let expected = "Invalid value 0 for configuration k: Value must be at least 1";
        assert_eq!(refusal(range, ConfigType::Int, "0").as_deref(), Some(expected));
        let expected = "Invalid value 18 for configuration k: Value must be no more than 17";
        assert_eq!(refusal(range, ConfigType::Int, "18").as_deref(), Some(expected));
        assert_eq!(refusal(range, ConfigType::Int, "17"), None);
        let expected = "Invalid value 7.0 for configuration k: Value must be no more than 1";
        assert_eq!(
            refusal(Valid::Between(0, 1), ConfigType::Double, "7").as_deref(),
            Some(expected)
        );
        assert_eq!(refusal(Valid::BetweenOrMinusOne(1, 9), ConfigType::Int, "-1"), None);
        let expected = "Invalid value 0 for configuration k: Value must be between 1 and 9 or equal to -1";
        assert_eq!(
            refusal(Valid::BetweenOrMinusOne(1, 9), ConfigType::Int, "0").as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn lists_are_free_of_repetitions_gaps_and_strangers() {
        let policy = Valid::ListOf(&["compact", "delete"]);
        let expected = "Invalid value a for configuration k: String must be one of: compact, delete";
        assert_eq!(refusal(policy, ConfigType::List, "a,,b").as_deref(), Some(expected));
        let expected = "Configuration 'k' values must not be duplicated.";
        assert_eq!(refusal(policy, ConfigType::List, "a,a").as_deref(), Some(expected));
        let expected = "Configuration 'k' values must not be empty.";
        assert_eq!(
            refusal(policy, ConfigType::List, "compact,,delete").as_deref(),
            Some(expected)
        );
        assert_eq!(refusal(policy, ConfigType::List, ""), None);
        let roles = Valid::NonEmptyListOf(&["broker", "controller"]);
        let expected = "Configuration 'k' must not be empty. Valid values include: [broker, controller]";
        assert_eq!(refusal(roles, ConfigType::List, "").as_deref(), Some(expected));
    }

    #[test]
    fn throttled_replicas_are_pairs_or_a_star() {
        for text in ["", "*", "0:1", "0:1,12:3"] {
            assert_eq!(
                refusal(Valid::ThrottledReplicas, ConfigType::List, text),
                None,
                "{text}"
            );
        }
        let expected = "Invalid value [a, a] for configuration k: k must be the literal '*' or a list of replicas in \
                        the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...";
        assert_eq!(
            refusal(Valid::ThrottledReplicas, ConfigType::List, "a,a").as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn durations_are_days_hours_minutes_and_seconds_in_order() {
        assert_eq!(duration_ms("P1DT2H3M4.5S"), Some(93_784_500));
        assert_eq!(duration_ms("PT10M"), Some(600_000));
        for text in ["", "P", "PT", "P1DT", "1D", "PT1S1M", "P-1D", "PT1.5H", "P1M"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
        assert!(refusal(Valid::OffsetReset, ConfigType::String, "by_duration:PT1H").is_none());
        assert!(refusal(Valid::OffsetReset, ConfigType::String, "none").is_some());
    }
}
