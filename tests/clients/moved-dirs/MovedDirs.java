import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.message.ApiVersionsRequestData;
import org.apache.kafka.common.message.ApiVersionsResponseData;
import org.apache.kafka.common.protocol.ApiKeys;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;

/**
 * Looks at a broker before and after its files have moved to another one.
 *
 * <p>{@code load DIR}: fills a new broker. {@code move DIR ROUND}: compares what it serves with what the one before did,
 * then adds something. Both leave in DIR what the next one has to serve. {@code open}, {@code prepare}, {@code judge}: see
 * {@link Prepared}. Prints a PASS or FAIL line for each question.
 */
public final class MovedDirs {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final int PATIENCE_S = 60;
    private static int failed;

    private MovedDirs() { }

    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[1]);
        if (args[0].equals("prepare")) {
            Prepared.prepare(dir);
            return;
        }
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP))) {
            Set<ApiKeys> served = served();
            switch (args[0]) {
                case "open" -> Prepared.open(admin);
                case "judge" -> Prepared.judge(admin);
                default -> look(args, dir, admin, served);
            }
        }
        // An open transaction would be aborted by closing its producer.
        Runtime.getRuntime().halt(failed == 0 ? 0 : 1);
    }

    private static void look(String[] args, Path dir, Admin admin, Set<ApiKeys> served) throws Exception {
        Load load = new Load(admin, served);
        if (args[0].equals("load")) {
            long producerId = load.first();
            Files.writeString(dir.resolve("producer"), producerId + " 3");
        } else {
            compare(dir, State.take(admin, served), served);
            producerIds(dir);
            load.more(Integer.parseInt(args[2]));
        }
        note(dir, State.take(admin, served), served);
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + PATIENCE_S * 1_000_000_000L;
        while (!condition.call()) {
            if (System.nanoTime() > end) throw new IllegalStateException("gave up waiting: " + what);
            Thread.sleep(20);
        }
    }

    static void verdict(boolean isGood, String what) {
        System.out.println((isGood ? "PASS " : "FAIL ") + what);
        if (!isGood) failed++;
    }

    private static Set<ApiKeys> served() throws Exception {
        var answer = (ApiVersionsResponseData) RawProducer.ask(ApiKeys.API_VERSIONS, 3,
            new ApiVersionsRequestData().setClientSoftwareName("raw").setClientSoftwareVersion("1"));
        Set<ApiKeys> served = EnumSet.noneOf(ApiKeys.class);
        answer.apiKeys().forEach(api -> {
            if (ApiKeys.hasId(api.apiKey())) served.add(ApiKeys.forId(api.apiKey()));
        });
        return served;
    }

    /** Compares kind by kind; what the broker before or this one cannot tell is compared with who could tell it last. */
    private static void compare(Path dir, TreeSet<String> now, Set<ApiKeys> served) throws Exception {
        Map<String, TreeSet<String>> before = byKind(new TreeSet<>(Files.readAllLines(dir.resolve("state"))));
        Map<String, TreeSet<String>> after = byKind(now);
        Set<String> kinds = new TreeSet<>(before.keySet());
        kinds.addAll(after.keySet());
        kinds.removeIf(kind -> !tells(served, kind));
        for (String kind : kinds) {
            TreeSet<String> missing = new TreeSet<>(before.getOrDefault(kind, new TreeSet<>()));
            TreeSet<String> added = new TreeSet<>(after.getOrDefault(kind, new TreeSet<>()));
            int count = missing.size();
            TreeSet<String> both = new TreeSet<>(missing);
            missing.removeAll(added);
            added.removeAll(both);
            verdict(missing.isEmpty() && added.isEmpty(), "the same " + kind + ": " + count + ", of which " + missing.size() + " are missing; "
                + added.size() + " are new");
            missing.stream().limit(8).forEach(line -> System.out.println("     - " + line));
            added.stream().limit(8).forEach(line -> System.out.println("     + " + line));
        }
    }

    private static boolean tells(Set<ApiKeys> served, String kind) {
        return switch (kind) {
            case "acl" -> served.contains(ApiKeys.CREATE_ACLS);
            case "quota" -> served.contains(ApiKeys.DESCRIBE_CLIENT_QUOTAS);
            case "scram" -> served.contains(ApiKeys.DESCRIBE_USER_SCRAM_CREDENTIALS);
            case "transaction" -> served.contains(ApiKeys.LIST_TRANSACTIONS);
            case "share" -> served.contains(ApiKeys.DESCRIBE_SHARE_GROUP_OFFSETS);
            default -> true;
        };
    }

    private static Map<String, TreeSet<String>> byKind(TreeSet<String> lines) {
        Map<String, TreeSet<String>> kinds = new TreeMap<>();
        for (String line : lines) kinds.computeIfAbsent(line.substring(0, line.indexOf(' ')), kind -> new TreeSet<>()).add(line);
        return kinds;
    }

    /** What the next broker must serve; what this one cannot tell is still to be served by one that can. */
    private static void note(Path dir, TreeSet<String> state, Set<ApiKeys> served) throws Exception {
        Path file = dir.resolve("state");
        if (Files.exists(file)) {
            byKind(new TreeSet<>(Files.readAllLines(file))).forEach((kind, lines) -> {
                if (!tells(served, kind)) state.addAll(lines);
            });
        }
        Files.write(file, state);
        System.out.println("noted: " + new TreeMap<>(Map.copyOf(counts(state))));
    }

    private static Map<String, Integer> counts(TreeSet<String> state) {
        Map<String, Integer> counts = new TreeMap<>();
        byKind(state).forEach((kind, lines) -> counts.put(kind, lines.size()));
        return counts;
    }

    /** The producer by hand goes on where it was; a new one gets an id that nobody has had. */
    private static void producerIds(Path dir) throws Exception {
        Path file = dir.resolve("producer");
        String[] words = Files.readString(file).split(" ");
        long producerId = Long.parseLong(words[0]);
        int sent = Integer.parseInt(words[1]);
        // Of the batches before the last one a snapshot of the producers says nothing.
        long again = RawProducer.send("by-hand", producerId, sent - 1);
        verdict(again == (sent - 1) * RawProducer.COUNT, "a batch sent again has its old offset: " + again);
        verdict(RawProducer.send("by-hand", producerId, sent + 1) == -45, "a gap in the sequence is refused");
        long offset = RawProducer.send("by-hand", producerId, sent);
        verdict(offset == sent * RawProducer.COUNT, "the next batch is appended: " + offset);
        Files.writeString(file, producerId + " " + (sent + 1));
        List<Long> used = new ArrayList<>();
        for (String line : Files.readAllLines(dir.resolve("state"))) {
            if (line.startsWith("producer ")) used.add(Long.parseLong(line.split(" ")[2]));
        }
        long fresh = RawProducer.newId();
        verdict(used.stream().allMatch(id -> id < fresh), "a new producer id is above all others: " + fresh + " after " + used.stream().max(Long::compare).orElse(-1L));
    }
}
