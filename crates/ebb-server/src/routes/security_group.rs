//! Security groups: making, looking, allowing, denying, deleting, and choosing them for an instance.

use super::instance::{find as find_instance, key_name, shown as shown_instance, with_address};
use super::json;
use crate::app::App;
use crate::arrears;
use crate::call::{Call, Principal, checked_name};
use crate::denied::Denied;
use crate::quota::Quota;
use crate::security_group::{all, chosen, find, named};
use crate::unit::{Outcome, Unit, refuse};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ebb_engine::event::Event;
use ebb_engine::refusal::Refused;
use ebb_model::id::{AccountId, SecurityGroupId};
use ebb_model::instance::State as Life;
use ebb_model::network::{EVERYWHERE, Ingress, Service};
use ebb_model::security_group::{SecurityGroup, source};
use ebb_store::Decision;
use ebb_store::rows::instance::Seen;
use ebb_store::rows::{instance, security_group};
use ebb_wire::instance as wire_instance;
use ebb_wire::problem::{Page, Problem};
use ebb_wire::security_group as wire;

/// The account's security groups, the default one first.
#[utoipa::path(get, path = "/v1/security-groups", operation_id = "list_security_groups",
    responses((status = 200, body = Page<wire::SecurityGroup>)))]
pub async fn list(State(app): State<App>, who: Principal) -> Result<Json<Page<wire::SecurityGroup>>, Denied> {
    let of = who.account()?;
    let groups = app.store.read(move |reads| async move { all(&reads, of).await }).await?;
    Ok(Json(Page { items: groups.iter().map(shown).collect(), next: None }))
}

/// One security group, by its name or id.
#[utoipa::path(get, path = "/v1/security-groups/{group}", operation_id = "show_security_group", params(("group" = String, Path)),
    responses((status = 200, body = wire::SecurityGroup), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    who: Principal,
    Path(group): Path<String>,
) -> Result<Json<wire::SecurityGroup>, Denied> {
    let of = who.account()?;
    let groups = app.store.read(move |reads| async move { all(&reads, of).await }).await?;
    Ok(Json(shown(&find(&groups, &group)?)))
}

