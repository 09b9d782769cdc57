import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.InitProducerIdRequestData;
import org.apache.kafka.common.message.InitProducerIdResponseData;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.ProduceResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.RequestUtils;
import org.apache.kafka.common.requests.ResponseHeader;

import java.io.DataInputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** An idempotent producer by hand, one that can send a batch again long after it was acknowledged. */
final class RawProducer {
    /** Records of a batch. */
    static final int COUNT = 3;

    private RawProducer() { }

    static ApiMessage ask(ApiKeys key, int version, ApiMessage request) throws Exception {
        String[] address = MovedDirs.BOOTSTRAP.split(":");
        try (Socket socket = new Socket(address[0], Integer.parseInt(address[1]))) {
            socket.setSoTimeout(20_000);
            RequestHeader header = new RequestHeader(key, (short) version, "raw", 1);
            ByteBuffer body = RequestUtils.serialize(header.data(), header.headerVersion(), request, (short) version);
            socket.getOutputStream().write(ByteBuffer.allocate(4 + body.remaining()).putInt(body.remaining()).put(body).array());
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] frame = new byte[in.readInt()];
            in.readFully(frame);
            ByteBuffer bytes = ByteBuffer.wrap(frame);
            ResponseHeader.parse(bytes, key.responseHeaderVersion((short) version));
            return AbstractResponse.parseResponse(key, new ByteBufferAccessor(bytes), (short) version).data();
        }
    }

    /** A producer id that nobody has. */
    static long newId() throws Exception {
        long[] id = {-1};
        MovedDirs.until("a producer id", () -> {
            var answer = (InitProducerIdResponseData) ask(ApiKeys.INIT_PRODUCER_ID, 4, new InitProducerIdRequestData()
                .setTransactionalId(null).setTransactionTimeoutMs(60_000).setProducerId(-1).setProducerEpoch((short) -1));
            id[0] = answer.producerId();
            return answer.errorCode() == 0;
        });
        return id[0];
    }

    /** Batch number `number` of this producer. Returns its base offset, or minus the error code. */
    static long send(String topic, long producerId, int number) throws Exception {
        SimpleRecord[] records = new SimpleRecord[COUNT];
        for (int i = 0; i < COUNT; i++) {
            byte[] value = ("producer " + producerId + " sends " + (number * COUNT + i)).getBytes(StandardCharsets.UTF_8);
            records[i] = new SimpleRecord(Load.START_MS + number, null, value);
        }
        var batch = MemoryRecords.withIdempotentRecords(Compression.NONE, producerId, (short) 0, number * COUNT, records);
        var partition = new ProduceRequestData.PartitionProduceData().setIndex(0).setRecords(batch);
        var data = new ProduceRequestData.TopicProduceData().setName(topic).setTopicId(Uuid.ZERO_UUID).setPartitionData(List.of(partition));
        var request = new ProduceRequestData().setAcks((short) -1).setTimeoutMs(10_000)
            .setTopicData(new ProduceRequestData.TopicProduceDataCollection(List.of(data).iterator()));
        var answer = (ProduceResponseData) ask(ApiKeys.PRODUCE, 9, request);
        var result = answer.responses().iterator().next().partitionResponses().get(0);
        return result.errorCode() == 0 ? result.baseOffset() : -result.errorCode();
    }
}
