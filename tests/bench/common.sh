# Sourced by the benchmarks that start brokers: the binary, Apache Kafka's JVM, and a scratch directory that goes at the end
# with the brokers in it.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# Kafka's own start script has these options and its heap of 1 GB.
export APACHE_JAVA_OPTS='-Xms1g -Xmx1g -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35'
export OTTLA_BIN=${OTTLA_BIN:-$(cd "$tests/.." && pwd)/target/release/ottla}
[ -x "$OTTLA_BIN" ] || die "no ottla binary at $OTTLA_BIN: cargo build --release, or set OTTLA_BIN"

# client VARIABLE EXAMPLE: the path of a load program, unless the variable has one.
client() {
  export "$1=${!1:-$(cd "$tests/.." && pwd)/target/release/examples/$2}"
  [ -x "${!1}" ] || die "no $2 at ${!1}: cargo build --release -p ottla-tests --example $2"
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/ottla-bench.XXXXXX")
end() {
  for folder in "$scratch"/*; do "$lib/broker" kill "$folder" > /dev/null 2>&1 || true; done
  rm -rf "$scratch"
}
trap end EXIT
trap 'exit 143' TERM INT
