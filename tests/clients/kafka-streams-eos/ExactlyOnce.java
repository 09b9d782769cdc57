import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import java.io.File;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.stream.Collectors;

/**
 * Feeds the application, kills its instances and the broker, and judges each total when it is committed: of each region the
 * numbers of orders go up by one, so that no order is missing and none counts twice, and the last sums are exact.
 */
public final class ExactlyOnce {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final int PARTITIONS = 4;
    static final int CUSTOMERS = 40;
    static final int REGIONS = 7;
    static final int ORDERS = Integer.parseInt(System.getenv().getOrDefault("ORDERS", "8000"));
    static final long PATIENCE_MS = 120_000;

    /** Of one region: orders, and their sum. */
    record Total(long count, long sum) { }

    private final Admin admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP));
    private final KafkaProducer<String, String> producer = new KafkaProducer<>(
        Map.of("bootstrap.servers", BOOTSTRAP, "delivery.timeout.ms", 120_000), new StringSerializer(), new StringSerializer());
    private final KafkaConsumer<String, String> reader = new KafkaConsumer<>(
        Map.of("bootstrap.servers", BOOTSTRAP, "isolation.level", "read_committed"), new StringDeserializer(), new StringDeserializer());
    private final Map<String, Process> instances = new HashMap<>();
    private final Map<String, Total> seen = new TreeMap<>();
    private final Map<String, Total> wanted = new TreeMap<>();
    private int sent;
    private int passed;

    interface Action {
        void run() throws Exception;
    }

    public static void main(String[] args) {
        ExactlyOnce test = new ExactlyOnce();
        boolean good;
        try {
            good = test.run();
        } finally {
            test.instances.values().forEach(Process::destroyForcibly);
        }
        System.out.println(test.passed + " passed, " + (good ? 0 : 1) + " failed");
        System.exit(good ? 0 : 1);
    }

    private boolean run() {
        return step("topics and customers", this::prepare)
            && step("two instances", () -> {
                start("one");
                start("two");
                all(send(ORDERS / 5));
                until(ORDERS / 5);
            })
            && step("an instance is killed and comes back", () -> {
                List<Future<?>> orders = send(ORDERS / 5);
                until(ORDERS / 5 + 100);
                instances.get("one").destroyForcibly().waitFor();
                start("one");
                all(orders);
                until(2 * ORDERS / 5);
            })
            && step("the broker is killed", () -> {
                List<Future<?>> orders = send(ORDERS / 5);
                until(2 * ORDERS / 5 + 100);
                kill();
                all(orders);
                until(3 * ORDERS / 5);
            })
            && step("the broker and an instance are killed", () -> {
                List<Future<?>> orders = send(ORDERS / 5);
                until(3 * ORDERS / 5 + 100);
                instances.get("two").destroyForcibly().waitFor();
                kill();
                start("three");
                all(orders);
                all(send(ORDERS - sent));
                until(ORDERS);
            })
            && step("the totals are exact", () -> equal(seen, wanted))
            && step("all orders are committed", this::committed)
            && step("nothing is open in the end", this::nothingOpen)
            && step("the totals are the same afterwards", () -> {
                seen.clear();
                reader.seekToBeginning(reader.assignment());
                until(ORDERS);
                equal(seen, wanted);
            });
    }

    private boolean step(String name, Action action) {
        long start = System.currentTimeMillis();
        try {
            action.run();
            passed++;
            System.out.printf("PASS %s (%.1f s)%n", name, (System.currentTimeMillis() - start) / 1000.0);
            return true;
        } catch (Exception e) {
            System.out.println("FAIL " + name + ": " + e);
            e.printStackTrace(System.out);
            return false;
        }
    }

    private static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (!condition.call()) {
            if (System.currentTimeMillis() > end) throw new IllegalStateException("gave up waiting: " + what);
            Thread.sleep(20);
        }
    }

    private static void equal(Object found, Object wanted) {
        if (!found.equals(wanted)) throw new IllegalStateException(found + " instead of " + wanted);
    }

    private static void all(List<Future<?>> sent) throws Exception {
        for (Future<?> one : sent) one.get();
    }

    private void prepare() throws Exception {
        admin.createTopics(List.of(new NewTopic(Totals.ORDERS, PARTITIONS, (short) 1), new NewTopic(Totals.CUSTOMERS, PARTITIONS, (short) 1),
            new NewTopic(Totals.TOTALS, 1, (short) 1))).all().get();
        List<Future<?>> customers = new ArrayList<>();
        for (int number = 0; number < CUSTOMERS; number++) {
            // Older than all orders: Kafka Streams takes what is older first.
            long dayBefore = System.currentTimeMillis() - 86_400_000;
            customers.add(producer.send(new ProducerRecord<>(Totals.CUSTOMERS, null, dayBefore, "customer" + number, region(number))));
        }
        all(customers);
        reader.assign(List.of(new TopicPartition(Totals.TOTALS, 0)));
        reader.seekToBeginning(reader.assignment());
    }

    private static String region(int customer) {
        return "region" + customer % REGIONS;
    }

    private List<Future<?>> send(int count) {
        List<Future<?>> orders = new ArrayList<>();
        for (int end = sent + count; sent < end; sent++) {
            int customer = sent * 7 % CUSTOMERS;
            long amount = sent % 100;
            orders.add(producer.send(new ProducerRecord<>(Totals.ORDERS, sent % PARTITIONS, "order" + sent, "customer" + customer + " " + amount)));
            wanted.merge(region(customer), new Total(1, amount), (a, b) -> new Total(a.count + b.count, a.sum + b.sum));
        }
        return orders;
    }

    private void start(String name) throws Exception {
        List<String> command = List.of(System.getProperty("java.home") + "/bin/java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dottla.log.level=warn", "-Dlog4j2.configurationFile=" + System.getenv("LOG4J"), "-cp", System.getenv("STREAMS_PATH"),
            "Totals", System.getenv("WORK") + "/state-" + name);
        var output = ProcessBuilder.Redirect.appendTo(new File(System.getenv("WORK"), name + ".log"));
        instances.put(name, new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output).start());
    }

    private static void kill() throws Exception {
        int code = new ProcessBuilder("bash", "-c", System.getenv("BROKER_KILL")).inheritIO().start().waitFor();
        if (code != 0) throw new IllegalStateException("the broker does not come back");
    }

    /** Reads until the totals have so many orders, and looks at each. */
    private void until(int orders) throws Exception {
        until(orders + " orders", () -> {
            for (ConsumerRecord<String, String> record : reader.poll(Duration.ofMillis(50))) {
                String[] words = record.value().split(" ");
                Total total = new Total(Long.parseLong(words[0]), Long.parseLong(words[1]));
                Total before = seen.put(record.key(), total);
                if (total.count != (before == null ? 1 : before.count + 1)) {
                    throw new IllegalStateException(record.key() + " has " + total + " at offset " + record.offset() + " after " + before);
                }
            }
            // One that was killed is not among them any more, or was started again.
            for (var instance : instances.entrySet()) {
                boolean hasFailed = !instance.getValue().isAlive() && instance.getValue().exitValue() == 1;
                if (hasFailed) throw new IllegalStateException("instance " + instance.getKey() + " has failed");
            }
            return seen.values().stream().mapToLong(Total::count).sum() >= orders;
        });
    }

    private void committed() throws Exception {
        var options = new ListConsumerGroupOffsetsOptions().requireStable(true);
        until("all orders are committed", () -> {
            var offsets = admin.listConsumerGroupOffsets(Totals.APPLICATION, options).partitionsToOffsetAndMetadata().get();
            return offsets.entrySet().stream().filter(one -> one.getKey().topic().equals(Totals.ORDERS)).mapToLong(one -> one.getValue().offset()).sum() == ORDERS;
        });
    }

    /** All instances end in an orderly way; whatever those that were killed had open has been aborted. */
    private void nothingOpen() throws Exception {
        for (Process instance : instances.values()) instance.destroy();
        for (Process instance : instances.values()) instance.waitFor();
        until("no transaction is open", () -> admin.listTransactions().all().get().stream()
            .noneMatch(one -> Set.of(TransactionState.ONGOING, TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT).contains(one.state())));
        Set<String> topics = admin.listTopics().names().get();
        List<TopicPartition> partitions = admin.describeTopics(topics).allTopicNames().get().values().stream()
            .flatMap(topic -> topic.partitions().stream().map(partition -> new TopicPartition(topic.name(), partition.partition()))).toList();
        equal(ends(partitions, IsolationLevel.READ_COMMITTED), ends(partitions, IsolationLevel.READ_UNCOMMITTED));
    }

    private Map<TopicPartition, Long> ends(List<TopicPartition> partitions, IsolationLevel level) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = partitions.stream().collect(Collectors.toMap(one -> one, one -> OffsetSpec.latest()));
        return admin.listOffsets(asked, new ListOffsetsOptions(level)).all().get().entrySet().stream()
            .collect(Collectors.toMap(Map.Entry::getKey, one -> one.getValue().offset()));
    }
}
