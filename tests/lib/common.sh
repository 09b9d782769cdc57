# Shared by every script that runs programs of others: the cache of what they need, Kafka's jars, our compiled Java.
# Source it; it sets `lib`, `tests` and `cache` and defines functions only. Nothing here writes into the tree.
lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tests=$(dirname "$lib")
cache=${OTTLA_TEST_CACHE:-$HOME/.cache/ottla-tests}
mkdir -p "$cache"

die() { echo "$*" >&2; exit 2; }

need() { command -v "$1" > /dev/null || die "$1 is not installed: $2"; }

# locked COMMAND...: several scripts may run at once, and only one of them fills the cache.
# The descriptor is closed for the command, so that a server started by it does not keep the lock.
locked() { (flock 9; "$@" 9>&-) 9> "$cache/.lock"; }

# once NAME INPUT COMMAND...: the folder $cache/NAME-<sum of INPUT>, filled by `COMMAND... FOLDER` when it is not yet
# there. INPUT is a file that names all versions, so that a changed version makes a new folder.
once() {
  local dir; dir=$cache/$1-$(cksum < "$2" | cut -d' ' -f1)
  [ -e "$dir/.complete" ] || locked fill "$dir" "${@:3}" >&2 || die "could not install $1"
  echo "$dir"
}

fill() {
  [ ! -e "$1/.complete" ] || return 0
  rm -rf "$1"; mkdir -p "$1"
  "${@:2}" "$1" && touch "$1/.complete"
}

# kafka_jars: the folder of Apache Kafka 4.4.0's jars.
kafka_jars() { once kafka-jars "$lib/kafka.xml" copy_jars; }

copy_jars() {
  need mvn 'apt-get install maven'
  mvn -q -B -f "$lib/kafka.xml" dependency:copy-dependencies -DoutputDirectory="$1"
}

# java_classes SOURCE...: the folder of classes compiled from these files against Kafka's jars.
java_classes() {
  local jars; jars=$(kafka_jars)
  local dir; dir=$cache/classes-$(cat "$@" "$lib/kafka.xml" | cksum | cut -d' ' -f1)
  [ -e "$dir/.complete" ] || locked fill "$dir" compile "$jars" "$@" >&2 || die "could not compile $*"
  echo "$dir"
}

compile() {
  need javac 'apt-get install openjdk-17-jdk-headless'
  javac -nowarn -encoding UTF-8 -Xlint:-options -cp "$1/*" -d "${*: -1}" "${@:2:$#-2}"
}

# free_port: a port of the loopback interface that nothing listens on now.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# wait_for SECONDS WHAT COMMAND...: runs COMMAND until it succeeds, fails after SECONDS.
wait_for() {
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "gave up waiting: $what" >&2; return 1; }
    sleep 0.05
  done
}

accepts() { (exec 3<> "/dev/tcp/${1%:*}/${1##*:}") 2> /dev/null; }
