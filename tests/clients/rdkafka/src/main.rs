//! The rdkafka crate in the scenario of README.md.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::process::{self, Command};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

const PARTITIONS: i32 = 3;
const PER_BATCH: usize = 12;
const PATIENCE: Duration = Duration::from_secs(20);
const GROUP: &str = "rdkafka-readers";

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;
type Offsets = BTreeMap<i32, i64>;

#[derive(Debug, Clone, PartialEq)]
struct Record {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: i64,
}

struct Scenario {
    admin: AdminClient<DefaultClientContext>,
    topic: String,
    log: Vec<Vec<Record>>,
    start: i64,
    written: usize,
    passed: usize,
    failed: usize,
}

/// Ends with an error if a record was not delivered: the program has no later moment to notice it.
struct Delivery;

impl ClientContext for Delivery {}

impl ProducerContext for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            println!("FAIL delivery: {error}");
            process::exit(1);
        }
    }
}

fn main() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_millis() as i64;
    let mut scenario = Scenario {
        admin: config(&[]).create().expect("an admin client"),
        topic: format!("rdkafka.{}", process::id()),
        log: vec![Vec::new(); PARTITIONS as usize],
        start: now - 3_600_000,
        written: 0,
        passed: 0,
        failed: 0,
    };
    scenario.run();
    println!("{} passed, {} failed", scenario.passed, scenario.failed);
    process::exit(i32::from(scenario.failed > 0));
}

