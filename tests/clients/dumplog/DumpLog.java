import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.internals.Exit;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Judges the files of a broker with Apache's DumpLogSegments, which tells of corruption in its output only.
 *
 * <p>{@code work N}: load number N on the broker at BOOTSTRAP, so that there are files of every kind to look at.
 * {@code check DIR [KIND...]}: dumps every file of a data directory of a stopped broker, and tells of those with
 * complaints; files of these kinds must be there. What {@code work} wrote must be there if its topic is.
 */
public class DumpLog {
    static final int PER_CODEC = 100;
    /**
     * Of a compacted log that is no complaint. The tool calls each segment that does not begin at 0 non-consecutive:
     * neither is "-1 is followed by 250".
     */
    static final Pattern GAP = Pattern.compile("^ *[0-9]+ is followed by");
    static final Pattern COMPRESSION = Pattern.compile("compresscodec: (\\w+)");
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static final Pattern COMPLAINT = Pattern.compile("invalid bytes at the end|Mismatches in|not found in :"
        + "|out of order timestamp|timestamp mismatch|isvalid: false|Error at|Failed to|Could not|Exception|corrupt(?!Record)");

    public static void main(String[] args) throws Exception {
        if (args[0].equals("work")) {
            work(Integer.parseInt(args[1]));
            // With a producer whose transaction stays open.
            Runtime.getRuntime().halt(0);
        } else {
            System.exit(check(Path.of(args[1]), List.of(args).subList(2, args.length)) ? 0 : 1);
        }
    }

    static void work(int round) throws Exception {
        Map<String, Object> server = Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"));
        try (Admin admin = Admin.create(server)) {
            if (round == 1) {
                // The smallest segments that Kafka allows, so that some are rolled.
                var small = Map.of("segment.bytes", "1048576", "index.interval.bytes", "1024");
                admin.createTopics(List.of(new NewTopic("dumped", 2, (short) 1).configs(small), new NewTopic("gone", 2, (short) 1))).all().get();
            }
            for (String codec : CODECS) produce(server, codec);
            commit(server, round);
            transactions(server, round);
            if (round == 1) {
                var topic = new ConfigResource(ConfigResource.Type.TOPIC, "dumped");
                var change = new AlterConfigOp(new ConfigEntry("retention.ms", "86400000"), AlterConfigOp.OpType.SET);
                admin.incrementalAlterConfigs(Map.of(topic, List.of(change))).all().get();
                admin.deleteRecords(Map.of(new TopicPartition("dumped", 1), RecordsToDelete.beforeOffset(7))).all().get();
                admin.deleteTopics(List.of("gone")).all().get();
            }
            // Enough records for a snapshot of the metadata log: see broker.properties.
            List<NewTopic> many = new ArrayList<>();
            for (int i = 0; i < 20; i++) many.add(new NewTopic("many-" + round + "-" + i, 1, (short) 1));
            admin.createTopics(many).all().get();
        }
    }

