#!/usr/bin/env bash
# kafka-python's own integration tests, out of its source package; those that start brokers themselves (SASL, SSL) are
# left out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
version=3.0.12
python=$(python_with "$here/requirements.txt")

unpack() {
  "$(dirname "$python")/pip" download -q --disable-pip-version-check --no-binary :all: --no-deps -d "$1" "kafka-python==$version"
  tar xzf "$1"/*.tar.gz -C "$1" --strip-components=1
  # The package lacks two files of its tests' helpers: a broker that runs already needs no more than this.
  touch "$1/test/__init__.py"
  cat > "$1/test/service.py" <<'END'
class ExternalService:
    def __init__(self, host, port): self.host, self.port = host, port
    def open(self): pass
    def close(self): pass
class SpawnedService:
    def __init__(self, *args, **kwargs): raise RuntimeError("this test wants a broker of its own")
END
}
source=$(once kafka-python-source "$0" unpack)

cd "$source"
suite() {
  KAFKA_ROOT=. KAFKA_VERSION=4.3.0 KAFKA_URI=kafka://$BOOTSTRAP PYTHONDONTWRITEBYTECODE=1 "$python" -m pytest \
    -p no:cacheprovider -q --tb=short --timeout=30 --timeout-method=signal "$@"
}
# Its own exit code says nothing here: some tests do not pass anywhere.
suite --junitxml="$WORK/results.xml" --ignore test/integration/test_sasl_integration.py \
  --ignore test/integration/test_ssl_integration.py test/integration || true
"$python" - "$WORK" <<'END'
import sys
import xml.etree.ElementTree as tree

work = sys.argv[1]
with open(f"{work}/passed", "w") as passed, open(f"{work}/ran", "w") as ran:
    for case in tree.parse(f"{work}/results.xml").iter("testcase"):
        name = f"{case.get('classname').removeprefix('test.integration.')}::{case.get('name')}"
        if case.find("skipped") is None:
            print(name, file=ran)
        if not {child.tag for child in case} & {"failure", "error", "skipped"}:
            print(name, file=passed)
END
again() { suite "test/integration/${1/::/.py::}"; }
judge_suite "$here" "$WORK/passed" "$WORK/ran" again
