// Package scenario is the scenario of README.md for the clients in Go: each implements Client.
package scenario

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	partitions  = 3
	perBatch    = 12
	giveUpAfter = 3
	// Patience is how long anything may take.
	Patience = 20 * time.Second
	// FirstOffset as a start means: wherever the partition begins.
	FirstOffset = -2
)

// Header of a record. A nil value is null.
type Header struct {
	Name  string
	Value []byte
}

// Record as it was written, or as it was read. Nil keys and values are null.
type Record struct {
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   []Header
	Timestamp int64
}

// Offsets by partition.
type Offsets map[int32]int64

// Client is what the scenario asks of a library. All calls block until done.
type Client interface {
	CreateTopic(topic string, partitions int) error
	// Topics gives the number of partitions of each topic.
	Topics() (map[string]int, error)
	Produce(topic string, records []Record, codec, acks string) error
	EndOffsets(topic string) (Offsets, error)
	// Read reads by assignment, ReadAsGroup as the only member of the group, until each partition has been read up to
	// its end; they give the records before the ends. ReadAsGroup commits the ends.
	Read(topic string, starts, ends Offsets) ([]Record, error)
	ReadAsGroup(topic, group string, ends Offsets) ([]Record, error)
	// OffsetForTime gives -1 if there is no record at or after the time.
	OffsetForTime(topic string, partition int32, ms int64) (int64, error)
	Groups() ([]string, error)
	GroupState(group string) (string, error)
	DeleteGroup(group string) error
	DeleteRecords(topic string, before Offsets) error
	DeleteTopic(topic string) error
}

type scenario struct {
	client         Client
	name           string
	topic, group   string
	log            [partitions][]Record
	start          int64
	written        int
	passed, failed int
	nullHeaders    bool
}

// Run goes through all steps and ends the process.
func Run(name string, client Client, nullHeaders bool) {
	s := &scenario{client: client, name: name, topic: fmt.Sprintf("%s.%d", name, os.Getpid()), group: name + "-readers",
		start: time.Now().UnixMilli() - 3_600_000, nullHeaders: nullHeaders}
	s.step("create", s.create)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, acks := range []string{"1", "all", "0"} {
			s.step("produce "+codec+" acks="+acks, func() error { return s.produce(codec, acks) })
		}
	}
	s.step("read", s.readAll)
	s.step("group", func() error { return s.readAsGroup(s.offsets(0), s.offsets(2)) })
	s.step("restart", restart)
	s.step("resume", func() error { return s.readAsGroup(s.offsets(2), s.offsets(1)) })
	s.step("again", s.readAll)
	s.step("times", s.times)
	s.step("groups", s.groups)
	s.step("delete_group", s.deleteGroup)
	s.step("delete_records", s.deleteRecords)
	s.step("delete_topic", s.deleteTopic)
	fmt.Printf("%d passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 {
		os.Exit(1)
	}
}

func (s *scenario) step(name string, action func() error) {
	err := fmt.Errorf("not run after so many failures")
	begun := time.Now()
	if s.failed < giveUpAfter {
		err = action()
	}
	if err != nil {
		s.failed++
		fmt.Printf("FAIL %s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
		return
	}
	s.passed++
	fmt.Printf("PASS %s (%.2f s)\n", name, time.Since(begun).Seconds())
}

// Until calls the condition until it is true; an error after Patience.
func Until(what string, condition func() (bool, error)) error {
	var last error
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		done, err := condition()
		if done && err == nil {
			return nil
		}
		last = err
	}
	return fmt.Errorf("gave up waiting: %s (last error: %v)", what, last)
}

// offsets gives 0 for each partition, or the number of its records divided.
func (s *scenario) offsets(divisor int) Offsets {
	offsets := Offsets{}
	for p := range s.log {
		offsets[int32(p)] = 0
		if divisor > 0 {
			offsets[int32(p)] = int64(len(s.log[p]) / divisor)
		}
	}
	return offsets
}

func (s *scenario) create() error {
	if err := s.client.CreateTopic(s.topic, partitions); err != nil {
		return err
	}
	return Until("the topic has its partitions", func() (bool, error) {
		topics, err := s.client.Topics()
		return topics[s.topic] == partitions, err
	})
}

func (s *scenario) record(codec, acks string, i int) Record {
	n := s.written
	s.written++
	r := Record{Partition: int32(n % partitions), Timestamp: s.start + int64(n)*1000}
	if i%4 != 3 {
		r.Headers = []Header{{"trace", []byte("one")}, {"batch", []byte(codec + " " + acks)}, {"trace", []byte("two")}, {"empty", []byte{}}}
		if s.nullHeaders {
			r.Headers = append(r.Headers, Header{"null", nil})
		}
	}
	if i%6 != 4 {
		r.Key = fmt.Appendf(nil, "key-%d", n%7)
	}
	switch i % 6 {
	case 5:
	case 2:
		r.Value = []byte{}
	default:
		r.Value = []byte(strings.Repeat(fmt.Sprintf("%s %s %d ärger 日本 ", codec, acks, i), 12))
	}
	return r
}

