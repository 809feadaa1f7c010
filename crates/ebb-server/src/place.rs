//! Which address does something new get, and which network does its account have there? (rules §4.5)

use crate::unit::{Outcome, Unit, refuse};
use ebb_engine::refusal::Refused;
use ebb_model::catalog::Region;
use ebb_model::id::{AccountId, AddressId, InstanceId};
use ebb_model::network::{LAST_NETWORK, Place};
use ebb_model::pool::{Pool, REST_SECONDS, address, number};
use ebb_store::rows::ip::{self, TOGETHER};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// In a row that is longer than this most addresses are free, and the first one is tried without a look.
const LONG: i64 = 4_096;

impl Unit {
    /// Where an instance that is being bought stands from now on.
    pub async fn place(&mut self, new: InstanceId, of: AccountId, region: &Region) -> Outcome<Place> {
        let Some(address) = self.take_ip(&Pool::private(region), &new.to_string(), new.uuid()).await? else {
            return refuse(Refused::NoPrivateAddressLeft(region.id.clone()));
        };
        let network = self.network(of, &region.id).await?;
        Ok(Place { network, address, range: region.private_range })
    }

    /// The number of an account's network in a region; the first purchase there makes it.
    async fn network(&mut self, of: AccountId, region: &str) -> Outcome<u32> {
        if let Some(row) = self.reads.row(ip::network(of, region)).await? {
            return Ok(u32::try_from(row.int("number")).expect("a number of 24 bits"));
        }
        let last = self.reads.row(ip::last_network(region)).await?.map_or(0, |row| row.int("number"));
        let next = u32::try_from(last + 1).ok().filter(|next| *next <= LAST_NETWORK);
        let Some(next) = next else { return refuse(Refused::NoNetworkLeft(region.to_owned())) };
        self.guard(ip::insert_network(of, region, next));
        Ok(next)
    }

    /// A public address for an account: one that it had a short while ago, since that goes to nobody else yet; else one of all. So
    /// who allocates and releases without end leaves the others theirs.
    pub async fn take_public_ip(
        &mut self,
        region: &Region,
        of: AccountId,
        holder: AddressId,
    ) -> Outcome<Option<Ipv4Addr>> {
        let pool = Pool::public(region);
        let rested = self.now.plus_seconds(-REST_SECONDS);
        let resting = self.reads.rows(ip::resting_of(pool.name(), of, rested)).await?;
        let given = |ip: &Ipv4Addr| pool.ranges().iter().any(|range| range.contains(&number(*ip)));
        if let Some((ip, from)) = resting.iter().map(ip::read_resting).find(|(ip, _)| given(ip)) {
            self.guard(ip::take_again(pool.name(), ip, &holder.to_string(), &from));
            return Ok(Some(ip));
        }
        self.take_ip(&pool, &holder.to_string(), holder.uuid()).await
    }

    /// An address of a pool that nobody has or had a short while ago, for `holder` from now on; `None`: there is none.
    ///
    /// Each asks for another one, by chance: if all asked for the next in the row, of those that ask at once all but one would have
    /// to ask again.
    pub async fn take_ip(&mut self, pool: &Pool, holder: &str, by: Uuid) -> Outcome<Option<Ipv4Addr>> {
        let (_, seed) = by.as_u64_pair();
        let first = if self.tried == 1 && pool.size() > LONG { pool.scattered(seed).next() } else { None };
        let found = match first {
            Some(first) => Some(first),
            None => self.look_for_ip(pool, seed).await?,
        };
        if let Some(ip) = found {
            let rested = self.now.plus_seconds(-REST_SECONDS);
            self.guard(ip::take(pool.name(), ip, holder, rested));
        }
        Ok(found)
    }

    /// Looks here and there, then along the row.
    async fn look_for_ip(&self, pool: &Pool, seed: u64) -> Outcome<Option<Ipv4Addr>> {
        let rested = self.now.plus_seconds(-REST_SECONDS);
        let some: Vec<Ipv4Addr> = pool.scattered(seed).take(TOGETHER).collect();
        let Ok(some) = <[Ipv4Addr; TOGETHER]>::try_from(some) else { return Ok(None) };
        let rows = self.reads.rows(ip::not_free(pool.name(), &some, rested)).await?;
        let taken: BTreeSet<Ipv4Addr> = rows.iter().map(ip::read).collect();
        if let Some(free) = some.into_iter().find(|ip| !taken.contains(ip)) {
            return Ok(Some(free));
        }
        for range in pool.ranges() {
            let first = address(range.start);
            let held = self.reads.rows(ip::not_free(pool.name(), &[first; TOGETHER], rested)).await?;
            if held.is_empty() {
                return Ok(Some(first));
            }
            let next = ip::free_after_one(pool.name(), number(first), range.end, rested);
            if let Some(row) = self.reads.row(next).await? {
                return Ok(Some(ip::read(&row)));
            }
        }
        Ok(None)
    }
}
