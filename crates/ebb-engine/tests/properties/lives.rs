//! An instance is charged from its first running second to its end, once, whatever happens in which order.

use ebb_engine::conversion::{Payer, renew, to_on_demand, to_subscription};
use ebb_engine::event::Event;
use ebb_engine::lifecycle::{Command, Effect, Input, Reclaim, Report, due_at, step};
use ebb_engine::monthly::Payment;
use ebb_engine::resize::{Size, resize};
use ebb_model::billing::Meter;
use ebb_model::catalog::{ArrearsLimits, Limits, SubscriptionLimits};
use ebb_model::id::{AccountId, HostId, InstanceId};
use ebb_model::instance::{Cause, Instance, Keep, Purchase, State};
use ebb_model::money::{Amount, Price};
use ebb_model::resources::Resources;
use ebb_model::time::{DAY, HOUR, Period, Second, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use uuid::Uuid;

pub static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    spot_per_account: Resources::default(),
    notice_seconds: 300,
    boot_timeout_seconds: 120,
    stop_timeout_seconds: 60,
    firm_wait_seconds: 900,
    instances_per_account: 10,
    hold: true,
    trial_takes_room: false,
    host_lost_seconds: 300,
    clock_jump_seconds: 60,
    taking_minimum_seconds: 600,
    takings_per_hour: 100,
    drill_free_seconds: 36_000,
    drill_free_percent: None,
    drills_per_day: 100,
    drills_per_minute: 100,
    cap_warn_percent: 80,
    voucher_warn_days: 7,
    images_per_account: 20,
    image_gib: 512,
    addresses_per_account: 20,
    addresses_per_instance: 5,
    mbit_per_address: 200,
    security_groups_per_account: 20,
    rules_per_security_group: 50,
    security_groups_per_instance: 5,
    disks_per_account: 20,
    disk_gib_per_account: 1_000,
    snapshots_per_account: 20,
    sell_beyond_return: false,
    subscription: SubscriptionLimits::default(),
    arrears: ArrearsLimits::default(),
});

/// An instance that has just been bought.
pub fn instance(id: u128, purchase: Purchase) -> Instance {
    let created_at = Timestamp::from_micros(1_772_412_000_000_000);
    Instance {
        id: InstanceId::new(Uuid::from_u128(id)),
        account: AccountId::new(Uuid::from_u128(1)),
        name: "x".to_owned(),
        zone: "z".to_owned(),
        host: HostId::new(Uuid::from_u128(1)),
        flavor: "f".to_owned(),
        image: "i".to_owned(),
        key_pair: None,
        resources: Resources::of([("vcpu", 2), ("disk_gib", 40)]),
        purchase,
        disk_price: Price::from_micros(500),
        created_at,
        tags: BTreeMap::new(),
        keep: Keep::default(),
        has_room: true,
        took_room: false,
        first_running: None,
        in_use_since: None,
        end_announced: false,
        disk_revision: 0,
        frozen_since: None,
        generation: 1,
        state: State::Starting { give_up_at: created_at.plus_seconds(LIMITS.boot_timeout_seconds) },
    }
}

/// The operator's word, with the usual notice.
pub fn reclaim(cause: Cause, now: Timestamp) -> Command {
    Command::Reclaim(Reclaim { cause, deadline: now.plus_seconds(LIMITS.notice_seconds), free_until: None })
}

#[derive(Debug, Clone, Copy)]
enum What {
    Stop,
    StopEconomically,
    StopEconomicallyAt,
    Start,
    Wait,
    RoomFree,
    Resize,
    Delete,
    Reclaim,
    Running,
    Off,
    Gone,
    Failed,
    HostLost,
    OnDemand,
    StopWithTrial,
    TrialOver,
    Convert,
    Subscribe,
    Renew,
    CapReached,
    Frozen,
    Thawed,
    ArrearsOver,
}