/// Makes a security group.
#[utoipa::path(post, path = "/v1/security-groups", operation_id = "create_security_group",
    request_body = wire::CreateSecurityGroup,
    responses((status = 201, body = wire::SecurityGroup), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub async fn create(State(app): State<App>, call: Call<wire::CreateSecurityGroup>) -> Result<Response, Denied> {
    let of = call.principal.member()?;
    let name = checked_name("name", &call.body.name)?;
    if name.contains('/') || name == "." || name == ".." {
        return Err(Denied::BadInput(
            "name: it is part of an address, so it has no `/` in it and is not `.` or `..`".to_owned(),
        ));
    }
    if name.parse::<SecurityGroupId>().is_ok() {
        return Err(Denied::BadInput("name: it looks like an id; choose another".to_owned()));
    }
    let mut rules = vec![];
    for rule in call.body.rules.iter().map(checked) {
        let rule = rule?;
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let answer = call.once(&app, "create-security-group", of, move |unit| make(unit, of, name.clone(), rules.clone()));
    Ok(json(StatusCode::CREATED, answer.await?))
}

async fn make(
    mut unit: Unit,
    of: AccountId,
    name: String,
    rules: Vec<Ingress>,
) -> Outcome<Decision<wire::SecurityGroup>> {
    arrears::permit(&mut unit, of).await?;
    if all(&unit.reads, of).await?.iter().any(|group| group.name == name) {
        return refuse(Refused::GroupExists(name));
    }
    unit.one_more(of, Quota::SecurityGroups).await?;
    let id = SecurityGroupId::new(unit.app.mint.uuid(unit.now));
    let new = SecurityGroup { id, account: of, name, rules, created_at: unit.now, generation: 1 };
    write(&mut unit, &new, 0)?;
    Ok(unit.done(shown(&new)))
}

/// Lets something more in; what is let in already changes nothing. All instances of the group follow at once.
#[utoipa::path(post, path = "/v1/security-groups/{group}/allow", operation_id = "allow", params(("group" = String, Path)),
    request_body = wire::Rule,
    responses((status = 200, body = wire::SecurityGroup), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn allow(
    State(app): State<App>,
    Path(group): Path<String>,
    call: Call<wire::Rule>,
) -> Result<Response, Denied> {
    change(app, group, call, "allow", |rules, rule| {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
        Ok(())
    })
    .await
}

/// Takes a rule away. All instances of the group follow at once.
#[utoipa::path(post, path = "/v1/security-groups/{group}/deny", operation_id = "deny", params(("group" = String, Path)),
    request_body = wire::Rule,
    responses((status = 200, body = wire::SecurityGroup), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn deny(
    State(app): State<App>,
    Path(group): Path<String>,
    call: Call<wire::Rule>,
) -> Result<Response, Denied> {
    change(app, group, call, "deny", |rules, rule| {
        let Some(at) = rules.iter().position(|known| *known == rule) else {
            let said = shown_rule(&rule);
            let ports = said.ports.map_or_else(String::new, |ports| format!(" {ports}"));
            let what = format!("{}{ports} from {}", said.protocol, said.from.unwrap_or_default());
            return Err(Denied::not_found("rule", what));
        };
        rules.remove(at);
        Ok(())
    })
    .await
}

async fn change(
    app: App,
    group: String,
    call: Call<wire::Rule>,
    name: &'static str,
    how: fn(&mut Vec<Ingress>, Ingress) -> Result<(), Denied>,
) -> Result<Response, Denied> {
    let of = call.principal.member()?;
    let rule = checked(&call.body)?;
    let answer = call.once(&app, name, of, move |mut unit| {
        let group = group.clone();
        async move {
            arrears::permit(&mut unit, of).await?;
            let before = find(&all(&unit.reads, of).await?, &group)?;
            let mut next = SecurityGroup { generation: before.generation + 1, ..before.clone() };
            how(&mut next.rules, rule)?;
            if next.rules != before.rules {
                // Of this and a purchase that names the group one sees the other.
                unit.change_account(of).await?;
                write(&mut unit, &next, before.generation)?;
                for row in unit.reads.rows(instance::in_group(&next)).await? {
                    unit.order(&instance::read(&row));
                }
            }
            Ok(unit.done(shown(&next)))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

fn write(unit: &mut Unit, next: &SecurityGroup, seen: i64) -> Outcome<()> {
    let most = unit.app.catalog.limits.rules_per_security_group;
    if i64::try_from(next.rules.len()).is_ok_and(|rules| rules > most) {
        return refuse(Refused::TooManyRules { most });
    }
    unit.guard(security_group::change(next, seen));
    let (group, name, rules) = (next.id, next.name.clone(), next.rules.clone());
    unit.log(next.account, None, &Event::SecurityGroupChanged { group, name, rules });
    Ok(())
}

/// Deletes a security group that no instance is in.
#[utoipa::path(delete, path = "/v1/security-groups/{group}", operation_id = "delete_security_group",
    params(("group" = String, Path)),
    responses((status = 200, body = wire::SecurityGroup), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn delete(
    State(app): State<App>,
    Path(group): Path<String>,
    call: Call<Option<()>>,
) -> Result<Response, Denied> {
    let of = call.principal.member()?;
    let answer = call.once(&app, "delete-security-group", of, move |mut unit| {
        let group = group.clone();
        async move {
            arrears::permit(&mut unit, of).await?;
            let known = find(&all(&unit.reads, of).await?, &group)?;
            if known.is_default() {
                return refuse(Refused::DefaultGroup);
            }
            let instances = unit.reads.rows(instance::in_group(&known)).await?.len();
            if instances > 0 {
                return refuse(Refused::GroupInUse { name: known.name, instances });
            }
            // Under the account's generation, as purchases are: one that chooses this group sees that it is gone, or is seen.
            unit.change_account(of).await?;
            unit.guard(security_group::delete(&known));
            unit.log(of, None, &Event::SecurityGroupDeleted { group: known.id });
            Ok(unit.done(shown(&known)))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

/// Puts an instance into other security groups; its host follows at once.
#[utoipa::path(post, path = "/v1/instances/{id}/security-groups", operation_id = "choose_security_groups",
    params(("id" = String, Path)), request_body = wire::ChooseSecurityGroups,
    responses((status = 200, body = wire_instance::Instance), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn choose(
    State(app): State<App>,
    Path(id): Path<String>,
    call: Call<wire::ChooseSecurityGroups>,
) -> Result<Response, Denied> {
    let about = find_instance(&app, &call.principal, &id).await?;
    call.principal.member()?;
    let wanted = call.body.groups.clone();
    let answer = call.once(&app, "choose-security-groups", about.account, move |mut unit| {
        let (wanted, of) = (wanted.clone(), about.account);
        async move {
            arrears::permit(&mut unit, of).await?;
            let row = unit.reads.row(instance::by_id(about.id)).await?.expect("an instance is never deleted");
            let known = instance::read(&row);
            if let Life::Releasing { .. } | Life::Released { .. } = known.state {
                return refuse(Refused::Released);
            }
            let groups = named(&unit, of, &wanted).await?;
            let ids = chosen(of, &groups);
            unit.change_account(of).await?;
            unit.guard(instance::choose_groups(known.id, &ids));
            let said = groups.iter().map(|group| group.id).collect();
            unit.log(of, Some(known.id), &Event::SecurityGroupsChosen { groups: said });
            unit.order(&known);
            let seen = Seen { security_groups: ids, ..instance::read_seen(&row) };
            let key = key_name(&unit.reads, &known).await?;
            let answer = with_address(&unit.reads, shown_instance(&known, &seen, None, key), known.id).await?;
            Ok(unit.done(answer))
        }
    });
    Ok(json(StatusCode::OK, answer.await?))
}

fn shown(group: &SecurityGroup) -> wire::SecurityGroup {
    wire::SecurityGroup {
        id: group.id.to_string(),
        account: group.account.to_string(),
        name: group.name.clone(),
        rules: group.rules.iter().map(shown_rule).collect(),
        created_at: group.created_at.to_string(),
    }
}

pub fn shown_rule(rule: &Ingress) -> wire::Rule {
    let (protocol, ports) = match rule.service {
        Service::Tcp { ports } => ("tcp", Some(ports)),
        Service::Udp { ports } => ("udp", Some(ports)),
        Service::Ping => ("ping", None),
    };
    wire::Rule {
        protocol: protocol.to_owned(),
        ports: ports.map(|ports| ports.to_string()),
        from: Some(rule.from.to_string()),
    }
}

/// A rule as it is meant.
fn checked(rule: &wire::Rule) -> Result<Ingress, Denied> {
    let ports = || match &rule.ports {
        Some(ports) => ports.parse().map_err(|error| Denied::BadInput(format!("ports: {error}"))),
        None => Err(Denied::BadInput(format!("ports: which of {}? such as 443, or 8000-8080", rule.protocol))),
    };
    let service = match rule.protocol.as_str() {
        "tcp" => Service::Tcp { ports: ports()? },
        "udp" => Service::Udp { ports: ports()? },
        "ping" if rule.ports.is_some() => {
            return Err(Denied::BadInput("ports: a ping has none; leave them out".to_owned()));
        }
        "ping" => Service::Ping,
        _ => return Err(Denied::BadInput("protocol: it is tcp, udp or ping".to_owned())),
    };
    let from = match rule.from.as_deref() {
        None => EVERYWHERE,
        Some(text) => source(text).ok_or_else(|| {
            Denied::BadInput("from: an address such as 203.0.113.7, or a range such as 203.0.113.0/24".to_owned())
        })?,
    };
    Ok(Ingress { service, from })
}
