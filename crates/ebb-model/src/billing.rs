//! What was used, and what does a bill say about it?

use crate::id::{
    AccountId, AddressId, AdjustmentId, DiskId, InstanceId, NotAnId, RecordId, SnapshotId, SpanId, VoucherId,
};
use crate::instance::Cause;
use crate::money::{Amount, Exact, Price};
use crate::price::Prices;
use crate::time::{HOUR, Period, Second, Timestamp};
use crate::voucher::{Gone, VoucherKind};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Index, IndexMut};
use std::str::FromStr;

/// What is used and charged. Instances come first: a grant pays for them in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceId {
    Instance(InstanceId),
    Disk(DiskId),
    Snapshot(SnapshotId),
    Address(AddressId),
}

impl ResourceId {
    pub fn instance(self) -> Option<InstanceId> {
        match self {
            ResourceId::Instance(id) => Some(id),
            _ => None,
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResourceId::Instance(id) => id.fmt(f),
            ResourceId::Disk(id) => id.fmt(f),
            ResourceId::Snapshot(id) => id.fmt(f),
            ResourceId::Address(id) => id.fmt(f),
        }
    }
}

impl FromStr for ResourceId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let disk = |text: &str| text.parse().map(ResourceId::Disk);
        let snapshot = |text: &str| text.parse().map(ResourceId::Snapshot);
        let address = |text: &str| text.parse().map(ResourceId::Address);
        let other = disk(text).or_else(|_| snapshot(text)).or_else(|_| address(text));
        other.or_else(|_| text.parse().map(ResourceId::Instance))
    }
}

impl From<InstanceId> for ResourceId {
    fn from(id: InstanceId) -> Self {
        ResourceId::Instance(id)
    }
}

/// Which use of a resource is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meter {
    /// vCPU and memory of an instance.
    Compute,
    SystemDisk,
    /// Months of an instance with its system disk, paid in advance.
    Subscription,
    /// The room of a data disk, attached or not.
    DataDisk,
    /// The room of a snapshot.
    Snapshot,
    /// The bandwidth of a public address that is paid by it.
    Bandwidth,
}

impl Meter {
    pub const ALL: [Meter; 6] =
        [Meter::Compute, Meter::SystemDisk, Meter::Subscription, Meter::DataDisk, Meter::Snapshot, Meter::Bandwidth];

    /// What is measured of an instance second by second.
    pub const OF_INSTANCE: &[Meter] = &[Meter::Compute, Meter::SystemDisk];

    pub fn name(self) -> &'static str {
        match self {
            Meter::Compute => "compute",
            Meter::SystemDisk => "system-disk",
            Meter::Subscription => "subscription",
            Meter::DataDisk => "data-disk",
            Meter::Snapshot => "snapshot",
            Meter::Bandwidth => "bandwidth",
        }
    }
}

/// A sum for each meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByMeter([Exact; Meter::ALL.len()]);

impl ByMeter {
    pub fn total(&self) -> Exact {
        self.0.iter().copied().sum()
    }
}

impl Index<Meter> for ByMeter {
    type Output = Exact;

    fn index(&self, meter: Meter) -> &Exact {
        &self.0[meter as usize]
    }
}

impl IndexMut<Meter> for ByMeter {
    fn index_mut(&mut self, meter: Meter) -> &mut Exact {
        &mut self.0[meter as usize]
    }
}

/// When a span is turned into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "settled", rename_all = "kebab-case")]
pub enum Settled {
    /// When the clock hour closes. `trial`: the grant may pay (rules §3.3).
    Hourly { trial: bool },
    /// All at the release, cut also at the boundaries of periods of `hours` (rules §2.4).
    AtRelease { hours: i64 },
    /// When it was paid, before it was used (rules §4.3).
    InAdvance { months: i64 },
}

/// An uninterrupted use of one resource: `[since, until)`, open while `until` is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub id: SpanId,
    pub account: AccountId,
    pub resource: ResourceId,
    pub meter: Meter,
    /// What it costs, with the changes that are known.
    pub price: Prices,
    /// Whose changes of price it takes; none: it keeps its own (rules §5.3).
    pub follows: Option<Follows>,
    pub settled: Settled,
    pub since: Second,
    pub until: Option<Second>,
}

