//! The second of a freeze is the one that is found by counting; grace adds up to what is given; and whoever takes what he can get never
//! owes more than the limit, and the hour with which it began.

use ebb_engine::arrears::{Arrears, By, begin, freeze, freezes_at, grace_used, owed};
use ebb_engine::rating;
use ebb_engine::settlement::{Purse, Totals, settle, top_up};
use ebb_engine::spending::{Block, Draw, Spending};
use ebb_model::billing::{Charge, Meter, Settled, Span, Split};
use ebb_model::calendar::Calendar;
use ebb_model::catalog::ArrearsLimits;
use ebb_model::id::{AccountId, InstanceId, SpanId};
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::time::{DAY, HOUR, Period, Second};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const FIRST: i64 = 1_772_412_000;

fn second(after: i64) -> Second {
    Second::from_unix(FIRST + after)
}

fn spending(open_since: Second, draws: Vec<Draw>, blocks: Vec<Block>, owed: Exact) -> Spending {
    let (billed, ended, flowed) = (BTreeMap::new(), vec![], vec![]);
    Spending { open_since, billed, draws, blocks, ended, flowed, owed, allowance: None }
}

fn draw() -> impl Strategy<Value = Draw> {
    (0..3_000_i64, prop::option::of(1..3_000_i64), any::<bool>(), 0..2_000_i64, 0..2_000_000_i64).prop_map(
        |(since, until, stops, least, micros)| Draw {
            of: None,
            meter: if stops { Meter::Compute } else { Meter::SystemDisk },
            since: second(since),
            until: until.map(|seconds| second(since + seconds)),
            covered: false,
            trial: false,
            stops,
            least: second(since + if stops { least } else { 0 }),
            price: Price::from_micros(micros).into(),
        },
    )
}

fn block() -> impl Strategy<Value = Block> {
    (0..3_000_i64, 1..6_000_i64, 0..2_000_000_i64).prop_map(|(start, length, micros)| Block {
        of: None,
        start: second(start),
        lease_end: second(start + length),
        price: Price::from_micros(micros),
    })
}

/// What is owed if all ends at a second, counted second by second.
fn counted(spending: &Spending, stop: Second) -> i128 {
    let used = |since: Second, until: Second, price: Price| {
        (since.unix()..until.unix()).count() as i128 * i128::from(price.micros())
    };
    let draws = spending.draws.iter().map(|draw| {
        let stop = stop.max(draw.least);
        used(draw.since, draw.until.map_or(stop, |until| until.min(stop)), draw.price.first().price)
    });
    let blocks = spending.blocks.iter().map(|block| used(block.start, block.lease_end.min(stop), block.price));
    draws.chain(blocks).sum::<i128>() + spending.owed.units()
}

/// What somebody does, who has little.
#[derive(Debug, Clone, Copy)]
enum Do {
    Buy {
        micros: i64,
    },
    Wait,
    /// So many hundredths; a debt, if it is one, or a little more.
    Pay {
        cents: i64,
        debt: bool,
    },
}

fn deed() -> impl Strategy<Value = Do> {
    prop_oneof![
        3 => (1..900_000_i64).prop_map(|micros| Do::Buy { micros }),
        3 => Just(Do::Wait),
        2 => (1..300_i64, any::<bool>()).prop_map(|(cents, debt)| Do::Pay { cents, debt }),
    ]
}

fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0..4_000_i64, 2 => 0..40_000_i64, 1 => 0..300_000_i64]
}

struct Tenant {
    limits: ArrearsLimits,
    open_since: Second,
    purse: Purse,
    totals: Totals,
    spans: Vec<Span>,
    arrears: Option<Arrears>,
    /// What was owed when they began.
    first_debt: Amount,
    graces: Vec<Period>,
    paid_in: Amount,
}

impl Tenant {
    fn account() -> AccountId {
        AccountId::new(Uuid::from_u128(1))
    }

    fn freezes_at(&self) -> Option<(Second, By)> {
        let known = self.arrears.filter(|known| known.frozen.is_none())?;
        let draws = self.spans.iter().map(|span| Draw {
            of: None,
            meter: span.meter,
            since: span.since,
            until: span.until,
            covered: false,
            trial: false,
            stops: span.until.is_none(),
            least: span.since,
            price: span.price.clone(),
        });
        let spending = spending(self.open_since, draws.collect(), vec![], Exact::ZERO);
        Some(freezes_at(&known, owed(self.purse.debt, self.totals.paid.payable), &spending, &self.limits))
    }

    /// What is due before a second.
    fn freeze_before(&mut self, at: Second) {
        if let Some((since, _)) = self.freezes_at().filter(|(since, _)| *since < at) {
            self.arrears = Some(freeze(&self.arrears.expect("it is in arrears"), since, since, &self.limits));
            let open = self.spans.iter_mut().filter(|span| span.until.is_none());
            open.for_each(|span| span.until = Some(since.max(span.since)));
        }
    }

