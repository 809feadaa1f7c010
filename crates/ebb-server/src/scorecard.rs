//! How was an interruption taken? The scorecard of a drill, from its rows.

use ebb_engine::drill::{Ask, Conduct, Target, costs, foreseen, free_seconds, seconds_before};
use ebb_model::instance::{Cause, Instance, State};
use ebb_model::money::Exact;
use ebb_model::time::Timestamp;
use ebb_store::rows::drill::{self as rows, Drill, Part, Refusal};
use ebb_store::rows::instance::{self, Seen};
use ebb_store::{Reads, StoreError};
use ebb_wire::drill as wire;

/// A drill with everything that came of it so far.
pub async fn scorecard(reads: &Reads, drill: &Drill) -> Result<wire::Drill, StoreError> {
    let parts = reads.rows(rows::parts_of(drill.id)).await?;
    let known = parts.iter().map(|row| (rows::read_part(row), instance::read(row), instance::read_seen(row)));
    let parts: Vec<_> = known.collect();
    Ok(shown(drill, parts.iter().map(|(part, about, seen)| (part, about, seen))))
}

pub fn shown<'a>(drill: &Drill, parts: impl Iterator<Item = (&'a Part, &'a Instance, &'a Seen)>) -> wire::Drill {
    let mut sums = [Exact::ZERO; 3];
    let mut over = true;
    let mut instances = vec![];
    for (part, about, seen) in parts {
        let shown = shown_part(part, about, seen);
        if shown.taken {
            over &= shown.released_at.is_some();
            if let Some(costs) = costs(about) {
                let more = [costs.charged, costs.free, costs.platform];
                sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
        }
        instances.push(shown);
    }
    let count = |test: &dyn Fn(&wire::Part) -> bool| instances.iter().filter(|part| test(part)).count() as i64;
    let [charged, free, platform] = sums.map(|sum| sum.to_string());
    let summary = wire::Summary {
        taken: count(&|part| part.taken),
        refused: count(&|part| !part.taken),
        read: count(&|part| part.read_at.is_some()),
        stopped: count(&|part| part.stopped_at.is_some() || part.approved_at.is_some()),
        slowest: slowest(&instances),
        charged,
        free,
        platform_would_waive: platform,
    };
    wire::Drill {
        id: drill.id.to_string(),
        account: drill.account.to_string(),
        asked_at: drill.asked_at.to_string(),
        schedule: drill.schedule.map(|id| id.to_string()),
        what: shown_ask(&drill.ask),
        over,
        summary,
        instances,
    }
}

fn shown_part(part: &Part, about: &Instance, seen: &Seen) -> wire::Part {
    let name = wire::Part { instance: about.id.to_string(), name: about.name.clone(), ..wire::Part::default() };
    if let Some(Refusal { code, message }) = part.refusal.clone() {
        return wire::Part { code: Some(code), message: Some(message), ..name };
    }
    let end = foreseen(about).expect("who was given notice has an end");
    let costs = costs(about);
    let released_at = match about.state {
        State::Released { gone_at, .. } => Some(gone_at),
        _ => None,
    };
    let notice = end.notice.expect("a drill gives notice");
    let (notice_at, deadline) = (notice.notice_at, notice.deadline);
    let stopped_at = part.stopped_at.filter(|at| *at < deadline);
    let conduct = Conduct {
        notice_at,
        deadline,
        readable_at: seen.notice_readable_at,
        read_at: seen.notice_read_at,
        stopped_at,
        approved_at: part.approved_at,
        released_at,
    };
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let left = |at: Option<Timestamp>| at.map(|at| seconds_before(at, deadline));
    wire::Part {
        taken: true,
        notice_at: text(Some(notice_at)),
        deadline: text(Some(deadline)),
        readable_at: text(seen.notice_readable_at),
        read_at: text(seen.notice_read_at),
        read_seconds_before: left(seen.notice_read_at),
        stopped_at: text(stopped_at),
        stopped_seconds_before: left(stopped_at),
        approved_at: text(part.approved_at),
        released_at: text(released_at),
        release_late_millis: released_at.map(|at| at.millis_since(deadline)),
        taken_over_by: Some(end.cause).filter(|cause| *cause != Cause::Drill).map(|cause| cause.name().to_owned()),
        undone: conduct.undone(),
        free_seconds: Some(free_seconds(&end)),
        free: costs.map(|costs| costs.free.to_string()),
        charged: costs.map(|costs| costs.charged.to_string()),
        platform_would_waive: costs.map(|costs| costs.platform.to_string()),
        ..name
    }
}

fn slowest(parts: &[wire::Part]) -> Option<wire::Slowest> {
    let micros = |at: &Option<String>| at.as_ref()?.parse::<Timestamp>().ok();
    let took = |part: &wire::Part| {
        let until = micros(&part.stopped_at).or(micros(&part.approved_at)).or(micros(&part.released_at))?;
        Some(until.millis_since(micros(&part.notice_at)?) / 1_000)
    };
    let timed = parts.iter().filter_map(|part| Some((took(part)?, part)));
    // Of those that took as long the first.
    let slowest = timed.reduce(|slowest, next| if next.0 > slowest.0 { next } else { slowest });
    slowest.map(|(seconds, part)| wire::Slowest { instance: part.instance.clone(), name: part.name.clone(), seconds })
}

pub fn shown_ask(ask: &Ask) -> wire::Rehearse {
    let what = wire::Rehearse { percent: ask.percent, ..wire::Rehearse::default() };
    match &ask.target {
        Target::Instance(id) => wire::Rehearse { instance: Some(id.to_string()), ..what },
        Target::Tags(tags) => wire::Rehearse { tags: tags.clone(), ..what },
        Target::All => wire::Rehearse { all: true, ..what },
    }
}
