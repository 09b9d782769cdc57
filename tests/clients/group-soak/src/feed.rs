//! Records for the groups, and which of them the broker has acknowledged.

use crate::{Result, judge::Written};
use rdkafka::{
    ClientContext, Message,
    config::ClientConfig,
    error::KafkaError,
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Between two records: some 200 a second.
const PACE: Duration = Duration::from_millis(5);

#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<(Written, Vec<String>)>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut deliveries = self.0.lock().expect("no thread has panicked");
        match result {
            Ok(message) => {
                let partition = (message.topic().to_owned(), message.partition());
                deliveries.0.entry(partition).or_default().insert(message.offset());
            }
            Err((error, _)) => deliveries.1.push(error.to_string()),
        }
    }
}

/// A producer in a thread of its own.
pub(crate) struct Feed {
    /// The topics that it writes to, each to all partitions it knows.
    pub(crate) topics: Arc<Mutex<Vec<String>>>,
    deliveries: Deliveries,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<std::result::Result<(), KafkaError>>,
}

impl Feed {
    pub(crate) fn start() -> Result<Self> {
        let deliveries = Deliveries::default();
        let producer: ThreadedProducer<Deliveries> = ClientConfig::new()
            .set("bootstrap.servers", std::env::var("BOOTSTRAP")?)
            .set("enable.idempotence", "true")
            .set("topic.metadata.refresh.interval.ms", "1000")
            .set("sticky.partitioning.linger.ms", "0")
            .create_with_context(deliveries.clone())?;
        let (topics, is_over) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (chosen, told) = (topics.clone(), is_over.clone());
        let thread = thread::spawn(move || {
            let mut count = 0;
            while !told.load(Ordering::SeqCst) {
                thread::sleep(PACE);
                let topics = chosen.lock().expect("no thread has panicked").clone();
                let Some(topic) = topics.get(count % topics.len().max(1)) else {
                    continue;
                };
                count += 1;
                let value = count.to_string();
                match producer.send(BaseRecord::<(), str>::to(topic).payload(&value)) {
                    Ok(()) | Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {}
                    Err((error, _)) => return Err(error),
                }
            }
            producer.flush(Duration::from_secs(60))
        });
        Ok(Self {
            topics,
            deliveries,
            is_over,
            thread,
        })
    }

    /// Stops it; returns what the broker has acknowledged.
    ///
    /// # Errors
    /// A record could not be delivered.
    pub(crate) fn end(self) -> Result<Written> {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| "the feed has panicked")??;
        let deliveries = self.deliveries.0.lock().expect("no thread has panicked").clone();
        match deliveries.1.first() {
            None => Ok(deliveries.0),
            Some(error) => Err(format!("{} records were not delivered: {error}", deliveries.1.len()).into()),
        }
    }
}
