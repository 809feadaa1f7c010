//! What is an instance, and which states can it be in?

use crate::catalog::SYSTEM_DISK;
use crate::id::{AccountId, HostId, InstanceId, KeyPairId};
use crate::money::Price;
use crate::resources::Resources;
use crate::time::{DAY, HOUR, Second, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One bought machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    pub id: InstanceId,
    pub account: AccountId,
    pub name: String,
    pub zone: String,
    /// Where its room is, or is claimed; `None` never outlives the purchase.
    pub host: HostId,
    pub flavor: String,
    pub image: String,
    /// Grows when its system disk is to be made anew of the image.
    pub disk_revision: i64,
    pub key_pair: Option<KeyPairId>,
    /// vCPU, memory, system disk and whatever else its flavor has; how much of it its host keeps for it, [`Instance::used`] says.
    pub resources: Resources,
    pub purchase: Purchase,
    /// Price per hour of the system disk, charged as on-demand whatever the purchase option.
    pub disk_price: Price,
    pub created_at: Timestamp,
    /// Words of its owner, by which fleets are found.
    pub tags: BTreeMap<String, String>,
    /// What stays when it goes.
    pub keep: Keep,
    /// Whether it has the room of all its resources. Before that it has nothing, and stopped economically its disk alone.
    pub has_room: bool,
    /// Others were given notice for that room, so it must take it, and use it for a while (rules §2.11).
    pub took_room: bool,
    /// The second in which the guest was first seen running; charge begins there.
    pub first_running: Option<Second>,
    /// Since then its vCPU and memory are charged, from one economical stop to the next; none while they are not its own. Of a
    /// subscription: it has them since then.
    pub in_use_since: Option<Second>,
    /// The natural end of the lease has been announced. Of a subscription: its paid time has ended, and that was carried out.
    pub end_announced: bool,
    /// Its account was frozen for arrears then; until it pays nothing of the instance is charged (rules §5.2).
    pub frozen_since: Option<Second>,
    /// Grows with every change of state; a change names the generation it saw.
    pub generation: i64,
    pub state: State,
}

/// What outlives an instance and goes on being charged; by default all of it (rules §2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    pub data_disks: bool,
    pub public_ip: bool,
}

impl Default for Keep {
    fn default() -> Self {
        Self { data_disks: true, public_ip: true }
    }
}

/// How it was bought. Prices are fixed when the order is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "option", rename_all = "kebab-case")]
pub enum Purchase {
    OnDemand {
        price: Price,
    },
    Trial {
        price: Price,
    },
    SpotBlock {
        price: Price,
        hours: i64,
        periods: i64,
    },
    /// Paid in advance by the month (rules §4.3). Nothing is paid of an order that does not run yet: its `until` is its `since`.
    Subscription {
        /// Per month, with the system disk.
        price: Price,
        /// Paid without a gap from here on …
        since: Second,
        /// … for so many months, which are counted from there …
        months: i64,
        /// … and so up to here.
        until: Second,
        /// So long it is kept after its end.
        keep_days: i64,
        /// Its owner was told that it ends in so many days.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warned_days: Option<i64>,
        /// At its end so many further months are paid, if the money is there then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        renews: Option<i64>,
    },
}

impl Purchase {
    /// The name of the purchase option.
    pub fn option(&self) -> &'static str {
        match self {
            Purchase::OnDemand { .. } => "on-demand",
            Purchase::Trial { .. } => "trial",
            Purchase::SpotBlock { .. } => "spot-block",
            Purchase::Subscription { .. } => "subscription",
        }
    }

    /// Price per hour of vCPU and memory; nothing for what is paid by the month.
    pub fn price(&self) -> Price {
        match *self {
            Purchase::OnDemand { price } | Purchase::Trial { price } | Purchase::SpotBlock { price, .. } => price,
            Purchase::Subscription { .. } => Price::default(),
        }
    }

    /// Whether the operator may not take it back (everything but a spot block).
    pub fn is_firm(&self) -> bool {
        !matches!(self, Purchase::SpotBlock { .. })
    }

    /// Whether it is charged for what it uses, by the hour or at its release; a subscription was paid before.
    pub fn is_metered(&self) -> bool {
        !matches!(self, Purchase::Subscription { .. })
    }

    /// Whether a web site on it may be filed for ICP (备案): only what is paid by the month (rules §3.10).
    pub fn is_icp_eligible(&self) -> bool {
        matches!(self, Purchase::Subscription { .. })
    }
}

