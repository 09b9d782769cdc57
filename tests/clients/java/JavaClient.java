import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** Apache's own Java client in the scenario of README.md, and a few questions that only its admin client asks. */
public class JavaClient {
    static final int PARTITIONS = 3;
    static final int PER_BATCH = 12;
    static final long PATIENCE_MS = 20_000;
    static final String TOPIC = "java." + ProcessHandle.current().pid();
    static final String GROUP = "java-readers";

    final Map<String, Object> server = Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"));
    final Admin admin = Admin.create(server);
    final List<List<ProducerRecord<byte[], byte[]>>> log = new ArrayList<>();
    final long start = System.currentTimeMillis() - 3_600_000;
    int written;
    int passed;
    int failed;

    interface Action {
        void run() throws Exception;
    }

    public static void main(String[] args) {
        System.exit(new JavaClient().scenario() ? 0 : 1);
    }

    boolean scenario() {
        for (int p = 0; p < PARTITIONS; p++) log.add(new ArrayList<>());
        step("create", this::create);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            for (String acks : List.of("1", "all", "0")) step("produce " + codec + " acks=" + acks, () -> produce(codec, acks));
        }
        step("read", () -> compare(read(starts(0), ends()), starts(0), ends()));
        step("group", () -> compare(readAsGroup(halves()), starts(0), halves()));
        step("restart", JavaClient::restart);
        step("resume", () -> compare(readAsGroup(ends()), halves(), ends()));
        step("again", () -> compare(read(starts(0), ends()), starts(0), ends()));
        step("times", this::times);
        step("list_offsets", this::listOffsets);
        step("groups", this::groups);
        step("group_offsets", this::groupOffsets);
        step("delete_group", this::deleteGroup);
        step("delete_records", this::deleteRecords);
        step("partitions", this::morePartitions);
        step("delete_topic", this::deleteTopic);
        System.out.println(passed + " passed, " + failed + " failed");
        return failed == 0;
    }

    void step(String name, Action action) {
        try {
            if (failed >= 3) throw new IllegalStateException("not run after so many failures");
            action.run();
            passed++;
            System.out.println("PASS " + name);
        } catch (Exception e) {
            failed++;
            System.out.println("FAIL " + name + ": " + e);
        }
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        Exception last = null;
        while (System.currentTimeMillis() < end) {
            try {
                if (condition.call()) return;
            } catch (Exception e) {
                last = e;
            }
            Thread.sleep(20);
        }
        throw new IllegalStateException("gave up waiting: " + what, last);
    }

    static void equal(String what, Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) throw new IllegalStateException(what + ": " + got + " instead of " + wanted);
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
    }

    Map<Integer, Long> starts(long offset) {
        Map<Integer, Long> starts = new TreeMap<>();
        for (int p = 0; p < PARTITIONS; p++) starts.put(p, offset);
        return starts;
    }

    Map<Integer, Long> ends() {
        Map<Integer, Long> ends = new TreeMap<>();
        for (int p = 0; p < PARTITIONS; p++) ends.put(p, (long) log.get(p).size());
        return ends;
    }

    Map<Integer, Long> halves() {
        Map<Integer, Long> halves = ends();
        halves.replaceAll((p, end) -> end / 2);
        return halves;
    }

    static TopicPartition partition(int p) {
        return new TopicPartition(TOPIC, p);
    }

    void create() throws Exception {
        get(admin.createTopics(List.of(new NewTopic(TOPIC, PARTITIONS, (short) 1))).all());
        until("the topic has its partitions",
            () -> get(admin.describeTopics(List.of(TOPIC)).allTopicNames()).get(TOPIC).partitions().size() == PARTITIONS);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    ProducerRecord<byte[], byte[]> record(String codec, String acks, int i) {
        List<Header> headers = i % 4 == 3 ? List.of() : List.of(
            new RecordHeader("trace", bytes("one")), new RecordHeader("batch", bytes(codec + " " + acks)),
            new RecordHeader("trace", bytes("two")), new RecordHeader("empty", new byte[0]), new RecordHeader("null", null));
        byte[] key = i % 6 == 4 ? null : bytes("key-" + written % 7);
        byte[] value = i % 6 == 5 ? null : i % 6 == 2 ? new byte[0] : bytes((codec + " " + acks + " " + i + " ärger 日本 ").repeat(12));
        return new ProducerRecord<>(TOPIC, written % PARTITIONS, start + written++ * 1000L, key, value, headers);
    }

    void produce(String codec, String acks) throws Exception {
        Map<String, Object> config = new HashMap<>(server);
        config.putAll(Map.of("compression.type", codec, "acks", acks, "enable.idempotence", acks.equals("all"), "linger.ms", 50,
            "max.block.ms", PATIENCE_MS));
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < PER_BATCH; i++) {
                var record = record(codec, acks, i);
                log.get(record.partition()).add(record);
                sent.add(producer.send(record));
            }
            producer.flush();
            for (int i = 0; i < PER_BATCH; i++) {
                RecordMetadata metadata = get(sent.get(i));
                long back = (PER_BATCH - 1 - i) / PARTITIONS + 1;
                if (!acks.equals("0")) equal("offset in the answer", metadata.offset(), ends().get(metadata.partition()) - back);
            }
            // With acks=0 nobody says when the records are there.
            until("end offsets " + ends(), () -> offsets(OffsetSpec.latest()).equals(ends()));
        }
    }

    Map<Integer, Long> offsets(OffsetSpec spec) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        for (int p = 0; p < PARTITIONS; p++) asked.put(partition(p), spec);
        Map<Integer, Long> found = new TreeMap<>();
        for (Map.Entry<TopicPartition, ListOffsetsResultInfo> e : get(admin.listOffsets(asked).all()).entrySet()) {
            found.put(e.getKey().partition(), e.getValue().offset());
        }
        return found;
    }

    KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> settings) {
        Map<String, Object> config = new HashMap<>(server);
        config.putAll(Map.of("enable.auto.commit", false, "auto.offset.reset", "none", "default.api.timeout.ms", (int) PATIENCE_MS));
        config.putAll(settings);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    List<ConsumerRecord<byte[], byte[]>> read(Map<Integer, Long> starts, Map<Integer, Long> ends) throws Exception {
        try (var consumer = consumer(Map.of())) {
            consumer.assign(starts.keySet().stream().map(JavaClient::partition).toList());
            starts.forEach((p, offset) -> consumer.seek(partition(p), offset));
            return poll(consumer, ends);
        }
    }

    List<ConsumerRecord<byte[], byte[]>> readAsGroup(Map<Integer, Long> ends) throws Exception {
        try (var consumer = consumer(Map.of("group.id", GROUP, "auto.offset.reset", "earliest", "client.rack", "here"))) {
            consumer.subscribe(List.of(TOPIC));
            var records = poll(consumer, ends);
            Map<TopicPartition, OffsetAndMetadata> commit = new HashMap<>();
            ends.forEach((p, end) -> commit.put(partition(p), new OffsetAndMetadata(end, "to " + end)));
            consumer.commitSync(commit);
            return records;
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, Map<Integer, Long> ends) throws Exception {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        Map<Integer, Long> left = new HashMap<>(ends);
        until("all records are read", () -> {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                if (record.offset() < ends.get(record.partition())) records.add(record);
                if (record.offset() + 1 >= ends.get(record.partition())) left.remove(record.partition());
            }
            return left.isEmpty();
        });
        return records;
    }

    void compare(List<ConsumerRecord<byte[], byte[]>> got, Map<Integer, Long> starts, Map<Integer, Long> ends) {
        for (int p : starts.keySet()) {
            long offset = starts.get(p);
            for (ConsumerRecord<byte[], byte[]> record : got) {
                if (record.partition() == p) compare(record, offset++);
            }
            equal("end of what was read from partition " + p, offset, ends.get(p));
        }
    }

    void compare(ConsumerRecord<byte[], byte[]> got, long offset) {
        String where = "partition " + got.partition() + " offset " + offset + ": ";
        equal(where + "offset", got.offset(), offset);
        var wanted = log.get(got.partition()).get((int) offset);
        if (!Arrays.equals(got.key(), wanted.key())) throw new IllegalStateException(where + "another key");
        if (!Arrays.equals(got.value(), wanted.value())) throw new IllegalStateException(where + "another value");
        equal(where + "headers", Arrays.asList(got.headers().toArray()), Arrays.asList(wanted.headers().toArray()));
        equal(where + "timestamp", got.timestamp(), wanted.timestamp());
        equal(where + "timestamp type", got.timestampType(), TimestampType.CREATE_TIME);
        equal(where + "leader epoch", got.leaderEpoch().isPresent(), true);
    }

    static void restart() throws Exception {
        int code = new ProcessBuilder("bash", "-c", System.getenv("OTTLA_RESTART")).inheritIO().start().waitFor();
        equal("exit code of the restart", code, 0);
    }

    void times() throws Exception {
        int middle = log.get(1).size() / 2;
        long time = log.get(1).get(middle).timestamp();
        try (var consumer = consumer(Map.of())) {
            for (Map.Entry<Long, Long> e : Map.of(time, (long) middle, time + 1, middle + 1L, start - 5000, 0L).entrySet()) {
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition(1), e.getKey())).get(partition(1));
                equal("offset for a time", found.offset(), e.getValue());
                equal("its time", found.timestamp(), log.get(1).get((int) found.offset()).timestamp());
            }
            equal("after all", consumer.offsetsForTimes(Map.of(partition(1), start + written * 1000L)).get(partition(1)), null);
        }
        compare(read(Map.of(1, (long) middle), Map.of(1, middle + 1L)), Map.of(1, (long) middle), Map.of(1, middle + 1L));
    }

    /** The special timestamps, from -1 to -6. */
    void listOffsets() throws Exception {
        Map<Integer, Long> last = ends();
        last.replaceAll((p, end) -> end - 1);
        equal("latest", offsets(OffsetSpec.latest()), ends());
        equal("earliest", offsets(OffsetSpec.earliest()), starts(0));
        equal("of the greatest timestamp", offsets(OffsetSpec.maxTimestamp()), last);
        equal("earliest on this disk", offsets(OffsetSpec.earliestLocal()), starts(0));
        equal("latest in remote storage, which is not there", offsets(OffsetSpec.latestTiered()), starts(-1));
        equal("earliest not yet in remote storage", offsets(OffsetSpec.earliestPendingUpload()), starts(-1));
    }

    void groups() throws Exception {
        until("the group is listed", () -> listed());
        until("the group is empty",
            () -> get(admin.describeConsumerGroups(List.of(GROUP)).all()).get(GROUP).groupState() == GroupState.EMPTY);
    }

    boolean listed() throws Exception {
        return get(admin.listGroups().all()).stream().anyMatch(g -> g.groupId().equals(GROUP));
    }

    void groupOffsets() throws Exception {
        var offsets = get(admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata(GROUP));
        for (int p = 0; p < PARTITIONS; p++) {
            equal("committed offset", offsets.get(partition(p)).offset(), ends().get(p));
            equal("its metadata", offsets.get(partition(p)).metadata(), "to " + ends().get(p));
        }
        get(admin.alterConsumerGroupOffsets(GROUP, Map.of(partition(0), new OffsetAndMetadata(1))).all());
        get(admin.deleteConsumerGroupOffsets(GROUP, Set.of(partition(1))).all());
        offsets = get(admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata(GROUP));
        equal("altered offset", offsets.get(partition(0)).offset(), 1L);
        equal("deleted offset", offsets.get(partition(1)), null);
    }

    void deleteGroup() throws Exception {
        get(admin.deleteConsumerGroups(List.of(GROUP)).all());
        until("the group is gone", () -> !listed());
    }

    void deleteRecords() throws Exception {
        var result = admin.deleteRecords(Map.of(partition(2), RecordsToDelete.beforeOffset(5)));
        equal("low watermark", get(result.lowWatermarks().get(partition(2))).lowWatermark(), 5L);
        equal("first offset", offsets(OffsetSpec.earliest()).get(2), 5L);
        compare(read(Map.of(2, 5L), Map.of(2, 7L)), Map.of(2, 5L), Map.of(2, 7L));
    }

    void morePartitions() throws Exception {
        get(admin.createPartitions(Map.of(TOPIC, NewPartitions.increaseTo(PARTITIONS + 2))).all());
        until("there are more partitions",
            () -> get(admin.describeTopics(List.of(TOPIC)).allTopicNames()).get(TOPIC).partitions().size() == PARTITIONS + 2);
    }

    void deleteTopic() throws Exception {
        get(admin.deleteTopics(List.of(TOPIC)).all());
        until("the topic is gone", () -> !get(admin.listTopics().names()).contains(TOPIC));
    }
}
