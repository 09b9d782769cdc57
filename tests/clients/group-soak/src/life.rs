//! What a member noted, and when it had which partition.

use crate::{Result, now};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

/// A partition, by topic and index.
pub(crate) type Partition = (String, i32);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Assigned(Vec<Partition>),
    /// Given up, as it was told to.
    Revoked(Vec<Partition>),
    /// It found that it had been expelled.
    Lost(Vec<Partition>),
    Read(Partition, i64),
    /// The coordinator has taken a commit that was sent at `begun`.
    Committed {
        begun: u64,
        partition: Partition,
        next: i64,
    },
    Leaving,
    /// Its client joined again before the program heard what the callback that waited then had to say. That callback is the
    /// next one, or the one that had just begun.
    Rejoined {
        is_told: bool,
    },
}

impl Event {
    /// Whether it is a callback of the client.
    fn is_callback(&self) -> bool {
        matches!(self, Self::Assigned(_) | Self::Revoked(_) | Self::Lost(_))
    }
}

/// One member from its start to its end.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) name: String,
    pub(crate) group: String,
    /// Whether each assignment is all that it has, and what it had before is given up first.
    is_eager: bool,
    pub(crate) events: Vec<(u64, Event)>,
    /// When it was killed.
    pub(crate) killed: Option<u64>,
    /// When it was stopped and went on.
    pub(crate) pauses: Vec<(u64, u64)>,
    notes: PathBuf,
    read_to: u64,
}

