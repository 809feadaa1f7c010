//! Why this instance? How a decision is told to somebody who may not know the others.

use crate::placement::Decision;
use ebb_model::instance::Cause;
use ebb_model::resources::Resources;
use std::fmt::Write;

/// How somebody stands to a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Others had to go for its order.
    Took,
    /// It had to go: at which place among so many, and whether for an order of the same person.
    Taken { rank: i64, candidates: i64, own: bool },
}

/// The decision in words, without the names of anybody else.
pub fn why(decision: &Decision, cause: Cause, part: Part) -> String {
    let deadline = decision.deadline;
    let demand = needs(&decision.demand);
    match part {
        Part::Took if cause == Cause::Reserve => {
            let victims = decision.hosts.iter().map(|plan| plan.victims.len()).sum::<usize>();
            format!(
                "beside it {demand} kept free for firm orders did not fit any more; {victims} blocks of the zone were told to go \
                 by {deadline}"
            )
        }
        Part::Took => {
            let best = decision.hosts.first();
            let (victims, could) = best.map_or((0, 0), |plan| (plan.victims.len(), plan.candidates_there));
            match victims {
                0 => format!(
                    "there was no free room for {demand}; it comes free by {deadline} without anybody told to go"
                ),
                _ => format!(
                    "there was no free room for {demand}; {victims} of {could} blocks that could go from the best of {} hosts \
                     were told to go by {deadline}",
                    decision.hosts_possible.max(1)
                ),
            }
        }
        Part::Taken { rank, candidates, own } => {
            let whose = if own { "of your own account" } else { "of another account" };
            let wanted = match cause {
                Cause::Reserve if own => {
                    format!("beside an order {whose} {demand} kept free for firm orders did not fit any more")
                }
                Cause::Reserve => format!("{demand} kept free for firm orders did not fit any more"),
                Cause::Shortage => format!("the operator needs {demand} free in the zone"),
                Cause::Drain | Cause::HostReturn => "its host is needed back".to_owned(),
                _ => format!("an order {whose} for {demand} found no free room"),
            };
            let place = if cause == Cause::Shortage { "in the zone" } else { "on its host" };
            format!(
                "{wanted}; of {candidates} blocks {place} that could go, those that started last go first, and this one was number \
                 {rank}; its release begins at {deadline}"
            )
        }
    }
}

/// `2 vcpu, 4096 memory_mib`.
fn needs(demand: &Resources) -> String {
    let mut text = String::new();
    for (kind, amount) in demand.iter().filter(|(_, amount)| *amount != 0) {
        let comma = if text.is_empty() { "" } else { ", " };
        write!(text, "{comma}{amount} {kind}").expect("writing to memory");
    }
    if text.is_empty() { "nothing".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_model::time::Second;

    #[test]
    fn the_victim_learns_its_place_and_nobodys_name() {
        let demand = Resources::of([("vcpu", 2), ("memory_mib", 4_096)]);
        let deadline = Second::from_unix(1_772_412_300).start();
        let decision = Decision { demand, deadline, hosts: vec![], hosts_possible: 0 };
        assert_eq!(
            why(&decision, Cause::Capacity, Part::Taken { rank: 1, candidates: 7, own: false }),
            "an order of another account for 4096 memory_mib, 2 vcpu found no free room; of 7 blocks on its host that could go, \
             those that started last go first, and this one was number 1; its release begins at 2026-03-02T00:45:00Z"
        );
    }
}
