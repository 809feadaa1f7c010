//! What may be done with an instance now, beside running it? (rules §2.7)

use crate::refusal::Refused;
use ebb_model::instance::{Instance, Purchase, State};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    ImageOfSystemDisk,
    ImageOfMachine,
    ImageOfDataDisk,
    EconomicalStop,
    Resize,
    ToSubscription,
    ToOnDemand,
    ChangeOs,
    AutoRecovery,
    DetachSystemDisk,
}

impl Operation {
    pub const ALL: [Operation; 10] = [
        Operation::ImageOfSystemDisk,
        Operation::ImageOfMachine,
        Operation::ImageOfDataDisk,
        Operation::EconomicalStop,
        Operation::Resize,
        Operation::ToSubscription,
        Operation::ToOnDemand,
        Operation::ChangeOs,
        Operation::AutoRecovery,
        Operation::DetachSystemDisk,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Operation::ImageOfSystemDisk => "image-of-system-disk",
            Operation::ImageOfMachine => "image-of-machine",
            Operation::ImageOfDataDisk => "image-of-data-disk",
            Operation::EconomicalStop => "economical-stop",
            Operation::Resize => "resize",
            Operation::ToSubscription => "to-subscription",
            Operation::ToOnDemand => "to-on-demand",
            Operation::ChangeOs => "change-os",
            Operation::AutoRecovery => "auto-recovery",
            Operation::DetachSystemDisk => "detach-system-disk",
        }
    }

    /// The request by which it is asked for, where it is more than a word.
    pub fn request(self) -> Option<&'static str> {
        match self {
            Operation::EconomicalStop => Some("`stop` with `economical` (`ebb stop --economical`)"),
            Operation::Resize => Some("`resize` with a flavor (`ebb instances resize`)"),
            Operation::ToSubscription => Some("`convert` to `subscription` (`ebb instances convert`)"),
            Operation::ToOnDemand => Some("`convert` to `on-demand` (`ebb instances convert`)"),
            Operation::ChangeOs => Some("`system-disk` with an image (`ebb instances reinstall`)"),
            _ => None,
        }
    }

    /// What a spot block can never be, with the code of the refusal.
    fn never_for_blocks(self) -> Option<(&'static str, &'static str)> {
        match self {
            Operation::ImageOfSystemDisk | Operation::ImageOfMachine | Operation::ImageOfDataDisk => None,
            Operation::EconomicalStop => Some(("stopped economically", "spot-no-economical-stop")),
            Operation::Resize => Some(("resized", "spot-no-resize")),
            Operation::ToSubscription => Some(("converted to a subscription", "spot-no-subscription")),
            Operation::ToOnDemand => Some(("converted to on-demand", "spot-no-on-demand")),
            Operation::ChangeOs => Some(("given another system image", "spot-no-os-change")),
            Operation::AutoRecovery => Some(("recovered automatically", "spot-auto-recovery")),
            Operation::DetachSystemDisk => Some(("parted from its system disk", "spot-no-system-disk-detach")),
        }
    }
}

/// What stands against an operation by the way in which the instance is paid, beside the rules for blocks (rules §4.2, §4.3).
fn against_option(instance: &Instance, operation: Operation) -> Result<(), Refused> {
    let paid = |what, code, instead| Err(Refused::PaidAhead { what, code, instead });
    match (operation, instance.purchase) {
        (Operation::EconomicalStop, Purchase::Subscription { .. }) => {
            paid("stopped economically", "subscription-no-economical-stop", "stop it as usual (`ebb stop`)")
        }
        (Operation::Resize, Purchase::Subscription { .. }) => {
            let instead = "buy another size on demand, or resize one before it is converted";
            paid("resized", "subscription-no-resize", instead)
        }
        (Operation::ToOnDemand, Purchase::Subscription { .. }) => {
            paid("converted back", "subscription-no-on-demand", "leave it to its end, or delete it")
        }
        (Operation::ToSubscription, Purchase::Subscription { .. }) => {
            let instead = "renew it (`ebb instances renew`)";
            paid("converted a second time", "subscription-already", instead)
        }
        (Operation::ToOnDemand, Purchase::OnDemand { .. }) => Err(Refused::SameOption),
        (Operation::ToSubscription, _) => match (&instance.state, instance.first_running) {
            (State::Running | State::Stopped, Some(_)) => Ok(()),
            (State::StoppedEconomically, _) => Err(Refused::AwayToSubscription),
            (state, _) => Err(Refused::WrongState { state: state.name(), verb: "become a subscription" }),
        },
        _ => Ok(()),
    }
}

/// Whether the rules allow an operation on this instance now.
///
/// # Errors
/// The rule against it; each has its own code.
pub fn permit(instance: &Instance, operation: Operation) -> Result<(), Refused> {
    if let State::Releasing { .. } | State::Released { .. } = instance.state {
        return Err(Refused::Released);
    }
    if let (Some((what, code)), false) = (operation.never_for_blocks(), instance.purchase.is_firm()) {
        return Err(Refused::NeverForBlocks { what, code });
    }
    against_option(instance, operation)?;
    let needs_off = matches!(operation, Operation::Resize | Operation::ChangeOs);
    if needs_off && !matches!(instance.state, State::Stopped | State::StoppedEconomically) {
        return Err(Refused::NotStopped { state: instance.state.name() });
    }
    let State::Reclaiming { deadline, .. } = instance.state else { return Ok(()) };
    match operation {
        Operation::ImageOfSystemDisk => Err(Refused::NotWhileReclaiming {
            what: "copied into an image of its system disk",
            code: "reclaiming-no-system-disk-image",
            deadline,
        }),
        Operation::ImageOfMachine => Err(Refused::NotWhileReclaiming {
            what: "copied into an image of the whole machine",
            code: "reclaiming-no-machine-image",
            deadline,
        }),
        _ => Ok(()),
    }
}
