import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.KeyValueStore;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.stream.Collectors;

/**
 * Lines of numbered words are counted while the broker is killed and instances come and go. Under at least once a count
 * may be too high but never too low, and no word is missing; the set of the lines in which a word was seen is the same
 * however often a line is read, so that it must become exact.
 */
public class WordCount {
    static final int LINES = 3_000;
    static final int WORDS_A_LINE = 6;
    static final int WORDS = 40;
    static final long PATIENCE_MS = 120_000;
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final String GROUP = "word-count";

    final Admin admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP));
    final Map<String, TreeSet<Integer>> wanted = new TreeMap<>();
    final Map<String, String> output = new TreeMap<>();
    final KafkaConsumer<String, String> reader = new KafkaConsumer<>(
        Map.of("bootstrap.servers", BOOTSTRAP, "auto.offset.reset", "earliest"), new StringDeserializer(), new StringDeserializer());
    final List<Throwable> failures = new ArrayList<>();
    int passed;

    interface Action {
        void run() throws Exception;
    }

    public static void main(String[] args) {
        WordCount count = new WordCount();
        boolean good = count.run();
        System.out.println(count.passed + " passed, " + (good ? 0 : 1) + " failed");
        System.exit(good ? 0 : 1);
    }

    boolean run() {
        KafkaStreams[] instances = new KafkaStreams[3];
        KafkaProducer<String, String> producer = new KafkaProducer<>(
            Map.of("bootstrap.servers", BOOTSTRAP, "delivery.timeout.ms", 120_000), new StringSerializer(), new StringSerializer());
        return step("topics", this::topics)
            && step("two instances", () -> {
                instances[0] = start("one");
                instances[1] = start("two");
                for (Future<?> future : send(producer, 0, 1000)) future.get();
                seen(500);
            })
            && step("the broker is killed", () -> {
                List<Future<?>> sent = send(producer, 1000, 2000);
                kill();
                for (Future<?> future : sent) future.get();
                seen(1500);
            })
            && step("an instance goes", () -> {
                if (!instances[0].close(Duration.ofSeconds(30))) throw new IllegalStateException("it does not end");
                seen(2000);
            })
            && step("the broker is killed again", () -> {
                List<Future<?>> sent = send(producer, 2000, LINES);
                kill();
                instances[2] = start("three");
                for (Future<?> future : sent) future.get();
            })
            && step("every line of every word, and no count too low", () -> seen(LINES))
            && step("what was read is committed", this::committed)
            && step("no instance failed", () -> {
                instances[1].close(Duration.ofSeconds(30));
                instances[2].close(Duration.ofSeconds(30));
                if (!failures.isEmpty()) throw new IllegalStateException("failed: " + failures, failures.get(0));
            })
            && step("the group is empty in the end", () -> until("the group is empty", () -> {
                var group = admin.describeConsumerGroups(List.of(GROUP)).all().get().get(GROUP);
                return group.groupState() == GroupState.EMPTY || group.members().isEmpty();
            }));
    }

    boolean step(String name, Action action) {
        try {
            action.run();
            passed++;
            System.out.println("PASS " + name);
            return true;
        } catch (Exception e) {
            System.out.println("FAIL " + name + ": " + e + " " + failures);
            e.printStackTrace(System.out);
            return false;
        }
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (!condition.call()) {
            if (System.currentTimeMillis() > end) throw new IllegalStateException("gave up waiting: " + what);
            Thread.sleep(20);
        }
    }

    void topics() throws Exception {
        admin.createTopics(List.of(new NewTopic("lines", 4, (short) 1), new NewTopic("counts", 1, (short) 1))).all().get();
        reader.assign(List.of(new TopicPartition("counts", 0)));
    }

    /** Line n: its number and its words. Its last word is in one line of ten only, and is missed if that line is. */
    static List<String> words(int n) {
        List<String> words = new ArrayList<>();
        for (int i = 0; i < WORDS_A_LINE - 1; i++) words.add("word" + (n * (i + 7) + i) % WORDS);
        words.add("rare" + n / 10);
        return words;
    }

    static ProducerRecord<String, String> line(int n) {
        return new ProducerRecord<>("lines", n % 4, null, n + " " + String.join(" ", words(n)));
    }

    List<Future<?>> send(KafkaProducer<String, String> producer, int from, int to) {
        List<Future<?>> sent = new ArrayList<>();
        for (int n = from; n < to; n++) {
            sent.add(producer.send(line(n)));
            for (String word : words(n)) wanted.computeIfAbsent(word, w -> new TreeSet<>()).add(n);
        }
        return sent;
    }

    static Topology topology() {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream("lines")
            .flatMap((key, line) -> {
                List<String> parts = Arrays.asList(line.split(" "));
                return parts.subList(1, parts.size()).stream().map(word -> KeyValue.pair(word, parts.get(0))).toList();
            })
            .groupByKey()
            // The count, then the lines.
            .aggregate(() -> "0", WordCount::counted, Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("counted"))
            .toStream().to("counts");
        return builder.build();
    }

    static String counted(String word, String line, String before) {
        List<String> parts = new ArrayList<>(Arrays.asList(before.split(" ")));
        parts.set(0, String.valueOf(Integer.parseInt(parts.get(0)) + 1));
        if (parts.lastIndexOf(line) < 1) parts.add(line);
        return String.join(" ", parts);
    }

    KafkaStreams start(String name) {
        Properties settings = new Properties();
        settings.putAll(Map.of("bootstrap.servers", BOOTSTRAP, "application.id", GROUP, "group.protocol", "classic",
            "processing.guarantee", "at_least_once", "state.dir", System.getenv("WORK") + "/state-" + name, "num.stream.threads", 2,
            "commit.interval.ms", 200, "default.key.serde", Serdes.StringSerde.class.getName(),
            "default.value.serde", Serdes.StringSerde.class.getName()));
        settings.put("client.id", name);
        settings.put("consumer.session.timeout.ms", 10_000);
        settings.put("consumer.auto.offset.reset", "earliest");
        KafkaStreams streams = new KafkaStreams(topology(), settings);
        streams.setUncaughtExceptionHandler(failure -> {
            failures.add(failure);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        return streams;
    }

    static void kill() throws Exception {
        int code = new ProcessBuilder("bash", "-c", System.getenv("BROKER_KILL")).inheritIO().start().waitFor();
        if (code != 0) throw new IllegalStateException("the broker does not come back");
    }

    /** Waits until the output has, of each word, all lines up to `to`, and no other ones; no count is too low. */
    void seen(int to) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        List<String> missing;
        do {
            for (ConsumerRecord<String, String> record : reader.poll(Duration.ofMillis(100))) output.put(record.key(), record.value());
            missing = missing(to);
            if (!failures.isEmpty()) throw new IllegalStateException("failed", failures.get(0));
        } while (!missing.isEmpty() && System.currentTimeMillis() < end);
        if (!missing.isEmpty()) throw new IllegalStateException(missing.size() + " words lack lines: " + missing.subList(0, Math.min(5, missing.size())));
        output.forEach((word, value) -> {
            List<String> parts = List.of(value.split(" "));
            TreeSet<Integer> lines = parts.stream().skip(1).map(Integer::valueOf).collect(Collectors.toCollection(TreeSet::new));
            if (!wanted.getOrDefault(word, new TreeSet<>()).containsAll(lines)) throw new IllegalStateException("invented: " + word + " in " + lines);
            if (Integer.parseInt(parts.get(0)) < lines.size()) throw new IllegalStateException("counted too little: " + word + " " + value);
        });
    }

    List<String> missing(int to) {
        List<String> missing = new ArrayList<>();
        wanted.forEach((word, lines) -> {
            TreeSet<Integer> rest = new TreeSet<>(lines.headSet(to));
            String value = output.get(word);
            if (value != null) Arrays.stream(value.split(" ")).skip(1).map(Integer::valueOf).forEach(rest::remove);
            if (!rest.isEmpty()) missing.add(word + " " + rest.first());
        });
        return missing;
    }

    void committed() throws Exception {
        until("all input is committed", () -> {
            var offsets = admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata(GROUP).get();
            long lines = offsets.entrySet().stream().filter(e -> e.getKey().topic().equals("lines")).mapToLong(e -> e.getValue().offset()).sum();
            return lines == LINES;
        });
    }
}
