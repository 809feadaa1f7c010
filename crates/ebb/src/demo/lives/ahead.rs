//! Who plans ahead? Somebody buys by the month, lets that renew itself, or says what a month may come to.

use super::Theatre;
use crate::failure::Failure;
use ebb_model::money::Amount;
use ebb_wire::budget::{Budget, SetBudget};
use ebb_wire::forecast::Forecast;
use ebb_wire::instance::{Buy, ChooseRenewal, Instance, Renewal};

impl Theatre<'_> {
    /// Somebody buys by the month at once; most have the money.
    pub(super) async fn buy_months(&mut self) -> Result<(), Failure> {
        let at = self.ahead.from(0, self.customers.len() as i64 - 1) as usize;
        let flavors = &self.stage.catalog.flavors;
        let sold: Vec<_> = flavors.iter().filter(|flavor| flavor.subscription.is_some()).collect();
        let Some(flavor) = self.ahead.one(&sold).map(|flavor| flavor.id.clone()) else { return Ok(()) };
        let zones = &self.stage.catalog.zones[..self.stage.catalog.zones.len().min(2)];
        let zone = self.ahead.one(zones).map(|zone| zone.id.clone()).unwrap_or_default();
        if self.ahead.percent(80) {
            self.stage.top_up(&self.customers[at].id, "800").await?;
        }
        let months = if self.ahead.percent(80) { 1 } else { self.ahead.from(0, 40) };
        let order = Buy { option: "subscription".to_owned(), zone, flavor, months: Some(months), ..Buy::default() };
        let answer = self.customers[at].client.post::<Instance>("/v1/instances", &order).await;
        self.tally("buy subscription", answer).map(drop)
    }

    /// Somebody sets a budget around what the month is expected to come to, or does without.
    pub(super) async fn plan_a_budget(&mut self) -> Result<(), Failure> {
        let at = self.ahead.from(0, self.customers.len() as i64 - 1) as usize;
        let client = &self.customers[at].client;
        if self.ahead.percent(10) {
            let removed = client.delete::<Budget>("/v1/budget").await;
            return self.tally("remove a budget", removed).map(drop);
        }
        let expected: Amount = client.get::<Forecast>("/v1/forecast", &[]).await?.expected.parse().unwrap_or_default();
        let amount =
            (expected.units() / 100).saturating_mul(self.ahead.from(20, 150)).max(self.ahead.from(0, 100_000_000));
        let alerts = (0..self.ahead.from(0, 4)).map(|_| self.ahead.from(1, 130)).collect();
        let amount = Amount::from_units(amount).to_string();
        let budget = SetBudget { amount, alerts: Some(alerts), expected: Some(self.ahead.percent(80)) };
        let answer = client.post::<Budget>("/v1/budget", &budget).await;
        self.tally("set a budget", answer).map(drop)
    }

    /// So many of a hundred subscriptions are to renew themselves from now on, or not any more.
    pub(super) async fn choose_renewals(&mut self, chance: i64) -> Result<(), Failure> {
        for one in self.live().await? {
            let owner = self.customers.iter().position(|customer| customer.id == one.account);
            let Some(owner) = owner.filter(|_| one.option == "subscription" && self.ahead.percent(chance)) else {
                continue;
            };
            let auto = self.ahead.percent(85);
            let months = if self.ahead.percent(60) { 1 } else { self.ahead.from(0, 9) };
            let choice = ChooseRenewal { auto, months: auto.then_some(months) };
            let path = format!("/v1/instances/{}/renewal", one.id);
            let answer = self.customers[owner].client.post::<Renewal>(&path, &choice).await;
            self.tally(if auto { "let it renew itself" } else { "let it end" }, answer)?;
            if self.ahead.percent(40) {
                self.stage.top_up(&self.customers[owner].id, "300").await?;
            }
        }
        Ok(())
    }
}
