import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.InvalidTxnStateException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TransactionAbortableException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Transactions of Apache's own Java client: what is committed, what is read, who is fenced, what a restart leaves. */
public class JavaTransactions {
    static final int PARTITIONS = 3;
    static final long PATIENCE_MS = 60_000;

    final Map<String, Object> server = Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"));
    final Admin admin = Admin.create(server);
    int passed;
    int failed;

    interface Action {
        void run() throws Exception;
    }

    public static void main(String[] args) {
        System.exit(new JavaTransactions().scenario() ? 0 : 1);
    }

    boolean scenario() {
        step("commit", this::commit);
        step("abort", this::abort);
        step("open", this::open);
        step("epochs", this::epochs);
        step("fence", this::fence);
        step("timeout", this::timeout);
        step("admin", this::describe);
        step("copy", () -> copy("copy", () -> { }));
        step("restart", () -> copy("restart", this::restart));
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

    void create(String... names) throws Exception {
        List<NewTopic> topics = List.of(names).stream().map(name -> new NewTopic(name, PARTITIONS, (short) 1)).toList();
        admin.createTopics(topics).all().get();
    }

    KafkaProducer<String, String> producer(String id, int timeoutMs) {
        Map<String, Object> settings = new HashMap<>(server);
        settings.put("transactional.id", id);
        settings.put("transaction.timeout.ms", timeoutMs);
        settings.put("max.block.ms", 60_000);
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    KafkaConsumer<String, String> consumer(String isolation, String group) {
        Map<String, Object> settings = new HashMap<>(server);
        settings.put("isolation.level", isolation);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", false);
        if (group != null) {
            settings.put("group.id", group);
        }
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    static List<TopicPartition> partitions(String topic) {
        return IntStream.range(0, PARTITIONS).mapToObj(index -> new TopicPartition(topic, index)).toList();
    }

    /** All values up to the end that the isolation level has, sorted. */
    List<String> read(String topic, String isolation) {
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(isolation, null)) {
            consumer.assign(partitions(topic));
            consumer.seekToBeginning(partitions(topic));
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions(topic));
            long deadline = System.currentTimeMillis() + PATIENCE_MS;
            while (partitions(topic).stream().anyMatch(one -> consumer.position(one) < ends.get(one))) {
                check(System.currentTimeMillis() < deadline, "the end of " + topic + " is never reached");
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    values.add(record.value());
                }
            }
        }
        Collections.sort(values);
        return values;
    }

    static void send(KafkaProducer<String, String> producer, String topic, String value) {
        for (int partition = 0; partition < PARTITIONS; partition++) {
            producer.send(new ProducerRecord<>(topic, partition, value, value + "-" + partition));
        }
    }

    static List<String> values(String... names) {
        List<String> values = new ArrayList<>();
        for (String name : names) {
            IntStream.range(0, PARTITIONS).forEach(partition -> values.add(name + "-" + partition));
        }
        Collections.sort(values);
        return values;
    }

    void commit() throws Exception {
        create("commit.1", "commit.2");
        try (KafkaProducer<String, String> producer = producer("commit", 60_000)) {
            producer.beginTransaction();
            send(producer, "commit.1", "a");
            send(producer, "commit.2", "b");
            producer.commitTransaction();
        }
        eventually("the commit", () -> read("commit.1", "read_committed").equals(values("a")));
        eventually("the commit", () -> read("commit.2", "read_committed").equals(values("b")));
    }

    void abort() throws Exception {
        create("abort");
        try (KafkaProducer<String, String> producer = producer("abort", 60_000)) {
            for (int round = 0; round < 20; round++) {
                producer.beginTransaction();
                send(producer, "abort", (round % 2 == 0 ? "kept" : "dropped") + round);
                if (round % 2 == 0) {
                    producer.commitTransaction();
                } else {
                    producer.flush();
                    producer.abortTransaction();
                }
            }
            // One that wrote nothing.
            producer.beginTransaction();
            producer.abortTransaction();
            producer.beginTransaction();
            producer.commitTransaction();
        }
        String[] kept = IntStream.range(0, 10).mapToObj(number -> "kept" + 2 * number).toArray(String[]::new);
        eventually("what was kept", () -> read("abort", "read_committed").equals(values(kept)));
        equal(read("abort", "read_uncommitted").size(), 20 * PARTITIONS);
    }

