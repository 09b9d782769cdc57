//! Starts, pauses, kills and ends members and the broker, and asks the judge.

use crate::{
    Result,
    feed::Feed,
    judge::{self, Written},
    life::{Life, Partition},
    now,
    random::{Deck, Random},
};
use futures_executor::block_on;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::ClientConfig,
    types::RDKafkaErrorCode,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::File,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const CLASSIC: &[&str] = &[
    "group.protocol=classic",
    "session.timeout.ms=6000",
    "heartbeat.interval.ms=1000",
];
/// The groups: name, members, settings.
const GROUPS: [(&str, usize, &[&str]); 3] = [
    ("cooperative", 15, &["partition.assignment.strategy=cooperative-sticky"]),
    ("eager", 10, &["partition.assignment.strategy=range"]),
    ("consumer", 25, &["group.protocol=consumer"]),
];
/// Between two things that are done to members.
const PACE: Duration = Duration::from_millis(500);
/// How long the groups may take to read what is left.
const DRAIN: Duration = Duration::from_secs(60);
const TOPICS: usize = 5;
const PARTITIONS: usize = 40;

fn number(name: &str, default: u64) -> u64 {
    let set = env::var(name).ok();
    set.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

struct Player {
    life: Life,
    child: Child,
    /// When it was stopped, and when it is to go on.
    paused: Option<(u64, Instant)>,
}

struct Soak {
    random: Random,
    /// What is done next: by dice, some of it would now and then not be done at all.
    deck: Deck,
    admin: AdminClient<DefaultClientContext>,
    feed: Feed,
    /// The members that run.
    players: Vec<Player>,
    /// Those that have ended.
    past: Vec<Life>,
    started: usize,
    partitions: BTreeMap<String, usize>,
    /// How often each thing was done.
    done: BTreeMap<&'static str, usize>,
}

pub(crate) fn run() -> Result {
    let seed = number("SEED", now());
    println!("SEED={seed}");
    let mut soak = Soak {
        random: Random::of_seed(seed),
        deck: Deck::of(16),
        admin: ClientConfig::new()
            .set("bootstrap.servers", env::var("BOOTSTRAP")?)
            .create()?,
        feed: Feed::start()?,
        players: Vec::new(),
        past: Vec::new(),
        started: 0,
        partitions: BTreeMap::new(),
        done: BTreeMap::new(),
    };
    soak.create_topic()?;
    for (group, members, _) in GROUPS {
        for _ in 0..members {
            soak.join(group)?;
        }
    }
    soak.until("all have begun", DRAIN, |soak| soak.what_is_not_shared())?;
    soak.stress()?;
    let verdict = soak.verdict();
    let (passed, failed): (Vec<_>, Vec<_>) = verdict?.into_iter().partition(|(_, faults)| faults.is_empty());
    passed.iter().for_each(|(what, _)| println!("PASS {what}"));
    for (what, faults) in &failed {
        println!("FAIL {what}: {}", faults.join("; "));
    }
    println!("{} passed, {} failed", passed.len(), failed.len());
    std::process::exit(i32::from(!failed.is_empty()));
}

impl Soak {
    /// Joins, leaves, crashes, pauses, topics and kills of the broker, for as long as it is to last, and until each of them has
    /// been: a broker that starts slowly leaves little time for topics.
    fn stress(&mut self) -> Result {
        let (seconds, kills) = (number("SECONDS_OF_SOAK", 45), number("KILLS", 2));
        let begin = Instant::now();
        let mut killed = 0;
        let mut broker: Option<JoinHandle<std::result::Result<(), String>>> = None;
        let end = Duration::from_secs(seconds);
        while begin.elapsed() < end || (!self.what_was_not_tried().is_empty() && begin.elapsed() < end + DRAIN) {
            thread::sleep(PACE);
            if broker.as_ref().is_some_and(JoinHandle::is_finished) {
                broker.take().expect("it is some").join().map_err(|_| "panicked")??;
            }
            let due = begin.elapsed() >= Duration::from_secs(seconds * (2 * killed + 1) / (2 * kills.max(1)));
            if due && killed < kills && broker.is_none() {
                killed += 1;
                self.note("broker killed");
                broker = Some(thread::spawn(kill_broker));
            }
            self.resume(false)?;
            self.act()?;
        }
        broker.map_or(Ok(Ok(())), JoinHandle::join).map_err(|_| "panicked")??;
        self.resume(true)
    }

    fn note(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    fn act(&mut self) -> Result {
        let members: usize = GROUPS.iter().map(|(_, members, _)| members).sum();
        let chosen = self.random.below(self.players.len().max(1));
        match self.deck.draw(&mut self.random) {
            // As many join as go. The group that lacks most gets the next one, so that none runs out of members.
            0..6 if self.players.len() < members => {
                let lacks = |(group, members, _): &&(&str, usize, _)| {
                    let alive = self.players.iter().filter(|player| player.life.group == *group);
                    members.saturating_sub(alive.count())
                };
                let (short, ..) = GROUPS.iter().max_by_key(lacks).expect("there are groups");
                self.join(short)?;
                self.note("joined");
            }
            0..9 => self.end(chosen, false)?,
            9..12 => self.end(chosen, true)?,
            12..14 => self.pause(chosen)?,
            create @ 14 if self.partitions.len() < TOPICS => {
                // While the broker is away it cannot be.
                match self.create_topic() {
                    Ok(()) => self.note("topic created"),
                    Err(error) => {
                        println!("no topic: {error}");
                        self.deck.put_back(create);
                    }
                }
            }
            _ => self.add_partitions(),
        }
        Ok(())
    }

    fn join(&mut self, group: &str) -> Result {
        let (name, _, settings) = GROUPS.iter().find(|(name, ..)| *name == group).ok_or("no such group")?;
        self.started += 1;
        let notes = format!("member-{}", self.started);
        let classic = if *name == "consumer" { [].as_slice() } else { CLASSIC };
        // Not by its name: another run may build the program anew meanwhile.
        let child = Command::new("/proc/self/exe")
            .args(["member", name])
            .args(classic.iter().chain(*settings))
            .stdin(Stdio::piped())
            .stdout(File::create(&notes)?)
            .stderr(File::create(format!("{notes}.stderr"))?)
            .spawn()?;
        self.players.push(Player {
            life: Life::new(&notes, name, *name == "eager", notes.clone().into()),
            child,
            paused: None,
        });
        Ok(())
    }

    /// One goes, by itself or by force.
    fn end(&mut self, chosen: usize, is_crash: bool) -> Result {
        if self.players.get(chosen).is_none_or(|player| player.paused.is_some()) {
            return Ok(());
        }
        let mut player = self.players.swap_remove(chosen);
        if is_crash {
            player.life.killed = Some(now());
            player.child.kill()?;
        }
        // Its standard input ends with it, which has it leave.
        drop(player.child.stdin.take());
        let status = player.child.wait()?;
        if !is_crash && !status.success() {
            return Err(format!("{} ended with {status}", player.life.name).into());
        }
        self.past.push(player.life);
        self.note(if is_crash { "crashed" } else { "left" });
        Ok(())
    }

    fn pause(&mut self, chosen: usize) -> Result {
        // Some are expelled meanwhile, some not.
        let length = Duration::from_millis(1000 + 1000 * self.random.below(10) as u64);
        let Some(player) = self.players.get_mut(chosen).filter(|player| player.paused.is_none()) else {
            return Ok(());
        };
        player.paused = Some((now(), Instant::now() + length));
        signal(&player.child, "STOP")?;
        self.note("paused");
        Ok(())
    }

    /// Lets those go on whose time has come, or all.
    fn resume(&mut self, all: bool) -> Result {
        for player in &mut self.players {
            if let Some((since, until)) = player.paused
                && (all || until <= Instant::now())
            {
                signal(&player.child, "CONT")?;
                player.paused = None;
                player.life.pauses.push((since, now()));
            }
        }
        Ok(())
    }

    fn create_topic(&mut self) -> Result {
        let name = format!("soak-{}", self.partitions.len());
        let topic = NewTopic::new(&name, 12, TopicReplication::Fixed(1));
        let created = block_on(self.admin.create_topics([&topic], &options()))?;
        match created.into_iter().next().ok_or("no answer")? {
            // Asked before, when the answer was lost.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(code.into()),
        }
        self.feed
            .topics
            .lock()
            .expect("no thread has panicked")
            .push(name.clone());
        self.partitions.insert(name, 12);
        Ok(())
    }

    fn add_partitions(&mut self) {
        let chosen = self.random.below(self.partitions.len());
        let Some((name, count)) = self.partitions.iter_mut().nth(chosen) else {
            return;
        };
        if *count >= PARTITIONS {
            return;
        }
        let more = NewPartitions::new(name, *count + 4);
        // While the broker is away it cannot be; who was told so may have been heard all the same.
        if block_on(self.admin.create_partitions([&more], &options()))
            .is_ok_and(|results| results.iter().all(|result| result.is_ok()))
        {
            *count += 4;
            self.note("partitions added");
        }
    }

    fn verdict(mut self) -> Result<Vec<(String, Vec<String>)>> {
        let settle = Duration::from_secs(number("SETTLE", 15));
        let begin = Instant::now();
        let stable = self.until("all groups are stable", settle, |soak| soak.what_is_not_shared());
        println!("stable after {:.1} s; {:?}", begin.elapsed().as_secs_f64(), self.done);
        let feed = std::mem::replace(&mut self.feed, Feed::start()?);
        let written = feed.end()?;
        // What is unread at the end is told below.
        let _ = self.until("all is read", DRAIN, |soak| Ok(soak.unread(&written)));
        let mut ended = Vec::new();
        for player in &mut self.players {
            if let Some(status) = player.child.try_wait()? {
                ended.push(format!("{} ended by itself with {status}", player.life.name));
            }
        }
        let lives: Vec<&Life> = self.lives();
        let rejoined: usize = lives.iter().map(|life| life.rejoined()).sum();
        println!("{rejoined} times a client joined again behind its program's back");
        let of_all = |judge: &dyn Fn(&str) -> Vec<String>| GROUPS.iter().flat_map(|(group, ..)| judge(group)).collect();
        let records: usize = written.values().map(BTreeSet::len).sum();
        Ok(vec![
            ("enough was tried".to_owned(), self.what_was_not_tried()),
            ("no member ended by itself".to_owned(), ended),
            (
                "stable soon".to_owned(),
                stable.err().iter().map(ToString::to_string).collect(),
            ),
            (format!("{records} records read by every group"), self.unread(&written)),
            ("no partition had two owners".to_owned(), judge::two_owners(&lives)),
            (
                "no committed offset moved back".to_owned(),
                of_all(&|group| judge::moved_back(&lives, group)),
            ),
        ])
    }

    fn lives(&self) -> Vec<&Life> {
        self.past
            .iter()
            .chain(self.players.iter().map(|player| &player.life))
            .collect()
    }

    fn unread(&self, written: &Written) -> Vec<String> {
        let lives = self.lives();
        GROUPS
            .iter()
            .flat_map(|(group, ..)| judge::unread(&lives, group, written))
            .collect()
    }

    fn what_was_not_tried(&self) -> Vec<String> {
        let wanted = [
            "joined",
            "left",
            "crashed",
            "paused",
            "topic created",
            "partitions added",
        ];
        let missing = wanted.iter().filter(|what| !self.done.contains_key(*what));
        missing.map(|what| format!("nothing {what}")).collect()
    }

    /// What keeps the groups from being stable: each partition is to have one owner among the members that run.
    fn what_is_not_shared(&self) -> Result<Vec<String>> {
        let all: BTreeSet<Partition> = (self.partitions.iter())
            .flat_map(|(topic, count)| (0..*count as i32).map(move |index| (topic.clone(), index)))
            .collect();
        let mut faults = Vec::new();
        for (group, ..) in GROUPS {
            let of_group = self.players.iter().filter(|player| player.life.group == group);
            let mut owned = BTreeSet::new();
            let mut twice = 0;
            for partition in of_group.flat_map(|player| player.life.owned()) {
                twice += usize::from(!owned.insert(partition.clone()));
            }
            let without = all.difference(&owned).count();
            if without + twice > 0 {
                faults.push(format!(
                    "{group}: {without} partitions without an owner, {twice} with two"
                ));
            }
        }
        Ok(faults)
    }

    /// Waits until nothing is in the way.
    fn until(&mut self, what: &str, patience: Duration, faults: impl Fn(&Self) -> Result<Vec<String>>) -> Result {
        let deadline = Instant::now() + patience;
        loop {
            for life in self
                .past
                .iter_mut()
                .chain(self.players.iter_mut().map(|player| &mut player.life))
            {
                life.follow()?;
            }
            let faults = faults(self)?;
            if faults.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("not after {patience:?}: {what}: {}", faults.join(", ")).into());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        for player in &mut self.players {
            // It may have ended by itself.
            let _ = player.child.kill();
            let _ = player.child.wait();
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(Duration::from_secs(5)))
        .operation_timeout(Some(Duration::from_secs(5)))
}

fn signal(child: &Child, name: &str) -> Result {
    let status = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("kill -{name}: {status}").into())
    }
}

fn kill_broker() -> std::result::Result<(), String> {
    let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let (program, folder) = (variable("BROKER_CONTROL")?, variable("BROKER_DIR")?);
    for what in ["kill", "again"] {
        let status = Command::new(&program)
            .args([what, &folder])
            .status()
            .map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("the broker does not {what}: {status}"));
        }
    }
    Ok(())
}
