//! The cause of the end decides the bill of the current period; the table of rules §2.3, one row a case.

use crate::lives::{LIMITS, instance, reclaim};
use ebb_engine::lifecycle::{Command, Input, Report, step};
use ebb_model::instance::{Cause, Instance, Purchase, State};
use ebb_model::money::Price;
use ebb_model::time::{HOUR, Second, Timestamp};

const START: i64 = 1_772_412_000;

fn running(hours: i64, periods: i64) -> Instance {
    let mut block = instance(1, Purchase::SpotBlock { price: Price::from_micros(120_000), hours, periods });
    block.state = State::Running;
    block.first_running = Some(Second::from_unix(START));
    block
}

fn at(seconds: i64) -> Timestamp {
    Second::from_unix(START + seconds).start()
}

fn take_back(block: &Instance, cause: Cause, notice: i64) -> (i64, Option<i64>) {
    let input = Input::Command(reclaim(cause, at(notice)));
    let noticed = step(block, input, at(notice), &LIMITS).unwrap().next.unwrap();
    let gone = at(notice + 300).plus_millis(700);
    let end = *step(&noticed, Input::Report(Report::Gone { at: gone, approved: false }), gone, &LIMITS)
        .unwrap()
        .next
        .unwrap()
        .state
        .end()
        .unwrap();
    assert_eq!(end.cause, cause);
    (end.at.unix() - START, end.waived_since.map(|since| since.unix() - START))
}

#[test]
fn the_platform_gives_the_period_of_the_notice_away() {
    for cause in Cause::ALL.into_iter().filter(|cause| cause.is_platform()) {
        assert_eq!(take_back(&running(3, 1), cause, 100), (400, Some(0)));
        assert_eq!(take_back(&running(6, 3), cause, 6 * HOUR), (6 * HOUR + 300, Some(6 * HOUR)));
        // Notice in the first period, release in the second: free from the first one's start.
        assert_eq!(take_back(&running(6, 3), cause, 6 * HOUR - 1), (6 * HOUR + 299, Some(0)));
        // The second before the second period ends.
        assert_eq!(take_back(&running(6, 3), cause, 12 * HOUR - 1), (12 * HOUR + 299, Some(6 * HOUR)));
    }
}

#[test]
fn an_own_order_is_charged_like_a_delete() {
    assert_eq!(take_back(&running(3, 1), Cause::OwnOrder, 100), (400, None));
}

#[test]
fn a_guest_that_vanishes_is_free_without_notice() {
    let gone = at(6 * HOUR + 50);
    let end = *step(&running(6, 2), Input::Report(Report::Gone { at: gone, approved: false }), gone, &LIMITS)
        .unwrap()
        .next
        .unwrap()
        .state
        .end()
        .unwrap();
    assert_eq!((end.cause, end.waived_since), (Cause::Lost, Some(Second::from_unix(START + 6 * HOUR))));
}

#[test]
fn what_never_ran_is_not_charged() {
    let block = instance(1, Purchase::SpotBlock { price: Price::from_micros(1), hours: 1, periods: 1 });
    for input in [Input::Command(Command::Delete), Input::Command(reclaim(Cause::Capacity, block.created_at))] {
        let done = step(&block, input, block.created_at.plus_seconds(5), &LIMITS).unwrap();
        assert_eq!(done.next.unwrap().state.end().unwrap().cause, Cause::NeverRan);
    }
    let late = step(&block, Input::Due, block.created_at.plus_seconds(120), &LIMITS).unwrap();
    assert_eq!(late.next.unwrap().state.end().unwrap().cause, Cause::NeverRan);
}
