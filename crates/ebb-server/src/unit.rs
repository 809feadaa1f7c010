//! How does a decision of the rules become rows? One unit of work: what it reads, its guards and its writes.

mod money;
mod renewal;
mod spans;
mod vouchers;

use crate::app::App;
use crate::budget;
use crate::cap;
use crate::denied::Denied;
use crate::trial;
use crate::work::alarms;
use crate::zone::Touched;
use ebb_driver::protocol::ObservedGuest;
use ebb_engine::event::Event;
use ebb_engine::lifecycle::{self, Command, Effect, Input, Reclaim, Step};
use ebb_engine::ordered;
use ebb_engine::placement::{Chosen, Decision as Plan, Room, Tenancy};
use ebb_engine::refusal::Refused;
use ebb_engine::reinstall::reinstall;
use ebb_engine::resize::{self, Size};
use ebb_engine::topic;
use ebb_model::billing::Meter;
use ebb_model::disk::Volume;
use ebb_model::id::{AccountId, DecisionId, EventId, InstanceId};
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_model::voucher::Voucher;
use ebb_store::rows::account::Account;
use ebb_store::rows::decision::{self, Decided};
use ebb_store::rows::host::RoomChange;
use ebb_store::rows::{
    account, alarm, bill, block, budget as budget_rows, cap as cap_rows, delivery, event, host, instance, lending,
    notice, volume,
};
use ebb_store::{Decision, Halt, Query, Reads, StoreError};
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::OwnedMutexGuard;

/// What a unit ends with: an answer, or nothing written.
pub type Outcome<T> = Result<T, Halt<Denied>>;

/// A rule's refusal, as a unit ends with it.
pub fn refuse<T>(denied: impl Into<Denied>) -> Outcome<T> {
    Err(Halt::Refused(denied.into()))
}

/// One unit of work under way.
pub struct Unit {
    pub app: App,
    pub reads: Reads,
    pub now: Timestamp,
    guards: Vec<Query>,
    writes: Vec<Query>,
    /// The account whose row this unit changes; a unit has at most one.
    account: Option<Account>,
    changed: bool,
    /// That may pay something still of an account, with what this unit did to them.
    vouchers: Option<(AccountId, Vec<Voucher>)>,
    /// The decision by which blocks are taken, if one was made.
    decided: Option<DecisionId>,
    room_changed: bool,
    /// What others hear of when this is done.
    touched: Touched,
    told: Arc<Told>,
    /// Nobody else decides about the zone's room before this unit has.
    turn: Option<OwnedMutexGuard<()>>,
    /// How often this unit was decided, with this time.
    pub tried: u32,
}

impl Unit {
    /// `told` is what the tries of one unit tell others; of a try before this one nothing came.
    fn new(app: App, reads: Reads, told: Arc<Told>) -> Self {
        let now = app.clock.now();
        told.come_to_nothing();
        let tried = told.tries.fetch_add(1, Ordering::Relaxed) + 1;
        let touched = Touched::default();
        let (guards, writes) = (vec![], vec![]);
        let (account, changed, decided, room_changed, turn) = (None, false, None, false, None);
        let vouchers = None;
        Self {
            app,
            reads,
            now,
            guards,
            writes,
            account,
            changed,
            vouchers,
            decided,
            room_changed,
            touched,
            told,
            turn,
            tried,
        }
    }

    pub fn guard(&mut self, query: Query) {
        self.guards.push(query);
    }

    pub fn write(&mut self, query: Query) {
        self.writes.push(query);
    }

    pub fn log(&mut self, account: AccountId, about: Option<InstanceId>, what: &Event) -> EventId {
        let id = EventId::new(self.app.mint.uuid(self.now));
        self.writes.push(event::insert(id, account, about, self.now, what));
        // Its warnings and its end are instants to wait for, also if nothing ever runs.
        if let Event::TrialClaimed { .. } | Event::TrialRevoked { .. } = what {
            self.look_after_trial(account);
            self.look_after_cap(account);
        }
        id
    }