/// A time in which a member certainly had a partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) partition: Partition,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Life {
    pub(crate) fn new(name: &str, group: &str, is_eager: bool, notes: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            group: group.to_owned(),
            is_eager,
            events: Vec::new(),
            killed: None,
            pauses: Vec::new(),
            notes,
            read_to: 0,
        }
    }

    /// Takes over what it has noted since.
    pub(crate) fn follow(&mut self) -> Result {
        let mut file = File::open(&self.notes)?;
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A line that is not whole yet comes later, or never.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        self.read_to += whole.len() as u64;
        for line in whole.lines() {
            if let Some(event) = parse(line).ok_or_else(|| format!("{} noted: {line}", self.name))? {
                self.events.push(event);
            }
        }
        Ok(())
    }

    /// What it has now, as it sees it.
    pub(crate) fn owned(&self) -> Vec<&Partition> {
        let mut owned = Vec::new();
        for (_, event) in &self.events {
            match event {
                Event::Assigned(partitions) => {
                    if self.is_eager {
                        owned.clear();
                    }
                    owned.extend(partitions);
                }
                Event::Revoked(partitions) | Event::Lost(partitions) => {
                    owned.retain(|each| !partitions.contains(each));
                }
                Event::Leaving => owned.clear(),
                Event::Read(..) | Event::Committed { .. } | Event::Rejoined { .. } => {}
            }
        }
        owned
    }

    /// When it had which partition, less the times in which it may have been expelled without knowing: from a pause, or
    /// from before it found out, to the next commit that the coordinator took from it; and less those in which its client
    /// may have joined again without telling it.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let belated = self.belated();
        let mut held: BTreeMap<&Partition, u64> = BTreeMap::new();
        let mut spans = Vec::new();
        let mut close = |partition: &Partition, from, to| {
            spans.extend(self.certain(from, to).into_iter().map(|(from, to)| Span {
                partition: partition.clone(),
                from,
                to,
            }));
        };
        for (index, (at, event)) in self.events.iter().enumerate() {
            let is_belated = belated.contains(&index);
            match event {
                // It had joined again without this: others are given it. Otherwise it has said that it has this.
                Event::Assigned(_) if is_belated && self.is_eager => {}
                Event::Assigned(partitions) => held.extend(partitions.iter().map(|each| (each, *at))),
                Event::Revoked(partitions) | Event::Lost(partitions) => {
                    for each in partitions {
                        let Some(from) = held.remove(each) else {
                            continue;
                        };
                        let to = match event {
                            _ if is_belated => self.proof_before_last(from, *at),
                            Event::Lost(_) => self.last_proof(from, *at),
                            _ => *at,
                        };
                        close(each, from, to);
                    }
                }
                Event::Leaving => std::mem::take(&mut held)
                    .into_iter()
                    .for_each(|(each, from)| close(each, from, *at)),
                Event::Read(..) | Event::Committed { .. } | Event::Rejoined { .. } => {}
            }
        }
        let end = self.killed.unwrap_or_else(now);
        for (each, from) in held {
            close(each, from, end);
        }
        spans
    }

    /// How often its client joined again without telling it.
    pub(crate) fn rejoined(&self) -> usize {
        let events = self.events.iter();
        events
            .filter(|(_, event)| matches!(event, Event::Rejoined { .. }))
            .count()
    }

    /// The callbacks that came after the client had acted on what they say.
    fn belated(&self) -> BTreeSet<usize> {
        let mut belated = BTreeSet::new();
        for (index, (_, event)) in self.events.iter().enumerate() {
            let is_callback = |at: &usize| self.events[*at].1.is_callback();
            match event {
                Event::Rejoined { is_told: true } => belated.extend((0..index).rev().find(is_callback)),
                Event::Rejoined { is_told: false } => belated.extend((index..self.events.len()).find(is_callback)),
                _ => {}
            }
        }
        belated
    }

    /// When it began the last commit in this time that the coordinator took.
    fn last_proof(&self, from: u64, to: u64) -> u64 {
        self.proofs()
            .filter(|begun| (from..to).contains(begun))
            .last()
            .unwrap_or(from)
    }

    /// When it began the commit before the last one that the coordinator took in this time. After that it has looked for
    /// callbacks, so that none waited then.
    fn proof_before_last(&self, from: u64, to: u64) -> u64 {
        let mut proofs: Vec<u64> = self.proofs().filter(|begun| (from..to).contains(begun)).collect();
        // A commit of several partitions is noted for each.
        proofs.dedup();
        proofs.iter().rev().nth(1).copied().unwrap_or(from)
    }

    fn proofs(&self) -> impl Iterator<Item = u64> {
        self.events.iter().filter_map(|(_, event)| match event {
            Event::Committed { begun, .. } => Some(*begun),
            _ => None,
        })
    }

    /// The time without its pauses, each up to the next proof.
    fn certain(&self, mut from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut pieces = Vec::new();
        for (stopped, went_on) in &self.pauses {
            if *went_on <= from || *stopped >= to {
                continue;
            }
            if from < *stopped {
                pieces.push((from, *stopped));
            }
            from = self.proofs().find(|begun| begun > went_on).unwrap_or(to);
        }
        if from < to {
            pieces.push((from, to));
        }
        pieces
    }
}

