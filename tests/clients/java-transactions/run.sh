#!/usr/bin/env bash
# Transactions with Apache's kafka-clients 4.4.0: what README.md tells under java-transactions.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
path=$(java_path "$here/JavaTransactions.java")
exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$lib/log4j2.properties" -cp "$path" JavaTransactions
