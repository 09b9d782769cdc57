import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** Puts something of everything into a broker: first all of it, then a little more after each move. */
final class Load {
    /** Recent enough that nobody forgets the producers; old enough for what is written later to follow. */
    static final long START_MS = System.currentTimeMillis() - 12 * 3_600_000L;
    static final long MINUTE_MS = 60_000L;
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static final String CONFIGURED_GROUP = "configured-group";
    /** Of the transaction that is open while the files are moved. */
    static final String OPEN = "open-transaction";

    private final Admin admin;
    /** What Ottla has no API for, and the gaps that only Apache's compaction leaves. */
    private final boolean isApaches;
    private final Random random = new Random(11);
    /** Compacted logs are rolled by the time of their records, which has to go on. */
    private long compactedMinute;
    /** No time comes twice in a log that is looked up by time and begins in the middle: Kafka may look before its start. */
    private int rolledRounds;
    private final Map<String, Integer> partitionCounts = new HashMap<>(Map.of("plain", 2, "deleted", 2));

    Load(Admin admin, Set<ApiKeys> served) {
        this.admin = admin;
        this.isApaches = served.contains(ApiKeys.SHARE_GROUP_HEARTBEAT);
    }

    /** Everything, on an empty broker. Returns the producer id of the producer by hand. */
    long first() throws Exception {
        topics();
        for (String codec : CODECS) produce("plain", codec, 40, 0);
        for (String codec : CODECS) produce("stamped", codec, 10, 0);
        for (int round = 0; round < 3; round++) produce("rolled", "none", 120, 10_000);
        produce("grown", "lz4", 30, 0);
        produce("deleted", "none", 20, 0);
        produce("recreated", "none", 20, 0);
        admin.deleteTopics(List.of("deleted", "recreated")).all().get();
        admin.createTopics(List.of(topic("recreated", 1, Map.of()))).all().get();
        produce("recreated", "zstd", 5, 0);
        admin.createPartitions(Map.of("grown", NewPartitions.increaseTo(3))).all().get();
        partitionCounts.put("grown", 3);
        produce("grown", "gzip", 30, 0);
        admin.deleteRecords(Map.of(new TopicPartition("rolled", 0), RecordsToDelete.beforeOffset(203),
            new TopicPartition("plain", 1), RecordsToDelete.beforeOffset(7))).all().get();
        compactedMinute = 0;
        for (String codec : CODECS) produce("compacted", codec, 40, 100);
        transactions("transactions", 0);
        transactions("compacted-transactions", 0);
        compacted("compacted-transactions");
        compacted("compacted");
        if (isApaches) gap();
        configs();
        groups();
        if (isApaches) ofApacheOnly();
        long producerId = RawProducer.newId();
        for (int number = 0; number < 3; number++) RawProducer.send("by-hand", producerId, number);
        openTransaction();
        return producerId;
    }

