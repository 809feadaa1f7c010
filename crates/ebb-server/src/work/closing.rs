//! Whose hours are closed, in which order, and how many at a time?
//!
//! Nothing here keeps an hour from being closed twice: that the unit does, and the entry's reason (invariant 10). So any number of
//! servers may do this on one database.

use crate::app::App;
use crate::denied::Denied;
use crate::work::hours::{PAGE, close_at};
use ebb_model::id::AccountId;
use ebb_model::time::{Second, Timestamp};
use ebb_store::StoreError;
use ebb_store::rows::{account, instance};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Semaphore;

#[cfg(test)]
mod tests;

/// So many accounts at a time: the small ones among them share commits.
const ACCOUNTS: usize = 32;
/// And of no more instances than these together, unless one account has more: so much of their records is in memory.
const INSTANCES: u32 = 2_000;
/// What is due within an hour is done before it is closed, and then it is looked at again; if it is still not closed after so many looks,
/// with the others the next time.
const LOOKS: u32 = 4;

impl App {
    /// Closes every hour that has ended, of every account whose hosts have told what they saw before its end.
    /// Gives back when the next one ends.
    ///
    /// An account whose hour cannot be closed is left for the next time: it must not stand before others for ever. What is due goes
    /// before any later hour, so none is closed that ends after the first instant for which somebody still waits.
    pub async fn close_hours(&self) -> Result<Option<Timestamp>, Denied> {
        let (failed, room) = (Mutex::new(None), Semaphore::new(INSTANCES as usize));
        let mut after = String::new();
        loop {
            let now = self.clock.now();
            // Every commit asks for this, and pages go by id: with nothing to close they would lead through all accounts.
            if after.is_empty() && self.first_close().await?.is_none_or(|at| at.start() > now) {
                break;
            }
            let due = self.store.rows(account::closes_by(now.second(), &after, PAGE)).await?;
            let Some(last) = due.last() else { break };
            after = last.text("id").to_owned();
            let first_due = self.next_due().await?.map(|(at, _)| at);
            let ended = |at: &Second| at.start() <= now && first_due.is_none_or(|due| at.start() < due || due > now);
            let mut page: Vec<(Second, AccountId)> = due.iter().map(close_at).filter(|(at, _)| ended(at)).collect();
            // Each server begins elsewhere, and leaves alone what another has closed.
            let first = self.mint.below(page.len());
            page.rotate_left(first);
            let (ended, room, failed) = (&ended, &room, &failed);
            let closing = stream::iter(page).map(Ok).try_for_each_concurrent(ACCOUNTS, |(at, id)| async move {
                match self.close_account(id, at, ended, room).await {
                    // The database is away, for one as for all.
                    Err(Denied::Store(error @ StoreError::Unavailable(_))) => Err(error),
                    Err(error) => {
                        tracing::error!(account = %id, %at, %error, "an hour cannot be closed; it is tried again");
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        Ok(())
                    }
                    Ok(()) => Ok(()),
                }
            });
            closing.await?;
        }
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let next = self.first_close().await?.map(Second::start);
        Ok(next.filter(|at| *at > self.clock.now()))
    }

    async fn first_close(&self) -> Result<Option<Second>, StoreError> {
        let rows = self.store.rows(account::first_close()).await?;
        Ok(rows.first().and_then(|row| row.opt_int("close_at")).map(Second::from_unix))
    }

    /// Closes the hours of an account one after the other, from the one that ends at `at`: after a pause there may be several.
    async fn close_account(
        &self,
        id: AccountId,
        at: Second,
        ended: impl Fn(&Second) -> bool,
        room: &Semaphore,
    ) -> Result<(), Denied> {
        let (mut next, mut looks) = (Some(at).filter(&ended), 0);
        while let Some(at) = next.filter(|_| looks < LOOKS) {
            let hosts = self.store.rows(instance::hosts_of(id)).await?;
            if !(self.is_sandbox() && !self.hosts.any_unplugged() || self.all_heard(&hosts, at)) {
                break;
            }
            let there = hosts.iter().map(|row| row.int("instances")).sum::<i64>();
            let there = u32::try_from(there).unwrap_or(INSTANCES).clamp(1, INSTANCES);
            let _room = room.acquire_many(there).await.expect("it is never closed");
            if !self.close_hour_behind(id, at).await? {
                // Another server is at this account.
                break;
            }
            let again = self.store.rows(account::by_id(id)).await?;
            next = again.first().and_then(|row| account::read(row).close_at).filter(&ended);
            looks = if next == Some(at) { looks + 1 } else { 0 };
        }
        Ok(())
    }
}
