// sarama in the scenario of README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"
	"ottla/clients/scenario"
)

type client struct{}

func main() {
	scenario.Run("sarama", client{}, false)
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Return.Errors = true
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	return c
}

func brokers() []string { return []string{os.Getenv("BOOTSTRAP")} }

// with opens an admin client for one call.
func with[T any](call func(sarama.ClusterAdmin) (T, error)) (T, error) {
	admin, err := sarama.NewClusterAdmin(brokers(), config())
	if err != nil {
		var none T
		return none, err
	}
	defer admin.Close()
	return call(admin)
}

func (client) CreateTopic(topic string, partitions int) error {
	_, err := with(func(a sarama.ClusterAdmin) (any, error) {
		return nil, a.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: 1}, false)
	})
	return err
}

func (client) Topics() (map[string]int, error) {
	return with(func(a sarama.ClusterAdmin) (map[string]int, error) {
		details, err := a.ListTopics()
		topics := map[string]int{}
		for name, detail := range details {
			topics[name] = int(detail.NumPartitions)
		}
		return topics, err
	})
}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

var acknowledgements = map[string]sarama.RequiredAcks{"0": sarama.NoResponse, "1": sarama.WaitForLocal, "all": sarama.WaitForAll}

func (client) Produce(topic string, records []scenario.Record, codec, acks string) error {
	c := config()
	c.Producer.Compression = codecs[codec]
	c.Producer.RequiredAcks = acknowledgements[acks]
	if acks == "all" {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer(brokers(), c)
	if err != nil {
		return err
	}
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for _, r := range records {
		m := &sarama.ProducerMessage{Topic: topic, Partition: r.Partition, Timestamp: time.UnixMilli(r.Timestamp)}
		// A nil ByteEncoder would be an empty value, not null.
		if r.Key != nil {
			m.Key = sarama.ByteEncoder(r.Key)
		}
		if r.Value != nil {
			m.Value = sarama.ByteEncoder(r.Value)
		}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value})
		}
		messages = append(messages, m)
	}
	return producer.SendMessages(messages)
}

func (client) EndOffsets(topic string) (scenario.Offsets, error) {
	cl, err := sarama.NewClient(brokers(), config())
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	partitions, err := cl.Partitions(topic)
	ends := scenario.Offsets{}
	for _, p := range partitions {
		if ends[p], err = cl.GetOffset(topic, p, sarama.OffsetNewest); err != nil {
			return nil, err
		}
	}
	return ends, err
}

func record(m *sarama.ConsumerMessage) scenario.Record {
	r := scenario.Record{Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Timestamp: m.Timestamp.UnixMilli()}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, scenario.Header{Name: string(h.Key), Value: h.Value})
	}
	return r
}

func (client) Read(topic string, starts, ends scenario.Offsets) ([]scenario.Record, error) {
	consumer, err := sarama.NewConsumer(brokers(), config())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	var records []scenario.Record
	for p, start := range starts {
		// sarama's own word for the first offset is -2, too.
		partition, err := consumer.ConsumePartition(topic, p, start)
		if err != nil {
			return nil, err
		}
		patience := time.After(scenario.Patience)
		for next := int64(0); next < ends[p]; {
			select {
			case m := <-partition.Messages():
				records = append(records, record(m))
				next = m.Offset + 1
			case err := <-partition.Errors():
				return nil, err
			case <-patience:
				return nil, fmt.Errorf("gave up reading partition %d at %d", p, next)
			}
		}
		if err := partition.Close(); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// member reads each claimed partition up to its end.
type member struct {
	ends    scenario.Offsets
	records chan scenario.Record
}

func (m member) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (m member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			if message.Offset < m.ends[message.Partition] {
				session.MarkMessage(message, "")
				if message.Offset+1 == m.ends[message.Partition] {
					session.Commit()
				}
				m.records <- record(message)
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

func (client) ReadAsGroup(topic, group string, ends scenario.Offsets) ([]scenario.Record, error) {
	members, err := sarama.NewConsumerGroup(brokers(), group, config())
	if err != nil {
		return nil, err
	}
	defer members.Close()
	ctx, cancel := context.WithTimeout(context.Background(), scenario.Patience)
	defer cancel()
	m := member{ends: ends, records: make(chan scenario.Record)}
	ended := make(chan error, 1)
	go func() { ended <- members.Consume(ctx, []string{topic}, m) }()
	var records []scenario.Record
	left := map[int32]bool{}
	for p := range ends {
		left[p] = true
	}
	for len(left) > 0 {
		select {
		case r := <-m.records:
			records = append(records, r)
			if r.Offset+1 == ends[r.Partition] {
				delete(left, r.Partition)
			}
		case err := <-members.Errors():
			return nil, err
		case err := <-ended:
			return nil, fmt.Errorf("the session ended before all was read: %v", err)
		}
	}
	cancel()
	return records, <-ended
}

func (client) OffsetForTime(topic string, partition int32, ms int64) (int64, error) {
	cl, err := sarama.NewClient(brokers(), config())
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	return cl.GetOffset(topic, partition, ms)
}

func (client) Groups() ([]string, error) {
	return with(func(a sarama.ClusterAdmin) ([]string, error) {
		listed, err := a.ListConsumerGroups()
		var groups []string
		for group := range listed {
			groups = append(groups, group)
		}
		return groups, err
	})
}

func (client) GroupState(group string) (string, error) {
	return with(func(a sarama.ClusterAdmin) (string, error) {
		described, err := a.DescribeConsumerGroups([]string{group})
		if err != nil {
			return "", err
		}
		return described[0].State, nil
	})
}

func (client) DeleteGroup(group string) error {
	_, err := with(func(a sarama.ClusterAdmin) (any, error) { return nil, a.DeleteConsumerGroup(group) })
	return err
}

func (client) DeleteRecords(topic string, before scenario.Offsets) error {
	_, err := with(func(a sarama.ClusterAdmin) (any, error) { return nil, a.DeleteRecords(topic, before) })
	return err
}

func (client) DeleteTopic(topic string) error {
	_, err := with(func(a sarama.ClusterAdmin) (any, error) { return nil, a.DeleteTopic(topic) })
	return err
}
