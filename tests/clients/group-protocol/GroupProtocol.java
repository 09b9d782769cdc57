import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.RequestUtils;
import org.apache.kafka.common.requests.ResponseHeader;

import java.io.DataInputStream;
import java.lang.reflect.Method;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Sends requests of classic groups and offsets by hand, in many versions, and compares each answer with the one that
 * Apache Kafka gave: answers.txt has a line `step: answer as JSON` for each. Random parts of member ids are numbered as
 * they come, topic ids and the broker's address are replaced, and what has no order is sorted.
 */
public class GroupProtocol {
    static final Pattern RANDOM = Pattern.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
    static final String HOST = System.getenv("BOOTSTRAP").split(":")[0];
    static final int PORT = Integer.parseInt(System.getenv("BOOTSTRAP").split(":")[1]);

    final Map<String, String> names = new LinkedHashMap<>();
    final Map<String, String> answers = new LinkedHashMap<>();
    Uuid topicId;

    /** One socket; a request on it waits for nobody but its own answer. */
    class Connection {
        final Socket socket = new Socket(HOST, PORT);
        final DataInputStream in = new DataInputStream(socket.getInputStream());
        ApiKeys key;
        short version;
        int correlationId;

        Connection() throws Exception {
            socket.setSoTimeout(20_000);
        }

        Connection send(ApiKeys key, int version, ApiMessage request) throws Exception {
            this.key = key;
            this.version = (short) version;
            RequestHeader header = new RequestHeader(key, this.version, "ask", ++correlationId);
            ByteBuffer body = RequestUtils.serialize(header.data(), header.headerVersion(), request, this.version);
            ByteBuffer frame = ByteBuffer.allocate(4 + body.remaining()).putInt(body.remaining()).put(body);
            socket.getOutputStream().write(frame.array());
            return this;
        }

        ApiMessage receive() throws Exception {
            byte[] frame = new byte[in.readInt()];
            in.readFully(frame);
            ByteBuffer bytes = ByteBuffer.wrap(frame);
            ResponseHeader.parse(bytes, key.responseHeaderVersion(version));
            return AbstractResponse.parseResponse(key, new ByteBufferAccessor(bytes), version).data();
        }

        /** The answer, noted under the name of the step. */
        ApiMessage receive(String step) throws Exception {
            ApiMessage answer = receive();
            note(step, answer, version);
            return answer;
        }
    }

    ApiMessage ask(String step, ApiKeys key, int version, ApiMessage request) throws Exception {
        Connection connection = new Connection();
        try {
            return connection.send(key, version, request).receive(step);
        } finally {
            connection.socket.close();
        }
    }

    void note(String step, ApiMessage answer, short version) throws Exception {
        JsonNode json = null;
        for (Method method : Class.forName(answer.getClass().getName() + "JsonConverter").getMethods()) {
            if (method.getName().equals("write") && method.getParameterCount() == 2) {
                json = (JsonNode) method.invoke(null, answer, version);
            }
        }
        String text = renamed(json.toString());
        json = new com.fasterxml.jackson.databind.ObjectMapper().readTree(text);
        tidy(json);
        if (answers.put(step, json.toString()) != null) throw new IllegalStateException("two steps: " + step);
    }

    String renamed(String json) {
        Matcher matcher = RANDOM.matcher(json);
        StringBuilder text = new StringBuilder();
        while (matcher.find()) {
            matcher.appendReplacement(text, names.computeIfAbsent(matcher.group(), id -> "#" + (names.size() + 1)));
        }
        return matcher.appendTail(text).toString()
            .replaceAll("\"topicId\":\"[A-Za-z0-9_-]{22}\"", "\"topicId\":\"ID\"")
            .replace("\"port\":" + PORT, "\"port\":\"PORT\"");
    }

    /** Sorts what has no order, and takes out the words of error messages. */
    static void tidy(JsonNode node) {
        if (node instanceof ObjectNode object && object.path("errorCode").asInt() != 0 && !object.path("errorMessage").isMissingNode()) {
            object.remove("errorMessage");
        }
        node.forEach(GroupProtocol::tidy);
        if (node instanceof ArrayNode array && array.size() > 1 && array.get(0).isObject()) {
            List<JsonNode> elements = new ArrayList<>();
            array.forEach(elements::add);
            elements.sort(Comparator.comparing(element ->
                element.path("groupId").asText() + element.path("memberId").asText() + element.path("partitionIndex").asText()));
            array.removeAll();
            array.addAll(elements);
        }
    }