impl Instance {
    /// The end of a running block's lease: `start + hours × periods` (rules §2.2).
    pub fn lease_end(&self) -> Option<Second> {
        match self.purchase {
            Purchase::SpotBlock { hours, periods, .. } => self.first_running.map(|s| s.plus(hours * periods * HOUR)),
            _ => None,
        }
    }

    /// Up to here a subscription is paid; an order that does not run yet is not.
    pub fn paid_until(&self) -> Option<Second> {
        match self.purchase {
            Purchase::Subscription { until, .. } => self.first_running.map(|_| until),
            _ => None,
        }
    }

    /// At this second a subscription is released, unless it is renewed before.
    pub fn kept_until(&self) -> Option<Second> {
        match self.purchase {
            Purchase::Subscription { keep_days, .. } => self.paid_until().map(|until| until.plus(keep_days * DAY)),
            _ => None,
        }
    }

    /// So many months were ordered, and are paid when it first runs.
    pub fn ordered_months(&self) -> Option<i64> {
        match self.purchase {
            Purchase::Subscription { months, .. } if self.first_running.is_none() => Some(months),
            _ => None,
        }
    }

    /// What of its host's room is taken by it, until it is gone.
    pub fn used(&self) -> Cow<'_, Resources> {
        match self.state {
            State::Released { .. } => Cow::Owned(Resources::default()),
            _ if self.has_room => Cow::Borrowed(&self.resources),
            // What never ran has no disk.
            _ if self.first_running.is_none() => Cow::Owned(Resources::default()),
            _ => Cow::Owned(self.resources.only(SYSTEM_DISK)),
        }
    }

    /// What it lacks of its resources: what an economical stop gave back and a start needs again, or all of an order that waits.
    pub fn lacks(&self) -> Resources {
        match (self.has_room, self.first_running) {
            (true, _) => Resources::default(),
            (false, None) => self.resources.clone(),
            (false, Some(_)) => self.resources.except(SYSTEM_DISK),
        }
    }

    /// What of its host's room is promised to it.
    pub fn claimed(&self) -> Resources {
        match self.state {
            State::Waiting { .. } => self.lacks(),
            _ => Resources::default(),
        }
    }

    /// Since when it waits for room, if it does: first come, first served (rules §2.12).
    pub fn waits_since(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting { asked_at, .. } => Some(asked_at.unwrap_or(self.created_at)),
            _ => None,
        }
    }
}

/// Where an instance is in its life. What belongs to a state lives inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// A firm order whose room is being cleared; given up at `give_up_at` (rules §2.12).
    Waiting {
        give_up_at: Timestamp,
        /// When a start after an economical stop was asked for; `None`: it waits since it was bought.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked_at: Option<Timestamp>,
    },
    /// The host was told to run it; a first start that takes longer than this is given up.
    Starting {
        give_up_at: Timestamp,
    },
    Running,
    /// Asked to shut down; powered off at `force_at`.
    Stopping {
        force_at: Timestamp,
        /// Its room, all but the disk, is given back as soon as it is off.
        #[serde(default)]
        economical: bool,
    },
    /// Off, with its room, and charged as if it ran.
    Stopped,
    /// Off, and of its room only the disk is left; nothing else is charged (rules §4.2).
    StoppedEconomically,
    /// A notice is out; the release begins at `deadline` (rules §2.6). `off_by`: it was stopped, or being stopped, and stays so.
    Reclaiming {
        notice_at: Timestamp,
        deadline: Timestamp,
        cause: Cause,
        off_by: Option<Timestamp>,
        /// A drill is free up to here, or up to its release (rules §2.10).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        free_until: Option<Second>,
    },
    /// Its host was lost; it is not charged until it runs again (rules §1.6).
    Lost {
        since: Second,
        /// It was stopped then, or being stopped, and stays so.
        #[serde(default)]
        off: bool,
        /// And economically so.
        #[serde(default)]
        economical: bool,
    },
    /// Charge has ended; the host has been told to remove the guest.
    Releasing {
        end: End,
    },
    Released {
        end: End,
        gone_at: Timestamp,
    },
}

