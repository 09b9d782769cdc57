#!/usr/bin/env bash
# What the log costs where it matters, Ottla beside Apache Kafka 4.4.0 in one run on this machine:
#
#   log.sh recovery     GB (10) in 6 partitions, all of it flushed, then 100 MB more, kill -9, start to the first
#                       acknowledgement of each partition, and what was read for it; and the same with a tenth of GB
#   log.sh partitions   start after a clean stop with PARTITIONS (10000) partitions, and Ottla's memory for each idle one
#   log.sh flush        flush.messages=1, 16 producers, acks=all, records of 1 KiB: records per second
#   log.sh              all three
#
# ROUNDS (3): measured runs of each, in the order A B B A. OTTLA_BIN: the binary (target/release/ottla). LOAD: the load
# (target/release/examples/load; cargo build --release -p ottla-tests --example load).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
client LOAD load
java_path "$lib/ApacheBroker.java" > /dev/null
PYTHONDONTWRITEBYTECODE=1 python3 "$tests/bench/log.py" "$lib/broker" "$scratch" "${@:-recovery partitions flush}"
