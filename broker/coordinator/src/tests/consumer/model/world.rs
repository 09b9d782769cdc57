//! The broker, the clients, the network and the clock of a run.

mod classic;

use super::{
    classic_client::ClassicClient,
    client::{Client, Having, Wish},
};
use crate::{
    Actions, Caller, CoordinatorRecord, Groups, GroupsConfig, Now, Reply, Ticket,
    record::{self, ConsumerRecord, Record},
    tests::{cluster::TestCluster, driver::GROUP, model::random::Random},
};
use ottla_protocol::{Str, ids::Uuid, messages::ConsumerGroupHeartbeatRequest};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A bug that the harness must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// Partitions are given to a member while another one may still have them.
    GivesEarly,
    /// Answers do not wait until their records are committed.
    AnswersEarly,
}

/// How many clients there are: dynamic and static ones of the consumer protocol, and such of the classic protocol.
fn crowd(seed: u64) -> (usize, usize, usize) {
    match seed % 4 {
        0 => (1, 0, 3),
        1 => (2, 1, 2),
        _ => (5, 2, 0),
    }
}

pub(super) struct World {
    random: Random,
    bug: Option<Bug>,
    config: GroupsConfig,
    cluster: Arc<TestCluster>,
    groups: Groups,
    now_ms: i64,
    log: Vec<CoordinatorRecord>,
    /// How many records a restart cannot lose.
    committed: usize,
    /// Answers that wait until so many records are committed.
    held: Vec<(usize, Ticket, Reply)>,
    answers: BTreeMap<Ticket, Reply>,
    clients: Vec<Client>,
    classic_clients: Vec<ClassicClient>,
    tickets: u64,
    /// Topic ids and member ids that were used.
    ids: u8,
    incarnations: usize,
    violation: Option<String>,
    checks: u64,
}

