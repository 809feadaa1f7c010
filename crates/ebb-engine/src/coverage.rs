//! What changes for a trial instance when the grant's list does? (rules §3.3)
//!
//! A list is part of the catalog, so it changes when the service starts with another one.

use crate::event::Event;
use crate::lifecycle::{Effect, Step, change, unchanged};
use ebb_model::billing::Meter;
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::time::Second;

/// From `since` on the grant may pay for it, or may not any more: what is charged of it is charged anew.
pub(crate) fn listed(instance: &Instance, covered: bool, since: Second) -> Step {
    let Purchase::Trial { .. } = instance.purchase else { return unchanged() };
    if instance.frozen_since.is_some() {
        return unchanged();
    }
    let meters: &[Meter] = match (&instance.state, instance.first_running, instance.in_use_since) {
        (State::Lost { .. } | State::Releasing { .. } | State::Released { .. }, ..) | (_, None, _) => {
            return unchanged();
        }
        (_, Some(_), Some(_)) => Meter::OF_INSTANCE,
        (_, Some(_), None) => &[Meter::SystemDisk],
    };
    let effects = vec![
        Effect::CloseSpans { meters, until: since },
        Effect::OpenSpans { meters, since },
        Effect::Log(Event::CoverageChanged { covered, since }),
    ];
    change(instance, instance.state.clone(), effects)
}