    /// The same, and who subscribed to it is to be told, by the same commit.
    fn log_and_tell(&mut self, before: &Instance, what: &Event) {
        let id = self.log(before.account, Some(before.id), what);
        if topic::is_told(what, &before.state) {
            self.writes.push(delivery::tell(id, before.account, self.now, what.name()));
        }
    }

    /// The same of what happens to no instance, but to the account.
    pub fn log_and_tell_account(&mut self, account: AccountId, what: &Event) {
        let id = self.log(account, None, what);
        self.writes.push(delivery::tell(id, account, self.now, what.name()));
    }

    /// What trial instances of the account draw has changed: how long its grant lasts is worked out anew.
    pub fn look_after_trial(&mut self, account: AccountId) {
        self.write(alarm::set_at_latest(trial::ALARM, &account.to_string(), self.now));
    }

    /// What the account pays for has changed, or what pays for it: when its cap acts is worked out anew, if it has one.
    pub fn look_after_cap(&mut self, account: AccountId) {
        self.write(cap_rows::stir(account));
        // Not at this very instant, at which an alarm may be under way that is taken away when it is done.
        self.write(cap_rows::wake(cap::ALARM, account, self.now.plus_millis(1)));
        self.look_after_arrears(account);
        self.write(budget_rows::wake(budget::ALARM, account, self.now.plus_millis(1)));
    }

    /// Ends the unit: everything is written together, or nothing.
    pub fn done<T>(mut self, answer: T) -> Decision<T> {
        let accounts: BTreeSet<AccountId> = self.touched.accounts().collect();
        accounts.into_iter().for_each(|account| self.look_after_cap(account));
        if self.room_changed {
            let volumes = self.touched.volumes.iter().map(|one| one.zone.clone());
            let zones: BTreeSet<String> =
                self.touched.instances.iter().map(|one| one.zone.clone()).chain(volumes).collect();
            zones.iter().for_each(|zone| self.look_after_reserve(zone));
        }
        if let Some(account) = self.account.filter(|_| self.changed) {
            // Of two units that change an account one sees the other's change.
            self.guards.insert(0, account::change(&account));
        }
        self.app.zones.begin(&self.app.catalog, &self.touched);
        *self.told.lock() = self.touched;
        Decision { guards: self.guards, writes: self.writes, answer }
    }

    /// From here to its end nobody else of this process decides about the zone's room. What is decided in turn has its instant in turn.
    pub async fn take_turn(&mut self, zone: &str) {
        assert!(self.turn.is_none(), "a unit of work decides about one zone's room");
        self.turn = Some(self.app.zones.turn(zone).await);
        self.now = self.now.max(self.app.clock.now());
    }

    /// The account of this unit, as it was read.
    pub async fn account(&mut self, id: AccountId) -> Outcome<&Account> {
        if self.account.as_ref().is_none_or(|known| known.id != id) {
            assert!(!self.changed, "a unit of work changes one account");
            let row = self.reads.row(account::by_id(id)).await?;
            let Some(row) = row else { return refuse(Denied::not_found("account", id)) };
            self.account = Some(account::read(&row));
        }
        Ok(self.account.as_ref().expect("an account that was just read"))
    }

    /// The same, to be changed; the change is written when the unit is done.
    pub async fn change_account(&mut self, id: AccountId) -> Outcome<&mut Account> {
        if self.account(id).await?.closed_at.is_some() {
            return refuse(Refused::AccountClosed);
        }
        self.changed = true;
        Ok(self.account.as_mut().expect("an account that was just read"))
    }

    /// The account that this unit opens; nobody can know it yet.
    pub fn open_account(&mut self, new: Account) {
        assert!(!self.changed, "a unit of work changes one account");
        // A guard, so that it is there for what refers to it.
        self.guards.push(account::insert(new.id, &new.name, new.opened_at));
        self.account = Some(new);
    }

    /// Accounts that are another person's once this is committed.
    pub fn link_in_picture(&mut self, accounts: impl IntoIterator<Item = AccountId>, person: AccountId) {
        self.touched.persons.extend(accounts.into_iter().map(|account| (account, person)));
    }

    /// The person that an account belongs to, called by one of the person's accounts.
    pub async fn person(&self, id: AccountId) -> Outcome<AccountId> {
        Ok(self.reads.row(account::by_id(id)).await?.map_or(id, |row| account::read_person(&row)))
    }

