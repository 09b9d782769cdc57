// franz-go in the scenario of README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"ottla/clients/scenario"
)

type client struct{ admin *kadm.Client }

func main() {
	scenario.Run("franz-go", client{kadm.NewClient(connect())}, true)
}

func connect(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(os.Getenv("BOOTSTRAP")))...)
	if err != nil {
		panic(err)
	}
	return cl
}

func patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), scenario.Patience)
}

func (c client) CreateTopic(topic string, partitions int) error {
	ctx, cancel := patience()
	defer cancel()
	_, err := c.admin.CreateTopic(ctx, int32(partitions), 1, nil, topic)
	return err
}

func (c client) Topics() (map[string]int, error) {
	ctx, cancel := patience()
	defer cancel()
	details, err := c.admin.ListTopics(ctx)
	topics := map[string]int{}
	for name, detail := range details {
		topics[name] = len(detail.Partitions)
	}
	return topics, err
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func (c client) Produce(topic string, records []scenario.Record, codec, acks string) error {
	ctx, cancel := patience()
	defer cancel()
	opts := []kgo.Opt{kgo.ProducerBatchCompression(codecs[codec]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(20 * time.Millisecond)}
	switch acks {
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	cl := connect(opts...)
	defer cl.Close()
	var batch []*kgo.Record
	for _, r := range records {
		k := &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
		batch = append(batch, k)
	}
	for i, result := range cl.ProduceSync(ctx, batch...) {
		if result.Err != nil {
			return result.Err
		}
		// The results come in the order of the answers: the record is known by its pointer.
		if acks != "0" && result.Record.Offset < 0 {
			return fmt.Errorf("record %d has no offset", i)
		}
	}
	return nil
}

func (c client) EndOffsets(topic string) (scenario.Offsets, error) {
	ctx, cancel := patience()
	defer cancel()
	listed, err := c.admin.ListEndOffsets(ctx, topic)
	return offsets(listed), err
}

func offsets(listed kadm.ListedOffsets) scenario.Offsets {
	found := scenario.Offsets{}
	listed.Each(func(o kadm.ListedOffset) { found[o.Partition] = o.Offset })
	return found
}

func (c client) Read(topic string, starts, ends scenario.Offsets) ([]scenario.Record, error) {
	from := map[int32]kgo.Offset{}
	for p, start := range starts {
		from[p] = kgo.NewOffset().At(start)
		if start == scenario.FirstOffset {
			from[p] = kgo.NewOffset().AtStart()
		}
	}
	cl := connect(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	defer cl.Close()
	return poll(cl, ends)
}

func (c client) ReadAsGroup(topic, group string, ends scenario.Offsets) ([]scenario.Record, error) {
	cl := connect(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	records, err := poll(cl, ends)
	if err != nil {
		return nil, err
	}
	ctx, cancel := patience()
	defer cancel()
	commit := map[string]map[int32]kgo.EpochOffset{topic: {}}
	for p, end := range ends {
		commit[topic][p] = kgo.EpochOffset{Epoch: -1, Offset: end}
	}
	var failed error
	cl.CommitOffsetsSync(ctx, commit, nil)
	fetched, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	for p, end := range ends {
		if o, ok := fetched.Lookup(topic, p); err == nil && (!ok || o.At != end) {
			failed = fmt.Errorf("partition %d has the committed offset %d instead of %d", p, o.At, end)
		}
	}
	if err == nil {
		err = failed
	}
	return records, err
}

func poll(cl *kgo.Client, ends scenario.Offsets) ([]scenario.Record, error) {
	ctx, cancel := patience()
	defer cancel()
	var records []scenario.Record
	left := map[int32]bool{}
	for p := range ends {
		left[p] = true
	}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, err
		}
		for _, e := range fetches.Errors() {
			return nil, e.Err
		}
		fetches.EachRecord(func(k *kgo.Record) {
			r := scenario.Record{Partition: k.Partition, Offset: k.Offset, Key: k.Key, Value: k.Value, Timestamp: k.Timestamp.UnixMilli()}
			for _, h := range k.Headers {
				r.Headers = append(r.Headers, scenario.Header{Name: h.Key, Value: h.Value})
			}
			if k.Offset < ends[k.Partition] {
				records = append(records, r)
			}
			if k.Offset+1 >= ends[k.Partition] {
				delete(left, k.Partition)
			}
		})
	}
	return records, nil
}

func (c client) OffsetForTime(topic string, partition int32, ms int64) (int64, error) {
	ctx, cancel := patience()
	defer cancel()
	listed, err := c.admin.ListOffsetsAfterMilli(ctx, ms, topic)
	if err != nil {
		return 0, err
	}
	o, _ := listed.Lookup(topic, partition)
	// kadm itself makes the end offset of "none", with no timestamp.
	if o.Err == nil && o.Timestamp < 0 {
		return -1, nil
	}
	return o.Offset, o.Err
}

func (c client) Groups() ([]string, error) {
	ctx, cancel := patience()
	defer cancel()
	listed, err := c.admin.ListGroups(ctx)
	return listed.Groups(), err
}

func (c client) GroupState(group string) (string, error) {
	ctx, cancel := patience()
	defer cancel()
	described, err := c.admin.DescribeGroups(ctx, group)
	if err != nil {
		return "", err
	}
	return described[group].State, described[group].Err
}

func (c client) DeleteGroup(group string) error {
	ctx, cancel := patience()
	defer cancel()
	_, err := c.admin.DeleteGroup(ctx, group)
	return err
}

func (c client) DeleteRecords(topic string, before scenario.Offsets) error {
	ctx, cancel := patience()
	defer cancel()
	asked := kadm.Offsets{}
	for p, offset := range before {
		asked.Add(kadm.Offset{Topic: topic, Partition: p, At: offset})
	}
	responses, err := c.admin.DeleteRecords(ctx, asked)
	if err != nil {
		return err
	}
	return responses.Error()
}

func (c client) DeleteTopic(topic string) error {
	ctx, cancel := patience()
	defer cancel()
	_, err := c.admin.DeleteTopic(ctx, topic)
	return err
}
