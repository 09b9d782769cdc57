#!/usr/bin/env bash
# Groups of the Python package confluent-kafka, in both protocols, and the way from one to the other.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
python=$(python_with "$here/requirements.txt")
PYTHONDONTWRITEBYTECODE=1 exec "$python" "$here/groups.py"
