#!/usr/bin/env bash
# librdkafka's own tests of consumer groups, in full mode, one process a number (a time-out ends the process), each with
# the classic protocol and with KIP-848's.
#   run.sh           the numbers of numbers.ci
#   FULL=1 run.sh    those of numbers.full too
#   JOBS=7 run.sh    so many at a time, by default 4: most of them wait most of the time
#   NUMBERS='0018 0113' PROTOCOLS=consumer run.sh    only these
# A line of the lists is PROTOCOL/TEST; what was not run is not judged.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need npm npm
need c++ build-essential

packages='zlib1g-dev libssl-dev libzstd-dev liblz4-dev libcurl4-openssl-dev rapidjson-dev'
have_headers() {
  printf '#include <%s>\n' zlib.h openssl/ssl.h zstd.h lz4.h curl/curl.h rapidjson/rapidjson.h | c++ -E -x c++ - > /dev/null 2>&1
}

# These want three brokers for no other reason than the replicas of their topics.
one_broker='0098-consumer-txn.cpp 0103-transactions.c 0107-topic_recreate.c'

# The npm package carries the whole source, tests included; nothing of npm's own is run.
build() {
  have_headers || { [ "$(id -u)" = 0 ] && (apt-get update -qq && apt-get install -y -qq $packages) > "$cache/apt.log" 2>&1; } ||
    die "headers are missing: apt-get install $packages"
  (cd "$1" && npm pack --silent "$(cat "$here/version")" && tar xzf ./*.tgz && rm ./*.tgz)
  local source=$1/package/deps/librdkafka
  mv "$source" "$1/librdkafka" && rm -rf "$1/package"
  (cd "$1/librdkafka/tests" && sed -i -f "$here/one-broker.sed" $one_broker)
  (cd "$1/librdkafka" && ./configure --disable-gssapi && nice make -j1 libs && nice make -j1 -C tests build) > "$1/build.log" 2>&1 ||
    { tail -5 "$1/build.log" >&2; return 1; }
}
{ cat "$here/version" "$here/one-broker.sed"; echo "$one_broker"; } > "$WORK/librdkafka.key"
source=$(once librdkafka "$WORK/librdkafka.key" build)/librdkafka
export LD_LIBRARY_PATH=$source/src:$source/src-cpp
# Share tests and others look at the version; group tests take the newest ways.
export TEST_KAFKA_VERSION=4.2.0
numbers=${NUMBERS:-$(grep -hv '^#' "$here/numbers.ci" ${FULL:+"$here/numbers.full"})}
conf() { printf '%s\n' "bootstrap.servers=$1" test.timeout.multiplier=2; }
conf "$BOOTSTRAP" > "$WORK/test.conf"
# The tests of the scenario noautocreate have a broker of their own.
case " $(echo $numbers) " in *' 0045 '* | *' 0107 '*)
  other=$WORK/noautocreate-broker
  "$tests/lib/broker" start "$BROKER" "$other" auto.create.topics.enable=false group.initial.rebalance.delay.ms=3000
  trap '"$tests/lib/broker" stop "$other"' EXIT
  mkdir -p "$WORK/noautocreate"
  conf "127.0.0.1:$(cat "$other/port")" > "$WORK/noautocreate/test.conf"
esac

# 0098 has a program of the Java client write what it reads, and finds it below a Kafka's folder.
need javac openjdk-17-jdk-headless
jars=$(kafka_jars)
mkdir -p "$WORK/java" "$WORK/kafka/bin"
javac -nowarn -cp "$jars/*" -d "$WORK/java" "$source/tests/java/TransactionProducerCli.java"
cp "$source/tests/java/run-class.sh" "$WORK/java"
printf '#!/bin/sh\nexec java -cp "$CLASSPATH:%s/*" "$@"\n' "$jars" > "$WORK/kafka/bin/kafka-run-class.sh"
chmod +x "$WORK/kafka/bin/kafka-run-class.sh"

# one PROTOCOL SCENARIO NUMBER: its results as lines `PROTOCOL/TEST PASSED|FAILED|... SECONDS`.
one() {
  local log=$WORK/$1-$2-$3.log
  cd "$WORK" && { [ "$2" = default ] || cd "$2"; }
  local limit=300
  case $3 in
    # It starts Java some sixty times.
    0098) export KAFKA_PATH=$WORK/kafka; limit=700 ;;
    0113) limit=900 ;;
  esac
  TEST_CONSUMER_GROUP_PROTOCOL=$1 TEST_SCENARIO=$2 TESTS=$3 timeout --kill-after=5 "${TEST_TIMEOUT:-$limit}" \
    "$source/tests/test-runner" -L -p1 > "$log" 2>&1 < /dev/null || true
  # Of the lines `[NAME / 1.234s] ==== Test NAME PASSED ====`: a failure ends the process before its table is printed. A
  # test that did nothing passes at once: it does not count.
  sed 's/\x1b\[[0-9;]*m//g' "$log" | sed -nE 's/^\[[^/]*\/ *([0-9.]+)s\] =+ Test ([^ ]+) (PASSED|FAILED) =+.*/\2 \3 \1/p' | awk -v protocol="$1" '
    { if ($2 == "PASSED" && $3 + 0 < 0.05) $2 = "NOTHING"; print protocol "/" $1, $2, $3 }' > "$log.results"
  sed 's/\x1b\[[0-9;]*m//g' "$log" | sed -nE 's|^### Test "([0-9][^ "]*)[ "].* failed at .*|'"$1"'/\1 FAILED 0|p' | sort -u >> "$log.results"
  [ -s "$log.results" ] || echo "$1/$3 without a result" > "$log.results"
  cat "$log.results"
}
export -f one
export WORK source

for protocol in ${PROTOCOLS:-classic consumer}; do
  for number in $numbers; do
    case $number in 0107) ;; *) echo "$protocol default $number" ;; esac
    case $number in 0045 | 0107) echo "$protocol noautocreate $number" ;; esac
  done
done | xargs -P "${JOBS:-4}" -L1 bash -c 'one "$@"' one | tee "$WORK/results" >&2

awk '$2 == "PASSED" { print $1 }' "$WORK/results" > "$WORK/passed"
cut -d' ' -f1 "$WORK/results" > "$WORK/ran"
again() {
  local number scenario=default; number=$(echo "${1#*/}" | cut -c1-4)
  [ "$number" != 0107 ] || scenario=noautocreate
  one "${1%%/*}" "$scenario" "$number" | grep -q "^$1 PASSED"
}

# Only what was to be run is judged, and written.
chosen="^($(echo ${PROTOCOLS:-classic consumer} | tr ' ' '|'))/($(echo $numbers | tr ' ' '|'))_"
mkdir -p "$WORK/lists"
for list in baseline-apache.txt tests.allow; do grep -E "$chosen" "$here/$list" > "$WORK/lists/$list" || true; done
rc=0
judge_suite "$WORK/lists" "$WORK/passed" "$WORK/ran" again || rc=$?
if [ -n "${WRITE:-}" ]; then
  for list in baseline-apache.txt tests.allow; do
    (grep -vE "$chosen" "$here/$list" || true; cat "$WORK/lists/$list") | LC_ALL=C sort -u > "$WORK/list"
    cp "$WORK/list" "$here/$list"
  done
fi
exit $rc