fn what() -> impl Strategy<Value = What> {
    use What::*;
    prop_oneof![
        4 => Just(Running), 2 => Just(Off), 1 => Just(Gone), 1 => Just(Failed),
        2 => Just(Stop), 2 => Just(Start), 2 => Just(StopEconomically), 1 => Just(StopEconomicallyAt), 1 => Just(Wait),
        1 => Just(RoomFree), 1 => Just(Resize), 1 => Just(Delete), 1 => Just(Reclaim), 1 => Just(HostLost),
        1 => Just(OnDemand), 1 => Just(StopWithTrial), 1 => Just(TrialOver), 1 => Just(Convert), 2 => Just(Subscribe),
        1 => Just(Renew), 1 => Just(CapReached), 2 => Just(Frozen), 1 => Just(Thawed), 1 => Just(ArrearsOver),
    ]
}

/// Most things follow each other closely; or nothing would ever run within the boot timeout.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0..40_i64, 3 => 0..1_000_i64, 1 => 0..20_000_i64]
}

fn purchase() -> impl Strategy<Value = Purchase> {
    let price = Price::from_micros(70_000);
    prop_oneof![
        Just(Purchase::OnDemand { price }),
        Just(Purchase::Trial { price }),
        (1..=6_i64).prop_map(move |hours| Purchase::SpotBlock { price, hours, periods: 1 }),
        (1..=3_i64).prop_map(move |periods| Purchase::SpotBlock { price, hours: 6, periods }),
    ]
}

fn size(vcpu: i64) -> Size {
    let resources = Resources::of([("vcpu", vcpu), ("disk_gib", 40)]);
    Size { flavor: format!("f{vcpu}"), resources, price: Price::from_micros(vcpu * 100_000), disk_covered_anew: false }
}

/// What a month costs; who can pay anything; and months that are so short that lives see their end.
const RICHLY: Price = Price::from_micros(30_000_000);
const RICH: Payer = Payer { debt: Amount::ZERO, available: Amount::from_units(i64::MAX) };

fn paid(of: &Instance, now: Second, seconds: i64) -> (Purchase, Payment) {
    let (from, since, before) = match of.purchase {
        Purchase::Subscription { since, until, months, .. } if now < until => (until, since, months),
        _ => (now, now, 0),
    };
    let (price, months, until) = (RICHLY, seconds % 3 + 1, from.plus(seconds + 1));
    let keep_days = seconds % 2;
    let all = before + months;
    let purchase =
        Purchase::Subscription { price, since, months: all, until, keep_days, warned_days: None, renews: None };
    (purchase, Payment { months, price, period: Period::new(from, until).unwrap() })
}

