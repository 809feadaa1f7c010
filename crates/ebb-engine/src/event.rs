//! What happened? The account's log, from which every bill can be recomputed.

use crate::arrears::By;
use ebb_model::billing::GivenBack;
use ebb_model::disk::MadeOf;
use ebb_model::id::{
    AccountId, AddressId, AdjustmentId, DecisionId, DiskId, ImageId, RecordId, SecurityGroupId, VoucherId,
};
use ebb_model::instance::{Cause, End, Keep, Purchase};
use ebb_model::money::{Amount, Price};
use ebb_model::network::Ingress;
use ebb_model::person::Source;
use ebb_model::time::{Period, Second, Timestamp};
use ebb_model::traffic::Pool;
use ebb_model::trial::{AtEnd, Holder, Over};
use ebb_model::volume::VolumeId;
use ebb_model::voucher::{Scope, VoucherKind};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// One fact about an account or one of its instances. Appended, never changed; no personal fields, no secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    AccountOpened,
    AccountVerified {
        holder: Holder,
        /// Whose word it is, if not the operator's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Source>,
    },
    /// The outside verifier could not confirm who the account belongs to.
    VerificationRefused,
    /// Evidence was seen that was not known of this account: its kinds, never what it says.
    EvidenceSeen {
        kinds: Vec<String>,
        source: Source,
    },
    /// It belongs to the same person as another account, by which the person is called.
    AccountLinked {
        person: AccountId,
        /// The kinds of evidence that both share; none if it is the operator's word.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shared: Vec<String>,
    },
    AccountClosed,
    ToppedUp {
        amount: Amount,
    },
    TrialClaimed {
        holder: Holder,
        amount: Amount,
        hourly_cap: Price,
        valid_until: Second,
    },
    TrialAppealed,
    /// The operator lets it claim once in spite of what its person did.
    TrialOverruled {
        reason: String,
        /// The codes of the refusals that it lifts, as far as they come from what was done until then.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lifts: Vec<String>,
    },
    AppealRejected {
        reason: String,
    },
    /// The operator took what was left of the grant, and it pays for nothing after `at`.
    TrialRevoked {
        at: Second,
        amount: Amount,
        reason: String,
    },
    Bought {
        zone: String,
        flavor: String,
        purchase: Purchase,
        disk_price: Price,
        waits: bool,
        /// Others were given notice for it, so it is charged for a while at least.
        #[serde(default)]
        took_room: bool,
    },
    /// The guest was seen running; `first` begins the charge.
    Running {
        at: Second,
        first: bool,
    },
    /// What stays when it goes.
    KeepChanged(Keep),
    ImageAsked {
        image: ImageId,
        origin: String,
    },
    ImageAvailable {
        image: ImageId,
        bytes: i64,
    },
    /// Why is said with the image: it may quote what its owner sent.
    ImageFailed {
        image: ImageId,
    },
    ImageShared {
        image: ImageId,
        with: AccountId,
    },
    ImageUnshared {
        image: ImageId,
        with: AccountId,
    },
    ImageDeleted {
        image: ImageId,
    },
    /// Root has another password from the next start on.
    PasswordReset,
    /// The system disk is made anew of this image at the next start; what was on it is lost.
    SystemDiskReplaced {
        image: String,
        revision: i64,
    },
    StopAsked,
    /// It is to be off with its room given back, all but the disk.
    EconomicalStopAsked {
        /// vCPU and memory are charged up to here at most, however late it is off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        charged_until: Option<Second>,
    },
    Stopped {
        at: Second,
        /// From here on only its disk is charged.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        economical: bool,
    },
    StartAsked,
    /// A start after an economical stop, for which there is room on its host, now or soon. Charge begins when it runs.
    FirmStartAsked {
        waits: bool,
        /// Others were given notice for it.
        took_room: bool,
    },
    /// It is of another flavor and at another price from here on.
    Resized {
        flavor: String,
        purchase: Purchase,
        at: Second,
    },
    /// A new price holds for it from its date on: this much per hour, and this for its system disk.
    PriceChanged {
        price: Price,
        disk_price: Price,
        since: Second,
    },
    /// Some of what the account uses will cost more or less from an instant on.
    PriceChanges {
        from: Second,
        prices: Vec<NewPrice>,
    },
    DeleteAsked,
    /// A notice; the name is the one that tenants' tools filter the audit trail by.
    #[serde(rename = "interruptServer")]
    InterruptServer {
        cause: Cause,
        notice_at: Timestamp,
        deadline: Timestamp,
        /// Of a drill: how much of it is free.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        free_until: Option<Second>,
        /// What was decided; `ebb instances why` tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<DecisionId>,
    },
    /// The room that it waits for is cleared on another host, since the first one was lost.
    Replanned {
        #[serde(default)]
        took_room: bool,
    },
    /// Its host is lost; charge ended then and goes on when it runs again.
    HostLost {
        since: Second,
    },
    /// The guest itself said that it may go before its time.
    Approved {
        at: Timestamp,
    },
    /// Charge ended.
    Ended(End),
    Released {
        gone_at: Timestamp,
    },
    HourClosed {
        hour: Period,
    },
    /// What shall become of trial instances when the grant ends.
    TrialEndChosen {
        choice: AtEnd,
    },
    /// From this second on less than `percent` of the grant is left.
    TrialLow {
        at: Second,
        percent: i64,
        /// To which second it lasts, if all stays as it is.
        lasts_until: Second,
    },
    TrialEndsSoon {
        days: i64,
        valid_until: Second,
    },
    /// The grant paid up to this second; what becomes of its instances follows.
    TrialEnded {
        at: Second,
        by: Over,
        choice: AtEnd,
    },
    /// A trial instance is charged as on-demand from this second on.
    /// The grant's list changed: from then on it may pay for this instance, or may not any more.
    CoverageChanged {
        covered: bool,
        since: Second,
    },
    BecameOnDemand {
        since: Second,
    },
    /// It is sold otherwise from this second on; its owner wanted so (rules §4.3).
    Converted {
        from: String,
        purchase: Purchase,
        at: Second,
    },
    /// So many further months of a subscription are paid: this period, at today's price.
    Renewed {
        months: i64,
        price: Price,
        since: Second,
        until: Second,
        /// By itself, in the second of its end.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        auto: bool,
    },
    /// It was bought by the month and runs: the months that were ordered are paid, this period.
    SubscriptionBegan {
        months: i64,
        price: Price,
        since: Second,
        until: Second,
    },
    /// At its end so many months are paid, if the money is there then; none: it just ends.
    RenewalChosen {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        months: Option<i64>,
    },
    /// It was to renew itself in the second of its end, and could not; its end follows.
    RenewalFailed {
        at: Second,
        months: i64,
        /// The code of the refusal.
        why: String,
        /// What the months cost; absent where they are not sold any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needed: Option<Amount>,
        /// Cash, coupons and cards that may pay it, less holds.
        available: Amount,
    },
    SubscriptionEndsSoon {
        days: i64,
        until: Second,
        /// Of one that renews itself: for what, and whether the money is there now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        renewal: Option<RenewalOutlook>,
    },
    /// Nobody renewed it: it is switched off, and released at `kept_until`.
    SubscriptionEnded {
        at: Second,
        kept_until: Second,
    },
    /// What was left of the grant is gone with its validity.
    TrialExpired {
        amount: Amount,
    },
    /// A public address leads to the instance from here on, if to any; what leaves it is charged at this price per GB.
    AddressAllocated {
        address: AddressId,
        region: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ip: Option<Ipv4Addr>,
        overseas: bool,
        price: Price,
        /// It is to be paid by so many Mbit/s instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mbit: Option<i64>,
    },
    /// From this second on the address is paid by so many Mbit/s, each at this price per hour; without them by what leaves it, at this price
    /// per GB. Without a second: from the first of the instance with which it was allocated.
    AddressCharged {
        address: AddressId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mbit: Option<i64>,
        price: Price,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Second>,
    },
    /// A public address that led nowhere leads to the instance from here on.
    AddressBound {
        address: AddressId,
    },
    /// It leads there no more, and is kept.
    AddressUnbound {
        address: AddressId,
    },
    /// The instance is gone, and its public address is kept.
    AddressKept {
        address: AddressId,
        /// Its account is frozen, and its bandwidth was charged up to here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Second>,
    },
    AddressReleased {
        address: AddressId,
        /// Its bandwidth was charged up to here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Second>,
    },
    /// From here on a security group says this, and nothing else; also when it is new.
    SecurityGroupChanged {
        group: SecurityGroupId,
        name: String,
        rules: Vec<Ingress>,
    },
    SecurityGroupDeleted {
        group: SecurityGroupId,
    },
    /// From here on these groups say what may come in to the instance.
    SecurityGroupsChosen {
        groups: Vec<SecurityGroupId>,
    },
    /// So much more had left the address when its counter was read at `at`. What is read of a closed hour counts in the open one; then
    /// `read_at` says when it was read.
    TrafficCounted {
        address: AddressId,
        bytes: i64,
        at: Second,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read_at: Option<Second>,
    },
    /// With what was read at `at` less than `percent` of this pool of the month that began at `month` is left: so many GB.
    TrafficLow {
        pool: Pool,
        month: Second,
        percent: i64,
        left_gb: String,
        at: Second,
    },
    /// So much of a record was given back, to these sources; the record stays as it is (rules §5.3).
    Adjusted {
        adjustment: AdjustmentId,
        record: RecordId,
        amount: Amount,
        back: GivenBack,
        reason: String,
        /// The key whose holder gave it.
        by: String,
    },
    /// No more than this is to be payable in a calendar month.
    CapSet {
        amount: Amount,
    },
    CapRemoved,
    /// From this second on `percent` of the month's cap are payable.
    CapSoon {
        at: Second,
        percent: i64,
        /// When the cap acts, if all stays as it is; not in this month if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acts_at: Option<Second>,
    },
    /// So much is meant to be spent in a calendar month; its owner is told at these shares, in percent.
    BudgetSet {
        amount: Amount,
        alerts: Vec<i64>,
        /// Also when the month is expected to come to more.
        expected: bool,
    },
    BudgetRemoved,
    /// From this second on `percent` of the month's budget are payable. Nothing is stopped for it.
    BudgetReached {
        percent: i64,
        amount: Amount,
        payable: Amount,
        at: Second,
    },
    /// As it goes on the month will come to more than its budget; so it was known at this second.
    BudgetExpected {
        amount: Amount,
        expected: Amount,
        at: Second,
    },
    /// The cap allows nothing from this second on that can be stopped; what becomes of the instances follows.
    CapReached {
        at: Second,
    },
    /// The account has a coupon or a card, worth `face`, that pays within `[valid_from, expires_at)`.
    VoucherIssued {
        voucher: VoucherId,
        kind: VoucherKind,
        face: Amount,
        pays: Scope,
        valid_from: Second,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Second>,
    },
    /// The operator took what was left of it.
    VoucherRevoked {
        voucher: VoucherId,
        at: Second,
        amount: Amount,
        reason: String,
    },
    VoucherExpiresSoon {
        voucher: VoucherId,
        kind: VoucherKind,
        left: Amount,
        expires_at: Second,
    },
    /// What was left of it when it expired is gone.
    VoucherExpired {
        voucher: VoucherId,
        at: Second,
        amount: Amount,
    },
    /// With what was settled at this second nothing is left of it.
    VoucherUsedUp {
        voucher: VoucherId,
        kind: VoucherKind,
        at: Second,
    },
    /// With what its blocks have cost the account would owe more than the limit at `at`, and they are released then.
    DebtLimitSoon {
        at: Second,
        limit: Amount,
    },
    /// The same was so at `at`, the end of an hour; what becomes of its blocks follows.
    DebtLimitReached {
        at: Second,
        limit: Amount,
    },
    /// The settlement of this second left a debt. All goes on until the account is frozen, at `grace_until` or before.
    ArrearsBegan {
        since: Second,
        debt: Amount,
        grace_until: Second,
    },
    FreezeSoon {
        days: i64,
        freezes_at: Second,
    },
    /// It owes for too long, or too much: nothing is charged from `at` on; what becomes of its instances follows.
    AccountFrozen {
        at: Second,
        by: By,
        /// Then what is frozen is released.
        release_at: Second,
        /// These lead to subscriptions, which run on: their bandwidth is charged on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        addresses: Vec<AddressId>,
        /// And these are theirs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        disks: Vec<DiskId>,
    },
    ReleaseSoon {
        days: i64,
        release_at: Second,
    },
    /// Nobody paid: what was frozen is released.
    ArrearsReleased {
        at: Second,
    },
    /// A top-up paid what was left of the debt.
    ArrearsCleared {
        at: Second,
    },
    /// A data disk or a snapshot is being made: so many GiB, at this price for all of them per hour.
    VolumeCreated {
        volume: VolumeId,
        zone: String,
        gib: i64,
        price: Price,
        made_of: MadeOf,
        /// It was bought with the instance, and is charged once that has run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bought_with: bool,
    },
    /// Its host has it, and it is charged from here on.
    VolumeThere {
        volume: VolumeId,
        at: Second,
    },
    /// It could not be made.
    VolumeFailed {
        volume: VolumeId,
    },
    DiskAttached {
        disk: VolumeId,
    },
    DiskDetachAsked {
        disk: VolumeId,
    },
    /// No guest holds it any more. It goes on being charged.
    DiskDetached {
        disk: VolumeId,
    },
    /// It is so large, and charged for it, from here on.
    VolumeResized {
        volume: VolumeId,
        gib: i64,
        at: Second,
    },
    /// Charge ended.
    VolumeDeleted {
        volume: VolumeId,
        at: Second,
    },
    VolumeGone {
        volume: VolumeId,
        gone_at: Timestamp,
    },
    /// Its host has it no more, and was not told so; charge ended then.
    VolumeLost {
        volume: VolumeId,
        at: Second,
    },
    /// Its host is away; charge ended then and goes on when it is back.
    VolumeUnavailable {
        volume: VolumeId,
        since: Second,
    },
    /// Its account is frozen, and the subscription with which it ran on is over: it is charged up to here.
    VolumeFrozen {
        volume: VolumeId,
        at: Second,
    },
    VolumeAvailable {
        volume: VolumeId,
        at: Second,
    },
    /// With its account: nothing of the instance is charged from `at` on.
    Frozen {
        at: Second,
    },
    /// It is stopped from here on, and its disk charged again.
    Thawed {
        at: Second,
    },
}