impl Span {
    /// The instance, if it is one's.
    pub fn instance(&self) -> Option<InstanceId> {
        self.resource.instance()
    }
}

/// An item of the price book, by its name, and so many units of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Follows {
    pub item: String,
    pub units: i64,
}

/// A stretch of a span within one clock hour, one guarantee period and one coverage: what one record will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub account: AccountId,
    pub resource: ResourceId,
    pub span: SpanId,
    pub meter: Meter,
    pub price: Price,
    pub period: Period,
    /// Of a subscription: the quantity is so many months, at a price per month. Else it is seconds, at a price per hour.
    pub months: Option<i64>,
    pub waiver: Option<Cause>,
    /// Whether a trial grant may pay for it.
    pub covered: bool,
}

impl Charge {
    /// The instance, if it is one's.
    pub fn instance(&self) -> Option<InstanceId> {
        self.resource.instance()
    }

    pub fn seconds(&self) -> i64 {
        self.period.seconds()
    }

    /// Quantity times price, before anything is waived or paid.
    pub fn gross(&self) -> Exact {
        self.price.charge(self.months.map_or(self.seconds(), |months| months * HOUR))
    }
}

/// How a charge is paid; waived, grant and payable sum up to its gross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Split {
    pub waived: Exact,
    pub grant: Exact,
    pub payable: Exact,
    /// Of what is payable: paid by coupons and cards. The rest comes from cash, then it is debt.
    pub vouchers: Exact,
}

impl Split {
    pub fn total(&self) -> Exact {
        self.waived + self.grant + self.payable
    }

    pub fn plus(self, other: Split) -> Split {
        Split {
            waived: self.waived + other.waived,
            grant: self.grant + other.grant,
            payable: self.payable + other.payable,
            vouchers: self.vouchers + other.vouchers,
        }
    }
}

/// A line of a bill. Exact: quantity × unit price; never edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillRecord {
    pub id: RecordId,
    pub charge: Charge,
    pub split: Split,
    /// When it was issued: the close of the hour, the block's release, or the payment in advance.
    pub issued_at: Second,
}

/// Where something goes that is given back: to the sources that paid, the last one first (rules §5.3).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GivenBack {
    /// It lowers what is owed.
    pub debt: Amount,
    pub cash: Amount,
    /// To coupons and cards, first to the one that paid last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vouchers: Vec<ToVoucher>,
    /// To a grant that may still pay with it.
    pub grant: Amount,
    /// To a grant that is over: gone as the rest of it.
    pub expired: Amount,
}

/// So much comes back to one coupon or card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToVoucher {
    pub voucher: VoucherId,
    pub kind: VoucherKind,
    pub amount: Amount,
    /// It was over before: this is gone as the rest of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
}

impl GivenBack {
    pub fn total(&self) -> Amount {
        self.payable() + self.to_vouchers() + self.granted()
    }

    pub fn to_vouchers(&self) -> Amount {
        self.vouchers.iter().map(|one| one.amount).sum()
    }

    pub fn to_voucher(&self, id: VoucherId) -> Amount {
        self.vouchers.iter().filter(|one| one.voucher == id).map(|one| one.amount).sum()
    }

    /// What the customer had to pay in cash.
    pub fn payable(&self) -> Amount {
        self.debt + self.cash
    }

    pub fn granted(&self) -> Amount {
        self.grant + self.expired
    }

    pub fn plus(mut self, other: GivenBack) -> GivenBack {
        self.vouchers.extend(other.vouchers);
        GivenBack {
            vouchers: self.vouchers,
            debt: self.debt + other.debt,
            cash: self.cash + other.cash,
            grant: self.grant + other.grant,
            expired: self.expired + other.expired,
        }
    }
}

/// What was given back of a record, which stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    pub id: AdjustmentId,
    pub account: AccountId,
    pub record: RecordId,
    pub at: Timestamp,
    pub back: GivenBack,
    /// The first second that no closed hour held then: what goes to a grant may pay from here on.
    pub open_since: Second,
    pub reason: String,
    /// The key whose holder gave it.
    pub by: String,
}