/// The rows of a host follow what its instances use and were promised only where an effect says so; a start finds its room before.
fn room_moves_with_an_effect(
    before: &Instance,
    next: &Instance,
    effects: &[Effect],
    finds_room: bool,
) -> Result<(), TestCaseError> {
    let moves = |e: &Effect| matches!(e, Effect::FreeRoom { .. } | Effect::TakeRoom | Effect::UseClaim);
    let claims = |e: &Effect| matches!(e, Effect::UseClaim | Effect::DropClaim);
    if !finds_room {
        let moved = before.used() != next.used();
        prop_assert!(!moved || effects.iter().any(moves), "{:?} to {:?} by {:?}", before, next, effects);
        let claimed = before.claimed() != next.claimed();
        prop_assert_eq!(claimed, effects.iter().any(claims), "{:?} to {:?} by {:?}", before, next, effects);
    }
    // Room, and the charge for it, come and go together.
    let (has, pays) = (next.has_room, next.in_use_since.is_some());
    let right = match next.state {
        State::Running | State::Stopped => has && pays,
        State::Waiting { .. } => !has && !pays,
        State::StoppedEconomically => !has && !pays && !next.took_room,
        State::Starting { .. } | State::Reclaiming { .. } => has,
        State::Stopping { economical, .. } => has && (pays || economical),
        State::Lost { economical, .. } => economical != pays,
        State::Releasing { .. } | State::Released { .. } => true,
    };
    prop_assert!(right, "{:?}", next);
    let whole = [&next.used().into_owned(), &next.claimed()].into_iter().fold(Resources::default(), |a, b| a.plus(b));
    prop_assert!(next.resources.holds(&whole), "more than it has: {:?}", next);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_life_is_charged_once_from_its_first_second_to_its_end(
        purchase in purchase(), history in prop::collection::vec((what(), pause()), 1..40),
    ) {
        let mut now = Timestamp::from_micros(1_772_412_000_000_000);
        let mut known = instance(1, purchase);
        let mut effects = vec![];
        for (what, seconds) in history {
            let until = now.plus_seconds(seconds);
            // What is due on the way happens on the way.
            while let Some(at) = due_at(&known, &LIMITS).filter(|at| *at <= until) {
                let done = step(&known, Input::Due, at.max(now), &LIMITS).unwrap();
                now = at.max(now);
                effects.extend(done.effects);
                known = done.next.expect("what is due changes something");
            }
            now = until;
            use What::{Convert, Renew, Resize, Start, Stop, StopEconomically, StopEconomicallyAt, Subscribe, Wait};
            let asks = matches!(what, Stop | StopEconomically | StopEconomicallyAt | Start | Wait | Resize | Convert | Subscribe | Renew);
            if asks && known.frozen_since.is_some() {
                // Of a frozen account nobody's wish is heard but for a release.
                continue;
            }
            let again = |give_up_at| Input::StartAgain { give_up_at, took_room: false };
            let input = match what {
                What::Resize | What::Convert | What::Subscribe | What::Renew => {
                    let size = Size { disk_covered_anew: seconds % 2 == 0, ..size(seconds % 4 + 1) };
                    let (months, payment) = paid(&known, now.second(), seconds);
                    let decided = match what {
                        What::Resize => resize(&known, &size, now, &LIMITS),
                        What::Convert => to_on_demand(&known, &RICH, now.second(), &LIMITS),
                        What::Subscribe => to_subscription(&known, months, payment, &RICH, now.second()),
                        _ => renew(&known, months, payment, &RICH),
                    };
                    if let Ok(done) = decided {
                        let next = done.next.expect("it is a change");
                        prop_assert_eq!(next.generation, known.generation + 1);
                        room_moves_with_an_effect(&known, &next, &done.effects, false)?;
                        effects.extend(done.effects);
                        known = next;
                    }
                    continue;
                }
                What::Stop => Input::Command(Command::Stop),
                What::StopEconomically => Input::Command(Command::StopEconomically { charged_until: None }),
                What::StopEconomicallyAt => {
                    let charged_until = Some(now.second().plus(-(seconds % 3)));
                    Input::Command(Command::StopEconomically { charged_until })
                }
                What::Start if known.state == State::StoppedEconomically => again(None),
                What::Wait => again(Some(now.plus_seconds(900))),
                What::RoomFree => Input::RoomFree,
                What::Start => Input::Command(Command::Start),
                What::Delete => Input::Command(Command::Delete),
                What::Reclaim => Input::Command(reclaim(Cause::Capacity, now)),
                What::Running => Input::Report(Report::Running { at: now }),
                What::Off => Input::Report(Report::Off { at: now }),
                What::Gone => Input::Report(Report::Gone { at: now, approved: false }),
                What::Failed => Input::Report(Report::Failed { at: now }),
                What::HostLost => Input::HostLost { heard_at: now },
                What::OnDemand => Input::OnDemand { since: now.second() },
                What::StopWithTrial => Input::StopWithTrial { at: now.second().plus(-(seconds % 3)) },
                What::TrialOver => Input::TrialOver { at: now.second() },
                What::CapReached => Input::CapReached { at: now.second().plus(-(seconds % 3)) },
                What::Frozen => Input::Frozen { at: now.second().plus(-(seconds % 3)) },
                What::Thawed => Input::Thawed { at: now.second() },
                What::ArrearsOver => Input::ArrearsOver { at: now.second().plus(-(seconds % 3)) },
            };
            let over = matches!(known.state, State::Released { .. });
            if let Ok(done) = step(&known, input, now, &LIMITS) {
                let ends_before = matches!(input, Input::StopWithTrial { at } | Input::Frozen { at } if known.state.end().is_some_and(|end| at < end.at));
                prop_assert!(!over || done.next.is_none() || ends_before, "the released are left alone");
                if let Some(next) = done.next {
                    prop_assert_eq!(next.generation, known.generation + 1);
                    room_moves_with_an_effect(&known, &next, &done.effects, matches!(input, Input::StartAgain { .. }))?;
                    known = next;
                }
                effects.extend(done.effects);
            }
        }
        let count = |f: &dyn Fn(&Effect) -> bool| effects.iter().filter(|e| f(e)).count();
        // Charge begins with the first second, ends and begins again where a host was lost, and ends with the instance.
        let begins = |of: Meter| count(&|e| matches!(e, Effect::OpenSpans { meters, .. } if meters.contains(&of)));
        for meter in Meter::OF_INSTANCE {
            let (mut open, mut since) = (false, Second::from_unix(0));
            for effect in &effects {
                match effect {
                    Effect::OpenSpans { meters, since: at } if meters.contains(meter) => {
                        prop_assert!(!open && *at >= since, "nothing is charged twice");
                        (open, since) = (true, *at);
                    }
                    Effect::CloseSpans { meters, until } if meters.contains(meter) && open => {
                        prop_assert!(*until >= since);
                        (open, since) = (false, *until);
                    }
                    _ => {}
                }
            }
            // What is off economically has nothing but its disk, and is charged for nothing else.
            let rests = known.state.end().is_some() || matches!(known.state, State::Lost { .. });
            let begun = if *meter == Meter::Compute { known.in_use_since } else { known.first_running };
            let metered = known.purchase.is_metered() && known.frozen_since.is_none();
            prop_assert_eq!(open, begun.is_some() && !rests && metered, "{:?} of {:?}", meter, known);
        }
        if known.frozen_since.is_some() {
            let away = matches!(
                known.state,
                State::StoppedEconomically | State::Stopping { economical: true, .. } | State::Lost { economical: true, .. }
            );
            prop_assert!(away || known.state.end().is_some(), "frozen, and on: {:?}", known);
        }
        let losses = count(&|e| matches!(e, Effect::Log(Event::HostLost { .. })));
        let opened = begins(Meter::Compute);
        let again = count(&|e| matches!(e, Effect::Log(Event::FirmStartAsked { .. } | Event::Resized { .. })));
        prop_assert!(opened <= losses + again + 1 && (losses + again == 0 || known.purchase.is_firm()));
        prop_assert_eq!(count(&|e| matches!(e, Effect::SettleBlock)), usize::from(
            matches!(known.state, State::Released { .. }) && opened == 1 && !known.purchase.is_firm()));
        let trial = matches!(purchase, Purchase::Trial { .. });
        let left_trial = count(&|e| match e {
            Effect::Log(Event::BecameOnDemand { .. }) => true,
            Effect::Log(Event::Converted { from, .. }) => from == "trial",
            _ => false,
        });
        let left = trial && !matches!(known.purchase, Purchase::Trial { .. });
        prop_assert_eq!(left_trial, usize::from(left), "a trial is left once, and nothing else leaves it");
        months_are_paid_once(&known, &effects)?;
        let cause = known.state.end().map(|end| end.cause);
        prop_assert!(cause != Some(Cause::TrialEnd) || known.purchase.option() == "trial", "only a trial ends as one");
        let marked = count(&|e| matches!(e, Effect::MarkReleasing));
        let freed = count(&|e| matches!(e, Effect::FreeRoom { releasing: true }));
        let freed_all = count(&|e| matches!(e, Effect::FreeRoom { .. }));
        let over = usize::from(matches!(known.state, State::Released { .. }));
        prop_assert!(known.purchase.is_firm() || freed_all == over);
        prop_assert!(freed_all >= over && (over == 0 || known.used().is_nothing()));
        prop_assert!(marked <= 1, "nobody is reclaimed twice");
        prop_assert!(freed <= marked && (freed == marked || freed_all == 0));
        if let (Some(end), Some(start)) = (known.state.end(), known.first_running) {
            prop_assert!(end.at >= start);
            // No block is charged beyond its lease, unless it was being taken back over the boundary.
            if let (Some(lease_end), false) = (known.lease_end(), end.cause.is_platform()) {
                prop_assert!(end.at <= lease_end);
            }
            prop_assert_eq!(end.waived_since.is_some(), end.cause.is_platform() && !known.purchase.is_firm());
            if let (Some(free), Purchase::SpotBlock { hours, .. }) = (end.waived_since, known.purchase) {
                prop_assert_eq!((free.unix() - start.unix()) % (hours * HOUR), 0);
                prop_assert!(free <= end.at);
            }
        }
    }
}