/// An item of the price book, what it costs, and what it will cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPrice {
    pub item: String,
    pub before: Price,
    pub price: Price,
}

/// What a renewal will cost by the prices that are entered, and what would be there for it now: cash, coupons and cards that may pay it, less
/// holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalOutlook {
    pub months: i64,
    pub needed: Amount,
    pub available: Amount,
}

impl Event {
    pub fn name(&self) -> &'static str {
        match self {
            Event::AccountOpened => "account-opened",
            Event::AccountVerified { .. } => "account-verified",
            Event::VerificationRefused => "verification-refused",
            Event::EvidenceSeen { .. } => "evidence-seen",
            Event::AccountLinked { .. } => "account-linked",
            Event::AccountClosed => "account-closed",
            Event::ToppedUp { .. } => "topped-up",
            Event::TrialClaimed { .. } => "trial-claimed",
            Event::TrialAppealed => "trial-appealed",
            Event::TrialOverruled { .. } => "trial-overruled",
            Event::AppealRejected { .. } => "appeal-rejected",
            Event::TrialRevoked { .. } => "trial-revoked",
            Event::Bought { .. } => "bought",
            Event::Running { .. } => "running",
            Event::KeepChanged(_) => "keep-changed",
            Event::ImageAsked { .. } => "image-asked",
            Event::ImageAvailable { .. } => "image-available",
            Event::ImageFailed { .. } => "image-failed",
            Event::ImageShared { .. } => "image-shared",
            Event::ImageUnshared { .. } => "image-unshared",
            Event::ImageDeleted { .. } => "image-deleted",
            Event::PasswordReset => "password-reset",
            Event::SystemDiskReplaced { .. } => "system-disk-replaced",
            Event::StopAsked => "stop-asked",
            Event::EconomicalStopAsked { .. } => "economical-stop-asked",
            Event::Stopped { .. } => "stopped",
            Event::StartAsked => "start-asked",
            Event::FirmStartAsked { .. } => "firm-start-asked",
            Event::Resized { .. } => "resized",
            Event::PriceChanged { .. } => "price-changed",
            Event::PriceChanges { .. } => "price-changes",
            Event::DeleteAsked => "delete-asked",
            Event::InterruptServer { .. } => "interruptServer",
            Event::Replanned { .. } => "replanned",
            Event::HostLost { .. } => "host-lost",
            Event::Approved { .. } => "approved",
            Event::Ended(_) => "ended",
            Event::Released { .. } => "released",
            Event::HourClosed { .. } => "hour-closed",
            Event::TrialEndChosen { .. } => "trial-end-chosen",
            Event::TrialLow { .. } => "trial-low",
            Event::TrialEndsSoon { .. } => "trial-ends-soon",
            Event::TrialEnded { .. } => "trial-ended",
            Event::CoverageChanged { .. } => "coverage-changed",
            Event::BecameOnDemand { .. } => "became-on-demand",
            Event::Converted { .. } => "converted",
            Event::Renewed { .. } => "renewed",
            Event::SubscriptionBegan { .. } => "subscription-began",
            Event::RenewalChosen { .. } => "renewal-chosen",
            Event::RenewalFailed { .. } => "renewal-failed",
            Event::SubscriptionEndsSoon { .. } => "subscription-ends-soon",
            Event::SubscriptionEnded { .. } => "subscription-ended",
            Event::TrialExpired { .. } => "trial-expired",
            Event::AddressAllocated { .. } => "address-allocated",
            Event::AddressKept { .. } => "address-kept",
            Event::AddressReleased { .. } => "address-released",
            Event::AddressBound { .. } => "address-bound",
            Event::AddressCharged { .. } => "address-charged",
            Event::AddressUnbound { .. } => "address-unbound",
            Event::SecurityGroupChanged { .. } => "security-group-changed",
            Event::SecurityGroupDeleted { .. } => "security-group-deleted",
            Event::SecurityGroupsChosen { .. } => "security-groups-chosen",
            Event::TrafficCounted { .. } => "traffic-counted",
            Event::TrafficLow { .. } => "traffic-low",
            Event::Adjusted { .. } => "adjusted",
            Event::BudgetSet { .. } => "budget-set",
            Event::BudgetRemoved => "budget-removed",
            Event::BudgetReached { .. } => "budget-reached",
            Event::BudgetExpected { .. } => "budget-expected",
            Event::CapSet { .. } => "cap-set",
            Event::CapRemoved => "cap-removed",
            Event::CapSoon { .. } => "cap-soon",
            Event::CapReached { .. } => "cap-reached",
            Event::VoucherIssued { .. } => "voucher-issued",
            Event::VoucherRevoked { .. } => "voucher-revoked",
            Event::VoucherExpiresSoon { .. } => "voucher-expires-soon",
            Event::VoucherExpired { .. } => "voucher-expired",
            Event::VoucherUsedUp { .. } => "voucher-used-up",
            Event::DebtLimitSoon { .. } => "debt-limit-soon",
            Event::DebtLimitReached { .. } => "debt-limit-reached",
            Event::ArrearsBegan { .. } => "arrears-began",
            Event::FreezeSoon { .. } => "freeze-soon",
            Event::AccountFrozen { .. } => "account-frozen",
            Event::ReleaseSoon { .. } => "release-soon",
            Event::ArrearsReleased { .. } => "arrears-released",
            Event::ArrearsCleared { .. } => "arrears-cleared",
            Event::VolumeCreated { .. } => "volume-created",
            Event::VolumeThere { .. } => "volume-there",
            Event::VolumeFailed { .. } => "volume-failed",
            Event::DiskAttached { .. } => "disk-attached",
            Event::DiskDetachAsked { .. } => "disk-detach-asked",
            Event::DiskDetached { .. } => "disk-detached",
            Event::VolumeResized { .. } => "volume-resized",
            Event::VolumeDeleted { .. } => "volume-deleted",
            Event::VolumeGone { .. } => "volume-gone",
            Event::VolumeLost { .. } => "volume-lost",
            Event::VolumeUnavailable { .. } => "volume-unavailable",
            Event::VolumeFrozen { .. } => "volume-frozen",
            Event::VolumeAvailable { .. } => "volume-available",
            Event::Frozen { .. } => "frozen",
            Event::Thawed { .. } => "thawed",
        }
    }
}
