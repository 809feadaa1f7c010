//! What may be done with an instance now, beside running it? (rules §2.7)

use crate::refusal::Refused;
use ebb_model::instance::{Instance, State};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    ImageOfSystemDisk,
    ImageOfMachine,
    ImageOfDataDisk,
    Resize,
    ToSubscription,
    ToOnDemand,
    ChangeOs,
    AutoRecovery,
    DetachSystemDisk,
}

impl Operation {
    pub const ALL: [Operation; 9] = [
        Operation::ImageOfSystemDisk,
        Operation::ImageOfMachine,
        Operation::ImageOfDataDisk,
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
            Operation::Resize => "resize",
            Operation::ToSubscription => "to-subscription",
            Operation::ToOnDemand => "to-on-demand",
            Operation::ChangeOs => "change-os",
            Operation::AutoRecovery => "auto-recovery",
            Operation::DetachSystemDisk => "detach-system-disk",
        }
    }

    /// What a spot block can never be, with the code of the refusal.
    fn never_for_blocks(self) -> Option<(&'static str, &'static str)> {
        match self {
            Operation::ImageOfSystemDisk | Operation::ImageOfMachine | Operation::ImageOfDataDisk => None,
            Operation::Resize => Some(("resized", "spot-no-resize")),
            Operation::ToSubscription => Some(("converted to a subscription", "spot-no-subscription")),
            Operation::ToOnDemand => Some(("converted to on-demand", "spot-no-on-demand")),
            Operation::ChangeOs => Some(("given another system image", "spot-no-os-change")),
            Operation::AutoRecovery => Some(("recovered automatically", "spot-auto-recovery")),
            Operation::DetachSystemDisk => Some(("parted from its system disk", "spot-no-system-disk-detach")),
        }
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
