//! What is known of one config key, and the notation of the tables.

use super::{valid::Valid, value::ConfigType};

/// How much a key matters, in Kafka's judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// Decides whether the broker works at all.
    High,
    /// Worth knowing.
    Medium,
    /// Rarely touched.
    Low,
}

/// Whether and where a broker key may be changed while the broker runs (KIP-226).
///
/// Keys of topics, groups and client metrics can always be changed; their tables say `ClusterWide`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dynamic {
    /// Only in the file, read at start.
    ReadOnly,
    /// For one broker alone.
    PerBroker,
    /// For one broker, or for all of them at once.
    ClusterWide,
}

/// One key: its type, default, allowed values and meaning.
#[derive(Debug)]
pub struct Definition {
    /// The key.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ConfigType,
    /// The value where none is given, in its text form; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Which values are allowed.
    pub valid: Valid,
    /// How much it matters.
    pub importance: Importance,
    /// Whether it may change at run time.
    pub dynamic: Dynamic,
    /// What it does, in one sentence; DescribeConfigs hands it out.
    pub doc: &'static str,
}

impl Definition {
    /// Whether the value is a secret that is never shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == ConfigType::Password
    }

    /// Whether the key is fixed at start.
    pub fn is_read_only(&self) -> bool {
        self.dynamic == Dynamic::ReadOnly
    }
}

/// A table of keys, one `"key": Type, default, allowed values, importance, dynamic, "meaning";` after the other.
macro_rules! definitions {
    (@default null) => { None };
    (@default $default:literal) => { Some($default) };
    ($table:ident $($name:literal: $kind:ident, $default:tt, $valid:expr, $importance:ident, $dynamic:ident, $doc:literal;)*) => {
        /// The keys of this table, ascending.
        pub(crate) const $table: &[Definition] = {
            #[allow(unused_imports)]
            use $crate::config::{
                definition::{Dynamic::*, Importance::*},
                valid::Valid::*,
                value::ConfigType,
            };
            &[$(Definition {
                name: $name,
                kind: ConfigType::$kind,
                default: definitions!(@default $default),
                valid: $valid,
                importance: $importance,
                dynamic: $dynamic,
                doc: $doc,
            },)*]
        };
    };
}
pub(crate) use definitions;
