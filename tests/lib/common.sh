# Shared by every script that runs programs of others: the cache of what they need, Kafka's jars, our compiled Java.
# Source it; it sets `lib`, `tests` and `cache` and defines functions only. Nothing here writes into the tree.
lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tests=$(dirname "$lib")
cache=${OTTLA_TEST_CACHE:-$HOME/.cache/ottla-tests}
mkdir -p "$cache"

die() { echo "$*" >&2; exit 2; }

# need COMMAND PACKAGES: the command is there, or comes with these Debian packages; root installs them.
need() {
  command -v "$1" > /dev/null && return
  if [ -n "${2:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    # A lock of its own: the caller may hold that of the cache.
    # shellcheck disable=SC2086
    (flock 8; apt-get update -qq && apt-get install -y -qq $2) 8> "$cache/.apt-lock" > "$cache/apt.log" 2>&1 || tail -3 "$cache/apt.log" >&2
  fi
  command -v "$1" > /dev/null || die "$1 is not installed${2:+: apt-get install $2}"
}

# locked COMMAND...: several scripts may run at once, and only one of them fills the cache.
# The descriptor is closed for the command, so that a server started by it does not keep the lock.
locked() { (flock 9; "$@" 9>&-) 9> "$cache/.lock"; }

# once NAME INPUT COMMAND...: the folder $cache/NAME-<sum of INPUT>, filled by `COMMAND... FOLDER` when it is not yet
# there. INPUT is a file that names all versions, so that a changed version makes a new folder.
once() {
  local dir; dir=$cache/$1-$(cksum < "$2" | cut -d' ' -f1)
  # A lock of its own: some of them take minutes to build, and others need not wait for that.
  [ -e "$dir/.complete" ] || (flock 9; fill "$dir" "${@:3}" 9>&-) 9> "$dir.lock" >&2 || die "could not install $1"
  echo "$dir"
}

fill() {
  [ ! -e "$1/.complete" ] || return 0
  rm -rf "$1"; mkdir -p "$1"
  "${@:2}" "$1" && touch "$1/.complete"
}

# kafka_jars: the folder of Apache Kafka 4.4.0's jars.
kafka_jars() { jars_of "$lib/kafka.xml"; }

# jars_of POM: the folder of the jars that this pom lists.
jars_of() { once "$(basename "$1" .xml)-jars" "$1" copy_jars "$1"; }

copy_jars() {
  need mvn maven
  locked mvn -q -B -f "$1" dependency:copy-dependencies -DoutputDirectory="$2"
}

# java_path SOURCE...: the class path of Kafka's jars and, first, a jar of these files compiled against them.
java_path() { java_path_of "$lib/kafka.xml" "$@"; }

# java_path_of POM SOURCE...: the same with the jars that this pom lists.
java_path_of() {
  local jars dir pom=$1; shift
  jars=$(jars_of "$pom")
  dir=$cache/java-$(basename "$1" .java)-$(cat "$@" "$pom" | cksum | cut -d' ' -f1)
  [ -e "$dir/.complete" ] || locked fill "$dir" compile "$jars" "$@" >&2 || die "could not compile $*"
  echo "$dir/ours.jar:$(echo "$jars"/*.jar | tr ' ' ':')"
}

compile() {
  need javac openjdk-17-jdk-headless
  local out=${*: -1}
  javac -nowarn -encoding UTF-8 -cp "$1/*" -d "$out/classes" "${@:2:$#-2}"
  jar cf "$out/ours.jar" -C "$out/classes" .
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

# python_with FILE: the interpreter of a virtual environment with the packages that FILE (requirements) names.
python_with() {
  need python3 'python3 python3-venv'
  local dir; dir=$(once "python-$(basename "$(dirname "$1")")" "$1" make_venv "$1")
  echo "$dir/bin/python"
}

make_venv() {
  python3 -m venv "$2" && "$2/bin/pip" install -q --disable-pip-version-check -r "$1"
}

# go_program FOLDER: the program of this Go module, built into the cache. Go knows itself what is to be built anew.
go_program() {
  local out; out=$cache/go-$(basename "$1")
  (cd "$1" && nice go build -p 1 -mod=readonly -trimpath -o "$out" .) >&2 || die "could not build $1"
  echo "$out"
}

# judge_suite FOLDER PASSED RAN AGAIN: compares the names of passed tests (a file, one a line) with the list in FOLDER: of what
# Apache Kafka passes (baseline-apache.txt) if BROKER is apache, else tests.allow. RAN has all that were run. Prints
# the lines of a client's run.sh. With WRITE set it writes the list instead. Tests of others have their own short limits:
# a listed one that did not pass gets a second try alone, by `AGAIN name`.
judge_suite() {
  local list=$1/tests.allow; [ "${BROKER:-}" != apache ] || list=$1/baseline-apache.txt
  LC_ALL=C sort -u -o "$2" "$2"
  [ -z "${WRITE:-}" ] || cp "$2" "$list"
  [ -e "$list" ] || die "there is no $list"
  local wanted; wanted=$(mktemp)
  grep -v '^#' "$list" | LC_ALL=C sort -u > "$wanted" || true
  local name
  for name in $(LC_ALL=C comm -23 "$wanted" "$2"); do
    echo "once more: $name"
    "$4" "$name" < /dev/null && echo "$name" >> "$2"
  done
  LC_ALL=C sort -u -o "$2" "$2"
  LC_ALL=C comm -12 "$wanted" "$2" | sed 's/^/PASS /'
  LC_ALL=C comm -23 "$wanted" "$2" | sed "s/\$/: in $(basename "$list") and does not pass/; s/^/FAIL /"
  LC_ALL=C comm -13 "$wanted" "$2" | sed "s/\$/   (passes: add it to $(basename "$list"))/; s/^/grew: /"
  echo "ran $(wc -l < "$3"), passed $(wc -l < "$2"), listed $(wc -l < "$wanted")"
  local missing; missing=$(LC_ALL=C comm -23 "$wanted" "$2" | wc -l)
  echo "$(($(wc -l < "$wanted") - missing)) passed, $missing failed"
  # A suite of which nothing ran has not been passed.
  [ "$missing" = 0 ] && [ -s "$3" ]
}