impl State {
    /// The state as users see it.
    pub fn name(&self) -> &'static str {
        match self {
            State::Waiting { .. } => "pending",
            State::Starting { .. } => "starting",
            State::Running => "running",
            State::Stopping { .. } => "stopping",
            State::Stopped | State::StoppedEconomically => "stopped",
            State::Reclaiming { .. } => "reclaiming",
            State::Lost { .. } => "lost",
            // The source document calls a block that ends by itself reclaiming too, from its lease end on.
            State::Releasing { end } if end.cause == Cause::LeaseEnd => "reclaiming",
            State::Releasing { .. } => "releasing",
            State::Released { .. } => "released",
        }
    }

    pub fn end(&self) -> Option<&End> {
        match self {
            State::Releasing { end } | State::Released { end, .. } => Some(end),
            _ => None,
        }
    }
}

/// When and why an instance ended. It decides the bill of a block's current period (rules §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The last second that may be charged is the one before this.
    pub at: Second,
    pub cause: Cause,
    /// From here on a block is free: from the start of the period that holds the notice, or from a drill's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived_since: Option<Second>,
    /// Free up to here only; else to the end (rules §2.10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived_until: Option<Second>,
    /// The notice that came before it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// An interruption notice: when it was given, and when the release begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub notice_at: Timestamp,
    pub deadline: Timestamp,
}

/// Why an instance ends or is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The lease ran out.
    LeaseEnd,
    /// The user deleted it, or the guest approved its own end.
    Deleted,
    /// A firm order of somebody else needs the room.
    Capacity,
    /// The zone's reserve was undercut.
    Reserve,
    /// The operator declared a shortage.
    Shortage,
    /// The operator empties the host.
    Drain,
    /// The owner of the host wants it back.
    HostReturn,
    /// The operator wants this very instance to go.
    Operator,
    /// The owner rehearses an interruption.
    Drill,
    /// The firm order that needs the room is the tenant's own (rules §2.11).
    OwnOrder,
    /// The operator ends it for a breach of the terms.
    Breach,
    /// The guest vanished without an order, or its host was lost; no notice was possible.
    Lost,
    /// The trial is over, and its owner wanted it to go then (rules §3.8).
    TrialEnd,
    /// A subscription ended, and nobody renewed it while it was kept (rules §4.3).
    SubscriptionEnd,
    /// The account's spending cap allows no further second; charged like a delete (rules §3.8).
    SpendingCap,
    /// The account owed for too long, or too much; charged like a delete (rules §5.2).
    Arrears,
    /// It never ran; nothing is charged.
    NeverRan,
}

impl Cause {
    pub const ALL: [Cause; 17] = [
        Cause::LeaseEnd,
        Cause::Deleted,
        Cause::Capacity,
        Cause::Reserve,
        Cause::Shortage,
        Cause::Drain,
        Cause::HostReturn,
        Cause::Operator,
        Cause::Drill,
        Cause::OwnOrder,
        Cause::Breach,
        Cause::Lost,
        Cause::TrialEnd,
        Cause::SubscriptionEnd,
        Cause::SpendingCap,
        Cause::Arrears,
        Cause::NeverRan,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Cause::LeaseEnd => "lease-end",
            Cause::Deleted => "deleted",
            Cause::Capacity => "capacity",
            Cause::Reserve => "reserve",
            Cause::Shortage => "shortage",
            Cause::Drain => "drain",
            Cause::HostReturn => "host-return",
            Cause::Operator => "operator",
            Cause::Drill => "drill",
            Cause::OwnOrder => "own-order",
            Cause::Breach => "breach",
            Cause::Lost => "lost",
            Cause::TrialEnd => "trial-end",
            Cause::SubscriptionEnd => "subscription-end",
            Cause::SpendingCap => "spending-cap",
            Cause::Arrears => "arrears",
            Cause::NeverRan => "never-ran",
        }
    }

    /// Whether the operator broke the guarantee, so that the current period is free.
    pub fn is_platform(self) -> bool {
        use Cause::{Capacity, Drain, HostReturn, Lost, Operator, Reserve, Shortage};
        matches!(self, Capacity | Reserve | Shortage | Drain | HostReturn | Operator | Lost)
    }
}