    void open() throws Exception {
        create("open");
        try (KafkaProducer<String, String> producer = producer("open", 60_000)) {
            producer.beginTransaction();
            send(producer, "open", "a");
            producer.flush();
            equal(read("open", "read_committed"), List.of());
            equal(read("open", "read_uncommitted"), values("a"));
            producer.commitTransaction();
        }
        eventually("the commit", () -> read("open", "read_committed").equals(values("a")));
    }

    /** From transactions version 2 on each end gives the next epoch. */
    void epochs() throws Exception {
        create("epochs");
        try (KafkaProducer<String, String> producer = producer("epochs", 60_000)) {
            int before = describe("epochs").producerEpoch();
            for (int round = 0; round < 3; round++) {
                producer.beginTransaction();
                send(producer, "epochs", "a" + round);
                producer.commitTransaction();
            }
            eventually("the end", () -> describe("epochs").state() == TransactionState.COMPLETE_COMMIT);
            equal(describe("epochs").producerEpoch() - before, 3);
        }
    }

    void fence() throws Exception {
        create("fence");
        try (KafkaProducer<String, String> old = producer("fence", 60_000)) {
            old.beginTransaction();
            send(old, "fence", "old");
            old.flush();
            try (KafkaProducer<String, String> later = producer("fence", 60_000)) {
                later.beginTransaction();
                send(later, "fence", "later");
                later.commitTransaction();
            }
            check(isRefused(old::commitTransaction), "the fenced producer commits");
            check(isRefused(() -> {
                old.beginTransaction();
                send(old, "fence", "ghost");
                old.commitTransaction();
            }), "the fenced producer begins again");
        }
        eventually("the later one", () -> read("fence", "read_committed").equals(values("later")));
    }

    void timeout() throws Exception {
        create("timeout");
        try (KafkaProducer<String, String> slow = producer("timeout", 1_000)) {
            slow.beginTransaction();
            send(slow, "timeout", "slow");
            slow.flush();
            eventually("the abort", () -> describe("timeout").state() == TransactionState.COMPLETE_ABORT);
            check(isRefused(slow::commitTransaction), "what has timed out is committed");
        }
        equal(read("timeout", "read_committed"), List.of());
        try (KafkaProducer<String, String> next = producer("timeout", 60_000)) {
            next.beginTransaction();
            send(next, "timeout", "next");
            next.commitTransaction();
        }
        eventually("the next one", () -> read("timeout", "read_committed").equals(values("next")));
    }

    static boolean isRefused(Action action) throws Exception {
        try {
            action.run();
            return false;
        } catch (KafkaException error) {
            Throwable cause = error;
            while (cause != null) {
                if (cause instanceof ProducerFencedException || cause instanceof InvalidProducerEpochException
                    || cause instanceof InvalidTxnStateException || cause instanceof TransactionAbortableException) {
                    return true;
                }
                cause = cause.getCause();
            }
            throw error;
        }
    }

    TransactionDescription describe(String id) throws Exception {
        return admin.describeTransactions(List.of(id)).description(id).get();
    }

