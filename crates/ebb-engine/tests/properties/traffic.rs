//! Every byte is charged once and floored once a month, pools pay what they have and no more, and the books balance.

use ebb_engine::settlement::{Purse, Totals, settle_with_vouchers};
use ebb_engine::traffic::{Counted, Flow, Running, Used, charges, count, size, stretch};
use ebb_ledger::Place;
use ebb_model::calendar::Calendar;
use ebb_model::catalog::TrafficAllowance;
use ebb_model::id::{AccountId, AddressId};
use ebb_model::money::{Amount, Price};
use ebb_model::time::{HOUR, Second, Timestamp};
use ebb_model::traffic::{Counter, Pool, Quantity, Reading, TrafficCharge, TrafficPaid};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Month ends, changes of the clock and half-hour midnights lie in here.
const YEARS: std::ops::Range<i64> = 1_700_000_000..1_800_000_000;
const ZONES: [&str; 4] = ["Asia/Shanghai", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"];

fn address(n: u8) -> AddressId {
    AddressId::new(Uuid::from_u128(n.into()))
}

/// What is read of one of four addresses, two of them overseas: so long after the last, so many bytes, covered or not.
#[derive(Debug, Clone)]
struct Read {
    address: u8,
    after: i64,
    bytes: i64,
    covered: bool,
}

fn reads() -> impl Strategy<Value = Vec<Read>> {
    let bytes = prop_oneof![0..2_000_i64, 0..3_000_000_000_i64];
    let one = (0..4_u8, 0..200_000_i64, bytes, prop::bool::weighted(0.8));
    let one = one.prop_map(|(address, after, bytes, covered)| Read { address, after, bytes, covered });
    prop::collection::vec(one, 1..60)
}

/// The flows of some readings, hour by hour.
fn flows(reads: &[Read], since: i64, calendar: &Calendar) -> BTreeMap<Second, Vec<Flow>> {
    let (mut at, mut flows) = (Second::from_unix(since), BTreeMap::<(Second, u8), Flow>::new());
    for read in reads {
        at = at.plus(read.after);
        let period = stretch(at, calendar);
        let (address, overseas) = (address(read.address), read.address % 2 == 1);
        let price = Price::from_micros(1_234_567 + i64::from(read.address));
        let fresh = Flow { address, overseas, price, period, bytes: [0; 3] };
        let flow = flows.entry((period.since, read.address)).or_insert(fresh);
        // What came before the validity cannot come after it again, so here all that is not covered came before.
        flow.bytes[usize::from(read.covered)] += read.bytes;
    }
    let mut hours = BTreeMap::<Second, Vec<Flow>>::new();
    for ((since, _), flow) in flows {
        hours.entry(since.next_hour()).or_default().push(flow);
    }
    hours
}

const SMALL: TrafficAllowance = TrafficAllowance { anywhere_gb: 3, overseas_gb: 7 };

proptest! {
    #[test]
    fn a_month_is_floored_once_and_pools_pay_what_they_have(reads in reads(), since in YEARS, zone in 0..ZONES.len()) {
        let calendar = Calendar::new(ZONES[zone]).unwrap();
        let mut running = Running::default();
        let mut charged = BTreeMap::<(AddressId, Second), Quantity>::new();
        let mut bytes = BTreeMap::<(AddressId, Second), i64>::new();
        let mut paid = BTreeMap::<Second, Used>::new();
        for flow in flows(&reads, since, &calendar).values().flatten() {
            *bytes.entry((flow.address, calendar.month(flow.period.since))).or_default() += flow.bytes.iter().sum::<i64>();
        }
        for hour in flows(&reads, since, &calendar).values() {
            for charge in charges(hour, &mut running, &SMALL, &calendar) {
                let month = calendar.month(charge.period.since);
                prop_assert!(charge.quantity > Quantity::ZERO && charge.payable() >= Quantity::ZERO);
                prop_assert!(charge.anywhere >= Quantity::ZERO && charge.overseas >= Quantity::ZERO);
                prop_assert_eq!(charge.anywhere + charge.overseas + charge.payable(), charge.quantity);
                prop_assert!(charge.period.seconds() <= HOUR && calendar.next_cut(charge.period.since) == charge.period.until);
                let overseas = hour.iter().find(|flow| flow.address == charge.address).unwrap().overseas;
                prop_assert!(overseas || charge.overseas == Quantity::ZERO, "the mainland takes nothing of that pool");
                *charged.entry((charge.address, month)).or_default() += charge.quantity;
                let used = paid.entry(month).or_default();
                used.anywhere += charge.anywhere;
                used.overseas += charge.overseas;
            }
        }
        for (key, bytes) in bytes {
            prop_assert_eq!(charged.get(&key).copied().unwrap_or_default(), Quantity::of_bytes(bytes));
        }
        for (month, used) in &paid {
            prop_assert_eq!(running.used[month], *used);
            prop_assert!(used.anywhere <= size(Pool::Anywhere, &SMALL) && used.overseas <= size(Pool::Overseas, &SMALL));
        }
    }

    /// Hours that are closed one by one, and together; and flows in any order.
    #[test]
    fn how_hours_are_closed_changes_nothing(reads in reads(), since in YEARS, zone in 0..ZONES.len(), turn in 0..60_usize) {
        let calendar = Calendar::new(ZONES[zone]).unwrap();
        let hours = flows(&reads, since, &calendar);
        let (mut one_by_one, mut together) = (Running::default(), Running::default());
        let singly: Vec<TrafficCharge> =
            hours.values().flat_map(|hour| charges(hour, &mut one_by_one, &SMALL, &calendar)).collect();
        let mut all: Vec<Flow> = hours.into_values().flatten().collect();
        let turn = turn % all.len();
        all.rotate_left(turn);
        prop_assert_eq!(singly, charges(&all, &mut together, &SMALL, &calendar));
        prop_assert_eq!(one_by_one, together);
    }

    /// What is used of the pools follows from the sums alone, so an alert does not depend on which address was read first.
    #[test]
    fn pools_follow_from_the_sums(bytes in prop::collection::vec((0..4_u8, 0..3_000_000_000_i64), 1..30)) {
        let calendar = Calendar::new("Asia/Shanghai").unwrap();
        let start = Second::from_unix(1_772_400_000);
        let reads: Vec<Read> =
            bytes.iter().map(|(address, bytes)| Read { address: *address, after: 1_000, bytes: *bytes, covered: true }).collect();
        let mut running = Running::default();
        for hour in flows(&reads, start.unix(), &calendar).values() {
            charges(hour, &mut running, &SMALL, &calendar);
        }
        let sum = |overseas: bool| {
            let of = |n: u8| Quantity::of_bytes(bytes.iter().filter(|(address, _)| *address == n).map(|(_, bytes)| bytes).sum());
            (0..4).filter(|n| (n % 2 == 1) == overseas).fold(Quantity::ZERO, |sum, n| sum + of(n))
        };
        let overseas = sum(true).min(size(Pool::Overseas, &SMALL));
        let anywhere = (sum(false) + (sum(true) - overseas)).min(size(Pool::Anywhere, &SMALL));
        prop_assert_eq!(running.used.into_values().collect::<Vec<_>>(), [Used { anywhere, overseas }]);
    }

    /// However often and in which order a host says what it read: what counts is never more than what the counter counted, and a
    /// repetition counts nothing.
    #[test]
    fn a_reading_counts_once(steps in prop::collection::vec((0..1_000_i64, prop::bool::weighted(0.1)), 1..40), order in prop::collection::vec(0..40_usize, 0..80)) {
        let (mut epoch, mut bytes, mut said, mut whole) = (0, 0, vec![], 0);
        for (at, (more, reset)) in steps.iter().enumerate() {
            if *reset {
                (epoch, bytes) = (epoch + 1, 0);
            }
            bytes += more;
            whole += more;
            said.push(Reading { address: address(0), epoch, bytes, at: Timestamp::from_micros(at as i64) });
        }
        let hear = |readings: &[&Reading]| {
            let (mut known, mut sum) = (None::<Counter>, 0);
            for reading in readings {
                if let Counted::Bytes(more) = count(known.as_ref(), reading) {
                    assert!(more >= 0, "{reading:?} after {known:?}");
                    sum += more;
                    known = Some(Counter { epoch: reading.epoch, bytes: reading.bytes, read_at: reading.at });
                    assert_eq!(count(known.as_ref(), reading), Counted::Repeated);
                }
            }
            sum
        };
        prop_assert_eq!(hear(&said.iter().collect::<Vec<_>>()), whole, "in order all of it counts");
        prop_assert_eq!(hear(&said.iter().flat_map(|reading| [reading, reading]).collect::<Vec<_>>()), whole);
        // Stale ones that come between change nothing.
        let with_stale = said.iter().enumerate().flat_map(|(at, reading)| {
            let stale = order.get(at).map(|n| &said[*n % (at + 1)]);
            std::iter::once(reading).chain(stale)
        });
        prop_assert_eq!(hear(&with_stale.collect::<Vec<_>>()), whole);
        let any: Vec<&Reading> = order.iter().map(|at| &said[*at % said.len()]).collect();
        prop_assert!(hear(&any) <= whole);
    }

    #[test]
    fn traffic_balances_in_the_books(reads in reads(), since in YEARS, cash in 0..2_000_000_000_i64) {
        let calendar = Calendar::new("Asia/Shanghai").unwrap();
        let (account, mut running) = (AccountId::new(Default::default()), Running::default());
        let (mut totals, mut purse) = (Totals::default(), Purse { cash: Amount::from_units(cash), debt: Amount::ZERO });
        let (mut books, mut exact) = (BTreeMap::<Place, Amount>::new(), TrafficPaid::default());
        for hour in flows(&reads, since, &calendar).values() {
            let traffic = charges(hour, &mut running, &SMALL, &calendar);
            exact = exact.plus(traffic.iter().map(TrafficCharge::paid).sum());
            let settled = settle_with_vouchers(account, totals, purse, &[], &[], &traffic, &[]);
            for posting in settled.entry.postings() {
                *books.entry(posting.place).or_default() = books.get(&posting.place).copied().unwrap_or_default() + posting.amount;
            }
            (totals, purse) = (settled.totals, settled.purse);
        }
        let at = |place| books.get(&place).copied().unwrap_or_default();
        prop_assert_eq!(totals.traffic, exact);
        prop_assert_eq!(books.values().copied().sum::<Amount>(), Amount::ZERO);
        prop_assert_eq!(at(Place::TrafficPools), exact.pools.posted());
        prop_assert_eq!(at(Place::Revenue(ebb_ledger::Revenue::Traffic)), -exact.total().posted());
        prop_assert_eq!(Amount::from_units(cash) + purse.debt, purse.cash + exact.payable.posted());
        prop_assert!(at(Place::Rounding).units().abs() <= 1);
    }
}

#[test]
fn a_reading_on_the_full_hour_closes_the_hour_before() {
    let calendar = Calendar::new("Asia/Kolkata").unwrap();
    let at = |text: &str| calendar.at(text.parse().unwrap()).unwrap();
    let said = |text: &str| {
        let stretch = stretch(at(text), &calendar);
        (calendar.local(stretch.since)[11..16].to_owned(), calendar.local(stretch.until)[11..16].to_owned())
    };
    // There clock hours begin at half past, and midnight cuts one in two.
    let told = |since: &str, until: &str| (since.to_owned(), until.to_owned());
    assert_eq!(said("2026-03-31T22:30"), told("21:30", "22:30"));
    assert_eq!(said("2026-03-31T22:30:01"), told("22:30", "23:30"));
    assert_eq!(said("2026-04-01T00:00"), told("23:30", "00:00"));
    assert_eq!(said("2026-04-01T00:00:01"), told("00:00", "00:30"));
}

#[test]
fn doubtful_readings_count_nothing() {
    let known = Counter { epoch: 2, bytes: 100, read_at: Timestamp::from_micros(50) };
    let counted = |epoch: i64, bytes: i64, at: i64| {
        count(Some(&known), &Reading { address: address(0), epoch, bytes, at: Timestamp::from_micros(at) })
    };
    assert_eq!(counted(2, 130, 60), Counted::Bytes(30));
    assert_eq!(counted(2, 130, 50), Counted::Bytes(30), "read twice in one instant");
    assert_eq!(counted(3, 130, 60), Counted::Bytes(130));
    assert_eq!(counted(2, 100, 40), Counted::Repeated);
    for (epoch, bytes, at) in [(2, 99, 60), (2, 130, 49), (3, 130, 49), (1, 130, 60), (3, -1, 60)] {
        assert!(matches!(counted(epoch, bytes, at), Counted::Doubtful(_)), "{epoch} {bytes} {at}");
    }
}
