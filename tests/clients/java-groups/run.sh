#!/usr/bin/env bash
# Groups as Apache's kafka-clients 4.4.0 live in them: both protocols, static members, patterns, crashes, and the way from
# one protocol to the other while records flow. What Admin says at each step is compared with Apache Kafka's answers.
#   run.sh           compares with facts.txt
#   WRITE=1 run.sh   writes facts.txt (against the oracle only)
#   STEPS='policy .*' run.sh    only the steps that match
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path "$here"/{JavaGroups,Scene,Member,Journal,Feed}.java)
[ -z "${WRITE:-}" ] || [ "$BROKER" = apache ] || die "facts come from the oracle"
# What only a start can change: a line for the profile, then a restart.
export BROKER_SET="set() { echo \"\$1\" >> '$BROKER_DIR/settings'; '$tests/lib/broker' become '$BROKER' '$BROKER_DIR'; $OTTLA_RESTART; }; set"
# What goes wrong is for the steps to say.
exec java -Dottla.log.level=off -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" \
  -cp "$path" JavaGroups ${WRITE:+--write} "$here/facts.txt"
