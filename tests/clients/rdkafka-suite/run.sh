#!/usr/bin/env bash
# The rdkafka crate's own broker tests: its source as the registry gives it, in the version that ../rdkafka uses.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need cargo

copy() {
  local manifest
  manifest=$(cargo metadata --locked --format-version 1 --manifest-path "$here/../rdkafka/Cargo.toml" | python3 -c '
import json, sys
print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "rdkafka"))')
  cp -r "$(dirname "$manifest")/." "$1"
}
source=$(once rdkafka-source "$here/../rdkafka/Cargo.lock" copy)

cd "$source"
build=(--locked --tests --target-dir "$cache/rdkafka-suite-target")
nice cargo test -q "${build[@]}" --jobs 1 --no-run >&2
# Its own exit code says nothing here: some tests do not pass anywhere.
export KAFKA_HOST=$BOOTSTRAP KAFKA_VERSION=4.2.0
cargo test "${build[@]}" --no-fail-fast -- --test-threads=2 2>&1 | tee "$WORK/output" || true
awk '/^ *Running / { file = $2; if (file == "unittests") file = $3; sub(/.*\//, "", file); sub(/\.rs$/, "", file) }
  /^test .* \.\.\. / && !/ignored/ { print file "::" $2, $NF }' "$WORK/output" | grep -v '^lib::' > "$WORK/results" || true
# Lines of tests that run at the same time may mix: the verdict stands at the end of a line of its own then.
sed -n 's/ ok$//p' "$WORK/results" > "$WORK/passed"
sed 's/ [^ ]*$//' "$WORK/results" > "$WORK/ran"
again() { cargo test --locked --target-dir "$cache/rdkafka-suite-target" --test "${1%%::*}" -- --exact "${1#*::}"; }
judge_suite "$here" "$WORK/passed" "$WORK/ran" again
