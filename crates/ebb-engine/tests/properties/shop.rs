//! What do the random worlds sell, and on which hosts?

use ebb_model::catalog::SYSTEM_DISK;
use ebb_model::instance::Purchase;
use ebb_model::money::Price;
use ebb_model::resources::Resources;
use std::sync::LazyLock;

pub const KINDS: [&str; 4] = ["disk_gib", "gpu.l40s", "memory_mib", "vcpu"];
/// Of each instance, and of each host.
const DISK_GIB: i64 = 40;
const DISKS_GIB: i64 = 500;

/// What is sold: its size, and its prices on demand, for a block of less than six hours, and for one of six.
#[derive(Debug, Clone, Copy)]
pub struct Flavor {
    pub gpu: i64,
    pub memory_gib: i64,
    pub vcpu: i64,
    pub prices: [i64; 3],
}

const fn flavor(vcpu: i64, memory_gib: i64, gpu: i64, prices: [i64; 3]) -> Flavor {
    Flavor { gpu, memory_gib, vcpu, prices }
}

pub const FLAVORS: [Flavor; 6] = [
    flavor(1, 2, 0, [160_000, 35_000, 60_000]),
    flavor(2, 4, 0, [390_000, 70_000, 120_000]),
    flavor(2, 8, 0, [610_000, 109_000, 188_000]),
    flavor(4, 8, 0, [810_000, 145_000, 249_000]),
    flavor(8, 16, 0, [1_620_000, 291_000, 498_000]),
    flavor(2, 8, 1, [4_000_000, 1_100_000, 1_900_000]),
];

/// Of the hosts: vCPU, memory in GiB, GPUs.
pub const HOSTS: [(i64, i64, i64); 3] = [(8, 16, 0), (12, 32, 2), (6, 24, 1)];

pub static SIZES: LazyLock<Vec<Resources>> = LazyLock::new(|| FLAVORS.iter().map(Flavor::resources).collect());

pub fn resources(vcpu: i64, memory_gib: i64, gpu: i64) -> Resources {
    let all = [("vcpu", vcpu), ("memory_mib", memory_gib * 1_024), ("gpu.l40s", gpu)];
    Resources::of(all.into_iter().filter(|(_, amount)| *amount > 0))
}

/// What a host of this size lends.
pub fn capacity((vcpu, memory_gib, gpu): (i64, i64, i64)) -> Resources {
    let mut all = resources(vcpu, memory_gib, gpu);
    all.set(SYSTEM_DISK, DISKS_GIB);
    all
}

impl Flavor {
    pub fn resources(&self) -> Resources {
        let mut all = resources(self.vcpu, self.memory_gib, self.gpu);
        all.set(SYSTEM_DISK, DISK_GIB);
        all
    }

    pub fn on_demand(&self) -> Purchase {
        Purchase::OnDemand { price: Price::from_micros(self.prices[0]) }
    }

    pub fn block(&self, hours: i64, periods: i64) -> Purchase {
        let price = if hours < 6 { self.prices[1] } else { self.prices[2] };
        Purchase::SpotBlock { price: Price::from_micros(price), hours, periods }
    }
}
