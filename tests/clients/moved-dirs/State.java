import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;

/** What a broker serves, as sorted lines that begin with their kind. A kind that the broker has no API for has no lines. */
final class State {
    /** Larger values are told by their hash. */
    static final int PLAIN_BYTES = 48;
    /** Coordinators write into these by themselves; their content is asked for through the coordinators. */
    static final Set<String> MOVING = Set.of("__consumer_offsets", "__share_group_state");

    final TreeSet<String> lines = new TreeSet<>();
    private final Map<TopicPartition, Long> ends = new HashMap<>();
    private final Admin admin;
    private final Set<ApiKeys> served;

    private State(Admin admin, Set<ApiKeys> served) {
        this.admin = admin;
        this.served = served;
    }

    /** Asks for everything. */
    static TreeSet<String> take(Admin admin, Set<ApiKeys> served) throws Exception {
        State state = new State(admin, served);
        List<TopicPartition> partitions = state.topics();
        Map<TopicPartition, TreeSet<Long>> timestamps = state.records(partitions);
        state.offsets(partitions, timestamps);
        state.producers(partitions);
        state.groups();
        state.cluster();
        state.configs();
        state.ofApacheOnly();
        return state.lines;
    }

    private void add(Object... parts) {
        List<String> words = new ArrayList<>();
        for (Object part : parts) words.add(String.valueOf(part));
        lines.add(String.join(" ", words));
    }

    private List<TopicPartition> topics() throws Exception {
        List<TopicPartition> partitions = new ArrayList<>();
        Collection<String> names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
        for (TopicDescription topic : admin.describeTopics(names).allTopicNames().get().values()) {
            add("topic", topic.name(), topic.topicId(), "internal=" + topic.isInternal());
            for (TopicPartitionInfo info : topic.partitions()) {
                add("partition", topic.name() + "-" + info.partition(), "leader", info.leader().id(), "isr", info.isr().size());
                if (!MOVING.contains(topic.name())) partitions.add(new TopicPartition(topic.name(), info.partition()));
            }
        }
        return partitions;
    }

