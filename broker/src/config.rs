//! What the broker was told at start, and what topics are set to.
//!
//! The keys, their types, defaults and allowed values are one table, `ottla_replication::config`; here a file and
//! overrides become the values in force, with complaints that name file, line, key and what is allowed.

mod http;
mod listeners;
mod properties;
mod topic_settings;

pub(crate) use http::DEFAULT_HTTP_PORT;
pub use http::HttpListener;
pub use listeners::Endpoint;
pub(crate) use topic_settings::TopicSettings;

use ottla_protocol::{Str, ids::NodeId};
use ottla_replication::config::{
    CORDONED_LOG_DIRS, ConfigScope, ConfigValues, Honoured, InvalidValue, Layers, check_group_ranges, check_value,
    cordoned_log_dirs, honoured,
};
use properties::{Origin, PropertiesError, Property};
use std::{env, fs, io, path::PathBuf, time::Duration};

/// The address without any configuration: loopback only.
const DEFAULT_LISTENERS: &str = "PLAINTEXT://127.0.0.1:9092";

/// The node id without any configuration.
const DEFAULT_NODE_ID: i64 = 1;

/// Keys that are read from the file and the overrides, and are in no answer to Kafka's clients: one that Kafka does not have,
/// and one that it hides.
const HIDDEN_KEYS: [&str; 2] = [http::HTTP_LISTENER, UNSTABLE_VERSIONS];

/// Whether clients are offered versions of APIs that Kafka may still change; its tests use them.
const UNSTABLE_VERSIONS: &str = "unstable.api.versions.enable";

/// The configuration of a broker, fixed at start.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// `node.id`.
    pub node_id: NodeId,
    /// `broker.rack`.
    pub rack: Option<Str>,
    /// Addresses to bind.
    pub listeners: Vec<Endpoint>,
    /// Addresses that clients are told.
    pub advertised_listeners: Vec<Endpoint>,
    /// Where controllers would reach this one: nothing listens there as long as it is the only one.
    pub controller_listener: Endpoint,
    /// `http.listener`, a key of our own; `None` where HTTP is off.
    pub http_listener: Option<HttpListener>,
    /// `log.dirs`.
    pub log_dirs: Vec<PathBuf>,
    /// All values given, by key: what DescribeConfigs shows as static.
    pub file: ConfigValues,
    pub(crate) socket_request_max_bytes: usize,
    pub(crate) socket_buffers: SocketBuffers,
    pub(crate) connections_max_idle: Duration,
    /// `max.request.partition.size.limit`.
    pub(crate) described_partitions_max: i32,
    pub(crate) fetch_max_bytes: usize,
    pub(crate) fetch_session_slots: usize,
    /// `unstable.api.versions.enable`.
    pub(crate) has_unstable_versions: bool,
}

/// Why the broker does not start with these settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not a properties file.
    #[error(transparent)]
    Malformed(#[from] PropertiesError),
    /// `--override` without `=`.
    #[error("--override {0}: expected KEY=VALUE")]
    NoValue(String),
    /// A value that is not allowed.
    #[error("{origin}: {error}")]
    Invalid {
        /// Where it was given.
        origin: Origin,
        /// What is allowed.
        error: InvalidValue,
    },
    /// Values that do not go together.
    #[error("{0}")]
    Contradiction(InvalidValue),
    /// A value that is well-formed and cannot be served.
    #[error("{key}: {reason}")]
    Unusable {
        /// The key.
        key: &'static str,
        /// Why.
        reason: String,
    },
}

const RECEIVE_BUFFER: &str = "socket.receive.buffer.bytes";

