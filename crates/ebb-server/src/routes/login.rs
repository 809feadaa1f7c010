//! How is a guest logged in to by password, and its system disk made anew? Both take effect at its next start. (rules §4.4)

use super::instance::{find, key_name, shown, with_address};
use super::json;
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Role};
use crate::denied::Denied;
use crate::unit::{Outcome, Unit, refuse};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::event::Event;
use ebb_engine::image::may_have;
use ebb_engine::refusal::Refused;
use ebb_model::catalog::SYSTEM_DISK;
use ebb_model::instance::{Instance, State as Life};
use ebb_store::rows::{instance, password};
use ebb_wire::instance as wire;
use ebb_wire::problem::Problem;
use sha_crypt::{PasswordHasher, ShaCrypt};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// So many characters, and of so many kinds: capital letters, small ones, digits, others.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=72;
const KINDS: usize = 3;
/// As many as `crypt(3)` looks at, once they are written in its 64 characters.
const SALT_BYTES: usize = 12;

/// Sets the password of root from the next start on. It is kept hashed.
#[utoipa::path(post, path = "/v1/instances/{id}/password", tag = "instance", operation_id = "reset_password", params(("id" = String, Path)),
    request_body = wire::ResetPassword, responses((status = 200, body = wire::Instance), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn reset_password(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::ResetPassword>,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    call.principal.member()?;
    let hash: Arc<str> = hashed(call.body.password.clone()).await?.into();
    let answer = call.once(&app, "reset-password", known.account, move |mut unit| {
        let hash = hash.clone();
        async move {
            arrears::permit(&mut unit, known.account).await?;
            let about = unit.instance(known.id).await?;
            if let Life::Releasing { .. } | Life::Released { .. } = about.state {
                return refuse(Refused::Released);
            }
            // Nobody else changes it meanwhile: what is released has no password.
            unit.guard(instance::unchanged(&about));
            unit.write(password::set(about.id, &hash));
            unit.log(about.account, Some(about.id), &Event::PasswordReset);
            unit.order(&about);
            let answer = answer(&unit, &about).await?;
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Makes the system disk of a stopped instance anew at its next start, of the same or another image; what is on it is lost. Refused for
/// spot blocks.
#[utoipa::path(post, path = "/v1/instances/{id}/system-disk", tag = "instance", operation_id = "replace_system_disk",
    params(("id" = String, Path)), request_body = wire::ReplaceSystemDisk,
    responses((status = 200, body = wire::Instance), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn replace_system_disk(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::ReplaceSystemDisk>,
) -> Result<Response, Denied> {
    let known = find(&app, &call.principal, &id).await?;
    if call.principal.role != Role::Operator {
        call.principal.member()?;
    }
    let image = call.body.image.clone();
    let answer = call.once(&app, "replace-system-disk", known.account, move |mut unit| {
        let image = image.clone();
        async move {
            arrears::permit(&mut unit, known.account).await?;
            let before = unit.instance(known.id).await?;
            let image = image.unwrap_or_else(|| before.image.clone());
            let gib = before.resources.get(SYSTEM_DISK);
            match unit.custom_image(before.account, &image, gib).await? {
                Some(custom) => unit.bring_image(custom.id, before.host).await?,
                None if unit.app.catalog.images.iter().any(|one| one.id == image) => {
                    if let Some(flavor) = unit.app.catalog.flavor(&before.flavor) {
                        may_have(&unit.app.catalog, &image, flavor).map_err(Denied::from)?;
                    }
                    unit.has_image(&before, &image)?;
                }
                None => return refuse(Refused::UnknownImage(image)),
            }
            let after = unit.reinstall(&before, &image).await?;
            let answer = answer(&unit, &after).await?;
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

async fn answer(unit: &Unit, about: &Instance) -> Outcome<wire::Instance> {
    let seen = unit.reads.row(instance::by_id(about.id)).await?.map(|row| instance::read_seen(&row));
    let key = key_name(&unit.reads, about).await?;
    Ok(with_address(&unit.reads, shown(about, &seen.unwrap_or_default(), None, key), about.id).await?)
}

/// As `crypt(3)` writes it (SHA-512), after it was looked at.
pub async fn hashed(password: String) -> Result<String, Denied> {
    let visible = password.chars().all(|c| matches!(c, ' '..='~'));
    let kinds: [fn(char) -> bool; 4] = [
        |c| c.is_ascii_uppercase(),
        |c| c.is_ascii_lowercase(),
        |c| c.is_ascii_digit(),
        |c| !c.is_ascii_alphanumeric(),
    ];
    let many = kinds.iter().filter(|kind| password.chars().any(**kind)).count();
    if !visible || !LENGTH.contains(&password.len()) || many < KINDS {
        let (least, most) = (LENGTH.start(), LENGTH.end());
        return Err(Denied::BadInput(format!(
            "password: {least} to {most} visible ASCII characters, of at least {KINDS} of these kinds: capital letters, small letters, \
             digits, others"
        )));
    }
    let salt = Uuid::new_v4().into_bytes();
    let hash = move || ShaCrypt::SHA512.hash_password_with_salt(password.as_bytes(), &salt[..SALT_BYTES]);
    let hash = spawn_blocking(hash).await.expect("hashing does not panic");
    Ok(hash.expect("a salt of the length that it takes").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_hashed_as_login_reads_it_and_a_weak_one_is_refused() {
        let hash = hashed("Correct-horse7".to_owned()).await.unwrap();
        let again = hashed("Correct-horse7".to_owned()).await.unwrap();
        assert!(hash.starts_with("$6$") && hash != again, "{hash}");
        let by_others = std::process::Command::new("openssl")
            .args(["passwd", "-6", "-salt", hash.split('$').nth(3).unwrap(), "Correct-horse7"])
            .output()
            .unwrap();
        let by_others = String::from_utf8(by_others.stdout).unwrap();
        assert_eq!(hash.rsplit('$').next(), by_others.trim().rsplit('$').next());
        for weak in ["", "Ab1-", "alllowercase", "lower-case-only", "Ünïcode-1", "tab\t-Abc1", &"Aa1-".repeat(19)] {
            assert!(matches!(hashed(weak.to_owned()).await, Err(Denied::BadInput(_))), "{weak}");
        }
    }
}
