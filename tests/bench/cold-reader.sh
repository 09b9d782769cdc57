#!/usr/bin/env bash
# What a consumer that reads history from the disk does to producers: the latency of produces at a fixed rate, counted
# from the moment at which each was meant to be sent, alone and while the page cache is emptied of the history that is
# read; and beside another program that reads and sends as much without a broker, which is what the machine does to them.
# Ottla and Apache Kafka 4.4.0 in one run on this machine.
#
#   cold-reader.sh [MEGABYTES]     history to be read (2000)
#
# RATE: MB/s produced (20). READ_RATE: MB/s read at most (125, what a volume in a cloud gives by default; 0: no bound). SECONDS_EACH: length of each measurement (30). ROUNDS: of both brokers (2).
# OTTLA_BIN: the binary (target/release/ottla). ONLY=ottla leaves Apache out. LOAD, READ: the clients
# (target/release/examples/{load,read}; cargo build --release -p ottla-tests --examples).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
client LOAD load
client READ read
export MEGABYTES=${1:-2000} RATE=${RATE:-20} READ_RATE=${READ_RATE:-125} SECONDS_EACH=${SECONDS_EACH:-30} ROUNDS=${ROUNDS:-2}
for kind in ${ONLY:-ottla apache}; do
  "$lib/broker" start "$kind" "$scratch/$kind" log.segment.bytes=268435456
done
PYTHONDONTWRITEBYTECODE=1 python3 "$tests/bench/cold-reader.py" "$scratch"/*
