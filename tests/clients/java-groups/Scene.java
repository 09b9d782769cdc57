import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;

import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** The broker, its admin, and what can be asked and awaited of a group. */
class Scene {
    static final long PATIENCE_MS = 60_000;
    static final int PARTITIONS = 6;
    static final Comparator<TopicPartition> BY_PLACE = Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition);

    /** How a member takes part. */
    enum Kind {
        EAGER(Map.of("group.protocol", "classic", "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor")),
        COOPERATIVE(Map.of("group.protocol", "classic", "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor")),
        CONSUMER(Map.of("group.protocol", "consumer"));

        final Map<String, Object> settings;

        Kind(Map<String, Object> settings) {
            this.settings = settings;
        }

        @Override
        public String toString() {
            return name().toLowerCase();
        }
    }

    final String bootstrap = System.getenv("BOOTSTRAP");
    final Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap));

    static <T> T get(Future<T> future) throws Exception {
        return future.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        Exception last = null;
        while (System.currentTimeMillis() < end) {
            try {
                if (condition.call()) return;
                last = null;
            } catch (ExecutionException e) {
                last = e;
            }
            Thread.sleep(20);
        }
        throw new IllegalStateException("gave up waiting: " + what + (last == null ? "" : ", " + last.getCause()));
    }

    interface Asked {
        Object ask() throws Exception;
    }

    /** The name of the error that the broker answers with. */
    static String refusal(Asked asked) throws Exception {
        try {
            asked.ask();
            return "no error";
        } catch (ExecutionException e) {
            return e.getCause().getClass().getSimpleName();
        }
    }

    void topic(String name) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(name, PARTITIONS, (short) 1))).all());
        // Requests in flight to a leader that is not there yet do not keep
        // their order in Apache Kafka, and an idempotent producer may never get over that.
        var asked = partitions(name).stream().collect(Collectors.toMap(p -> p, p -> OffsetSpec.latest()));
        until("the topic is served", () -> get(admin.listOffsets(asked).all()).size() == PARTITIONS);
    }

    static Set<TopicPartition> partitions(String... topics) {
        Set<TopicPartition> all = new TreeSet<>(BY_PLACE);
        for (String topic : topics) for (int p = 0; p < PARTITIONS; p++) all.add(new TopicPartition(topic, p));
        return all;
    }

    Map<String, Object> settings(Kind kind, String group, String name, String instance) {
        Map<String, Object> settings = new HashMap<>(kind.settings);
        settings.putAll(Map.of("bootstrap.servers", bootstrap, "group.id", group, "client.id", name, "enable.auto.commit", false,
            "auto.offset.reset", "earliest", "metadata.max.age.ms", 500));
        // What the broker says is what counts in the other protocol.
        if (kind != Kind.CONSUMER) settings.putAll(Map.of("session.timeout.ms", 6000, "heartbeat.interval.ms", 500));
        if (instance != null) settings.put("group.instance.id", instance);
        return settings;
    }

    Member member(Kind kind, String group, String name, Journal journal, String topic) {
        return new Member(name, journal, settings(kind, group, name, null), (consumer, listener) -> consumer.subscribe(List.of(topic), listener));
    }

    Member staticMember(Kind kind, String group, String name, String instance, Journal journal, String topic) {
        return new Member(name, journal, settings(kind, group, name, instance), (consumer, listener) -> consumer.subscribe(List.of(topic), listener));
    }

    ConsumerGroupDescription describe(String group) throws Exception {
        return get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    /** Waits until exactly these are members, all partitions are with them, and each has what the broker says it has. */
    void settle(String group, Set<TopicPartition> all, Member... members) throws Exception {
        try {
            until("the group settles", () -> {
                for (Member member : members) {
                    if (member.error != null) throw new IllegalStateException(member.name + " ended", member.error);
                }
                return isSettled(group, all, members);
            });
        } catch (IllegalStateException e) {
            String owned = Arrays.stream(members).map(member -> member.name + "=" + member.owned()).collect(Collectors.joining(" "));
            throw new IllegalStateException(e.getMessage() + "; members have " + owned + "; " + describe(group), e.getCause());
        }
    }

    boolean isSettled(String group, Set<TopicPartition> all, Member... members) throws Exception {
        ConsumerGroupDescription description = describe(group);
        if (description.groupState() != GroupState.STABLE || description.members().size() != members.length) return false;
        Map<String, Set<TopicPartition>> described = new HashMap<>();
        Set<TopicPartition> owned = new HashSet<>();
        description.members().forEach(member -> described.put(member.clientId(), member.assignment().topicPartitions()));
        for (Member member : members) {
            if (!member.owned().equals(described.get(member.name))) return false;
            // Who subscribes to a pattern has nothing, in a stable group, until the pattern has been looked up.
            if (member.owned().isEmpty()) return false;
            owned.addAll(member.owned());
        }
        return owned.equals(all);
    }

    /** What Admin says of a group: as it is described, and as it is listed. */
    String facts(String group) throws Exception {
        ConsumerGroupDescription description = describe(group);
        String members = description.members().stream().sorted(Comparator.comparing(MemberDescription::clientId)).map(Scene::facts)
            .collect(Collectors.joining(" "));
        GroupListing listing = get(admin.listGroups().all()).stream().filter(listed -> listed.groupId().equals(group)).findFirst().orElseThrow();
        return "type=" + description.type() + " state=" + description.groupState() + " assignor=" + description.partitionAssignor()
            + " members=[" + members + "] listed=" + listing.type().orElse(null) + "/" + listing.protocol() + "/" + listing.groupState().orElse(null);
    }

    private static String facts(MemberDescription member) {
        String protocol = member.upgraded().map(upgraded -> upgraded ? "(consumer)" : "(classic)").orElse("");
        return member.clientId() + member.groupInstanceId().map(id -> "/" + id).orElse("") + protocol + ":" + member.assignment().topicPartitions().size();
    }

    static void shell(String command) throws Exception {
        int code = new ProcessBuilder("bash", "-c", command).inheritIO().start().waitFor();
        if (code != 0) throw new IllegalStateException("exit code " + code + ": " + command);
    }

    static void equal(String what, Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) throw new IllegalStateException(what + ": " + got + " instead of " + wanted);
    }
}
