//! Images of accounts: bringing them along, making them of disks, sharing and deleting.

use super::account::Paging;
use super::{disk, instance, json};
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Principal, Role, checked_name};
use crate::deliver::address;
use crate::denied::Denied;
use crate::image::find;
use crate::quota::Quota;
use crate::unit::{Outcome, Unit, refuse};
use crate::volume::{let_source_go, own_instance};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_driver::image::{HEAD_BYTES, fits};
use ebb_driver::protocol::{Stored, VolumeSize, Way};
use ebb_engine::event::Event;
use ebb_engine::image as rules;
use ebb_engine::operation::{Operation, permit};
use ebb_engine::refusal::Refused;
use ebb_model::disk::Volume;
use ebb_model::id::{AccountId, HostId, ImageId, InstanceId};
use ebb_model::image::{CopyState, CustomImage, ImageCopy, ImageState, Origin};
use ebb_model::volume::{ImageFormat, VolumeId};
use ebb_store::rows::{account, image, volume};
use ebb_store::{Reads, StoreError};
use ebb_wire::image as wire;
use ebb_wire::problem::{Page, Problem};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// So long a host may take to look at an image and to flatten it.
const MAKING_PATIENCE: Duration = Duration::from_secs(1_800);
const PAUSE: Duration = Duration::from_millis(100);

/// The account's images and those that are shared with it, oldest first.
#[utoipa::path(get, path = "/v1/images", tag = "image", operation_id = "list_images", params(Paging), responses((status = 200, body = Page<wire::Image>)))]
pub async fn list(
    State(app): State<App>,
    who: Principal,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<wire::Image>>, Denied> {
    let (after, limit) = (paging.after.as_str(), paging.limit());
    let query = match (who.role, who.account) {
        (Role::Operator, None) => image::page(after, limit),
        _ => image::page_for(who.account()?, after, limit),
    };
    let items = app.store.read(move |reads| async move {
        let mut items = vec![];
        for row in reads.rows(query).await? {
            items.push(shown(&reads, &image::read(&row), &who).await?);
        }
        Ok::<_, StoreError>(items)
    });
    Ok(Json(paging.page(items.await?, |one| one.id.clone())))
}

/// One image.
#[utoipa::path(get, path = "/v1/images/{id}", tag = "image", operation_id = "show_image", params(("id" = String, Path)),
    responses((status = 200, body = wire::Image), (status = 404, body = Problem)))]
pub async fn show(State(app): State<App>, who: Principal, Path(id): Path<String>) -> Result<Json<wire::Image>, Denied> {
    let known = find(&app, &who, &id).await?;
    Ok(Json(app.store.read(move |reads| async move { shown(&reads, &known, &who).await }).await?))
}

