//! What does the host say of what left its guests' public addresses, and what does it tell the network of them?

use super::Host;
use crate::network::plan::Surroundings;
use crate::network::{Metered, Then, Told};
use ebb_driver::counters::next_minute;
use ebb_driver::protocol::{FromHost, Is};
use ebb_model::id::InstanceId;
use tracing::error;

impl Host {
    /// Guests' public addresses lead somewhere, and are metered.
    pub(super) fn has_uplink(&self) -> bool {
        self.shop.config.network.uplink.is_some()
    }

    /// What the newest order says of a guest's network. It takes effect at once where the guest is, and else when it starts.
    pub(super) fn tell_network(&self, id: InstanceId) {
        let Some(guest) = self.agent.guest(id) else { return };
        if !matches!(guest.observed.is, Is::Gone { .. } | Is::Failed { .. }) {
            let desired = &guest.desired;
            let network = &self.shop.config.network;
            let (addresses, odd): (Vec<_>, Vec<_>) =
                desired.addresses.iter().copied().partition(|address| network.may_bind(address.ip));
            if self.has_uplink() && !odd.is_empty() {
                error!(
                    "guest {id} is to have addresses that are the host's own or nobody's: {odd:?}; they lead nowhere"
                );
            }
            let around = Surroundings { ingress: desired.ingress.clone(), addresses };
            self.shop.network.tell(id, Told { place: desired.place, around });
        }
    }

    pub(super) fn read_counters(&mut self) {
        self.next_reading = Some(next_minute(self.clock.now()));
        self.shop.network.read(Then::Nothing);
    }

    pub(super) fn say_metered(&mut self, metered: Metered) {
        metered.readings.into_iter().for_each(|reading| self.say(FromHost::Read(reading)));
        if metered.all_said {
            self.say(FromHost::Pong);
        }
    }
}
