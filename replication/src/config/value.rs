//! Config values: from their text form to a type, and back to the text that DescribeConfigs shows.
//!
//! Parsing follows Kafka's ConfigDef: surrounding blanks do not count, lists are separated by commas, an empty text
//! is an empty list. The text that comes back is what Java would print, since tools compare it.

use std::fmt;

/// The type of a config value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false` in any case.
    Boolean,
    /// Any text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Texts separated by commas.
    List,
    /// The name of a Java class, kept as a text.
    Class,
    /// A text that is never shown.
    Password,
}

impl ConfigType {
    /// The number of the type in DescribeConfigs.
    pub const fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// A parsed value.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Of a [`ConfigType::Boolean`].
    Boolean(bool),
    /// Of a [`ConfigType::String`] or [`ConfigType::Class`].
    String(String),
    /// Of a [`ConfigType::Short`], [`ConfigType::Int`] or [`ConfigType::Long`].
    Number(i64),
    /// Of a [`ConfigType::Double`].
    Double(f64),
    /// Of a [`ConfigType::List`].
    List(Vec<String>),
    /// Of a [`ConfigType::Password`].
    Password(String),
}

/// Why a text is no value for a key. Reads as Kafka's ConfigException does, since tools show it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub(super) String);

impl InvalidValue {
    pub(super) fn new(name: &str, value: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self(format!("Invalid value {value} for configuration {name}: {reason}"))
    }
}

impl Value {
    /// Reads `text` as a value of `kind` for the key `name`.
    ///
    /// # Errors
    /// The text is not of that type; names key, value and what was expected.
    pub fn parse(name: &str, kind: ConfigType, text: &str) -> Result<Self, InvalidValue> {
        let trimmed = text.trim();
        let not_a_number = || InvalidValue::new(name, text, format!("Not a number of type {}", kind.name()));
        match kind {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Self::Boolean(true)),
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Self::Boolean(false)),
            ConfigType::Boolean => {
                let reason = "Expected value to be either true or false";
                Err(InvalidValue::new(name, text, reason))
            }
            ConfigType::Short => trimmed
                .parse::<i16>()
                .map(|n| Self::Number(n.into()))
                .map_err(|_| not_a_number()),
            ConfigType::Int => trimmed
                .parse::<i32>()
                .map(|n| Self::Number(n.into()))
                .map_err(|_| not_a_number()),
            ConfigType::Long => trimmed.parse().map(Self::Number).map_err(|_| not_a_number()),
            ConfigType::Double => trimmed.parse().map(Self::Double).map_err(|_| not_a_number()),
            ConfigType::List if trimmed.is_empty() => Ok(Self::List(Vec::new())),
            ConfigType::List => Ok(Self::List(
                trimmed.split(',').map(|item| item.trim().to_owned()).collect(),
            )),
            ConfigType::String | ConfigType::Class => Ok(Self::String(trimmed.to_owned())),
            ConfigType::Password => Ok(Self::Password(trimmed.to_owned())),
        }
    }

    /// The number in a value of type short, int or long.
    pub fn as_number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The value as a floating-point number, for every kind of number.
    pub(super) fn as_double(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a string, class or password.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Password(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[String]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::String(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Double(number) => f.write_str(&java_double(*number)),
            Self::List(items) => f.write_str(&items.join(",")),
            Self::Password(_) => f.write_str("[hidden]"),
        }
    }
}

/// Secrets do not reach a log by way of `{:?}`.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `number` as Java's Double.toString prints it: plain between a thousandth and ten million, else with an exponent.
fn java_double(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() || number.is_infinite() {
        return if number.is_nan() {
            "NaN".into()
        } else {
            format!("{number}").replace("inf", "Infinity")
        };
    }
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{number:?}");
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: ConfigType, text: &str) -> String {
        Value::parse("k", kind, text)
            .expect_err("the text is no value")
            .to_string()
    }

    #[test]
    fn blanks_around_a_value_do_not_count() {
        assert_eq!(Value::parse("k", ConfigType::Int, " 7 "), Ok(Value::Number(7)));
        assert_eq!(
            Value::parse("k", ConfigType::Boolean, " TRUE"),
            Ok(Value::Boolean(true))
        );
        let list = Value::parse("k", ConfigType::List, " a , b ").expect("a list");
        assert_eq!(list.to_string(), "a,b");
        assert_eq!(Value::parse("k", ConfigType::List, " "), Ok(Value::List(vec![])));
    }

    #[test]
    fn refusals_read_as_those_of_kafka() {
        assert_eq!(
            refusal(ConfigType::Int, " true"),
            "Invalid value  true for configuration k: Not a number of type INT"
        );
        assert_eq!(
            refusal(ConfigType::Boolean, "yes"),
            "Invalid value yes for configuration k: Expected value to be either true or false"
        );
        assert_eq!(
            refusal(ConfigType::Short, "32768"),
            "Invalid value 32768 for configuration k: Not a number of type SHORT"
        );
    }

    #[test]
    fn doubles_print_as_in_java() {
        let shown = [0.5, 1e21, f64::MAX, 7.0, -1e9, 1e-5, 0.0].map(java_double);
        assert_eq!(
            shown,
            [
                "0.5",
                "1.0E21",
                "1.7976931348623157E308",
                "7.0",
                "-1.0E9",
                "1.0E-5",
                "0.0"
            ]
        );
    }

    #[test]
    fn passwords_are_not_printed() {
        let secret = Value::parse("k", ConfigType::Password, "hunter2").expect("any text");
        assert_eq!(format!("{secret} {secret:?}"), "[hidden] [hidden]");
        assert_eq!(secret.as_text(), Some("hunter2"));
    }
}