/// What is paid by the month is paid once for each second, and is never charged by the hour again.
fn months_are_paid_once(known: &Instance, effects: &[Effect]) -> Result<(), TestCaseError> {
    let (mut paid, mut last) = (0, None);
    for effect in effects {
        match effect {
            Effect::Pay(payment) => {
                prop_assert!(last.is_none_or(|last| last <= payment.period.since), "{:?} twice", payment);
                last = Some(payment.period.until);
                paid += 1;
            }
            Effect::OpenSpans { .. } | Effect::LeaveTrial { .. } => prop_assert_eq!(paid, 0, "{:?}", effects),
            _ => {}
        }
    }
    let logged = effects.iter().filter(|effect| match effect {
        Effect::Log(Event::Converted { purchase, .. }) => !purchase.is_metered(),
        Effect::Log(event) => matches!(event, Event::Renewed { .. }),
        _ => false,
    });
    prop_assert_eq!((paid, last), (logged.count(), known.paid_until()));
    let ended = effects.iter().filter(|e| matches!(e, Effect::Log(Event::SubscriptionEnded { .. }))).count();
    prop_assert!(ended <= paid);
    if known.end_announced && !known.purchase.is_metered() {
        let rests = matches!(known.state, State::StoppedEconomically | State::Stopping { economical: true, .. });
        let away = matches!(known.state, State::Lost { economical: true, .. });
        prop_assert!(rests || away || known.state.end().is_some(), "kept, and on: {:?}", known);
    }
    if let Some(end) = known.state.end().filter(|end| end.cause == Cause::SubscriptionEnd) {
        prop_assert_eq!(Some(end.at), known.kept_until());
    }
    Ok(())
}

