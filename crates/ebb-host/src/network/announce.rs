//! How do others learn that an address is here now? By an ARP request for it from itself, which makes whoever knew it elsewhere
//! think again (RFC 5227 §3).

use super::plan::Mac;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use std::io;
use std::net::Ipv4Addr;

const ETH_P_ARP: u16 = 0x0806;

/// `struct sockaddr_ll`.
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    interface: i32,
    hardware: u16,
    kind: u8,
    length: u8,
    address: [u8; 8],
}

#[allow(unsafe_code, reason = "no safe crate has the address of an interface")]
// SAFETY: the pointer leads to a whole `sockaddr_ll` of that length, which lives until the call returns.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        const { assert!(size_of::<LinkAddress>() == 20) };
        f(std::ptr::from_ref(self).cast(), 20)
    }
}

/// Says in the network of an interface that these addresses are its own.
pub fn announce(interface: i32, mac: Mac, addresses: &[Ipv4Addr]) -> io::Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    let socket = rustix::net::socket_with(AddressFamily::PACKET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let to = LinkAddress {
        family: AddressFamily::PACKET.as_raw(),
        protocol: ETH_P_ARP.to_be(),
        interface,
        hardware: 0,
        kind: 0,
        length: 6,
        address: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
    };
    for address in addresses {
        rustix::net::sendto(&socket, &request(mac, *address), SendFlags::DONTWAIT, &to)?;
    }
    Ok(())
}

fn request(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    // Ethernet, IPv4, six bytes, four bytes, a request.
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1];
    bytes.extend(mac.0);
    bytes.extend(address.octets());
    bytes.extend([0; 6]);
    bytes.extend(address.octets());
    bytes
}
