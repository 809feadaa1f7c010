//! What is a guest told about itself, and when, if it wants to hear of a change?
//!
//! A question that waits stands with its guest. It is asked again when anything about the guest was written down, which is each
//! time that something changed, and when its own patience ends; it goes with the guest.

use super::Host;
use crate::metadata::Question;
use crate::network::plan::Mac;
use ebb_driver::agent::Guest;
use ebb_model::id::InstanceId;
use ebb_model::time::Timestamp;
use ebb_wire::metadata::cloud::Cloud;
use ebb_wire::metadata::{self, Effect, End, Network, Reply, Request, Visible, Wait};

/// A question that is not answered yet.
pub(super) struct Waiting {
    question: Question,
    wait: Wait,
}

impl Host {
    /// Answers a guest's question about itself, or lets it wait.
    pub(super) fn inform(&mut self, question: Question, waited: Option<Wait>) {
        let now = self.clock.now();
        let Some(guest) = self.addresses.get(&question.from).and_then(|id| self.agent.guest(*id)) else { return };
        let id = guest.desired.id;
        match reply(guest, &question, waited, &self.secret, now) {
            Reply::Now(answer) => {
                let actions = match answer.effect {
                    Effect::None => vec![],
                    Effect::NoticeRead => self.agent.notice_read(id, now),
                    Effect::Approved => self.agent.approve(id, now),
                };
                // First the answer: who approves its end does not hear it otherwise.
                let _ = question.reply.send(answer);
                if !actions.is_empty() {
                    self.carry_out(actions);
                }
            }
            Reply::Wait(wait) => {
                let waiting = self.waiting.entry(id).or_default();
                // Whoever hung up waits no more; so there are at most as many as a guest has connections.
                waiting.retain(|other| !other.question.reply.is_closed());
                waiting.push(Waiting { question, wait });
            }
        }
    }

    /// Something about a guest changed: what waits for it is asked again, unless whoever asked has gone.
    pub(super) fn ask_again(&mut self, id: InstanceId) {
        for Waiting { question, wait } in self.waiting.remove(&id).unwrap_or_default() {
            if !question.reply.is_closed() {
                self.inform(question, Some(wait));
            }
        }
    }

    /// When the first question has waited long enough.
    pub(super) fn patience_ends_at(&self) -> Option<Timestamp> {
        self.waiting.values().flatten().map(|waiting| waiting.wait.until).min()
    }

    pub(super) fn lose_patience(&mut self) {
        let now = self.clock.now();
        let over = |waiting: &Vec<Waiting>| waiting.iter().any(|one| one.wait.until <= now);
        let ids: Vec<InstanceId> = self.waiting.iter().filter(|(_, all)| over(all)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.ask_again(id));
    }
}

fn reply(guest: &Guest, question: &Question, waiting: Option<Wait>, secret: &[u8], now: Timestamp) -> Reply {
    let metadata = &guest.desired.metadata;
    let visible = Visible {
        instance: guest.desired.id,
        name: &metadata.name,
        hostname: &metadata.hostname,
        region: &metadata.region,
        zone: &metadata.zone,
        flavor: &metadata.flavor,
        image: &guest.desired.spec.image,
        network: Some(Network { address: question.from, mac: Mac::of(question.from).0 }),
        public_keys: &metadata.public_keys,
        user_data: metadata.user_data.as_deref(),
        password_hash: metadata.password_hash.as_deref(),
        tokens_required: false,
        end: guest.desired.end.map(|end| End { notice_at: end.notice_at, at: end.at }),
    };
    let headers: Vec<(&str, &str)> = question.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let request = Request {
        method: &question.method,
        path: &question.path,
        query: &question.query,
        headers: &headers,
        body: &question.body,
        cloud: Cloud::at(question.at),
        waiting,
    };
    metadata::answer(&visible, &request, secret, now)
}
