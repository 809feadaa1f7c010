//! What happens in a zone in which tenants, the operator and the hosts act in any order? A small world, moved by the real rules.
//!
//! Effects are applied as the service applies them; hosts start within two seconds and release within one.

use crate::lives::instance;
use crate::shop::{FLAVORS, KINDS, SIZES, capacity};
use ebb_engine::fleet::{Facts, Fleet, Terms};
use ebb_engine::lifecycle::{Command, Effect, Input, Reclaim, Report, Step, due_at, step};
use ebb_engine::operation::{Operation, permit};
use ebb_engine::placement::{Chosen, Decision, Demand, Room, Tenancy, cause_of, fits_on, place, plan_on, plan_reclaim};
use ebb_engine::price::Tariff;
use ebb_engine::rating::{after_trial, charges, spans_of};
use ebb_engine::refusal::Refused;
use ebb_engine::reserve::{Beside, Ordered, missing_by, plan_beside, plan_reserve};
use ebb_engine::resize::{Size, resize};
use ebb_model::billing::{Charge, Meter, Span};
use ebb_model::calendar::Calendar;
use ebb_model::catalog::Limits;
use ebb_model::id::{AccountId, HostId, InstanceId, SpanId};
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::resources::Resources;
use ebb_model::time::{HOUR, Period, Second, Timestamp};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use uuid::Uuid;

pub const BEGIN: Timestamp = Timestamp::from_micros(1_772_412_000_000_000);
/// From the order to the first report of running, at most.
pub const BOOT_SECONDS: i64 = 2;
static CALENDAR: LazyLock<Calendar> = LazyLock::new(|| Calendar::new("Asia/Shanghai").unwrap());

pub fn account(number: u64) -> AccountId {
    AccountId::new(Uuid::from_u128(number.into()))
}

/// What a host will say of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Running,
    Off,
    Gone,
    Failed,
}

pub struct World {
    pub limits: Limits,
    pub now: Timestamp,
    pub rooms: BTreeMap<HostId, Room>,
    pub fleet: Fleet,
    pub all: BTreeMap<InstanceId, Instance>,
    /// Everything that a picture of the zone could have heard, oldest first.
    pub news: Vec<Instance>,
    pub spans: Vec<Span>,
    /// Which orders and starts made others go, whose they are, and when.
    pub takings: Vec<(InstanceId, AccountId, Timestamp)>,
    /// Who made each victim go.
    pub taken_by: BTreeMap<InstanceId, AccountId>,
    /// What was marked as releasing, and how often.
    pub marked: BTreeMap<InstanceId, i64>,
    /// Accounts of one person.
    pub linked: Vec<AccountId>,
    /// Flavors that are kept free for firm orders.
    reserve: Vec<usize>,
    /// Who took of them what nobody could give back then.
    took_of_reserve: Vec<AccountId>,
    /// The tenant has no neighbours.
    pub alone: bool,
    /// Tenants have spending caps.
    pub capped: bool,
    /// Nobody pauses for long.
    pub busy: bool,
    /// One start in eight fails.
    pub faults: bool,
    /// A lost host takes nothing new, and who waited there waits elsewhere.
    pub replans: bool,
    soon: BTreeMap<InstanceId, (Timestamp, Word)>,
    due: BTreeMap<InstanceId, Timestamp>,
    dice: u64,
}

impl World {
    /// A zone with these hosts, in which nobody has bought anything.
    pub fn new(limits: &Limits, hosts: &[(i64, i64, i64)], seed: u64) -> Self {
        let mut fleet = Fleet::with_kinds(KINDS);
        let mut rooms = BTreeMap::new();
        for (at, size) in hosts.iter().enumerate() {
            let host = HostId::new(Uuid::from_u128(at as u128 + 1));
            let capacity = capacity(*size);
            fleet.set_host(host, &Facts { capacity: capacity.clone(), terms: Terms::OPEN });
            let nothing = Resources::default;
            rooms.insert(host, Room { host, capacity, used: nothing(), claimed: nothing(), releasing: nothing() });
        }
        Self {
            limits: limits.clone(),
            now: BEGIN,
            rooms,
            fleet,
            all: BTreeMap::new(),
            news: vec![],
            spans: vec![],
            takings: vec![],
            taken_by: BTreeMap::new(),
            marked: BTreeMap::new(),
            linked: vec![],
            reserve: vec![],
            took_of_reserve: vec![],
            alone: false,
            capped: false,
            busy: seed.is_multiple_of(2),
            faults: false,
            replans: false,
            soon: BTreeMap::new(),
            due: BTreeMap::new(),
            dice: seed | 1,
        }
    }

