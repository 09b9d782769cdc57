import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.internal.FileRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.coordinator.transaction.TransactionLog;
import org.apache.kafka.coordinator.transaction.generated.TransactionLogValue;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * Transactions that move with their files before they end: one is open, of two the end is decided and no marker is written.
 *
 * <p>{@code open DIR}: begins them on the broker. {@code prepare DIR}: its files are those of a stopped broker, and get the
 * records that a coordinator writes when a transaction is to end, as if it had been killed before the markers.
 * {@code judge DIR}: the next broker ends them as was decided, and lets the producer of the open one go on to commit.
 */
final class Prepared {
    static final String TOPIC = "prepared";
    static final int PARTITIONS = 2;
    static final List<String> IDS = List.of("committed", "to-commit", "to-abort", "open");
    static final byte PREPARE_COMMIT = 2;
    static final byte PREPARE_ABORT = 3;

    private Prepared() { }

    static void open(Admin admin) throws Exception {
        admin.createTopics(List.of(new NewTopic(TOPIC, PARTITIONS, (short) 1))).all().get();
        for (String id : IDS) {
            var producer = new KafkaProducer<>(Map.of("bootstrap.servers", MovedDirs.BOOTSTRAP, "transactional.id", id,
                "transaction.timeout.ms", 900_000, "compression.type", Load.CODECS.get(1 + IDS.indexOf(id))), new StringSerializer(), new StringSerializer());
            producer.initTransactions();
            producer.beginTransaction();
            for (int number = 0; number < 6; number++) producer.send(new ProducerRecord<>(TOPIC, number % PARTITIONS, id, id + " " + number));
            producer.sendOffsetsToTransaction(Map.of(new TopicPartition(TOPIC, 0), new OffsetAndMetadata(33)), new ConsumerGroupMetadata(group(id)));
            producer.flush();
            if (id.equals("committed")) producer.commitTransaction();
            // Not closed: that would abort it.
        }
    }

    private static String group(String id) {
        return "group-of-" + id;
    }

    static void prepare(Path dir) throws Exception {
        prepare(dir, "to-commit", PREPARE_COMMIT);
        prepare(dir, "to-abort", PREPARE_ABORT);
    }

    /** Appends to the log of the id's coordinator what it writes at an EndTxn under transaction.version 2. */
    private static void prepare(Path dir, String id, byte status) throws Exception {
        byte[] key = TransactionLog.keyToBytes(id);
        File log = newest(dir.resolve("data"), key);
        TransactionLogValue value = null;
        int leaderEpoch = 0;
        long next = 0;
        try (FileRecords records = FileRecords.open(log, false)) {
            for (RecordBatch batch : records.batches()) {
                leaderEpoch = batch.partitionLeaderEpoch();
                next = batch.nextOffset();
                for (Record record : batch) {
                    if (!isOf(record, key)) continue;
                    ByteBuffer bytes = record.value();
                    short version = bytes.getShort();
                    value = new TransactionLogValue(new ByteBufferAccessor(bytes), version);
                }
            }
        }
        if (value.transactionStatus() != 1) throw new IllegalStateException(id + " is not open: " + value);
        value.setTransactionStatus(status).setPreviousProducerId(value.producerId()).setProducerEpoch((short) (value.producerEpoch() + 1))
            .setClientTransactionVersion((short) 2).setTransactionLastUpdateTimestampMs(System.currentTimeMillis());
        byte[] bytes = MessageUtil.toVersionPrefixedBytes((short) 1, value);
        MemoryRecords added = MemoryRecords.withRecords(next, Compression.NONE, leaderEpoch, new SimpleRecord(System.currentTimeMillis(), key, bytes));
        ByteBuffer buffer = added.buffer();
        byte[] batch = new byte[buffer.remaining()];
        buffer.get(batch);
        Files.write(log.toPath(), batch, StandardOpenOption.APPEND);
    }

    private static boolean isOf(Record record, byte[] key) {
        byte[] found = new byte[record.keySize()];
        record.key().get(found);
        return Arrays.equals(found, key);
    }

