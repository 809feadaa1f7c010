//! What is one attempt to tell one subscriber something?

use super::outcome::write_down;
use crate::app::App;
use crate::deliver::mail::Letter;
use crate::deliver::secret::{Secrets, same};
use crate::deliver::{Outcome as Came, address, message};
use crate::denied::Denied;
use ebb_model::id::SubscriptionId;
use ebb_store::rows::delivery::{self, Delivery};
use ebb_store::rows::subscription::{self, Kind, Subscription};
use ebb_store::rows::{event, instance};
use ebb_store::{StoreError, failpoint};
use ebb_wire::cloud_event::CloudEvent;

/// What an attempt needs to know.
struct Known {
    subscription: Subscription,
    delivery: Delivery,
    event: CloudEvent,
    secrets: Option<Secrets>,
}

impl App {
    /// Makes one attempt at what a subscriber is to be told first; nothing if that is nothing.
    pub async fn deliver(&self, id: SubscriptionId) -> Result<(), Denied> {
        let Some(known) = self.known(id).await? else {
            // Deleted while somebody added to it.
            return self.drop_orphans(id).await;
        };
        failpoint("effect.deliver.before");
        let came = self.send(&known).await;
        failpoint("effect.deliver.after");
        let confirmed = known.delivery.kind == delivery::Kind::Confirmation && known.echoed(&came);
        let (event, attempts) = (known.delivery.event, known.delivery.attempts);
        let outcome = match &came {
            Came::Accepted(_) => "accepted",
            Came::Failed(_) | Came::Gone(_) => "failed",
        };
        self.metrics.delivered(known.subscription.kind.name(), outcome);
        let accepted_at = self.clock.now();
        if outcome == "accepted" && known.event.kind.ends_with(".interruptServer") {
            self.metrics.interruption_told(accepted_at.millis_since(known.delivery.at));
        }
        let key = id.to_string();
        let written = self.unit("deliver", &key, move |unit| {
            let came = came.clone();
            async move { write_down(unit, id, event, attempts, &came, confirmed).await }
        });
        Ok(written.await?)
    }

    async fn known(&self, id: SubscriptionId) -> Result<Option<Known>, StoreError> {
        let (now, installation) = (self.clock.now(), self.installation.id);
        let app = self.clone();
        let read = self.store.read(move |reads| async move {
            let Some(due) = reads.row(delivery::first_of(id, now)).await? else { return Ok(None) };
            let due = delivery::read(&due);
            let Some(row) = reads.row(subscription::by_id(id)).await? else { return Ok(None) };
            let subscription = subscription::read(&row);
            let secrets = app.deliverer.keys.of(id, &subscription.secret_hash);
            let account = subscription.account;
            let event = match due.kind {
                delivery::Kind::Event => {
                    let logged = reads.row(event::by_id(due.event)).await?.expect("a delivery's event is in the log");
                    let logged = event::read(&logged);
                    let body = serde_json::from_str(&logged.body).expect("a document that this program wrote");
                    match logged.instance {
                        Some(about) => {
                            let about = reads.row(instance::by_id(about)).await?.expect("instances are kept");
                            CloudEvent::of_instance(installation, due.event, due.at, &instance::read(&about), body)
                        }
                        None => CloudEvent::of_account(installation, due.event, due.at, logged.account, body),
                    }
                }
                delivery::Kind::Confirmation => {
                    let token = secrets.as_ref().map_or("", |secrets| &secrets.confirmation);
                    CloudEvent::confirmation(installation, due.event, due.at, account, id, token)
                }
                delivery::Kind::Test => CloudEvent::test(installation, due.event, due.at, account, id),
            };
            Ok(Some(Known { subscription, delivery: due, event, secrets }))
        });
        read.await
    }

    async fn send(&self, known: &Known) -> Came {
        let Some(secrets) = &known.secrets else {
            let why = "the operator changed the key under which its secret was made; subscribe anew";
            return Came::Gone(why.to_owned());
        };
        let (to, body) = (&known.subscription.address, known.event.to_json());
        match known.subscription.kind {
            Kind::Webhook => {
                let url = match address::webhook(to, &self.deliverer.outside.networks) {
                    Ok(url) => url,
                    Err(why) => return Came::Failed(why),
                };
                let timestamp = self.clock.wall_now().second().unix();
                let headers = [
                    ("webhook-id", known.event.id.clone()),
                    ("webhook-timestamp", timestamp.to_string()),
                    ("webhook-signature", secrets.signature(&known.event.id, timestamp, &body)),
                ];
                self.deliverer.outside.post(&url, &headers, body).await
            }
            Kind::Email => {
                let Some(mail) = &self.deliverer.mail else {
                    return Came::Failed("this installation sends no mail: its operator gives `--smtp`".to_owned());
                };
                let (id, way_out) = (known.subscription.id.to_string(), &secrets.unsubscription);
                let base = self.deliverer.public_url.as_deref();
                let text = message::text(known.delivery.kind, &known.event, base, &id, way_out);
                let unsubscribe = base.map(|base| format!("{base}/v1/subscriptions/{id}/unsubscribe?token={way_out}"));
                let letter = Letter {
                    id: format!("{}.{id}", known.event.id),
                    subject: text.subject,
                    text: text.text,
                    event: body,
                    unsubscribe,
                };
                mail.send(to, &letter).await
            }
        }
    }

    async fn drop_orphans(&self, id: SubscriptionId) -> Result<(), Denied> {
        let key = id.to_string();
        let dropped = self.unit("drop-deliveries", &key, move |mut unit| async move {
            if unit.reads.row(subscription::by_id(id)).await?.is_none() {
                unit.write(delivery::delete_of(id));
            }
            Ok(unit.done(()))
        });
        Ok(dropped.await?)
    }
}

impl Known {
    /// Whether a webhook answered with the token, as JSON or as it stands.
    fn echoed(&self, came: &Came) -> bool {
        let (Came::Accepted(answer), Some(secrets), Kind::Webhook) = (came, &self.secrets, self.subscription.kind)
        else {
            return false;
        };
        let text = String::from_utf8_lossy(answer);
        let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let token = json.as_ref().and_then(|json| json["token"].as_str()).unwrap_or_else(|| text.trim());
        same(token, &secrets.confirmation)
    }
}
