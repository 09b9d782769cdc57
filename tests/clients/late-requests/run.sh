#!/usr/bin/env bash
# Apache's Java client behind a proxy that holds single requests back: what README.md tells under late-requests.
# PROXY: the program of proxy.rs, by default built here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
if [ -z "${PROXY:-}" ]; then
  need cargo
  nice cargo build -q --locked --manifest-path "$tests/Cargo.toml" --example proxy >&2
  PROXY=${CARGO_TARGET_DIR:-$tests/../target}/debug/examples/proxy
fi
path=$(java_path "$here/LateRequests.java")
# Clients go where the broker says that it is: to the proxy.
port=$(free_port)
echo "advertised.listeners=PLAINTEXT://127.0.0.1:$port" >> "$BROKER_DIR/settings"
"$lib/broker" become "$BROKER" "$BROKER_DIR"
"$lib/broker" restart "$BROKER_DIR"
export PROXY PROXY_PORT=$port BROKER_ADDRESS=$BOOTSTRAP
exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -cp "$path" LateRequests
