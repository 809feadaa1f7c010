//! What happens to a trial at instants that are known beforehand? Its owner is warned, it ends, and what is left expires (rules §3.7, §3.8).
//!
//! An alarm per account says when the next of these comes. Whoever changes what its trial instances draw sets it to now, in the same
//! commit; then everything is worked out anew.

use crate::app::App;
use crate::arrears;
use crate::cap;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit};
use ebb_engine::event::Event;
use ebb_engine::forecast::{Draw, Forecast, draws, forecast};
use ebb_engine::lifecycle::Input;
use ebb_engine::settlement;
use ebb_model::id::AccountId;
use ebb_model::money::{Amount, Exact};
use ebb_model::time::{HOUR, Second, Timestamp};
use ebb_model::trial::{AtEnd, Ending, Over, TrialGrant};
use ebb_store::rows::account::Account;
use ebb_store::rows::{account, alarm, bill, instance, trial};
use ebb_store::{Decision, Reads, StoreError};
use std::collections::BTreeSet;

/// An account's trial is to be looked after.
pub const ALARM: &str = "trial";

const DAY: i64 = 24 * HOUR;
/// How often it is looked whether hosts have told what they saw before the end: each second, then less and less often.
const LONGEST_PAUSE_SECONDS: i64 = 60;

/// A claimed trial, and all that its future depends on.
pub struct Outlook {
    pub grant: TrialGrant,
    pub ending: Ending,
    /// What the grant pays for and no closed hour holds.
    pub draws: Vec<Draw>,
    /// The first second that no closed hour holds.
    pub open_since: Second,
    pub forecast: Forecast,
}

impl Outlook {
    /// How the trial ended, also if that is still to be carried out because a host is not heard.
    pub fn over(&self, now: Second) -> Option<(Second, Over)> {
        let due = Some(self.forecast.end()).filter(|end| self.ending.takes_effect_at(*end) <= now);
        self.ending.ended.or(due)
    }
}

/// Reads how an account's trial stands; `None`: it claimed none.
pub async fn outlook(app: &App, reads: &Reads, of: &Account, now: Second) -> Result<Option<Outlook>, StoreError> {
    let Some(row) = reads.row(account::grant(of.id)).await? else { return Ok(None) };
    let grant = account::read_grant(&row);
    let ending = trial::read_ending(reads.row(trial::ending(of.id)).await?.as_ref());
    let open_since = of.close_at.map_or(now, |at| at.plus(-HOUR));
    let spans = reads.rows(bill::spans_beyond(of.id, open_since)).await?;
    let draws = draws(&spans.iter().map(bill::read_span).collect::<Vec<_>>());
    let forecast = forecast(&grant, &draws, open_since, app.catalog.trial.warn_below_percent);
    Ok(Some(Outlook { grant, ending, draws, open_since, forecast }))
}

/// What is done at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Warn(Warning),
    End,
    Expire,
}

/// Of what the owner is warned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Warning {
    Low,
    DaysBefore(i64),
}

impl Warning {
    /// How it is written down, so that it is given once.
    fn key(self) -> String {
        match self {
            Warning::Low => "low".to_owned(),
            Warning::DaysBefore(days) => format!("days {days}"),
        }
    }
}

impl App {
    /// Does what is due for an account's trial, and sets the alarm for what comes next.
    pub async fn tend_trial(&self, id: AccountId) -> Result<(), Denied> {
        Ok(self.unit("tend-trial", &id.to_string(), move |unit| tend(unit, id)).await?)
    }
}

async fn tend(mut unit: Unit, id: AccountId) -> Outcome<Decision<()>> {
    // Whoever changes what it draws changes the account, too: of the two one sees the other.
    let known = match unit.account(id).await?.closed_at {
        None => unit.change_account(id).await?.clone(),
        Some(_) => unit.account(id).await?.clone(),
    };
    let now = unit.now.second();
    let Some(seen) = outlook(&unit.app, &unit.reads, &known, now).await? else { return Ok(unit.done(())) };
    // What an account's cap stops before uses nothing of the grant any more.
    let capped = cap::see(&unit.app, &unit.reads, &known, now).await?.and_then(|seen| seen.acts);
    let before = capped.map_or(now.plus(1), |(at, _)| at.min(now.plus(1)));
    // Nor does what its arrears freeze.
    let frozen = arrears::see(&unit.app, &unit.reads, &known, unit.now).await?;
    let before = frozen.and_then(|seen| seen.waits(&unit.app, unit.now)).map_or(before, |at| at.min(before));
    if let Some(at) = carry_out(&mut unit, &known, seen, before).await?.next {
        let late = (now.unix() - at.second().unix()).clamp(1, LONGEST_PAUSE_SECONDS);
        let at = if at > unit.now { at } else { unit.now.plus_seconds(late) };
        unit.write(alarm::set(ALARM, &id.to_string(), at));
    }
    Ok(unit.done(()))
}

/// What came of looking after a trial.
pub struct Tended {
    /// Something was due, and done.
    pub changed: bool,
    /// When to look again.
    next: Option<Timestamp>,
}

