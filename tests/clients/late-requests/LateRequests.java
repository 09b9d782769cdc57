import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Requests of transactions that reach the broker when their client has given up on them, or has been replaced. Only what
 * was committed is read, each record once.
 */
public class LateRequests {
    static final int PARTITIONS = 2;
    static final long PATIENCE_MS = 60_000;
    /** A client that gives up soon, and one that waits for the answer. */
    static final int HASTY_MS = 2_000;
    static final int PATIENT_MS = 60_000;

    final Proxy proxy = new Proxy();
    final Map<String, Object> server = Map.of("bootstrap.servers", "127.0.0.1:" + System.getenv("PROXY_PORT"));
    final Admin admin = Admin.create(server);
    final ExecutorService aside = Executors.newCachedThreadPool();
    int passed;
    int failed;

    /** The program of proxy.rs. */
    static class Proxy {
        final BufferedReader said;
        final PrintStream commands;
        int held;

        Proxy() throws Exception {
            Process process = new ProcessBuilder(System.getenv("PROXY"), System.getenv("PROXY_PORT"), System.getenv("BROKER_ADDRESS"))
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
            said = new BufferedReader(new InputStreamReader(process.getInputStream()));
            commands = new PrintStream(process.getOutputStream(), true);
            equal(said.readLine(), "ok");
        }

        String ask(String command) throws Exception {
            commands.println(command);
            return said.readLine();
        }

        void hold(String api) throws Exception {
            equal(ask("hold " + api), "ok");
            held++;
        }

        void untilHeld() throws Exception {
            equal(ask("until-held " + held), "ok");
        }

        /** Lets it go; what the broker answers to it. */
        String release(String api) throws Exception {
            equal(ask("release"), "ok");
            return ask("answer " + held + " " + api);
        }
    }

    interface Action {
        void run() throws Exception;
    }

    LateRequests() throws Exception {
    }

    public static void main(String[] args) throws Exception {
        System.exit(new LateRequests().scenario() ? 0 : 1);
    }

    boolean scenario() {
        step("a commit that comes in the next transaction", () -> lateEnd("commit", true));
        step("an abort that comes in the next transaction", () -> lateEnd("abort", false));
        step("a commit of a producer that was replaced", this::endOfZombie);
        step("the first record of a producer that was replaced", () -> writeOfZombie("first", true));
        step("a later record of a producer that was replaced", () -> writeOfZombie("later", false));
        step("a record that came again before it came", this::writtenTwice);
        System.out.println(passed + " passed, " + failed + " failed");
        return failed == 0;
    }

    void step(String name, Action action) {
        try {
            action.run();
            passed++;
            System.out.println("PASS " + name);
        } catch (Throwable problem) {
            failed++;
            System.out.println("FAIL " + name + ": " + problem);
            problem.printStackTrace();
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void equal(Object actual, Object expected) {
        check(expected.equals(actual), "is " + actual + ", expected " + expected);
    }

    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (!condition.call()) {
            check(System.currentTimeMillis() < deadline, what + " never came to be so");
            Thread.sleep(20);
        }
    }

    void create(String name) throws Exception {
        admin.createTopics(List.of(new NewTopic(name, PARTITIONS, (short) 1))).all().get();
    }

    /** The next producer of this id; whoever was it before is fenced. */
    KafkaProducer<String, String> producer(String id, int requestTimeoutMs) {
        Map<String, Object> settings = new HashMap<>(server);
        settings.put("transactional.id", id);
        settings.put("request.timeout.ms", requestTimeoutMs);
        settings.put("delivery.timeout.ms", 120_000);
        settings.put("max.block.ms", 60_000);
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    static void send(KafkaProducer<String, String> producer, String topic, String value) {
        for (int partition = 0; partition < PARTITIONS; partition++) {
            producer.send(new ProducerRecord<>(topic, partition, null, value));
        }
    }

    /** All values up to the end that the isolation level has, sorted. */
    List<String> read(String topic, String isolation) {
        Map<String, Object> settings = new HashMap<>(server);
        settings.put("isolation.level", isolation);
        settings.put("enable.auto.commit", false);
        List<TopicPartition> partitions = new ArrayList<>();
        for (int partition = 0; partition < PARTITIONS; partition++) {
            partitions.add(new TopicPartition(topic, partition));
        }
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            long deadline = System.currentTimeMillis() + PATIENCE_MS;
            while (partitions.stream().anyMatch(one -> consumer.position(one) < ends.get(one))) {
                check(System.currentTimeMillis() < deadline, "the end of " + topic + " is never reached");
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    values.add(record.value());
                }
            }
        }
        Collections.sort(values);
        return values;
    }

