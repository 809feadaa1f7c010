//! Which security groups does an account have, and which say what comes in to an instance?

use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use ebb_engine::refusal::Refused;
use ebb_model::id::{AccountId, SecurityGroupId};
use ebb_model::security_group::SecurityGroup;
use ebb_store::rows::{account, security_group};
use ebb_store::{Reads, StoreError};
use std::collections::BTreeSet;

/// All groups of an account, the default one first.
pub async fn all(reads: &Reads, of: AccountId) -> Result<Vec<SecurityGroup>, StoreError> {
    let mut groups: Vec<SecurityGroup> =
        reads.rows(security_group::of_account(of)).await?.iter().map(security_group::read).collect();
    if !groups.iter().any(SecurityGroup::is_default) {
        let account = reads.row(account::by_id(of)).await?;
        groups.extend(account.map(|row| SecurityGroup::default_of(of, account::read(&row).opened_at)));
    }
    groups.sort_by_key(|group| !group.is_default());
    Ok(groups)
}

/// The groups that are stored with an instance; none are: the default one of its account.
pub async fn of_instance(
    reads: &Reads,
    of: AccountId,
    ids: &[SecurityGroupId],
) -> Result<Vec<SecurityGroup>, StoreError> {
    let default = [SecurityGroup::default_id(of)];
    let ids = if ids.is_empty() { &default[..] } else { ids };
    let mut found = vec![];
    for query in security_group::by_ids(ids.iter().copied()) {
        found.extend(reads.rows(query).await?.iter().map(security_group::read));
    }
    if ids.contains(&default[0]) && !found.iter().any(SecurityGroup::is_default) {
        // Nobody changed it yet, so it does not matter since when it is there.
        found.push(SecurityGroup::default_of(of, ebb_model::time::Timestamp::from_micros(0)));
    }
    found.sort_by_key(|group| ids.iter().position(|id| *id == group.id));
    Ok(found)
}

/// The group that somebody means by its name or id.
pub fn find(all: &[SecurityGroup], named: &str) -> Result<SecurityGroup, Denied> {
    let mut found = all.iter().filter(|group| group.name == named || group.id.to_string() == named);
    found.next().cloned().ok_or_else(|| Denied::not_found("security group", named))
}

/// The groups that an instance is to be in: each once, and not too many. Whoever deletes one of them meanwhile is seen.
pub async fn named(unit: &Unit, of: AccountId, named: &[String]) -> Outcome<Vec<SecurityGroup>> {
    let known = all(&unit.reads, of).await?;
    let (mut groups, mut seen) = (vec![], BTreeSet::new());
    for name in named {
        let group = find(&known, name)?;
        if seen.insert(group.id) {
            groups.push(group);
        }
    }
    let most = unit.app.catalog.limits.security_groups_per_instance;
    if groups.is_empty() || i64::try_from(groups.len()).is_ok_and(|given| given > most) {
        return refuse(Refused::NumberOfGroups { given: groups.len(), most });
    }
    Ok(groups)
}

/// What is stored of a choice: nothing, if it is the default group alone.
pub fn chosen(of: AccountId, groups: &[SecurityGroup]) -> Vec<SecurityGroupId> {
    let ids: Vec<SecurityGroupId> = groups.iter().map(|group| group.id).collect();
    if ids == [SecurityGroup::default_id(of)] { vec![] } else { ids }
}