    static JoinGroupRequestData join(String group, String member, String instance, String... protocols) {
        var offered = new JoinGroupRequestData.JoinGroupRequestProtocolCollection();
        for (String name : protocols) {
            offered.add(new JoinGroupRequestData.JoinGroupRequestProtocol().setName(name).setMetadata(subscription("t")));
        }
        return new JoinGroupRequestData().setGroupId(group).setMemberId(member).setGroupInstanceId(instance)
            .setSessionTimeoutMs(6_000).setRebalanceTimeoutMs(3_000).setProtocolType("consumer").setProtocols(offered);
    }

    static byte[] subscription(String topic) {
        ByteBuffer bytes = ByteBuffer.allocate(64).putShort((short) 0).putInt(1).putShort((short) topic.length());
        bytes.put(topic.getBytes()).putInt(-1);
        return Arrays.copyOf(bytes.array(), bytes.position());
    }

    static SyncGroupRequestData sync(String group, int generation, String member, String instance, String... assignments) {
        var list = new ArrayList<SyncGroupRequestData.SyncGroupRequestAssignment>();
        for (int i = 0; i + 1 < assignments.length; i += 2) {
            list.add(new SyncGroupRequestData.SyncGroupRequestAssignment().setMemberId(assignments[i]).setAssignment(assignments[i + 1].getBytes()));
        }
        return new SyncGroupRequestData().setGroupId(group).setGenerationId(generation).setMemberId(member)
            .setGroupInstanceId(instance).setAssignments(list);
    }

    static SyncGroupRequestData naming(SyncGroupRequestData sync, String type, String name) {
        return sync.setProtocolType(type).setProtocolName(name);
    }

    static HeartbeatRequestData beat(String group, int generation, String member, String instance) {
        return new HeartbeatRequestData().setGroupId(group).setGenerationId(generation).setMemberId(member).setGroupInstanceId(instance);
    }

    OffsetCommitRequestData commit(String group, int generation, String member, String topic, Uuid id, int partition, long offset, String metadata) {
        var data = new OffsetCommitRequestData.OffsetCommitRequestPartition().setPartitionIndex(partition)
            .setCommittedOffset(offset).setCommittedMetadata(metadata);
        var of = new OffsetCommitRequestData.OffsetCommitRequestTopic().setName(topic).setTopicId(id).setPartitions(List.of(data));
        return new OffsetCommitRequestData().setGroupId(group).setGenerationIdOrMemberEpoch(generation).setMemberId(member).setTopics(List.of(of));
    }

    OffsetCommitRequestData commit(String group, int generation, String member, int partition, long offset, String metadata) {
        return commit(group, generation, member, "t", topicId, partition, offset, metadata);
    }

    static OffsetFetchRequestData fetch(int version, String group, String topic, Uuid id, Integer... partitions) {
        if (version >= 8) {
            var topics = topic == null ? null : List.of(new OffsetFetchRequestData.OffsetFetchRequestTopics()
                .setName(topic).setTopicId(id).setPartitionIndexes(List.of(partitions)));
            return new OffsetFetchRequestData().setGroups(List.of(
                new OffsetFetchRequestData.OffsetFetchRequestGroup().setGroupId(group).setTopics(topics)));
        }
        var topics = topic == null ? null : List.of(new OffsetFetchRequestData.OffsetFetchRequestTopic()
            .setName(topic).setPartitionIndexes(List.of(partitions)));
        return new OffsetFetchRequestData().setGroupId(group).setTopics(topics);
    }

    static LeaveGroupRequestData leave(String group, String... members) {
        var list = new ArrayList<LeaveGroupRequestData.MemberIdentity>();
        for (int i = 0; i + 1 < members.length; i += 2) {
            list.add(new LeaveGroupRequestData.MemberIdentity().setMemberId(members[i]).setGroupInstanceId(members[i + 1]));
        }
        return new LeaveGroupRequestData().setGroupId(group).setMembers(list);
    }

    static LeaveGroupRequestData leaveAlone(String group, String member) {
        return new LeaveGroupRequestData().setGroupId(group).setMemberId(member);
    }

