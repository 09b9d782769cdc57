import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Reads the output read_committed from its beginning and judges each record when it comes: the next one of a partition has
 * the next number, so that nothing is lost, doubled, reordered, or seen before it is committed.
 */
final class Output implements AutoCloseable {
    private final KafkaConsumer<String, String> consumer;
    private final int[] next;

    Output(String bootstrap, String topic, int partitions) {
        next = new int[partitions];
        consumer = new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap, "isolation.level", "read_committed"),
            new StringDeserializer(), new StringDeserializer());
        List<TopicPartition> all = IntStream.range(0, partitions).mapToObj(index -> new TopicPartition(topic, index)).toList();
        consumer.assign(all);
        consumer.seekToBeginning(all);
    }

    /** The number of the records that the input has in this place. */
    static String value(int partition, int number) {
        return partition + ":" + number;
    }

    /** Reads a little. Returns how many records have been read so far. */
    int read() {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(50))) {
            String wanted = value(record.partition(), next[record.partition()]++);
            if (!record.value().equals(wanted)) {
                throw new IllegalStateException(record.value() + " at offset " + record.offset() + " of " + record.topic() + "-"
                    + record.partition() + " where " + wanted + " belongs");
            }
        }
        return IntStream.of(next).sum();
    }

    /** Whether there is nothing behind what was read. */
    boolean isAtEnd() {
        return consumer.endOffsets(consumer.assignment()).entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }

    @Override
    public void close() {
        consumer.close();
    }
}
