//! Why not? Every refusal of the rules, with a code for programs and a sentence for people.

use ebb_model::id::InstanceId;
use ebb_model::money::Amount;
use ebb_model::pool::REST_SECONDS;
use ebb_model::time::Timestamp;

/// What a request may be refused for. The sentence names the rule and the way out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("zone `{0}` is not in the catalog; `ebb catalog` lists the zones")]
    UnknownZone(String),
    #[error("flavor `{0}` is not in the catalog; `ebb catalog` lists the flavors")]
    UnknownFlavor(String),
    #[error("there is no image `{0}` for this account; `ebb catalog` and `ebb images list` list those that it may use")]
    UnknownImage(String),
    #[error("the image is {state}; only one that is available can be used (`ebb images list`)")]
    ImageNotReady { state: &'static str },
    #[error("the image needs a system disk of {gib} GiB, and the disk has {disk_gib}: make the image smaller")]
    ImageTooLarge { gib: i64, disk_gib: i64 },
    #[error("instance {instance} has a system disk of the image; release it first, or reinstall it of another image")]
    ImageInUse { instance: InstanceId },
    #[error(
        "an instance of an account that it was shared with has a system disk of the image; unshare it, and delete it when that is gone"
    )]
    ImageInUseElsewhere,
    #[error("the image is deleted")]
    ImageDeleted,
    #[error("the image is {state}: its bytes are sent once, while it is importing; begin another import")]
    ImageHasBytes { state: &'static str },
    #[error(
        "image `{image}` needs {memory_mib} MiB of memory, and `{flavor}` has {has}: choose a larger flavor (`ebb catalog`)"
    )]
    ImageNeedsMemory { image: String, memory_mib: i64, flavor: String, has: i64 },
    #[error(
        "no host of zone `{zone}` has image `{image}`: choose another image or zone, or bring your own (`ebb images import`)"
    )]
    ImageNotThere { image: String, zone: String },
    #[error("the host that has the instance's disk does not have image `{0}`: choose another (`ebb catalog`)")]
    ImageNotBesideDisk(String),
    #[error("no host that keeps images is connected; try again shortly")]
    NoHostForImages,
    #[error("flavor `{flavor}` is not sold as {option}; `ebb catalog` shows what is")]
    NotOnSale { flavor: String, option: &'static str },
    #[error("a spot block of `{flavor}` lasts 1 to {longest} hours, not {hours}")]
    Hours { flavor: String, hours: i64, longest: i64 },
    #[error("a spot block has 1 or more periods, not {0}")]
    NoPeriods(i64),
    #[error("more than one period is sold only with hours = 6, not with hours = {hours}")]
    PeriodsNeedSixHours { hours: i64 },
    #[error("a spot block of `{flavor}` has at most {most} periods, not {periods}")]
    TooManyPeriods { flavor: String, periods: i64, most: i64 },
    #[error("`hours` and `periods` belong to a spot block, not to {option}")]
    HoursWithoutBlock { option: &'static str },
    #[error("`{flavor}` is sold out as a spot block in zone `{zone}`; `ebb offers` shows what is left")]
    SoldOut { flavor: String, zone: String },
    #[error("`{flavor}` is not on sale as a spot block in zone `{zone}`; `ebb offers` shows what is")]
    SpotOff { flavor: String, zone: String },
    #[error("a spot block cannot have image `{0}`, which is from a marketplace; choose another image")]
    MarketplaceImage(String),
    #[error("a spot block has no automatic recovery; leave it out, or buy on demand")]
    AutoRecovery,
    #[error("{0} is not offered here")]
    NotOffered(&'static str),
    #[error(
        "the account's spot blocks may have {most} of `{kind}` together, this would make {wanted}; release one first"
    )]
    SpotQuota { kind: String, wanted: i64, most: i64 },
    #[error("orders of this account made others go {most} times within an hour; wait, or choose a zone with free room")]
    TooManyTakings { most: i64 },
    #[error("a spot block cannot be {what}; release it and buy what you need instead")]
    NeverForBlocks { what: &'static str, code: &'static str },
    #[error(
        "an interruption notice is out: until its release at {deadline} the instance cannot be {what}; an image of a data disk can be made"
    )]
    NotWhileReclaiming { what: &'static str, code: &'static str, deadline: Timestamp },
    #[error("the account asked for {most} drills today, and no more are taken; try again tomorrow")]
    TooManyDrills { most: i64 },
    #[error("{most} drills a minute are taken here, and so many have begun; try again shortly")]
    DrillsBusy { most: i64 },
    #[error(
        "{item}: {price} at {at}, where it was sold at {was}: what is over keeps its price; give the new one a date after {now} (rules §5.3)"
    )]
    PriceInThePast { item: String, at: Timestamp, price: String, was: String, now: Timestamp },
    #[error("the price is {price} per hour now, not the expected {expected}; ask for a quote again")]
    PriceChanged { price: String, expected: String },
    #[error(
        "the account is not verified, and only verified ones may buy or claim: the operator verifies it, or an outside verifier (`ebb accounts prove`)"
    )]
    Unverified,
    #[error("the account is closed; what it had can still be looked at")]
    AccountClosed,
    #[error("the account cannot be closed while {0}")]
    NotYetClosed(String),
    #[error("{kind}: {why} (rules §3.2)")]
    Evidence { kind: &'static str, why: String },
    #[error(
        "a verifier says by what he knows whom he verified: send a document, a phone or a payment account as evidence (rules §3.2)"
    )]
    VerifiedByNothing,
    #[error("a report holds at most {most} pieces of evidence, this one {given}; send several")]
    TooMuchEvidence { given: usize, most: usize },
    #[error("no outside verifier works for this installation; ask the operator to verify the account")]
    NoVerifier,
    #[error("the message is not signed as the verifier signs (Standard Webhooks, `v1`): {0}")]
    Forged(&'static str),
    #[error("the message was signed more than {0} seconds before or after this instant; sign it anew")]
    StaleSignature(i64),
    #[error("the reference is unknown, used or over; the account's owner gets a new one with `ebb accounts prove`")]
    ReferenceOver,
    #[error("the account owes {0}; top it up first")]
    Arrears(Amount),
    #[error(
        "the account is frozen since {since} for the {debt} that it owes: until a top-up pays them an instance or address can be released, and nothing else (rules §5.2; `ebb balance` says what follows)"
    )]
    AccountFrozen { debt: Amount, since: Timestamp },
    #[error(
        "this needs {needed} of unbound money (one hour, or one whole period of a block); {available} is there, with the vouchers that may pay it (rules §5.2): top up"
    )]
    InsufficientFunds { needed: Amount, available: Amount },
    #[error("the account may have {most} {what} and has as many; release one first")]
    Quota { what: &'static str, most: i64 },
    #[error("zone `{0}` has no room for this now, and none can be made; try another zone, a smaller flavor or later")]
    NoCapacity(String),
    #[error(
        "its host has no room to start it now, and none can be made; try later, or resize it to a smaller flavor first"
    )]
    NoRoomToStart,
    #[error(
        "its disk is on a host that is {host_is} and gives no room now, and the disk is nowhere else; try again when the host takes instances"
    )]
    HostOfDisk { host_is: String },
    #[error(
        "others had to go for its room, which it therefore keeps, and is charged for, until {until} at least; do it then (a stop that is not economical is possible now)"
    )]
    RoomWasTaken { until: Timestamp },
    #[error("only a stopped instance can be resized, and this one is {state}; stop it first, with `ebb stop`")]
    NotStopped { state: &'static str },
    #[error("the instance is of flavor `{0}` already; name another one (`ebb catalog` lists them)")]
    SameFlavor(String),
    #[error("it is paid in advance up to its end, so it cannot be {what}; {instead}")]
    PaidAhead { what: &'static str, code: &'static str, instead: &'static str },
    #[error("the instance is on demand already, and `ebb instances show` says at which price")]
    SameOption,
    #[error(
        "it is stopped economically and has no room that could be paid for; start it (`ebb start`) and convert it then"
    )]
    AwayToSubscription,
    #[error("a subscription is paid 1 to {most} months ahead, so {months} cannot be paid now; name another number")]
    Months { months: i64, most: i64 },
    #[error("{needed} are paid in advance, and {available} of unbound money is there: top up, or take fewer months")]
    NotPaidFor { needed: Amount, available: Amount },
    #[error("the price is {price} per month now, not the expected {expected}; ask for a quote again")]
    MonthPriceChanged { price: String, expected: String },
    #[error("only a subscription can be renewed; this instance is {option} (`ebb instances convert` makes it one)")]
    NotASubscription { option: &'static str },
    #[error(
        "the subscription ended at {ended_at}: renew it first (`ebb instances renew`); it is kept until {kept_until} and released then"
    )]
    SubscriptionOver { ended_at: Timestamp, kept_until: Timestamp },
    #[error(
        "its host has no room free for the larger flavor; stop it economically (`ebb stop --economical`) and resize it then: its start makes room"
    )]
    NoRoomToGrow,
    #[error(
        "an interruption notice is out: until its release at {deadline} the instance takes no stop, start or delete"
    )]
    Reclaiming { deadline: Timestamp },
    #[error(
        "region `{0}` has no public addresses; buy without one, or in a region for which `ebb catalog` shows a price of traffic"
    )]
    NoPublicAddresses(String),
    #[error(
        "its host, of driver `{driver}`, takes no public addresses or cannot count what leaves them; do without one, or buy in another zone"
    )]
    NotMetered { driver: String },
    #[error("the public address is released already; `ebb addresses list` shows those that are there")]
    AddressReleased,
    #[error("the public address leads to an instance already; unbind it first (`ebb addresses unbind`)")]
    AddressBound,
    #[error("the public address leads nowhere; `ebb addresses list` shows what each leads to")]
    AddressUnbound,
    #[error("the public address is of region `{address}` and the instance in region `{instance}`; they must be in one")]
    OtherRegion { address: String, instance: String },
    #[error("{most} public addresses may lead to one instance, and as many do; unbind one first")]
    TooManyAddresses { most: i64 },
    #[error(
        "all public addresses of region `{0}` are given, or were until {rest} minutes ago; try later, or another region",
        rest = REST_SECONDS / 60
    )]
    NoPublicAddressLeft(String),
    #[error(
        "all private addresses of region `{0}` are given, or were until {rest} minutes ago; try later, or another region",
        rest = REST_SECONDS / 60
    )]
    NoPrivateAddressLeft(String),
    #[error("region `{0}` has as many private networks as there can be; buy in another region")]
    NoNetworkLeft(String),
    #[error("region `{0}` sells no bandwidth; take an address that is paid by traffic, or in another region")]
    NoBandwidth(String),
    #[error("an address has 1 to {most} Mbit/s of bandwidth, not {mbit}; name another number")]
    Mbit { mbit: i64, most: i64 },
    #[error("the public address is paid so already; `ebb addresses list` shows how each is")]
    PaidSoAlready,
    #[error("region `{0}` is not in the catalog; `ebb catalog` lists the zones with their regions")]
    UnknownRegion(String),
    #[error("`{0}` is a security group of the account already; choose another name")]
    GroupExists(String),
    #[error("security group `{name}` says what may come in to {instances} instances; put them into another one first")]
    GroupInUse { name: String, instances: usize },
    #[error("every account keeps its security group `default`; change its rules instead")]
    DefaultGroup,
    #[error("a security group has at most {most} rules; deny one first, or make another group")]
    TooManyRules { most: i64 },
    #[error("an instance is in one to {most} security groups, not in {given}; name others, or put rules together")]
    NumberOfGroups { given: usize, most: i64 },
    #[error("the instance is released")]
    Released,
    #[error("only a spot block can be reclaimed; this instance is {option}")]
    NotABlock { option: &'static str },
    #[error("the instance is {state} and cannot be asked to {verb} now; try again when it is settled")]
    WrongState { state: &'static str, verb: &'static str },
    #[error("the lease ends at {lease_end}, before a notice given now would: it ends by itself")]
    LeaseEndsFirst { lease_end: Timestamp },
    #[error(
        "others were given notice for this order, so it can no longer be withdrawn (it starts when their room is free)"
    )]
    CausedNotice,
    #[error("this account claimed before, and one person claims once (rules §3.2); `ebb trial show` shows its grant")]
    AlreadyClaimed,
    #[error(
        "this account ran an instance before, and the trial is for those who never did (rules §3.2); if that is wrong, `ebb trial appeal`"
    )]
    RanBefore,
    #[error(
        "one person claims once (rules §3.2), and another account of this person claimed (shared: {shared}); if that is wrong, `ebb trial appeal`"
    )]
    PersonClaimed { shared: String },
    #[error(
        "the trial is for those who never ran an instance (rules §3.2), and another account of this person did (shared: {shared}); if that is wrong, `ebb trial appeal`"
    )]
    PersonRan { shared: String },
    #[error(
        "the trial is for those who never ran an instance (rules §3.2), and an order of this account is under way; if it never runs it does not count: try again then"
    )]
    OrderUnderWay,
    #[error(
        "the trial is for those who never ran an instance (rules §3.2), and an order of another account of this person is under way (shared: {shared}); if it never runs it does not count: try again then"
    )]
    PersonOrderUnderWay { shared: String },
    #[error(
        "individual and enterprise exclude each other (rules §3.2), and another account of this person claimed as {claimed} (shared: {shared}); if that is wrong, `ebb trial appeal`"
    )]
    OtherHolderClaimed { claimed: &'static str, shared: String },
    #[error(
        "individual and enterprise exclude each other once one was claimed (rules §3.2), and this account claimed as {0}; leave it verified as that"
    )]
    HolderSettled(&'static str),
    #[error("nothing stands against a claim that an operator could overrule; `ebb trial check` says what to do")]
    NothingToAppeal,
    #[error("an appeal of this account waits for the operator; its answer is in `ebb trial appeals`")]
    AppealWaits,
    #[error("the account was allowed to claim already, and has not claimed since; `ebb trial claim`")]
    AlreadyOverruled,
    #[error("no appeal of this account waits for an answer; `ebb trial appeals` lists those that do")]
    NoAppeal,
    #[error("nothing is left of the account's grant, so nothing can be taken")]
    NothingToRevoke,
    #[error(
        "the account has no trial grant; claim it first with `ebb trial claim` (`ebb trial check` says whether it may)"
    )]
    NoGrant,
    #[error("the grant ended at {0}")]
    GrantOver(Timestamp),
    #[error("the grant was used up at {0}; buy on demand")]
    GrantUsedUp(Timestamp),
    #[error(
        "the operator took what was left of the grant at {0}; `ebb events` has the reason, and you can buy on demand"
    )]
    GrantTaken(Timestamp),
    #[error("flavor `{flavor}` in region `{region}` is not on the trial's list; `ebb catalog` shows the list")]
    NotOnTrialList { flavor: String, region: String },
    #[error("{price} per hour with its system disk is above the grant's hourly cap of {cap}")]
    AboveCap { price: String, cap: String },
    #[error("{together} per hour for all trial instances together is not below the grant's hourly cap of {cap}")]
    TogetherAboveCap { together: String, cap: String },
    #[error(
        "after a release a further trial instance needs more than {percent} % of the grant; {left} of {issued} is left"
    )]
    GrantNearlyUsed { left: String, issued: String, percent: i64 },
    #[error(
        "after a release a further trial instance needs more than {least} left of this hour's cap; {left} is left: try again after the full hour"
    )]
    HourNearlyUsed { left: String, least: String },
    #[error(
        "the account's spending cap is {cap} a month, and with this {needed} would be payable, though it were stopped after {seconds} seconds, with what goes on then ({spent} is payable so far; rules §3.8): raise the cap (`ebb cap set`), release something, or wait for the next month"
    )]
    SpendingCap { cap: Amount, needed: String, spent: String, seconds: i64 },
    #[error(
        "with a spending cap of {cap} a month there is no room for what is payable already and for what goes on when all is stopped, in this month or in a whole later one (rules §3.8); the least is {least}"
    )]
    CapTooLow { cap: Amount, least: Amount },
    #[error(
        "a record gives back no more than was paid of it, in whole units of 0.00000001 (rules §5.3): {left} is left, not {asked}; `ebb bill explain` shows what was given back"
    )]
    MoreThanPaid { asked: Amount, left: Amount },
    #[error("no data disks are sold here; `ebb catalog` shows what is")]
    NoDataDisks,
    #[error("no snapshots are sold here; `ebb catalog` shows what is")]
    NoSnapshots,
    #[error("a data disk has 1 to {largest} GiB, not {gib}")]
    DiskSize { gib: i64, largest: i64 },
    #[error(
        "a data disk only grows: it has {gib} GiB, and {wanted} would be fewer; make a smaller one and copy what is on it"
    )]
    DiskShrinks { gib: i64, wanted: i64 },
    #[error("the snapshot is of a disk of {least} GiB, so a disk of it has as many or more, not {gib}")]
    SmallerThanSnapshot { gib: i64, least: i64 },
    #[error("the account may have {most} {what}, and with this it would have {wanted}; delete some first")]
    VolumeQuota { what: &'static str, wanted: i64, most: i64 },
    #[error("an instance has at most {most} data disks; detach one first")]
    TooManyDisks { most: usize },
    #[error("the data disk is attached to {instance} and cannot be {verb}; detach it first (`ebb disks detach`)")]
    DiskAttached { instance: InstanceId, verb: &'static str },
    #[error("{copy} is being made of the {noun}; delete it when that is there, or delete that first")]
    BeingCopied { noun: &'static str, copy: String },
    #[error(
        "the data disk is on another host than the instance, and goes nowhere else: make a snapshot, or buy an instance with it (`ebb buy --attach`)"
    )]
    DiskElsewhere,
    #[error("the snapshot is in zone {zone}, and what is made of it is there, too; leave the zone out")]
    SnapshotElsewhere { zone: String },
    #[error("the data disks are on several hosts, and an instance can have those of one only")]
    DisksApart,
    #[error(
        "the host that has the disk has no room for the instance now, and none can be made; try later, or a smaller flavor"
    )]
    NoRoomBesideDisk,
    #[error(
        "its host has no room for {gib} GiB more; try fewer, or make a larger disk elsewhere and copy what is on it"
    )]
    NoRoomForDisk { gib: i64 },
    #[error("its host, of driver `{driver}`, has no data disks and makes no snapshots; choose another zone")]
    NoVolumesThere { driver: String },
    #[error(
        "the host of the {noun} is away since {since}, and nothing is charged for it; try again when it is back (rules §2.13)"
    )]
    VolumeAway { noun: &'static str, since: Timestamp },
    #[error("the {noun} is {state} and cannot be {verb} now; try again when it is settled")]
    VolumeState { noun: &'static str, state: &'static str, verb: &'static str },
    #[error("the {noun} is deleted")]
    VolumeGone { noun: &'static str },
    #[error("a voucher is worth more than 0 and at most {most} (rules §5.1); name another face")]
    VoucherFace { most: Amount },
    #[error(
        "{0} (rules §5.1): a voucher pays from `valid_from`, now if not given, until `expires_at`, never if not given"
    )]
    VoucherPeriod(&'static str),
    #[error(
        "{0}; a voucher's scope names purchase options, meters, flavors and regions that there are, and what is left out is not limited (rules §5.1)"
    )]
    VoucherScope(String),
    #[error("nothing is left of the voucher that could be taken: it is {0} (`ebb vouchers list --all` shows it)")]
    VoucherOver(&'static str),
}

