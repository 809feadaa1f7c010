//! Whose form does a guest want?
//!
//! The address that it asked decides, where it belongs to one cloud only: 100.100.100.200 is Alibaba's, 169.254.0.23 Tencent's.
//! 169.254.169.254 is shared by the others. There the `Host` header decides, if it names a cloud, and else the path: no two of
//! those that are left have one in common. So `/latest/meta-data/spot/termination-time` is AWS's, unless Tencent was asked; what is
//! below `/latest/meta-data/instance/` is nobody's but Alibaba's, and answered wherever it is asked.

use super::Request;
use std::net::Ipv4Addr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    Huawei,
    Aws,
    Alibaba,
    Azure,
    Google,
    Tencent,
}

impl Cloud {
    pub const ALL: [Cloud; 6] =
        [Cloud::Huawei, Cloud::Aws, Cloud::Alibaba, Cloud::Azure, Cloud::Google, Cloud::Tencent];

    /// Where its guests ask.
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Cloud::Alibaba => Ipv4Addr::new(100, 100, 100, 200),
            Cloud::Tencent => Ipv4Addr::new(169, 254, 0, 23),
            Cloud::Huawei | Cloud::Aws | Cloud::Azure | Cloud::Google => Ipv4Addr::new(169, 254, 169, 254),
        }
    }

    /// The name by which its guests know that address, if they do.
    pub fn host(self) -> Option<&'static str> {
        match self {
            Cloud::Google => Some("metadata.google.internal"),
            Cloud::Tencent => Some("metadata.tencentyun.com"),
            Cloud::Huawei | Cloud::Aws | Cloud::Alibaba | Cloud::Azure => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Cloud::Huawei => "huawei",
            Cloud::Aws => "aws",
            Cloud::Alibaba => "alibaba",
            Cloud::Azure => "azure",
            Cloud::Google => "google",
            Cloud::Tencent => "tencent",
        }
    }

    pub fn named(name: &str) -> Option<Cloud> {
        Self::ALL.into_iter().find(|cloud| cloud.name() == name)
    }

    /// The cloud whose own address this is; `None` for the shared one.
    pub fn at(address: Ipv4Addr) -> Option<Cloud> {
        [Cloud::Alibaba, Cloud::Tencent].into_iter().find(|cloud| cloud.address() == address)
    }

    pub(super) fn of(request: &Request<'_>) -> Option<Cloud> {
        request.cloud.or_else(|| Self::of_host(request.header("host")?)).or_else(|| Self::of_path(request))
    }

    fn of_host(host: &str) -> Option<Cloud> {
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        let known = |cloud: &Cloud| cloud.host().is_some_and(|host| host.eq_ignore_ascii_case(name));
        Self::ALL.into_iter().find(known).or_else(|| Self::at(name.parse().ok()?))
    }

    fn of_path(request: &Request<'_>) -> Option<Cloud> {
        if request.path.starts_with("/latest/meta-data/instance/") {
            return Some(Cloud::Alibaba);
        }
        let first = request.path.strip_prefix('/')?.split('/').next()?;
        match first {
            "openstack" => Some(Cloud::Huawei),
            "metadata" => Some(Cloud::Azure),
            "computeMetadata" => Some(Cloud::Google),
            "" if request.header("metadata-flavor").is_some() => Some(Cloud::Google),
            "" | "latest" => Some(Cloud::Aws),
            dated if dated.starts_with("20") => Some(Cloud::Aws),
            _ => None,
        }
    }
}
