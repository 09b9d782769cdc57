#!/usr/bin/env bash
# The scenario of ../README.md with the Python package that this folder is named after.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
python=$(python_with "$here/requirements.txt")
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../lib" exec "$python" "$here/client.py"
