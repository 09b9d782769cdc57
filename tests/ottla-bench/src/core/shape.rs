//! The shape of a produce load, and the librdkafka properties that give it.

/// How many records go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batching {
    /// One record in each request.
    One,
    /// As many as fit into so many bytes.
    Bytes(usize),
}

/// A produce load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of each value.
    pub record_bytes: usize,
    /// How many records go together.
    pub batching: Batching,
    /// Partitions of the topic.
    pub partitions: i32,
    /// Whether records have keys, which spreads them over all partitions instead of filling one batch after another.
    pub keys: bool,
    /// The codec's name in the properties.
    pub codec: &'static str,
    /// acks.
    pub acks: &'static str,
}

impl Shape {
    /// 1 KiB records without keys to six partitions, acks=all.
    pub const fn of(batching: Batching) -> Self {
        Self {
            record_bytes: 1024,
            batching,
            partitions: 6,
            keys: false,
            codec: "none",
            acks: "all",
        }
    }

    /// For people.
    pub fn name(&self) -> String {
        let batch = match self.batching {
            Batching::One => "one a request".to_owned(),
            Batching::Bytes(bytes) => format!("{} batches", size(bytes)),
        };
        let mut name = format!("{} records, {batch}", size(self.record_bytes));
        match self.partitions {
            6 => {}
            1 => name += ", 1 partition",
            many => name += &format!(", {many} partitions"),
        }
        if self.keys {
            name += ", keys";
        }
        if self.codec != "none" {
            name += &format!(", {}", self.codec);
        }
        if self.acks != "all" {
            name += &format!(", acks={}", self.acks);
        }
        name
    }

    /// The properties of the producer. Five requests under way, as the Java client has by default.
    pub fn properties(&self) -> Vec<(String, String)> {
        let (batch_bytes, batch_records, linger_ms) = match self.batching {
            Batching::One => (self.record_bytes + 1_000, 1, 0),
            Batching::Bytes(bytes) => (bytes, 1_000_000, 5),
        };
        let properties = [
            ("acks", self.acks.to_owned()),
            ("compression.type", self.codec.to_owned()),
            ("batch.size", batch_bytes.to_string()),
            ("batch.num.messages", batch_records.to_string()),
            ("linger.ms", linger_ms.to_string()),
            ("max.in.flight.requests.per.connection", "5".to_owned()),
        ];
        properties.map(|(key, value)| (key.to_owned(), value)).to_vec()
    }
}

/// Bytes in the greatest unit that leaves a whole number.
pub fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 1_000_000 && bytes.is_multiple_of(1_000_000) => format!("{} MB", bytes / 1_000_000),
        bytes if bytes >= 1024 && bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
        bytes => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_not_usual() {
        assert_eq!(Shape::of(Batching::One).name(), "1 KiB records, one a request");
        let shape = Shape {
            record_bytes: 100,
            partitions: 16,
            codec: "zstd",
            acks: "1",
            ..Shape::of(Batching::Bytes(1_000_000))
        };
        assert_eq!(shape.name(), "100 B records, 1 MB batches, 16 partitions, zstd, acks=1");
    }

    #[test]
    fn one_record_a_request_neither_waits_nor_gathers() {
        let properties = Shape::of(Batching::One).properties();
        let value = |key: &str| {
            properties
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(
            (value("batch.num.messages"), value("linger.ms")),
            (Some("1"), Some("0"))
        );
    }
}
