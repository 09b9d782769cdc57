//! What the generated JSON rendering needs.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Base64 with padding, as Jackson writes binary nodes.
pub(crate) fn bytes(bytes: &[u8]) -> Value {
    Value::String(STANDARD.encode(bytes))
}
