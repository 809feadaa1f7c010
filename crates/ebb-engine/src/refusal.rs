//! Why not? Every refusal of the rules, with a code for programs and a sentence for people.

use ebb_model::money::Amount;
use ebb_model::time::Timestamp;

/// What a request may be refused for. The sentence names the rule and the way out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("zone `{0}` is not in the catalog; `ebb catalog` lists the zones")]
    UnknownZone(String),
    #[error("flavor `{0}` is not in the catalog; `ebb catalog` lists the flavors")]
    UnknownFlavor(String),
    #[error("image `{0}` is not in the catalog; `ebb catalog` lists the images")]
    UnknownImage(String),
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
    #[error("the price is {price} per hour now, not the expected {expected}; ask for a quote again")]
    PriceChanged { price: String, expected: String },
    #[error("the account is not verified; only verified accounts may buy")]
    Unverified,
    #[error("the account owes {0}; top it up first")]
    Arrears(Amount),
    #[error(
        "this needs {needed} of unbound money (one hour, or one whole period of a block); {available} is there: top up"
    )]
    InsufficientFunds { needed: Amount, available: Amount },
    #[error("the account may have {0} instances and has as many; release one first")]
    Quota(i64),
    #[error("zone `{0}` has no room for this now, and none can be made; try another zone, a smaller flavor or later")]
    NoCapacity(String),
    #[error(
        "an interruption notice is out: until its release at {deadline} the instance takes no stop, start or delete"
    )]
    Reclaiming { deadline: Timestamp },
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
    #[error("the account already has a trial grant; one person claims once")]
    AlreadyClaimed,
    #[error("the trial is for those who never ran an instance, and this account has")]
    RanBefore,
    #[error("the account has no trial grant; claim it first with `ebb trial claim`")]
    NoGrant,
    #[error("the grant ended at {0}")]
    GrantOver(Timestamp),
    #[error("the grant was used up at {0}; buy on demand")]
    GrantUsedUp(Timestamp),
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
}

impl Refused {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Refused::UnknownZone(_) => "unknown-zone",
            Refused::UnknownFlavor(_) => "unknown-flavor",
            Refused::UnknownImage(_) => "unknown-image",
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
            Refused::PriceChanged { .. } => "price-changed",
            Refused::Unverified => "unverified",
            Refused::Arrears(_) => "arrears",
            Refused::InsufficientFunds { .. } => "insufficient-funds",
            Refused::Quota(_) => "over-quota",
            Refused::NoCapacity(_) => "no-capacity",
            Refused::Reclaiming { .. } => "reclaiming",
            Refused::Released => "released",
            Refused::NotABlock { .. } => "not-a-spot-block",
            Refused::WrongState { .. } => "wrong-state",
            Refused::LeaseEndsFirst { .. } => "lease-ends-first",
            Refused::CausedNotice => "order-caused-notice",
            Refused::AlreadyClaimed => "trial-already-claimed",
            Refused::RanBefore => "trial-ran-before",
            Refused::NoGrant => "no-trial-grant",
            Refused::GrantOver(_) => "trial-grant-over",
            Refused::GrantUsedUp(_) => "trial-grant-used-up",
            Refused::NotOnTrialList { .. } => "not-on-trial-list",
            Refused::AboveCap { .. } => "above-trial-cap",
            Refused::TogetherAboveCap { .. } => "together-above-trial-cap",
            Refused::GrantNearlyUsed { .. } => "trial-grant-nearly-used",
            Refused::HourNearlyUsed { .. } => "trial-hour-nearly-used",
        }
    }
}
