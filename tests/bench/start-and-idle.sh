#!/usr/bin/env bash
# Measures, with hand-written requests (wire.py) and a broker without configuration file:
#   - from the fork of the process, on an empty directory, to the first acknowledged produce (acks=all) to a topic that
#     is made by it; STARTS times (11);
#   - the memory of a broker with 100 idle topics, all of them written to once.
# OTTLA_BIN: the binary (target/release/ottla).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
bin=${OTTLA_BIN:-$tests/../target/release/ottla}
[ -x "$bin" ] || die "no ottla binary at $bin: cargo build --release, or set OTTLA_BIN"
PYTHONDONTWRITEBYTECODE=1 exec python3 "$tests/bench/start-and-idle.py" "$lib" "$bin"
