//! Who may claim a trial, and what stands against it? (rules §3.2)

use crate::refusal::Refused;
use ebb_model::catalog::Catalog;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::Second;
use ebb_model::trial::{Holder, TrialGrant};
use std::collections::BTreeSet;

/// Who wants to claim, as far as the rules ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimant {
    pub verified: Option<Holder>,
    pub closed: bool,
    pub debt: Amount,
    /// Its account is frozen for that debt.
    pub frozen: Option<Second>,
    pub claimed: bool,
    pub ran: bool,
    /// It bought what did not run yet, and may.
    pub ordered: bool,
    pub others: Others,
    /// An operator allows it to claim in spite of what its person did.
    pub overrule: Option<Overrule>,
}

/// What the other accounts of the claimant's person did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Others {
    pub ran: bool,
    pub ordered: bool,
    /// As whom one of them claimed.
    pub claimed: Option<Holder>,
    /// The kinds of evidence that the claimant shares with another account; never whose.
    pub shared: Vec<String>,
}

/// An operator's word. It is about what he knew: neither about what came to stand against a claim by another rule, nor about what
/// was done after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrule {
    /// The codes of the refusals that it lifts.
    pub lifts: BTreeSet<String>,
    /// What first ran, or claimed, in a later second than the word's.
    pub ran_since: bool,
    pub others_ran_since: bool,
    pub others_claimed_since: bool,
}

/// One condition of a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// A stable name for programs.
    pub name: &'static str,
    pub finding: Finding,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    Met,
    /// It is not met, and an operator overruled that.
    Overruled(Refused),
    Failed(Refused),
}

/// All conditions, in the order in which a claim names the first that fails.
pub fn conditions(claimant: &Claimant) -> Vec<Condition> {
    let others = &claimant.others;
    let condition =
        |name, refused: Option<Refused>| Condition { name, finding: refused.map_or(Finding::Met, Finding::Failed) };
    let word = claimant.overrule.as_ref();
    let history = past(claimant).into_iter().map(|(name, refused, since)| match (refused, word) {
        (Some(refused), Some(word)) if word.lifts.contains(refused.code()) && !since(word) => {
            Condition { name, finding: Finding::Overruled(refused) }
        }
        (refused, _) => condition(name, refused),
    });
    let mut all = vec![
        condition("open", claimant.closed.then_some(Refused::AccountClosed)),
        condition("verified", claimant.verified.is_none().then_some(Refused::Unverified)),
        condition("no-arrears", debt(claimant)),
        condition("never-claimed", claimant.claimed.then_some(Refused::AlreadyClaimed)),
    ];
    all.extend(history);
    // These are decided in a moment, so there is nothing to overrule.
    all.push(condition("no-order", claimant.ordered.then_some(Refused::OrderUnderWay)));
    all.push(condition(
        "person-no-order",
        others.ordered.then(|| Refused::PersonOrderUnderWay { shared: shared(others) }),
    ));
    all
}

fn debt(claimant: &Claimant) -> Option<Refused> {
    let owes = Some(Refused::Arrears(claimant.debt)).filter(|_| claimant.debt > Amount::ZERO);
    let frozen = claimant.frozen.map(|since| Refused::AccountFrozen { debt: claimant.debt, since: since.start() });
    frozen.or(owes)
}

