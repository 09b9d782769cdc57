#!/usr/bin/env bash
# The requests of classic groups and of offsets, version by version: each answer is compared with Apache Kafka's.
#   run.sh           compares with answers.txt
#   WRITE=1 run.sh   writes the answers into answers.txt (against the oracle only)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path "$here/GroupProtocol.java")
exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -Dottla.log.level=off \
  -cp "$path" GroupProtocol ${WRITE:+--write} "$here/answers.txt"