/// `None`: no line of a member. `Some(None)`: one that says nothing of interest.
fn parse(line: &str) -> Option<Option<(u64, Event)>> {
    let mut words = line.split(' ');
    let at = words.next()?.parse().ok()?;
    let what = words.next()?;
    if matches!(what, "error" | "refused") {
        return Some(None);
    }
    let words: Vec<&str> = words.collect();
    let partition = |topic: &str, index: &str| Some((topic.to_owned(), index.parse().ok()?));
    let partitions = || {
        let pairs = words.chunks(2);
        pairs
            .map(|pair| partition(pair[0], pair.get(1)?))
            .collect::<Option<Vec<_>>>()
    };
    let event = match (what, words.as_slice()) {
        ("assigned", _) => Event::Assigned(partitions()?),
        ("revoked", _) => Event::Revoked(partitions()?),
        ("lost", _) => Event::Lost(partitions()?),
        ("read", [topic, index, offset]) => Event::Read(partition(topic, index)?, offset.parse().ok()?),
        ("committed", [begun, topic, index, next]) => Event::Committed {
            begun: begun.parse().ok()?,
            partition: partition(topic, index)?,
            next: next.parse().ok()?,
        },
        ("leaving", []) => Event::Leaving,
        ("rejoined", ["before"]) => Event::Rejoined { is_told: false },
        ("rejoined", ["after"]) => Event::Rejoined { is_told: true },
        _ => return None,
    };
    Some(Some((at, event)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn partition(index: i32) -> Partition {
        ("t".to_owned(), index)
    }

    pub(crate) fn life(name: &str, lines: &[&str]) -> Life {
        let mut life = Life::new(name, "g", true, PathBuf::new());
        life.events = lines
            .iter()
            .map(|line| parse(line).expect("a line").expect("an event"))
            .collect();
        life
    }

    fn times(life: &Life) -> Vec<(u64, u64)> {
        life.spans().iter().map(|span| (span.from, span.to)).collect()
    }

    #[test]
    fn a_partition_is_had_from_its_assignment_until_it_is_given_up() {
        let life = life("a", &["10 assigned t 0 t 1", "30 revoked t 0", "40 leaving"]);
        assert_eq!(times(&life), [(10, 30), (10, 40)]);
        assert_eq!(life.owned(), Vec::<&Partition>::new());
    }

    #[test]
    fn whoever_was_expelled_had_it_until_its_last_commit() {
        let lost = life("a", &["10 assigned t 0", "22 committed 20 t 0 5", "90 lost t 0"]);
        assert_eq!(times(&lost), [(10, 20)]);
        let silent = life("a", &["10 assigned t 0", "90 lost t 0"]);
        assert_eq!(times(&silent), []);
    }

    #[test]
    fn after_a_pause_a_commit_that_was_begun_later_shows_that_it_is_still_in() {
        let mut paused = life(
            "a",
            &[
                "10 assigned t 0",
                "62 committed 19 t 0 5",
                "73 committed 70 t 0 6",
                "90 revoked t 0",
            ],
        );
        paused.pauses = vec![(20, 60)];
        assert_eq!(times(&paused), [(10, 20), (70, 90)]);
        paused.events.truncate(2);
        paused.killed = Some(80);
        assert_eq!(times(&paused), [(10, 20)]);
    }

    #[test]
    fn what_a_client_gave_up_behind_its_back_it_had_until_a_commit_after_which_it_looked_for_callbacks() {
        let lines = [
            "10 assigned t 0",
            "22 committed 20 t 0 5",
            "32 committed 30 t 0 6",
            "42 committed 40 t 0 7",
            "50 rejoined before",
            "90 revoked t 0",
        ];
        assert_eq!(times(&life("a", &lines)), [(10, 30)]);
        let [first, two, three, four, _, last] = lines;
        assert_eq!(
            times(&life("a", &[first, two, three, four, last, "91 rejoined after"])),
            [(10, 30)]
        );
        assert_eq!(times(&life("a", &[first, two, three, four, last])), [(10, 90)]);
        assert_eq!(times(&life("a", &[first, two, "50 rejoined before", last])), []);
    }

    #[test]
    fn what_a_client_was_given_before_it_joined_again_is_nobodys() {
        let stale = life(
            "a",
            &[
                "10 assigned t 0 t 1",
                "20 rejoined after",
                "30 assigned t 1",
                "40 revoked t 1",
            ],
        );
        assert_eq!(times(&stale), [(30, 40)]);
        let mut cooperative = life(
            "a",
            &["20 rejoined before", "21 assigned t 0", "30 assigned t 1", "40 leaving"],
        );
        cooperative.is_eager = false;
        assert_eq!(times(&cooperative), [(21, 40), (30, 40)]);
    }

    #[test]
    fn an_eager_assignment_is_all_that_there_is() {
        let mut twice = life("a", &["10 assigned t 0", "20 assigned t 1"]);
        assert_eq!(twice.owned(), [&partition(1)]);
        twice.is_eager = false;
        assert_eq!(twice.owned(), [&partition(0), &partition(1)]);
    }

    #[test]
    fn what_is_no_line_of_a_member_is_refused() {
        assert_eq!(parse("10 refused whatever it says"), Some(None));
        for line in [
            "",
            "10",
            "x leaving",
            "10 read t 0",
            "10 assigned t",
            "10 leaving now",
            "10 rejoined",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
