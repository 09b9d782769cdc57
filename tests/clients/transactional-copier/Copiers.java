import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

import java.io.File;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Has programs copy a topic while they and the broker are killed, and compares the output with the input: at the same time,
 * and again when all is over.
 */
public final class Copiers {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final int PARTITIONS = 4;
    static final int COPIERS = 3;
    static final int RECORDS = Integer.parseInt(System.getenv().getOrDefault("RECORDS", "6000"));
    static final int KILLS = Integer.parseInt(System.getenv().getOrDefault("KILLS", "2"));
    static final int KILLED = 128 + 9;
    static final int IN_A_TRANSACTION = 40;
    static final long PATIENCE_MS = 120_000;

    /** How records are copied: by Apache's program or ours, in which group protocol, under which transaction.version. */
    record Way(String name, boolean isApaches, String protocol, int version) { }

    static final List<Way> WAYS = List.of(new Way("classic", true, "classic", 2), new Way("consumer", false, "consumer", 2),
        new Way("v0", false, "classic", 0), new Way("v1", false, "consumer", 1));

    private final Admin admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP));
    private final Process[] copiers = new Process[COPIERS];
    private int passed;
    private int failed;

    interface Action {
        void run() throws Exception;
    }

    public static void main(String[] args) {
        Copiers copiers = new Copiers();
        Set<String> scenes = Set.of(System.getenv().getOrDefault("SCENES", "classic consumer v0").split(" "));
        for (Way way : WAYS) {
            if (scenes.contains(way.name)) copiers.scene(way);
        }
        System.out.println(copiers.passed + " passed, " + copiers.failed + " failed");
        System.exit(copiers.failed == 0 && copiers.passed > 0 ? 0 : 1);
    }

    /** Ends at its first failure. */
    private void scene(Way way) {
        String in = "in-" + way.name, out = "out-" + way.name;
        try (Output output = new Output(BOOTSTRAP, out, PARTITIONS)) {
            boolean good = step(way, "the input is there", () -> {
                version(way.version);
                admin.createTopics(List.of(new NewTopic(in, PARTITIONS, (short) 1), new NewTopic(out, PARTITIONS, (short) 1))).all().get();
                feed(in);
                for (int number = 0; number < COPIERS; number++) copiers[number] = start(way, number);
            });
            for (int kill = 1; good && kill <= KILLS; kill++) {
                int seen = RECORDS * kill / (KILLS + 1);
                boolean withCopier = kill % 2 == 1;
                good = step(way, "kill " + kill + (withCopier ? " with a copier" : ""), () -> {
                    readUntil(way, output, seen);
                    if (withCopier) copiers[0].destroyForcibly().waitFor();
                    kill();
                });
            }
            good = good && step(way, "all that was read is written once, in order", () -> readUntil(way, output, RECORDS));
            good = good && step(way, "the group is where the output is", () -> offsets(way, in));
            good = good && step(way, "nothing is open in the end", () -> nothingOpen(out));
            good = good && step(way, "the output is the same afterwards", () -> again(out));
            good = good && step(way, "much was aborted", () -> aborted(out));
        } finally {
            for (Process copier : copiers) if (copier != null) copier.destroyForcibly();
        }
    }

    private boolean step(Way way, String name, Action action) {
        long start = System.currentTimeMillis();
        try {
            action.run();
            passed++;
            System.out.printf("PASS %s: %s (%.1f s)%n", way.name, name, (System.currentTimeMillis() - start) / 1000.0);
            return true;
        } catch (Exception e) {
            failed++;
            System.out.println("FAIL " + way.name + ": " + name + ": " + e);
            e.printStackTrace(System.out);
            return false;
        }
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (!condition.call()) {
            if (System.currentTimeMillis() > end) throw new IllegalStateException("gave up waiting: " + what);
            Thread.sleep(20);
        }
    }

    private void version(int level) throws Exception {
        var range = admin.describeFeatures().featureMetadata().get().finalizedFeatures().get("transaction.version");
        int now = range == null ? 0 : range.maxVersionLevel();
        if (now == level) return;
        var type = level < now ? FeatureUpdate.UpgradeType.SAFE_DOWNGRADE : FeatureUpdate.UpgradeType.UPGRADE;
        admin.updateFeatures(Map.of("transaction.version", new FeatureUpdate((short) level, type)), new UpdateFeaturesOptions()).all().get();
    }

    private static void feed(String topic) throws Exception {
        try (var producer = new KafkaProducer<>(Map.of("bootstrap.servers", BOOTSTRAP), new StringSerializer(), new StringSerializer())) {
            var sent = new ArrayList<Future<?>>();
            for (int number = 0; number < RECORDS; number++) {
                int partition = number % PARTITIONS;
                sent.add(producer.send(new ProducerRecord<>(topic, partition, "key", Output.value(partition, number / PARTITIONS))));
            }
            for (var one : sent) one.get();
        }
    }

    private static Process start(Way way, int number) throws Exception {
        List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-Xmx128m", "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1", "-Dottla.log.level=warn", "-Dlog4j2.configurationFile=" + System.getenv("LOG4J"), "-cp", System.getenv("COPIER_PATH")));
        String in = "in-" + way.name, out = "out-" + way.name, group = "copiers-" + way.name, id = "copier-" + way.name + "-" + number;
        if (way.isApaches) {
            command.addAll(List.of("org.apache.kafka.tools.TransactionalMessageCopier", "--broker-list", BOOTSTRAP, "--input-topic", in,
                "--input-partition", "-1", "--output-topic", out, "--consumer-group", group, "--transactional-id", id,
                "--transaction-size", String.valueOf(IN_A_TRANSACTION), "--transaction-timeout", String.valueOf(Copier.TRANSACTION_TIMEOUT_MS),
                "--enable-random-aborts", "--group-mode", "--use-group-metadata"));
        } else {
            command.addAll(List.of("Copier", in, out, group, id, way.protocol, String.valueOf(IN_A_TRANSACTION)));
        }
        var output = ProcessBuilder.Redirect.appendTo(new File(System.getenv("WORK"), id + ".log"));
        return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output).start();
    }

    private static void kill() throws Exception {
        int code = new ProcessBuilder("bash", "-c", System.getenv("BROKER_KILL")).inheritIO().start().waitFor();
        if (code != 0) throw new IllegalStateException("the broker does not come back");
    }

    /** Reads until so many records have been seen. Copiers that were killed are started again, under their old ids. */
    private void readUntil(Way way, Output output, int wanted) throws Exception {
        until(wanted + " records", () -> {
            boolean isAnyAlive = Stream.of(copiers).anyMatch(Process::isAlive);
            for (int number = 0; number < COPIERS; number++) {
                if (copiers[number].isAlive()) continue;
                int code = copiers[number].exitValue();
                // Apache's copier ends when its own partitions have nothing left; ours does not end.
                boolean hasFinished = way.isApaches && code == 0;
                if (code != KILLED && !hasFinished) throw new IllegalStateException("copier " + number + " ended with " + code);
                if (!hasFinished || !isAnyAlive) copiers[number] = start(way, number);
            }
            return output.read() >= wanted;
        });
    }

    private void offsets(Way way, String in) throws Exception {
        Map<TopicPartition, Long> wanted = new HashMap<>();
        for (int partition = 0; partition < PARTITIONS; partition++) wanted.put(new TopicPartition(in, partition), (long) RECORDS / PARTITIONS);
        var options = new ListConsumerGroupOffsetsOptions().requireStable(true);
        until("offsets " + wanted, () -> {
            var found = admin.listConsumerGroupOffsets("copiers-" + way.name, options).partitionsToOffsetAndMetadata().get();
            return found.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().offset())).equals(wanted);
        });
    }

    /** The copiers have nothing left to copy, and what those that were killed had open is over. */
    private void nothingOpen(String out) throws Exception {
        for (Process copier : copiers) copier.destroyForcibly().waitFor();
        until("no transaction is open", () -> admin.listTransactions().all().get().stream()
            .noneMatch(one -> Set.of(TransactionState.ONGOING, TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT).contains(one.state())));
        long stable = ends(out, IsolationLevel.READ_COMMITTED), end = ends(out, IsolationLevel.READ_UNCOMMITTED);
        if (stable != end) throw new IllegalStateException("last stable offsets " + stable + " in all, high watermarks " + end);
    }

    private long ends(String topic, IsolationLevel level) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = IntStream.range(0, PARTITIONS).boxed()
            .collect(Collectors.toMap(index -> new TopicPartition(topic, index), index -> OffsetSpec.latest()));
        return admin.listOffsets(asked, new ListOffsetsOptions(level)).all().get().values().stream().mapToLong(one -> one.offset()).sum();
    }

    /** From the beginning to the end of the partitions, not only until enough has been seen. */
    private static void again(String out) throws Exception {
        try (Output output = new Output(BOOTSTRAP, out, PARTITIONS)) {
            until("the end", () -> output.read() >= RECORDS && output.isAtEnd());
            if (output.read() != RECORDS) throw new IllegalStateException("more than all records");
        }
    }

    /** Without aborts nothing was tried. One in three is. */
    private void aborted(String out) throws Exception {
        long more = ends(out, IsolationLevel.READ_UNCOMMITTED) - RECORDS;
        System.out.println("     records of aborted transactions and markers: " + more);
        if (more < RECORDS / 8) throw new IllegalStateException("only " + more + " offsets besides those of the input's records");
    }
}