    static OffsetDeleteRequestData offsetDelete(String group, String topic, int partition) {
        var topics = new OffsetDeleteRequestData.OffsetDeleteRequestTopicCollection();
        topics.add(new OffsetDeleteRequestData.OffsetDeleteRequestTopic().setName(topic)
            .setPartitions(List.of(new OffsetDeleteRequestData.OffsetDeleteRequestPartition().setPartitionIndex(partition))));
        return new OffsetDeleteRequestData().setGroupId(group).setTopics(topics);
    }

    static DescribeGroupsRequestData describe(String... groups) {
        return new DescribeGroupsRequestData().setGroups(List.of(groups));
    }

    static DeleteGroupsRequestData delete(String... groups) {
        return new DeleteGroupsRequestData().setGroupsNames(List.of(groups));
    }

    static ListGroupsRequestData list(List<String> states, List<String> types) {
        return new ListGroupsRequestData().setStatesFilter(states).setTypesFilter(types);
    }

    static String member(ApiMessage answer) {
        return ((JoinGroupResponseData) answer).memberId();
    }

    static int generation(ApiMessage answer) {
        return ((JoinGroupResponseData) answer).generationId();
    }

    void run() throws Exception {
        prepare();
        coordinators();
        refusals();
        String leader = dynamicMembers();
        commits(leader);
        fetches();
        rebalances(leader);
        staticMembers();
        fullGroup();
        ask("delete v3", ApiKeys.DELETE_GROUPS, 3, delete("g", "simple", "nogroup", "big", "", "g"));
        ask("delete v2", ApiKeys.DELETE_GROUPS, 2, delete("nogroup"));
        ask("describe deleted", ApiKeys.DESCRIBE_GROUPS, 4, describe("g"));
        ask("list at the end", ApiKeys.LIST_GROUPS, 5, list(List.of(), List.of()));
    }

    void prepare() throws Exception {
        var topics = new CreateTopicsRequestData.CreatableTopicCollection();
        topics.add(new CreateTopicsRequestData.CreatableTopic().setName("t").setNumPartitions(3).setReplicationFactor((short) 1));
        topics.add(new CreateTopicsRequestData.CreatableTopic().setName("u").setNumPartitions(1).setReplicationFactor((short) 1));
        Connection connection = new Connection();
        connection.send(ApiKeys.CREATE_TOPICS, 7, new CreateTopicsRequestData().setTopics(topics).setTimeoutMs(10_000)).receive();
        var wanted = new MetadataRequestData().setTopics(List.of(new MetadataRequestData.MetadataRequestTopic().setName("t")));
        do {
            var metadata = (MetadataResponseData) connection.send(ApiKeys.METADATA, 12, wanted).receive();
            topicId = metadata.topics().find("t").topicId();
        } while (topicId.equals(Uuid.ZERO_UUID));
        // Every partition of the offsets topic must be loaded: a group on each is described.
        var find = new FindCoordinatorRequestData().setCoordinatorKeys(List.of("g"));
        while (((FindCoordinatorResponseData) connection.send(ApiKeys.FIND_COORDINATOR, 4, find).receive()).coordinators().get(0).errorCode() != 0) {
            Thread.onSpinWait();
        }
        String[] groups = new String[64];
        Arrays.setAll(groups, number -> "probe" + number);
        while (((DescribeGroupsResponseData) connection.send(ApiKeys.DESCRIBE_GROUPS, 5, describe(groups)).receive()).groups().stream()
            .anyMatch(group -> group.errorCode() != 0)) {
            Thread.onSpinWait();
        }
    }

    void coordinators() throws Exception {
        ask("find v0", ApiKeys.FIND_COORDINATOR, 0, new FindCoordinatorRequestData().setKey("x"));
        ask("find v3", ApiKeys.FIND_COORDINATOR, 3, new FindCoordinatorRequestData().setKey("x").setKeyType((byte) 0));
        ask("find v6", ApiKeys.FIND_COORDINATOR, 6, new FindCoordinatorRequestData().setCoordinatorKeys(List.of("x", "")));
        ask("find unknown type", ApiKeys.FIND_COORDINATOR, 4, new FindCoordinatorRequestData().setCoordinatorKeys(List.of("x")).setKeyType((byte) 9));
        ask("find share partition", ApiKeys.FIND_COORDINATOR, 6, new FindCoordinatorRequestData().setCoordinatorKeys(List.of("x")).setKeyType((byte) 2));
    }

