//! May an instance be of another flavor, and what follows? (rules §2.12, §3.4, §4.1)

use crate::end::least_until;
use crate::event::Event;
use crate::image::may_have;
use crate::lifecycle::{Effect, Step, change};
use crate::operation::{Operation, permit};
use crate::refusal::Refused;
use crate::trial::lists;
use ebb_model::billing::Meter;
use ebb_model::catalog::{Catalog, Limits, SYSTEM_DISK};
use ebb_model::instance::{Instance, Purchase, State};
use ebb_model::money::Price;
use ebb_model::resources::Resources;
use ebb_model::time::{Second, Timestamp};
use ebb_model::trial::Holder;

/// What an instance is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Size {
    pub flavor: String,
    /// With the disk that it has, whatever disks are sold now.
    pub resources: Resources,
    /// Per hour of vCPU and memory, as it is sold in this second.
    pub price: Price,
    /// The disk is covered by the grant from here on, or not any more, so its records begin anew.
    pub disk_covered_anew: bool,
}

/// Looks another flavor up. `holder` is the grant's, if there is one.
///
/// # Errors
/// There is no such flavor, it has less memory than the image needs, it is the one that the instance has, or it is not sold on demand.
pub fn size(
    catalog: &Catalog,
    instance: &Instance,
    flavor: &str,
    holder: Option<Holder>,
    now: Second,
) -> Result<Size, Refused> {
    let found = catalog.flavor(flavor).ok_or_else(|| Refused::UnknownFlavor(flavor.to_owned()))?;
    if found.id == instance.flavor {
        return Err(Refused::SameFlavor(found.id.clone()));
    }
    may_have(catalog, &instance.image, found)?;
    let option = instance.purchase.option();
    let on_demand = found.on_demand.as_ref().map(|prices| prices.at(now));
    let price = on_demand.ok_or_else(|| Refused::NotOnSale { flavor: found.id.clone(), option })?;
    let mut resources = found.resources.clone();
    resources.set(SYSTEM_DISK, instance.resources.get(SYSTEM_DISK));
    let region = catalog.zone(&instance.zone).map_or("", |zone| zone.region.as_str());
    let trial = matches!(instance.purchase, Purchase::Trial { .. });
    let listed = |flavor: &str| trial && holder.is_some_and(|holder| lists(catalog, holder, region, flavor));
    let disk_covered_anew = listed(&instance.flavor) != listed(&found.id);
    Ok(Size { flavor: found.id.clone(), resources, price, disk_covered_anew })
}

/// Gives a stopped instance another size, and from this second on its price. One that was stopped economically takes the room with
/// its next start; another one takes or gives back the difference now.
///
/// # Errors
/// It is no stopped firm instance, or still owes for the room that others left for it.
pub fn resize(instance: &Instance, to: &Size, now: Timestamp, limits: &Limits) -> Result<Step, Refused> {
    permit(instance, Operation::Resize)?;
    let at = now.second();
    if let Some(until) = least_until(instance, limits).filter(|until| at < *until) {
        return Err(Refused::RoomWasTaken { until: until.start() });
    }
    let purchase = match instance.purchase {
        Purchase::OnDemand { .. } => Purchase::OnDemand { price: to.price },
        Purchase::Trial { .. } => Purchase::Trial { price: to.price },
        Purchase::SpotBlock { .. } | Purchase::Subscription { .. } => {
            unreachable!("neither a spot block nor a subscription is permitted this: {instance:?}")
        }
    };
    let charged: &[Meter] = match (instance.in_use_since, to.disk_covered_anew) {
        (Some(_), true) => Meter::OF_INSTANCE,
        (Some(_), false) => &[Meter::Compute],
        (None, true) => &[Meter::SystemDisk],
        (None, false) => &[],
    };
    let mut effects = vec![];
    if !charged.is_empty() {
        effects.push(Effect::CloseSpans { meters: charged, until: at });
        effects.push(Effect::OpenSpans { meters: charged, since: at });
    }
    if instance.state == State::Stopped {
        effects.extend([Effect::TakeRoom, Effect::FreeRoom { releasing: false }]);
    }
    effects.push(Effect::Order);
    effects.push(Effect::Log(Event::Resized { flavor: to.flavor.clone(), purchase, at }));
    let mut step = change(instance, instance.state.clone(), effects);
    let next = step.next.as_mut().expect("a changed instance");
    (next.flavor, next.resources, next.purchase) = (to.flavor.clone(), to.resources.clone(), purchase);
    Ok(step)
}
