import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.common.TopicPartition;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * What the members of one group had and read, in the order in which it happened: nobody gets a partition before it was
 * given up, nobody reads what he does not have, no record is skipped, and after a member that did not crash none is
 * read again.
 */
class Journal {
    private final Map<TopicPartition, String> owners = new HashMap<>();
    private final Map<TopicPartition, Long> next = new HashMap<>();
    private final Map<String, Integer> changes = new HashMap<>();
    private final Set<TopicPartition> crashed = new TreeSet<>(Scene.BY_PLACE);
    private final List<String> problems = new ArrayList<>();

    synchronized void assigned(String member, Collection<TopicPartition> partitions) {
        for (TopicPartition partition : partitions) {
            String owner = owners.put(partition, member);
            if (owner != null) problems.add(partition + " was given to " + member + " while " + owner + " had it");
        }
        if (!partitions.isEmpty()) changes.merge(member, 1, Integer::sum);
    }

    synchronized void revoked(String member, Collection<TopicPartition> partitions) {
        for (TopicPartition partition : partitions) {
            if (!owners.remove(partition, member)) problems.add(member + " gave up " + partition + ", which it did not have");
        }
        if (!partitions.isEmpty()) changes.merge(member, 1, Integer::sum);
    }

    /** The member was expelled: what it had may be somebody else's by now, and was not committed. */
    synchronized void lost(String member, Collection<TopicPartition> partitions) {
        problems.add(member + " lost " + partitions);
        partitions.forEach(partition -> owners.remove(partition, member));
    }

    /** The member is dead. Nothing that it had is read by it any more; what it read last may not be committed. */
    synchronized void crashed(String member) {
        crashed.addAll(of(member));
        owners.values().removeIf(member::equals);
    }

    synchronized void read(String member, ConsumerRecords<?, ?> records) {
        for (ConsumerRecord<?, ?> record : records) {
            TopicPartition partition = new TopicPartition(record.topic(), record.partition());
            String where = member + " read " + partition + " at " + record.offset();
            if (!member.equals(owners.get(partition))) problems.add(where + ", which " + owners.get(partition) + " has");
            long wanted = next.getOrDefault(partition, 0L);
            if (record.offset() > wanted) problems.add(where + " and skipped " + wanted);
            if (record.offset() < wanted && !crashed.contains(partition)) problems.add(where + " again, next was " + wanted);
            if (record.offset() >= wanted) {
                crashed.remove(partition);
                next.put(partition, record.offset() + 1);
            }
        }
    }

    synchronized Set<TopicPartition> of(String member) {
        Set<TopicPartition> partitions = new TreeSet<>(Scene.BY_PLACE);
        owners.forEach((partition, owner) -> {
            if (owner.equals(member)) partitions.add(partition);
        });
        return partitions;
    }

    /** How often partitions were given to the member or taken from it. */
    synchronized int changes(String member) {
        return changes.getOrDefault(member, 0);
    }

    synchronized long next(TopicPartition partition) {
        return next.getOrDefault(partition, 0L);
    }

    synchronized boolean hasRead(Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream().allMatch(end -> next(end.getKey()) >= end.getValue());
    }

    /** Throws if anything went wrong so far. */
    synchronized void check() {
        if (!problems.isEmpty()) throw new IllegalStateException(problems.size() + " problems, first " + problems.subList(0, Math.min(3, problems.size())));
    }
}
