//! The part of a run that the clients of the classic protocol play.

use super::{World, claim};
use crate::{
    Caller, Ticket,
    tests::{consumer::model::classic_client::Request, driver::GROUP},
};
use ottla_protocol::{Str, ids::Uuid};
use std::collections::BTreeMap;

impl World {
    pub(super) fn act_as_classic(&mut self, index: usize) {
        if self.classic_clients[index].awaits.is_some() {
            return self.listen_as_classic(index);
        }
        let client = &mut self.classic_clients[index];
        if !client.is_in {
            client.is_in = self.random.one_in(2);
            return;
        }
        match self.random.below(30) {
            0 => self.leave_as_classic(index),
            1 => self.classic_clients[index].stop(),
            _ => self.ask_as_classic(index),
        }
    }

    /// The answer may not be there yet, or get lost; the client loses its patience now and then.
    fn listen_as_classic(&mut self, index: usize) {
        let Some(ticket) = self.classic_clients[index].awaits else {
            return;
        };
        match self.answers.remove(&ticket) {
            Some(reply) if !self.random.one_in(8) => self.deliver_to_classic(index, &reply),
            Some(_) => self.classic_clients[index].give_up_waiting(),
            None if self.random.one_in(30) => self.classic_clients[index].give_up_waiting(),
            None => {}
        }
    }

    fn deliver_to_classic(&mut self, index: usize, reply: &crate::Reply) {
        if let Err(violation) = self.classic_clients[index].hear(reply, &self.cluster) {
            self.violation.get_or_insert(violation);
        }
    }

    fn ask_as_classic(&mut self, index: usize) {
        let request = self.classic_clients[index].request(&self.cluster);
        let ticket = self.next_ticket();
        self.classic_clients[index].awaits = Some(ticket);
        self.send_as_classic(ticket, &request);
    }

    fn send_as_classic(&mut self, ticket: Ticket, request: &Request) {
        let (caller, now) = (classic_caller(ticket), self.now());
        let actions = match request {
            Request::Join(request) => self.groups.handle_join_group(ticket, request, &caller, now),
            Request::Sync(request) => self.groups.handle_sync_group(ticket, request, now),
            Request::Heartbeat(request) => self.groups.handle_heartbeat(ticket, request, now),
        };
        self.take(actions);
    }

    fn leave_as_classic(&mut self, index: usize) {
        let request = self.classic_clients[index].leave();
        self.classic_clients[index].stop();
        let ticket = self.next_ticket();
        let now = self.now();
        let actions = self
            .groups
            .handle_leave_group(ticket, &request, &classic_caller(ticket), now);
        self.take(actions);
    }

    /// Whoever is in a generation that counts has what nobody else has.
    pub(super) fn check_classic_clients(&self, mut owners: BTreeMap<(Uuid, i32), Str>) -> Result<(), String> {
        for client in self.classic_clients.iter().filter(|client| client.generation >= 0) {
            if !self.counts(&client.id, client.generation) {
                continue;
            }
            for partition in &client.having {
                claim(&mut owners, *partition, &client.id)?;
            }
        }
        Ok(())
    }

    fn counts(&self, id: &Str, generation: i32) -> bool {
        let group_id = Str::from(GROUP);
        let classic = self.groups.classic.get(&group_id);
        let consumer = self.groups.consumer.get(&group_id);
        let in_classic = classic.is_some_and(|group| group.members.contains_key(id) && group.generation == generation);
        let member = consumer.and_then(|group| group.members.get(id));
        let in_consumer = member.is_some_and(|member| {
            [member.current.member_epoch, member.current.previous_member_epoch].contains(&generation)
        });
        in_classic || in_consumer
    }

    /// Does what a client does that is answered at once and loses nothing.
    pub(super) fn act_calmly_as_classic(&mut self, index: usize) {
        self.classic_clients[index].is_in = true;
        for _ in 0..3 {
            self.committed = self.log.len();
            self.release();
            if let Some(ticket) = self.classic_clients[index].awaits {
                match self.answers.remove(&ticket) {
                    Some(reply) => self.deliver_to_classic(index, &reply),
                    // It waits for the others, or its request was lost with a broker that was restarted.
                    None if self.is_waiting_for_nothing(ticket) => self.classic_clients[index].give_up_waiting(),
                    None => return,
                }
            } else {
                self.ask_as_classic(index);
            }
        }
    }

    /// Whether no broker that is there has this request.
    fn is_waiting_for_nothing(&self, ticket: Ticket) -> bool {
        let groups = self.groups.classic.values();
        let mut members = groups.flat_map(|group| group.members.values());
        !members.any(|member| member.awaiting_join == Some(ticket) || member.awaiting_sync == Some(ticket))
    }

    /// Those of the consumer protocol leave, and the others go on as a classic group.
    pub(super) fn leave_the_classic_clients(&mut self) -> Result<(), String> {
        for index in 0..self.clients.len() {
            let request = self.clients[index].leave_for_good();
            self.clients[index].stop();
            let ticket = self.next_ticket();
            self.send(ticket, &request);
        }
        self.be_calm()?;
        let group = self.groups.describe_group(&GROUP.into(), 6);
        let is_settled = self.classic_clients.iter().all(|client| client.is_settled());
        match group.group_state == "Stable" && is_settled {
            true => self.check_all_is_had(),
            false => Err(format!("not stable: {group:?} {:?}", self.classic_clients)),
        }
    }
}

fn classic_caller(ticket: Ticket) -> Caller<'static> {
    Caller {
        version: 9,
        client_id: "classic",
        client_host: "/127.0.0.1",
        fresh_member_id: Uuid(u128::from(ticket.0).to_be_bytes()),
    }
}
