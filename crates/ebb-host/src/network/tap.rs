//! How is a guest's network card made? A tap that lives as long as somebody holds it open, so a guest that dies leaves none behind.

use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;

/// `struct ifreq` as TUNSETIFF reads it: a name, flags, and room up to the size that the kernel copies.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;

/// Opens a tap in the network namespace of the calling thread.
pub fn open(name: &str) -> io::Result<OwnedFd> {
    let tun = rustix::fs::open("/dev/net/tun", OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?;
    let mut request = Request { name: [0; 16], flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, rest: [0; 22] };
    // The last byte stays 0.
    assert!(name.len() < request.name.len(), "an interface name of at most 15 bytes: {name}");
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    name_it(&tun, request)?;
    Ok(tun)
}

#[allow(unsafe_code, reason = "no safe crate offers this one ioctl; the only unsafe code of the host")]
fn name_it(tun: &OwnedFd, request: Request) -> io::Result<()> {
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, 40 bytes, which `Request` is; it lives until the call returns.
    const { assert!(size_of::<Request>() == 40) };
    let mut request = request;
    unsafe { rustix::ioctl::ioctl(tun, rustix::ioctl::Updater::<TUNSETIFF, Request>::new(&mut request)) }?;
    Ok(())
}
