#!/usr/bin/env bash
# The scenario of ../README.md with the rdkafka crate (librdkafka, built from source once).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need cargo
# A target directory given from outside is not taken: two workspaces in one would build each other away.
target=$cache/rdkafka-target
nice cargo build -q --locked --jobs 1 --manifest-path "$here/Cargo.toml" --target-dir "$target" >&2
exec "$target/debug/ottla-rdkafka-client"
