"""aiokafka in the scenario."""

import asyncio
import os

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from scenario import PATIENCE, Record, Scenario

SERVER = {"bootstrap_servers": os.environ["BOOTSTRAP"]}


def blocking(method):
    """The scenario calls from outside of the event loop."""
    return lambda self, *args: self.loop.run_until_complete(asyncio.wait_for(method(self, *args), PATIENCE))


class Client:
    name = "aiokafka"
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    acks = [1, "all", 0]
    null_header = True
    cannot = {"delete_group": "its admin client has no DeleteGroups"}

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def as_read(self, record):
        return record

    async def _admin(self, call):
        admin = AIOKafkaAdminClient(**SERVER)
        await admin.start()
        try:
            return await call(admin)
        finally:
            await admin.close()

    @blocking
    async def create_topic(self, topic, partitions):
        response = await self._admin(lambda a: a.create_topics([NewTopic(topic, partitions, 1)]))
        assert [error[1] for error in response.topic_errors] == [0], response

    @blocking
    async def topics(self):
        return {t["topic"]: len(t["partitions"]) for t in await self._admin(lambda a: a.describe_topics())}

    @blocking
    async def produce(self, topic, records, codec, acks):
        producer = AIOKafkaProducer(
            **SERVER, acks=acks, enable_idempotence=acks == "all", linger_ms=50,
            compression_type=None if codec == "none" else codec)
        await producer.start()
        try:
            sent = [await producer.send(topic, value=r.value, key=r.key, headers=list(r.headers), partition=r.partition,
                                        timestamp_ms=r.timestamp) for r in records]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def _consumer(self, *topics, **settings):
        consumer = AIOKafkaConsumer(*topics, **SERVER, enable_auto_commit=False, auto_offset_reset="earliest", **settings)
        await consumer.start()
        return consumer

    @blocking
    async def end_offsets(self, topic, partitions):
        consumer = await self._consumer()
        try:
            ends = await consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
        finally:
            await consumer.stop()
        return {tp.partition: offset for tp, offset in ends.items()}

    @blocking
    async def read(self, topic, starts, ends):
        consumer = await self._consumer()
        try:
            consumer.assign([TopicPartition(topic, p) for p in starts])
            for p, start in starts.items():
                if start == "earliest":
                    await consumer.seek_to_beginning(TopicPartition(topic, p))
                else:
                    consumer.seek(TopicPartition(topic, p), start)
            return await self._take(consumer, ends)
        finally:
            await consumer.stop()

    @blocking
    async def read_as_group(self, topic, group, ends):
        consumer = await self._consumer(topic, group_id=group)
        try:
            records = await self._take(consumer, ends)
            await consumer.commit({TopicPartition(topic, p): OffsetAndMetadata(end, f"to {end}") for p, end in ends.items()})
            return records
        finally:
            await consumer.stop()

    async def _take(self, consumer, ends):
        records, left = [], dict(ends)
        while left:
            m = await consumer.getone()
            if m.offset < ends[m.partition]:
                records.append(Record(m.partition, m.key, m.value, tuple(m.headers), m.timestamp, m.offset))
            if m.offset + 1 >= ends[m.partition]:
                left.pop(m.partition, None)
        return records

    @blocking
    async def offset_for_time(self, topic, partition, timestamp):
        consumer = await self._consumer()
        tp = TopicPartition(topic, partition)
        try:
            found = (await consumer.offsets_for_times({tp: timestamp}))[tp]
        finally:
            await consumer.stop()
        return found and found.offset

    @blocking
    async def list_groups(self):
        return [g[0] for g in await self._admin(lambda a: a.list_consumer_groups())]

    @blocking
    async def group_state(self, group):
        response = (await self._admin(lambda a: a.describe_consumer_groups([group])))[0]
        code, _, state = response.groups[0][:3]
        assert code == 0, response
        return state

    @blocking
    async def delete_records(self, topic, partition, before):
        await self._admin(lambda a: a.delete_records({TopicPartition(topic, partition): RecordsToDelete(before)}))

    @blocking
    async def delete_topic(self, topic):
        response = await self._admin(lambda a: a.delete_topics([topic]))
        assert [error[1] for error in response.topic_error_codes] == [0], response


Scenario(Client()).run()