    pub async fn instance(&self, id: InstanceId) -> Outcome<Instance> {
        match self.reads.row(instance::by_id(id)).await? {
            Some(row) => Ok(instance::read(&row)),
            None => refuse(Denied::not_found("instance", id)),
        }
    }

    /// Lets something happen to an instance, with all that follows. Gives back the instance as it is then.
    pub fn step<'a>(&'a mut self, before: &'a Instance, input: Input) -> BoxFuture<'a, Outcome<Instance>> {
        // Boxed: freed room may step the next instance that waits for it.
        Box::pin(async move {
            let limits = self.app.clone();
            if let Some(renewed) = self.renew_itself(before, input).await? {
                return Ok(renewed);
            }
            let step = match lifecycle::step(before, input, self.now, &limits.catalog.limits) {
                Ok(step) => ordered::begin(before, step, &limits.catalog.time_zone),
                Err(refused) => return refuse(refused),
            };
            let Some(next) = self.follow(before, step).await? else { return Ok(before.clone()) };
            if let (None, Some(since)) = (before.first_running, next.first_running) {
                self.begin_bandwidth_of(&next, since).await?;
            }
            let removed = matches!((&before.state, &next.state), (State::Lost { .. }, State::Releasing { .. }));
            if removed && self.is_lost(next.host).await? {
                // Nobody is there to remove it, and nobody will say that it is gone.
                return self.step(&next, Input::HostLost { heard_at: self.now }).await;
            }
            if let (State::Released { end, gone_at }, false) = (&next.state, next.purchase.is_firm()) {
                let deadline = end.notice.map(|notice| notice.deadline);
                self.write(block::ended(next.id, end.cause, *gone_at, deadline));
            }
            self.part_with_addresses(&next).await?;
            self.tell_disks(before, &next).await?;
            Ok(next)
        })
    }

    /// Gives a stopped instance another size, with all that follows.
    pub async fn resize(&mut self, before: &Instance, to: &Size) -> Outcome<Instance> {
        let app = self.app.clone();
        let step = match resize::resize(before, to, self.now, &app.catalog.limits) {
            Ok(step) => step,
            Err(refused) => return refuse(refused),
        };
        let next = self.follow(before, step).await?.expect("another size is a change");
        self.write(instance::resize(&next));
        Ok(next)
    }

    /// Has the system disk of a stopped instance made anew at its next start.
    pub async fn reinstall(&mut self, before: &Instance, image: &str) -> Outcome<Instance> {
        let step = match reinstall(before, image) {
            Ok(step) => step,
            Err(refused) => return refuse(refused),
        };
        let next = self.follow(before, step).await?.expect("another disk is a change");
        self.write(instance::reinstall(&next));
        Ok(next)
    }

    /// Carries out what the rules decided about an instance, with all that follows; `None`: nothing changed.
    pub async fn follow(&mut self, before: &Instance, step: Step) -> Outcome<Option<Instance>> {
        let Some(next) = step.next else { return Ok(None) };
        self.change_instance(before.generation, &next);
        for effect in step.effects {
            self.carry(before, &next, effect).await?;
        }
        Ok(Some(next))
    }

    /// Writes the next state of an instance, if nobody else did meanwhile.
    pub fn change_instance(&mut self, seen_generation: i64, next: &Instance) {
        let due_at = lifecycle::due_at(next, &self.app.catalog.limits);
        self.guard(instance::change(seen_generation, next, due_at));
        self.touched.instances.push(next.clone());
    }

    /// A new instance, with its order if it starts at once.
    pub fn create(&mut self, new: &Instance) {
        self.write(instance::insert(new, lifecycle::due_at(new, &self.app.catalog.limits)));
        self.writes.extend(block::insert(new));
        self.touched.instances.push(new.clone());
        if !matches!(new.state, State::Waiting { .. }) {
            self.order(new);
        }
    }

    pub fn change_room(&mut self, room: &Room, change: RoomChange, by: &Resources) {
        self.room_changed = true;
        self.guards.extend(host::change_room(room, change, by));
    }

