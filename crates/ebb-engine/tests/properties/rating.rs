//! Records partition what was used, and cutting a period anywhere changes nothing.

use ebb_engine::rating::charges;
use ebb_model::billing::{Charge, Meter, Settled, Span};
use ebb_model::calendar::Calendar;
use ebb_model::id::{AccountId, InstanceId, SpanId};
use ebb_model::instance::{Cause, End};
use ebb_model::money::{Exact, Price};
use ebb_model::time::{HOUR, Period, Second};
use ebb_model::trial::{Holder, TrialGrant};
use proptest::prelude::*;

/// Days with 23, 24 and 25 hours, half-hour zones, month ends and a leap day all lie in here.
const YEARS: std::ops::Range<i64> = 1_700_000_000..1_800_000_000;
const ZONES: [&str; 5] = ["Asia/Shanghai", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"];

fn span(settled: Settled, price: i64, since: i64, seconds: i64) -> Span {
    Span {
        id: SpanId::new(Default::default()),
        account: AccountId::new(Default::default()),
        resource: InstanceId::new(Default::default()).into(),
        meter: Meter::Compute,
        price: Price::from_micros(price).into(),
        follows: None,
        settled,
        since: Second::from_unix(since),
        until: Some(Second::from_unix(since + seconds)),
    }
}

fn window(span: &Span) -> Period {
    Period { since: span.since, until: span.until.unwrap() }
}

fn gross(charges: &[Charge]) -> Exact {
    charges.iter().map(Charge::gross).sum()
}

fn settled() -> impl Strategy<Value = Settled> {
    prop_oneof![
        any::<bool>().prop_map(|trial| Settled::Hourly { trial }),
        (1..=6_i64).prop_map(|hours| Settled::AtRelease { hours }),
    ]
}

proptest! {
    #[test]
    fn charges_partition_the_span(
        zone in 0..ZONES.len(), settled in settled(), price in 0..1_000_000_000_i64, since in YEARS, seconds in 1..200_000_i64,
        claimed in -100_000..100_000_i64, valid in 1..200_000_i64, waived in 0..200_000_i64,
    ) {
        let calendar = Calendar::new(ZONES[zone]).unwrap();
        let span = span(settled, price, since, seconds);
        let claimed_at = Second::from_unix(since + claimed);
        let grant = TrialGrant {
            holder: Holder::Individual, claimed_at, valid_until: claimed_at.plus(valid),
            issued: Exact::ZERO, used: Exact::ZERO, revoked: Exact::ZERO, hourly_cap: Price::default(),
        };
        let end = End { at: span.until.unwrap(), cause: Cause::Capacity, waived_since: Some(span.since.plus(waived)), waived_until: None, notice: None };
        let charges = charges(&span, window(&span), &calendar, Some(&grant), Some(&end));

        let mut at = span.since;
        for charge in &charges {
            prop_assert_eq!(charge.period.since, at, "a gap or an overlap");
            prop_assert!(charge.period.until > at);
            // One clock hour of one local day, one guarantee period, one coverage, one waiver.
            let last = charge.period.until.plus(-1);
            prop_assert_eq!(at.unix().div_euclid(HOUR), last.unix().div_euclid(HOUR));
            prop_assert_eq!(&calendar.local(at)[..10], &calendar.local(last)[..10]);
            if let Settled::AtRelease { hours } = span.settled {
                let period = |s: Second| (s.unix() - since) / (hours * HOUR);
                prop_assert_eq!(period(at), period(last));
            }
            let trial = span.settled == Settled::Hourly { trial: true };
            for second in [at, last] {
                prop_assert_eq!(charge.covered, trial && grant.valid_at(second));
                prop_assert_eq!(charge.waiver.is_some(), second >= end.waived_since.unwrap());
            }
            at = charge.period.until;
        }
        prop_assert_eq!(at, span.until.unwrap());
        prop_assert_eq!(gross(&charges), span.price.at(span.since).charge(seconds));
    }

    #[test]
    fn cutting_anywhere_changes_nothing(
        zone in 0..ZONES.len(), settled in settled(), price in 0..1_000_000_000_i64, since in YEARS, seconds in 2..200_000_i64,
        cut in any::<prop::sample::Index>(),
    ) {
        let calendar = Calendar::new(ZONES[zone]).unwrap();
        let span = span(settled, price, since, seconds);
        let whole = window(&span);
        let at = whole.since.plus(1 + cut.index(seconds as usize - 1) as i64);
        let rate = |window| charges(&span, window, &calendar, None, None);
        let (first, second) = (rate(Period { since: whole.since, until: at }), rate(Period { since: at, until: whole.until }));
        prop_assert_eq!(gross(&first) + gross(&second), gross(&rate(whole)));
    }
}

/// The six samples' lengths, wherever the day has 23 or 25 hours, a month ends or midnight comes.
#[test]
fn the_samples_hold_on_every_kind_of_day() {
    let starts = [
        "2026-03-29T01:58:30",
        "2026-10-25T01:58:30",
        "2026-02-28T22:58:30",
        "2028-02-28T20:58:30",
        "2026-12-31T21:58:30",
    ];
    for zone in ZONES {
        let calendar = Calendar::new(zone).unwrap();
        for start in starts {
            let since = calendar.at(start.parse().unwrap()).unwrap().unix();
            for (hours, price, seconds) in
                [(3, 70_000, 10_800), (3, 70_000, 5_400), (6, 120_000, 21_600), (6, 120_000, 16_200)]
            {
                let span = span(Settled::AtRelease { hours }, price, since, seconds);
                let charges = charges(&span, window(&span), &calendar, None, None);
                assert_eq!(gross(&charges), Exact::from_units(i128::from(price * seconds)), "{zone} {start}");
                let cuts = (since + 1..since + seconds).filter(|s| {
                    let (before, at) =
                        (calendar.local(Second::from_unix(s - 1)), calendar.local(Second::from_unix(*s)));
                    s % HOUR == 0 || before[..10] != at[..10]
                });
                assert_eq!(charges.len(), 1 + cuts.count(), "{zone} {start}");
            }
        }
    }
}
