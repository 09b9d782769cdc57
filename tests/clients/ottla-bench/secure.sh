#!/usr/bin/env bash
# `ottla-bench` against a broker that wants TLS, SCRAM, or tokens of OAUTHBEARER from a command, each of which is tried with
# something wrong too. The broker is Apache Kafka. Run by hand: it builds OpenSSL from source, which takes minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib/common.sh"
need cargo; need java openjdk-17-jre-headless; need openssl openssl; need perl perl; need make make
manifest=$tests/ottla-bench/Cargo.toml target=$cache/rdkafka-tls-target
nice cargo build -q --locked --release --features tls --manifest-path "$manifest" --target-dir "$target" >&2
class_path=$(java_path "$lib/ApacheBroker.java")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ottla-bench-secure.XXXXXX")
broker=
end() { [ -z "$broker" ] || kill -KILL "$broker" 2> /dev/null || true; rm -rf "$scratch"; }
trap end EXIT
cd "$scratch"

keytool -genkeypair -alias broker -keyalg RSA -dname CN=localhost -ext san=dns:localhost,ip:127.0.0.1 -validity 2 \
  -keystore broker.p12 -storepass secret -storetype PKCS12 2> /dev/null
keytool -exportcert -rfc -alias broker -keystore broker.p12 -storepass secret > broker.pem 2> /dev/null
plain=$(free_port) controller=$(free_port) sasl=$(free_port) tls=$(free_port)
cat > server.properties << P
node.id=1
process.roles=broker,controller
controller.quorum.bootstrap.servers=127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$plain,CONTROLLER://127.0.0.1:$controller,SASL_PLAINTEXT://127.0.0.1:$sasl,SASL_SSL://127.0.0.1:$tls
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs=$scratch/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
sasl.enabled.mechanisms=SCRAM-SHA-512,OAUTHBEARER
ssl.keystore.location=$scratch/broker.p12
ssl.keystore.password=secret
ssl.keystore.type=PKCS12
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_plaintext.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
P
java -Xmx512m -cp "$class_path" ApacheBroker server.properties > broker.log 2>&1 &
broker=$!
wait_for 60 "Apache Kafka to serve" accepts "127.0.0.1:$plain"
java -cp "$class_path" org.apache.kafka.tools.ConfigCommand --bootstrap-server "127.0.0.1:$plain" --alter --entity-type users \
  --entity-name bench --add-config 'SCRAM-SHA-512=[password=secret]' > scram.log 2>&1 || { cat scram.log; exit 1; }

passed=0 failed=0
verdict() { if "${@:2}"; then echo "PASS $1"; passed=$((passed + 1)); else echo "FAIL $1"; failed=$((failed + 1)); tail -5 said; fi; }
# measured PORT LINES: with these properties.
measured() {
  printf '%s\n' "$2" > client.properties
  timeout 120 "$target/release/ottla-bench" --seconds 1 --rounds 1 --scenario produce --case '128 KiB' --scenario transactions \
    --scenario latency --case '20 MB' --case 30 --target "127.0.0.1:$1" --client-config client.properties --out report > said 2>&1 &&
    ! grep -q 'secret' report/report.json said
}
refused() { ! measured "$@" && grep -q "$3" said; }
# jwt [SECONDS]: prints a token without a signature that is good for so long, and the time until which a client may use it.
cat > jwt << 'J'
#!/usr/bin/env bash
now=$(date +%s)
part() { printf '%s' "$1" | openssl base64 -A | tr '+/' '-_' | tr -d '='; }
echo "$(part '{"alg":"none"}').$(part "{\"sub\":\"bench\",\"iat\":$((now - 3600)),\"exp\":$((now + ${1:-600}))}")."
echo "$(((now + 600) * 1000))"
J
chmod +x jwt
scram=$'sasl.mechanism=SCRAM-SHA-512\nsasl.username=bench\nsasl.password='
token=$'sasl.mechanism=OAUTHBEARER\nottla.bench.token.command='
ca="ssl.ca.location=$scratch/broker.pem"
verdict "SCRAM" measured "$sasl" "security.protocol=SASL_PLAINTEXT
${scram}secret"
verdict "SCRAM over TLS" measured "$tls" "security.protocol=SASL_SSL
$ca
${scram}secret"
verdict "a wrong password is a failure" refused "$sasl" "security.protocol=SASL_PLAINTEXT
${scram}wrong" 'cannot be loaded'
verdict "a certificate that nobody vouches for is a failure" refused "$tls" "security.protocol=SASL_SSL
${scram}secret" 'cannot be loaded'
verdict "a token from a command, over TLS" measured "$tls" "security.protocol=SASL_SSL
$ca
${token}$scratch/jwt"
verdict "a token that has expired is a failure" refused "$sasl" "security.protocol=SASL_PLAINTEXT
${token}$scratch/jwt -600" 'cannot be loaded'
verdict "a command that fails is a failure that tells why" refused "$sasl" "security.protocol=SASL_PLAINTEXT
${token}echo no key here >&2; exit 1" 'no key here'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