    /// Has the reserve of a zone looked at, if it has one, once this is committed.
    pub fn look_after_reserve(&mut self, zone: &str) {
        if self.app.catalog.zone(zone).is_some_and(|zone| !zone.reserve.is_empty()) {
            self.write(alarm::set(alarms::RESERVE, zone, self.now));
        }
    }

    /// Keeps what the planner decided, and links it to those who must go; the notices that follow name it.
    pub fn decide(
        &mut self,
        zone: &str,
        cause: Cause,
        order: Option<InstanceId>,
        plan: &Plan,
        chosen: &[(Chosen, Cause)],
    ) {
        let id = DecisionId::new(self.app.mint.uuid(self.now));
        let zone = zone.to_owned();
        self.write(decision::insert(&Decided { id, zone, cause, order, at: self.now, decision: plan.clone() }));
        chosen.iter().for_each(|(victim, cause)| self.write(decision::insert_victim(id, victim, *cause)));
        self.decided = Some(id);
    }

    /// Gives notice to blocks that must make room.
    pub async fn take(&mut self, victims: Vec<(Instance, Cause)>, deadline: Timestamp) -> Outcome<()> {
        for (victim, cause) in victims {
            let order = Reclaim { cause, deadline, free_until: None };
            self.step(&victim, Input::Command(Command::Reclaim(order))).await?;
        }
        Ok(())
    }

    pub fn quarantine(&mut self, on: ebb_model::id::HostId, observed: &ObservedGuest) {
        self.write(host::insert_quarantine(on, observed, self.now));
    }

    async fn carry(&mut self, before: &Instance, next: &Instance, effect: Effect) -> Outcome<()> {
        match effect {
            Effect::Log(Event::InterruptServer { cause, notice_at, deadline, free_until, .. }) => {
                let decision = self.decided.filter(|_| cause.is_platform() || cause == Cause::OwnOrder);
                let what = Event::InterruptServer { cause, notice_at, deadline, free_until, decision };
                self.log_and_tell(before, &what);
                self.write(notice::insert(next.id, cause, notice_at, deadline, self.now));
                self.touched.notices.push((next.id, notice_at));
            }
            Effect::Log(what @ Event::SubscriptionEndsSoon { .. }) => self.warn_of_end(before, what).await?,
            Effect::Log(what) => self.log_and_tell(before, &what),
            Effect::Order => self.order(next),
            Effect::OpenSpans { meters, since } => self.open_spans(next, meters, since).await?,
            Effect::CloseSpans { meters, until } => {
                match meters {
                    Meter::OF_INSTANCE => self.write(bill::close_spans(next.id, until)),
                    _ => meters.iter().for_each(|meter| self.write(bill::close_spans_of(next.id, *meter, until))),
                }
                self.drawn_anew(next).await?;
            }
            Effect::LeaveTrial { meters, since } => self.leave_trial(next, meters, since).await?,
            Effect::SettleBlock => self.settle_block(next).await?,
            Effect::Hold { amount, since } => self.hold(next.account, next.id, amount, since).await?,
            Effect::DropHold => self.drop_hold(next.account, next.id).await?,
            Effect::Pay(payment) => self.pay(next, &payment).await?,
            Effect::UseClaim => self.room(next, RoomChange::UseClaim, &before.claimed()).await?,
            Effect::DropClaim => self.drop_claim(before).await?,
            Effect::MarkReleasing => self.room(next, RoomChange::MarkReleasing, &next.used()).await?,
            Effect::TakeRoom => {
                let more = next.used().minus(&before.used()).positive();
                self.room(next, RoomChange::Take, &more).await?;
            }
            Effect::FreeRoom { releasing } => {
                let less = before.used().minus(&next.used());
                let change = if releasing { RoomChange::FreeReleasing } else { RoomChange::Free };
                self.room(next, change, &less.positive()).await?;
                // With what it takes of another kind at the same time.
                self.grant_room(next.host, Some(next.id), &less).await?;
            }
        }
        Ok(())
    }

    /// Puts the instance's order at the end of its host's queue.
    pub fn order(&mut self, about: &Instance) {
        self.writes.extend(host::order(about.host, about.id));
        self.touched.ordered.insert(about.host);
    }