/// The kernel's buffers of a connection; `None`: they are the system's to size, and to adapt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketBuffers {
    /// `socket.send.buffer.bytes`.
    pub(crate) send_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes` if the file has it: Kafka's default is not taken over (decision 0018).
    pub(crate) receive_bytes: Option<usize>,
}

impl BrokerConfig {
    /// Reads the file, if there is one, and the overrides, which win.
    ///
    /// Returns the configuration and what a person should be warned about: unknown keys, and known ones that have no
    /// effect yet.
    ///
    /// # Errors
    /// The first value that is not allowed.
    pub fn load(file: Option<&PathBuf>, overrides: &[String]) -> Result<(Self, Vec<String>), ConfigError> {
        let mut properties = match file {
            None => Vec::new(),
            Some(file) => {
                let unreadable = |error| ConfigError::Unreadable {
                    file: file.clone(),
                    error,
                };
                properties::parse(file, &fs::read_to_string(file).map_err(unreadable)?)?
            }
        };
        for text in overrides {
            let (key, value) = text.split_once('=').ok_or_else(|| ConfigError::NoValue(text.clone()))?;
            properties.retain(|property| property.key != key.trim());
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            properties.push(Property {
                key,
                value,
                origin: Origin::Override,
            });
        }
        let warnings = check(&properties)?;
        Ok((Self::from_values(properties)?, warnings))
    }

    fn from_values(properties: Vec<Property>) -> Result<Self, ConfigError> {
        let file: ConfigValues = properties
            .into_iter()
            .map(|property| (property.key.into(), property.value.into()))
            .collect();
        let layers = Layers {
            file: &file,
            ..Layers::defaults()
        };
        let text = |key: &str| {
            layers
                .broker_value(key)
                .and_then(|value| value.as_text().map(str::to_owned))
        };
        let size = |key: &str| usize::try_from(layers.broker_number(key)).unwrap_or(0);
        check_roles(&file)?;
        check_cordoned(layers)?;
        check_group_ranges(layers).map_err(ConfigError::Contradiction)?;
        let listeners = listeners::parse_listeners(&file, DEFAULT_LISTENERS)?;
        Ok(Self {
            node_id: node_id(layers),
            rack: text("broker.rack").map(Str::from),
            advertised_listeners: listeners::parse_advertised(&file, &listeners)?,
            controller_listener: listeners::parse_controller_listener(&file)?,
            listeners,
            http_listener: http::parse(&file)?,
            log_dirs: log_dirs(layers),
            socket_request_max_bytes: size("socket.request.max.bytes"),
            socket_buffers: SocketBuffers {
                send_bytes: usize::try_from(layers.broker_number("socket.send.buffer.bytes")).ok(),
                receive_bytes: file
                    .get(RECEIVE_BUFFER)
                    .and_then(|_| usize::try_from(layers.broker_number(RECEIVE_BUFFER)).ok()),
            },
            connections_max_idle: match layers.broker_number("connections.max.idle.ms") {
                idle if idle < 0 => Duration::from_secs(u32::MAX.into()),
                idle => Duration::from_millis(idle.unsigned_abs()),
            },
            described_partitions_max: i32::try_from(layers.broker_number("max.request.partition.size.limit"))
                .unwrap_or(i32::MAX),
            fetch_max_bytes: size("fetch.max.bytes"),
            fetch_session_slots: size("max.incremental.fetch.session.cache.slots"),
            has_unstable_versions: has_unstable_versions(&file)?,
            file,
        })
    }

    /// `log.dirs` as tools have to name them: absolute.
    pub(crate) fn log_dir_names(&self) -> Vec<String> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        self.log_dirs
            .iter()
            .map(|path| absolute(path).display().to_string())
            .collect()
    }

    /// `metadata.log.dir`; `None` for the first of `log.dirs`.
    pub(crate) fn metadata_log_dir(&self) -> Option<PathBuf> {
        self.file.get("metadata.log.dir").map(|dir| PathBuf::from(dir.as_str()))
    }

    /// A time of the file in milliseconds.
    pub(crate) fn millis(&self, key: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.layers().broker_number(key)).unwrap_or(0))
    }

    /// `auto.create.topics.enable`.
    pub(crate) fn creates_topics(&self) -> bool {
        self.layers().broker_flag("auto.create.topics.enable")
    }

    /// The values of this broker as far as the file goes, for keys that cannot change at run time.
    pub(crate) fn layers(&self) -> Layers<'_> {
        Layers {
            file: &self.file,
            ..Layers::defaults()
        }
    }
}

/// Checks every value; returns warnings.
fn check(properties: &[Property]) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    for property in properties {
        let checked =
            check_value(ConfigScope::Broker, &property.key, &property.value).map_err(|error| ConfigError::Invalid {
                origin: property.origin.clone(),
                error,
            })?;
        let origin = &property.origin;
        let key = &property.key;
        match (checked, honoured(key)) {
            (None, _) if HIDDEN_KEYS.contains(&key.as_str()) => {}
            (None, _) => warnings.push(format!("{origin}: {key} is not a known key; it has no effect")),
            (Some(_), Honoured::No(reason)) => warnings.push(format!("{origin}: {key} has no effect: {reason}")),
            (Some(_), Honoured::Yes) => {}
        }
    }
    Ok(warnings)
}

fn has_unstable_versions(values: &ConfigValues) -> Result<bool, ConfigError> {
    let text = values
        .get(UNSTABLE_VERSIONS)
        .map_or("false", |text| text.as_str().trim());
    text.to_ascii_lowercase().parse().map_err(|_| ConfigError::Unusable {
        key: UNSTABLE_VERSIONS,
        reason: format!("{text} is neither true nor false"),
    })
}

/// This process is broker and controller, and the only one: what says otherwise would start a second cluster beside
/// the one that was meant.
fn check_roles(values: &ConfigValues) -> Result<(), ConfigError> {
    let list = |key: &str| -> Vec<String> {
        let text = values.get(key).map_or("", |text| text.as_str());
        let parts = text.split(',').map(|part| part.trim().to_owned());
        parts.filter(|part| !part.is_empty()).collect()
    };
    let roles = list("process.roles");
    if roles.len() == 1 {
        return Err(ConfigError::Unusable {
            key: "process.roles",
            reason: format!(
                "a node that is only {} is not served yet; use broker,controller",
                roles[0]
            ),
        });
    }
    for key in ["controller.quorum.voters", "controller.quorum.bootstrap.servers"] {
        if list(key).len() > 1 {
            let reason = "a quorum of several nodes is not served yet; name this node alone".into();
            return Err(ConfigError::Unusable { key, reason });
        }
    }
    Ok(())
}

fn check_cordoned(layers: Layers<'_>) -> Result<(), ConfigError> {
    let Some(cordoned) = layers.file.get(CORDONED_LOG_DIRS) else {
        return Ok(());
    };
    let dirs: Vec<String> = log_dirs(layers).iter().map(|dir| dir.display().to_string()).collect();
    cordoned_log_dirs(cordoned, &dirs)
        .map(|_| ())
        .map_err(|error| ConfigError::Unusable {
            key: CORDONED_LOG_DIRS,
            reason: error.to_string(),
        })
}

fn node_id(layers: Layers<'_>) -> NodeId {
    let set = |key| {
        layers
            .broker_value(key)
            .and_then(|value| value.as_number())
            .filter(|id| *id >= 0)
    };
    let given = set("node.id").or_else(|| set("broker.id"));
    NodeId(i32::try_from(given.unwrap_or(DEFAULT_NODE_ID)).unwrap_or(i32::MAX))
}

/// `log.dirs`, or `log.dir`, or a folder of our own.
fn log_dirs(layers: Layers<'_>) -> Vec<PathBuf> {
    let given = ["log.dirs", "log.dir"].into_iter().find_map(|key| layers.file.get(key));
    match given {
        Some(text) => text
            .split(',')
            .map(str::trim)
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
            .collect(),
        None => vec![default_log_dir()],
    }
}

fn default_log_dir() -> PathBuf {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")));
    data.map_or_else(|| PathBuf::from("ottla-data"), |data| data.join("ottla"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(overrides: &[&str]) -> Result<(BrokerConfig, Vec<String>), ConfigError> {
        BrokerConfig::load(
            None,
            &overrides.iter().map(|each| (*each).to_owned()).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn without_configuration_it_listens_on_loopback_alone() {
        let (config, warnings) = load(&[]).expect("no configuration is a configuration");
        assert_eq!(config.listeners.len(), 1);
        assert_eq!(
            (&*config.listeners[0].host, config.listeners[0].port),
            ("127.0.0.1", 9092)
        );
        assert_eq!(config.node_id, NodeId(1));
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn buffers_of_sockets_are_those_of_the_file_and_only_the_send_buffer_has_a_default() {
        let buffers = |overrides: &[&str]| {
            let SocketBuffers {
                send_bytes,
                receive_bytes,
            } = load(overrides).expect("right values").0.socket_buffers;
            (send_bytes, receive_bytes)
        };
        assert_eq!(buffers(&[]), (Some(102_400), None));
        let set = ["socket.send.buffer.bytes=1000", "socket.receive.buffer.bytes=2000"];
        assert_eq!(buffers(&set), (Some(1000), Some(2000)));
        let system = ["socket.send.buffer.bytes=-1", "socket.receive.buffer.bytes=-1"];
        assert_eq!(buffers(&system), (None, None));
    }

    #[test]
    fn wrong_values_are_refused_with_key_value_and_what_is_allowed() {
        let error = load(&["num.partitions=none"]).expect_err("not a number").to_string();
        assert!(
            error.contains("--override") && error.contains("num.partitions") && error.contains("none"),
            "{error}"
        );
        let error = load(&["log.retention.ms"]).expect_err("no value").to_string();
        assert_eq!(error, "--override log.retention.ms: expected KEY=VALUE");
    }

    #[test]
    fn a_node_of_a_larger_cluster_does_not_start_a_cluster_of_its_own() {
        for wrong in [
            "process.roles=broker",
            "process.roles=controller",
            "controller.quorum.voters=1@a:9093,2@b:9093",
            "controller.quorum.bootstrap.servers=a:9093,b:9093",
        ] {
            let error = load(&[wrong]).expect_err(wrong).to_string();
            assert!(error.contains("is not served yet"), "{error}");
        }
        load(&["process.roles=controller, broker", "controller.quorum.voters=1@a:9093"]).expect("one node");
    }

    #[test]
    fn settings_of_groups_outside_of_their_bounds_are_refused() {
        let error = load(&["group.consumer.session.timeout.ms=1000"]).expect_err("too short");
        assert!(
            error.to_string().contains("group.consumer.min.session.timeout.ms"),
            "{error}"
        );
        load(&[
            "group.consumer.session.timeout.ms=6000",
            "group.consumer.min.session.timeout.ms=6000",
        ])
        .expect("within bounds");
    }

    #[test]
    fn unknown_keys_and_keys_without_effect_warn() {
        let (_, warnings) = load(&["no.such.key=1", "zookeeper.connect=x", "num.io.threads=9"]).expect("allowed");
        assert_eq!(warnings.len(), 3, "{warnings:?}");
    }

    #[test]
    fn unstable_versions_are_offered_only_if_that_is_asked_for() {
        let has =
            |settings: &[&str]| load(settings).map(|(config, warnings)| (config.has_unstable_versions, warnings.len()));
        assert_eq!(has(&[]).expect("allowed"), (false, 0));
        assert_eq!(has(&["unstable.api.versions.enable=true"]).expect("allowed"), (true, 0));
        assert!(has(&["unstable.api.versions.enable=maybe"]).is_err());
    }
}
