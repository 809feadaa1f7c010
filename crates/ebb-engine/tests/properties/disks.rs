//! Is a volume charged for exactly those seconds that its log says, whatever happens to it?

use ebb_engine::disk::{Effect, Input, step};
use ebb_engine::event::Event;
use ebb_model::catalog::SYSTEM_DISK;
use ebb_model::disk::{MadeOf, Volume, VolumeState};
use ebb_model::id::{AccountId, DiskId, HostId, InstanceId};
use ebb_model::time::{Second, Timestamp};
use ebb_model::volume::VolumeId;
use proptest::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

const LAST: i64 = 400;

fn instance(n: u128) -> InstanceId {
    InstanceId::new(Uuid::from_u128(n))
}

/// One that was just ordered, alone or with the first instance.
fn ordered(with: bool) -> Volume {
    let with = with.then(|| instance(1));
    Volume {
        id: VolumeId::Disk(DiskId::new(Uuid::from_u128(9))),
        account: AccountId::new(Uuid::from_u128(1)),
        name: "x".to_owned(),
        region: "r".to_owned(),
        zone: "z".to_owned(),
        host: HostId::new(Uuid::from_u128(1)),
        gib: 10,
        made_of: MadeOf::Nothing,
        created_at: Timestamp::from_micros(0),
        tags: Default::default(),
        bought_with: with,
        charged_since: None,
        unavailable_since: None,
        generation: 1,
        state: VolumeState::Creating { to: with },
    }
}

/// What may come at a second; `ago` before it, where it is known late.
fn input(kind: u8, now: i64, ago: i64, n: i64) -> Input {
    let at = Second::from_unix((now - ago).max(0));
    match kind {
        0 => Input::There { at },
        1 => Input::Begun { at },
        2 => Input::Attach { to: instance(n as u128 % 3 + 1) },
        3 => Input::Detach { generation: (n % 2 == 0).then_some(n) },
        4 => Input::LetGo { generation: n },
        5 => Input::InstanceEnded { keep: n % 2 == 0, at },
        6 => Input::InstanceGone,
        7 | 8 => Input::Resize { gib: n },
        9 => Input::Delete { copied_to: None },
        10 => Input::HostAway { heard_at: at },
        11 => Input::HostBack,
        12 => Input::Failed { at: at.start(), reason: "it is full".to_owned() },
        _ => Input::Gone { at: at.start() },
    }
}

/// The seconds that the log says are charged, up to a second.
fn by_log(log: &[Event], until: i64) -> BTreeSet<i64> {
    let (mut since, mut end, mut away) = (None, until, vec![]);
    for event in log {
        match event {
            Event::VolumeThere { at, .. } => since = Some(at.unix()),
            Event::VolumeDeleted { at, .. } | Event::VolumeLost { at, .. } => end = at.unix().min(end),
            Event::VolumeUnavailable { since, .. } => away.push((since.unix(), i64::MAX)),
            Event::VolumeAvailable { at, .. } => away.last_mut().expect("it was away").1 = at.unix(),
            _ => {}
        }
    }
    let charged = since.map_or(0..0, |since| since..end);
    charged.filter(|second| !away.iter().any(|(from, to)| from <= second && second < to)).collect()
}

proptest! {
    #[test]
    fn what_is_charged_is_what_the_log_says_and_its_room_is_its_own(
        with in any::<bool>(),
        inputs in prop::collection::vec((0..20_u8, 0..20_i64, 0..15_i64, 5..40_i64), 1..40),
    ) {
        let mut volume = ordered(with);
        let (mut now, mut back, mut open) = (0, 0, None);
        let (mut charged, mut log, mut taken) = (BTreeSet::new(), vec![], volume.gib);
        for (kind, pause, ago, n) in inputs {
            now += pause;
            // A host was not away before it was last heard.
            let ago = if kind == 10 { ago.min(now - back) } else { ago };
            // What comes often enough: that it is there, and goes on.
            let input = input(kind % 14, now, ago, n);
            let at = Timestamp::from_micros(now * 1_000_000);
            let Ok(done) = step(&volume, &input, at) else { continue };
            let next = done.next.clone().unwrap_or_else(|| volume.clone());
            prop_assert_eq!(next.generation, volume.generation + i64::from(done.next.is_some()));
            for effect in done.effects {
                match effect {
                    Effect::Open { since } => {
                        prop_assert_eq!(open, None, "two spans at once");
                        open = Some(since.unix());
                    }
                    Effect::Close { until } => {
                        charged.extend(open.take().into_iter().flat_map(|since: i64| since..until.unix()));
                        charged.retain(|second| *second < until.unix());
                    }
                    Effect::TakeRoom { gib } => taken += gib,
                    Effect::FreeRoom => taken -= volume.used().get(SYSTEM_DISK),
                    Effect::Order | Effect::OrderGuest(_) => {}
                }
            }
            log.extend(done.log.into_iter().map(|(event, _)| event));
            back = if input == Input::HostBack { now } else { back };
            volume = next;
            prop_assert_eq!(open.is_some(), volume.is_charged(), "{:?}", volume);
            prop_assert_eq!(taken, volume.used().get(SYSTEM_DISK));
            let mut so_far = charged.clone();
            so_far.extend(open.into_iter().flat_map(|since| since..LAST * 3));
            let said = by_log(&log, LAST * 3);
            prop_assert_eq!(&so_far, &said, "after {:?} at {}: {:?}", input, now, volume);
            // Once it has ended, nothing is charged any more.
            if let Some(until) = volume.charged_until() {
                prop_assert!(so_far.last().is_none_or(|last| *last < until.unix().max(now + 1)));
            }
        }
    }
}