type Past = (&'static str, Option<Refused>, fn(&Overrule) -> bool);

/// What a person did before, which alone can be overruled; and whether it was done again since.
fn past(claimant: &Claimant) -> [Past; 4] {
    let others = &claimant.others;
    let shared = shared(others);
    let other_holder = others.claimed.filter(|claimed| claimant.verified.is_some_and(|mine| mine != *claimed));
    let as_other =
        other_holder.map(|holder| Refused::OtherHolderClaimed { claimed: holder.name(), shared: shared.clone() });
    let claimed = others.claimed.filter(|_| other_holder.is_none());
    let claimed = claimed.map(|_| Refused::PersonClaimed { shared: shared.clone() });
    [
        ("never-ran", claimant.ran.then_some(Refused::RanBefore), |word| word.ran_since),
        ("one-holder", as_other, |word| word.others_claimed_since),
        ("person-never-claimed", claimed, |word| word.others_claimed_since),
        ("person-never-ran", others.ran.then_some(Refused::PersonRan { shared }), |word| word.others_ran_since),
    ]
}

fn shared(others: &Others) -> String {
    match others.shared.is_empty() {
        true => "the operator's word".to_owned(),
        false => others.shared.join(" and "),
    }
}

/// What an operator's word given now would lift, by the codes of the refusals.
pub fn to_lift(claimant: &Claimant) -> BTreeSet<String> {
    past(claimant).into_iter().filter_map(|(_, refused, _)| Some(refused?.code().to_owned())).collect()
}

/// Whether something stands against a claim.
pub fn stands(claimant: &Claimant) -> bool {
    conditions(claimant).iter().any(|one| matches!(one.finding, Finding::Failed(_)))
}

/// Whether an operator's word could help: everything else is met.
pub fn may_appeal(claimant: &Claimant) -> bool {
    let word = Overrule { lifts: to_lift(claimant), ..Overrule::default() };
    stands(claimant) && !stands(&Claimant { overrule: Some(word), ..claimant.clone() })
}

/// Whether a claim by this claimant would use up an operator's word.
pub fn uses_overrule(claimant: &Claimant) -> bool {
    conditions(claimant).iter().any(|one| matches!(one.finding, Finding::Overruled(_)))
}

/// Gives the grant that a claim earns.
///
/// # Errors
/// The first condition that is not met.
pub fn claim(catalog: &Catalog, claimant: &Claimant, now: Second) -> Result<TrialGrant, Refused> {
    for condition in conditions(claimant) {
        if let Finding::Failed(refused) = condition.finding {
            return Err(refused);
        }
    }
    let holder = claimant.verified.expect("a claimant who is verified, as the conditions say");
    let terms = catalog.trial(holder);
    Ok(TrialGrant {
        holder,
        claimed_at: now,
        valid_until: catalog.time_zone.plus_months(now, terms.months),
        issued: terms.amount.exact(),
        used: Exact::ZERO,
        revoked: Exact::ZERO,
        hourly_cap: terms.hourly_cap,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant() -> Claimant {
        let others = Others { ran: true, claimed: Some(Holder::Individual), ..Others::default() };
        let (verified, debt) = (Some(Holder::Individual), Amount::ZERO);
        let (frozen, overrule) = (None, None);
        Claimant { verified, closed: false, debt, frozen, claimed: false, ran: true, ordered: false, others, overrule }
    }

    fn codes(claimant: &Claimant) -> Vec<&'static str> {
        let failed = |one: Condition| match one.finding {
            Finding::Failed(refused) => Some(refused.code()),
            _ => None,
        };
        conditions(claimant).into_iter().filter_map(failed).collect()
    }

    #[test]
    fn a_word_lifts_what_stood_when_it_was_given_and_nothing_later() {
        let before = claimant();
        assert_eq!(codes(&before), ["trial-ran-before", "trial-person-claimed", "trial-person-ran"]);
        let word = Overrule { lifts: to_lift(&before), ..Overrule::default() };
        let with = |word: Overrule| Claimant { overrule: Some(word), ..before.clone() };
        assert_eq!(codes(&with(word.clone())), Vec::<&str>::new());
        for (later, code) in [
            (Overrule { ran_since: true, ..word.clone() }, "trial-ran-before"),
            (Overrule { others_claimed_since: true, ..word.clone() }, "trial-person-claimed"),
            (Overrule { others_ran_since: true, ..word.clone() }, "trial-person-ran"),
        ] {
            assert_eq!(codes(&with(later.clone())), [code]);
            assert!(may_appeal(&with(later)), "and a word may lift that, too");
        }
        let other_kind = Claimant { verified: Some(Holder::Enterprise), ..with(word.clone()) };
        assert_eq!(codes(&other_kind), ["trial-other-holder-claimed"]);
        let narrow = Overrule { lifts: BTreeSet::from(["trial-ran-before".to_owned()]), ..word };
        assert_eq!(codes(&with(narrow)), ["trial-person-claimed", "trial-person-ran"]);
    }

    #[test]
    fn an_order_under_way_is_waited_for_and_not_overruled() {
        let fresh = Claimant { ran: false, others: Others::default(), ..claimant() };
        let ordered = Claimant { ordered: true, ..fresh.clone() };
        assert_eq!((codes(&ordered), may_appeal(&ordered)), (vec!["trial-order-under-way"], false));
        let others = Others { ordered: true, shared: vec!["phone".to_owned()], ..Others::default() };
        let person = Claimant { others, ..fresh };
        assert_eq!((codes(&person), may_appeal(&person)), (vec!["trial-person-order-under-way"], false));
        assert!(to_lift(&person).is_empty());
    }
}