fn config(settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", env::var("BOOTSTRAP").expect("BOOTSTRAP is set"));
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

fn until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result {
    let end = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < end {
        match condition() {
            Ok(true) => return Ok(()),
            Ok(false) => last = None,
            Err(error) => last = Some(error),
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(format!("gave up waiting: {what} ({last:?})").into())
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("{what}: {got:?} instead of {wanted:?}").into())
    }
}

impl Scenario {
    fn run(&mut self) {
        self.step("create", Self::create);
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            for acks in ["1", "all", "0"] {
                self.step(&format!("produce {codec} acks={acks}"), |s| s.produce(codec, acks));
            }
        }
        self.step("read", Self::read_all);
        self.step("group", |s| s.read_as_group(&s.offsets(|_| 0), &s.offsets(|n| n / 2)));
        self.step("restart", |_| restart());
        self.step("resume", |s| s.read_as_group(&s.offsets(|n| n / 2), &s.offsets(|n| n)));
        self.step("again", Self::read_all);
        self.step("times", Self::times);
        self.step("groups", Self::groups);
        self.step("delete_group", Self::delete_group);
        self.step("delete_records", Self::delete_records);
        self.step("delete_topic", Self::delete_topic);
    }

    fn step(&mut self, name: &str, action: impl FnOnce(&mut Self) -> Result) {
        let result = if self.failed < 3 {
            action(self)
        } else {
            Err("not run after so many failures".into())
        };
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("PASS {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {name}: {error}");
            }
        }
    }

    fn offsets(&self, of: impl Fn(i64) -> i64) -> Offsets {
        (0..PARTITIONS)
            .map(|p| (p, of(self.log[p as usize].len() as i64)))
            .collect()
    }

    fn partitions(&self) -> Result<usize> {
        let metadata = self.admin.inner().fetch_metadata(None, PATIENCE)?;
        Ok(metadata
            .topics()
            .iter()
            .find(|t| t.name() == self.topic)
            .map_or(0, |t| t.partitions().len()))
    }

    fn create(&mut self) -> Result {
        let topic = NewTopic::new(&self.topic, PARTITIONS, TopicReplication::Fixed(1));
        for result in block_on(self.admin.create_topics(&[topic], &AdminOptions::new()))? {
            result.map_err(|(topic, code)| format!("{topic}: {code}"))?;
        }
        until("the topic has its partitions", || {
            Ok(self.partitions()? == PARTITIONS as usize)
        })
    }

    fn record(&mut self, codec: &str, acks: &str, i: usize) -> (i32, Record) {
        let n = self.written;
        self.written += 1;
        let header = |name: &str, value: Option<&str>| (name.to_owned(), value.map(|v| v.as_bytes().to_vec()));
        let batch = format!("{codec} {acks}");
        let record = Record {
            key: (i % 6 != 4).then(|| format!("key-{}", n % 7).into_bytes()),
            value: match i % 6 {
                5 => None,
                2 => Some(Vec::new()),
                _ => Some(format!("{codec} {acks} {i} ärger 日本 ").repeat(12).into_bytes()),
            },
            headers: if i % 4 == 3 {
                Vec::new()
            } else {
                vec![
                    header("trace", Some("one")),
                    header("batch", Some(&batch)),
                    header("trace", Some("two")),
                    header("empty", Some("")),
                    header("null", None),
                ]
            },
            timestamp: self.start + n as i64 * 1000,
        };
        (n as i32 % PARTITIONS, record)
    }

    fn produce(&mut self, codec: &str, acks: &str) -> Result {
        let idempotence = if acks == "all" { "true" } else { "false" };
        let settings = [
            ("compression.type", codec),
            ("acks", acks),
            ("linger.ms", "50"),
            ("enable.idempotence", idempotence),
        ];
        let producer: ThreadedProducer<_> = config(&settings).create_with_context(Delivery)?;
        for i in 0..PER_BATCH {
            let (partition, record) = self.record(codec, acks, i);
            let mut headers = OwnedHeaders::new();
            for (key, value) in &record.headers {
                headers = headers.insert(Header {
                    key,
                    value: value.as_ref(),
                });
            }
            let mut sent = BaseRecord::to(&self.topic)
                .partition(partition)
                .timestamp(record.timestamp)
                .headers(headers);
            if let Some(key) = &record.key {
                sent = sent.key(key);
            }
            if let Some(value) = &record.value {
                sent = sent.payload(value);
            }
            producer.send(sent).map_err(|(error, _)| error)?;
            self.log[partition as usize].push(record);
        }
        producer.flush(PATIENCE)?;
        // With acks=0 nobody says when the records are there. The producer is kept until then.
        let ends = self.offsets(|n| n);
        until(&format!("end offsets {ends:?}"), || {
            for (p, end) in &ends {
                if self.admin.inner().fetch_watermarks(&self.topic, *p, PATIENCE)?.1 != *end {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    fn read(&self, starts: &BTreeMap<i32, Offset>, ends: &Offsets) -> Result<Vec<(i32, i64, Record)>> {
        let settings = [
            ("group.id", "unused"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "error"),
            ("check.crcs", "true"),
        ];
        let consumer: BaseConsumer = config(&settings).create()?;
        let mut list = TopicPartitionList::new();
        for (p, start) in starts {
            list.add_partition_offset(&self.topic, *p, *start)?;
        }
        consumer.assign(&list)?;
        poll(&consumer, ends)
    }

    fn read_all(&mut self) -> Result {
        let (starts, ends) = (self.offsets(|_| 0), self.offsets(|n| n));
        let got = self.read(&starts.keys().map(|p| (*p, Offset::Beginning)).collect(), &ends)?;
        self.compare(got, &starts, &ends)
    }

    fn read_as_group(&self, starts: &Offsets, ends: &Offsets) -> Result {
        let settings = [
            ("group.id", GROUP),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
        ];
        let consumer: BaseConsumer = config(&settings).create()?;
        consumer.subscribe(&[&self.topic])?;
        let got = poll(&consumer, ends)?;
        let mut commit = TopicPartitionList::new();
        for (p, end) in ends {
            commit.add_partition_offset(&self.topic, *p, Offset::Offset(*end))?;
        }
        consumer.commit(&commit, CommitMode::Sync)?;
        self.compare(got, starts, ends)
    }

    fn compare(&self, got: Vec<(i32, i64, Record)>, starts: &Offsets, ends: &Offsets) -> Result {
        let mut next = starts.clone();
        for (p, offset, record) in got {
            let due = next.get_mut(&p).ok_or("a record of another partition")?;
            equal("offset", offset, *due)?;
            equal(
                &format!("offset {offset} of partition {p}"),
                &record,
                &self.log[p as usize][offset as usize],
            )?;
            *due += 1;
        }
        equal("read up to", &next, ends)
    }

    fn times(&mut self) -> Result {
        let consumer: BaseConsumer = config(&[("group.id", "unused")]).create()?;
        let middle = (self.log[1].len() / 2) as i64;
        let at = self.log[1][middle as usize].timestamp;
        let after = self.start + self.written as i64 * 1000;
        for (time, wanted) in [
            (at, Offset::Offset(middle)),
            (at + 1, Offset::Offset(middle + 1)),
            (self.start - 5000, Offset::Offset(0)),
            (after, Offset::End),
        ] {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset(&self.topic, 1, Offset::Offset(time))?;
            let found = consumer.offsets_for_times(asked, PATIENCE)?;
            equal("offset for a time", found.elements()[0].offset(), wanted)?;
        }
        let (start, end) = (Offsets::from([(1, middle)]), Offsets::from([(1, middle + 1)]));
        let got = self.read(&BTreeMap::from([(1, Offset::Offset(middle))]), &end)?;
        self.compare(got, &start, &end)
    }

    fn group_state(&self) -> Result<Option<String>> {
        let list = self.admin.inner().fetch_group_list(None, PATIENCE)?;
        Ok(list
            .groups()
            .iter()
            .find(|g| g.name() == GROUP)
            .map(|g| g.state().to_owned()))
    }

    fn groups(&mut self) -> Result {
        until("the group is listed and empty", || {
            Ok(self.group_state()?.as_deref() == Some("Empty"))
        })
    }

    fn delete_group(&mut self) -> Result {
        for result in block_on(self.admin.delete_groups(&[GROUP], &AdminOptions::new()))? {
            result.map_err(|(group, code)| format!("{group}: {code}"))?;
        }
        until("the group is gone", || Ok(self.group_state()?.is_none()))
    }

    fn delete_records(&mut self) -> Result {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(&self.topic, 2, Offset::Offset(5))?;
        let result = block_on(self.admin.delete_records(&before, &AdminOptions::new()))?;
        equal("low watermark", result.elements()[0].offset(), Offset::Offset(5))?;
        let got = self.read(&BTreeMap::from([(2, Offset::Beginning)]), &Offsets::from([(2, 7)]))?;
        self.compare(got, &Offsets::from([(2, 5)]), &Offsets::from([(2, 7)]))
    }

    fn delete_topic(&mut self) -> Result {
        for result in block_on(self.admin.delete_topics(&[&self.topic], &AdminOptions::new()))? {
            result.map_err(|(topic, code)| format!("{topic}: {code}"))?;
        }
        until("the topic is gone", || Ok(self.partitions()? == 0))
    }
}

fn poll(consumer: &BaseConsumer, ends: &Offsets) -> Result<Vec<(i32, i64, Record)>> {
    let mut records = Vec::new();
    let mut left = ends.clone();
    let deadline = Instant::now() + PATIENCE;
    while !left.is_empty() {
        if Instant::now() > deadline {
            return Err(format!("gave up reading, missing up to {left:?}").into());
        }
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            continue;
        };
        let message = message?;
        let (p, offset) = (message.partition(), message.offset());
        let Timestamp::CreateTime(timestamp) = message.timestamp() else {
            return Err(format!("timestamp {:?}", message.timestamp()).into());
        };
        let headers = message.headers().map_or(Vec::new(), |headers| {
            headers
                .iter()
                .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                .collect()
        });
        let record = Record {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
            timestamp,
        };
        if offset < ends[&p] {
            records.push((p, offset, record));
        }
        if offset + 1 >= ends[&p] {
            left.remove(&p);
        }
    }
    Ok(records)
}

fn restart() -> Result {
    let status = Command::new("bash")
        .arg("-c")
        .arg(env::var("OTTLA_RESTART")?)
        .status()?;
    equal("the restart", status.success(), true)
}
