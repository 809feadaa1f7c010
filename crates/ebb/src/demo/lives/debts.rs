//! What do those do who owe? Time passes to where something follows from it, and perhaps they pay: all, a part, or more.

use super::Theatre;
use crate::failure::Failure;
use ebb_model::money::Amount;
use ebb_model::time::Timestamp;
use ebb_wire::account::Account;
use ebb_wire::instance::{Buy, Instance};
use ebb_wire::problem::Page;
use ebb_wire::sandbox::Advance;

/// They buy on no more than that many accounts.
const MOST_ON_CREDIT: u32 = 4;
const ON_CREDIT: &str = "赊账";
const LONGEST_WAIT_SECONDS: i64 = 2 * 86_400 + 60;

impl Theatre<'_> {
    pub(super) async fn owe(&mut self) -> Result<(), Failure> {
        let accounts: Page<Account> = self.stage.operator.all("/v1/accounts", &[]).await?;
        let owing: Vec<Account> = accounts.items.into_iter().filter(|one| one.arrears.is_some()).collect();
        if self.on_credit < MOST_ON_CREDIT && (owing.is_empty() || self.debts.percent(30)) {
            return self.live_on_credit().await;
        }
        // Whoever came first pays what he owes, or little would happen any more; the others let it come to something.
        for one in owing.iter().filter(|one| !one.name.starts_with(ON_CREDIT)) {
            self.stage.top_up(&one.id, &one.arrears.as_ref().map(|owes| owes.debt.clone()).unwrap_or_default()).await?;
            self.stage.top_up(&one.id, &format!("{}.50", self.debts.from(0, 9))).await?;
            *self.done.entry("pay a debt".to_owned()).or_default() += 1;
        }
        let owing: Vec<Account> = owing.into_iter().filter(|one| one.name.starts_with(ON_CREDIT)).collect();
        let Some(one) = self.debts.one(&owing).cloned() else { return Ok(()) };
        let owes = one.arrears.expect("one of those who owe");
        let next_at = owes.next_at.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
        if let Some(next_at) = next_at.filter(|_| self.debts.percent(60)) {
            // Often to the very second, or one beside it.
            let beside = if self.debts.percent(70) { self.debts.from(-1, 2) } else { self.debts.from(-40_000, 4_000) };
            let seconds = next_at.millis_since(self.stage.now().await?) / 1_000 + beside;
            let seconds = Some(seconds.clamp(1, LONGEST_WAIT_SECONDS));
            self.stage.advance(Advance { seconds, to: None }).await?;
        }
        if self.debts.percent(30) {
            let debt = owes.debt.parse::<Amount>().unwrap_or_default();
            let amount = match self.debts.from(1, 10) {
                1..=2 => debt.units() / 2,
                3..=5 => debt.units(),
                _ => debt.units() + self.debts.from(0, 30) * 100_000_000,
            };
            self.stage.top_up(&one.id, &Amount::from_units(amount.max(1)).to_string()).await?;
            *self.done.entry("pay a debt".to_owned()).or_default() += 1;
        }
        Ok(())
    }

    /// A further customer has money for little more than what a purchase holds back, buys, and soon owes.
    async fn live_on_credit(&mut self) -> Result<(), Failure> {
        self.on_credit += 1;
        let cash = format!("{}.{:08}", self.debts.from(0, 2), self.debts.from(20_000_000, 99_999_999));
        let customer = self.stage.customer(&format!("{ON_CREDIT} {}", self.on_credit), "individual", &cash).await?;
        if self.debts.percent(50) {
            let claimed = customer.client.ask::<serde_json::Value>("/v1/trial").await;
            self.tally("claim", claimed)?;
        }
        for _ in 0..self.debts.from(2, 4) {
            let option = ["on-demand", "on-demand", "spot-block", "trial"][self.debts.from(0, 3) as usize];
            let flavors = self.stage.catalog.flavors.iter().filter(|flavor| match option {
                "spot-block" => !flavor.spot.is_empty(),
                "trial" => !flavor.trial.is_empty(),
                _ => flavor.on_demand.is_some(),
            });
            let flavors: Vec<String> = flavors.map(|flavor| flavor.id.clone()).take(4).collect();
            let flavor = self.debts.one(&flavors).cloned().unwrap_or_default();
            let block = option == "spot-block";
            let (hours, periods) = (block.then_some(6), block.then(|| self.debts.from(1, 4)));
            let zone = self.stage.catalog.zones[0].id.clone();
            let (option, public_ip) = (option.to_owned(), self.debts.percent(20));
            let order = Buy { option, zone, flavor, hours, periods, public_ip, ..Buy::default() };
            let answer = customer.client.post::<Instance>("/v1/instances", &order).await;
            self.tally("buy on credit", answer)?;
        }
        self.customers.push(customer);
        let seconds = Some(self.debts.from(1, 30) * 3_600 + self.debts.from(-100, 100));
        self.stage.advance(Advance { seconds, to: None }).await.map(drop)
    }
}