    static void produce(Map<String, Object> server, String codec) throws Exception {
        Map<String, Object> config = new TreeMap<>(server);
        config.putAll(Map.of("compression.type", codec, "linger.ms", 5, "batch.size", 65536));
        Random random = new Random(7);
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < PER_CODEC; i++) {
                String value = i % 10 == 9 ? null : (codec + i + Long.toString(random.nextLong(), 36)).repeat(1000);
                producer.send(new ProducerRecord<>("dumped", i % 2, i % 5 == 0 ? null : "key" + i, value,
                    List.of(new RecordHeader("h", new byte[] {1}), new RecordHeader("h", null))));
            }
        }
    }

    static void commit(Map<String, Object> server, int round) {
        Map<String, Object> config = new TreeMap<>(server);
        config.putAll(Map.of("group.id", "dumping", "auto.offset.reset", "earliest", "enable.auto.commit", false));
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("dumped"));
            long end = System.currentTimeMillis() + 20_000;
            while (consumer.poll(Duration.ofMillis(200)).isEmpty()) {
                if (System.currentTimeMillis() > end) throw new IllegalStateException("no records in 20 s");
            }
            consumer.commitSync(Map.of(new TopicPartition("dumped", 0), new OffsetAndMetadata(round, "round " + round)));
        }
    }

    /** One that is committed, with an offset, one that is aborted, and in the end one that stays open. */
    static void transactions(Map<String, Object> server, int round) throws Exception {
        for (String end : List.of("commit", "abort", "open")) {
            Map<String, Object> config = new TreeMap<>(server);
            config.put("transactional.id", "dumped-" + end + (end.equals("open") ? round : ""));
            var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
            producer.initTransactions();
            producer.beginTransaction();
            for (int i = 0; i < 20; i++) producer.send(new ProducerRecord<>("in-transactions", i % 2, "key" + i, end + " " + i));
            producer.sendOffsetsToTransaction(Map.of(new TopicPartition("dumped", 1), new OffsetAndMetadata(round)),
                new ConsumerGroupMetadata("dumping-in-transactions"));
            producer.flush();
            // One that is not ended may not be closed either: that would abort it.
            if (end.equals("open")) continue;
            if (end.equals("commit")) producer.commitTransaction();
            else producer.abortTransaction();
            producer.close();
        }
    }

    static boolean check(Path directory, List<String> wantedKinds) throws Exception {
        String allow = System.getenv("DUMPLOG_ALLOW");
        List<Pattern> allowed = allow == null ? List.of() : Files.readAllLines(Path.of(allow)).stream()
            .filter(line -> !line.startsWith("#")).map(Pattern::compile).toList();
        Map<String, Integer> kinds = new TreeMap<>();
        Set<String> codecs = new TreeSet<>();
        int failed = 0;
        int records = 0;
        int segments = 0;
        int passed = 0;
        List<Path> files;
        try (Stream<Path> walk = Files.walk(directory)) {
            files = walk.filter(Files::isRegularFile).sorted().toList();
        }
        for (Path file : files) {
            String partition = file.getParent().getFileName().toString();
            String kind = file.toString().replaceAll("^.*\\.", ".");
            if (!List.of(".log", ".index", ".timeindex", ".snapshot", ".txnindex", ".checkpoint").contains(kind)) continue;
            // What is about to be deleted need not be in order any more.
            if (partition.endsWith("-delete") || file.endsWith("bootstrap.checkpoint")) continue;
            kinds.merge(kind, 1, Integer::sum);
            List<String> complaints = new ArrayList<>();
            for (String options : options(partition, kind)) {
                String printed = dump(file, options);
                boolean mayHaveGaps = partition.startsWith("compacted");
                printed.lines().filter(line -> COMPLAINT.matcher(line).find() || !mayHaveGaps && GAP.matcher(line).find()).limit(3).forEach(complaints::add);
                if (kind.equals(".log") && partition.equals("dumped-0")) segments++;
                COMPRESSION.matcher(printed).results().forEach(found -> codecs.add(found.group(1).toUpperCase()));
                if (kind.equals(".log") && partition.startsWith("dumped-")) records += count(printed, "(?m)^\\| offset: ");
                // An intact empty index prints nothing about its entries; of a log there is always the name at least.
                if (printed.isBlank()) complaints.add("nothing printed");
            }
            String line = directory.relativize(file) + ": " + String.join(" / ", complaints);
            if (complaints.isEmpty()) {
                passed++;
            } else if (allowed.stream().anyMatch(pattern -> pattern.matcher(line).find())) {
                System.out.println("allowed: " + line);
            } else {
                failed++;
                System.out.println("FAIL " + line);
            }
        }
        System.out.println("PASS " + passed + " files are clean, of the kinds " + kinds);
        for (String kind : wantedKinds) {
            if (!kinds.containsKey(kind)) {
                failed++;
                System.out.println("FAIL kinds: there is no " + kind);
            }
        }
        for (String codec : CODECS) {
            if (wantedKinds.isEmpty() || codecs.contains(codec.toUpperCase())) continue;
            failed++;
            System.out.println("FAIL codecs: there is no batch in " + codec);
        }
        if (!Files.exists(directory.resolve("dumped-0"))) return failed == 0;
        if (segments < 2) {
            failed++;
            System.out.println("FAIL segments: nothing was rolled");
        }
        int wanted = 2 * CODECS.size() * PER_CODEC;
        // Records may have been deleted before an offset, and with them a whole segment.
        if (records < wanted - 7 || records > wanted) {
            failed++;
            System.out.println("FAIL records: " + records + " dumped, " + wanted + " written");
        } else {
            System.out.println("PASS records: " + records + " dumped");
        }
        return failed == 0;
    }

    static List<String> options(String partition, String kind) {
        if (kind.endsWith("index") && !kind.equals(".txnindex")) return List.of("", "--index-sanity-check");
        if (!kind.equals(".log") && !kind.equals(".checkpoint")) return List.of("");
        if (partition.startsWith("__consumer_offsets-")) return List.of("--offsets-decoder");
        if (partition.startsWith("__transaction_state-")) return List.of("--transaction-log-decoder");
        if (partition.startsWith("__share_group_state-")) return List.of("--share-group-state-decoder");
        if (partition.equals("__cluster_metadata-0")) return List.of("--cluster-metadata-decoder");
        return List.of("--deep-iteration --print-data-log");
    }

    static String dump(Path file, String options) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream captured = new PrintStream(bytes, true, StandardCharsets.UTF_8);
        PrintStream out = System.out;
        PrintStream err = System.err;
        Exit.setExitProcedure((status, message) -> {
            if (status != 0) captured.println("Exception: exit code " + status + " " + message);
            throw new IllegalStateException("exit");
        });
        System.setOut(captured);
        System.setErr(captured);
        try {
            org.apache.kafka.tools.DumpLogSegments.main(("--files " + file + " " + options).strip().split(" "));
        } catch (Throwable e) {
            captured.println("Exception: " + e);
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        return bytes.toString(StandardCharsets.UTF_8);
    }

    static int count(String text, String pattern) {
        return (int) Pattern.compile(pattern).matcher(text).results().count();
    }
}