    /** Every record in both isolation levels. Returns the timestamps that were seen. */
    private Map<TopicPartition, TreeSet<Long>> records(List<TopicPartition> partitions) throws Exception {
        Map<TopicPartition, TreeSet<Long>> timestamps = new HashMap<>();
        for (IsolationLevel level : IsolationLevel.values()) {
            Map<String, Object> config = Map.of("bootstrap.servers", MovedDirs.BOOTSTRAP, "isolation.level", level.toString().toLowerCase(),
                "exclude.internal.topics", false, "enable.auto.commit", false);
            try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                consumer.assign(partitions);
                consumer.seekToBeginning(partitions);
                Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
                MovedDirs.until("all records are read", () -> {
                    for (var record : consumer.poll(Duration.ofMillis(100))) {
                        var partition = new TopicPartition(record.topic(), record.partition());
                        timestamps.computeIfAbsent(partition, each -> new TreeSet<>()).add(record.timestamp());
                        add("record", level, partition, record(record));
                    }
                    return partitions.stream().allMatch(each -> consumer.position(each) >= ends.get(each));
                });
            }
        }
        return timestamps;
    }

    private static String record(ConsumerRecord<byte[], byte[]> record) {
        StringBuilder headers = new StringBuilder();
        for (Header header : record.headers()) headers.append(header.key()).append('=').append(text(header.value())).append(',');
        return "offset=%020d epoch=%s %s=%d key=%s headers=[%s] value=%s".formatted(record.offset(), record.leaderEpoch().orElse(-1),
            record.timestampType(), record.timestamp(), text(record.key()), headers, text(record.value()));
    }

    private static String text(byte[] bytes) {
        if (bytes == null) return "null";
        if (bytes.length <= PLAIN_BYTES) return "<" + Base64.getEncoder().encodeToString(bytes) + ">";
        try {
            return bytes.length + ":" + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private void offsets(List<TopicPartition> partitions, Map<TopicPartition, TreeSet<Long>> timestamps) throws Exception {
        each("end", partitions, partition -> OffsetSpec.latest());
        each("start", partitions, partition -> OffsetSpec.earliest());
        each("max-timestamp", partitions, partition -> OffsetSpec.maxTimestamp());
        TreeMap<Long, List<TopicPartition>> asked = new TreeMap<>();
        timestamps.forEach((partition, seen) -> {
            for (long found : seen) {
                asked.computeIfAbsent(found, any -> new ArrayList<>()).add(partition);
                asked.computeIfAbsent(found + 1, any -> new ArrayList<>()).add(partition);
            }
        });
        // A few hundred distinct times are asked; every one of a small partition.
        int step = Math.max(1, asked.size() / 200);
        int number = 0;
        for (var entry : asked.entrySet()) {
            if (number++ % step == 0) each("time " + entry.getKey(), entry.getValue(), partition -> OffsetSpec.forTimestamp(entry.getKey()));
        }
    }

    private void each(String kind, List<TopicPartition> partitions, java.util.function.Function<TopicPartition, OffsetSpec> spec) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        partitions.forEach(partition -> asked.put(partition, spec.apply(partition)));
        var found = admin.listOffsets(asked);
        for (TopicPartition partition : asked.keySet()) {
            var offset = found.partitionResult(partition).get();
            if (kind.equals("end")) ends.put(partition, offset.offset());
            // The epoch of the end is that of the leader, which is another one after each start.
            String epoch = offset.offset() == ends.get(partition) ? "" : " epoch=" + offset.leaderEpoch().orElse(-1);
            add(kind, partition, "offset=" + offset.offset(), "timestamp=" + offset.timestamp() + epoch);
        }
    }

    private void producers(List<TopicPartition> partitions) throws Exception {
        for (var entry : admin.describeProducers(partitions).all().get().entrySet()) {
            // What is read again of a compacted batch may be older than the batch was, and a marker may have gone.
            boolean isCompacted = entry.getKey().topic().startsWith("compacted");
            for (var producer : entry.getValue().activeProducers()) {
                add("producer", entry.getKey(), producer.producerId(), "epoch=" + producer.producerEpoch(), "sequence=" + producer.lastSequence(),
                    "timestamp=" + (isCompacted ? "any" : producer.lastTimestamp()),
                    "coordinator=" + (isCompacted ? "any" : producer.coordinatorEpoch().orElse(-1)),
                    "transaction=" + producer.currentTransactionStartOffset().orElse(-1));
            }
        }
    }

    private void groups() throws Exception {
        for (GroupListing group : admin.listGroups().all().get()) {
            GroupType type = group.type().orElse(GroupType.UNKNOWN);
            if (type != GroupType.CLASSIC && type != GroupType.CONSUMER) continue;
            String state = group.groupState().map(Object::toString).orElse("");
            add("group", group.groupId(), type, group.protocol(), state, "simple=" + group.isSimpleConsumerGroup());
            admin.listConsumerGroupOffsets(group.groupId()).partitionsToOffsetAndMetadata().get().forEach((partition, offset) -> {
                if (offset != null) add("offset", group.groupId(), partition, offset.offset(), offset.leaderEpoch().orElse(-1), offset.metadata());
            });
        }
    }

    private void cluster() throws Exception {
        add("cluster", admin.describeCluster().clusterId().get());
        admin.describeFeatures().featureMetadata().get().finalizedFeatures().forEach((name, range) -> add("feature", name, range.maxVersionLevel()));
        var quorum = admin.describeMetadataQuorum().quorumInfo().get();
        quorum.voters().forEach(voter -> add("voter", voter.replicaId(), voter.replicaDirectoryId()));
        admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).values().forEach(dir -> {
            if (dir.error() != null) add("offline-dir", dir.error());
        });
    }

    /** Only what was set: defaults are each broker's own. */
    private void configs() throws Exception {
        List<ConfigResource> asked = new ArrayList<>();
        admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get()
            .forEach(topic -> asked.add(new ConfigResource(ConfigResource.Type.TOPIC, topic)));
        asked.add(new ConfigResource(ConfigResource.Type.BROKER, "1"));
        asked.add(new ConfigResource(ConfigResource.Type.BROKER, ""));
        asked.add(new ConfigResource(ConfigResource.Type.GROUP, Load.CONFIGURED_GROUP));
        for (var entry : admin.describeConfigs(asked).all().get().entrySet()) {
            for (ConfigEntry config : entry.getValue().entries()) {
                if (config.source().name().startsWith("DYNAMIC_")) {
                    add("config", entry.getKey().type(), "'" + entry.getKey().name() + "'", config.name(), config.value(), config.source());
                }
            }
        }
    }

    /** What Ottla may not serve yet, and has to keep all the same. */
    private void ofApacheOnly() throws Exception {
        if (served.contains(ApiKeys.CREATE_ACLS)) {
            admin.describeAcls(AclBindingFilter.ANY).values().get().forEach(acl -> add("acl", acl));
        }
        if (served.contains(ApiKeys.DESCRIBE_CLIENT_QUOTAS)) {
            admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().forEach((who, quota) -> add("quota", who, new TreeMap<>(quota)));
        }
        if (served.contains(ApiKeys.DESCRIBE_USER_SCRAM_CREDENTIALS)) {
            admin.describeUserScramCredentials().all().get().forEach((who, credentials) -> add("scram", credentials));
        }
        if (served.contains(ApiKeys.LIST_TRANSACTIONS)) {
            List<String> ids = new ArrayList<>();
            admin.listTransactions().all().get().forEach(listing -> {
                ids.add(listing.transactionalId());
                add("transaction", listing.transactionalId(), listing.producerId(), listing.state());
            });
            admin.describeTransactions(ids).all().get().forEach((id, transaction) ->
                add("transaction", id, transaction.producerEpoch(), new ArrayList<>(new java.util.TreeSet<>(transaction.topicPartitions().stream().map(Object::toString).toList()))));
        }
        if (served.contains(ApiKeys.DESCRIBE_SHARE_GROUP_OFFSETS)) shareGroups();
    }

    private void shareGroups() throws Exception {
        for (GroupListing group : admin.listGroups().all().get()) {
            if (group.type().orElse(GroupType.UNKNOWN) != GroupType.SHARE) continue;
            var spec = Map.of(group.groupId(), new org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec());
            try {
                admin.listShareGroupOffsets(spec).all().get().get(group.groupId())
                    .forEach((partition, offset) -> add("share", group.groupId(), partition, offset));
            } catch (ExecutionException e) {
                add("share", group.groupId(), e.getCause());
            }
        }
    }
}
