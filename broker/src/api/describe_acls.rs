//! DescribeAcls, key 29, versions 1-3. v2: flexible. v3: user resources (KIP-373).
//!
//! There is no authorizer yet: like Apache without one, every request hears SECURITY_DISABLED.

use super::table::Call;
use crate::broker::Broker;
use ottla_protocol::{
    ErrorCode,
    messages::{DescribeAclsRequest, DescribeAclsResponse},
};
use std::sync::Arc;

pub(super) fn handle(_broker: &Arc<Broker>, _call: &Call, _request: DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured.".into()),
        ..Default::default()
    }
}