    void describe() throws Exception {
        create("admin");
        try (KafkaProducer<String, String> producer = producer("admin", 60_000)) {
            equal(describe("admin").state(), TransactionState.EMPTY);
            producer.beginTransaction();
            producer.send(new ProducerRecord<>("admin", 1, "k", "v")).get();
            TransactionDescription open = describe("admin");
            equal(open.state(), TransactionState.ONGOING);
            equal(open.topicPartitions(), Set.of(new TopicPartition("admin", 1)));
            equal(open.transactionTimeoutMs(), 60_000L);
            check(open.transactionStartTimeMs().isPresent(), "it has begun at some time");
            ProducerState state = admin.describeProducers(open.topicPartitions()).all().get()
                .get(new TopicPartition("admin", 1)).activeProducers().get(0);
            equal(state.producerId(), open.producerId());
            equal(state.currentTransactionStartOffset().getAsLong(), 0L);
            Set<String> ongoing = list(new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING)));
            equal(ongoing, Set.of("admin"));
            equal(list(new ListTransactionsOptions().filterOnTransactionalIdPattern("adm.*")), Set.of("admin"));
            equal(list(new ListTransactionsOptions().filterProducerIds(Set.of(open.producerId()))), Set.of("admin"));
            producer.abortTransaction();
        }
        eventually("the abort", () -> describe("admin").state() == TransactionState.COMPLETE_ABORT);
        equal(describe("admin").topicPartitions(), Set.of());
    }

    Set<String> list(ListTransactionsOptions options) throws Exception {
        return admin.listTransactions(options).all().get().stream().map(one -> one.transactionalId()).collect(Collectors.toSet());
    }

    /** Copies from one topic to another, with the offsets in the transactions; each third one is aborted and done again. */
    void copy(String name, Action between) throws Exception {
        int records = 300;
        create(name + ".in", name + ".out");
        Map<String, Object> settings = new HashMap<>(server);
        try (KafkaProducer<String, String> filler = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int number = 0; number < records; number++) {
                filler.send(new ProducerRecord<>(name + ".in", number % PARTITIONS, "k", String.format("%05d", number)));
            }
        }
        List<String> expected = IntStream.range(0, records).mapToObj(number -> String.format("%05d", number)).toList();
        try (KafkaProducer<String, String> producer = producer(name, 60_000);
             KafkaConsumer<String, String> consumer = consumer("read_committed", name)) {
            consumer.subscribe(List.of(name + ".in"));
            int round = 0;
            int copied = 0;
            boolean isDone = false;
            long deadline = System.currentTimeMillis() + 2 * PATIENCE_MS;
            while (copied < records) {
                check(System.currentTimeMillis() < deadline, "copied " + copied);
                ConsumerRecords<String, String> polled = consumer.poll(Duration.ofMillis(200));
                List<ConsumerRecord<String, String>> some = new ArrayList<>();
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (TopicPartition partition : polled.partitions()) {
                    List<ConsumerRecord<String, String>> of = polled.records(partition);
                    of = of.subList(0, Math.min(of.size(), 5));
                    some.addAll(of);
                    long next = of.get(of.size() - 1).offset() + 1;
                    offsets.put(partition, new OffsetAndMetadata(next));
                    consumer.seek(partition, next);
                }
                if (some.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                some.forEach(record -> producer.send(new ProducerRecord<>(name + ".out", record.partition(), "k", record.value())));
                producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                if (copied > records / 2 && !isDone) {
                    isDone = true;
                    producer.flush();
                    between.run();
                }
                if (round++ % 3 == 2) {
                    producer.abortTransaction();
                    some.stream().collect(Collectors.groupingBy(one -> new TopicPartition(one.topic(), one.partition())))
                        .forEach((partition, of) -> consumer.seek(partition, of.get(0).offset()));
                } else {
                    producer.commitTransaction();
                    copied += some.size();
                }
            }
        }
        eventually("the copy", () -> read(name + ".out", "read_committed").equals(expected));
        Map<TopicPartition, OffsetAndMetadata> committed = admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get();
        for (TopicPartition partition : partitions(name + ".in")) {
            equal(committed.get(partition).offset(), (long) records / PARTITIONS);
        }
    }

    void restart() throws Exception {
        Process process = new ProcessBuilder("bash", "-c", System.getenv("OTTLA_RESTART")).inheritIO().start();
        equal(process.waitFor(), 0);
    }
}
