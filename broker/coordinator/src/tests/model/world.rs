//! The clients, the broker with its log, and what must hold between them.

use super::{
    client::{Client, PARTITIONS, Phase, assign},
    random::Random,
};
use crate::{
    Actions, Caller, CoordinatorRecord, Groups, GroupsConfig, Now, Reply, Ticket,
    classic::GroupState,
    record::{self, Record},
    tests::driver::{GROUP, commit, join, sync},
};
use ottla_protocol::{
    Str,
    ids::Uuid,
    messages::{
        HeartbeatRequest, LeaveGroupRequest, leave_group_request::MemberIdentity,
        offset_fetch_request::OffsetFetchRequestGroup,
    },
};
use std::collections::BTreeMap;

/// A bug put in on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bug {
    /// Answers do not wait until their records are committed.
    AnswersEarly,
}

/// An answer that waits for the log to be committed up to a length.
struct Held {
    committed_len: usize,
    ticket: Ticket,
    reply: Reply,
}

/// Commits under way, by ticket: partition and offset.
type Commits = BTreeMap<Ticket, (u8, i64)>;

pub(super) struct World {
    random: Random,
    bug: Option<Bug>,
    config: GroupsConfig,
    groups: Groups,
    log: Vec<CoordinatorRecord>,
    committed_len: usize,
    held: Vec<Held>,
    now_ms: i64,
    tickets: u64,
    clients: Vec<Client>,
    /// Former selves of clients.
    ghosts: Vec<Client>,
    /// Who was told that it owns a partition, by generation and partition.
    owners: BTreeMap<(i32, u8), Str>,
    commits: Commits,
    acknowledged: BTreeMap<u8, i64>,
    next_offset: i64,
    violation: Option<String>,
}

