//! ApiVersions, key 18, versions 0-5.
//!
//! v1: throttle time. v3: client software name and version (KIP-511), flexible. v4: features whose minimum is 0
//! (KAFKA-17011). v5: checks the cluster and node that the client believes to talk to (KIP-1242).
//! A version above the range is answered in version 0 with UNSUPPORTED_VERSION and the range of this API alone.

use super::table::{self, Call, Refused, TABLE};
use crate::broker::Broker;
use ottla_protocol::{
    ApiKey, ErrorCode, Str, frame,
    messages::{
        ApiVersionsRequest, ApiVersionsResponse,
        api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey},
    },
    primitives::Frame,
};
use ottla_replication::{controller::SUPPORTED_FEATURES, image::feature, quorum::KRAFT_VERSION};
use std::sync::Arc;

/// Versions from which the software name and version have to be well-formed.
const NAMES_SOFTWARE_FROM: i16 = 3;

pub(super) fn handle(broker: &Arc<Broker>, call: &Call, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if let Some(error) = refusal(broker, call, &request) {
        return ApiVersionsResponse {
            error_code: error.code(),
            ..Default::default()
        };
    }
    let image = broker.image.load();
    // Kept in the metadata log's own control records, not in the image (KIP-853).
    let kraft_version = (&Str::from_static(feature::KRAFT_VERSION), &KRAFT_VERSION);
    let mut finalized: Vec<_> = image.features().levels().iter().chain([kraft_version]).collect();
    finalized.sort();
    let supported = SUPPORTED_FEATURES.iter();
    ApiVersionsResponse {
        api_keys: api_versions(broker.config.has_unstable_versions),
        supported_features: supported
            .filter(|feature| call.version >= 4 || feature.min > 0)
            .map(|feature| SupportedFeatureKey {
                name: feature.name.into(),
                min_version: feature.min,
                max_version: feature.max,
            })
            .collect(),
        finalized_features: finalized
            .into_iter()
            .map(|(name, level)| FinalizedFeatureKey {
                name: name.clone(),
                max_version_level: *level,
                min_version_level: *level,
            })
            .collect(),
        finalized_features_epoch: image.position.offset,
        ..Default::default()
    }
}

fn refusal(broker: &Broker, call: &Call, request: &ApiVersionsRequest) -> Option<ErrorCode> {
    let is_well_formed = |text: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        text.chars().all(inner)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let software = [&request.client_software_name, &request.client_software_version];
    if call.version >= NAMES_SOFTWARE_FROM && !software.iter().all(|text| is_well_formed(text)) {
        return Some(ErrorCode::InvalidRequest);
    }
    let is_other_cluster = request.cluster_id.as_ref().is_some_and(|id| **id != *broker.cluster_id);
    let is_other_node = request.node_id >= 0 && request.node_id != broker.node_id.0;
    (is_other_cluster || is_other_node).then_some(ErrorCode::RebootstrapRequired)
}

fn api_versions(has_unstable: bool) -> Vec<ApiVersion> {
    let stable = TABLE.iter().map(|entry| (entry, api_version(entry)));
    let offered = stable.map(|(entry, stable)| ApiVersion {
        max_version: entry.unstable.filter(|_| has_unstable).unwrap_or(stable.max_version),
        ..stable
    });
    offered.collect()
}

fn api_version(entry: &table::Entry) -> ApiVersion {
    ApiVersion {
        api_key: entry.key as i16,
        min_version: entry.advertised.first,
        max_version: entry.advertised.last,
    }
}

/// The answer to a version that is not served.
pub(super) fn unsupported(correlation_id: i32) -> Result<Frame, Refused> {
    let own = table::entry(ApiKey::ApiVersions).map(api_version);
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: own.into_iter().collect(),
        ..Default::default()
    };
    Ok(frame::response(ApiKey::ApiVersions, 0, correlation_id, &response)?)
}
