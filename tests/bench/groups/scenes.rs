//! What the members do.

use crate::{
    Options,
    connection::Connection,
    member::{self, Board, Member},
};
use anyhow::{Context, ensure};
use ottla_protocol::{
    Str,
    messages::{
        CreatePartitionsRequest, CreateTopicsRequest, FindCoordinatorRequest, MetadataRequest, OffsetCommitRequest,
        create_partitions_request::CreatePartitionsTopic,
        create_topics_request::CreatableTopic,
        metadata_request::MetadataRequestTopic,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    },
};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, watch},
    task::{JoinSet, LocalSet},
    time::timeout,
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Milliseconds of a clock tick of /proc.
const TICK_MS: u64 = 10;

pub(crate) async fn create_topic(connection: &mut Connection, name: &str, partitions: usize) -> anyhow::Result<()> {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: i32::try_from(partitions)?,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 120_000,
        ..Default::default()
    };
    let created = connection.call(&request, 7).await?;
    let code = created.topics.first().context("an answer for the topic")?.error_code;
    ensure!(code == 0, "the topic is answered with error {code}");
    until_led(connection, name, partitions).await
}

/// Apache answers before its own metadata has the topic.
async fn until_led(connection: &mut Connection, name: &str, partitions: usize) -> anyhow::Result<()> {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(name.into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    loop {
        let metadata = connection.call(&request, 12).await?;
        let topic = metadata.topics.first().context("an answer for the topic")?;
        let led = topic.partitions.iter().filter(|partition| partition.leader_id >= 0);
        if led.count() == partitions {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Has the broker make the coordinators' topic.
pub(crate) async fn find_coordinator(connection: &mut Connection, group: &Str) -> anyhow::Result<()> {
    let request = FindCoordinatorRequest {
        key_type: 0,
        coordinator_keys: vec![group.clone()],
        ..Default::default()
    };
    loop {
        let found = connection.call(&request, 4).await?;
        if found
            .coordinators
            .first()
            .context("an answer for the group")?
            .error_code
            == 0
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What a scene lets its members do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connect,
    Beat,
    Commit,
    Leave,
}

/// Members with a connection each.
struct Scene {
    board: Rc<RefCell<Board>>,
    phase: watch::Sender<Phase>,
    changed: Rc<Notify>,
    commits: Rc<RefCell<usize>>,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// What was used between two moments.
struct Meter<'a> {
    options: &'a Options,
    begin: Instant,
    ticks: u64,
}

impl<'a> Meter<'a> {
    fn start(options: &'a Options) -> anyhow::Result<Self> {
        Ok(Self {
            options,
            begin: Instant::now(),
            ticks: options.cpu_ticks()?,
        })
    }

    fn read(&self) -> anyhow::Result<(f64, f64)> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let ticks = self.options.cpu_ticks()? - self.ticks;
        Ok((seconds, (ticks * TICK_MS) as f64 / 1000.0))
    }
}

impl Scene {
    /// All have connected and nobody has joined. To be called in a `LocalSet`.
    async fn of(options: &Options, partitions: usize) -> anyhow::Result<Self> {
        let mut connection = Connection::to(options.address).await?;
        create_topic(&mut connection, &options.name, partitions).await?;
        find_coordinator(&mut connection, &options.name.as_str().into()).await?;
        let (phase, _) = watch::channel(Phase::Connect);
        let mut scene = Self {
            board: Rc::new(RefCell::new(Board::new(options.members, partitions))),
            phase,
            changed: Rc::default(),
            commits: Rc::default(),
            tasks: JoinSet::new(),
        };
        for number in 0..options.members {
            let player = Player {
                member: Member::new(&options.name, &options.name, number),
                connection: Connection::to(options.address).await?,
                board: scene.board.clone(),
                phase: scene.phase.subscribe(),
                changed: scene.changed.clone(),
                commits: scene.commits.clone(),
                topic: options.name.as_str().into(),
            };
            scene.tasks.spawn_local(player.play());
        }
        Ok(scene)
    }

    /// Until all have their share and know it, or a member fails.
    async fn until_stable(&mut self) -> anyhow::Result<()> {
        let stable = async {
            while !self.board.borrow().is_stable() {
                tokio::select! {
                    () = self.changed.notified() => {}
                    Some(ended) = self.tasks.join_next() => ended??,
                }
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, stable)
            .await
            .context("the group does not become stable")?
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.phase.send_replace(Phase::Leave);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

struct Player {
    member: Member,
    connection: Connection,
    board: Rc<RefCell<Board>>,
    phase: watch::Receiver<Phase>,
    changed: Rc<Notify>,
    commits: Rc<RefCell<usize>>,
    topic: Str,
}

impl Player {
    async fn play(mut self) -> anyhow::Result<()> {
        self.phase.wait_for(|phase| *phase != Phase::Connect).await?;
        let mut next = Instant::now();
        loop {
            let phase = *self.phase.borrow_and_update();
            if phase == Phase::Leave {
                let farewell = self.member.leave(&mut self.board.borrow_mut())?;
                self.connection.call(&farewell, member::VERSION).await?;
                return Ok(());
            }
            if Instant::now() >= next {
                next = Instant::now() + self.beat().await?;
            } else if phase == Phase::Commit {
                self.commit().await?;
            } else {
                tokio::select! {
                    () = tokio::time::sleep_until(next.into()) => {}
                    changed = self.phase.changed() => changed?,
                }
            }
        }
    }

    async fn beat(&mut self) -> anyhow::Result<Duration> {
        let response = self.connection.call(&self.member.request(), member::VERSION).await?;
        let mut board = self.board.borrow_mut();
        board.heartbeats += 1;
        let wait = self.member.take(&response, &mut board)?;
        if board.is_stable() {
            self.changed.notify_one();
        }
        Ok(wait)
    }

    async fn commit(&mut self) -> anyhow::Result<()> {
        let count = *self.commits.borrow();
        let partition = OffsetCommitRequestPartition {
            partition_index: self.member.partition().context("a member without a partition")?,
            committed_offset: i64::try_from(count)?,
            committed_metadata: Some(Str::EMPTY),
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: self.topic.clone(),
            generation_id_or_member_epoch: self.member.epoch(),
            member_id: self.member.id(),
            topics: vec![OffsetCommitRequestTopic {
                name: self.topic.clone(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        let response = self.connection.call(&request, 9).await?;
        let partition = response.topics.first().and_then(|topic| topic.partitions.first());
        let code = partition.context("an answer for the partition")?.error_code;
        ensure!(code == 0, "a commit is answered with error {code}");
        *self.commits.borrow_mut() += 1;
        Ok(())
    }
}

pub(crate) async fn join(options: &Options) -> anyhow::Result<Value> {
    let scene = async {
        let mut scene = Scene::of(options, options.members).await?;
        let meter = Meter::start(options)?;
        scene.phase.send_replace(Phase::Beat);
        scene.until_stable().await?;
        let (seconds, cpu_seconds) = meter.read()?;
        let (heartbeats, fenced) = counts(&scene);
        scene.end().await?;
        Ok(json!({ "seconds": seconds, "cpu_seconds": cpu_seconds, "heartbeats": heartbeats, "fenced": fenced }))
    };
    LocalSet::new().run_until(scene).await
}

fn counts(scene: &Scene) -> (usize, usize) {
    let board = scene.board.borrow();
    (board.heartbeats, board.fenced)
}

pub(crate) async fn grow(options: &Options) -> anyhow::Result<Value> {
    let scene = async {
        let mut scene = Scene::of(options, options.partitions).await?;
        scene.phase.send_replace(Phase::Beat);
        scene.until_stable().await?;
        let partitions = options.partitions + options.more;
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: options.name.as_str().into(),
                count: i32::try_from(partitions)?,
                assignments: None,
            }],
            timeout_ms: 120_000,
            validate_only: false,
        };
        let mut connection = Connection::to(options.address).await?;
        let meter = Meter::start(options)?;
        scene.board.borrow_mut().grow(partitions);
        let created = connection.call(&request, 3).await?;
        let code = created.results.first().context("an answer for the topic")?.error_code;
        ensure!(code == 0, "more partitions are answered with error {code}");
        let (created_after, _) = meter.read()?;
        scene.until_stable().await?;
        let (seconds, cpu_seconds) = meter.read()?;
        let (_, fenced) = counts(&scene);
        scene.end().await?;
        Ok(json!({ "seconds": seconds, "cpu_seconds": cpu_seconds, "created_after": created_after, "fenced": fenced }))
    };
    LocalSet::new().run_until(scene).await
}

pub(crate) async fn commit(options: &Options) -> anyhow::Result<Value> {
    let scene = async {
        let mut scene = Scene::of(options, options.members).await?;
        scene.phase.send_replace(Phase::Beat);
        scene.until_stable().await?;
        scene.phase.send_replace(Phase::Commit);
        let meter = Meter::start(options)?;
        let before = *scene.commits.borrow();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(options.seconds)) => {}
            Some(ended) = scene.tasks.join_next() => ended??,
        }
        let commits = *scene.commits.borrow() - before;
        let (seconds, cpu_seconds) = meter.read()?;
        scene.end().await?;
        Ok(json!({ "seconds": seconds, "cpu_seconds": cpu_seconds, "commits": commits }))
    };
    LocalSet::new().run_until(scene).await
}

/// Members of a group in `hold`.
const GROUP: usize = 10;
/// Connections in `hold`.
const CONNECTIONS: usize = 4;

pub(crate) async fn hold(options: &Options) -> anyhow::Result<Value> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::to(options.address).await?);
    }
    create_topic(&mut connections[0], &options.name, GROUP).await?;
    find_coordinator(&mut connections[0], &options.name.as_str().into()).await?;
    let mut groups: Vec<(Vec<Member>, Board)> = Vec::new();
    let mut memory = Vec::new();
    for members in [options.members, options.members * 10] {
        for number in groups.len()..members / GROUP {
            let name = format!("{}-{number}", options.name);
            let member = |at| Member::new(&name, &options.name, number * GROUP + at);
            groups.push(((0..GROUP).map(member).collect(), Board::new(GROUP, GROUP)));
        }
        settle(&mut connections, &mut groups).await?;
        memory.push((members, options.anonymous_kb()?));
    }
    let (few, many) = (memory[0], memory[1]);
    let slope = many.1.saturating_sub(few.1) as f64 / (many.0 - few.0) as f64;
    Ok(json!({ "members": many.0, "kb_per_member": slope, "anonymous_kb": [few.1, many.1] }))
}

/// Heartbeats of all members in turn, until all groups are stable, and once more.
async fn settle(connections: &mut [Connection], groups: &mut [(Vec<Member>, Board)]) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut is_stable = false;
    while !is_stable {
        ensure!(begin.elapsed() < PATIENCE, "the groups do not become stable");
        is_stable = groups.iter().all(|(_, board)| board.is_stable());
        let round = Instant::now();
        for (number, (members, board)) in groups.iter_mut().enumerate() {
            let connection = &mut connections[number % CONNECTIONS];
            for member in members {
                let response = connection.call(&member.request(), member::VERSION).await?;
                member.take(&response, board)?;
            }
        }
        // As often as members are asked to come, at the most.
        tokio::time::sleep_until((round + Duration::from_secs(1)).into()).await;
    }
    Ok(())
}
