"""confluent-kafka (librdkafka) in the scenario."""

import os

from confluent_kafka import Consumer, Producer, TIMESTAMP_CREATE_TIME, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from scenario import PATIENCE, Record, Scenario, until

SERVER = {"bootstrap.servers": os.environ["BOOTSTRAP"]}


class Client:
    name = "confluent-kafka"
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    acks = [1, "all", 0]
    null_header = True
    cannot = {}

    def __init__(self):
        self.admin = AdminClient(SERVER)

    def as_read(self, record):
        return record

    def create_topic(self, topic, partitions):
        self.admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(PATIENCE)

    def topics(self):
        return {name: len(t.partitions) for name, t in self.admin.list_topics(timeout=PATIENCE).topics.items()}

    def produce(self, topic, records, codec, acks):
        producer = Producer({**SERVER, "compression.type": codec, "acks": acks, "linger.ms": 50,
                             "enable.idempotence": acks == "all"})
        # The last one is kept: with acks=0 a producer that goes away may take its last request with it.
        self.producer = producer
        errors, delivered = [], []
        for r in records:
            producer.produce(topic, value=r.value, key=r.key, headers=list(r.headers), partition=r.partition,
                             timestamp=r.timestamp, on_delivery=lambda e, m: errors.append(e) if e else delivered.append(m))
        assert producer.flush(PATIENCE) == 0, "not all delivered in time"
        assert not errors, errors
        assert len(delivered) == len(records)

    def end_offsets(self, topic, partitions):
        consumer = Consumer({**SERVER, "group.id": "unused"})
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=PATIENCE)[1] for p in range(partitions)}
        consumer.close()
        return ends

    def read(self, topic, starts, ends):
        consumer = Consumer({**SERVER, "group.id": "unused", "enable.auto.commit": False, "check.crcs": True,
                             "auto.offset.reset": "error"})
        consumer.assign([TopicPartition(topic, p, -2 if start == "earliest" else start) for p, start in starts.items()])
        records = self._poll(consumer, ends)
        consumer.close()
        return records

    def read_as_group(self, topic, group, ends):
        consumer = Consumer({**SERVER, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        records = self._poll(consumer, ends)
        consumer.commit(offsets=[TopicPartition(topic, p, end, f"to {end}") for p, end in ends.items()], asynchronous=False)
        consumer.close()
        return records

    def _poll(self, consumer, ends):
        records, left = [], dict(ends)

        def more():
            for m in consumer.consume(100, timeout=0.5):
                assert not m.error(), m.error()
                kind, timestamp = m.timestamp()
                assert kind == TIMESTAMP_CREATE_TIME, kind
                if m.offset() < ends[m.partition()]:
                    headers = tuple(m.headers() or ())
                    records.append(Record(m.partition(), m.key(), m.value(), headers, timestamp, m.offset()))
                if m.offset() + 1 >= ends[m.partition()]:
                    left.pop(m.partition(), None)
            return not left

        until("all records are read", more)
        return records

    def offset_for_time(self, topic, partition, timestamp):
        consumer = Consumer({**SERVER, "group.id": "unused"})
        found = consumer.offsets_for_times([TopicPartition(topic, partition, timestamp)], timeout=PATIENCE)[0]
        consumer.close()
        assert not found.error, found.error
        return found.offset if found.offset >= 0 else None

    def list_groups(self):
        result = self.admin.list_consumer_groups().result(PATIENCE)
        assert not result.errors, result.errors
        return [g.group_id for g in result.valid]

    def group_state(self, group):
        return self.admin.describe_consumer_groups([group])[group].result(PATIENCE).state.name

    def delete_group(self, group):
        self.admin.delete_consumer_groups([group])[group].result(PATIENCE)

    def delete_records(self, topic, partition, before):
        for result in self.admin.delete_records([TopicPartition(topic, partition, before)]).values():
            assert result.result(PATIENCE).low_watermark == before

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])[topic].result(PATIENCE)


Scenario(Client()).run()