/// Begins an image: of bytes that are sent afterwards, of what a URL leads to, or of a disk as it is now.
#[utoipa::path(post, path = "/v1/images", tag = "image", operation_id = "add_image", request_body = wire::AddImage,
    responses((status = 201, body = wire::Image), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn add(State(app): State<App>, call: Call<wire::AddImage>) -> Result<Response, Denied> {
    let by = call.principal.member()?;
    let name = checked_name("name", &call.body.name)?;
    let (origin, host) = origin(&app, &call.principal, &call.body.origin).await?;
    let seen = call.principal.clone();
    let answer = call.once(&app, "add-image", by, move |unit| {
        let (name, origin, seen) = (name.clone(), origin.clone(), seen.clone());
        begin(unit, by, name, origin, host, seen)
    });
    let answer = answer.await?;
    if app.is_sandbox() {
        app.settle_hosts().await?;
        app.fetch_images().await?;
    }
    Ok(json(StatusCode::CREATED, answer))
}

async fn begin(
    mut unit: Unit,
    by: AccountId,
    name: String,
    origin: Origin,
    host: HostId,
    seen: Principal,
) -> Outcome<ebb_store::Decision<wire::Image>> {
    arrears::permit(&mut unit, by).await?;
    let of = unit.look_at_origin(by, &origin).await?;
    unit.one_more(by, Quota::Images).await?;
    let id = ImageId::new(unit.app.mint.uuid(unit.now));
    let new = CustomImage {
        id,
        account: by,
        name,
        origin,
        created_at: unit.now,
        generation: 1,
        state: ImageState::Importing { host },
    };
    unit.write(image::insert(&new));
    unit.order_copy(ImageCopy { image: id, host, generation: 1, state: CopyState::Making });
    let origin = new.origin.name().to_owned();
    unit.log(by, of, &Event::ImageAsked { image: id, origin });
    let answer = shown(&unit.reads, &new, &seen).await?;
    Ok(unit.done(answer))
}

/// The bytes of an image that is importing, once. The answer comes when its host has looked at them: available, or failed with the reason.
#[utoipa::path(put, path = "/v1/images/{id}/content", tag = "image", operation_id = "send_image", params(("id" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = wire::Image), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem)))]
pub async fn content(
    State(app): State<App>,
    Path(id): Path<String>,
    who: Principal,
    body: Body,
) -> Result<Json<wire::Image>, Denied> {
    who.member()?;
    let known = find(&app, &who, &id).await?;
    let ImageState::Importing { host } = known.state else {
        return Err(Refused::ImageHasBytes { state: known.state.name() }.into());
    };
    if who.account != Some(known.account) || !matches!(known.origin, Origin::Upload { .. }) {
        return Err(Refused::ImageHasBytes { state: "not an upload of this account" }.into());
    }
    let pieces = body.into_data_stream().map(|piece| piece.map_err(|error| error.to_string()));
    app.feed(&known, host, pieces).await?;
    let made = app.until_made(known.id).await?;
    Ok(Json(app.store.read(move |reads| async move { shown(&reads, &made, &who).await }).await?))
}

/// Lets another account use an image. It sees the image from then on; what it makes of it is its own.
#[utoipa::path(post, path = "/v1/images/{id}/share", tag = "image", operation_id = "share_image", params(("id" = String, Path)),
    request_body = wire::ShareImage, responses((status = 200, body = wire::Image), (status = 404, body = Problem)))]
pub async fn share(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::ShareImage>,
) -> Result<Response, Denied> {
    set_share(app, id, call, "share-image", true).await
}

/// Takes that back; what the other account has made of it stays.
#[utoipa::path(post, path = "/v1/images/{id}/unshare", tag = "image", operation_id = "unshare_image", params(("id" = String, Path)),
    request_body = wire::ShareImage, responses((status = 200, body = wire::Image), (status = 404, body = Problem)))]
pub async fn unshare(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::ShareImage>,
) -> Result<Response, Denied> {
    set_share(app, id, call, "unshare-image", false).await
}

