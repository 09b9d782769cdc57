#!/usr/bin/env bash
# What groups cost, Ottla beside Apache Kafka 4.4.0 in one run on this machine:
#
#   groups.sh join      MEMBERS (1000) KIP-848 members join a group on as many partitions: until each has one and all are in
#                       one epoch, and the broker's processor time for it
#   groups.sh grow      10 members, 100 partitions, and then 900 more: until they are shared out
#   groups.sh commit    200 members, each commits the offset of its partition, one after another: commits per second, and per
#                       second of the broker's processor time
#   groups.sh restart   COMMITS (1000000) committed offsets, a clean stop, a start: until every coordinator gives them out
#   groups.sh memory    anonymous memory of a group member, slope from 1,000 to 10,000 in groups of ten (Ottla alone)
#   groups.sh           all five
#
# ROUNDS (2): measured runs of each, in the order A B B A, after one that is not counted. HEARTBEAT (5000):
# group.consumer.heartbeat.interval.ms of both. OTTLA_BIN: the binary (target/release/ottla). GROUPS_LOAD: the load
# (target/release/examples/groups; cargo build --release -p ottla-tests --example groups).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
export OTTLA_BIN=${OTTLA_BIN:-$(cd "$tests/.." && pwd)/target/release/ottla}
export GROUPS_LOAD=${GROUPS_LOAD:-$(cd "$tests/.." && pwd)/target/release/examples/groups}
[ -x "$OTTLA_BIN" ] || die "no ottla binary at $OTTLA_BIN: cargo build --release, or set OTTLA_BIN"
[ -x "$GROUPS_LOAD" ] || die "no load at $GROUPS_LOAD: cargo build --release -p ottla-tests --example groups"
export APACHE_JAVA_OPTS='-Xms1g -Xmx1g -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35'
java_path "$lib/ApacheBroker.java" > /dev/null
ulimit -n "$(ulimit -Hn)"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ottla-bench.XXXXXX")
end() {
  for folder in "$scratch"/*; do "$lib/broker" kill "$folder" > /dev/null 2>&1 || true; done
  rm -rf "$scratch"
}
trap end EXIT
trap 'exit 143' TERM INT
PYTHONDONTWRITEBYTECODE=1 python3 "$tests/bench/groups.py" "$lib/broker" "$scratch" "${@:-join grow commit restart memory}"