    /// Orders that are not about guests.
    pub fn tell_host(&mut self, host: ebb_model::id::HostId) {
        self.touched.ordered.insert(host);
    }

    /// The same of a volume.
    pub fn order_volume(&mut self, about: &Volume) {
        self.writes.extend(volume::order(about.host, about.id));
        self.touched.ordered.insert(about.host);
    }

    /// The same of an instance of which only its host is known.
    pub fn order_guest(&mut self, on: ebb_model::id::HostId, id: InstanceId) {
        self.writes.extend(host::order(on, id));
        self.touched.ordered.insert(on);
    }

    /// As this unit has left it, if it changed it already.
    pub fn newest_volume(&self, known: Volume) -> Volume {
        let mine = self.touched.volumes.iter().rev().find(|one| one.id == known.id);
        mine.cloned().unwrap_or(known)
    }

    /// What others hear of a volume when this is done.
    pub fn touch_volume(&mut self, next: &Volume) {
        self.touched.volumes.push(next.clone());
    }

    async fn room(&mut self, about: &Instance, change: RoomChange, by: &Resources) -> Outcome<()> {
        let room = self.room_of(about.host).await?;
        self.change_room(&room, change, by);
        Ok(())
    }

    pub async fn room_of(&self, id: ebb_model::id::HostId) -> Outcome<Room> {
        let rows = self.reads.rows(host::room_of(id)).await?;
        Ok(host::read_rooms(&rows).pop().expect("a host has room"))
    }

    /// Gives up room that was promised to `left`; whoever waits behind it may fit now.
    pub async fn drop_claim(&mut self, left: &Instance) -> Outcome<()> {
        self.room(left, RoomChange::DropClaim, &left.claimed()).await?;
        self.grant_room(left.host, Some(left.id), &Resources::default()).await
    }

    /// What is placed on a host is placed only if it admits that still, and nobody says otherwise meanwhile: whoever does looks at who
    /// is there afterwards.
    pub async fn open_still(&mut self, on: ebb_model::id::HostId, tenancy: Tenancy) -> Outcome<()> {
        let row = self.reads.row(host::by_id(on)).await?.expect("hosts are never deleted");
        let known = host::read(&row);
        if !self.app.stance(&known, self.now).terms(known.state == "up").admit(tenancy) {
            let room = self.reads.rows(host::room_of(on)).await?;
            self.app.set_host(&known, &host::read_rooms(&room));
            return Err(Halt::Store(StoreError::Ahead));
        }
        self.guard(lending::unsaid(&row));
        Ok(())
    }

    pub async fn is_lost(&self, host: ebb_model::id::HostId) -> Outcome<bool> {
        Ok(self.reads.row(host::by_id(host)).await?.is_some_and(|row| host::read(&row).state == host::LOST))
    }

    /// Starts those that wait for room on the host that one has left, first come first served (rules §2.12). `freed` is the room
    /// that it had; one that gave up had none, but stood before others.
    pub async fn grant_room(
        &mut self,
        on: ebb_model::id::HostId,
        left: Option<InstanceId>,
        freed: &Resources,
    ) -> Outcome<()> {
        let room = self.room_of(on).await?;
        // Whoever waits has claimed; else the host's guests, perhaps thousands, need not be looked through.
        if room.claimed.iter().all(|(_, claimed)| claimed == 0) {
            return Ok(());
        }
        // Those that wait for a lost host are planned anew; nothing starts there.
        if self.is_lost(on).await? {
            return Ok(());
        }
        let mut free = room.capacity.minus(&room.used).plus(freed);
        let there = self.reads.rows(instance::on_host(on)).await?;
        let waits = |i: &Instance| matches!(i.state, State::Waiting { .. }) && Some(i.id) != left;
        let mut waiting: Vec<Instance> = there.iter().map(instance::read).filter(waits).collect();
        waiting.sort_by_key(|one| (one.waits_since(), one.id));
        for next in waiting {
            let claimed = next.claimed();
            if !free.holds(&claimed) {
                break;
            }
            free = free.minus(&claimed);
            self.step(&next, Input::RoomFree).await?;
        }
        Ok(())
    }
}