/// The second of a trial's end counts, however late it is carried out and whoever asked for an end meanwhile.
#[test]
fn a_trial_that_goes_at_its_end_is_charged_to_its_end() {
    let mut trial = instance(1, Purchase::Trial { price: Price::from_micros(70_000) });
    let start = trial.created_at.second();
    (trial.state, trial.first_running, trial.in_use_since) = (State::Running, Some(start), Some(start));
    let (at, late) = (start.plus(1_000), start.plus(5_000).start());
    let end = |of: &Instance| {
        let done = step(of, Input::TrialOver { at }, late, &LIMITS).unwrap();
        let closes = done.effects.iter().find_map(|e| match e {
            Effect::CloseSpans { until, .. } => Some(*until),
            _ => None,
        });
        let end = *done.next.as_ref().unwrap_or(of).state.end().unwrap();
        (end.at.unix() - start.unix(), end.cause, closes.map(|until| until.unix() - start.unix()))
    };
    assert_eq!(end(&trial), (1_000, Cause::TrialEnd, Some(1_000)));
    let deleted = |seconds: i64| {
        let now = start.plus(seconds).start();
        step(&trial, Input::Command(Command::Delete), now, &LIMITS).unwrap().next.unwrap()
    };
    assert_eq!(end(&deleted(1_005)), (1_000, Cause::TrialEnd, Some(1_000)));
    assert_eq!(end(&deleted(995)), (995, Cause::Deleted, None));
    // One for which others had to go stays its time, or pays as if; before it ran it cannot go at all (rules §2.11).
    let ran = Some(start.plus(900));
    let taker = Instance { took_room: true, first_running: ran, in_use_since: ran, ..trial.clone() };
    assert_eq!(end(&taker), (900 + LIMITS.taking_minimum_seconds, Cause::TrialEnd, Some(1_500)));
    let waiting = State::Waiting { give_up_at: late, asked_at: None };
    let promised = Instance { took_room: true, first_running: None, in_use_since: None, state: waiting, ..trial };
    let next = step(&promised, Input::TrialOver { at }, late, &LIMITS).unwrap().next.unwrap();
    assert_eq!((next.purchase.option(), next.state), ("on-demand", promised.state));
}

