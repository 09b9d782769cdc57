#!/usr/bin/env bash
# `ottla-bench` works: its own tests, a short measurement of the broker, and one of a broker that is not there, which must be
# a failure and not a zero.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need cargo
manifest=$tests/ottla-bench/Cargo.toml target=$cache/rdkafka-target
passed=0 failed=0
verdict() { if "${@:2}"; then echo "PASS $1"; passed=$((passed + 1)); else echo "FAIL $1"; failed=$((failed + 1)); fi; }

cargo fmt --check --manifest-path "$manifest" >&2
verdict "its own tests" nice cargo test -q --locked --jobs 1 --manifest-path "$manifest" --target-dir "$target" >&2
nice cargo build -q --locked --jobs 1 --manifest-path "$manifest" --target-dir "$target" >&2
bench() { "$target/debug/ottla-bench" --seconds 1 --rounds 1 --scenario produce --scenario transactions "$@" > "$WORK/said" 2>&1; }

measured() { bench --target "$BOOTSTRAP" --out "$WORK/report" || { tail -20 "$WORK/said"; return 1; }; }
verdict "the broker is measured" measured
figures() {
  python3 - "$WORK/report/report.json" << 'PY'
import json, sys
report = json.load(open(sys.argv[1]))
text = json.dumps(report)
assert len(report["cases"]) == 4, [case["name"] for case in report["cases"]]
for case in report["cases"]:
    for run in case["runs"]:
        values = run["values"]
        assert values and all(value > 0 for key, value in values.items() if key != "stolen_ms_per_s"), (case["name"], values)
PY
}
verdict "each figure is there and none is zero" figures
page() { grep -q '<svg' "$WORK/report/report.html" && ! grep -qE 'https?://' "$WORK/report/report.html"; }
verdict "the page has plots and needs nothing from elsewhere" page
absent() { ! bench --target "127.0.0.1:$(free_port)" --out "$WORK/none" && grep -q 'cannot be loaded' "$WORK/said"; }
verdict "a broker that is not there is a failure" absent
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
