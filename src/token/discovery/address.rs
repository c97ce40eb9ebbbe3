//! Which addresses an issuer's keys may be fetched from (the IANA special-purpose address
//! registries, RFC 6890).
//!
//! Whoever can choose a name can choose its addresses, so a request of ours could be aimed at this
//! machine, its neighbours or a cloud's metadata service (CVE-2026-22772). Unless an issuer is
//! configured to live in a private network, only global unicast addresses in their own spelling
//! will do; a form that carries an IPv4 address inside an IPv6 one is never that, even if the one
//! inside is public. Nothing here resolves or connects.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far the connections made for one issuer may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reach {
    /// This machine and nothing else: what plain http is allowed for.
    Loopback,
    /// The public internet.
    Public,
    /// Every address one host can have: `allow_private_network`.
    Private,
}

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressKind {
    /// Global unicast.
    Public,
    /// This machine.
    Loopback,
    /// RFC 1918, RFC 4193, and the site-local addresses before them.
    Private,
    /// Behind a carrier's NAT (RFC 6598).
    CarrierNat,
    /// This link, cloud metadata services among them.
    LinkLocal,
    /// IPv4 inside IPv6: mapped, compatible, NAT64, 6to4, Teredo.
    Translated,
    /// For benchmarks, documentation or protocols, or not given to anybody.
    Reserved,
    /// No host's: "this network", multicast, broadcast.
    NotAHost,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::CarrierNat => "an address behind a carrier's NAT",
            Self::LinkLocal => "a link-local address",
            Self::Translated => "an IPv4 address in IPv6 clothes",
            Self::Reserved => "a reserved address",
            Self::NotAHost => "no host's address",
        })
    }
}

/// A host's address is out of reach, so nobody was connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} has {address}, {kind}, which is not allowed for this issuer")]
pub struct AddressRefused {
    /// The host as the URL has it.
    pub host: String,
    /// The first of its addresses that is refused.
    pub address: IpAddr,
    /// What it is.
    pub kind: AddressKind,
}

impl Reach {
    /// Refuses `address` unless it is within reach.
    pub(super) fn check(self, host: &str, address: IpAddr) -> Result<(), AddressRefused> {
        let kind = kind(address);
        let allowed = match self {
            Self::Loopback => kind == AddressKind::Loopback,
            Self::Public => kind == AddressKind::Public,
            // In disguise or not, it is where the packets go that has to be a host.
            Self::Private => match (kind, inside(address)) {
                (_, Some(inner)) => v4_kind(inner) != AddressKind::NotAHost,
                (kind, None) => kind != AddressKind::NotAHost,
            },
        };
        if allowed {
            return Ok(());
        }
        Err(AddressRefused {
            host: host.to_owned(),
            address,
            kind,
        })
    }
}

fn kind(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(address) => v4_kind(address),
        IpAddr::V6(address) => v6_kind(address),
    }
}

fn v4_kind(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        [0, ..] | [255, 255, 255, 255] | [224..=239, ..] => AddressKind::NotAHost,
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] => AddressKind::Private,
        [100, 64..=127, ..] => AddressKind::CarrierNat,
        [169, 254, ..] => AddressKind::LinkLocal,
        // Protocol assignments, the 6to4 relay, benchmarks (RFC 2544), documentation (RFC 5737).
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => AddressKind::Reserved,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressKind::Reserved,
        [240..=255, ..] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

