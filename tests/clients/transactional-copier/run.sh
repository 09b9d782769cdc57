#!/usr/bin/env bash
# Exactly once through real programs: several copiers read a topic, write what they read to another one and commit their
# offsets in the same transactions, with aborts at random, while the broker and copiers are killed. What README.md tells
# under transactional-copier.
#   run.sh                     the scenes classic, consumer and v0, each with two kills of the broker
#   SCENES='consumer' run.sh   those scenes only
#   RECORDS=40000 KILLS=10     longer: records in each scene, kills of the broker in each
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path "$here/Copiers.java" "$here/Copier.java" "$here/Output.java")
export COPIER_PATH=$path LOG4J=$lib/log4j2.properties
export BROKER_KILL="'$tests/lib/broker' kill '$BROKER_DIR' && '$tests/lib/broker' again '$BROKER_DIR'"
exec java -Dottla.log.level=error -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" \
  -cp "$path" Copiers
