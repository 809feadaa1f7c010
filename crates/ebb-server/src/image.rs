//! How does an account's own image come to a host, and from there to others?
//!
//! An image is made on one host, of bytes or of a disk, and flattened there. Whichever other host needs it gets its bytes through this
//! process, and looks at them as at a stranger's.

use crate::app::App;
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use ebb_driver::link;
use ebb_driver::protocol::{
    DesiredVolume, ObservedVolume, Open, Source, Stored, VolumeIs, VolumeSize, WantVolume, Way,
};
use ebb_engine::image::{self as rules, Made};
use ebb_engine::refusal::Refused;
use ebb_model::id::{AccountId, HostId, ImageId};
use ebb_model::image::{CopyState, CustomImage, ImageCopy, ImageSize, ImageState, Origin};
use ebb_model::instance::Instance;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use ebb_store::rows::{image, instance};
use ebb_store::{Decision, StoreError};
use std::io;
use std::time::Duration;
use tokio::net::UnixStream;

/// So long a host may take to hear of an image before its bytes are sent.
const ORDER_PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
/// So long the bytes of an image may take to come from where a URL leads.
const FETCH_PATIENCE: Duration = Duration::from_secs(3_600);
/// In a sandbox all wait for it.
const SANDBOX_PATIENCE: Duration = Duration::from_secs(10);

/// What a host is to do about a copy.
pub fn desired(copy: &ImageCopy, of: &CustomImage, largest_gib: i64) -> DesiredVolume {
    let want = match copy.state {
        CopyState::Going => WantVolume::Gone,
        CopyState::Making | CopyState::There => WantVolume::There { source: source(copy, of), gib: largest_gib },
    };
    DesiredVolume { id: VolumeId::Image(of.id), generation: copy.generation, want }
}

fn source(copy: &ImageCopy, of: &CustomImage) -> Source {
    let first = matches!(of.state, ImageState::Importing { host } if host == copy.host);
    match (&of.state, &of.origin) {
        (ImageState::Available { size, .. }, _) if !first => {
            Source::Bytes { format: ImageFormat::Qcow2, sha256: size.stored_sha256.clone() }
        }
        (_, Origin::Upload { format, sha256 } | Origin::Url { format, sha256, .. }) => {
            Source::Bytes { format: *format, sha256: sha256.clone() }
        }
        (_, Origin::SystemDisk { instance }) => Source::Disk { disk: DiskOf::System(*instance) },
        (_, Origin::DataDisk { disk }) => Source::Disk { disk: DiskOf::Data(*disk) },
    }
}

impl Unit {
    /// The image of an account's own that an order names, if it may have a disk of so many GiB made of it; it stays as it is until this
    /// unit is done. `None`: it is one of the catalog's.
    pub async fn custom_image(&mut self, by: AccountId, named: &str, disk_gib: i64) -> Outcome<Option<CustomImage>> {
        let Ok(id) = named.parse::<ImageId>() else { return Ok(None) };
        let unknown = || Refused::UnknownImage(named.to_owned());
        let row = self.reads.row(image::by_id(id)).await?.ok_or_else(|| Denied::from(unknown()))?;
        let known = image::read(&row);
        let is_shared = self.reads.row(image::shared_with(id, by)).await?.is_some();
        rules::may_use(&known, by, is_shared, disk_gib).map_err(Denied::from)?;
        self.guard(image::used(&known));
        Ok(Some(known))
    }

    /// Whether an instance's host has an image of the operator's.
    pub fn has_image(&self, of: &Instance, image: &str) -> Outcome<()> {
        match self.app.zones.without_image(&of.zone, image) {
            Ok(without) if without.contains(&of.host) => refuse(Refused::ImageNotBesideDisk(image.to_owned())),
            Ok(_) => Ok(()),
            Err(refused) => refuse(refused),
        }
    }

    /// Has a host have a copy of an image.
    pub async fn bring_image(&mut self, id: ImageId, to: HostId) -> Outcome<()> {
        let known = self.reads.row(image::copy_on(id, to)).await?.map(|row| image::read_copy(&row));
        let generation = match known {
            Some(copy) if copy.state != CopyState::Going => return Ok(()),
            Some(copy) => copy.generation + 1,
            None => 1,
        };
        self.order_copy(ImageCopy { image: id, host: to, generation, state: CopyState::Making });
        Ok(())
    }

