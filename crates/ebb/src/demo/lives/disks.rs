//! What does chance do with data disks and snapshots? It makes, attaches, enlarges, copies and deletes them.

use super::Theatre;
use crate::failure::Failure;
use ebb_wire::disk::{AttachDisk, CreateDisk, Disk, NewDisk, ResizeDisk, Snapshot, TakeSnapshot};
use ebb_wire::instance::Buy;
use ebb_wire::problem::Page;
use serde_json::Value;

impl Theatre<'_> {
    /// An order, now and then with new disks; some of them go with it.
    pub(super) fn with_disks(&mut self, order: Buy) -> Buy {
        if !self.disks.percent(25) {
            return order;
        }
        let count = if self.disks.percent(70) { 1 } else { 2 };
        let data_disks = (0..count).map(|_| NewDisk { gib: self.disks.from(1, 60), name: None }).collect();
        let keep_data_disks = self.disks.percent(50).then_some(false);
        Buy { data_disks, keep_data_disks, ..order }
    }

    /// Somebody does something with a disk.
    pub(super) async fn tinker(&mut self) -> Result<(), Failure> {
        let all: Page<Disk> = self.stage.operator.all("/v1/disks", &[]).await?;
        let some = self.disks.one(&all.items).cloned();
        let chance = self.disks.from(1, 100);
        let Some(one) = some.filter(|_| chance > 25) else { return self.make_a_disk().await };
        let Some(owner) = self.customers.iter().position(|customer| customer.id == one.account) else { return Ok(()) };
        let client = &self.customers[owner].client;
        let path = format!("/v1/disks/{}", one.id);
        let (what, answer) = match chance {
            26..=40 => {
                // Mostly to one that is near.
                let near = self.live().await?;
                let near: Vec<_> =
                    near.into_iter().filter(|of| of.account == one.account && of.zone == one.zone).collect();
                let Some(instance) = self.disks.one(&near).map(|of| of.id.clone()) else { return Ok(()) };
                ("attach a disk", client.post::<Value>(&format!("{path}/attach"), &AttachDisk { instance }).await)
            }
            41..=52 => ("detach a disk", client.ask(&format!("{path}/detach")).await),
            53..=65 => {
                let gib = one.gib + self.disks.from(-1, 20);
                ("enlarge a disk", client.post(&format!("{path}/resize"), &ResizeDisk { gib }).await)
            }
            66..=80 => return self.copy(owner, &one).await,
            _ => ("delete a disk", client.delete(&path).await),
        };
        self.tally(what, answer).map(drop)
    }

    async fn make_a_disk(&mut self) -> Result<(), Failure> {
        let at = self.disks.from(0, self.customers.len() as i64 - 1) as usize;
        let zones = &self.stage.catalog.zones[..self.stage.catalog.zones.len().min(2)];
        let zone = self.disks.one(zones).map(|zone| zone.id.clone());
        let gib = Some(if self.disks.percent(90) { self.disks.from(1, 100) } else { self.disks.from(0, 50_000) });
        let client = &self.customers[at].client;
        let answer = client.post::<Disk>("/v1/disks", &CreateDisk { zone, gib, ..CreateDisk::default() }).await;
        self.tally("make a disk", answer).map(drop)
    }

    /// A snapshot of a disk or of a system disk, a disk of a snapshot, or one snapshot less.
    async fn copy(&mut self, owner: usize, one: &Disk) -> Result<(), Failure> {
        let client = &self.customers[owner].client;
        let snapshots: Page<Snapshot> = client.all("/v1/snapshots", &[]).await?;
        let snapshot = self.disks.one(&snapshots.items).map(|snapshot| (snapshot.id.clone(), snapshot.gib));
        let chance = self.disks.from(1, 100);
        let (what, answer) = match snapshot {
            Some((id, _)) if chance <= 30 => {
                ("delete a snapshot", client.delete::<Value>(&format!("/v1/snapshots/{id}")).await)
            }
            Some((id, gib)) if chance <= 55 => {
                let gib = self.disks.percent(60).then(|| gib + self.disks.from(-1, 9));
                let what = CreateDisk { gib, snapshot: Some(id), ..CreateDisk::default() };
                ("make a disk of a snapshot", client.post("/v1/disks", &what).await)
            }
            _ if chance <= 80 => {
                let of = TakeSnapshot { disk: Some(one.id.clone()), ..TakeSnapshot::default() };
                ("take a snapshot", client.post("/v1/snapshots", &of).await)
            }
            _ => {
                let mine = self.live().await?;
                let mine: Vec<_> = mine.into_iter().filter(|of| of.account == one.account).collect();
                let Some(instance) = self.disks.one(&mine).map(|of| of.id.clone()) else { return Ok(()) };
                let of = TakeSnapshot { instance: Some(instance), ..TakeSnapshot::default() };
                ("take a snapshot of a system disk", client.post("/v1/snapshots", &of).await)
            }
        };
        self.tally(what, answer).map(drop)
    }
}