/// What stops with its trial is charged to that second, and its disk from then on is nobody's grant's.
#[test]
fn a_trial_that_stops_at_its_end_is_charged_to_its_end() {
    let mut trial = instance(1, Purchase::Trial { price: Price::from_micros(70_000) });
    let start = trial.created_at.second();
    (trial.state, trial.first_running, trial.in_use_since) = (State::Running, Some(start), Some(start));
    let (at, late) = (start.plus(1_000), start.plus(5_000).start());
    let stop = |of: &Instance| {
        let done = step(of, Input::StopWithTrial { at }, late, &LIMITS).unwrap();
        let next = done.next.as_ref().unwrap_or(of);
        let changes = done.effects.iter().filter_map(|effect| match effect {
            Effect::CloseSpans { meters, until } => Some(("close", meters.len(), until.unix() - start.unix())),
            Effect::LeaveTrial { meters, since } => Some(("leave", meters.len(), since.unix() - start.unix())),
            _ => None,
        });
        let mut changes: Vec<_> = changes.collect();
        changes.dedup();
        (next.purchase.option(), next.state.name(), changes)
    };
    let leave = ("leave", 1, 1_000);
    assert_eq!(stop(&trial), ("on-demand", "stopping", vec![leave, ("close", 1, 1_000)]));
    let off = Instance { state: State::Stopped, ..trial.clone() };
    assert_eq!(stop(&off), ("on-demand", "stopped", vec![leave, ("close", 1, 1_000)]));
    // Asked for in between, and carried out since then.
    let away = Instance { state: State::StoppedEconomically, in_use_since: None, has_room: false, ..trial.clone() };
    assert_eq!(stop(&away), ("on-demand", "stopped", vec![leave, ("close", 1, 1_000)]));
    // Who made others go pays his minimum, on demand.
    let ran = Some(start.plus(900));
    let taker = Instance { took_room: true, first_running: ran, in_use_since: ran, ..trial.clone() };
    let least = 900 + LIMITS.taking_minimum_seconds;
    assert_eq!(stop(&taker), ("on-demand", "stopping", vec![("leave", 2, 1_000), ("close", 1, least)]));
    // What never ran has no disk to keep.
    let give_up_at = late.plus_seconds(60);
    let first = Instance { state: State::Starting { give_up_at }, first_running: None, in_use_since: None, ..trial };
    assert_eq!(stop(&first), ("trial", "releasing", vec![]));
}

