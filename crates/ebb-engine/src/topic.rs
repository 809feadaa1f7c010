//! Of what happens to an instance or a trial, what is its owner told?

use crate::event::Event;
use ebb_model::instance::State;

/// The events that a subscription may name, in the order of a life.
pub const TOPICS: [&str; 29] = [
    "running",
    "stopped",
    "interruptServer",
    "host-lost",
    "ended",
    "released",
    "coverage-changed",
    "price-changes",
    "trial-low",
    "trial-ends-soon",
    "trial-ended",
    "traffic-low",
    "subscription-ends-soon",
    "renewal-failed",
    "subscription-ended",
    "cap-soon",
    "cap-reached",
    "voucher-expires-soon",
    "voucher-used-up",
    "debt-limit-soon",
    "debt-limit-reached",
    "arrears-began",
    "freeze-soon",
    "account-frozen",
    "release-soon",
    "arrears-released",
    "arrears-cleared",
    "budget-reached",
    "budget-expected",
];

/// Whether `event` is told to those who subscribed to it. `before` is the state that the instance left with it: what somebody asked for
/// himself is no news to him, so a stop is told only where nobody asked.
pub fn is_told(event: &Event, before: &State) -> bool {
    match event {
        Event::Stopped { .. } => !matches!(before, State::Stopping { .. } | State::Stopped),
        Event::Running { .. }
        | Event::InterruptServer { .. }
        | Event::HostLost { .. }
        | Event::Ended(_)
        | Event::Released { .. }
        | Event::CoverageChanged { .. }
        | Event::PriceChanges { .. }
        | Event::TrialLow { .. }
        | Event::TrialEndsSoon { .. }
        | Event::TrialEnded { .. }
        | Event::TrafficLow { .. }
        | Event::SubscriptionEndsSoon { .. }
        | Event::RenewalFailed { .. }
        | Event::SubscriptionEnded { .. }
        | Event::BudgetReached { .. }
        | Event::BudgetExpected { .. }
        | Event::CapSoon { .. }
        | Event::CapReached { .. }
        | Event::VoucherExpiresSoon { .. }
        | Event::VoucherUsedUp { .. }
        | Event::DebtLimitSoon { .. }
        | Event::DebtLimitReached { .. }
        | Event::ArrearsBegan { .. }
        | Event::FreezeSoon { .. }
        | Event::AccountFrozen { .. }
        | Event::ReleaseSoon { .. }
        | Event::ArrearsReleased { .. }
        | Event::ArrearsCleared { .. } => true,
        Event::AccountOpened
        | Event::AccountVerified { .. }
        | Event::VerificationRefused
        | Event::EvidenceSeen { .. }
        | Event::AccountLinked { .. }
        | Event::AccountClosed
        | Event::TrialAppealed
        | Event::TrialOverruled { .. }
        | Event::AppealRejected { .. }
        | Event::TrialRevoked { .. }
        | Event::ToppedUp { .. }
        | Event::TrialClaimed { .. }
        | Event::Bought { .. }
        | Event::StopAsked
        | Event::EconomicalStopAsked { .. }
        | Event::StartAsked
        | Event::FirmStartAsked { .. }
        | Event::Resized { .. }
        | Event::PriceChanged { .. }
        | Event::DeleteAsked
        | Event::Replanned { .. }
        | Event::KeepChanged(_)
        | Event::ImageAsked { .. }
        | Event::ImageAvailable { .. }
        | Event::ImageFailed { .. }
        | Event::ImageShared { .. }
        | Event::ImageUnshared { .. }
        | Event::ImageDeleted { .. }
        | Event::PasswordReset
        | Event::SystemDiskReplaced { .. }
        | Event::Approved { .. }
        | Event::TrialEndChosen { .. }
        | Event::BecameOnDemand { .. }
        | Event::Converted { .. }
        | Event::Renewed { .. }
        | Event::SubscriptionBegan { .. }
        | Event::RenewalChosen { .. }
        | Event::TrialExpired { .. }
        | Event::AddressAllocated { .. }
        | Event::AddressKept { .. }
        | Event::AddressReleased { .. }
        | Event::AddressBound { .. }
        | Event::AddressCharged { .. }
        | Event::AddressUnbound { .. }
        | Event::SecurityGroupChanged { .. }
        | Event::SecurityGroupDeleted { .. }
        | Event::SecurityGroupsChosen { .. }
        | Event::TrafficCounted { .. }
        | Event::Adjusted { .. }
        | Event::BudgetSet { .. }
        | Event::BudgetRemoved
        | Event::CapSet { .. }
        | Event::CapRemoved
        | Event::VoucherIssued { .. }
        | Event::VoucherRevoked { .. }
        | Event::VoucherExpired { .. }
        | Event::VolumeCreated { .. }
        | Event::VolumeThere { .. }
        | Event::VolumeFailed { .. }
        | Event::DiskAttached { .. }
        | Event::DiskDetachAsked { .. }
        | Event::DiskDetached { .. }
        | Event::VolumeResized { .. }
        | Event::VolumeDeleted { .. }
        | Event::VolumeGone { .. }
        | Event::VolumeLost { .. }
        | Event::VolumeUnavailable { .. }
        | Event::VolumeFrozen { .. }
        | Event::VolumeAvailable { .. }
        | Event::Frozen { .. }
        | Event::Thawed { .. }
        | Event::HourClosed { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrears::By;
    use ebb_model::id::VoucherId;
    use ebb_model::instance::Cause;
    use ebb_model::money::Amount;
    use ebb_model::time::{Second, Timestamp};
    use ebb_model::traffic::Pool;
    use ebb_model::trial::{AtEnd, Over};
    use ebb_model::voucher::VoucherKind;

    #[test]
    fn a_stop_is_told_only_where_nobody_asked_for_it() {
        let at = Timestamp::from_micros(0);
        let stopped = Event::Stopped { at: Second::from_unix(0), economical: false };
        assert!(is_told(&stopped, &State::Running));
        assert!(is_told(&stopped, &State::Starting { give_up_at: at }), "it was to start and did not");
        let waiting = State::Waiting { give_up_at: at, asked_at: Some(at) };
        assert!(is_told(&stopped, &waiting), "it was to start and no room came");
        assert!(!is_told(&stopped, &State::Stopping { force_at: at, economical: false }));
        assert!(!is_told(&stopped, &State::Stopped), "its owner gave its room back");
    }

    #[test]
    fn what_is_told_has_a_topic() {
        let at = Timestamp::from_micros(0);
        let (voucher, kind) = (VoucherId::new(Default::default()), VoucherKind::Card);
        let told = [
            Event::Running { at: at.second(), first: true },
            Event::Stopped { at: at.second(), economical: false },
            Event::InterruptServer {
                cause: Cause::Capacity,
                notice_at: at,
                deadline: at,
                free_until: None,
                decision: None,
            },
            Event::HostLost { since: at.second() },
            Event::Released { gone_at: at },
            Event::CoverageChanged { covered: false, since: at.second() },
            Event::PriceChanges { from: at.second(), prices: vec![] },
            Event::TrialLow { at: at.second(), percent: 20, lasts_until: at.second() },
            Event::TrialEndsSoon { days: 7, valid_until: at.second() },
            Event::TrialEnded { at: at.second(), by: Over::Validity, choice: AtEnd::Continue },
            Event::SubscriptionEndsSoon { days: 7, until: at.second(), renewal: None },
            Event::RenewalFailed {
                at: at.second(),
                months: 1,
                why: String::new(),
                needed: None,
                available: Amount::ZERO,
            },
            Event::SubscriptionEnded { at: at.second(), kept_until: at.second() },
            Event::TrafficLow {
                pool: Pool::Anywhere,
                month: at.second(),
                percent: 20,
                left_gb: String::new(),
                at: at.second(),
            },
            Event::CapSoon { at: at.second(), percent: 80, acts_at: None },
            Event::CapReached { at: at.second() },
            Event::VoucherExpiresSoon { voucher, kind, left: Amount::ZERO, expires_at: at.second() },
            Event::VoucherUsedUp { voucher, kind, at: at.second() },
            Event::DebtLimitSoon { at: at.second(), limit: Amount::ZERO },
            Event::DebtLimitReached { at: at.second(), limit: Amount::ZERO },
            Event::ArrearsBegan { since: at.second(), debt: Amount::ZERO, grace_until: at.second() },
            Event::FreezeSoon { days: 3, freezes_at: at.second() },
            Event::AccountFrozen {
                at: at.second(),
                by: By::Grace,
                release_at: at.second(),
                addresses: vec![],
                disks: vec![],
            },
            Event::ReleaseSoon { days: 3, release_at: at.second() },
            Event::ArrearsReleased { at: at.second() },
            Event::ArrearsCleared { at: at.second() },
            Event::BudgetReached { percent: 80, amount: Amount::ZERO, payable: Amount::ZERO, at: at.second() },
            Event::BudgetExpected { amount: Amount::ZERO, expected: Amount::ZERO, at: at.second() },
        ];
        assert!(told.iter().all(|event| is_told(event, &State::Running) && TOPICS.contains(&event.name())));
        assert!(!is_told(&Event::StopAsked, &State::Running) && !TOPICS.contains(&Event::StopAsked.name()));
    }
}
