//! Which operation is refused, in which state, to whom, and with which code? The whole table (rules §2.7).

use crate::lives::instance;
use ebb_engine::operation::{Operation, permit};
use ebb_model::instance::{Cause, End, Instance, Purchase, State};
use ebb_model::money::Price;
use ebb_model::time::{Second, Timestamp};

/// Of an operation: its code on a spot block as long as it lives, on a spot block while a notice is out, on what is firm, and on that
/// while it is stopped.
const TABLE: [(&str, [&str; 4]); 10] = [
    ("image-of-system-disk", ["", "reclaiming-no-system-disk-image", "", ""]),
    ("image-of-machine", ["", "reclaiming-no-machine-image", "", ""]),
    ("image-of-data-disk", ["", "", "", ""]),
    ("economical-stop", ["spot-no-economical-stop", "spot-no-economical-stop", "", ""]),
    ("resize", ["spot-no-resize", "spot-no-resize", "not-stopped", ""]),
    ("to-subscription", ["spot-no-subscription", "spot-no-subscription", "", ""]),
    ("to-on-demand", ["spot-no-on-demand", "spot-no-on-demand", "", ""]),
    ("change-os", ["spot-no-os-change", "spot-no-os-change", "not-stopped", ""]),
    ("auto-recovery", ["spot-auto-recovery", "spot-auto-recovery", "", ""]),
    ("detach-system-disk", ["spot-no-system-disk-detach", "spot-no-system-disk-detach", "", ""]),
];

/// What stands against a conversion, and against what would change what is paid in advance (rules §4.2, §4.3).
fn of_option(operation: &str, of: &Instance) -> Option<&'static str> {
    let code = match (operation, of.purchase) {
        ("economical-stop", Purchase::Subscription { .. }) => "subscription-no-economical-stop",
        ("resize", Purchase::Subscription { .. }) => "subscription-no-resize",
        ("to-on-demand", Purchase::Subscription { .. }) => "subscription-no-on-demand",
        ("to-subscription", Purchase::Subscription { .. }) => "subscription-already",
        ("to-on-demand", Purchase::OnDemand { .. }) => "same-option",
        ("to-subscription", _) => match of.state {
            State::Running | State::Stopped => "",
            State::StoppedEconomically => "stopped-economically",
            _ => "wrong-state",
        },
        _ => return None,
    };
    Some(code)
}

fn states() -> Vec<State> {
    let at = Timestamp::from_micros(1_772_412_000_000_000);
    let end = |cause| End { at: at.second(), cause, waived_since: None, waived_until: None, notice: None };
    let reclaiming = |cause, off_by, free_until| State::Reclaiming {
        notice_at: at,
        deadline: at.plus_seconds(300),
        cause,
        off_by,
        free_until,
    };
    let mut all = vec![
        State::Waiting { give_up_at: at, asked_at: None },
        State::Waiting { give_up_at: at, asked_at: Some(at) },
        State::Starting { give_up_at: at },
        State::Running,
        State::Stopping { force_at: at, economical: false },
        State::Stopping { force_at: at, economical: true },
        State::Stopped,
        State::StoppedEconomically,
        State::Lost { since: at.second(), off: false, economical: false },
        State::Lost { since: at.second(), off: true, economical: true },
    ];
    for cause in Cause::ALL {
        all.push(reclaiming(cause, None, None));
        all.push(reclaiming(cause, Some(at), Some(at.second())));
        all.push(State::Releasing { end: end(cause) });
        all.push(State::Released { end: end(cause), gone_at: at });
    }
    all
}

fn code(of: &Instance, operation: Operation) -> &'static str {
    permit(of, operation).map_or_else(|refused| refused.code(), |()| "")
}

#[test]
fn each_operation_has_its_code_in_each_state() {
    let price = Price::from_micros(1);
    let block = |hours, periods| Purchase::SpotBlock { price, hours, periods };
    let (since, until) = (Second::from_unix(1_772_412_000), Second::from_unix(1_775_090_400));
    let months =
        Purchase::Subscription { price, since, months: 1, until, keep_days: 15, warned_days: None, renews: None };
    let options = [Purchase::OnDemand { price }, Purchase::Trial { price }, block(1, 1), block(6, 3), months];
    for (state, purchase) in states().into_iter().flat_map(|state| options.map(|option| (state.clone(), option))) {
        let mut of = instance(1, purchase);
        of.first_running = Some(Second::from_unix(1_772_412_000));
        of.state = state.clone();
        for (operation, (name, [block, noticed, firm, stopped])) in Operation::ALL.into_iter().zip(TABLE) {
            assert_eq!(operation.name(), name);
            let expected = match (&state, purchase.is_firm()) {
                (State::Releasing { .. } | State::Released { .. }, _) => "released",
                // Nothing firm is ever reclaimed.
                (State::Reclaiming { .. }, true) => continue,
                (State::Reclaiming { .. }, false) => noticed,
                (_, false) => block,
                (_, true) if of_option(name, &of).is_some() => of_option(name, &of).unwrap(),
                (State::Stopped | State::StoppedEconomically, true) => stopped,
                (_, true) => firm,
            };
            assert_eq!(code(&of, operation), expected, "{name} of a {} that is {state:?}", purchase.option());
        }
    }
}