/// The end of what is paid counts from its own second, however late somebody looks: so long it is kept, and no longer.
#[test]
fn a_subscription_ends_at_its_second_and_is_kept_from_there() {
    let mut paid = instance(1, Purchase::OnDemand { price: Price::from_micros(1) });
    let since = paid.created_at.second();
    (paid.state, paid.first_running, paid.in_use_since) = (State::Running, Some(since), Some(since));
    let until = since.plus(30 * DAY);
    paid.purchase = Purchase::Subscription {
        price: RICHLY,
        since,
        months: 1,
        until,
        keep_days: 15,
        warned_days: None,
        renews: None,
    };
    let told = |days: i64| until.plus(-days * DAY).start();
    assert_eq!(due_at(&paid, &LIMITS), Some(told(7)));
    // The service was down for the week before and two days after: nobody is warned of what has passed.
    let late = until.plus(2 * DAY).start();
    let done = step(&paid, Input::Due, late, &LIMITS).unwrap();
    let kept_until = until.plus(15 * DAY);
    let ended = Effect::Log(Event::SubscriptionEnded { at: until, kept_until });
    assert_eq!((&done.effects[0], done.effects.len()), (&ended, 2));
    let off = done.next.unwrap();
    assert_eq!(off.state, State::Stopping { force_at: late.plus_seconds(60), economical: true });
    assert_eq!(due_at(&off, &LIMITS), Some(kept_until.start()));
    // And so long that it should have been gone.
    let later = until.plus(16 * DAY).start();
    let gone = step(&off, Input::Due, later, &LIMITS).unwrap().next.unwrap();
    assert_eq!(gone.state.end().map(|end| (end.at, end.cause)), Some((kept_until, Cause::SubscriptionEnd)));
    // In its own second the end is there already.
    let start = |now| step(&paid, Input::Command(Command::Start), now, &LIMITS).map(|done| done.next);
    assert!(start(until.start()).is_err() && start(until.plus(-1).start()).is_ok());
    // Each warning once, in order.
    let warned = step(&paid, Input::Due, told(7), &LIMITS).unwrap();
    assert_eq!(warned.effects, [Effect::Log(Event::SubscriptionEndsSoon { days: 7, until, renewal: None })]);
    let warned = warned.next.unwrap();
    assert_eq!(
        (due_at(&warned, &LIMITS), step(&warned, Input::Due, told(7), &LIMITS).unwrap().next),
        (Some(told(1)), None)
    );
}

#[test]
fn the_natural_end_wins_at_its_very_second() {
    let mut block = instance(1, Purchase::SpotBlock { price: Price::from_micros(70_000), hours: 1, periods: 1 });
    block.state = State::Running;
    block.first_running = Some(Second::from_unix(1_772_412_000));
    let end = Second::from_unix(1_772_412_000 + HOUR).start();
    let delete = step(&block, Input::Command(Command::Delete), end, &LIMITS);
    assert!(delete.is_err());
    let done = step(&block, Input::Due, end, &LIMITS).unwrap().next.unwrap();
    assert_eq!(done.state.end().unwrap().cause, Cause::LeaseEnd);
    assert_eq!(done.state.name(), "reclaiming");
}

/// A grant that is used up ends the charge in its second, however late the guest is told, or is off.
#[test]
fn an_end_that_was_computed_counts_however_late_it_is_carried_out() {
    let now = Timestamp::from_micros(1_772_415_600_000_000);
    let until = now.second().plus(-90);
    for state in [State::Running, State::Starting { give_up_at: now }, State::Stopped] {
        let mut trial = instance(1, Purchase::Trial { price: Price::from_micros(390_000) });
        trial.first_running = Some(now.second().plus(-3_600));
        // Though others had to go for it a minute before.
        (trial.in_use_since, trial.took_room) = (Some(now.second().plus(-150)), true);
        trial.state = state.clone();
        let mut closed = vec![];
        for (input, at) in [
            (Input::Command(Command::StopEconomically { charged_until: Some(until) }), now),
            (Input::Report(Report::Off { at: now.plus_seconds(30) }), now.plus_seconds(30)),
        ] {
            let done = step(&trial, input, at, &LIMITS).unwrap();
            closed.extend(done.effects.into_iter().filter_map(|effect| match effect {
                Effect::CloseSpans { meters, until } => Some((meters, until)),
                _ => None,
            }));
            trial = done.next.unwrap_or(trial);
        }
        assert_eq!(closed, [(&[Meter::Compute][..], until)], "{state:?}");
        assert_eq!((&trial.state, trial.has_room, trial.took_room), (&State::StoppedEconomically, false, false));
    }
}

#[test]
fn a_host_has_nothing_to_say_of_an_order_that_waits_for_room() {
    let mut order = instance(1, Purchase::OnDemand { price: Price::from_micros(390_000) });
    let at = order.created_at;
    (order.state, order.has_room) = (State::Waiting { give_up_at: at.plus_seconds(60), asked_at: None }, false);
    for report in
        [Report::Running { at }, Report::Off { at }, Report::Gone { at, approved: false }, Report::Failed { at }]
    {
        let step = step(&order, Input::Report(report), at, &LIMITS).unwrap();
        assert_eq!((step.next, step.effects), (None, vec![]), "{report:?}");
    }
}