    /// Deletes an image that no instance has.
    pub async fn delete_image(&mut self, known: &CustomImage) -> Outcome<CustomImage> {
        let used_by = self.reads.row(image::used_by(known.id)).await?.map(|row| instance::read(&row));
        let used_by = used_by.map(|one| (one.account == known.account).then_some(one.id));
        let (next, event) = rules::delete(known, used_by, self.now).map_err(Denied::from)?;
        self.guard(image::change(known.generation, &next));
        self.remove_copies(known.id).await?;
        self.log(next.account, None, &event);
        if let (ImageState::Importing { .. }, Origin::DataDisk { disk }) = (&known.state, &known.origin) {
            self.let_source_go(*disk, VolumeId::Image(known.id)).await?;
        }
        Ok(next)
    }

    /// An account that never paid: its images go, but for those that somebody's instances have.
    pub async fn let_images_go(&mut self, id: AccountId) -> Outcome<()> {
        for known in self.reads.rows(image::of_account(id)).await?.iter().map(image::read) {
            if self.reads.row(image::used_by(known.id)).await?.is_none() {
                self.delete_image(&known).await?;
            }
        }
        Ok(())
    }

    pub fn order_copy(&mut self, copy: ImageCopy) {
        image::order(&copy).into_iter().for_each(|query| self.write(query));
        self.tell_host(copy.host);
    }

    /// All copies go.
    pub async fn remove_copies(&mut self, of: ImageId) -> Outcome<()> {
        for row in self.reads.rows(image::copies(of)).await? {
            let copy = image::read_copy(&row);
            self.order_copy(ImageCopy { generation: copy.generation + 1, state: CopyState::Going, ..copy });
        }
        Ok(())
    }
}

impl App {
    /// A host that makes images of bytes: the one with the smallest name of those that can.
    pub fn image_host(&self) -> Result<HostId, Refused> {
        let links = self.hosts.links.lock().expect("no panic while holding links");
        let able = links.values().filter(|link| link.keeps_volumes).map(|link| link.greeted.id).min();
        able.ok_or(Refused::NoHostForImages)
    }

    /// What a host says about an image.
    pub async fn observe_image(&self, from: HostId, id: ImageId, seen: ObservedVolume) -> Result<(), Denied> {
        let key = id.to_string();
        Ok(self.unit("observe-image", &key, move |unit| observe(unit, from, id, seen.clone())).await?)
    }

    /// Copies that a host should have and has not.
    pub async fn miss_images(&self, on: HostId, obeyed: i64, there: &[VolumeId]) -> Result<(), Denied> {
        for row in self.store.rows(image::orders_after(on, 0, i64::MAX)).await? {
            let (copy, _) = image::read_joined(&row);
            let (id, generation) = (VolumeId::Image(copy.image), copy.generation);
            let had = row.int("sequence") <= obeyed || copy.state == CopyState::There;
            if had && !there.contains(&id) {
                let is = VolumeIs::Gone { at: self.clock.now() };
                self.observe_image(on, copy.image, ObservedVolume { id, generation, is }).await?;
            }
        }
        Ok(())
    }

    /// Opens the way of an image's bytes to a host that was told to have it, or from one that has it.
    pub async fn bytes_of_image(&self, id: ImageId, host: HostId, way: Way) -> Result<UnixStream, Denied> {
        let open = Open::Bytes { installation: self.installation.id, volume: VolumeId::Image(id), way };
        let began = tokio::time::Instant::now();
        loop {
            let opened = match self.link(host) {
                Ok(link) => {
                    link::stream(&link.socket, &open).await.map_err(|error| Denied::HostAway(error.to_string()))
                }
                Err(denied) => Err(denied),
            };
            match opened {
                // Its order may still be under way.
                Err(_) if began.elapsed() < ORDER_PATIENCE => tokio::time::sleep(PAUSE).await,
                opened => return opened,
            }
        }
    }

