//! What becomes by chance of public addresses, beside what leaves them?

use super::Theatre;
use crate::failure::Failure;
use ebb_wire::address::{Address, Allocate, Bind, PayBy};
use ebb_wire::catalog::Zone;
use ebb_wire::instance::Instance;
use ebb_wire::problem::Page;
use ebb_wire::security_group::{ChooseSecurityGroups, CreateSecurityGroup, Rule, SecurityGroup};

impl Theatre<'_> {
    /// Somebody allocates an address, binds one, lets one lead nowhere, pays one otherwise, gives one back, or lets something in.
    pub(super) async fn addresses(&mut self) -> Result<(), Failure> {
        let chance = self.places.from(1, 100);
        let at = self.places.from(0, self.customers.len() as i64 - 1) as usize;
        if chance <= 25 {
            return self.allocate(at).await;
        }
        if chance > 90 {
            return self.let_in(at).await;
        }
        let client = &self.customers[at].client;
        let all: Page<Address> = client.all("/v1/addresses", &[]).await?;
        let Some(one) = self.places.one(&all.items).cloned() else { return Ok(()) };
        let path = format!("/v1/addresses/{}", one.id);
        let (what, answer) = match chance {
            26..=50 if one.instance.is_none() => {
                let live: Page<Instance> = client.all("/v1/instances", &[]).await?;
                let Some(to) = self.places.one(&live.items).map(|to| to.id.clone()) else { return Ok(()) };
                ("bind an address", client.post::<Address>(&format!("{path}/bind"), &Bind { instance: to }).await)
            }
            26..=60 => ("unbind an address", client.ask::<Address>(&format!("{path}/unbind")).await),
            61..=84 => {
                let mbit = self.places.percent(60).then(|| self.places.from(1, 12));
                let charge = if mbit.is_some() { "bandwidth" } else { "traffic" }.to_owned();
                (
                    "pay an address otherwise",
                    client.post::<Address>(&format!("{path}/charge"), &PayBy { charge, mbit }).await,
                )
            }
            _ => ("release an address", client.delete::<Address>(&path).await),
        };
        self.tally(what, answer).map(drop)
    }

    async fn allocate(&mut self, at: usize) -> Result<(), Failure> {
        let sells = |zone: &&Zone| zone.bandwidth.is_some();
        let zones: Vec<&Zone> = self.stage.catalog.zones.iter().filter(sells).take(2).collect();
        let Some(zone) = self.places.one(&zones).map(|zone| zone.id.clone()) else { return Ok(()) };
        let mbit = self.places.percent(60).then(|| self.places.from(1, 12));
        let new = Allocate { zone: Some(zone), mbit, ..Allocate::default() };
        let answer = self.customers[at].client.post::<Address>("/v1/addresses", &new).await;
        self.tally("allocate an address", answer).map(drop)
    }

    async fn let_in(&mut self, at: usize) -> Result<(), Failure> {
        let client = &self.customers[at].client;
        let rule = Rule { protocol: "tcp".to_owned(), ports: Some("443".to_owned()), from: None };
        let answer = match self.places.from(1, 3) {
            1 => client.post::<SecurityGroup>("/v1/security-groups/default/allow", &rule).await.map(drop),
            2 => {
                let new = CreateSecurityGroup { name: "site".to_owned(), rules: vec![rule] };
                client.post::<SecurityGroup>("/v1/security-groups", &new).await.map(drop)
            }
            _ => {
                let live: Page<Instance> = client.all("/v1/instances", &[]).await?;
                let Some(one) = self.places.one(&live.items).map(|one| one.id.clone()) else { return Ok(()) };
                let groups = ChooseSecurityGroups { groups: vec!["site".to_owned(), "default".to_owned()] };
                client.post::<Instance>(&format!("/v1/instances/{one}/security-groups"), &groups).await.map(drop)
            }
        };
        self.tally("let something in", answer).map(drop)
    }
}
