//! How many of a thing does an account have, and may it have one more?
//!
//! Counted under the account's generation, so of two that are asked for at once only one passes the last place.

use crate::unit::{Outcome, Unit, refuse};
use ebb_engine::refusal::Refused;
use ebb_model::catalog::Limits;
use ebb_model::id::AccountId;
use ebb_model::security_group::SecurityGroup;
use ebb_store::rows::{address, image, instance, security_group};
use ebb_store::{Reads, StoreError};

/// A thing of which an account may have so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Not yet released. A purchase asks for more than this ([`ebb_engine::quote::may_buy`]).
    Instances,
    Addresses,
    SecurityGroups,
    Images,
}

impl Quota {
    pub const ALL: [Quota; 4] = [Quota::Instances, Quota::Addresses, Quota::SecurityGroups, Quota::Images];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Quota::Instances => "instances",
            Quota::Addresses => "public addresses",
            Quota::SecurityGroups => "security groups",
            Quota::Images => "images",
        }
    }

    pub fn most(self, limits: &Limits) -> i64 {
        match self {
            Quota::Instances => limits.instances_per_account,
            Quota::Addresses => limits.addresses_per_account,
            Quota::SecurityGroups => limits.security_groups_per_account,
            Quota::Images => limits.images_per_account,
        }
    }

    /// How many there are.
    pub async fn count(self, reads: &Reads, of: AccountId) -> Result<i64, StoreError> {
        Ok(match self {
            Quota::Instances => reads.row(instance::count_live_of_account(of)).await?.map_or(0, |row| row.int("live")),
            Quota::Addresses => reads.row(address::count_of(of)).await?.map_or(0, |row| row.int("held")),
            Quota::Images => reads.row(image::count_of(of)).await?.map_or(0, |row| row.int("live")),
            Quota::SecurityGroups => {
                let written = reads.rows(security_group::of_account(of)).await?;
                let others = written.iter().map(security_group::read).filter(|group| !SecurityGroup::is_default(group));
                // The default one is there, whether it was written down or not.
                i64::try_from(others.count()).expect("fewer groups than there are numbers") + 1
            }
        })
    }
}

impl Unit {
    /// Lets an account have one more, if it may.
    pub async fn one_more(&mut self, of: AccountId, what: Quota) -> Outcome<()> {
        let most = what.most(&self.app.catalog.limits);
        if what.count(&self.reads, of).await? >= most {
            return refuse(Refused::Quota { what: what.name(), most });
        }
        self.change_account(of).await?;
        Ok(())
    }
}