    /// Brings the bytes of available images to the hosts that wait for them; gives back how many it brought.
    pub async fn relay_images(&self) -> Result<usize, Denied> {
        let rows = self.store.rows(image::making()).await?;
        let mut brought = 0;
        for (copy, of) in rows.iter().map(image::read_joined) {
            let ImageState::Available { .. } = of.state else { continue };
            let copies = self.store.rows(image::copies(of.id)).await?;
            let there = copies.iter().map(image::read_copy).filter(|other| other.state == CopyState::There);
            for other in there {
                match self.relay(of.id, other.host, copy.host).await {
                    Ok(()) => {
                        brought += 1;
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(image = %of.id, from = %other.host, to = %copy.host, %error, "an image did not get over")
                    }
                }
            }
        }
        Ok(brought)
    }

    async fn relay(&self, id: ImageId, from: HostId, to: HostId) -> io::Result<()> {
        let denied = |denied: Denied| io::Error::other(denied.to_string());
        let mut source = self.bytes_of_image(id, from, Way::FromHost).await.map_err(denied)?;
        let mut sink = self.bytes_of_image(id, to, Way::ToHost).await.map_err(denied)?;
        tokio::io::copy(&mut source, &mut sink).await?;
        tokio::io::AsyncWriteExt::shutdown(&mut sink).await
    }

    /// Images whose bytes are to be fetched.
    pub async fn images_to_fetch(&self) -> Result<Vec<CustomImage>, StoreError> {
        Ok(self.store.rows(image::fetching()).await?.iter().map(image::read).collect())
    }

    /// Fetches the bytes that a URL leads to; comes back when an image was made of them, or not.
    pub async fn fetch_image(&self, of: CustomImage) -> Result<(), Denied> {
        let (ImageState::Importing { host }, Origin::Url { url, .. }) = (&of.state, &of.origin) else { return Ok(()) };
        let url = url.parse().expect("a URL that was checked");
        let fetch = async {
            let body = self.deliverer.outside.get(&url).await?;
            let pieces = futures_util::stream::unfold(body, async |mut body| Some((body.next().await?, body)));
            self.feed(&of, *host, pieces).await.map_err(|denied| denied.to_string())
        };
        let patience = if self.is_sandbox() { SANDBOX_PATIENCE } else { FETCH_PATIENCE };
        let late = |_| Err(format!("it did not come within {} s", patience.as_secs()));
        match tokio::time::timeout(patience, fetch).await.unwrap_or_else(late) {
            Ok(()) => self.until_made(of.id).await.map(drop),
            Err(why) => self.give_up_image(of.id, why).await,
        }
    }

    /// Its bytes do not come.
    async fn give_up_image(&self, id: ImageId, why: String) -> Result<(), Denied> {
        let key = id.to_string();
        let given_up = self.unit("give-up-image", &key, move |mut unit| {
            let why = why.clone();
            async move {
                let of = image::read(&unit.reads.row(image::by_id(id)).await?.expect("images are never deleted"));
                if let ImageState::Importing { .. } = of.state
                    && let Some((next, event)) = rules::made(&of, &Made::Failed(why), unit.now)
                {
                    unit.guard(image::change(of.generation, &next));
                    unit.remove_copies(id).await?;
                    unit.log(of.account, None, &event);
                }
                Ok(unit.done(()))
            }
        });
        Ok(given_up.await?)
    }

    /// In a sandbox bytes are at once where they are wanted.
    pub async fn feed_fakes(&self) -> Result<(), Denied> {
        let rows = self.store.rows(image::making()).await?;
        for (copy, of) in rows.iter().map(image::read_joined) {
            let ImageState::Available { size, .. } = &of.state else { continue };
            let came = Ok(VolumeSize {
                bytes: size.bytes,
                stored: Some(Stored { bytes: size.stored_bytes, sha256: size.stored_sha256.clone() }),
            });
            self.bytes_came(copy.image, copy.host, came).await?;
        }
        Ok(())
    }

