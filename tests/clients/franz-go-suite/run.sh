#!/usr/bin/env bash
# franz-go's own tests that want a broker, but those of share groups. Among them TestGroupETL, chains of groups whose members
# come and go while records flow, with each balancer, in the classic protocol and KIP-848's, static and dynamic, every record
# once and in order; and TestTxnEtl, the same in transactions.
#   run.sh                     RECORDS records, by default 50000
#   TESTS='TestTxnEtl.*' run.sh    only these
#   KGO_TEST_CHAOS=1 run.sh    its connections live for half a second to one and a half
#   RECORDS=500000 run.sh      franz-go's own size
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need go
program=$cache/franz-go-tests
(cd "$here/../franz-go" && nice go test -p 1 -mod=readonly -trimpath -c -o "$program" github.com/twmb/franz-go/pkg/kgo) >&2
export KGO_SEEDS=$BOOTSTRAP KGO_TEST_RF=1 KGO_TEST_UNSAFE=1 KGO_LOG_LEVEL=${KGO_LOG_LEVEL:-none} KGO_TEST_RECORDS=${RECORDS:-50000}
tests=$(paste -sd'|' "$here/tests.names")
"$program" -test.v -test.run "^(${TESTS:-$tests})\$" -test.timeout "${TEST_TIMEOUT:-20m}" > "$WORK/output" 2>&1 || true
grep -E '^ *--- |^(ok|FAIL|panic)|^ +[a-z_]+_test.go' "$WORK/output" | head -40 >&2 || true
sed -nE 's/^ *--- PASS: ([^ ]+) .*/\1/p' "$WORK/output" > "$WORK/passed"
sed -nE 's/^ *--- (PASS|FAIL): ([^ ]+) .*/\2/p' "$WORK/output" > "$WORK/ran"
# Nothing here depends on time: what does not pass at once has found something.
again() { return 1; }
judge_suite "$here" "$WORK/passed" "$WORK/ran" again