fn v6_kind(address: Ipv6Addr) -> AddressKind {
    if address.is_unspecified() {
        return AddressKind::NotAHost;
    }
    if address.is_loopback() {
        return AddressKind::Loopback;
    }
    if inside(address.into()).is_some() {
        return AddressKind::Translated;
    }
    match address.segments() {
        [0xff00..=0xffff, ..] => AddressKind::NotAHost,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => AddressKind::Private,
        // Protocol assignments (RFC 2928), documentation (RFC 3849, RFC 9637).
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressKind::Reserved,
        // All that was ever given out as global unicast (RFC 4291 §2.4, RFC 3587).
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

/// The IPv4 address that an IPv6 one stands for.
fn inside(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    if address.is_loopback() || address.is_unspecified() {
        return None;
    }
    let v4 =
        |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // IPv4-compatible and IPv4-mapped (RFC 4291 §2.5.5), translated (RFC 2765).
        [0, 0, 0, 0, 0, 0, a, b]
        | [0, 0, 0, 0, 0, 0xffff, a, b]
        | [0, 0, 0, 0, 0xffff, 0, a, b] => v4(a, b),
        // NAT64: the well-known prefix (RFC 6052) and the local ones (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x64, 0xff9b, 1, _, _, _, a, b] => v4(a, b),
        // 6to4 (RFC 3056).
        [0x2002, a, b, ..] => v4(a, b),
        // Teredo (RFC 4380 §4): the client's address is inverted.
        [0x2001, 0, _, _, _, _, a, b] => v4(!a, !b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(address: &str) -> AddressKind {
        kind(address.parse().unwrap())
    }

    fn reached(reach: Reach, address: &str) -> bool {
        reach.check("host", address.parse().unwrap()).is_ok()
    }

    /// The registries' lines, each with its first and last address and the neighbours outside.
    #[test]
    fn only_global_unicast_in_its_own_spelling_is_public() {
        for (address, expected) in [
            ("0.0.0.0", AddressKind::NotAHost),
            ("0.255.255.255", AddressKind::NotAHost),
            ("1.0.0.0", AddressKind::Public),
            ("9.255.255.255", AddressKind::Public),
            ("10.0.0.0", AddressKind::Private),
            ("10.255.255.255", AddressKind::Private),
            ("11.0.0.0", AddressKind::Public),
            ("100.63.255.255", AddressKind::Public),
            ("100.64.0.0", AddressKind::CarrierNat),
            ("100.127.255.255", AddressKind::CarrierNat),
            ("100.128.0.0", AddressKind::Public),
            ("126.255.255.255", AddressKind::Public),
            ("127.0.0.1", AddressKind::Loopback),
            ("127.255.255.255", AddressKind::Loopback),
            ("128.0.0.0", AddressKind::Public),
            ("169.253.255.255", AddressKind::Public),
            ("169.254.169.254", AddressKind::LinkLocal),
            ("169.255.0.0", AddressKind::Public),
            ("172.15.255.255", AddressKind::Public),
            ("172.16.0.0", AddressKind::Private),
            ("172.31.255.255", AddressKind::Private),
            ("172.32.0.0", AddressKind::Public),
            ("192.0.0.255", AddressKind::Reserved),
            ("192.0.1.0", AddressKind::Public),
            ("192.0.2.1", AddressKind::Reserved),
            ("192.88.99.1", AddressKind::Reserved),
            ("192.167.255.255", AddressKind::Public),
            ("192.168.0.1", AddressKind::Private),
            ("192.169.0.0", AddressKind::Public),
            ("198.17.255.255", AddressKind::Public),
            ("198.18.0.0", AddressKind::Reserved),
            ("198.19.255.255", AddressKind::Reserved),
            ("198.20.0.0", AddressKind::Public),
            ("198.51.100.7", AddressKind::Reserved),
            ("203.0.113.7", AddressKind::Reserved),
            ("223.255.255.255", AddressKind::Public),
            ("224.0.0.1", AddressKind::NotAHost),
            ("239.255.255.255", AddressKind::NotAHost),
            ("240.0.0.1", AddressKind::Reserved),
            ("255.255.255.254", AddressKind::Reserved),
            ("255.255.255.255", AddressKind::NotAHost),
            ("::", AddressKind::NotAHost),
            ("::1", AddressKind::Loopback),
            ("::2", AddressKind::Translated),
            ("::7f00:1", AddressKind::Translated),
            ("::ffff:127.0.0.1", AddressKind::Translated),
            ("::ffff:8.8.8.8", AddressKind::Translated),
            ("::ffff:0:10.0.0.1", AddressKind::Translated),
            ("64:ff9b::169.254.169.254", AddressKind::Translated),
            ("64:ff9b::8.8.8.8", AddressKind::Translated),
            ("64:ff9b:1:2:3:4:10.0.0.1", AddressKind::Translated),
            ("100::1", AddressKind::Reserved),
            ("2000::1", AddressKind::Public),
            ("2001::1", AddressKind::Translated),
            ("2001:2::1", AddressKind::Reserved),
            ("2001:20::1", AddressKind::Reserved),
            ("2001:1ff:ffff::1", AddressKind::Reserved),
            ("2001:200::1", AddressKind::Public),
            ("2001:4860:4860::8888", AddressKind::Public),
            ("2001:db8::1", AddressKind::Reserved),
            ("2001:db9::1", AddressKind::Public),
            ("2002:7f00:1::", AddressKind::Translated),
            ("2606:4700::1111", AddressKind::Public),
            ("3ffe:ffff::1", AddressKind::Public),
            ("3ffe::1", AddressKind::Public),
            ("3fff::1", AddressKind::Reserved),
            ("3fff:fff::1", AddressKind::Reserved),
            ("3fff:1000::1", AddressKind::Public),
            ("4000::1", AddressKind::Reserved),
            ("5f00::1", AddressKind::Reserved),
            ("fbff::1", AddressKind::Reserved),
            ("fc00::1", AddressKind::Private),
            ("fdff::1", AddressKind::Private),
            ("fe00::1", AddressKind::Reserved),
            ("fe80::1", AddressKind::LinkLocal),
            ("febf::1", AddressKind::LinkLocal),
            ("fec0::1", AddressKind::Private),
            ("ff02::1", AddressKind::NotAHost),
        ] {
            assert_eq!(kind_of(address), expected, "{address}");
            let public = expected == AddressKind::Public;
            assert_eq!(reached(Reach::Public, address), public, "{address}");
        }
    }

    #[test]
    fn a_private_network_reaches_every_host_and_nothing_that_is_none() {
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "8.8.8.8",
            "::1",
            "fd00::1",
            "fe80::1",
            "64:ff9b::10.0.0.1",
            "::ffff:10.0.0.1",
        ] {
            assert!(reached(Reach::Private, host), "{host}");
        }
        for nobody in [
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
            "::ffff:0.0.0.0",
            "64:ff9b::224.0.0.1",
            "2002:0:1::",
        ] {
            assert!(!reached(Reach::Private, nobody), "{nobody}");
        }
    }

    #[test]
    fn plain_http_reaches_this_machine_only() {
        for (address, here) in [
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("::1", true),
            ("::ffff:127.0.0.1", false),
            ("10.0.0.1", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(reached(Reach::Loopback, address), here, "{address}");
        }
    }

    #[test]
    fn a_refusal_says_which_address_and_why() {
        let refused = Reach::Public.check("issuer.example", "10.0.0.7".parse().unwrap());
        assert_eq!(
            refused.unwrap_err().to_string(),
            "issuer.example has 10.0.0.7, a private address, which is not allowed for this issuer"
        );
    }
}
