import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Groups of Java consumers: what they go through, in steps. Each step notes facts; facts.txt has those of Apache Kafka,
 * a line `step, what: fact` each.
 */
public class JavaGroups extends Scene {
    private final List<String> facts = new ArrayList<>();
    private final List<String> wanted;
    private final boolean isOttla = System.getenv("BROKER").equals("ottla");
    private String step;
    private int passed;
    private int failed;

    private JavaGroups(List<String> wanted) {
        this.wanted = wanted;
    }

    interface Action {
        void run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        boolean write = args[0].equals("--write");
        Path file = Path.of(args[args.length - 1]);
        JavaGroups groups = new JavaGroups(write ? null : Files.readAllLines(file));
        groups.run();
        if (write && groups.failed == 0) Files.write(file, groups.facts);
        System.out.println(groups.passed + " passed, " + groups.failed + " failed");
        System.exit(groups.failed == 0 ? 0 : 1);
    }

    private void run() throws Exception {
        for (Kind kind : Kind.values()) step("life " + kind, () -> life(kind));
        for (Kind kind : Kind.values()) step("static " + kind, () -> staticMembers(kind));
        step("pattern cooperative", () -> pattern(Kind.COOPERATIVE, false));
        step("pattern consumer", () -> pattern(Kind.CONSUMER, false));
        step("pattern of the broker", () -> pattern(Kind.CONSUMER, true));
        step("upgrade cooperative", () -> thereAndBack(Kind.COOPERATIVE));
        step("upgrade eager", () -> thereAndBack(Kind.EAGER));
        for (String policy : List.of("upgrade", "downgrade", "disabled")) step("policy " + policy, () -> policy(policy));
    }

    private void step(String name, Action action) {
        if (!name.matches(System.getenv().getOrDefault("STEPS", ".*"))) return;
        step = name;
        int before = facts.size();
        long start = System.currentTimeMillis();
        try {
            action.run();
            if (wanted != null) {
                equal("facts", facts.subList(before, facts.size()), wanted.stream().filter(line -> line.startsWith(name + ", ")).toList());
            }
            passed++;
            System.out.printf("PASS %s (%.1f s)%n", name, (System.currentTimeMillis() - start) / 1000.0);
        } catch (Exception e) {
            failed++;
            System.out.println("FAIL " + name + ": " + e + " after " + facts.subList(before, facts.size()));
            e.printStackTrace(System.out);
        }
    }

    private void note(String what, Object fact) {
        facts.add(step + ", " + what + ": " + fact);
    }

    private void settled(String what, String group, Set<TopicPartition> all, Member... members) throws Exception {
        settle(group, all, members);
        note(what, facts(group));
    }

    /** Members come, leave, crash and pause while records flow; the group ends, goes on from its offsets, is deleted. */
    private void life(Kind kind) throws Exception {
        String topic = "life-" + kind, group = topic;
        topic(topic);
        Set<TopicPartition> all = partitions(topic);
        Journal journal = new Journal();
        Feed feed = new Feed(bootstrap, topic, PARTITIONS);
        Member a = member(kind, group, "a", journal, topic);
        settled("the first joins", group, all, a);
        Member b = member(kind, group, "b", journal, topic);
        settled("the second joins", group, all, a, b);
        Member c = member(kind, group, "c", journal, topic);
        settled("the third joins", group, all, a, b, c);
        refusals(group, topic);
        pause(c, journal);
        b.close();
        settled("one leaves", group, all, a, c);
        a.crash();
        settled("one crashes", group, all, c);
        Map<TopicPartition, Long> ends = feed.end();
        until("all is read", () -> journal.hasRead(ends));
        c.close();
        until("the group is empty", () -> describe(group).groupState() == GroupState.EMPTY);
        note("all are gone", facts(group));
        equal("committed offsets", offsets(group), ends);
        Feed again = new Feed(bootstrap, topic, PARTITIONS);
        Member d = member(kind, group, "d", journal, topic);
        settled("one comes back", group, all, d);
        Map<TopicPartition, Long> finalEnds = again.end();
        until("all is read", () -> journal.hasRead(finalEnds));
        d.close();
        equal("committed offsets at the end", offsets(group), finalEnds);
        journal.check();
        get(admin.deleteConsumerGroups(List.of(group)).all());
        note("described when deleted", refusal(() -> describe(group)));
        note("listed when deleted", listed(group, new ListGroupsOptions()));
    }

