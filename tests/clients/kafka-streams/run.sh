#!/usr/bin/env bash
# A word count by Kafka Streams 4.4.0 (classic protocol, at least once) while the broker is killed twice.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path_of "$here/streams.xml" "$here/WordCount.java")
export BROKER_KILL="'$tests/lib/broker' kill '$BROKER_DIR' && '$tests/lib/broker' again '$BROKER_DIR'"
exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -cp "$path" WordCount
