#!/usr/bin/env bash
# The scenario of ../README.md with the Go module that this folder is named after.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need go
exec "$(go_program "$here")"