    void refusals() throws Exception {
        for (int version = 0; version <= 9; version++) {
            ask("join without group v" + version, ApiKeys.JOIN_GROUP, version, join("", "", version < 5 ? null : "i", "range"));
        }
        ask("join with short session", ApiKeys.JOIN_GROUP, 9, join("e1", "", null, "range").setSessionTimeoutMs(5));
        ask("join as unknown member", ApiKeys.JOIN_GROUP, 9, join("e3", "nobody", null, "range"));
        ask("beat to unknown group", ApiKeys.HEARTBEAT, 4, beat("e3", 1, "x", null));
        ask("beat without group", ApiKeys.HEARTBEAT, 4, beat("", 1, "x", null));
        ask("sync to unknown group", ApiKeys.SYNC_GROUP, 5, naming(sync("e3", 1, "x", null), "consumer", "range"));
        ask("sync naming no protocol v5", ApiKeys.SYNC_GROUP, 5, sync("e3", 1, "x", null));
        ask("leave unknown group v2", ApiKeys.LEAVE_GROUP, 2, leaveAlone("e3", "x"));
        ask("leave unknown group v5", ApiKeys.LEAVE_GROUP, 5, leave("e3", "x", null, "", "inst"));
        ask("leave without group v5", ApiKeys.LEAVE_GROUP, 5, leave("", "x", null));
        ask("leave without group v1", ApiKeys.LEAVE_GROUP, 1, leaveAlone("", "x"));
        ask("list nothing", ApiKeys.LIST_GROUPS, 5, list(List.of(), List.of()));
    }

    /** Returns the member of the stable group "g", generation 1. */
    String dynamicMembers() throws Exception {
        String pending = member(ask("id required v4", ApiKeys.JOIN_GROUP, 4, join("g", "", null, "range", "sticky")));
        String first = member(ask("id required v9", ApiKeys.JOIN_GROUP, 9, join("g", "", null, "range", "sticky")));
        ask("list pending", ApiKeys.LIST_GROUPS, 5, list(List.of(), List.of()));
        ask("describe pending", ApiKeys.DESCRIBE_GROUPS, 6, describe("g"));
        ask("pending leaves", ApiKeys.LEAVE_GROUP, 5, leave("g", pending, null));
        Connection connection = new Connection().send(ApiKeys.JOIN_GROUP, 9, join("g", first, null, "range", "sticky"));
        while (!state("g").equals("PreparingRebalance")) Thread.onSpinWait();
        ask("describe preparing", ApiKeys.DESCRIBE_GROUPS, 5, describe("g"));
        ask("commit of nobody while preparing", ApiKeys.OFFSET_COMMIT, 9, commit("g", -1, "", 0, 5, ""));
        ask("delete while preparing", ApiKeys.DELETE_GROUPS, 3, delete("g"));
        connection.receive("first joined");
        ask("beat while completing", ApiKeys.HEARTBEAT, 4, beat("g", 1, first, null));
        ask("commit while completing", ApiKeys.OFFSET_COMMIT, 9, commit("g", 1, first, 0, 5, ""));
        ask("rejoin while completing", ApiKeys.JOIN_GROUP, 9, join("g", first, null, "range", "sticky"));
        ask("sync of wrong generation", ApiKeys.SYNC_GROUP, 4, sync("g", 9, first, null));
        ask("sync of wrong protocol", ApiKeys.SYNC_GROUP, 5, naming(sync("g", 1, first, null), "consumer", "nope"));
        ask("sync of wrong type", ApiKeys.SYNC_GROUP, 5, naming(sync("g", 1, first, null), "connect", "range"));
        ask("first synced v5", ApiKeys.SYNC_GROUP, 5, naming(sync("g", 1, first, null, first, "all", "ghost", "boo"), "consumer", "range"));
        ask("first synced again v4", ApiKeys.SYNC_GROUP, 4, sync("g", 1, first, null));
        ask("describe stable", ApiKeys.DESCRIBE_GROUPS, 6, describe("g", "nogroup", "").setIncludeAuthorizedOperations(true));
        ask("describe unknown v0", ApiKeys.DESCRIBE_GROUPS, 0, describe("nogroup"));
        return first;
    }