    /** Exactly these transactions are committed, and none is open. */
    void expect(String topic, String... names) throws Exception {
        List<String> wanted = new ArrayList<>();
        for (String name : names) {
            wanted.addAll(Collections.nCopies(PARTITIONS, name));
        }
        Collections.sort(wanted);
        eventually(topic + " has " + wanted, () -> {
            TransactionState state = admin.describeTransactions(List.of(topic)).description(topic).get().state();
            return state == TransactionState.COMPLETE_COMMIT || state == TransactionState.COMPLETE_ABORT;
        });
        equal(read(topic, "read_committed"), wanted);
    }

    static void refused(String what, String answer) {
        check(answer.equals("PRODUCER_FENCED") || answer.equals("INVALID_PRODUCER_EPOCH"), what + " is answered with " + answer);
    }

    static void fenced(Future<?> attempt) throws Exception {
        try {
            attempt.get();
            check(false, "a producer that was replaced goes on");
        } catch (ExecutionException error) {
            Throwable cause = error;
            while (cause != null && !(cause instanceof ProducerFencedException || cause instanceof InvalidProducerEpochException)) {
                cause = cause.getCause();
            }
            check(cause != null, "fenced otherwise: " + error);
        }
    }

    /** The client waits in vain, ends the transaction over another connection, and begins the next one. */
    void lateEnd(String topic, boolean commits) throws Exception {
        create(topic);
        try (KafkaProducer<String, String> producer = producer(topic, HASTY_MS)) {
            producer.beginTransaction();
            send(producer, topic, "one");
            producer.flush();
            proxy.hold("EndTxn");
            end(producer, commits);
            proxy.untilHeld();
            producer.beginTransaction();
            send(producer, topic, "two");
            producer.flush();
            refused("the late end", proxy.release("EndTxn"));
            equal(admin.describeTransactions(List.of(topic)).description(topic).get().state(), TransactionState.ONGOING);
            equal(read(topic, "read_committed"), commits ? Collections.nCopies(PARTITIONS, "one") : List.of());
            // What the late request would have done the client does not do.
            end(producer, !commits);
        }
        expect(topic, commits ? "one" : "two");
    }

    static void end(KafkaProducer<String, String> producer, boolean commits) {
        if (commits) {
            producer.commitTransaction();
        } else {
            producer.abortTransaction();
        }
    }

    void endOfZombie() throws Exception {
        String topic = "zombie-end";
        create(topic);
        KafkaProducer<String, String> zombie = producer(topic, PATIENT_MS);
        zombie.beginTransaction();
        send(zombie, topic, "zombie's");
        zombie.flush();
        proxy.hold("EndTxn");
        Future<?> attempt = aside.submit(zombie::commitTransaction);
        proxy.untilHeld();
        try (KafkaProducer<String, String> next = producer(topic, PATIENT_MS)) {
            next.beginTransaction();
            send(next, topic, "one");
            next.flush();
            refused("the zombie's end", proxy.release("EndTxn"));
            fenced(attempt);
            equal(read(topic, "read_committed"), List.of());
            next.commitTransaction();
        }
        zombie.close(Duration.ZERO);
        expect(topic, "one");
    }

    /** Held until its successor has committed. */
    void writeOfZombie(String topic, boolean isFirst) throws Exception {
        create(topic);
        KafkaProducer<String, String> zombie = producer(topic, PATIENT_MS);
        zombie.beginTransaction();
        if (!isFirst) {
            send(zombie, topic, "zombie's");
            zombie.flush();
        }
        proxy.hold("Produce");
        Future<?> attempt = zombie.send(new ProducerRecord<>(topic, 0, null, "late"));
        proxy.untilHeld();
        try (KafkaProducer<String, String> next = producer(topic, PATIENT_MS)) {
            next.beginTransaction();
            send(next, topic, "one");
            next.commitTransaction();
            refused("the zombie's record", proxy.release("Produce"));
            fenced(attempt);
            expect(topic, "one");
            next.beginTransaction();
            send(next, topic, "two");
            next.commitTransaction();
        }
        zombie.close(Duration.ZERO);
        expect(topic, "one", "two");
        check(!read(topic, "read_uncommitted").contains("late"), "the zombie's record is in the log");
    }

    /** The client has sent it again over another connection, and the transaction is over. */
    void writtenTwice() throws Exception {
        String topic = "twice";
        create(topic);
        try (KafkaProducer<String, String> producer = producer(topic, HASTY_MS)) {
            producer.beginTransaction();
            send(producer, topic, "one");
            producer.flush();
            producer.commitTransaction();
            producer.beginTransaction();
            proxy.hold("Produce");
            Future<?> held = producer.send(new ProducerRecord<>(topic, 0, null, "two"));
            proxy.untilHeld();
            held.get();
            producer.send(new ProducerRecord<>(topic, 1, null, "two"));
            producer.commitTransaction();
            expect(topic, "one", "two");
            refused("the record that came before", proxy.release("Produce"));
            expect(topic, "one", "two");
            producer.beginTransaction();
            send(producer, topic, "three");
            producer.commitTransaction();
        }
        expect(topic, "one", "two", "three");
        equal(read(topic, "read_uncommitted").size(), 3 * PARTITIONS);
    }
}
