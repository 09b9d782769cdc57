#!/usr/bin/env bash
# The scenario of ../README.md with Apache's kafka-clients 4.4.0.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path "$here/JavaClient.java")
exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -cp "$path" JavaClient