    void commits(String member) throws Exception {
        ask("commit", ApiKeys.OFFSET_COMMIT, 9, commit("g", 1, member, 0, 5, "meta"));
        ask("commit v10", ApiKeys.OFFSET_COMMIT, 10, commit("g", 1, member, "", topicId, 1, 7, null));
        ask("commit v10 to unknown id", ApiKeys.OFFSET_COMMIT, 10, commit("g", 1, member, "", new Uuid(5, 6), 1, 7, null));
        ask("commit v2 with retention", ApiKeys.OFFSET_COMMIT, 2, commit("g", 1, member, 2, 8, "").setRetentionTimeMs(1_000_000));
        ask("commit to missing topic", ApiKeys.OFFSET_COMMIT, 9, commit("g", 1, member, "missing", topicId, 0, 5, ""));
        ask("commit to missing partition", ApiKeys.OFFSET_COMMIT, 9, commit("g", 1, member, 99, 5, ""));
        ask("commit with long metadata", ApiKeys.OFFSET_COMMIT, 9, commit("g", 1, member, 0, 5, "x".repeat(4_097)));
        ask("commit with 4096 letters of two bytes", ApiKeys.OFFSET_COMMIT, 9, commit("umlaut", -1, "", 0, 5, "\u00fc".repeat(4_096)));
        ask("commit of wrong generation", ApiKeys.OFFSET_COMMIT, 9, commit("g", 99, member, 0, 5, ""));
        ask("commit of unknown member", ApiKeys.OFFSET_COMMIT, 9, commit("g", 1, "zz", 0, 5, ""));
        ask("commit of nobody to stable group", ApiKeys.OFFSET_COMMIT, 9, commit("g", -1, "", 0, 5, ""));
        ask("commit of member without generation", ApiKeys.OFFSET_COMMIT, 9, commit("g", -1, member, 0, 5, ""));
        ask("commit to unknown group v9", ApiKeys.OFFSET_COMMIT, 9, commit("nog", 1, "m", 0, 5, ""));
        ask("commit to unknown group v8", ApiKeys.OFFSET_COMMIT, 8, commit("nog", 1, "m", 0, 5, ""));
        ask("commit makes simple group", ApiKeys.OFFSET_COMMIT, 9, commit("simple", -1, "", 0, 5, ""));
        ask("commit of somebody to simple group", ApiKeys.OFFSET_COMMIT, 9, commit("simple", -1, "mm", 1, 6, ""));
        ask("commit without group", ApiKeys.OFFSET_COMMIT, 9, commit("", -1, "", 0, 5, ""));
        ask("commit of negative offset", ApiKeys.OFFSET_COMMIT, 9, commit("simple", -1, "", 2, -5, ""));
    }

    void fetches() throws Exception {
        for (int version = 1; version <= 10; version++) {
            ask("fetch v" + version, ApiKeys.OFFSET_FETCH, version, fetch(version, "g", version < 10 ? "t" : "", topicId, 0, 1, 2, 3));
        }
        for (int version : new int[] {2, 7, 8, 10}) {
            ask("fetch all v" + version, ApiKeys.OFFSET_FETCH, version, fetch(version, "simple", null, topicId));
        }
        ask("fetch missing topic v5", ApiKeys.OFFSET_FETCH, 5, fetch(5, "g", "missing", topicId, 0));
        ask("fetch missing topic v9", ApiKeys.OFFSET_FETCH, 9, fetch(9, "g", "missing", topicId, 0));
        ask("fetch unknown id v10", ApiKeys.OFFSET_FETCH, 10, fetch(10, "g", "", new Uuid(5, 6), 0));
        ask("fetch unknown group", ApiKeys.OFFSET_FETCH, 9, fetch(9, "nogroup", "t", topicId, 0));
        ask("fetch all of unknown group", ApiKeys.OFFSET_FETCH, 9, fetch(9, "nogroup", null, topicId));
        ask("fetch without group", ApiKeys.OFFSET_FETCH, 9, fetch(9, "", "t", topicId, 0));
        ask("fetch stable v7", ApiKeys.OFFSET_FETCH, 7, fetch(7, "g", "t", topicId, 0).setRequireStable(true));
        ask("delete offset in use", ApiKeys.OFFSET_DELETE, 0, offsetDelete("g", "t", 0));
        ask("delete offset not in use", ApiKeys.OFFSET_DELETE, 0, offsetDelete("g", "u", 0));
        ask("delete offset of missing topic", ApiKeys.OFFSET_DELETE, 0, offsetDelete("g", "missing", 0));
        ask("delete offset of missing partition", ApiKeys.OFFSET_DELETE, 0, offsetDelete("simple", "t", 99));
        ask("delete offset of unknown group", ApiKeys.OFFSET_DELETE, 0, offsetDelete("nogroup", "t", 0));
        ask("delete offset without group", ApiKeys.OFFSET_DELETE, 0, offsetDelete("", "t", 0));
        ask("delete offset of simple group", ApiKeys.OFFSET_DELETE, 0, offsetDelete("simple", "t", 0));
    }