    private Map<TopicPartition, Long> offsets(String group) throws Exception {
        Map<TopicPartition, Long> offsets = new HashMap<>();
        get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata(group)).forEach((p, offset) -> offsets.put(p, offset.offset()));
        return offsets;
    }

    /** What may not be done to a group that has members, and how it is found in lists. */
    private void refusals(String group, String topic) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        note("deleted with members", refusal(() -> get(admin.deleteConsumerGroups(List.of(group)).all())));
        note("offsets deleted with members", refusal(() -> get(admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all())));
        note("offsets altered with members",
            refusal(() -> get(admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(1))).all())));
        for (GroupType type : List.of(GroupType.CLASSIC, GroupType.CONSUMER)) {
            note("listed by type " + type, listed(group, new ListGroupsOptions().withTypes(Set.of(type))));
        }
        for (GroupState state : List.of(GroupState.STABLE, GroupState.EMPTY)) {
            note("listed by state " + state, listed(group, new ListGroupsOptions().inGroupStates(Set.of(state))));
        }
        note("described as a classic group", refusal(() -> get(admin.describeClassicGroups(List.of(group)).all())));
    }

    private boolean listed(String group, ListGroupsOptions options) throws Exception {
        return get(admin.listGroups(options).all()).stream().map(GroupListing::groupId).anyMatch(group::equals);
    }

    /** One partition is paused: it stands still while the member's other ones go on. */
    private void pause(Member member, Journal journal) throws Exception {
        List<TopicPartition> owned = List.copyOf(member.owned());
        TopicPartition paused = owned.get(0), other = owned.get(1);
        member.ask(consumer -> consumer.pause(List.of(paused)));
        long still = journal.next(paused), on = journal.next(other);
        until("the other partition goes on", () -> journal.next(other) > on + 20);
        equal("offset of the paused partition", journal.next(paused), still);
        member.ask(consumer -> consumer.resume(List.of(paused)));
        until("it goes on", () -> journal.next(paused) > still + 20);
    }

    /** Static members come back to what they had, keep others from their name, and are removed by an admin. */
    private void staticMembers(Kind kind) throws Exception {
        String topic = "static-" + kind, group = topic;
        topic(topic);
        Set<TopicPartition> all = partitions(topic);
        Journal journal = new Journal();
        Feed feed = new Feed(bootstrap, topic, PARTITIONS);
        Member a = staticMember(kind, group, "a", "one", journal, topic);
        Member b = staticMember(kind, group, "b", "two", journal, topic);
        settled("two join", group, all, a, b);
        Set<TopicPartition> had = a.owned();
        int changes = journal.changes("b");
        a.close();
        note("members after one closes", describe(group).members().size());
        a = staticMember(kind, group, "a", "one", journal, topic);
        settled("it comes back", group, all, a, b);
        note("it has what it had", a.owned().equals(had));
        note("the other one noticed", journal.changes("b") != changes);
        Map<TopicPartition, Long> ends = feed.end();
        until("all is read", () -> journal.hasRead(ends));
        journal.check();
        // Of two under one name the first one may not know for a moment that it is out.
        Member first = a, twin = staticMember(kind, group, "a", "one", new Journal(), topic);
        until("one of two of the same name is refused", () -> first.error != null || twin.error != null);
        note("the first", ended(first));
        note("its twin", ended(twin));
        Member left = first.error == null ? first : twin;
        settled("with the twin", group, all, left, b);
        b.close();
        var removed = new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("two")));
        note("an admin removes one", refusal(() -> get(admin.removeMembersFromConsumerGroup(group, removed).all())));
        settled("one is removed", group, all, left);
        left.crash();
        until("the group is empty", () -> describe(group).groupState() == GroupState.EMPTY);
        note("the last crashes", facts(group));
    }

    private static String ended(Member member) {
        return member.error == null ? "goes on" : member.error.getClass().getSimpleName();
    }

    /** A pattern covers topics that are made later. */
    private void pattern(Kind kind, boolean byBroker) throws Exception {
        String name = step.replace(' ', '-'), group = name;
        String pattern = name + "\\.[0-9]+";
        topic(name + ".1");
        topic(name + ".x");
        Journal journal = new Journal();
        Member.Subscribe subscribe = (consumer, listener) -> {
            if (byBroker) consumer.subscribe(new SubscriptionPattern(pattern), listener);
            else consumer.subscribe(Pattern.compile(pattern), listener);
        };
        Member a = new Member("a", journal, settings(kind, group, "a", null), subscribe);
        Member b = new Member("b", journal, settings(kind, group, "b", null), subscribe);
        settled("one topic matches", group, partitions(name + ".1"), a, b);
        topic(name + ".2");
        settled("two topics match", group, partitions(name + ".1", name + ".2"), a, b);
        a.close();
        settled("one leaves", group, partitions(name + ".1", name + ".2"), b);
        b.close();
        journal.check();
    }

    /** A rolling upgrade of three members from the classic protocol, and back, while records flow. */
    private void thereAndBack(Kind classic) throws Exception {
        String topic = "upgrade-" + classic, group = topic;
        topic(topic);
        Set<TopicPartition> all = partitions(topic);
        Journal journal = new Journal();
        Feed feed = new Feed(bootstrap, topic, PARTITIONS);
        Member[] members = new Member[3];
        for (int i = 0; i < 3; i++) members[i] = member(classic, group, "m" + i, journal, topic);
        settled("before", group, all, members);
        roll(Kind.CONSUMER, group, journal, topic, members);
        roll(classic, group, journal, topic, members);
        Map<TopicPartition, Long> ends = feed.end();
        until("all is read", () -> journal.hasRead(ends));
        for (Member member : members) member.close();
        equal("committed offsets", offsets(group), ends);
        journal.check();
    }

    private void roll(Kind to, String group, Journal journal, String topic, Member[] members) throws Exception {
        Set<TopicPartition> all = partitions(topic);
        for (int i = 0; i < 3; i++) {
            members[i].close();
            settled("to " + to + ", without m" + i, group, all, members[(i + 1) % 3], members[(i + 2) % 3]);
            members[i] = member(to, group, "m" + i, journal, topic);
            settled("to " + to + ", with m" + i, group, all, members);
            if (i == 1) {
                shell(System.getenv("OTTLA_RESTART"));
                settled("to " + to + ", after a restart of the broker", group, all, members);
            }
            journal.check();
        }
    }

    /** What a policy lets happen to a group of either kind when a member of the other kind comes, and when it is left. */
    private void policy(String policy) throws Exception {
        shell(System.getenv("BROKER_SET") + " group.consumer.migration.policy=" + policy);
        for (Kind classic : List.of(Kind.COOPERATIVE, Kind.EAGER)) {
            mixed(classic, Kind.CONSUMER, policy);
            mixed(Kind.CONSUMER, classic, policy);
        }
    }

    /**
     * Where a consumer group is left with classic members only, Apache Kafka computes no target assignment any more: what
     * those had who left stays with nobody. Here it must come to the one who is left.
     */
    private void mixed(Kind first, Kind second, String policy) throws Exception {
        String way = first + " then " + second, topic = policy + "-" + first + "-" + second, group = topic;
        topic(topic);
        Set<TopicPartition> all = partitions(topic);
        Journal journal = new Journal();
        Member a = member(first, group, "a", journal, topic);
        Member b = member(first, group, "b", journal, topic);
        settled(way, group, all, a, b);
        Member c = member(second, group, "c", journal, topic);
        until("it is in or refused", () -> c.error != null || isSettled(group, all, a, b, c));
        note(way + ", the newcomer", ended(c));
        note(way + ", with the newcomer", facts(group));
        a.close();
        if (c.error == null) settled(way + ", the newcomer and one more", group, all, b, c);
        b.close();
        if (c.error == null && (isOttla || policy.equals("downgrade") || second == Kind.CONSUMER)) settle(group, all, c);
        if (c.error == null) note(way + ", type with the newcomer alone", describe(group).type());
        c.close();
        until("the group is empty", () -> describe(group).groupState() == GroupState.EMPTY);
        note(way + ", at the end", facts(group));
        journal.check();
    }
}