    /** The log that has the id. None is rolled here. */
    private static File newest(Path data, byte[] key) throws Exception {
        for (int partition = 0; ; partition++) {
            File log = data.resolve("__transaction_state-" + partition + "/00000000000000000000.log").toFile();
            if (!log.exists()) throw new IllegalStateException("no coordinator has it");
            try (FileRecords records = FileRecords.open(log, false)) {
                for (RecordBatch batch : records.batches()) {
                    for (Record record : batch) if (isOf(record, key)) return log;
                }
            }
        }
    }

    static void judge(Admin admin) throws Exception {
        Map<String, TransactionState> wanted = new HashMap<>(Map.of("to-commit", TransactionState.COMPLETE_COMMIT,
            "to-abort", TransactionState.COMPLETE_ABORT, "open", TransactionState.ONGOING, "committed", TransactionState.COMPLETE_COMMIT));
        Map<String, TransactionState> states = new HashMap<>();
        MovedDirs.until("what was decided", () -> {
            states.clear();
            admin.describeTransactions(IDS).all().get().forEach((id, one) -> states.put(id, one.state()));
            return states.equals(wanted);
        });
        MovedDirs.verdict(true, "what was decided is done: " + states);
        read(admin, "while one is open", "committed", "to-commit");
        for (String id : IDS) offset(admin, id, id.equals("committed") || id.equals("to-commit"));
        // The one that is open is aborted by its next producer, and all others go on too.
        for (String id : IDS) {
            try (var producer = new KafkaProducer<>(Map.of("bootstrap.servers", MovedDirs.BOOTSTRAP, "transactional.id", id),
                new StringSerializer(), new StringSerializer())) {
                producer.initTransactions();
                producer.beginTransaction();
                for (int number = 6; number < 12; number++) producer.send(new ProducerRecord<>(TOPIC, number % PARTITIONS, id, id + " again"));
                producer.commitTransaction();
            }
        }
        Map<TopicPartition, Long> stable = ends(admin, IsolationLevel.READ_COMMITTED);
        MovedDirs.until("the last stable offset is the end", () -> {
            stable.putAll(ends(admin, IsolationLevel.READ_COMMITTED));
            return stable.equals(ends(admin, IsolationLevel.READ_UNCOMMITTED));
        });
        read(admin, "in the end", "committed", "to-commit", "committed again", "open again", "to-abort again", "to-commit again");
    }

    private static void offset(Admin admin, String id, boolean isCommitted) throws Exception {
        // Of one that is open the offset is not told, as long as stable ones are wanted.
        var options = new ListConsumerGroupOffsetsOptions().requireStable(!id.equals("open"));
        var found = admin.listConsumerGroupOffsets(group(id), options).partitionsToOffsetAndMetadata().get().get(new TopicPartition(TOPIC, 0));
        MovedDirs.verdict(isCommitted == (found != null && found.offset() == 33), "offsets of " + id + " " + (isCommitted ? "count" : "do not count") + ": " + found);
    }

    private static Map<TopicPartition, Long> ends(Admin admin, IsolationLevel level) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        for (int index = 0; index < PARTITIONS; index++) asked.put(new TopicPartition(TOPIC, index), OffsetSpec.latest());
        Map<TopicPartition, Long> found = new HashMap<>();
        admin.listOffsets(asked, new ListOffsetsOptions(level)).all().get().forEach((partition, end) -> found.put(partition, end.offset()));
        return found;
    }

    /** What is read read_committed up to the last stable offset: which ids have records, or of which numbers. */
    private static void read(Admin admin, String when, String... wanted) throws Exception {
        Map<TopicPartition, Long> ends = ends(admin, IsolationLevel.READ_COMMITTED);
        TreeSet<String> found = new TreeSet<>();
        int[] count = {0};
        try (var consumer = new KafkaConsumer<>(Map.of("bootstrap.servers", MovedDirs.BOOTSTRAP, "isolation.level", "read_committed"),
            new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(ends.keySet());
            consumer.seekToBeginning(ends.keySet());
            MovedDirs.until("all is read", () -> {
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    found.add(record.value().replaceAll(" [0-9]+$", ""));
                    count[0]++;
                }
                return ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
            });
        }
        boolean isAll = found.equals(new TreeSet<>(List.of(wanted))) && count[0] == 6 * wanted.length;
        // What is open hides what was written behind it.
        MovedDirs.verdict(isAll, "committed " + when + ": " + found + ", " + count[0] + " records");
    }
}