    void rebalances(String first) throws Exception {
        Connection a = new Connection(), b = new Connection();
        ask("join with other protocol", ApiKeys.JOIN_GROUP, 9, join("g", "", null, "foo"));
        ask("join with other type", ApiKeys.JOIN_GROUP, 9, join("g", "", null, "range").setProtocolType("connect"));
        String second = member(ask("second id", ApiKeys.JOIN_GROUP, 9, join("g", "", null, "sticky", "range")));
        ask("beat while stable", ApiKeys.HEARTBEAT, 3, beat("g", 1, first, null));
        b.send(ApiKeys.JOIN_GROUP, 9, join("g", second, null, "sticky", "range"));
        while (!state("g").equals("PreparingRebalance")) Thread.onSpinWait();
        ask("beat while preparing", ApiKeys.HEARTBEAT, 0, beat("g", 1, first, null));
        ask("sync while preparing", ApiKeys.SYNC_GROUP, 5, naming(sync("g", 1, first, null), "consumer", "range"));
        ask("commit while preparing", ApiKeys.OFFSET_COMMIT, 9, commit("g", 1, first, 0, 6, "meta"));
        a.send(ApiKeys.JOIN_GROUP, 9, join("g", first, null, "sticky", "range")).receive("first rejoined");
        b.receive("second joined");
        b.send(ApiKeys.SYNC_GROUP, 5, naming(sync("g", 2, second, null), "consumer", "sticky"));
        a.send(ApiKeys.SYNC_GROUP, 5, naming(sync("g", 2, first, null, first, "a"), "consumer", "sticky"));
        a.receive("first leaves second out");
        b.receive("second gets nothing");
        ask("follower rejoins while stable", ApiKeys.JOIN_GROUP, 9, join("g", second, null, "sticky", "range"));
        b.send(ApiKeys.JOIN_GROUP, 9, join("g", second, null, "sticky"));
        while (!state("g").equals("PreparingRebalance")) Thread.onSpinWait();
        ask("first leaves while preparing", ApiKeys.LEAVE_GROUP, 5, leave("g", first, null));
        b.receive("second alone");
        ask("beat after leaving", ApiKeys.HEARTBEAT, 4, beat("g", 3, first, null));
        // The second member never syncs, so it is expelled.
        while (!state("g").equals("Empty")) Thread.sleep(20);
        ask("describe after silence", ApiKeys.DESCRIBE_GROUPS, 6, describe("g"));
        ask("list states", ApiKeys.LIST_GROUPS, 5, list(List.of("empty", "STABLE "), List.of("Classic")));
        ask("list types", ApiKeys.LIST_GROUPS, 5, list(List.of(), List.of("consumer")));
        ask("list unknown type", ApiKeys.LIST_GROUPS, 5, list(List.of(), List.of("nonsense")));
        ask("list unknown state", ApiKeys.LIST_GROUPS, 4, list(List.of("nonsense"), List.of()));
        ask("list v0", ApiKeys.LIST_GROUPS, 0, list(List.of(), List.of()));
        ask("delete offset of empty group", ApiKeys.OFFSET_DELETE, 0, offsetDelete("g", "t", 0));
        ask("fetch after deletion", ApiKeys.OFFSET_FETCH, 8, fetch(8, "g", null, topicId));
    }

