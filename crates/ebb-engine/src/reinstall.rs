//! May an instance's system disk be made anew, of the same or another image? (rules §4.4)

use crate::event::Event;
use crate::lifecycle::{Effect, Step, change};
use crate::operation::{Operation, permit};
use crate::refusal::Refused;
use ebb_model::instance::Instance;

/// The system disk is to be made of an image at the next start; what is on it is lost then. Nothing changes in what it costs.
///
/// # Errors
/// It is a spot block, or not off.
pub fn reinstall(instance: &Instance, image: &str) -> Result<Step, Refused> {
    permit(instance, Operation::ChangeOs)?;
    let revision = instance.disk_revision + 1;
    let log = Effect::Log(Event::SystemDiskReplaced { image: image.to_owned(), revision });
    let mut step = change(instance, instance.state.clone(), vec![Effect::Order, log]);
    let next = step.next.as_mut().expect("a changed instance");
    (next.image, next.disk_revision) = (image.to_owned(), revision);
    Ok(step)
}
