#!/usr/bin/env bash
# What exactly-once costs, Ottla beside Apache Kafka 4.4.0 in one run on this machine:
#
#   transactions.sh rate     one producer, transactions of 10 records in each of 3 partitions, one after another: how many
#                            per second
#   transactions.sh latency  the same at 50 transactions per second: how long the end takes
#   transactions.sh cpu      what the broker pays more for idempotent produce than for plain produce, both acks=all
#   transactions.sh memory   Ottla's memory for each idle producer id, slope over IDS (100000)
#   transactions.sh          all four
#
# ROUNDS (3): measured runs of each, in the order A B B A. SECONDS_EACH (10), REQUESTS (200000): how long they are.
# OTTLA_BIN: the binary (target/release/ottla). LOAD: target/release/examples/transactions (cargo build --release -p
# ottla-tests --example transactions).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
client LOAD transactions
java_path "$lib/ApacheBroker.java" > /dev/null
PYTHONDONTWRITEBYTECODE=1 python3 "$tests/bench/transactions.py" "$lib/broker" "$scratch" "${@:-rate latency cpu memory}"