    void staticMembers() throws Exception {
        Connection a = new Connection().send(ApiKeys.JOIN_GROUP, 9, join("s", "", "i1", "range"));
        while (!state("s").equals("PreparingRebalance")) Thread.onSpinWait();
        Connection b = new Connection().send(ApiKeys.JOIN_GROUP, 9, join("s", "", "i2", "range"));
        String m1 = member(a.receive("i1 joined")), m2 = member(b.receive("i2 joined"));
        b.send(ApiKeys.SYNC_GROUP, 5, naming(sync("s", 1, m2, "i2"), "consumer", "range"));
        ask("i1 synced", ApiKeys.SYNC_GROUP, 5, naming(sync("s", 1, m1, "i1", m1, "one", m2, "two"), "consumer", "range"));
        b.receive("i2 synced");
        ask("describe static", ApiKeys.DESCRIBE_GROUPS, 5, describe("s"));
        String again = member(ask("i1 leads and returns v9", ApiKeys.JOIN_GROUP, 9, join("s", "", "i1", "range")));
        ask("former i1 beats", ApiKeys.HEARTBEAT, 4, beat("s", 1, m1, "i1"));
        ask("former i1 beats without instance", ApiKeys.HEARTBEAT, 4, beat("s", 1, m1, null));
        ask("former i1 joins", ApiKeys.JOIN_GROUP, 9, join("s", m1, "i1", "range"));
        ask("i1 syncs again", ApiKeys.SYNC_GROUP, 5, naming(sync("s", 1, again, "i1"), "consumer", "range"));
        String older = member(ask("i1 leads and returns v8", ApiKeys.JOIN_GROUP, 8, join("s", "", "i1", "range")));
        ask("i2 follows and returns v9", ApiKeys.JOIN_GROUP, 9, join("s", "", "i2", "range"));
        ask("unknown instance beats", ApiKeys.HEARTBEAT, 4, beat("s", 1, m1, "i9"));
        ask("admin expels i2 and i9", ApiKeys.LEAVE_GROUP, 5, leave("s", "", "i2", "", "i9", m1, "i1"));
        ask("i1 beats after that", ApiKeys.HEARTBEAT, 4, beat("s", 1, older, "i1"));
        String last = member(ask("i1 joins again v7", ApiKeys.JOIN_GROUP, 7, join("s", older, "i1", "range")));
        ask("i1 leaves v2", ApiKeys.LEAVE_GROUP, 2, leaveAlone("s", last));
        ask("describe empty", ApiKeys.DESCRIBE_GROUPS, 6, describe("s"));
        ask("beat to empty group", ApiKeys.HEARTBEAT, 4, beat("s", 3, "x", null));
        ask("sync to empty group", ApiKeys.SYNC_GROUP, 4, sync("s", 3, "x", null));
    }

    void fullGroup() throws Exception {
        List<Connection> connections = new ArrayList<>();
        for (int number = 0; number < 4; number++) {
            connections.add(new Connection().send(ApiKeys.JOIN_GROUP, 3, join("big", "", null, "range")));
            while (members("big") <= number) Thread.onSpinWait();
        }
        ask("group is full", ApiKeys.JOIN_GROUP, 3, join("big", "", null, "range"));
        for (Connection connection : connections) {
            var joined = (JoinGroupResponseData) connection.receive();
            if (joined.errorCode() != 0) throw new IllegalStateException("not in a group of four: " + joined);
        }
    }

    DescribeGroupsResponseData.DescribedGroup described(String group) throws Exception {
        Connection connection = new Connection().send(ApiKeys.DESCRIBE_GROUPS, 5, describe(group));
        var answer = (DescribeGroupsResponseData) connection.receive();
        connection.socket.close();
        return answer.groups().get(0);
    }

    String state(String group) throws Exception {
        return described(group).groupState();
    }

    int members(String group) throws Exception {
        return described(group).members().size();
    }

    public static void main(String[] args) throws Exception {
        GroupProtocol script = new GroupProtocol();
        Path file = Path.of(args[args.length - 1]);
        script.run();
        List<String> lines = new ArrayList<>();
        script.answers.forEach((step, answer) -> lines.add(step + ": " + answer));
        if (args[0].equals("--write")) Files.write(file, lines);
        int failed = 0;
        List<String> expected = Files.readAllLines(file);
        for (int i = 0; i < Math.max(lines.size(), expected.size()); i++) {
            String got = i < lines.size() ? lines.get(i) : "nothing", wanted = i < expected.size() ? expected.get(i) : "nothing";
            if (got.equals(wanted)) {
                System.out.println("PASS " + got.substring(0, got.indexOf(": {")));
            } else {
                failed++;
                System.out.println("FAIL " + got + "\n     expected " + wanted);
            }
        }
        System.out.println(lines.size() - failed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }
}
