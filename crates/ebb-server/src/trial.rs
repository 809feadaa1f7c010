//! What happens to a trial at instants that are known beforehand? Its owner is warned, it ends, and what is left expires (rules §3.7, §3.8).
//!
//! An alarm per account says when the next of these comes. Whoever changes what its trial instances draw sets it to now, in the same
//! commit; then everything is worked out anew.

use crate::app::App;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit};
use ebb_engine::event::Event;
use ebb_engine::forecast::{Draw, Forecast, draws, forecast};
use ebb_engine::lifecycle::Input;
use ebb_ledger::{Entry, Place};
use ebb_model::id::AccountId;
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
    WarnLow,
    WarnDays(i64),
    End,
    Expire,
}

impl Deed {
    /// What of it is written down, so that it is said once.
    fn warning(self) -> String {
        match self {
            Deed::WarnDays(days) => format!("days {days}"),
            _ => "low".to_owned(),
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
    let known = unit.change_account(id).await?.clone();
    let now = unit.now;
    let Some(mut seen) = outlook(&unit.app, &unit.reads, &known, now.second()).await? else { return Ok(unit.done(())) };
    let warned = unit.reads.rows(trial::warnings(id)).await?;
    let warned: BTreeSet<String> = warned.iter().map(trial::read_warning).collect();
    for (at, deed) in agenda(&unit.app, &seen, &warned) {
        if at.start() > now {
            unit.write(alarm::set(ALARM, &id.to_string(), at.start()));
            break;
        }
        match deed {
            Deed::WarnLow => {
                let percent = unit.app.catalog.trial.warn_below_percent;
                let what = Event::TrialLow { at, percent, lasts_until: seen.forecast.end().0 };
                warn(&mut unit, id, deed, &what);
            }
            Deed::WarnDays(days) => {
                let what = Event::TrialEndsSoon { days, valid_until: seen.grant.valid_until };
                warn(&mut unit, id, deed, &what);
            }
            // What a host released by itself draws nothing. However late that is heard, the end takes effect at its own second.
            Deed::End if !heard(&unit, id, &seen, at).await? => {
                let pause = (now.second().unix() - at.unix()).clamp(1, LONGEST_PAUSE_SECONDS);
                unit.write(alarm::set(ALARM, &id.to_string(), now.plus_seconds(pause)));
                break;
            }
            Deed::End => seen.ending.ended = Some(end(&mut unit, id, &seen).await?),
            // Else the hour that is open closes first, and sees to it.
            Deed::Expire if hours_are_over(known.close_at, &seen.grant) => {
                expire(&mut unit, id, &seen.grant, &seen.ending)
            }
            Deed::Expire => {}
        }
    }
    Ok(unit.done(()))
}

/// Everything that is still to come, in order.
fn agenda(app: &App, seen: &Outlook, warned: &BTreeSet<String>) -> Vec<(Second, Deed)> {
    let mut all = vec![];
    if seen.ending.ended.is_none() {
        let end = seen.ending.takes_effect_at(seen.forecast.end());
        let days = app.catalog.trial.warn_days_before.iter();
        let days = days.map(|days| (seen.grant.valid_until.plus(-days * DAY), Deed::WarnDays(*days)));
        let low = seen.forecast.low_at.map(|at| (at, Deed::WarnLow));
        let warnings = days.chain(low).filter(|(at, deed)| *at < end && !warned.contains(&deed.warning()));
        all.extend(warnings);
        all.push((end, Deed::End));
    }
    if seen.ending.expired.is_none() {
        all.push((seen.grant.valid_until, Deed::Expire));
    }
    all.sort();
    all
}

fn warn(unit: &mut Unit, id: AccountId, deed: Deed, what: &Event) {
    unit.guard(trial::warn(id, &deed.warning(), unit.now));
    unit.log_and_tell_account(id, what);
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
pub async fn end(unit: &mut Unit, id: AccountId, seen: &Outlook) -> Outcome<(Second, Over)> {
    let (at, by) = seen.forecast.end();
    let choice = seen.ending.choice;
    unit.change_account(id).await?;
    unit.guard(trial::end(id, choice, at, by));
    unit.log_and_tell_account(id, &Event::TrialEnded { at, by, choice });
    let over = seen.ending.takes_effect_at((at, by));
    // A grant that was over before anybody looked: what is closed stays as it was.
    let over = over.max(seen.open_since);
    let rows = unit.reads.rows(instance::live_trials(id)).await?;
    for trial in rows.iter().map(instance::read) {
        let input = match choice {
            AtEnd::Continue => Input::OnDemand { since: over },
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
pub fn expire(unit: &mut Unit, id: AccountId, grant: &TrialGrant, ending: &Ending) {
    if ending.ended.is_none() || ending.expired.is_some() {
        return;
    }
    unit.guard(trial::expire(id, grant.left()));
    let amount = grant.issued.posted() - grant.used.posted();
    if amount.units() > 0 {
        unit.post(id, "trial expired", &Entry::transfer(Place::Promotion, Place::Grant(id), amount), grant.valid_until);
        unit.log(id, None, &Event::TrialExpired { amount });
    }
}

/// The hour that ends at `close` may not be closed as it stands: the trial ends within it, and that was not carried out yet.
pub fn ends_before(seen: &Outlook, close: Second, now: Timestamp) -> bool {
    let over = seen.ending.takes_effect_at(seen.forecast.end());
    seen.ending.ended.is_none() && over < close && over.start() <= now
}
