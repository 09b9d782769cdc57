#!/usr/bin/env bash
# The scenario of ../README.md with Debian's kcat, as far as kcat can: it is driven by client.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need kcat kcat
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../lib" exec python3 "$here/client.py"