    /** A little of everything on top; `round` counts the moves. */
    void more(int round) throws Exception {
        compactedMinute = 90 * round;
        rolledRounds = 4 * round;
        for (String codec : CODECS) {
            produce("plain", codec, 10, 0);
            produce("stamped", codec, 3, 0);
            produce("compacted", codec, 10, 0);
        }
        produce("rolled", "snappy", 40, 10_000);
        admin.createTopics(List.of(topic("round-" + round, 1, Map.of("retention.ms", "-1")))).all().get();
        produce("round-" + round, "zstd", 5, 0);
        resume("classic-group", "classic");
        resume("consumer-group", "consumer");
        set(ConfigResource.Type.TOPIC, "plain", "max.message.bytes", String.valueOf(900_000 + round));
        if (round > 1) admin.deleteTopics(List.of("round-" + (round - 1))).all().get();
        transactions("transactions", round);
        try (var producer = producer("none", OPEN)) {
            // Ends the transaction that was open.
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>("transactions", 0, START_MS, null, bytes("open no more, round " + round)));
            producer.commitTransaction();
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private NewTopic topic(String name, int partitions, Map<String, String> configs) {
        Map<String, String> all = new HashMap<>(configs);
        all.putIfAbsent("retention.ms", "-1");
        return new NewTopic(name, partitions, (short) 1).configs(all);
    }

    private void topics() throws Exception {
        admin.createTopics(List.of(
            topic("plain", 2, Map.of()),
            topic("stamped", 1, Map.of("message.timestamp.type", "LogAppendTime", "compression.type", "gzip")),
            topic("rolled", 1, Map.of("segment.bytes", "1048576", "index.interval.bytes", "1024")),
            topic("grown", 1, Map.of()), topic("deleted", 2, Map.of()), topic("recreated", 1, Map.of()), topic("by-hand", 1, Map.of()),
            topic("transactions", 2, Map.of("segment.ms", String.valueOf(MINUTE_MS))),
            topic("compacted", 1, compaction(MINUTE_MS)), topic("compacted-transactions", 1, compaction(1)))).all().get();
    }

    private static Map<String, String> compaction(long segmentMs) {
        return Map.of("cleanup.policy", "compact", "segment.ms", String.valueOf(segmentMs), "delete.retention.ms", "1", "min.cleanable.dirty.ratio", "0.01");
    }

    private KafkaProducer<byte[], byte[]> producer(String codec, String transactionalId) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", MovedDirs.BOOTSTRAP, "compression.type", codec, "linger.ms", 2));
        if (transactionalId != null) config.put("transactional.id", transactionalId);
        else config.put("enable.idempotence", !codec.equals("snappy"));
        if (OPEN.equals(transactionalId)) config.put("transaction.timeout.ms", 900_000);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Records with keys that repeat, some null; values of about `size` bytes, some null; doubled and empty headers. */
    private void produce(String topic, String codec, int count, int size) throws Exception {
        int partitions = partitionCounts.getOrDefault(topic, 1);
        boolean isCompacted = topic.equals("compacted");
        if (topic.equals("rolled")) rolledRounds++;
        try (var producer = producer(codec, null)) {
            for (int i = 0; i < count; i++) {
                byte[] key = i % 7 == 3 && !isCompacted ? null : bytes("key-" + i % 9);
                byte[] value = new byte[size];
                random.nextBytes(value);
                byte[] text = bytes(topic + " " + codec + " " + i + " ");
                if (size == 0) value = text;
                else System.arraycopy(text, 0, value, 0, text.length);
                if (i % 11 == 5) value = null;
                // Time goes back now and then, and on by days, so that compacted logs are rolled.
                long timestamp = START_MS + i * 1000L - (i % 13 == 12 ? 60_000 : 0) + (isCompacted ? compactedMinute * MINUTE_MS : 0)
                    + (topic.equals("rolled") ? rolledRounds * 10 * MINUTE_MS : 0);
                if (i % 5 == 4) compactedMinute += 2;
                producer.send(new ProducerRecord<>(topic, i % partitions, timestamp, key, value, i % 3 == 0 ? List.of()
                    : List.of(new RecordHeader("h", bytes("one")), new RecordHeader("h", null), new RecordHeader("", new byte[0]))));
                if (i % 4 == 3) producer.flush();
            }
        }
    }

    /** Waits until compaction has taken most records away. */
    private void compacted(String topic) throws Exception {
        var partition = new TopicPartition(topic, 0);
        try (var consumer = consumer("nobody", "classic")) {
            consumer.assign(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            MovedDirs.until("compaction", () -> {
                consumer.seekToBeginning(List.of(partition));
                long[] seen = {0};
                MovedDirs.until("the end", () -> {
                    seen[0] += consumer.poll(Duration.ofMillis(100)).count();
                    return consumer.position(partition) >= end;
                });
                return seen[0] < end / 2;
            });
        }
    }

    /**
     * Has compaction take away the last record of a segment that is too large to be joined with the next one: Kafka leaves
     * a gap between the two. The record is a tombstone, which goes in the second pass.
     */
    private void gap() throws Exception {
        var configs = new HashMap<>(compaction(MINUTE_MS));
        configs.putAll(Map.of("min.cleanable.dirty.ratio", "0", "segment.bytes", "1048576"));
        admin.createTopics(List.of(topic("compacted-gap", 1, configs))).all().get();
        var partition = new TopicPartition("compacted-gap", 0);
        int sent = 0;
        // Each minute has a segment of its own, and the last one is not compacted. Snappy is the codec without idempotence.
        try (var producer = producer("snappy", null); var consumer = consumer("nobody", "classic")) {
            consumer.assign(List.of(partition));
            for (int minute = 0; minute < 4; minute++) {
                for (int i = 0; i <= (minute < 2 ? 60 : 0); i++, sent++) {
                    byte[] value = new byte[10_000];
                    random.nextBytes(value);
                    if (sent == 60) value = null;
                    producer.send(new ProducerRecord<>("compacted-gap", 0, START_MS + 2 * minute * MINUTE_MS, bytes("key-" + sent), value));
                    producer.flush();
                }
            }
            while (isThere(consumer, partition, 60)) {
                producer.send(new ProducerRecord<>("compacted-gap", 0, START_MS + 2 * sent * MINUTE_MS / 10, bytes("key-" + sent++), bytes("more")));
                producer.flush();
            }
        }
    }

    private static boolean isThere(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, long offset) {
        consumer.seek(partition, offset);
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
        return records.isEmpty() || records.iterator().next().offset() == offset;
    }

    private void transactions(String topic, int round) throws Exception {
        for (int number = 0; number < 6; number++) {
            try (var one = producer("lz4", "one-" + number % 2); var other = producer("none", "other")) {
                one.initTransactions();
                other.initTransactions();
                one.beginTransaction();
                other.beginTransaction();
                for (int i = 0; i < 5; i++) {
                    send(one, topic, "one " + round + " " + number + " " + i, number);
                    send(other, topic, "other " + round + " " + number + " " + i, number);
                }
                one.flush();
                other.flush();
                var offsets = Map.of(new TopicPartition("plain", 0), new OffsetAndMetadata(10 * round + number, "transaction " + number));
                other.sendOffsetsToTransaction(offsets, new org.apache.kafka.clients.consumer.ConsumerGroupMetadata("transactional-group"));
                if (number % 3 == 2) one.commitTransaction();
                else one.abortTransaction();
                if (number % 2 == 0) other.commitTransaction();
                else other.abortTransaction();
            }
        }
    }

    private void send(KafkaProducer<byte[], byte[]> producer, String topic, String value, int number) {
        boolean isCompacted = topic.startsWith("compacted");
        // Markers bear the time of the broker: to be rolled, and so to be compacted, is what has such a time as well.
        long timestamp = isCompacted ? System.currentTimeMillis() : START_MS + number * MINUTE_MS;
        producer.send(new ProducerRecord<>(topic, isCompacted ? 0 : number % 2, timestamp, bytes("key-" + value.charAt(value.length() - 1)), bytes(value)));
    }

    /** Begins a transaction with records and offsets, and goes away without ending it. */
    private void openTransaction() throws Exception {
        var producer = producer("zstd", OPEN);
        producer.initTransactions();
        producer.beginTransaction();
        for (int i = 0; i < 5; i++) producer.send(new ProducerRecord<>("transactions", 0, START_MS, null, bytes("left open " + i)));
        producer.flush();
        producer.sendOffsetsToTransaction(Map.of(new TopicPartition("plain", 0), new OffsetAndMetadata(33, "pending")),
            new org.apache.kafka.clients.consumer.ConsumerGroupMetadata("transactional-group"));
        for (int i = 0; i < 5; i++) send(producer, "transactions", "closed never " + i, 0);
        producer.flush();
        // Not closed: that would abort it. The process ends.
    }

    private void set(ConfigResource.Type type, String name, String key, String value) throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(type, name), List.of(change))).all().get();
    }

    private void configs() throws Exception {
        set(ConfigResource.Type.TOPIC, "plain", "min.insync.replicas", "1");
        set(ConfigResource.Type.TOPIC, "plain", "flush.messages", "1000000");
        set(ConfigResource.Type.TOPIC, "grown", "cleanup.policy", "delete,compact");
        set(ConfigResource.Type.BROKER, "1", "log.segment.delete.delay.ms", "1000");
        set(ConfigResource.Type.BROKER, "", "message.max.bytes", "2000000");
        set(ConfigResource.Type.GROUP, CONFIGURED_GROUP, "consumer.session.timeout.ms", "50000");
    }

    private KafkaConsumer<byte[], byte[]> consumer(String group, String protocol) {
        Map<String, Object> config = Map.of("bootstrap.servers", MovedDirs.BOOTSTRAP, "group.id", group, "group.protocol", protocol,
            "enable.auto.commit", false, "auto.offset.reset", "earliest", "max.poll.records", 10);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private void groups() throws Exception {
        for (String group : List.of("classic-group", "gone-group")) resume(group, "classic");
        resume("consumer-group", "consumer");
        admin.alterConsumerGroupOffsets("simple-group", Map.of(new TopicPartition("plain", 1), new OffsetAndMetadata(9, java.util.Optional.of(0), "by hand"),
            new TopicPartition("grown", 2), new OffsetAndMetadata(1))).all().get();
        admin.deleteConsumerGroupOffsets("simple-group", Set.of(new TopicPartition("grown", 2))).all().get();
        admin.deleteConsumerGroups(List.of("gone-group")).all().get();
    }

    /** A member joins, gets records from where the group has come to, commits behind them, and leaves. */
    private void resume(String group, String protocol) throws Exception {
        var committed = new HashMap<TopicPartition, Long>();
        admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach((partition, offset) -> committed.put(partition, offset.offset()));
        try (var consumer = consumer(group, protocol)) {
            consumer.subscribe(List.of("plain"));
            List<ConsumerRecords<byte[], byte[]>> polled = new ArrayList<>();
            MovedDirs.until("records for " + group, () -> {
                var records = consumer.poll(Duration.ofMillis(100));
                polled.add(records);
                return !records.isEmpty();
            });
            var records = polled.get(polled.size() - 1);
            for (var partition : records.partitions()) {
                Long expected = committed.get(partition);
                long found = records.records(partition).get(0).offset();
                if (expected != null && found != expected) throw new IllegalStateException(group + " resumes " + partition + " at " + found + ", not at " + expected);
            }
            consumer.commitSync();
        }
    }

    private void ofApacheOnly() throws Exception {
        admin.createAcls(List.of(new AclBinding(new ResourcePattern(ResourceType.TOPIC, "plain", PatternType.PREFIXED),
            new AccessControlEntry("User:nobody", "*", AclOperation.READ, AclPermissionType.DENY)))).all().get();
        admin.alterClientQuotas(List.of(new ClientQuotaAlteration(new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, "slow")),
            List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 123456.0))))).all().get();
        admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("alice",
            new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret"))).all().get();
        set(ConfigResource.Type.GROUP, "share-group", "share.auto.offset.reset", "earliest");
        Map<String, Object> config = Map.of("bootstrap.servers", MovedDirs.BOOTSTRAP, "group.id", "share-group");
        try (var consumer = new KafkaShareConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of("grown"));
            MovedDirs.until("shared records", () -> !consumer.poll(Duration.ofMillis(100)).isEmpty());
            consumer.commitSync();
        }
    }
}
