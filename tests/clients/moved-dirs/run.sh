#!/usr/bin/env bash
# The files of a broker are moved to another one and back: Ottla's to Apache Kafka, Apache Kafka's to Ottla, after a clean
# stop and after SIGKILL. Each serves what the one before did, says nothing of damage, and goes on. With BROKER=apache all
# brokers are Apache Kafka: what is asked here, it passes.
#   run.sh [CHAIN...]   chains are FIRST-ENDING: ottla-stop, ottla-kill, apache-stop, apache-kill; and FIRST-prepared, one
#                       move with transactions that are open, or whose end is decided
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path "$here/MovedDirs.java" "$here/Load.java" "$here/State.java" "$here/RawProducer.java" "$here/Prepared.java")
moves=3
lines=$WORK/lines

# The broker that came with the run is one of another kind than half of those that are needed.
"$lib/broker" stop "$BROKER_DIR"
touch "$WORK/stopped"
end() { for pid in "$WORK"/*/pid; do [ ! -e "$pid" ] || kill -KILL "$(cat "$pid")" 2> /dev/null || true; done; }
trap end EXIT

look() {
  java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -Dottla.log.level=error \
    -cp "$path" MovedDirs "$@"
}
other() { case $1-$BROKER in apache-ottla) echo ottla ;; *) echo apache ;; esac; }

# judged DIR FROM ALLOW...: what the broker has logged from that line on, but for patterns of these files.
judged() {
  sed -n "$2,\$p" "$1/broker.log" | grep -aE '\b(WARN|ERROR|FATAL)\b' | grep -avEf <(grep -hv '^#' "${@:3}") > "$1/complaints" || true
  [ ! -s "$1/complaints" ] || { sed 's/^/     /' "$1/complaints" | head -20 | cut -c1-400; return 1; }
}

# chain FIRST ENDING: ends at the first step that leaves nothing to go on with.
chain() {
  local kind=$1 ending=$2 dir=$WORK/$1-$2 from allow settings=(log.cleaner.backoff.ms=200 log.flush.start.offset.checkpoint.interval.ms=500)
  # Moved after a kill, the metadata consists of snapshots and a log behind them.
  [ "$ending" = stop ] || settings+=(metadata.log.max.record.bytes.between.snapshots=8000)
  # What Apache Kafka has compacted is not yet below the recovery point. Ottla writes all checkpoints by this interval.
  case $kind-$ending in
    apache-kill) settings+=(log.flush.offset.checkpoint.interval.ms=600000) ;;
    *) settings+=(log.flush.offset.checkpoint.interval.ms=500) ;;
  esac
  "$lib/broker" start "$kind" "$dir" "${settings[@]}"
  BOOTSTRAP=127.0.0.1:$(cat "$dir/port")
  export BOOTSTRAP
  look load "$dir"
  for round in $(seq $moves); do
    # As with Kafka, what DeleteRecords has brought is forgotten by a kill before the next checkpoint.
    [ "$ending" = stop ] || wait_for 60 "the checkpoint" grep -q '^rolled 0 203' "$dir/data/log-start-offset-checkpoint"
    allow=("$here/log.allow")
    [ "$kind-$ending" != ottla-kill ] || allow+=("$here/log.allow.ottla-kill")
    "$lib/broker" "$ending" "$dir"
    kind=$(other "$kind")
    echo "--- $dir: $ending, then $kind"
    from=$(($(wc -l < "$dir/broker.log") + 1))
    "$lib/broker" become "$kind" "$dir"
    "$lib/broker" again "$dir"
    look move "$dir" "$round" > "$dir/looked" 2>&1 || grep -q '^FAIL' "$dir/looked" || echo "FAIL it ends early" >> "$dir/looked"
    sed "s/^\(PASS\|FAIL\) /&$1-$ending $round: /" "$dir/looked"
    if judged "$dir" "$from" "${allow[@]}"; then echo "PASS $1-$ending $round: $kind logs no complaint"; else echo "FAIL $1-$ending $round: $kind logs complaints"; fi
  done
  "$lib/broker" stop "$dir"
  # What both have written, as Ottla leaves it.
  if [ "$kind" = ottla ]; then
    "$here/../dumplog/run.sh" "$dir/data" .log .index .timeindex .snapshot .txnindex .checkpoint | sed "s/^\(PASS\|FAIL\) /&$1-$ending: /"
  fi
}

# prepared FIRST
prepared() {
  local kind=$1 dir=$WORK/$1-prepared
  "$lib/broker" start "$kind" "$dir"
  BOOTSTRAP=127.0.0.1:$(cat "$dir/port")
  export BOOTSTRAP
  look open "$dir"
  "$lib/broker" stop "$dir"
  kind=$(other "$kind")
  "$lib/broker" become "$kind" "$dir"
  # Apache Kafka 4.4.0 forgets markers that it has to write when it starts, if the metadata still name it as the leader: that
  # is so after a kill of its own, and after Ottla. While its coordinator tries to reach it, its controller takes the
  # leadership away for a moment, and a partition without a leader counts as deleted. The transaction is complete then, and
  # its records are neither committed nor aborted. So here it has the files once before there are markers to write.
  if [ "$kind" = apache ]; then
    "$lib/broker" again "$dir"
    "$lib/broker" stop "$dir"
  fi
  look prepare "$dir"
  "$lib/broker" again "$dir"
  look judge "$dir" > "$dir/looked" 2>&1 || grep -q '^FAIL' "$dir/looked" || echo "FAIL it ends early" >> "$dir/looked"
  sed "s/^\(PASS\|FAIL\) /&$1-prepared: /" "$dir/looked"
  "$lib/broker" stop "$dir"
  [ "$kind" != ottla ] || "$here/../dumplog/run.sh" "$dir/data" .log .snapshot .txnindex | sed "s/^\(PASS\|FAIL\) /&$1-prepared: /"
}

chains=("$@")
[ $# -gt 0 ] || chains=(ottla-stop ottla-kill apache-stop apache-kill ottla-prepared apache-prepared)
[ $# -gt 0 ] || [ "$BROKER" = ottla ] || chains=(apache-stop apache-kill apache-prepared)
for name in "${chains[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n || true; done
  # Not a condition: bash would go on after errors in it.
  (trap 'echo "FAIL $name: it ends early"' ERR; set -E
    case $name in *-prepared) prepared "${name%-*}" ;; *) chain "${name%-*}" "${name#*-}" ;; esac) > "$WORK/$name.out" 2>&1 &
done
wait
cat "$WORK"/*.out | tee "$lines"
failed=$(grep -c '^FAIL' "$lines" || true)
echo "$(grep -c '^PASS' "$lines" || true) passed, $failed failed"
[ "$failed" = 0 ]