    /// A fake host has the bytes of an image, or found something wrong with them.
    pub async fn bytes_came(&self, id: ImageId, host: HostId, came: Result<VolumeSize, String>) -> Result<(), Denied> {
        self.settle_hosts().await?;
        let now = self.clock.now();
        let mut fakes = self.hosts.fakes.lock().await;
        let is_it = |fake: &&mut crate::host::Fake| fake.greeted.is_some_and(|greeted| greeted.id == host);
        let Some(fake) = fakes.iter_mut().find(is_it) else { return Err(Refused::NoHostForImages.into()) };
        let said = fake.host.bytes_came(VolumeId::Image(id), came, now);
        self.write_down(&fakes)?;
        drop(fakes);
        for message in said {
            self.hear(host, message).await?;
        }
        Ok(())
    }
}

async fn observe(mut unit: Unit, from: HostId, id: ImageId, seen: ObservedVolume) -> Outcome<Decision<()>> {
    let Some(row) = unit.reads.row(image::copy_on(id, from)).await? else {
        unit.see_stray(from, &seen);
        return Ok(unit.done(()));
    };
    let copy = image::read_copy(&row);
    // Of an order before the newest: the word about that is still to come.
    if seen.generation < copy.generation {
        return Ok(unit.done(()));
    }
    let of = image::read(&unit.reads.row(image::by_id(id)).await?.expect("images are never deleted"));
    let is_first = matches!(of.state, ImageState::Importing { host } if host == from);
    let word = match seen.is {
        VolumeIs::Making => return Ok(unit.done(())),
        VolumeIs::There { size: VolumeSize { bytes, stored }, .. } => {
            if copy.state == CopyState::Making {
                unit.guard(image::there(&copy));
            }
            match (is_first, stored) {
                (true, Some(Stored { bytes: stored_bytes, sha256: stored_sha256 })) => {
                    Made::There(ImageSize { bytes, stored_bytes, stored_sha256 })
                }
                _ => return Ok(unit.done(())),
            }
        }
        VolumeIs::Gone { .. } => {
            let others = unit.reads.rows(image::copies(id)).await?;
            let others =
                others.iter().map(image::read_copy).any(|one| one.host != from && one.state == CopyState::There);
            let lost = copy.state != CopyState::Going;
            if lost && others {
                // It gets it again.
                let generation = copy.generation + 1;
                unit.order_copy(ImageCopy { generation, state: CopyState::Making, ..copy });
                return Ok(unit.done(()));
            }
            unit.write(image::forget(&copy));
            if !lost {
                return Ok(unit.done(()));
            }
            Made::Failed("the last host that had it has it no more".to_owned())
        }
        VolumeIs::Failed { reason, .. } => {
            unit.write(image::forget(&copy));
            if !is_first {
                return Ok(unit.done(()));
            }
            Made::Failed(reason)
        }
    };
    if let Some((next, event)) = rules::made(&of, &word, unit.now) {
        unit.guard(image::change(of.generation, &next));
        unit.log(of.account, None, &event);
        if let Origin::DataDisk { disk } = of.origin {
            unit.let_source_go(disk, VolumeId::Image(id)).await?;
        }
    }
    Ok(unit.done(()))
}

/// Whether whoever asks could buy with an image that is no catalog's.
pub async fn quoted(app: &App, by: &crate::call::Principal, named: &str, disk_gib: i64) -> Result<(), Denied> {
    if named.parse::<ImageId>().is_err() {
        return Ok(());
    }
    let known = find(app, by, named).await.map_err(|_| Refused::UnknownImage(named.to_owned()))?;
    Ok(rules::may_use(&known, by.account.unwrap_or(known.account), true, disk_gib)?)
}

/// What an image's id leads to, as its owner, an operator or whom it is shared with may see it.
pub async fn find(app: &App, by: &crate::call::Principal, named: &str) -> Result<CustomImage, Denied> {
    let unknown = || Denied::not_found("image", named);
    let id: ImageId = named.parse().map_err(|_| unknown())?;
    let sees = by.clone();
    let found = app.store.read(move |reads| async move {
        let Some(row) = reads.row(image::by_id(id)).await? else { return Ok::<_, StoreError>(None) };
        let known = image::read(&row);
        let shared = match sees.account {
            Some(account) => reads.row(image::shared_with(id, account)).await?.is_some(),
            None => false,
        };
        Ok((sees.sees(known.account) || shared).then_some(known))
    });
    found.await?.ok_or_else(unknown)
}
