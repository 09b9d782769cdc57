import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** Writes to all partitions of a topic until it is told to end, and knows where the acknowledged records end. */
class Feed {
    private final String topic;
    private final int partitions;
    private final KafkaProducer<String, String> producer;
    private final Thread thread = new Thread(this::run, "feed");
    private final Map<Integer, Long> ends = new ConcurrentHashMap<>();
    private volatile boolean ending;
    private volatile Exception error;

    Feed(String bootstrap, String topic, int partitions) {
        this.topic = topic;
        this.partitions = partitions;
        producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 5), new StringSerializer(), new StringSerializer());
        thread.start();
    }

    private void run() {
        try {
            for (int n = 0; !ending; n++) {
                for (int p = 0; p < partitions; p++) producer.send(new ProducerRecord<>(topic, p, null, topic + " " + n), this::acknowledged);
                // The pace of the records; nothing is awaited here.
                Thread.sleep(10);
            }
            producer.flush();
        } catch (Exception e) {
            error = e;
        }
        producer.close();
    }

    private void acknowledged(RecordMetadata metadata, Exception failure) {
        if (failure != null) error = failure;
        else ends.merge(metadata.partition(), metadata.offset() + 1, Math::max);
    }

    /** Ends the writing. Returns where each partition ends. */
    Map<TopicPartition, Long> end() throws Exception {
        ending = true;
        thread.join();
        if (error != null) throw new IllegalStateException("the producer failed", error);
        Map<TopicPartition, Long> result = new TreeMap<>(Scene.BY_PLACE);
        ends.forEach((p, end) -> result.put(new TopicPartition(topic, p), end));
        return result;
    }
}
