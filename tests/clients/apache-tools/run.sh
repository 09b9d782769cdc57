#!/usr/bin/env bash
# Apache Kafka 4.4.0's command line tools: what they print is compared with what they printed against Apache Kafka.
#   run.sh           compares with tools.script
#   WRITE=1 run.sh   writes the output into tools.script (against the oracle only)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path "$here/ToolScript.java")
exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -Dottla.log.level=off \
  -cp "$path" ToolScript ${WRITE:+--write} "$here/tools.script"
