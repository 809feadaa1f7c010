//! What moves in the ledger when an hour closes, a block is released or months are paid? (rules §1.2, §5.1)

use ebb_ledger::{Entry, Place, Revenue};
use ebb_model::billing::{ByMeter, Charge, Meter, Split};
use ebb_model::id::{AccountId, VoucherId};
use ebb_model::money::{Amount, Exact};
use ebb_model::traffic::{TrafficCharge, TrafficPaid};
use ebb_model::trial::TrialGrant;
use ebb_model::voucher::{Fine, Voucher, VoucherKind};

/// Running totals of an account, exact. What is posted is the difference of their roundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub paid: Split,
    /// By kind of what was sold.
    pub sold: ByMeter,
    /// In an exact unit of its own; what was sold is the sum of its parts.
    pub traffic: TrafficPaid,
}

impl Totals {
    fn plus(self, charges: &[Charge], splits: &[Split]) -> Totals {
        charges.iter().zip(splits).fold(self, |mut totals, (charge, split)| {
            totals.paid = totals.paid.plus(*split);
            totals.sold[charge.meter] += charge.gross();
            totals
        })
    }
}

/// What a customer has to pay with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purse {
    pub cash: Amount,
    pub debt: Amount,
}

/// The outcome of settling some charges.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub entry: Entry,
    pub totals: Totals,
    pub purse: Purse,
}

/// What a voucher has paid, before and after. What is posted is the difference of the roundings, for each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoucherUse {
    pub voucher: VoucherId,
    pub before: Fine,
    pub after: Fine,
}

/// Settles charges with the way each is paid. What is payable and no voucher pays comes from cash, then it is debt.
pub fn settle(account: AccountId, before: Totals, purse: Purse, charges: &[Charge], splits: &[Split]) -> Settlement {
    settle_with_vouchers(account, before, purse, charges, splits, &[], &[])
}

/// The same with what left public addresses, and where coupons and cards pay, as the parts say.
pub fn settle_with_vouchers(
    account: AccountId,
    before: Totals,
    purse: Purse,
    charges: &[Charge],
    splits: &[Split],
    traffic: &[TrafficCharge],
    vouchers: &[VoucherUse],
) -> Settlement {
    let mut totals = before.plus(charges, splits);
    totals.traffic = before.traffic.plus(traffic.iter().map(TrafficCharge::paid).sum());
    let moved = |of: fn(&Totals) -> Exact| of(&totals).posted_since(of(&before));
    let waived = moved(|t| t.paid.waived);
    let grant = moved(|t| t.paid.grant);
    let flowed = |of: fn(&TrafficPaid) -> Amount| of(&totals.traffic) - of(&before.traffic);
    let pools = flowed(|t| t.pools.posted());
    let sent = flowed(|t| t.total().posted());
    // A total of its own: what vouchers pay is rounded by voucher, and must leave nobody less than nothing to pay.
    let payable = moved(|t| t.paid.payable - t.paid.vouchers) + flowed(|t| (t.payable - t.vouchers).posted());
    let used = |one: &VoucherUse| (Place::Voucher(one.voucher), one.after.posted() - one.before.posted());
    let used: Vec<(Place, Amount)> = vouchers.iter().map(used).collect();
    let by_vouchers: Amount = used.iter().map(|(_, amount)| *amount).sum();
    let sold = |meter: Meter| totals.sold[meter].posted_since(before.sold[meter]);
    let by_time: Amount = Meter::ALL.into_iter().map(sold).sum();

    let cash = payable.min(purse.cash).max(Amount::ZERO);
    let debt = payable - cash;
    let rounding = (waived + grant + pools + by_vouchers + payable) - (by_time + sent);
    let postings = [
        (Place::Waiver, waived),
        (Place::Grant(account), grant),
        (Place::TrafficPools, pools),
        (Place::Cash(account), cash),
        (Place::Receivable(account), debt),
        (Place::Revenue(Revenue::Traffic), -sent),
        (Place::Rounding, -rounding),
    ];
    let revenue = Meter::ALL.into_iter().map(|meter| (Place::Revenue(Revenue::Of(meter)), -sold(meter)));
    let entry =
        Entry::new(used.into_iter().chain(postings).chain(revenue)).expect("parts, kinds and their difference balance");
    Settlement { entry, totals, purse: Purse { cash: purse.cash - cash, debt: purse.debt + debt } }
}

/// What is left of a grant when nothing can use it any more goes back to where it came from; so much is posted (rules §3.8).
/// With what was used it makes up the whole grant, to the last digit.
pub fn expire(account: AccountId, grant: &TrialGrant) -> (Entry, Amount) {
    let amount = (grant.issued - grant.revoked).posted() - grant.used.posted();
    (Entry::transfer(Place::Promotion, Place::Grant(account), amount), amount)
}

/// A voucher is issued. Coupons cost what grants do; what a card was sold for, if it was, is no business of these books.
pub fn issue(voucher: &Voucher) -> Entry {
    Entry::transfer(Place::Voucher(voucher.id), source(voucher.kind), voucher.face)
}

/// All that is left of a voucher goes back to where it came from, expired or revoked; so much is posted.
/// With what was used it makes up its face, to the last digit.
pub fn end_voucher(voucher: &Voucher) -> (Entry, Amount) {
    let amount = voucher.left_posted();
    (Entry::transfer(source(voucher.kind), Place::Voucher(voucher.id), amount), amount)
}

/// Where what it is worth comes from, and what is gone of it goes to.
pub(crate) fn source(kind: VoucherKind) -> Place {
    match kind {
        VoucherKind::CashCoupon | VoucherKind::DiscountCoupon => Place::Promotion,
        VoucherKind::Card => Place::Cards,
    }
}

/// A top-up pays the debt first (rules §5.2).
pub fn top_up(account: AccountId, purse: Purse, amount: Amount) -> (Entry, Purse) {
    let repaid = amount.min(purse.debt);
    let entry = Entry::new([
        (Place::Bank, amount),
        (Place::Receivable(account), -repaid),
        (Place::Cash(account), -(amount - repaid)),
    ])
    .expect("what comes in is what is repaid and what is kept");
    (entry, Purse { cash: purse.cash + (amount - repaid), debt: purse.debt - repaid })
}
