#!/usr/bin/env bash
# Apache's DumpLogSegments 4.4.0 over every file that the broker leaves behind after load, a restart and a clean stop;
# then over damaged copies, where it has to complain: otherwise its silence would mean nothing. And what it makes of the
# records of Kafka's own topics is what `ottla log dump` makes of them.
#   run.sh           as a client of tests/clients/run
#   run.sh DIR [KIND...]   looks at this data directory only; files of these kinds (.log, .txnindex, ...) must be there
# $BROKER.allow: patterns of complaints that are not held against this broker, each with its reason.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path "$here/DumpLog.java")
[ ! -e "$here/${BROKER:-}.allow" ] || export DUMPLOG_ALLOW=$here/$BROKER.allow
dump() {
  java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -cp "$path" DumpLog "$@"
}
if [ $# -gt 0 ]; then dump check "$@"; exit; fi

dump work 1
eval "$OTTLA_RESTART"
dump work 2
"$lib/broker" stop "$BROKER_DIR"
touch "$WORK/stopped"

passed=0 failed=0
verdict() { if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "PASS $2"; else failed=$((failed + 1)); echo "FAIL $2"; fi; }

rc=0; dump check "$BROKER_DIR/data" .log .index .timeindex .snapshot .txnindex .checkpoint || rc=$?
verdict "$rc" 'the data directory is clean'

# A random workload on the storage itself, with transactions, retention and compaction.
if [ "${BROKER:-}" = ottla ]; then
  (cd "$tests/.." && cargo run --quiet -p ottla-storage --example write_log -- "$WORK/written")
  rc=0; dump check "$WORK/written" .log .index .timeindex .snapshot .txnindex || rc=$?
  verdict "$rc" 'logs with transactions, retained and compacted, are clean'
fi

# decoded NAME DECODER FILE...: what both tools print of the records in these files.
decoded() {
  local name=$1 decoder=$2; shift 2
  java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -cp "$path" \
    org.apache.kafka.tools.DumpLogSegments "--$decoder" --files "$(IFS=,; echo "$*")" > "$WORK/apache.dump"
  "$ottla" log dump --json "$@" > "$WORK/ottla.dump"
  rc=0; python3 "$here/same.py" "$WORK/apache.dump" "$WORK/ottla.dump" || rc=$?
  verdict "$rc" "$name are decoded as Apache does it"
}
ottla=${OTTLA_BIN:-$tests/../target/release/ottla}
if [ "${BROKER:-}" = ottla ]; then
  decoded 'groups and offsets' offsets-decoder "$BROKER_DIR"/data/__consumer_offsets-*/*.log
  decoded 'metadata' cluster-metadata-decoder "$BROKER_DIR"/data/__cluster_metadata-0/*.log
fi

# damaged NAME FILE COMMAND...: the command damages FILE in a copy of the directory; that must be found.
damaged() {
  local name=$1 file=$2 copy=$WORK/copy; shift 2
  rm -rf "$copy"; cp -r "$BROKER_DIR/data" "$copy"
  "$@" "$copy/$file"
  rc=0; dump check "$copy" > "$WORK/found" || rc=$?
  if [ "$rc" = 1 ] && grep -q "FAIL $file" "$WORK/found"; then rc=0; else cat "$WORK/found"; rc=1; fi
  verdict "$rc" "damage is found: $name"
}
flip() { printf '\xa5' | dd of="$2" bs=1 seek="$1" conv=notrunc status=none; }
grow() { printf 'what is this?' >> "$1"; }

log=dumped-0/00000000000000000000
damaged 'a byte of a batch' $log.log flip 100
damaged 'bytes after the last batch' "$(cd "$BROKER_DIR/data" && ls dumped-0/*.log | tail -1)" grow
damaged 'a position in an index' $log.index flip 6
damaged 'a timestamp in a time index' $log.timeindex flip 3
damaged 'a byte of the metadata log' __cluster_metadata-0/00000000000000000000.log flip 150
echo "$passed passed, $failed failed"
[ $failed = 0 ]
