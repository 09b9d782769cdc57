#!/usr/bin/env bash
# What groups cost, Ottla beside Apache Kafka 4.4.0 in one run on this machine:
#
#   groups.sh join      MEMBERS (1000) KIP-848 members join a group on as many partitions: until each has one and all are in
#                       one epoch, and the broker's processor time for it
#   groups.sh grow      10 members, 100 partitions, and then 900 more: until they are shared out
#   groups.sh commit    200 members, each commits the offset of its partition, one after another: commits per second, and per
#                       second of the broker's processor time; and what a server does that only answers
#   groups.sh restart   COMMITS (1000000) committed offsets, a clean stop, a start: until every coordinator gives them out
#   groups.sh memory    anonymous memory of a group member, slope from 1,000 to 10,000 in groups of ten (Ottla alone)
#   groups.sh           all five
#
# ROUNDS (2): measured runs of each, in the order A B B A, after one that is not counted. HEARTBEAT (5000):
# group.consumer.heartbeat.interval.ms of both. OTTLA_BIN: the binary (target/release/ottla). GROUPS_LOAD: the load
# (target/release/examples/groups; cargo build --release -p ottla-tests --example groups).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
client GROUPS_LOAD groups
java_path "$lib/ApacheBroker.java" > /dev/null
ulimit -n "$(ulimit -Hn)"
PYTHONDONTWRITEBYTECODE=1 python3 "$tests/bench/groups.py" "$lib/broker" "$scratch" "${@:-join grow commit restart memory}"
