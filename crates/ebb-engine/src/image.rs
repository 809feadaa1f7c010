//! What may be done with an account's own image, and what becomes of it? (rules §2.1, §2.7)

use crate::event::Event;
use crate::refusal::Refused;
use ebb_model::catalog::{Catalog, Flavor, Image};
use ebb_model::id::{AccountId, InstanceId};
use ebb_model::image::{CustomImage, ImageSize, ImageState};
use ebb_model::time::Timestamp;

/// What a host says about the making of an image, or of the last copy of one that was there.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    There(ImageSize),
    Failed(String),
}

/// The image after its host's word, with what is written into the log; `None`: it says nothing new.
pub fn made(image: &CustomImage, made: &Made, now: Timestamp) -> Option<(CustomImage, Event)> {
    match (&image.state, made) {
        (ImageState::Importing { .. }, _) | (ImageState::Available { .. }, Made::Failed(_)) => {}
        _ => return None,
    }
    let (state, event) = match made {
        Made::There(size) => {
            let event = Event::ImageAvailable { image: image.id, bytes: size.bytes };
            (ImageState::Available { at: now, size: size.clone() }, event)
        }
        Made::Failed(reason) => {
            let event = Event::ImageFailed { image: image.id };
            (ImageState::Failed { at: now, reason: reason.clone() }, event)
        }
    };
    Some((changed(image, state), event))
}

/// The image after its owner's word that it is to go. `used_by`: something has it, or could be made anew of it; an instance of the owner's, or
/// somebody else's, of which nothing is said.
///
/// # Errors
/// It is used, or gone already.
pub fn delete(
    image: &CustomImage,
    used_by: Option<Option<InstanceId>>,
    now: Timestamp,
) -> Result<(CustomImage, Event), Refused> {
    if let ImageState::Deleted { .. } = image.state {
        return Err(Refused::ImageDeleted);
    }
    if let Some(instance) = used_by {
        return Err(instance.map_or(Refused::ImageInUseElsewhere, |instance| Refused::ImageInUse { instance }));
    }
    Ok((changed(image, ImageState::Deleted { at: now }), Event::ImageDeleted { image: image.id }))
}

/// Whether an account may have a system disk of so many GiB made of it: its owner may, and those whom it is shared with.
///
/// # Errors
/// It is not there, or larger than the disk. Of one that is somebody else's nothing is said but that there is none.
pub fn may_use(image: &CustomImage, by: AccountId, is_shared: bool, disk_gib: i64) -> Result<(), Refused> {
    if image.account != by && !is_shared {
        return Err(Refused::UnknownImage(image.id.to_string()));
    }
    match &image.state {
        ImageState::Available { size, .. } if size.gib() > disk_gib => {
            Err(Refused::ImageTooLarge { gib: size.gib(), disk_gib })
        }
        ImageState::Available { .. } => Ok(()),
        state => Err(Refused::ImageNotReady { state: state.name() }),
    }
}

/// Whether guests of a flavor have the memory that an image of the catalog needs; of others nobody knows.
///
/// # Errors
/// They have less.
pub fn may_have(catalog: &Catalog, image: &str, flavor: &Flavor) -> Result<(), Refused> {
    let has = flavor.resources.get("memory_mib");
    match catalog.images.iter().find(|known| known.id == image) {
        Some(Image { id, memory_mib, .. }) if *memory_mib > has => {
            let (image, memory_mib, flavor) = (id.clone(), *memory_mib, flavor.id.clone());
            Err(Refused::ImageNeedsMemory { image, memory_mib, flavor, has })
        }
        _ => Ok(()),
    }
}

fn changed(image: &CustomImage, state: ImageState) -> CustomImage {
    CustomImage { state, generation: image.generation + 1, ..image.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_model::id::{HostId, ImageId};
    use ebb_model::image::Origin;
    use ebb_model::volume::ImageFormat;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::from_micros(5);

    fn importing() -> CustomImage {
        CustomImage {
            id: ImageId::new(Uuid::from_u128(1)),
            account: owner(),
            name: "mine".to_owned(),
            origin: Origin::Upload { format: ImageFormat::Raw, sha256: String::new() },
            created_at: NOW,
            generation: 1,
            state: ImageState::Importing { host: HostId::new(Uuid::from_u128(2)) },
        }
    }

    fn owner() -> AccountId {
        AccountId::new(Uuid::from_u128(3))
    }

    fn there(bytes: i64) -> Made {
        Made::There(ImageSize { bytes, stored_bytes: 10, stored_sha256: "00".to_owned() })
    }

    #[test]
    fn an_image_is_used_by_its_owner_and_whom_it_is_shared_with_once_it_is_there_and_fits() {
        let (other, waits) = (AccountId::new(Uuid::from_u128(4)), importing());
        let not_ready = Refused::ImageNotReady { state: "importing" };
        assert_eq!(may_use(&waits, owner(), false, 40), Err(not_ready));
        let (ready, _) = made(&waits, &there((40 << 30) + 1), NOW).unwrap();
        assert_eq!(may_use(&ready, owner(), false, 40), Err(Refused::ImageTooLarge { gib: 41, disk_gib: 40 }));
        assert_eq!(may_use(&ready, owner(), false, 41), Ok(()));
        assert_eq!(may_use(&ready, other, true, 41), Ok(()));
        assert_eq!(may_use(&ready, other, false, 41), Err(Refused::UnknownImage(ready.id.to_string())));
    }

    #[test]
    fn a_hosts_word_counts_once_and_what_is_used_stays() {
        let waits = importing();
        let (failed, event) = made(&waits, &Made::Failed("no qcow2".to_owned()), NOW).unwrap();
        assert_eq!((failed.state.name(), event), ("failed", Event::ImageFailed { image: waits.id }));
        assert_eq!(made(&failed, &there(1), NOW), None);
        let instance = InstanceId::new(Uuid::from_u128(9));
        assert_eq!(delete(&failed, Some(Some(instance)), NOW), Err(Refused::ImageInUse { instance }));
        let (deleted, _) = delete(&failed, None, NOW).unwrap();
        assert_eq!((deleted.generation, delete(&deleted, None, NOW)), (3, Err(Refused::ImageDeleted)));
        assert_eq!(may_use(&deleted, owner(), false, 40), Err(Refused::ImageNotReady { state: "deleted" }));
    }
}
