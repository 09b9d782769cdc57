#!/usr/bin/env bash
# Kafka Streams 4.4.0 under exactly_once_v2 (classic protocol): repartition, join and aggregate while instances and the
# broker are killed. Each total comes once, and the last ones are exact.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path_of "$here/../kafka-streams/streams.xml" "$here/ExactlyOnce.java" "$here/Totals.java")
export STREAMS_PATH=$path LOG4J=$lib/log4j2.properties
export BROKER_KILL="'$tests/lib/broker' kill '$BROKER_DIR' && '$tests/lib/broker' again '$BROKER_DIR'"
exec java -Dottla.log.level=error -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" \
  -cp "$path" ExactlyOnce