    fn close_hour(&mut self) -> Result<(), TestCaseError> {
        let hour = Period { since: self.open_since, until: self.open_since.plus(HOUR) };
        self.freeze_before(hour.until);
        let calendar = Calendar::new("Asia/Shanghai").expect("a zone");
        let charges = self.spans.iter().flat_map(|span| rating::charges(span, hour, &calendar, None, None));
        let charges: Vec<Charge> = charges.collect();
        let split = |charge: &Charge| Split { payable: charge.gross(), ..Split::default() };
        let splits: Vec<Split> = charges.iter().map(split).collect();
        let done = settle(Self::account(), self.totals, self.purse, &charges, &splits);
        let before = self.purse.debt;
        (self.totals, self.purse, self.open_since) = (done.totals, done.purse, hour.until);
        self.spans.retain(|span| span.until.is_none_or(|until| until > hour.until));
        if before == Amount::ZERO && self.purse.debt > Amount::ZERO {
            let known = begin(hour.until, &self.graces, &self.limits);
            let given = known.grace_until.unix() - known.since.unix();
            let used = grace_used(hour.until, &self.graces, &self.limits);
            prop_assert!(given >= 0 && (given == 0 || given + used == self.limits.grace_days * DAY));
            let an_hour: Exact = charges.iter().map(Charge::gross).sum();
            // An entry is the difference of two roundings.
            let most = an_hour.posted() + Amount::from_units(1);
            prop_assert!(self.purse.debt <= most, "no more than the hour came to");
            (self.arrears, self.first_debt) = (Some(known), self.purse.debt);
        }
        let most = self.limits.debt_limit.max(self.first_debt) + Amount::from_units(1);
        prop_assert!(self.purse.debt <= most, "{} are owed, and {} allowed", self.purse.debt, most);
        prop_assert_eq!(self.paid_in + self.purse.debt, self.purse.cash + self.totals.paid.payable.posted());
        if let Some(frozen) = self.arrears.and_then(|known| known.frozen) {
            let beyond = charges.iter().filter(|charge| charge.period.until > frozen.since).count();
            prop_assert_eq!(beyond, 0, "nothing is charged of what is frozen");
        }
        Ok(())
    }

    fn act(&mut self, deed: Do, now: Second, at: u128) {
        match deed {
            Do::Wait => {}
            Do::Buy { micros } => {
                let price = Price::from_micros(micros);
                let fresh = self.spans.iter().filter(|span| span.since >= self.open_since);
                let held: Exact = fresh.map(|span| span.price.first().price.charge(HOUR)).sum();
                let free = self.purse.cash.exact() - held;
                if self.purse.debt == Amount::ZERO && self.arrears.is_none() && free >= price.charge(HOUR) {
                    self.spans.push(Span {
                        id: SpanId::new(Uuid::from_u128(at)),
                        account: Self::account(),
                        resource: InstanceId::new(Uuid::from_u128(at)).into(),
                        meter: Meter::Compute,
                        price: price.into(),
                        follows: None,
                        settled: Settled::Hourly { trial: false },
                        since: now,
                        until: None,
                    });
                }
            }
            Do::Pay { cents, debt } => {
                self.freeze_before(now);
                let little = Amount::from_units(cents * 1_000_000);
                let amount = if debt && self.purse.debt > Amount::ZERO { self.purse.debt } else { little };
                self.purse = top_up(Self::account(), self.purse, amount).1;
                self.paid_in = self.paid_in + amount;
                if let Some(known) = self.arrears.filter(|_| self.purse.debt == Amount::ZERO) {
                    let until = known.frozen.map_or(now, |frozen| frozen.since.min(now));
                    self.graces.extend(Period::new(known.since, until));
                    (self.arrears, self.first_debt) = (None, Amount::ZERO);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_freeze_is_at_the_second_that_counting_finds(
        draws in prop::collection::vec(draw(), 0..6), blocks in prop::collection::vec(block(), 0..3),
        owes in 0..500_000_000_i64, limit in 0..1_000_000_000_i64, others in 0..1_000_000_000_i128, grace in 0..5_000_i64,
    ) {
        let limits = ArrearsLimits { debt_limit: Amount::from_units(limit), ..ArrearsLimits::default() };
        let known = Arrears { since: second(0), grace_until: second(grace), frozen: None, released: None };
        let spending = spending(second(0), draws, blocks, Exact::from_units(others));
        let debt = Amount::from_units(owes).exact();
        let (at, by) = freezes_at(&known, debt, &spending, &limits);
        let within = |at: Second| debt.units() + counted(&spending, at) <= limits.debt_limit.exact().units();
        let mut last = second(0);
        while last < second(grace) && within(last.plus(1)) {
            last = last.plus(1);
        }
        prop_assert_eq!((at, by), (last, if last == second(grace) { By::Grace } else { By::DebtLimit }));
    }

    #[test]
    fn a_greedy_tenant_owes_the_limit_at_most_and_nothing_of_what_is_frozen(
        history in prop::collection::vec((deed(), pause()), 1..60), limit in 0..400_i64, grace_days in 0..3_i64,
        window_days in 0..12_i64,
    ) {
        let debt_limit = Amount::from_units(limit * 1_000_000);
        let mut tenant = Tenant {
            limits: ArrearsLimits { grace_days, window_days, debt_limit, ..ArrearsLimits::default() },
            open_since: second(0).hour(),
            purse: Purse::default(),
            totals: Totals::default(),
            spans: vec![],
            arrears: None,
            first_debt: Amount::ZERO,
            graces: vec![],
            paid_in: Amount::ZERO,
        };
        let mut now = second(0);
        for (at, (deed, seconds)) in history.into_iter().enumerate() {
            now = now.plus(seconds);
            while tenant.open_since.plus(HOUR) <= now {
                tenant.close_hour()?;
            }
            tenant.act(deed, now, at as u128);
        }
        for _ in 0..100 {
            tenant.close_hour()?;
        }
    }
}