func (s *scenario) produce(codec, acks string) error {
	var records []Record
	for i := range perBatch {
		r := s.record(codec, acks, i)
		r.Offset = int64(len(s.log[r.Partition]))
		s.log[r.Partition] = append(s.log[r.Partition], r)
		records = append(records, r)
	}
	if err := s.client.Produce(s.topic, records, codec, acks); err != nil {
		return err
	}
	// With acks=0 nobody says when the records are there.
	return Until(fmt.Sprintf("end offsets %v", s.offsets(1)), func() (bool, error) {
		ends, err := s.client.EndOffsets(s.topic)
		return fmt.Sprint(ends) == fmt.Sprint(s.offsets(1)), err
	})
}

func (s *scenario) readAll() error {
	got, err := s.client.Read(s.topic, s.offsets(0), s.offsets(1))
	if err != nil {
		return err
	}
	return s.compare(got, s.offsets(0), s.offsets(1))
}

func (s *scenario) readAsGroup(starts, ends Offsets) error {
	got, err := s.client.ReadAsGroup(s.topic, s.group, ends)
	if err != nil {
		return err
	}
	return s.compare(got, starts, ends)
}

func (s *scenario) compare(got []Record, starts, ends Offsets) error {
	for p, next := range starts {
		for _, r := range got {
			if r.Partition != p {
				continue
			}
			if r.Offset != next {
				return fmt.Errorf("partition %d: offset %d where %d was due", p, r.Offset, next)
			}
			if err := same(r, s.log[p][next]); err != nil {
				return fmt.Errorf("partition %d, offset %d: %w", p, next, err)
			}
			next++
		}
		if next != ends[p] {
			return fmt.Errorf("partition %d: read up to %d instead of %d", p, next, ends[p])
		}
	}
	return nil
}

func same(got, want Record) error {
	if got.Timestamp != want.Timestamp {
		return fmt.Errorf("timestamp %d instead of %d", got.Timestamp, want.Timestamp)
	}
	if !sameBytes(got.Key, want.Key) || !sameBytes(got.Value, want.Value) {
		return fmt.Errorf("key %q, value %q instead of %q, %q", got.Key, got.Value, want.Key, want.Value)
	}
	if len(got.Headers) != len(want.Headers) {
		return fmt.Errorf("headers %v instead of %v", got.Headers, want.Headers)
	}
	for i, h := range want.Headers {
		if got.Headers[i].Name != h.Name || !sameBytes(got.Headers[i].Value, h.Value) {
			return fmt.Errorf("header %d: %v instead of %v", i, got.Headers[i], h)
		}
	}
	return nil
}

func sameBytes(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}

func restart() error {
	command := exec.Command("bash", "-c", os.Getenv("OTTLA_RESTART"))
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}

func (s *scenario) times() error {
	middle := int64(len(s.log[1]) / 2)
	at := s.log[1][middle].Timestamp
	for ms, wanted := range map[int64]int64{at: middle, at + 1: middle + 1, s.start - 5000: 0, s.start + int64(s.written)*1000: -1} {
		found, err := s.client.OffsetForTime(s.topic, 1, ms)
		if err != nil {
			return err
		}
		if found != wanted {
			return fmt.Errorf("offset for the time %d: %d instead of %d", ms, found, wanted)
		}
	}
	got, err := s.client.Read(s.topic, Offsets{1: middle}, Offsets{1: middle + 1})
	if err != nil {
		return err
	}
	return s.compare(got, Offsets{1: middle}, Offsets{1: middle + 1})
}

func (s *scenario) listed() (bool, error) {
	groups, err := s.client.Groups()
	for _, group := range groups {
		if group == s.group {
			return true, err
		}
	}
	return false, err
}

func (s *scenario) groups() error {
	if err := Until("the group is listed", s.listed); err != nil {
		return err
	}
	return Until("the group is empty", func() (bool, error) {
		state, err := s.client.GroupState(s.group)
		return state == "Empty", err
	})
}

func (s *scenario) deleteGroup() error {
	if err := s.client.DeleteGroup(s.group); err != nil {
		return err
	}
	return Until("the group is gone", func() (bool, error) {
		is, err := s.listed()
		return !is && err == nil, err
	})
}

func (s *scenario) deleteRecords() error {
	if err := s.client.DeleteRecords(s.topic, Offsets{2: 5}); err != nil {
		return err
	}
	got, err := s.client.Read(s.topic, Offsets{2: FirstOffset}, Offsets{2: 7})
	if err != nil {
		return err
	}
	return s.compare(got, Offsets{2: 5}, Offsets{2: 7})
}

func (s *scenario) deleteTopic() error {
	if err := s.client.DeleteTopic(s.topic); err != nil {
		return err
	}
	return Until("the topic is gone", func() (bool, error) {
		topics, err := s.client.Topics()
		_, is := topics[s.topic]
		return !is && err == nil, err
	})
}