impl Refused {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Refused::UnknownZone(_) => "unknown-zone",
            Refused::UnknownFlavor(_) => "unknown-flavor",
            Refused::UnknownImage(_) => "unknown-image",
            Refused::ImageNeedsMemory { .. } => "image-needs-memory",
            Refused::ImageNotThere { .. } => "image-not-there",
            Refused::ImageNotBesideDisk(_) => "image-not-beside-disk",
            Refused::ImageNotReady { .. } => "image-not-ready",
            Refused::ImageTooLarge { .. } => "image-too-large",
            Refused::ImageInUse { .. } | Refused::ImageInUseElsewhere => "image-in-use",
            Refused::ImageDeleted => "image-deleted",
            Refused::ImageHasBytes { .. } => "image-has-bytes",
            Refused::NoHostForImages => "no-host-for-images",
            Refused::NotOnSale { .. } => "not-on-sale",
            Refused::Hours { .. } => "hours-not-sold",
            Refused::NoPeriods(_) => "no-periods",
            Refused::PeriodsNeedSixHours { .. } => "periods-need-six-hours",
            Refused::TooManyPeriods { .. } => "too-many-periods",
            Refused::HoursWithoutBlock { .. } => "hours-without-block",
            Refused::SoldOut { .. } => "spot-sold-out",
            Refused::SpotOff { .. } => "spot-off",
            Refused::MarketplaceImage(_) => "marketplace-image",
            Refused::AutoRecovery => "spot-auto-recovery",
            Refused::NotOffered(_) => "not-offered",
            Refused::SpotQuota { .. } => "over-spot-quota",
            Refused::TooManyTakings { .. } => "too-many-takings",
            Refused::NeverForBlocks { code, .. } | Refused::NotWhileReclaiming { code, .. } => code,
            Refused::TooManyDrills { .. } => "too-many-drills",
            Refused::DrillsBusy { .. } => "drills-busy",
            Refused::PriceInThePast { .. } => "price-in-the-past",
            Refused::PriceChanged { .. } => "price-changed",
            Refused::Unverified => "unverified",
            Refused::Arrears(_) => "arrears",
            Refused::AccountFrozen { .. } => "account-frozen",
            Refused::InsufficientFunds { .. } => "insufficient-funds",
            Refused::Quota { .. } => "over-quota",
            Refused::NoCapacity(_) | Refused::NoRoomToStart => "no-capacity",
            Refused::HostOfDisk { .. } => "host-of-disk-closed",
            Refused::RoomWasTaken { .. } => "room-was-taken",
            Refused::NotStopped { .. } => "not-stopped",
            Refused::SameFlavor(_) => "same-flavor",
            Refused::NoRoomToGrow => "no-room-to-grow",
            Refused::PaidAhead { code, .. } => code,
            Refused::SameOption => "same-option",
            Refused::AwayToSubscription => "stopped-economically",
            Refused::Months { .. } => "months-not-sold",
            Refused::NotPaidFor { .. } => "insufficient-funds",
            Refused::MonthPriceChanged { .. } => "price-changed",
            Refused::NotASubscription { .. } => "not-a-subscription",
            Refused::SubscriptionOver { .. } => "subscription-over",
            Refused::Reclaiming { .. } => "reclaiming",
            Refused::Released => "released",
            Refused::NoPublicAddresses(_) => "no-public-addresses",
            Refused::NotMetered { .. } => "traffic-not-metered",
            Refused::AddressReleased => "address-released",
            Refused::AddressBound => "address-bound",
            Refused::AddressUnbound => "address-unbound",
            Refused::OtherRegion { .. } => "other-region",
            Refused::TooManyAddresses { .. } => "too-many-addresses",
            Refused::NoPublicAddressLeft(_) => "no-public-address-left",
            Refused::NoPrivateAddressLeft(_) => "no-private-address-left",
            Refused::NoNetworkLeft(_) => "no-network-left",
            Refused::UnknownRegion(_) => "unknown-region",
            Refused::NoBandwidth(_) => "no-bandwidth",
            Refused::Mbit { .. } => "mbit-not-sold",
            Refused::PaidSoAlready => "paid-so-already",
            Refused::GroupExists(_) => "security-group-exists",
            Refused::GroupInUse { .. } => "security-group-in-use",
            Refused::DefaultGroup => "security-group-default",
            Refused::TooManyRules { .. } => "too-many-rules",
            Refused::NumberOfGroups { .. } => "number-of-security-groups",
            Refused::NotABlock { .. } => "not-a-spot-block",
            Refused::WrongState { .. } => "wrong-state",
            Refused::LeaseEndsFirst { .. } => "lease-ends-first",
            Refused::CausedNotice => "order-caused-notice",
            Refused::AccountClosed => "account-closed",
            Refused::NotYetClosed(_) => "account-in-use",
            Refused::Evidence { .. } => "evidence-not-usable",
            Refused::VerifiedByNothing => "evidence-missing",
            Refused::TooMuchEvidence { .. } => "too-much-evidence",
            Refused::NoVerifier => "no-verifier",
            Refused::Forged(_) => "signature",
            Refused::StaleSignature(_) => "signature-stale",
            Refused::ReferenceOver => "reference-over",
            Refused::AlreadyClaimed => "trial-already-claimed",
            Refused::RanBefore => "trial-ran-before",
            Refused::PersonClaimed { .. } => "trial-person-claimed",
            Refused::PersonRan { .. } => "trial-person-ran",
            Refused::OrderUnderWay => "trial-order-under-way",
            Refused::PersonOrderUnderWay { .. } => "trial-person-order-under-way",
            Refused::OtherHolderClaimed { .. } => "trial-other-holder-claimed",
            Refused::HolderSettled(_) => "holder-settled",
            Refused::NothingToAppeal => "nothing-to-appeal",
            Refused::AppealWaits => "appeal-waits",
            Refused::AlreadyOverruled => "already-overruled",
            Refused::NoAppeal => "no-appeal",
            Refused::NothingToRevoke => "nothing-to-revoke",
            Refused::NoGrant => "no-trial-grant",
            Refused::GrantOver(_) => "trial-grant-over",
            Refused::GrantUsedUp(_) => "trial-grant-used-up",
            Refused::GrantTaken(_) => "trial-grant-revoked",
            Refused::NotOnTrialList { .. } => "not-on-trial-list",
            Refused::AboveCap { .. } => "above-trial-cap",
            Refused::TogetherAboveCap { .. } => "together-above-trial-cap",
            Refused::GrantNearlyUsed { .. } => "trial-grant-nearly-used",
            Refused::HourNearlyUsed { .. } => "trial-hour-nearly-used",
            Refused::SpendingCap { .. } => "spending-cap",
            Refused::CapTooLow { .. } => "cap-too-low",
            Refused::MoreThanPaid { .. } => "more-than-paid",
            Refused::NoDataDisks => "no-data-disks",
            Refused::NoSnapshots => "no-snapshots",
            Refused::DiskSize { .. } => "disk-size",
            Refused::DiskShrinks { .. } => "disk-shrinks",
            Refused::SmallerThanSnapshot { .. } => "smaller-than-snapshot",
            Refused::VolumeQuota { .. } => "over-disk-quota",
            Refused::TooManyDisks { .. } => "too-many-disks",
            Refused::DiskAttached { .. } => "disk-attached",
            Refused::BeingCopied { .. } => "being-copied",
            Refused::DiskElsewhere | Refused::SnapshotElsewhere { .. } => "disk-elsewhere",
            Refused::DisksApart => "disks-apart",
            Refused::NoRoomBesideDisk | Refused::NoRoomForDisk { .. } => "no-capacity",
            Refused::NoVolumesThere { .. } => "no-volumes-there",
            Refused::VolumeAway { .. } => "volume-unavailable",
            Refused::VolumeState { .. } => "volume-state",
            Refused::VolumeGone { .. } => "volume-deleted",
            Refused::VoucherFace { .. } => "voucher-face",
            Refused::VoucherPeriod(_) => "voucher-period",
            Refused::VoucherScope(_) => "voucher-scope",
            Refused::VoucherOver(_) => "voucher-over",
        }
    }
}