/// What the tries of one unit tell others. Whoever asked may go away before the end; then it came to nothing as far as he knows.
struct Told {
    app: App,
    touched: Mutex<Touched>,
    tries: AtomicU32,
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, Touched> {
        self.touched.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn come_to_nothing(&self) {
        let before = std::mem::take(&mut *self.lock());
        self.app.zones.hear_persons(&before.persons, false);
        self.app.zones.end(&self.app.catalog, &before, false);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.come_to_nothing();
    }
}

impl App {
    /// Carries out a unit of work that is not a request, and tells who waits for news.
    pub async fn unit<T, F, Fut>(&self, name: &'static str, key: &str, decide: F) -> Result<T, Halt<Denied>>
    where
        T: Send + 'static,
        F: Fn(Unit) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome<Decision<T>>> + Send + 'static,
    {
        let (told, decide) = self.telling(decide);
        let answer = self.store.unit(name, key, decide).await;
        self.tell(&told, answer).await
    }

    /// The same for work that nobody waits for, and that may write thousands of rows.
    pub async fn background_unit<T, F, Fut>(&self, name: &'static str, key: &str, decide: F) -> Result<T, Halt<Denied>>
    where
        T: Send + 'static,
        F: Fn(Unit) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome<Decision<T>>> + Send + 'static,
    {
        let (told, decide) = self.telling(decide);
        let answer = self.store.background_unit(name, key, decide).await;
        self.tell(&told, answer).await
    }

    /// A decision as the store wants it, and what its tries tell others.
    fn telling<F, Fut>(&self, decide: F) -> (Arc<Told>, impl Fn(Reads) -> Fut + Send + Sync + 'static)
    where
        F: Fn(Unit) -> Fut + Send + Sync + 'static,
    {
        let told = Arc::new(Told { app: self.clone(), touched: Mutex::default(), tries: AtomicU32::new(0) });
        let (app, tries) = (self.clone(), told.clone());
        (told, move |reads| decide(Unit::new(app.clone(), reads, tries.clone())))
    }

    async fn tell<T>(&self, told: &Told, answer: Result<T, Halt<Denied>>) -> Result<T, Halt<Denied>> {
        let touched = std::mem::take(&mut *told.lock());
        if matches!(answer, Err(Halt::Store(StoreError::Panicked { .. }))) {
            self.metrics.panicked();
        }
        self.zones.hear_persons(&touched.persons, answer.is_ok());
        if answer.is_ok() {
            self.zones.end(&self.catalog, &touched, true);
            self.wake_hosts(&touched.ordered);
            self.news.send_modify(|count| *count += 1);
            self.note_commit(touched.notices).await;
        } else {
            self.zones.end(&self.catalog, &touched, false);
            // Perhaps it was written after all.
            self.wake_hosts(&touched.ordered);
        }
        answer
    }
}

impl App {
    /// Writes down when the commit of these notices was known. Nobody waits for it but a sandbox, where one thing is done at a time.
    async fn note_commit(&self, notices: Vec<(InstanceId, Timestamp)>) {
        let Some((first, _)) = notices.first() else { return };
        let (key, at, app) = (first.to_string(), self.clock.now(), self.clone());
        notices.iter().for_each(|(_, notice_at)| self.metrics.notice_committed(at.millis_since(*notice_at)));
        let noted = async move {
            let noted = app.store.unit::<_, std::convert::Infallible, _, _>("notice-committed", &key, move |_| {
                let writes = notices.iter().map(|(id, notice_at)| notice::committed(*id, *notice_at, at)).collect();
                async move { Ok(Decision { guards: vec![], writes, answer: () }) }
            });
            if let Err(error) = noted.await {
                tracing::warn!(%error, "when notices were committed could not be written down");
            }
        };
        match self.is_sandbox() {
            true => noted.await,
            false => drop(tokio::spawn(noted)),
        }
    }
}

/// A refusal that the rules may give inside a worker: somebody else was first, and that is fine.
pub fn settled_already(refused: &Denied) -> bool {
    matches!(refused, Denied::Rule(Refused::Released | Refused::Reclaiming { .. } | Refused::LeaseEndsFirst { .. }))
}
