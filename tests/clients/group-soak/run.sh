#!/usr/bin/env bash
# Fifty members of librdkafka in three groups, of both protocols, that join, leave, crash and are paused, while topics are
# made, partitions are added, and the broker is killed and started again.
#   run.sh                       75 s of it, two kills
#   SECONDS_OF_SOAK=1200 KILLS=10 run.sh
#   SEED=n run.sh                the choices of an earlier run (not its timing)
#   run.sh witness               why some callbacks of librdkafka come too late (src/witness.rs)
# SETTLE: seconds that the groups may take to become stable afterwards, by default 15.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need cargo
target=$cache/rdkafka-target
nice cargo test -q --locked --jobs 1 --manifest-path "$here/Cargo.toml" --target-dir "$target" >&2
nice cargo build -q --locked --jobs 1 --manifest-path "$here/Cargo.toml" --target-dir "$target" >&2
export BROKER_CONTROL=$lib/broker
exec "$target/debug/ottla-group-soak" "${1:-drive}"
