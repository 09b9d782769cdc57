"""kafka-python in the scenario."""

import os

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition

from scenario import PATIENCE, Record, Scenario, until

SERVER = {"bootstrap_servers": os.environ["BOOTSTRAP"]}


class Client:
    name = "kafka-python"
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    acks = [1, "all", 0]
    null_header = False  # it takes no header without a value
    cannot = {}

    def __init__(self):
        self.admin = KafkaAdminClient(**SERVER)

    def as_read(self, record):
        return record

    def create_topic(self, topic, partitions):
        self.admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1}})

    def topics(self):
        return {t["name"]: len(t["partitions"]) for t in self.admin.describe_topics()}

    def produce(self, topic, records, codec, acks):
        producer = KafkaProducer(
            **SERVER, acks=acks, enable_idempotence=acks == "all", linger_ms=50,
            compression_type=None if codec == "none" else codec)
        sent = [producer.send(topic, value=r.value, key=r.key, headers=list(r.headers), partition=r.partition,
                              timestamp_ms=r.timestamp) for r in records]
        producer.flush(timeout=PATIENCE)
        for future in sent:
            future.get(timeout=PATIENCE)
        producer.close()

    def end_offsets(self, topic, partitions):
        consumer = KafkaConsumer(**SERVER)
        ends = consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
        consumer.close()
        return {tp.partition: offset for tp, offset in ends.items()}

    def read(self, topic, starts, ends):
        consumer = KafkaConsumer(**SERVER, enable_auto_commit=False, auto_offset_reset="earliest")
        consumer.assign([TopicPartition(topic, p) for p in starts])
        for p, start in starts.items():
            if start == "earliest":
                consumer.seek_to_beginning(TopicPartition(topic, p))
            else:
                consumer.seek(TopicPartition(topic, p), start)
        records = self._poll(consumer, ends)
        consumer.close()
        return records

    def read_as_group(self, topic, group, ends):
        consumer = KafkaConsumer(topic, **SERVER, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest")
        records = self._poll(consumer, ends)
        consumer.commit({TopicPartition(topic, p): OffsetAndMetadata(end, f"to {end}", -1) for p, end in ends.items()})
        consumer.close()
        return records

    def _poll(self, consumer, ends):
        records, left = [], dict(ends)

        def more():
            for tp, batch in consumer.poll(timeout_ms=500).items():
                for m in batch:
                    if m.offset < ends[tp.partition]:
                        records.append(Record(m.partition, m.key, m.value, tuple(m.headers), m.timestamp, m.offset))
                    if m.offset + 1 >= ends[tp.partition]:
                        left.pop(tp.partition, None)
            return not left

        until("all records are read", more)
        return records

    def offset_for_time(self, topic, partition, timestamp):
        consumer = KafkaConsumer(**SERVER)
        tp = TopicPartition(topic, partition)
        found = consumer.offsets_for_times({tp: timestamp})[tp]
        consumer.close()
        return found and found.offset

    def list_groups(self):
        return [g["group_id"] for g in self.admin.list_groups()]

    def group_state(self, group):
        return str(self.admin.describe_groups([group])[group]["group_state"])

    def delete_group(self, group):
        result = self.admin.delete_groups([group])
        assert "NoError" in str(result) or result == {group: "OK"}, result

    def delete_records(self, topic, partition, before):
        self.admin.delete_records({TopicPartition(topic, partition): before})

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])


Scenario(Client()).run()