/// Does what is due before a second, in order of its instants.
pub async fn carry_out(unit: &mut Unit, of: &Account, mut seen: Outlook, before: Second) -> Outcome<Tended> {
    let (id, now, mut changed, mut wait) = (of.id, unit.now, false, None);
    let warned = unit.reads.rows(trial::warnings(id)).await?;
    let warned: BTreeSet<String> = warned.iter().map(trial::read_warning).collect();
    for (at, deed) in agenda(&unit.app, &seen, &warned, of.closed_at.is_some()) {
        if at >= before {
            let next = wait.map_or(at.start(), |wait: Timestamp| wait.min(at.start()));
            return Ok(Tended { changed, next: Some(next) });
        }
        let soon = now.plus_seconds((now.second().unix() - at.unix()).clamp(1, LONGEST_PAUSE_SECONDS));
        match deed {
            // What a host released by itself draws nothing. However late that is heard, the end takes effect at its own second.
            Deed::Warn(Warning::Low) | Deed::End if !heard(unit, id, &seen, at).await? => match deed {
                Deed::End => return Ok(Tended { changed, next: Some(soon) }),
                _ => {
                    wait = Some(soon);
                    continue;
                }
            },
            Deed::Warn(warning) => {
                unit.guard(trial::warn(id, &warning.key(), now));
                unit.log_and_tell_account(id, &said(&unit.app, &seen, warning, at));
            }
            Deed::End => seen.ending.ended = Some(end(unit, id, &seen).await?),
            Deed::Expire if hours_are_over(of.close_at, &seen.grant) => expire(unit, of, &seen.grant, &seen.ending),
            // The hour that is open closes first, and sees to it.
            Deed::Expire => continue,
        }
        changed = true;
    }
    Ok(Tended { changed, next: wait })
}

/// Everything that is still to come, in order. Of a closed account nothing draws on its grant any more, and nobody is there to be warned.
fn agenda(app: &App, seen: &Outlook, warned: &BTreeSet<String>, closed: bool) -> Vec<(Second, Deed)> {
    let mut all = vec![];
    if seen.ending.ended.is_none() && !closed {
        let end = seen.ending.takes_effect_at(seen.forecast.end());
        // A grant that an operator took ends at once: there is no time before to warn of.
        let taken = seen.grant.revoked > Exact::ZERO;
        let days = app.catalog.trial.warn_days_before.iter().filter(|_| !taken);
        let days = days.map(|days| (seen.grant.valid_until.plus(-days * DAY), Warning::DaysBefore(*days)));
        let low = seen.forecast.low_at.map(|at| (at, Warning::Low));
        let warnings = days.chain(low).filter(|(at, warning)| *at < end && !warned.contains(&warning.key()));
        all.extend(warnings.map(|(at, warning)| (at, Deed::Warn(warning))));
        all.push((end, Deed::End));
    }
    if seen.ending.expired.is_none() {
        all.push((seen.grant.valid_until, Deed::Expire));
    }
    all.sort();
    all
}

fn said(app: &App, seen: &Outlook, warning: Warning, at: Second) -> Event {
    match warning {
        Warning::Low => {
            let percent = app.catalog.trial.warn_below_percent;
            Event::TrialLow { at, percent, lasts_until: seen.forecast.end().0 }
        }
        Warning::DaysBefore(days) => Event::TrialEndsSoon { days, valid_until: seen.grant.valid_until },
    }
}

/// Whether an account's trial ends before a second, and that is still to be carried out.
pub async fn ends_before(app: &App, reads: &Reads, of: &Account, second: Second) -> Result<bool, StoreError> {
    let seen = outlook(app, reads, of, second).await?.filter(|seen| seen.ending.ended.is_none());
    Ok(seen.is_some_and(|seen| seen.ending.takes_effect_at(seen.forecast.end()) < second))
}

/// Whether hosts have told everything that the second of the end depends on.
async fn heard(unit: &Unit, id: AccountId, seen: &Outlook, at: Second) -> Outcome<bool> {
    if seen.draws.is_empty() {
        return Ok(true);
    }
    let hosts = unit.reads.rows(instance::hosts_of_trials(id)).await?;
    Ok(unit.app.all_heard(&hosts, at))
}

/// Ends a trial at its own second. What its instances cost from then on no grant pays.
async fn end(unit: &mut Unit, id: AccountId, seen: &Outlook) -> Outcome<(Second, Over)> {
    let (at, by) = seen.forecast.end();
    let choice = seen.ending.choice;
    unit.change_account(id).await?;
    unit.guard(trial::end(id, choice, at, by));
    unit.log_and_tell_account(id, &Event::TrialEnded { at, by, choice });
    let over = seen.ending.takes_effect_at((at, by));
    // A grant that was over before anybody looked: what is closed stays as it was.
    let over = over.max(seen.open_since);
    let rows = unit.reads.rows(instance::trials_beyond(id, over)).await?;
    for trial in rows.iter().map(instance::read) {
        let input = match choice {
            AtEnd::Continue => Input::OnDemand { since: over },
            AtEnd::Stop => Input::StopWithTrial { at: over },
            AtEnd::Release => Input::TrialOver { at: over },
        };
        unit.step(&trial, input).await?;
    }
    Ok((at, by))
}

/// Whether nothing more can be used of a grant: its validity is over, and so is every hour that it may have paid for.
pub fn hours_are_over(close_at: Option<Second>, grant: &TrialGrant) -> bool {
    close_at.is_none_or(|at| at.plus(-HOUR) >= grant.valid_until)
}

/// What is left goes back to where it came from.
pub fn expire(unit: &mut Unit, of: &Account, grant: &TrialGrant, ending: &Ending) {
    let (id, over) = (of.id, ending.ended.is_some() || of.closed_at.is_some());
    if !over || ending.expired.is_some() {
        return;
    }
    unit.guard(trial::expire(id, ending.choice, grant.left()));
    let (entry, amount) = settlement::expire(id, grant);
    if amount > Amount::ZERO {
        unit.post(id, "trial expired", &entry, grant.valid_until);
        unit.log(id, None, &Event::TrialExpired { amount });
    }
}
