//! What the broker counts, and what it tells of itself when it is asked.
//!
//! Requests, answers and connections are counted as they pass: each count is one atomic addition to a handle that was
//! taken at start. Everything else (partitions, groups, transactions) is not counted at all but looked up in the state
//! when somebody asks ([`scrape`]), so that nothing is kept twice and an idle broker does nothing.
//!
//! docs/operations.md lists the names.

pub(crate) mod scrape;

use crate::net::{admission::Full, connection::Closed};
use ottla_protocol::{ApiKey, ErrorCode, ids::TimestampMs};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry, core::Collector, proto::MetricFamily};

/// The counts of one API.
struct ApiCounters {
    requests: IntCounter,
    request_bytes: IntCounter,
    response_bytes: IntCounter,
}

/// The counters of a broker.
pub(crate) struct Metrics {
    registry: Registry,
    /// By the number of the API; `None` where it is not served.
    by_api: Vec<Option<ApiCounters>>,
    request_errors: IntCounterVec,
    connections: IntCounter,
    connections_refused: IntCounterVec,
    connections_closed: IntCounterVec,
    /// When this process started.
    pub(crate) started_ms: TimestampMs,
}

impl Metrics {
    /// Counters at zero for these APIs.
    pub(crate) fn new(served: impl Iterator<Item = ApiKey>, started_ms: TimestampMs) -> Self {
        let registry = Registry::new();
        let of_api = |name: &str, help: &str| counters(&registry, name, help, &["api"]);
        let requests = of_api("ottla_requests_total", "Requests that were begun.");
        let request_bytes = of_api("ottla_request_bytes_total", "Bytes of the requests that were begun.");
        let response_bytes = of_api("ottla_response_bytes_total", "Bytes of the answers that were made.");
        let mut by_api = Vec::new();
        for key in served {
            let (number, label) = (key as usize, [key.name()]);
            by_api.resize_with(by_api.len().max(number + 1), || None);
            by_api[number] = Some(ApiCounters {
                requests: requests.with_label_values(&label),
                request_bytes: request_bytes.with_label_values(&label),
                response_bytes: response_bytes.with_label_values(&label),
            });
        }
        let connections = counters(
            &registry,
            "ottla_connections_accepted_total",
            "Connections that were let in.",
            &[],
        );
        Self {
            by_api,
            request_errors: counters(
                &registry,
                "ottla_request_errors_total",
                "Error codes in answers; one answer may have several.",
                &["api", "error"],
            ),
            connections: connections.with_label_values::<&str>(&[]),
            connections_refused: counters(
                &registry,
                "ottla_connections_refused_total",
                "Connections that were not let in, by the setting that says so.",
                &["limit"],
            ),
            connections_closed: counters(
                &registry,
                "ottla_connections_closed_total",
                "Connections that have ended, by what ended them.",
                &["reason"],
            ),
            registry,
            started_ms,
        }
    }

    /// A request of `bytes` has begun.
    pub(crate) fn received(&self, key: ApiKey, bytes: usize) {
        if let Some(api) = self.of(key) {
            api.requests.inc();
            api.request_bytes.inc_by(bytes as u64);
        }
    }

    /// An answer of `bytes` was made.
    pub(crate) fn answered(&self, key: ApiKey, bytes: usize) {
        if let Some(api) = self.of(key) {
            api.response_bytes.inc_by(bytes as u64);
        }
    }

    /// An answer has this error in it.
    pub(crate) fn failed(&self, key: ApiKey, code: i16) {
        let name = ErrorCode::from_code(code).map_or("unknown", ErrorCode::name);
        self.request_errors.with_label_values(&[key.name(), name]).inc();
    }

    pub(crate) fn connection_accepted(&self) {
        self.connections.inc();
    }

    pub(crate) fn connection_refused(&self, full: Full) {
        let limit = match full {
            Full::Total(_) => "max.connections",
            Full::PerIp(_) => "max.connections.per.ip",
        };
        self.connections_refused.with_label_values(&[limit]).inc();
    }

    pub(crate) fn connection_closed(&self, closed: &Closed) {
        self.connections_closed.with_label_values(&[closed.kind()]).inc();
    }

    fn of(&self, key: ApiKey) -> Option<&ApiCounters> {
        self.by_api.get(key as usize)?.as_ref()
    }

    /// The counters as they are now.
    fn families(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let made = IntCounterVec::new(Opts::new(name, help), labels).expect("the names are well-formed");
    let collector: Box<dyn Collector> = Box::new(made.clone());
    registry.register(collector).expect("each name is there once");
    made
}
