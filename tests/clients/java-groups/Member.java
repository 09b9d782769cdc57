import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

import java.time.Duration;
import java.util.Collection;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** A consumer in a thread of its own, which polls, commits what it read, and tells the journal. */
class Member implements ConsumerRebalanceListener {
    final String name;
    /** Why it ended, if it did not do so by itself. */
    volatile Exception error;
    private final Journal journal;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Thread thread;
    private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();
    private volatile CloseOptions.GroupMembershipOperation end;
    private volatile boolean ending;

    /** `subscribe`: how the consumer subscribes, with this member as its listener. */
    Member(String name, Journal journal, Map<String, Object> settings, Subscribe subscribe) {
        this.name = name;
        this.journal = journal;
        consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        subscribe.with(consumer, this);
        thread = new Thread(this::run, name);
        thread.start();
    }

    Set<TopicPartition> owned() {
        return journal.of(name);
    }

    interface Subscribe {
        void with(KafkaConsumer<byte[], byte[]> consumer, ConsumerRebalanceListener listener);
    }

    private void run() {
        try {
            while (!ending) {
                for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) task.run();
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(50));
                journal.read(name, records);
                if (!records.isEmpty()) commit();
            }
        } catch (Exception e) {
            error = e;
            journal.crashed(name);
        }
        if (isCrash()) journal.crashed(name);
        consumer.close(end == null ? CloseOptions.timeout(Duration.ofSeconds(10)) : CloseOptions.groupMembershipOperation(end));
    }

    private void commit() {
        try {
            consumer.commitSync();
        } catch (RebalanceInProgressException e) {
            // What is given up is committed by the revocation, what stays with the next records or at the end.
        }
    }

    /** Has the consumer's thread do this between two polls, and waits until it is done. */
    void ask(Consumer<KafkaConsumer<byte[], byte[]>> task) {
        CompletableFuture<Void> done = new CompletableFuture<>();
        tasks.add(() -> {
            task.accept(consumer);
            done.complete(null);
        });
        done.orTimeout(Scene.PATIENCE_MS, TimeUnit.MILLISECONDS).join();
    }

    /** As the client closes by itself: a dynamic member leaves, a static one stays for a while. */
    void close() throws Exception {
        ending = true;
        thread.join();
    }

    /** Goes away without a word. */
    void crash() throws Exception {
        end = CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP;
        close();
    }

    /** Leaves for good, also if it is static. */
    void leave() throws Exception {
        end = CloseOptions.GroupMembershipOperation.LEAVE_GROUP;
        close();
    }

    private boolean isCrash() {
        return end == CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP;
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        journal.assigned(name, partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        if (isCrash()) return;
        if (!partitions.isEmpty()) consumer.commitSync();
        journal.revoked(name, partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        journal.lost(name, partitions);
    }
}