    /// Keeps room free for these flavors at once.
    pub fn keep_free(&mut self, flavors: Vec<usize>) {
        self.fleet.set_reserve(flavors.iter().map(|flavor| SIZES[*flavor].clone()).collect());
        self.reserve = flavors;
    }

    pub fn live(&self) -> impl Iterator<Item = &Instance> {
        self.all.values().filter(|i| !matches!(i.state, State::Released { .. }))
    }

    fn millis(&mut self, least: i64, most: i64) -> i64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        least + (self.dice % (most - least) as u64) as i64
    }

    /// Lets time pass, with everything that happens by itself.
    pub fn advance(&mut self, until: Timestamp) {
        loop {
            let due = self.due.iter().map(|(id, at)| (*at, *id, None)).min();
            let soon = self.soon.iter().map(|(id, (at, word))| (*at, *id, Some(*word))).min();
            let Some((at, id, word)) = due.into_iter().chain(soon).min().filter(|next| next.0 <= until) else { break };
            self.now = self.now.max(at);
            let input = word.map_or(Input::Due, |word| {
                self.soon.remove(&id);
                Input::Report(match word {
                    Word::Running => Report::Running { at },
                    Word::Off => Report::Off { at },
                    Word::Gone => Report::Gone { at, approved: false },
                    Word::Failed => Report::Failed { at },
                })
            });
            let known = self.all[&id].generation;
            self.step(id, input).expect("what happens by itself is not refused");
            assert!(word.is_some() || self.all[&id].generation > known, "what is due changes something");
            self.restore_reserve();
        }
        self.now = self.now.max(until);
    }

    pub fn wait(&mut self, seconds: i64) {
        self.advance(self.now.plus_seconds(seconds));
    }

    /// Lets something happen to an instance, with all that follows.
    pub fn step(&mut self, id: InstanceId, input: Input) -> Result<(), Refused> {
        let done = step(&self.all[&id], input, self.now, &self.limits)?;
        self.follow(id, done);
        Ok(())
    }

    fn follow(&mut self, id: InstanceId, done: Step) {
        let whole = self.all[&id].clone();
        let before = whole.state.clone();
        if let Some(next) = done.next {
            if let State::Reclaiming { deadline, .. } = next.state {
                assert!(next.lease_end().is_some_and(|end| end.start() > deadline), "it would end by itself: {next:?}");
            }
            if let State::Reclaiming { deadline, .. } = before {
                let sooner = matches!(next.state, State::Reclaiming { deadline: then, .. } if then <= deadline);
                assert!(
                    sooner || matches!(next.state, State::Released { .. }),
                    "a notice is withdrawn or put off: {next:?}"
                );
            }
            self.put(next.clone());
            done.effects.into_iter().for_each(|effect| self.carry(&whole, &next, effect));
            self.check(next.host);
        }
    }

    fn put(&mut self, next: Instance) {
        match due_at(&next, &self.limits) {
            Some(at) => self.due.insert(next.id, at),
            None => self.due.remove(&next.id),
        };
        self.fleet.put(&next);
        self.news.push(next.clone());
        self.all.insert(next.id, next);
    }

    fn carry(&mut self, before: &Instance, next: &Instance, effect: Effect) {
        let (of, claimed) = (&next.resources, &before.claimed());
        let room = self.rooms.get_mut(&next.host).unwrap();
        match effect {
            Effect::Order => self.order(next),
            Effect::OpenSpans { meters, since } => {
                let spans = spans_of(next, &Tariff::kept(&next.purchase, next.disk_price), meters, true, since, || {
                    SpanId::new(Uuid::nil())
                });
                self.spans.extend(spans);
            }
            Effect::CloseSpans { meters, until } => {
                let these = self
                    .spans
                    .iter_mut()
                    .filter(|span| span.instance() == Some(next.id) && meters.contains(&span.meter));
                let open = these.filter(|span| span.until.is_none());
                open.for_each(|span| span.until = Some(until.max(span.since)));
            }
            Effect::UseClaim => (room.used, room.claimed) = (room.used.plus(claimed), room.claimed.minus(claimed)),
            Effect::TakeRoom => room.used = room.used.plus(&next.used().minus(&before.used()).positive()),
            Effect::LeaveTrial { meters, since } => {
                let own = |span: &&mut Span| span.instance() == Some(next.id) && meters.contains(&span.meter);
                let open = self.spans.iter_mut().filter(own).filter(|span| span.until.is_none());
                let split = open.map(|span| {
                    let after = after_trial(span, since, SpanId::new(Uuid::nil()));
                    span.until = Some(after.since);
                    after
                });
                let after: Vec<Span> = split.collect();
                self.spans.extend(after);
            }
            Effect::DropClaim => {
                room.claimed = room.claimed.minus(claimed);
                self.grant_room(next.host);
            }
            Effect::MarkReleasing => {
                room.releasing = room.releasing.plus(of);
                *self.marked.entry(next.id).or_default() += 1;
            }
            Effect::FreeRoom { releasing } => {
                room.used = room.used.minus(&before.used().minus(&next.used()).positive());
                if releasing {
                    room.releasing = room.releasing.minus(of);
                }
                self.grant_room(next.host);
            }
            Effect::SettleBlock | Effect::Hold { .. } | Effect::DropHold | Effect::Pay(_) | Effect::Log(_) => {}
        }
    }

    /// Starts those that wait on a host, first come first served.
    fn grant_room(&mut self, host: HostId) {
        let waits = |i: &&Instance| i.host == host && matches!(i.state, State::Waiting { .. });
        let mut waiting: Vec<_> = self.all.values().filter(waits).map(|i| (i.waits_since(), i.id)).collect();
        waiting.sort();
        for (_, id) in waiting {
            let room = &self.rooms[&host];
            if !room.capacity.minus(&room.used).holds(&self.all[&id].claimed()) {
                break;
            }
            self.step(id, Input::RoomFree).unwrap();
        }
    }

    /// What a host does about an order, and when it will have done it.
    fn order(&mut self, about: &Instance) {
        let fails = self.faults && self.millis(0, 8) == 0;
        let (after, word) = match about.state {
            State::Starting { .. } if fails => (self.now.plus_millis(self.millis(200, 1_000)), Word::Failed),
            State::Starting { .. } => (self.now.plus_millis(self.millis(200, BOOT_SECONDS * 1_000)), Word::Running),
            State::Stopping { force_at, .. } => {
                (force_at.min(self.now.plus_millis(self.millis(100, 90_000))), Word::Off)
            }
            State::Reclaiming { deadline, .. } => (deadline.plus_millis(self.millis(1, 1_000)), Word::Gone),
            State::Releasing { .. } => (self.now.plus_millis(self.millis(1, 1_000)), Word::Gone),
            _ => {
                self.soon.remove(&about.id);
                return;
            }
        };
        self.soon.insert(about.id, (after, word));
    }

    /// Room is never given twice, and the picture is what the rows say.
    fn check(&self, host: HostId) {
        let room = &self.rooms[&host];
        assert!(room.capacity.holds(&room.used), "more is used than there is: {room:?}");
        assert!([&room.used, &room.claimed, &room.releasing].iter().all(|r| r.iter().all(|(_, n)| n >= 0)), "{room:?}");
        assert!(self.fleet.agrees(room), "{:?} is not {room:?}", self.fleet);
    }

    /// What the planner says to an order now.
    pub fn plan(&mut self, by: AccountId, resources: &Resources) -> Option<Decision> {
        let demand = Demand { account: Some(by), resources };
        plan_reclaim(&mut self.fleet, &demand, self.now, self.limits.notice_seconds)
    }

    /// Room that is free for an order now.
    pub fn place(&self, flavor: usize, purchase: Purchase) -> Option<HostId> {
        let tenancy = match purchase {
            Purchase::SpotBlock { hours, periods, .. } => {
                let lease = self.limits.boot_timeout_seconds + hours * periods * HOUR;
                Tenancy::Block { until: self.now.plus_seconds(lease), beyond_return: false }
            }
            _ => Tenancy::Firm,
        };
        place(&self.fleet, &SIZES[flavor], tenancy)
    }

    /// Free room, else reclaims for a firm order, else a refusal.
    pub fn buy(&mut self, by: AccountId, flavor: usize, purchase: Purchase) -> Result<InstanceId, Refused> {
        let mut new = instance(self.all.len() as u128 + 1, purchase);
        (new.account, new.created_at, new.resources) = (by, self.now, SIZES[flavor].clone());
        let free = self.place(flavor, purchase);
        let plan = if free.is_none() && purchase.is_firm() { self.plan(by, &SIZES[flavor]) } else { None };
        let victims = plan.as_ref().map_or(vec![], |decision| decision.hosts[0].victims.clone());
        let Some(host) = free.or(plan.as_ref().map(|decision| decision.hosts[0].host)) else {
            return Err(Refused::NoCapacity(String::new()));
        };
        let id = new.id;
        let order = Ordered { by, host, resources: &SIZES[flavor], victims: &victims };
        let beside = if purchase.is_firm() { self.beside(id, &order)? } else { Beside::default() };
        new.took_room = !victims.is_empty() || beside.taking.is_some();
        if let Some(decision) = plan {
            self.claim(new, &decision);
        } else {
            let give_up_at = self.now.plus_seconds(self.limits.boot_timeout_seconds);
            (new.host, new.state) = (host, State::Starting { give_up_at });
            let room = self.rooms.get_mut(&host).unwrap();
            room.used = room.used.plus(&new.resources);
            self.put(new.clone());
            self.order(&new);
        }
        self.take_beside(beside, by);
        self.check(host);
        self.restore_reserve();
        Ok(id)
    }

    /// What an order does to the reserve; if others have to go for the order, that counts.
    fn beside(&mut self, id: InstanceId, order: &Ordered<'_>) -> Result<Beside, Refused> {
        let beside = match self.reserve.is_empty() {
            true => Beside::default(),
            false => {
                plan_beside(&self.fleet, order, self.now, self.limits.notice_seconds).expect("its victims are there")
            }
        };
        if !order.victims.is_empty() || beside.taking.is_some() {
            let hour_ago = self.now.plus_seconds(-HOUR);
            let takings = self.takings.iter().filter(|(_, by, at)| *by == order.by && *at > hour_ago);
            if takings.count() as i64 >= self.limits.takings_per_hour {
                return Err(Refused::TooManyTakings { most: self.limits.takings_per_hour });
            }
            self.takings.push((id, order.by, self.now));
        }
        if beside.takes_of_it {
            self.took_of_reserve.push(order.by);
        }
        Ok(beside)
    }

    fn take_beside(&mut self, beside: Beside, by: AccountId) {
        for victim in beside.taking.into_iter().flat_map(|(decision, _)| decision.hosts).flat_map(|plan| plan.victims) {
            self.take(victim, Cause::Reserve, &[by]);
        }
    }

    /// Starts what is stopped; after an economical stop on its own host, with free room there or with what blocks leave.
    pub fn start(&mut self, id: InstanceId) -> Result<(), Refused> {
        let stopped = self.all[&id].clone();
        if stopped.state != State::StoppedEconomically {
            return self.ask(id, Command::Start);
        }
        let (lacks, host, by) = (stopped.lacks(), stopped.host, stopped.account);
        let demand = Demand { account: Some(by), resources: &lacks };
        let plan = match fits_on(&self.fleet, host, &lacks) {
            true => None,
            false => Some(
                plan_on(&self.fleet, host, &demand, self.now, self.limits.notice_seconds)
                    .ok_or(Refused::NoRoomToStart)?,
            ),
        };
        let victims = plan.as_ref().map_or(vec![], |decision| decision.hosts[0].victims.clone());
        let beside = self.beside(id, &Ordered { by, host, resources: &lacks, victims: &victims })?;
        let took_room = !victims.is_empty() || beside.taking.is_some();
        let give_up_at = plan.map(|decision| decision.deadline.plus_seconds(self.limits.firm_wait_seconds));
        let room = self.rooms.get_mut(&host).unwrap();
        let row = if give_up_at.is_some() { &mut room.claimed } else { &mut room.used };
        *row = row.plus(&lacks);
        self.step(id, Input::StartAgain { give_up_at, took_room })?;
        victims.iter().for_each(|victim| self.take(*victim, Cause::Capacity, &[by]));
        self.take_beside(beside, by);
        self.restore_reserve();
        Ok(())
    }

    pub fn resize(&mut self, id: InstanceId, flavor: usize) -> Result<(), Refused> {
        let stopped = self.all[&id].clone();
        permit(&stopped, Operation::Resize)?;
        if stopped.resources == SIZES[flavor] {
            return Err(Refused::SameFlavor(String::new()));
        }
        let more = SIZES[flavor].minus(&stopped.used()).positive();
        if stopped.state == State::Stopped && !more.is_nothing() {
            let order = Ordered { by: stopped.account, host: stopped.host, resources: &more, victims: &[] };
            let beside =
                plan_beside(&self.fleet, &order, self.now, self.limits.notice_seconds).expect("its victims are there");
            if !fits_on(&self.fleet, stopped.host, &more) || !self.reserve.is_empty() && beside.taking.is_some() {
                return Err(Refused::NoRoomToGrow);
            }
            if beside.takes_of_it {
                self.took_of_reserve.push(stopped.account);
            }
        }
        let price = FLAVORS[flavor].on_demand().price();
        let to = Size { flavor: flavor.to_string(), resources: SIZES[flavor].clone(), price, disk_covered_anew: false };
        let done = resize(&stopped, &to, self.now, &self.limits)?;
        self.follow(id, done);
        self.restore_reserve();
        Ok(())
    }

    /// An order waits for room that others leave.
    fn claim(&mut self, mut new: Instance, decision: &Decision) {
        let best = &decision.hosts[0];
        let room = self.rooms.get_mut(&best.host).unwrap();
        room.claimed = room.claimed.plus(&new.resources);
        let give_up_at = decision.deadline.plus_seconds(self.limits.firm_wait_seconds);
        (new.host, new.state) = (best.host, State::Waiting { give_up_at, asked_at: None });
        new.has_room = false;
        let by = new.account;
        // One commit: the picture hears of the claim and of its victims together.
        self.put(new);
        best.victims.iter().for_each(|victim| self.take(*victim, Cause::Capacity, &[by]));
    }

    fn take(&mut self, victim: InstanceId, cause: Cause, by: &[AccountId]) {
        let persons: Vec<AccountId> = by.iter().map(|account| self.person(*account)).collect();
        let loser = self.person(self.all[&victim].account);
        let cause = cause_of(cause, loser, &persons);
        let deadline = self.now.plus_seconds(self.limits.notice_seconds);
        self.reclaim(victim, cause, deadline).expect("a victim can be taken");
        let own = persons.iter().position(|person| *person == loser);
        if let Some(taker) = own.map(|at| by[at]).or(by.first().copied()) {
            self.taken_by.insert(victim, taker);
        }
    }

    /// What the operator takes for his reserve without an order, as after every change of room.
    fn restore_reserve(&mut self) {
        if self.reserve.is_empty() {
            return;
        }
        let deadline = self.now.plus_seconds(self.limits.notice_seconds);
        let planned = plan_reserve(&self.fleet, self.now, self.limits.notice_seconds);
        for Chosen { id, .. } in planned.into_iter().flat_map(|(_, chosen)| chosen) {
            self.take(id, Cause::Reserve, &self.took_of_reserve.clone());
        }
        if missing_by(&self.fleet, deadline) == 0 {
            self.took_of_reserve.clear();
        }
    }

    fn person(&self, of: AccountId) -> AccountId {
        if self.linked.contains(&of) { self.linked[0] } else { of }
    }

    pub fn reclaim(&mut self, id: InstanceId, cause: Cause, deadline: Timestamp) -> Result<(), Refused> {
        self.step(id, Input::Command(Command::Reclaim(Reclaim { cause, deadline, free_until: None })))
    }

    pub fn ask(&mut self, id: InstanceId, command: Command) -> Result<(), Refused> {
        self.step(id, Input::Command(command))
    }

    /// A guest disappears, by its own word or by the host's fault.
    pub fn vanish(&mut self, id: InstanceId, approved: bool) {
        self.soon.remove(&id);
        self.step(id, Input::Report(Report::Gone { at: self.now, approved })).unwrap();
    }

    /// Claims room elsewhere for an order whose host is lost, if any can be made.
    fn replan(&mut self, order: &Instance) {
        let Some(decision) = self.plan(order.account, &order.resources) else { return };
        let best = &decision.hosts[0];
        self.fleet.forget(order.host, order.id);
        for (host, sign) in [(order.host, -1), (best.host, 1)] {
            let room = self.rooms.get_mut(&host).unwrap();
            let of = &order.resources;
            room.claimed = if sign > 0 { room.claimed.plus(of) } else { room.claimed.minus(of) };
        }
        let give_up_at = decision.deadline.plus_seconds(self.limits.firm_wait_seconds);
        self.step(order.id, Input::Replanned { host: best.host, give_up_at, took_room: !best.victims.is_empty() })
            .unwrap();
        for victim in &best.victims {
            let cause = cause_of(Cause::Capacity, self.all[victim].account, &[order.account]);
            self.reclaim(*victim, cause, decision.deadline).expect("a victim can be taken");
        }
        self.check(order.host);
    }

    /// A host is lost with all that is on it, and comes back empty of blocks.
    pub fn lose(&mut self, host: HostId) {
        if self.replans {
            let capacity = self.rooms[&host].capacity.clone();
            self.fleet.set_host(host, &Facts { capacity, terms: Terms::CLOSED });
            let waits =
                |i: &&Instance| i.host == host && i.first_running.is_none() && matches!(i.state, State::Waiting { .. });
            let waiting: Vec<Instance> = self.all.values().filter(waits).cloned().collect();
            waiting.iter().for_each(|order| self.replan(order));
        }
        let there: Vec<InstanceId> = self.live().filter(|i| i.host == host).map(|i| i.id).collect();
        for id in there {
            self.soon.remove(&id);
            self.step(id, Input::HostLost { heard_at: self.now.plus_seconds(-3) }).unwrap();
        }
        let there: Vec<Instance> = self.live().filter(|i| i.host == host).cloned().collect();
        for lost in there {
            let State::Lost { off, .. } = lost.state else { continue };
            let at = self.now.plus_millis(self.millis(1_000, 60_000));
            self.soon.insert(lost.id, (at, if off { Word::Off } else { Word::Running }));
        }
    }

    /// Every second of use of vCPU and memory up to now, as the bill will have it.
    pub fn bill(&self) -> Vec<Charge> {
        let compute = self.spans.iter().filter(|span| span.meter == Meter::Compute);
        let rate = |span: &Span| {
            let window = Period::new(span.since, span.until.unwrap_or(self.now.second()))?;
            let end = self.all[&span.instance().unwrap()].state.end();
            Some(charges(span, window, &CALENDAR, None, end))
        };
        compute.filter_map(rate).flatten().collect()
    }

    pub fn second(&self) -> Second {
        self.now.second()
    }
}