impl World {
    pub(super) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let instance = |number: usize| (number < 2).then(|| Str::from(format!("i{number}")));
        let config = GroupsConfig {
            initial_rebalance_delay_ms: 3_000,
            ..Default::default()
        };
        let mut world = Self {
            random: Random::new(seed),
            bug,
            groups: Groups::new(config.clone()),
            config,
            log: Vec::new(),
            committed_len: 0,
            held: Vec::new(),
            now_ms: 0,
            tickets: 0,
            clients: (0..5).map(|number| Client::new(instance(number))).collect(),
            ghosts: Vec::new(),
            owners: BTreeMap::new(),
            commits: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            next_offset: 1,
            violation: None,
        };
        let actions = world.groups.on_loaded(world.now());
        world.take(actions);
        world
    }

    pub(super) fn log(&self) -> &[CoordinatorRecord] {
        &self.log
    }

    fn now(&self) -> Now {
        Now {
            monotonic_ms: self.now_ms,
            wall_ms: self.now_ms,
        }
    }

    /// Something happens.
    pub(super) fn step(&mut self) {
        let number = self.random.below(self.clients.len());
        match self.random.below(24) {
            0..=9 => self.act(number),
            10..=12 => self.beat(number),
            13..=15 => self.commit(number),
            16 | 17 => self.commit_log(),
            18..=20 => {
                let ms = [1, 50, 500, 3_000, 9_000][self.random.below(5)];
                self.pass_ms(ms);
            }
            21 => self.haunt(),
            22 if self.random.one_in(4) => self.restart_broker(),
            23 if self.random.one_in(3) => self.lose(number),
            _ => {}
        }
    }

    /// The client does what is next in the protocol.
    fn act(&mut self, number: usize) {
        match self.clients[number].phase.clone() {
            Phase::Outside => self.join(number),
            Phase::Joined(members) => self.sync(number, &members),
            // A client gives up waiting at times, and asks again.
            Phase::Joining(_) if self.random.one_in(6) => self.join(number),
            Phase::Joining(_) | Phase::Syncing(_) => {}
            Phase::Inside if self.random.one_in(12) => self.leave(number),
            Phase::Inside => self.beat(number),
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn join(&mut self, number: usize) {
        let ticket = self.ticket();
        let client = &mut self.clients[number];
        client.phase = Phase::Joining(ticket);
        client.owned.clear();
        let mut request = join(&client.member_id, &["range"]);
        request.group_instance_id = client.instance_id.clone();
        let caller = Caller {
            version: if number == 4 { 3 } else { 9 },
            client_id: "c",
            client_host: "/h",
            fresh_member_id: Uuid(u128::from(ticket.0).to_be_bytes()),
        };
        let actions = self.groups.handle_join_group(ticket, &request, &caller, self.now());
        self.take(actions);
    }

    fn sync(&mut self, number: usize, members: &[Str]) {
        let ticket = self.ticket();
        let client = &mut self.clients[number];
        client.phase = Phase::Syncing(ticket);
        let mut request = sync(&client.member_id, client.generation, &[]);
        request.group_instance_id = client.instance_id.clone();
        for (member_id, partitions) in assign(members) {
            let mut given = sync("", 0, &[(member_id.as_str(), "")]).assignments.remove(0);
            given.assignment = partitions.into();
            request.assignments.push(given);
        }
        let actions = self.groups.handle_sync_group(ticket, &request, self.now());
        self.take(actions);
    }

    fn beat(&mut self, number: usize) {
        if matches!(self.clients[number].phase, Phase::Inside | Phase::Joined(_)) {
            let request = heartbeat_of(&self.clients[number]);
            let ticket = self.ticket();
            let actions = self.groups.handle_heartbeat(ticket, &request, self.now());
            // The answer is taken at once: what waits is of no interest here.
            if let Some((_, reply)) = actions.replies.first() {
                self.clients[number].take(reply);
            }
        }
    }

    fn leave(&mut self, number: usize) {
        let client = &self.clients[number];
        let request = LeaveGroupRequest {
            group_id: GROUP.into(),
            members: vec![MemberIdentity {
                member_id: client.member_id.clone(),
                group_instance_id: client.instance_id.clone(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let ticket = self.ticket();
        let caller = Caller {
            version: 5,
            client_id: "c",
            client_host: "/h",
            fresh_member_id: Uuid::ZERO,
        };
        let actions = self.groups.handle_leave_group(ticket, &request, &caller, self.now());
        self.take(actions);
        self.ghosts.push(self.clients[number].clone());
        self.clients[number].forget();
    }

    /// The client's process ends without a word; another takes its place.
    fn lose(&mut self, number: usize) {
        self.ghosts.push(self.clients[number].clone());
        self.clients[number].forget();
    }

    fn commit(&mut self, number: usize) {
        let client = self.clients[number].clone();
        if client.phase == Phase::Inside
            && let Some(partition) = client.owned.first()
        {
            self.commit_as(&client, *partition);
        }
    }

    fn commit_as(&mut self, client: &Client, partition: u8) {
        let ticket = self.ticket();
        let offset = self.next_offset;
        self.next_offset += 1;
        let mut request = commit(GROUP, &client.member_id, client.generation, partition.into(), offset);
        request.group_instance_id = client.instance_id.clone();
        let caller = Caller {
            version: 9,
            client_id: "c",
            client_host: "/h",
            fresh_member_id: Uuid::ZERO,
        };
        let actions = self.groups.handle_offset_commit(ticket, &request, &caller, self.now());
        if !actions.records.is_empty() {
            self.commits.insert(ticket, (partition, offset));
            let group = &self.groups.classic[GROUP];
            if group.generation != client.generation || !group.members.contains_key(&client.member_id) {
                self.violate(format!("{client:?} committed in generation {}", group.generation));
            }
        }
        self.take(actions);
    }

    /// A former self goes on as if nothing had happened.
    fn haunt(&mut self) {
        if self.ghosts.is_empty() {
            return;
        }
        let index = self.random.below(self.ghosts.len());
        let ghost = self.ghosts[index].clone();
        if self.random.one_in(2) && ghost.generation >= 0 {
            self.commit_as(&ghost, 0);
        } else {
            let ticket = self.ticket();
            let actions = self.groups.handle_heartbeat(ticket, &heartbeat_of(&ghost), self.now());
            self.take(actions);
        }
    }

    /// Lets time pass; the broker looks at the clock when it said it would, or later.
    fn pass_ms(&mut self, ms: i64) {
        self.now_ms += ms;
        let actions = self.groups.tick(self.now());
        self.take(actions);
    }

    fn take(&mut self, actions: Actions) {
        for record in actions.records {
            self.groups.apply(&record).expect("what is written can be read");
            self.log.push(record);
        }
        let committed_len = self.log.len();
        let held = |(ticket, reply)| Held {
            committed_len,
            ticket,
            reply,
        };
        self.held.extend(actions.replies.into_iter().map(held));
        self.release();
    }

    /// Some more of the log, or all of it, is committed.
    fn commit_log(&mut self) {
        let open = self.log.len() - self.committed_len;
        self.committed_len += self.random.below(open + 1).max(self.random.below(open + 1));
        self.release();
    }

    fn release(&mut self) {
        let is_early = self.bug == Some(Bug::AnswersEarly);
        let ready = |held: &Held| is_early || held.committed_len <= self.committed_len;
        let count = self.held.iter().take_while(|held| ready(held)).count();
        let released: Vec<Held> = self.held.drain(..count).collect();
        for held in released {
            self.deliver(held.ticket, &held.reply);
        }
    }

    fn deliver(&mut self, ticket: Ticket, reply: &Reply) {
        if let (Some((partition, offset)), Reply::OffsetCommit(response)) = (self.commits.remove(&ticket), reply)
            && response.topics[0].partitions[0].error_code == 0
        {
            self.acknowledged.insert(partition, offset);
        }
        let Some(client) = self.clients.iter_mut().find(|client| client.waits_for(ticket)) else {
            return;
        };
        if let Some(owned) = client.take(reply) {
            let (generation, identity) = (client.generation, client.identity());
            for partition in owned {
                let owner = self.owners.entry((generation, partition)).or_insert(identity.clone());
                if *owner != identity {
                    let violation = format!("two owners in generation {generation}: {owner} and {identity}");
                    self.violation.get_or_insert(violation);
                }
            }
        }
    }

    fn violate(&mut self, violation: String) {
        self.violation.get_or_insert(violation);
    }

    /// The broker restarts. Of what was not committed any part may be lost; whoever waits hears of it.
    fn restart_broker(&mut self) {
        let open = self.log.len() - self.committed_len;
        let kept = self.committed_len + self.random.below(open + 1);
        self.log.truncate(kept);
        self.committed_len = kept;
        self.held.clear();
        self.commits.clear();
        self.groups = replay(&self.config, &self.log);
        for client in &mut self.clients {
            if matches!(client.phase, Phase::Joining(_) | Phase::Syncing(_)) {
                client.phase = Phase::Outside;
            }
        }
        let actions = self.groups.on_loaded(self.now());
        self.take(actions);
    }

    pub(super) fn check(&mut self) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        self.check_offsets()?;
        self.check_counts()?;
        if self.random.one_in(8) {
            self.check_log()?;
        }
        Ok(())
    }

    fn check_offsets(&self) -> Result<(), String> {
        let request = OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            ..Default::default()
        };
        let fetched = self.groups.fetch_offsets(
            &OffsetFetchRequestGroup {
                topics: None,
                ..request
            },
            false,
        );
        let fetched: BTreeMap<i32, i64> = fetched
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| (partition.partition_index, partition.committed_offset))
            .collect();
        for (partition, acknowledged) in &self.acknowledged {
            let now = fetched.get(&i32::from(*partition)).copied().unwrap_or(-1);
            if now < *acknowledged {
                return Err(format!(
                    "the offset of partition {partition} went back: {acknowledged} to {now}"
                ));
            }
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), String> {
        let Some(group) = self.groups.classic.get(GROUP) else {
            return Ok(());
        };
        let members = group.members.iter();
        let waiting = members
            .clone()
            .filter(|(_, member)| member.awaiting_join.is_some())
            .count();
        let statics = members
            .clone()
            .filter_map(|(id, member)| Some((member.instance_id.clone()?, id.clone())));
        let leads = group.leader.as_ref().is_some_and(|id| group.members.contains_key(id));
        let is_sound = waiting == group.awaiting_joins
            && statics.collect::<BTreeMap<_, _>>() == group.static_members
            && leads != group.members.is_empty()
            && group.pending_syncs.iter().all(|id| group.members.contains_key(id))
            && group.is_empty() <= group.members.is_empty()
            && group
                .protocol_counts
                .values()
                .all(|count| *count == group.members.len());
        is_sound.then_some(()).ok_or_else(|| format!("unsound: {group:?}"))
    }

    fn check_log(&self) -> Result<(), String> {
        let mut generation = 0;
        for record in &self.log {
            if let Ok(Record::Group(_, Some(value))) = record::decode(record) {
                if value.generation < generation {
                    return Err(format!("generation {} after {generation}", value.generation));
                }
                generation = value.generation;
            }
        }
        let stable = |groups: &Groups| groups.classic.get(GROUP).map(|group| group.state) == Some(GroupState::Stable);
        if stable(&self.groups) {
            let again = replay(&self.config, &self.log);
            let describe = |groups: &Groups| {
                let mut described = groups.describe_group(&GROUP.into(), 6);
                described
                    .members
                    .sort_by(|one, other| one.member_id.cmp(&other.member_id));
                described
            };
            let pending_leave = self.groups.classic[GROUP].members.len() != again.classic[GROUP].members.len();
            if pending_leave || describe(&again) != describe(&self.groups) {
                return Err(format!(
                    "{:?} reads back as {:?}",
                    describe(&self.groups),
                    describe(&again)
                ));
            }
        }
        Ok(())
    }

    /// No more faults: everything is committed, everybody goes on, and all must be well in the end.
    pub(super) fn calm_down(&mut self) -> Result<(), String> {
        for _ in 0..400 {
            for number in 0..self.clients.len() {
                match self.clients[number].phase.clone() {
                    Phase::Outside => self.join(number),
                    Phase::Joined(members) => self.sync(number, &members),
                    Phase::Inside => self.beat(number),
                    Phase::Joining(_) | Phase::Syncing(_) => {}
                }
                self.committed_len = self.log.len();
                self.release();
            }
            self.pass_ms(1_000);
            self.committed_len = self.log.len();
            self.release();
            self.check()?;
        }
        let generation = self.clients[0].generation;
        let mut owned: Vec<u8> = self.clients.iter().flat_map(|client| client.owned.clone()).collect();
        owned.sort_unstable();
        let agree = |client: &Client| client.phase == Phase::Inside && client.generation == generation;
        if self.clients.iter().all(agree) && owned == (0..PARTITIONS).collect::<Vec<_>>() {
            Ok(())
        } else {
            Err(format!("not stable: {:?}", self.clients))
        }
    }
}

fn heartbeat_of(client: &Client) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id: client.generation,
        member_id: client.member_id.clone(),
        group_instance_id: client.instance_id.clone(),
    }
}

fn replay(config: &GroupsConfig, log: &[CoordinatorRecord]) -> Groups {
    let mut groups = Groups::new(config.clone());
    for record in log {
        groups.apply(record).expect("what is written can be read");
    }
    groups
}