async fn set_share(
    app: App,
    id: String,
    call: Call<wire::ShareImage>,
    name: &'static str,
    shared: bool,
) -> Result<Response, Denied> {
    let by = call.principal.member()?;
    let known = own(&app, &call.principal, &id).await?;
    let with: AccountId = call.body.account.parse().map_err(|_| Denied::not_found("account", &call.body.account))?;
    let seen = call.principal.clone();
    let answer = call.once(&app, name, by, move |mut unit| {
        let (known, seen) = (known.clone(), seen.clone());
        async move {
            if unit.reads.row(account::by_id(with)).await?.is_none() || with == known.account {
                return refuse(Denied::not_found("other account", with));
            }
            if let ImageState::Deleted { .. } = known.state {
                return refuse(Refused::ImageDeleted);
            }
            unit.guard(image::unchanged(&known));
            let (query, event) = match shared {
                true => (image::share(known.id, with), Event::ImageShared { image: known.id, with }),
                false => (image::unshare(known.id, with), Event::ImageUnshared { image: known.id, with }),
            };
            unit.write(query);
            unit.log(known.account, None, &event);
            let mut answer = shown(&unit.reads, &known, &seen).await?;
            answer.shared_with.retain(|one| *one != with.to_string());
            answer.shared_with.extend(shared.then(|| with.to_string()));
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Deletes an image that no instance has.
#[utoipa::path(delete, path = "/v1/images/{id}", tag = "image", operation_id = "delete_image", params(("id" = String, Path)),
    responses((status = 200, body = wire::Image), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn delete(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let by = call.principal.member()?;
    let known = own(&app, &call.principal, &id).await?;
    let seen = call.principal.clone();
    let answer = call.once(&app, "delete-image", by, move |mut unit| {
        let (id, seen) = (known.id, seen.clone());
        async move {
            let known = image::read(&unit.reads.row(image::by_id(id)).await?.expect("images are never deleted"));
            let used_by = unit.reads.row(image::used_by(id)).await?.map(|row| row.text("id").to_owned());
            let used_by = used_by.map(|id| id.parse().expect("an id that this program wrote"));
            let (next, event) = rules::delete(&known, used_by, unit.now).map_err(Denied::from)?;
            unit.guard(image::change(known.generation, &next));
            unit.remove_copies(id).await?;
            unit.log(next.account, None, &event);
            if let (ImageState::Importing { .. }, Origin::DataDisk { disk }) = (&known.state, &known.origin) {
                let_source_go(&mut unit, *disk, VolumeId::Image(id)).await?;
            }
            let answer = shown(&unit.reads, &next, &seen).await?;
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// An image of the caller's own account.
async fn own(app: &App, who: &Principal, id: &str) -> Result<CustomImage, Denied> {
    let known = find(app, who, id).await?;
    if who.account == Some(known.account) { Ok(known) } else { Err(Denied::not_found("image of this account", id)) }
}

/// What is asked for, checked; with the host that is to make it.
async fn origin(app: &App, who: &Principal, from: &wire::ImageOrigin) -> Result<(Origin, HostId), Denied> {
    Ok(match from {
        wire::ImageOrigin::Upload { format, sha256 } => {
            let origin = Origin::Upload { format: checked_format(format)?, sha256: checked_digest(sha256)? };
            (origin, app.some_image_host().await?)
        }
        wire::ImageOrigin::Url { url, format, sha256 } => {
            let networks = &app.deliverer.outside.networks;
            let url = address::webhook(url, networks).map_err(|why| Denied::BadInput(format!("url: {why}")))?;
            let (format, sha256) = (checked_format(format)?, checked_digest(sha256)?);
            (Origin::Url { url: url.to_string(), format, sha256 }, app.some_image_host().await?)
        }
        wire::ImageOrigin::SystemDisk { instance: id } => {
            let known = instance::find(app, who, id).await?;
            (Origin::SystemDisk { instance: known.id }, known.host)
        }
        wire::ImageOrigin::DataDisk { disk: id } => {
            let known = disk::find(app, who, id).await?;
            let VolumeId::Disk(disk) = known.id else { return Err(Denied::not_found("data disk", id)) };
            (Origin::DataDisk { disk }, known.host)
        }
    })
}

fn checked_format(text: &str) -> Result<ImageFormat, Denied> {
    let found = [ImageFormat::Qcow2, ImageFormat::Raw].into_iter().find(|format| format.name() == text);
    found.ok_or_else(|| {
        Denied::BadInput(
            "format: it is qcow2 or raw; convert others first, as `qemu-img convert -O qcow2` does".to_owned(),
        )
    })
}

fn checked_digest(text: &str) -> Result<String, Denied> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Denied::BadInput("sha256: 64 hexadecimal digits, as `sha256sum FILE` prints them".to_owned()))
}

async fn shown(reads: &Reads, of: &CustomImage, who: &Principal) -> Result<wire::Image, StoreError> {
    let is_own = who.account == Some(of.account) || who.role == Role::Operator;
    let shares = if is_own { reads.rows(image::shares(of.id)).await? } else { vec![] };
    let size = match &of.state {
        ImageState::Available { size, .. } => Some(size),
        _ => None,
    };
    let origin = match &of.origin {
        Origin::Upload { format, sha256 } => {
            wire::ImageOrigin::Upload { format: format.name().to_owned(), sha256: sha256.clone() }
        }
        Origin::Url { url, format, sha256 } => wire::ImageOrigin::Url {
            url: if is_own { url.clone() } else { String::new() },
            format: format.name().to_owned(),
            sha256: sha256.clone(),
        },
        Origin::SystemDisk { instance } => wire::ImageOrigin::SystemDisk { instance: instance.to_string() },
        Origin::DataDisk { disk } => wire::ImageOrigin::DataDisk { disk: disk.to_string() },
    };
    Ok(wire::Image {
        id: of.id.to_string(),
        account: of.account.to_string(),
        name: of.name.clone(),
        state: of.state.name().to_owned(),
        reason: match &of.state {
            ImageState::Failed { reason, .. } => Some(reason.clone()),
            _ => None,
        },
        origin,
        gib: size.map(|size| size.gib()),
        bytes: size.map(|size| size.bytes),
        stored_bytes: size.map(|size| size.stored_bytes),
        created_at: of.created_at.to_string(),
        shared_with: shares.iter().map(|row| row.text("account_id").to_owned()).collect(),
    })
}

impl Unit {
    /// Whether a disk may be copied now, and stays until its host has heard of it. Gives the instance that it is about.
    async fn look_at_origin(&mut self, by: AccountId, origin: &Origin) -> Outcome<Option<InstanceId>> {
        Ok(match origin {
            Origin::SystemDisk { instance } => {
                let about = own_instance(self, by, *instance).await?;
                permit(&about, Operation::ImageOfSystemDisk).map_err(Denied::from)?;
                if about.first_running.is_none() {
                    return refuse(Refused::WrongState { state: about.state.name(), verb: "be copied into an image" });
                }
                self.guard(ebb_store::rows::instance::unchanged(&about));
                Some(*instance)
            }
            // Allowed while its instance is taken back: one that goes with that waits for it (rules §2.7).
            Origin::DataDisk { disk } => {
                let known = self.volume(VolumeId::Disk(*disk)).await?;
                if known.account != by {
                    return refuse(Denied::not_found("data disk", disk));
                }
                disk::is_ready(&known, "copied into an image").map_err(Denied::from)?;
                let next = Volume { generation: known.generation + 1, ..known.clone() };
                self.guard(volume::change(known.generation, &next));
                known.state.instance()
            }
            Origin::Upload { .. } | Origin::Url { .. } => None,
        })
    }
}

impl App {
    /// A host that makes images; in a sandbox any.
    async fn some_image_host(&self) -> Result<HostId, Denied> {
        if !self.is_sandbox() {
            return Ok(self.image_host()?);
        }
        let fakes = self.hosts.fakes.lock().await;
        let greeted = fakes.iter().find_map(|fake| fake.greeted);
        greeted.map(|greeted| greeted.id).ok_or_else(|| Refused::NoHostForImages.into())
    }

    /// Sends bytes to the host that makes an image of them; in a sandbox they are counted and forgotten.
    pub async fn feed<P: AsRef<[u8]>>(
        &self,
        of: &CustomImage,
        host: HostId,
        pieces: impl futures_util::Stream<Item = Result<P, String>>,
    ) -> Result<(), Denied> {
        let most = self.catalog.limits.image_gib << 30;
        let mut sink = match self.is_sandbox() {
            true => None,
            false => Some(self.bytes_of_image(of.id, host, Way::ToHost).await?),
        };
        let (mut pieces, mut bytes, mut digest) = (std::pin::pin!(pieces), 0, Sha256::new());
        let mut head = vec![];
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|why| Denied::BadInput(format!("the bytes were cut off: {why}")))?;
            bytes += piece.as_ref().len() as i64;
            if bytes > most {
                return Err(Denied::TooLarge);
            }
            digest.update(piece.as_ref());
            let lacks = HEAD_BYTES.saturating_sub(head.len()).min(piece.as_ref().len());
            head.extend_from_slice(&piece.as_ref()[..lacks]);
            if let Some(sink) = &mut sink
                && let Err(error) = sink.write_all(piece.as_ref()).await
            {
                // It has said why, or will.
                tracing::debug!(image = %of.id, %error, "a host reads no further");
                return Ok(());
            }
        }
        if let Some(mut sink) = sink {
            let _ = sink.shutdown().await;
            return Ok(());
        }
        let found = crate::mint::hex(&digest.finalize());
        let (format, wanted) = of.origin.bytes().expect("an image of bytes");
        let came = match found == wanted {
            true => fits(format, &head, bytes.cast_unsigned(), most.cast_unsigned())
                .map(|size| VolumeSize { bytes: size.cast_signed(), stored: Some(Stored { bytes, sha256: found }) }),
            false => Err(format!("the SHA-256 of the {} bytes is {found}, not {wanted}", format.name())),
        };
        self.bytes_came(of.id, host, came).await
    }

    /// Waits until a host has said what became of an image.
    async fn until_made(&self, id: ImageId) -> Result<CustomImage, Denied> {
        let began = tokio::time::Instant::now();
        loop {
            let rows = self.store.rows(image::by_id(id)).await?;
            let known = image::read(&rows[0]);
            if !matches!(known.state, ImageState::Importing { .. }) || began.elapsed() > MAKING_PATIENCE {
                return Ok(known);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
