import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Copies a topic in transactions of a few records, each with the offsets it has read up to; aborts one in three. Does what
 * Apache's TransactionalMessageCopier does, in the group protocol that it is told.
 *
 * <p>Arguments: input, output, group, transactional id, group protocol, records in a transaction.
 */
public final class Copier {
    /** Longer than a broker may be away: a copier that is fenced by its timeout ends. */
    static final int TRANSACTION_TIMEOUT_MS = 60_000;

    private final String input;
    private final String output;
    private final Random random = new Random();
    private final KafkaConsumer<String, String> consumer;
    private final KafkaProducer<String, String> producer;

    private Copier(String[] args) {
        input = args[0];
        output = args[1];
        String bootstrap = System.getenv("BOOTSTRAP");
        Map<String, Object> reading = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "group.id", args[2], "group.protocol", args[4],
            "isolation.level", "read_committed", "max.poll.records", args[5], "enable.auto.commit", false, "auto.offset.reset", "earliest"));
        if (args[4].equals("classic")) reading.put("session.timeout.ms", 10_000);
        consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new StringDeserializer());
        // Small batches: several requests of one transaction are under way at the same time.
        producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap, "transactional.id", args[3], "batch.size", 256,
            "transaction.timeout.ms", TRANSACTION_TIMEOUT_MS), new StringSerializer(), new StringSerializer());
    }

    public static void main(String[] args) {
        int code = 0;
        try {
            new Copier(args).copy();
        } catch (Exception e) {
            e.printStackTrace();
            code = 1;
        }
        System.exit(code);
    }

    private void copy() {
        producer.initTransactions();
        consumer.subscribe(List.of(input));
        while (true) {
            ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
            if (records.isEmpty()) continue;
            try {
                copy(records);
            } catch (ProducerFencedException | InvalidProducerEpochException e) {
                throw e;
            } catch (KafkaException e) {
                System.out.println("aborts after " + e);
                abort();
            }
        }
    }

    private void copy(ConsumerRecords<String, String> records) {
        producer.beginTransaction();
        for (ConsumerRecord<String, String> record : records) {
            producer.send(new ProducerRecord<>(output, record.partition(), record.key(), record.value()));
        }
        producer.sendOffsetsToTransaction(records.nextOffsets(), consumer.groupMetadata());
        if (random.nextInt(3) == 0) abort();
        else producer.commitTransaction();
    }

    /** Aborts, and reads again from where the group is. */
    private void abort() {
        producer.abortTransaction();
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
        for (TopicPartition partition : consumer.assignment()) {
            OffsetAndMetadata offset = committed.get(partition);
            if (offset == null) consumer.seekToBeginning(List.of(partition));
            else consumer.seek(partition, offset.offset());
        }
    }
}
