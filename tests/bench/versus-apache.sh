#!/usr/bin/env bash
# Ottla and Apache Kafka 4.4.0 in one run on this machine, with Apache's ProducerPerformance: throughput (growth of the
# end offsets over time) and the broker's CPU seconds per GB, in the order A B B A after an uncounted warm-up of both.
#
#   versus-apache.sh [RECORDS]     records per measured run (2000000, 2 GB each; five runs of disk space are needed)
#
# WARM: records of the warm-up (2000000: about a minute for a JVM). ORDER: A is ottla, B is apache (ABBA).
# OTTLA_BIN: the binary (target/release/ottla). COMPARE=apache measures Apache against itself: how far figures scatter.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export RECORDS=${1:-2000000} WARM=${WARM:-2000000} ORDER=${ORDER:-ABBA} CLASS_PATH
CLASS_PATH=$(java_path "$lib/ApacheBroker.java")
"$lib/broker" start "${COMPARE:-ottla}" "$scratch/a"
"$lib/broker" start apache "$scratch/b"
PYTHONDONTWRITEBYTECODE=1 python3 "$tests/bench/versus-apache.py" "$scratch/a" "$scratch/b"
