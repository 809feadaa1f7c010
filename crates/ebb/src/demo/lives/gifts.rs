//! Which coupons and cards does chance give away, and take back?

use super::Theatre;
use crate::failure::Failure;
use ebb_model::time::Timestamp;
use ebb_wire::person::Because;
use ebb_wire::problem::Page;
use ebb_wire::voucher::{IssueVoucher, Pays, Voucher};

impl Theatre<'_> {
    /// Somebody gets a coupon or a card, small or large, soon over or never, for all or for little; now and then one is taken back.
    pub(super) async fn vouchers(&mut self) -> Result<(), Failure> {
        let at = self.gifts.from(0, self.customers.len() as i64 - 1) as usize;
        let operator = &self.stage.operator;
        if self.gifts.percent(15) {
            let about = [("account", self.customers[at].id.as_str())];
            let all: Page<Voucher> = operator.all("/v1/vouchers", &about).await?;
            let Some(one) = self.gifts.one(&all.items).map(|one| one.id.clone()) else { return Ok(()) };
            let because = Because { reason: "a whim".to_owned() };
            let answer = operator.post::<Voucher>(&format!("/v1/vouchers/{one}/revoke"), &because).await;
            return self.tally("revoke a voucher", answer).map(drop);
        }
        let now = self.stage.now().await?;
        let kind = ["cash-coupon", "discount-coupon", "card"][self.gifts.from(0, 2) as usize];
        let large = self.gifts.percent(25);
        let face = format!("{}.{:08}", if large { self.gifts.from(1, 200) } else { 0 }, self.gifts.from(1, 99_999_999));
        let seconds = match self.gifts.from(1, 100) {
            1..=40 => Some(self.gifts.from(60, 20_000)),
            // Often at a full hour, where one is closed.
            41..=60 => Some((now.second().unix() / 3_600 + self.gifts.from(1, 30)) * 3_600 - now.second().unix()),
            61..=80 => Some(self.gifts.from(86_400, 20 * 86_400)),
            _ => None,
        };
        let valid_from = self.gifts.percent(15).then(|| now.plus_seconds(self.gifts.from(1, 3_000)).to_string());
        let expires_at =
            seconds.map(|seconds| Timestamp::from_micros(now.second().plus(seconds).unix() * 1_000_000).to_string());
        let voucher = IssueVoucher { kind: kind.to_owned(), face, valid_from, expires_at, pays: self.pays() };
        let path = format!("/v1/accounts/{}/vouchers", self.customers[at].id);
        let answer = self.stage.operator.post::<Voucher>(&path, &voucher).await;
        self.tally("issue a voucher", answer).map(drop)
    }

    /// For what one pays: mostly for all.
    fn pays(&mut self) -> Pays {
        let gifts = &mut self.gifts;
        let mut some = |chance: i64, all: &[&str]| -> Vec<String> {
            let named = gifts.percent(chance);
            all.iter().filter(|_| named && gifts.percent(50)).map(|name| (*name).to_owned()).collect()
        };
        let flavors: Vec<&str> = self.stage.catalog.flavors.iter().map(|flavor| flavor.id.as_str()).collect();
        let regions: Vec<&str> = self.stage.catalog.zones.iter().map(|zone| zone.region.as_str()).collect();
        Pays {
            options: some(20, &["on-demand", "trial", "spot-block", "subscription"]),
            meters: some(25, &["compute", "system-disk", "traffic", "subscription"]),
            flavors: some(10, &flavors),
            regions: some(10, &regions),
        }
    }
}
