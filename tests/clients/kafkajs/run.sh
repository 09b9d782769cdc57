#!/usr/bin/env bash
# The scenario of ../README.md with kafkajs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need npm 'nodejs npm'
install() { cp "$here/package.json" "$here/package-lock.json" "$1" && npm ci --silent --no-audit --no-fund --prefix "$1"; }
modules=$(once kafkajs "$here/package-lock.json" install)
KAFKAJS_NO_PARTITIONER_WARNING=1 NODE_PATH=$modules/node_modules exec node "$here/client.js"