impl World {
    pub(super) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let config = GroupsConfig {
            gives_early: bug == Some(Bug::GivesEarly),
            initial_rebalance_delay_ms: 300,
            ..Default::default()
        };
        let mut cluster = TestCluster::default();
        cluster.set_topic("t", 1, 3);
        cluster.settings.session_timeout_ms = 10_000;
        cluster.settings.assignment_interval_ms = 500;
        let (dynamic_count, static_count, classic_count) = crowd(seed);
        let classic = ClassicClient::new((seed / 4).is_multiple_of(2));
        let dynamic = (0..dynamic_count).map(|index| Client::new(format!("m{index}").into(), None, Wish::T));
        let with_instance = (0..static_count).map(|index| {
            let instance_id = Str::from(format!("i{index}"));
            Client::new(format!("s{index}").into(), Some(instance_id), Wish::TAndU)
        });
        let mut world = Self {
            random: Random::new(seed),
            bug,
            groups: Groups::new(config.clone()),
            config,
            cluster: Arc::new(cluster),
            now_ms: 0,
            log: Vec::new(),
            committed: 0,
            held: Vec::new(),
            answers: BTreeMap::new(),
            clients: dynamic.chain(with_instance).collect(),
            classic_clients: vec![classic; classic_count],
            tickets: 0,
            ids: 1,
            incarnations: 0,
            violation: None,
            checks: 0,
        };
        world.load();
        world
    }

    pub(super) fn log(&self) -> &[CoordinatorRecord] {
        &self.log
    }

    fn now(&self) -> Now {
        Now {
            monotonic_ms: self.now_ms,
            wall_ms: 1_700_000_000_000 + self.now_ms,
        }
    }

    pub(super) fn step(&mut self) {
        match self.random.below(20) {
            0..=11 => {
                let index = self.random.below(self.clients.len() + self.classic_clients.len());
                match index.checked_sub(self.clients.len()) {
                    Some(index) => self.act_as_classic(index),
                    None => self.act(index),
                }
            }
            12..=14 => self.commit(),
            15..=17 => self.pass_time(),
            18 if self.random.one_in(4) => self.restart(),
            19 if self.random.one_in(3) => self.change_cluster(),
            _ => {}
        }
    }

    fn act(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if let Some(ticket) = client.awaits {
            match self.answers.remove(&ticket) {
                Some(response) if !self.random.one_in(6) => self.deliver(index, &response),
                Some(_) => client.give_up_waiting(),
                None if self.random.one_in(4) => client.give_up_waiting(),
                None => {}
            }
            return;
        }
        if !client.is_in {
            client.is_in = self.random.one_in(2);
            return;
        }
        match self.random.below(24) {
            0 => self.say_goodbye(index),
            1 => self.crash(index),
            2 => client.wish = [Wish::T, Wish::TAndU, Wish::All][self.random.below(3)],
            3..=9 => client.obey(),
            _ => self.beat(index),
        }
    }

    fn deliver(&mut self, index: usize, reply: &Reply) {
        let Reply::ConsumerGroupHeartbeat(response) = reply else {
            panic!("{reply:?}");
        };
        if let Err(violation) = self.clients[index].hear(response) {
            self.violation.get_or_insert(violation);
        }
    }

    fn beat(&mut self, index: usize) {
        let says_all = self.random.one_in(8);
        let request = self.clients[index].heartbeat(says_all);
        let ticket = self.next_ticket();
        self.clients[index].awaits = Some(ticket);
        if self.random.one_in(10) {
            // Lost on the way.
            return;
        }
        if self.random.one_in(3) && request.rebalance_timeout_ms != -1 {
            // Sent twice; nobody hears the first answer. Clients say everything when they send again.
            let ghost = self.next_ticket();
            self.send(ghost, &request);
        }
        self.send(ticket, &request);
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn send(&mut self, ticket: Ticket, request: &ConsumerGroupHeartbeatRequest) {
        let caller = Caller {
            version: 1,
            client_id: "client",
            client_host: "/127.0.0.1",
            fresh_member_id: Uuid::ZERO,
        };
        let now = self.now();
        let actions = self
            .groups
            .handle_consumer_group_heartbeat(ticket, request, &caller, now);
        self.take(actions);
    }

    fn take(&mut self, actions: Actions) {
        for record in actions.records {
            self.groups.apply(&record).expect("what is written can be read");
            self.log.push(record);
        }
        for (ticket, reply) in actions.replies {
            match self.bug {
                Some(Bug::AnswersEarly) => drop(self.answers.insert(ticket, reply)),
                _ => self.held.push((self.log.len(), ticket, reply)),
            }
        }
    }

    fn say_goodbye(&mut self, index: usize) {
        let request = self.clients[index].leave();
        self.clients[index].stop();
        if !self.random.one_in(4) {
            let ticket = self.next_ticket();
            self.send(ticket, &request);
        }
        self.reincarnate(index);
    }

    fn crash(&mut self, index: usize) {
        self.clients[index].stop();
        self.reincarnate(index);
    }

    /// The process that starts next chooses another member id.
    fn reincarnate(&mut self, index: usize) {
        self.incarnations += 1;
        let id = format!("{}-{}", index, self.incarnations);
        let client = &self.clients[index];
        self.clients[index] = Client::new(id.into(), client.instance_id.clone(), client.wish);
    }

    fn commit(&mut self) {
        let open = self.log.len() - self.committed;
        self.committed += open - self.random.below(open + 1).min(self.random.below(3));
        self.release();
    }

    fn release(&mut self) {
        let committed = self.committed;
        let (due, held) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(end, ..)| *end <= committed);
        self.held = held;
        let due: Vec<(usize, Ticket, Reply)> = due;
        self.answers
            .extend(due.into_iter().map(|(_, ticket, reply)| (ticket, reply)));
    }

    fn pass_time(&mut self) {
        let long = if self.random.one_in(20) { 12_000 } else { 700 };
        self.now_ms += self.random.below(long) as i64;
        let now = self.now();
        if self
            .groups
            .next_deadline_ms()
            .is_some_and(|at_ms| at_ms <= now.monotonic_ms)
        {
            let actions = self.groups.tick(now);
            self.take(actions);
        }
    }

    fn restart(&mut self) {
        let open = self.log.len() - self.committed;
        let kept = self.committed + self.random.below(open + 1);
        self.log.truncate(kept);
        self.committed = kept;
        self.held.clear();
        self.load();
    }

    fn load(&mut self) {
        self.groups = self.replayed();
        let now = self.now();
        let actions = self.groups.on_loaded(now);
        self.take(actions);
    }

    fn replayed(&self) -> Groups {
        let mut groups = Groups::new(self.config.clone());
        groups.see(self.cluster.clone());
        for record in &self.log {
            groups.apply(record).expect("what is written can be read");
        }
        groups
    }

    fn change_cluster(&mut self) {
        let mut cluster = self.cluster.as_ref().clone();
        let name = ["t", "u"][self.random.below(2)];
        let existing = cluster.topics().find(|(topic, _)| **topic == name);
        let existing = existing.map(|(_, topic)| (topic.id.0[0], topic.partition_count));
        match existing {
            Some(_) if name == "u" && self.random.one_in(3) => cluster.delete_topic(name),
            Some((id, count)) => cluster.set_topic(name, id, (count + 1).min(7)),
            None => {
                self.ids += 1;
                cluster.set_topic(name, self.ids, 2);
            }
        }
        self.cluster = Arc::new(cluster);
        self.groups.see(self.cluster.clone());
    }

    pub(super) fn check(&mut self) -> Result<(), String> {
        match self.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }?;
        self.check_coordinator()?;
        self.check_clients()?;
        // Reading all of it is left for now and then.
        self.checks += 1;
        match self.checks.is_multiple_of(23) {
            true => self.check_log(),
            false => Ok(()),
        }
    }

    fn check_coordinator(&self) -> Result<(), String> {
        let Some(group) = self.groups.consumer.get(&Str::from(GROUP)) else {
            return Ok(());
        };
        let mut owners = BTreeMap::new();
        for (id, member) in &group.members {
            for partition in member.current.owned() {
                claim(&mut owners, partition, id)?;
            }
        }
        Ok(())
    }

    /// Whoever is in an epoch that counts has what nobody else has, and is told to have nothing that anybody else has.
    fn check_clients(&self) -> Result<(), String> {
        let Some(group) = self.groups.consumer.get(&Str::from(GROUP)) else {
            return self.check_classic_clients(BTreeMap::new());
        };
        let mut owners = BTreeMap::new();
        for client in self.clients.iter().filter(|client| client.epoch > 0) {
            let Some(member) = group.members.get(&client.id) else {
                continue;
            };
            // Epoch 0 is what is left of a member if the log ends in the middle of its end.
            if client.epoch > member.current.member_epoch && member.current.member_epoch > 0 {
                return Err(format!("{} is ahead of its group: {}", client.id, client.epoch));
            }
            let epochs = [member.current.member_epoch, member.current.previous_member_epoch];
            if epochs.contains(&client.epoch) {
                let all: Having = client.having.union(&client.told).copied().collect();
                for partition in all {
                    claim(&mut owners, partition, &client.id)?;
                }
            }
        }
        self.check_classic_clients(owners)
    }

    /// Epochs rise, and the group reads back as it is.
    fn check_log(&self) -> Result<(), String> {
        // A classic group that has not had a generation yet begins in epoch 0.
        let mut group_epoch = -1;
        let mut assignment_epoch = -1;
        for record in &self.log {
            let (epoch, last) = match record::decode(record) {
                Ok(Record::Consumer(_, ConsumerRecord::Group(Some(value)))) => (value.epoch, &mut group_epoch),
                Ok(Record::Consumer(_, ConsumerRecord::Group(None))) => {
                    (group_epoch, assignment_epoch) = (-1, -1);
                    continue;
                }
                // A log may end in the middle of the end of a group.
                Ok(Record::Consumer(_, ConsumerRecord::Target(None))) => {
                    assignment_epoch = -1;
                    continue;
                }
                Ok(Record::Consumer(_, ConsumerRecord::Target(Some(value)))) => {
                    (value.assignment_epoch, &mut assignment_epoch)
                }
                _ => continue,
            };
            if epoch <= *last {
                return Err(format!("an epoch goes from {last} to {epoch} in the log"));
            }
            *last = epoch;
        }
        let describe = |groups: &Groups| groups.describe_consumer_group(&GROUP.into());
        let (live, read) = (describe(&self.groups), describe(&self.replayed()));
        match live == read {
            true => Ok(()),
            false => Err(format!("the log has another group: {live:?} and {read:?}")),
        }
    }

    /// Everybody beats regularly, nothing is lost: the group must become stable and have every partition.
    pub(super) fn calm_down(&mut self) -> Result<(), String> {
        self.clients.iter_mut().for_each(|client| client.is_in = true);
        self.be_calm()?;
        self.check_converged()?;
        match self.classic_clients.is_empty() {
            true => Ok(()),
            false => self.leave_the_classic_clients(),
        }
    }

    fn be_calm(&mut self) -> Result<(), String> {
        for round in 0..60 {
            for index in (0..self.clients.len())
                .filter(|index| self.clients[*index].is_in)
                .collect::<Vec<_>>()
            {
                self.beat_calmly(index);
            }
            (0..self.classic_clients.len()).for_each(|index| self.act_calmly_as_classic(index));
            self.now_ms += 400;
            let actions = self.groups.tick(self.now());
            self.take(actions);
            self.check()
                .map_err(|violation| format!("round {round}: {violation}"))?;
        }
        Ok(())
    }

    fn beat_calmly(&mut self, index: usize) {
        if self.clients[index].awaits.is_some() {
            self.clients[index].give_up_waiting();
        }
        self.clients[index].obey();
        let request = self.clients[index].heartbeat(false);
        let ticket = self.next_ticket();
        self.clients[index].awaits = Some(ticket);
        self.send(ticket, &request);
        self.committed = self.log.len();
        self.release();
        if let Some(response) = self.answers.remove(&ticket) {
            self.deliver(index, &response);
        }
    }

    fn check_converged(&self) -> Result<(), String> {
        let group = self.groups.describe_consumer_group(&GROUP.into());
        let classic = self.classic_clients.iter();
        let epochs = self.clients.iter().map(|client| client.epoch);
        let epochs: BTreeSet<i32> = epochs.chain(classic.map(|client| client.generation)).collect();
        if group.group_state != "Stable" || epochs != BTreeSet::from([group.group_epoch]) {
            return Err(format!("not stable: {epochs:?} {group:?}"));
        }
        self.check_all_is_had()
    }

    fn check_all_is_had(&self) -> Result<(), String> {
        let is_u_wanted = !self.classic_clients.is_empty() || self.clients.iter().any(|client| client.wish != Wish::T);
        let wanted: Having = self
            .cluster
            .topics()
            .filter(|(name, _)| **name == "t" || is_u_wanted)
            .flat_map(|(_, topic)| (0..topic.partition_count).map(|partition| (topic.id, partition)))
            .collect();
        let having = self.clients.iter().map(|client| &client.having);
        let having = having.chain(self.classic_clients.iter().map(|client| &client.having));
        let had: Having = having.flatten().copied().collect();
        match wanted == had {
            true => Ok(()),
            false => Err(format!("{wanted:?} should be had, {had:?} is")),
        }
    }
}

fn claim(owners: &mut BTreeMap<(Uuid, i32), Str>, partition: (Uuid, i32), id: &Str) -> Result<(), String> {
    match owners.insert(partition, id.clone()) {
        None => Ok(()),
        Some(other) => Err(format!("{partition:?} has two owners, {other} and {id}")),
    }
}
