//! Who may claim a trial, and what stands against it? (rules §3.2)

use crate::refusal::Refused;
use ebb_model::catalog::Catalog;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::Second;
use ebb_model::trial::{Holder, TrialGrant};

/// Who wants to claim, as far as the rules ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimant {
    pub verified: Option<Holder>,
    pub closed: bool,
    pub debt: Amount,
    pub claimed: bool,
    pub ran: bool,
    pub others: Others,
    /// An operator allows it to claim in spite of what its person did.
    pub overruled: bool,
}

/// What the other accounts of the claimant's person did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Others {
    pub ran: bool,
    /// As whom one of them claimed.
    pub claimed: Option<Holder>,
    /// The kinds of evidence that the claimant shares with another account; never whose.
    pub shared: Vec<String>,
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
    let shared = match others.shared.is_empty() {
        true => "the operator's word".to_owned(),
        false => others.shared.join(" and "),
    };
    let other_holder = others.claimed.filter(|claimed| claimant.verified.is_some_and(|mine| mine != *claimed));
    let failed =
        |name, refused: Option<Refused>| Condition { name, finding: refused.map_or(Finding::Met, Finding::Failed) };
    // What a person did before, and nothing else, can be overruled.
    let history = |name, refused: Option<Refused>| match (refused, claimant.overruled) {
        (Some(refused), true) => Condition { name, finding: Finding::Overruled(refused) },
        (refused, _) => failed(name, refused),
    };
    vec![
        failed("open", claimant.closed.then_some(Refused::AccountClosed)),
        failed("verified", claimant.verified.is_none().then_some(Refused::Unverified)),
        failed("no-arrears", (claimant.debt > Amount::ZERO).then_some(Refused::Arrears(claimant.debt))),
        failed("never-claimed", claimant.claimed.then_some(Refused::AlreadyClaimed)),
        history("never-ran", claimant.ran.then_some(Refused::RanBefore)),
        history(
            "one-holder",
            other_holder.map(|holder| Refused::OtherHolderClaimed { claimed: holder.name(), shared: shared.clone() }),
        ),
        history(
            "person-never-claimed",
            others
                .claimed
                .filter(|_| other_holder.is_none())
                .map(|_| Refused::PersonClaimed { shared: shared.clone() }),
        ),
        history("person-never-ran", others.ran.then_some(Refused::PersonRan { shared })),
    ]
}

/// Whether an operator's word could help: everything else is met.
pub fn may_appeal(claimant: &Claimant) -> bool {
    let lifted = Claimant { overruled: true, ..claimant.clone() };
    let stands = |claimant: &Claimant| conditions(claimant).iter().any(|one| matches!(one.finding, Finding::Failed(_)));
    stands(claimant) && !stands(&lifted)
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
