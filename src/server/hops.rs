//! Who asks, when others stand between us: `X-Forwarded-For` and the PROXY protocol (versions 1 and
//! 2), believed only from the hops that are configured. Everybody can write either.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};
use tokio::io::{AsyncRead, AsyncReadExt as _};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The start of version 2, which no other protocol begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, as its specification counts it.
const MAX_LINE: usize = 107;
/// The longest rest of version 2 we read: addresses, and what load balancers add about TLS.
const MAX_REST: usize = 2048;

/// Who asks: the peer, or whom a trusted hop names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client(pub(super) IpAddr);

/// The hops that are believed.
#[derive(Clone, Debug, Default)]
pub struct Hops {
    networks: Arc<[(IpAddr, u8)]>,
    proxy_header: ProxyHeader,
}

/// Whether a connection from a hop begins with a PROXY header. It has to be said: a client could
/// send one where its hop sends none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// None does.
    #[default]
    Absent,
    /// Each does.
    Required,
}

/// Why a hop's PROXY header cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("the connection ended or failed within the PROXY header")]
    Io(#[from] io::Error),
    #[error("a trusted hop sent no PROXY header")]
    Absent,
    #[error("the PROXY header is malformed")]
    Malformed,
    #[error("the PROXY header has {got} octets, at most {MAX_REST} are read")]
    TooLong { got: usize },
}

impl Hops {
    /// Networks as address and length of the prefix.
    pub fn new(
        networks: impl IntoIterator<Item = (IpAddr, u8)>,
        proxy_header: ProxyHeader,
    ) -> Self {
        Self {
            networks: networks.into_iter().collect(),
            proxy_header,
        }
    }

    /// Whether a connection from there begins with a PROXY header.
    pub(super) fn speaks_proxy(&self, peer: IpAddr) -> bool {
        self.proxy_header == ProxyHeader::Required && self.trusts(peer)
    }

    /// Who asks, if this address is where the request comes from: the last one that is named by
    /// somebody we trust and is not trusted itself.
    pub(super) fn client(&self, from: IpAddr, headers: &HeaderMap) -> Client {
        let mut client = from.to_canonical();
        // Each hop adds whom it sees at the end.
        let named = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut named = named.flat_map(|value| value.as_bytes().rsplit(|octet| *octet == b','));
        while self.trusts(client) {
            // Where a name is no address, the hop that wrote it is as far as we know.
            match named.next().and_then(address) {
                Some(address) => client = address,
                None => break,
            }
        }
        Client(client)
    }

    /// Whether this is one of them.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let within = |(network, bits): &(IpAddr, u8)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        };
        self.networks.iter().any(within)
    }
}

/// An address as proxies write them: alone, with a port, in brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse::<IpAddr>();
    let address = alone.or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    Some(address.ok()?.to_canonical())
}

/// Reads a PROXY header and not an octet more; whom it names, if it names anybody.
pub(super) async fn proxied(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<IpAddr>, ProxyError> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        return version_2(stream).await;
    }
    if !start.starts_with(b"PROXY ") {
        return Err(ProxyError::Absent);
    }
    // One at a time: what follows the line is the client's.
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= MAX_LINE {
            return Err(ProxyError::Malformed);
        }
        line.push(stream.read_u8().await?);
    }
    version_1(&line).ok_or(ProxyError::Malformed)
}

/// `PROXY TCP4 source destination port port`, or `PROXY UNKNOWN` and anything.
fn version_1(line: &[u8]) -> Option<Option<IpAddr>> {
    let line = str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    for _ in ["source port", "destination port"] {
        words.next()?.parse::<u16>().ok()?;
    }
    let is_whole = words.next().is_none();
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (fits && is_whole).then_some(Some(source.to_canonical()))
}

/// What follows the signature: version and command, family and transport, length, addresses, more.
async fn version_2(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, ProxyError> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [command, family, high, low] = head;
    let got = usize::from(u16::from_be_bytes([high, low]));
    if got > MAX_REST {
        return Err(ProxyError::TooLong { got });
    }
    let mut rest = vec![0; got];
    stream.read_exact(&mut rest).await?;
    match (command, family) {
        (0x20, _) => Ok(None), // LOCAL: the hop speaks for itself
        (0x21, 0x11) => Ok(Some(Ipv4Addr::from(source::<4>(&rest)?).into())),
        (0x21, 0x21) => {
            let source = IpAddr::from(Ipv6Addr::from(source::<16>(&rest)?));
            Ok(Some(source.to_canonical()))
        }
        (0x21, _) => Ok(None), // a family without addresses we know
        _ => Err(ProxyError::Malformed),
    }
}

/// The first of two addresses of `N` octets, which two ports follow.
fn source<const N: usize>(rest: &[u8]) -> Result<[u8; N], ProxyError> {
    let is_whole = rest.len() >= 2 * N + 4;
    let source = rest.first_chunk().filter(|_| is_whole);
    source.copied().ok_or(ProxyError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops() -> Hops {
        let network = |text: &str, bits| (text.parse().unwrap(), bits);
        Hops::new(
            [network("10.0.0.0", 8), network("fd00::", 64)],
            ProxyHeader::Required,
        )
    }

    fn client(from: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, value.parse().unwrap());
        }
        let Client(client) = hops().client(from.parse().unwrap(), &headers);
        client.to_string()
    }

    #[test]
    fn only_a_trusted_hop_is_believed_and_only_as_far_as_trust_goes() {
        let table: [(&str, &[&str], &str); 14] = [
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("11.0.0.1", &["198.51.100.7"], "11.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // What the client itself wrote stands before what the hop added.
            ("10.0.0.1", &["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["127.0.0.1", "198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            ("10.0.0.1", &["10.1.1.1, 10.9.9.9"], "10.1.1.1"),
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7,"], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("fd00:0:0:1::1", &["2001:db8::7"], "fd00:0:0:1::1"),
            ("fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
        ];
        for (from, forwarded, named) in table {
            assert_eq!(client(from, forwarded), named, "{from} {forwarded:?}");
        }
    }

    #[test]
    fn without_hops_nobody_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, "198.51.100.7".parse().unwrap());
        let from = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(Hops::default().client(from, &headers), Client(from));
        assert!(!Hops::default().speaks_proxy(from));
        assert!(hops().speaks_proxy(from));
        assert!(!hops().speaks_proxy(IpAddr::from([192, 0, 2, 1])));
    }

    /// Whom a header names, and what is left for the client.
    async fn read(octets: &[u8]) -> Result<(Option<String>, Vec<u8>), String> {
        let mut stream = octets;
        let named = proxied(&mut stream).await.map_err(|e| e.to_string())?;
        Ok((named.map(|address| address.to_string()), stream.to_vec()))
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        let head = [command, family, length[0], length[1]];
        [&SIGNATURE[..], &head, rest, b"GET"].concat()
    }

    #[tokio::test]
    async fn both_versions_are_read_to_their_end_and_no_further() {
        let mut v4 = [0; 12];
        v4[..4].copy_from_slice(&[198, 51, 100, 7]);
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 1]);
        let more = [&v4[..], &[4, 0, 1, 0]].concat();
        let line = |words: &str| format!("PROXY {words}\r\nGET").into_bytes();
        for (octets, named) in [
            (
                line("TCP4 198.51.100.7 10.0.0.1 4711 80"),
                Some("198.51.100.7"),
            ),
            (line("TCP6 2001::1 fd00::1 4711 80"), Some("2001::1")),
            (line("UNKNOWN"), None),
            (line("UNKNOWN and more"), None),
            (v2(0x21, 0x11, &v4), Some("198.51.100.7")),
            (v2(0x21, 0x11, &more), Some("198.51.100.7")),
            (v2(0x21, 0x21, &v6), Some("2001::")),
            (v2(0x21, 0, &[]), None),
            (v2(0x20, 0x11, &v4), None),
        ] {
            let (got, left) = read(&octets).await.unwrap();
            assert_eq!((got.as_deref(), &*left), (named, &b"GET"[..]), "{octets:?}");
        }
    }

    #[tokio::test]
    async fn a_broken_header_is_told_by_what_is_wrong_with_it() {
        let malformed = "the PROXY header is malformed";
        let ended = "the connection ended or failed within the PROXY header";
        let line = |words: &str| format!("PROXY {words}\r\n").into_bytes();
        for (octets, told) in [
            (
                b"GET / HTTP/1.1\r\n".to_vec(),
                "a trusted hop sent no PROXY header",
            ),
            (line("TCP4 198.51.100.7 10.0.0.1 4711"), malformed),
            (line("TCP4 198.51.100.7 10.0.0.1 4711 80 1"), malformed),
            (line("TCP4 198.51.100.7 10.0.0.1 4711 65536"), malformed),
            (line("TCP4 2001::1 10.0.0.1 4711 80"), malformed),
            (line("UDP4 198.51.100.7 10.0.0.1 4711 80"), malformed),
            (line(&"x".repeat(MAX_LINE)), malformed),
            (b"PROXY TCP4 198.51.100.7".to_vec(), ended),
            (v2(0x11, 0x11, &[0; 12]), malformed),
            (v2(0x22, 0x11, &[0; 12]), malformed),
            (v2(0x21, 0x11, &[0; 11]), malformed),
            (v2(0x21, 0x11, &[0; 12])[..20].to_vec(), ended),
            (
                v2(0x21, 0x11, &[0; MAX_REST + 1]),
                "the PROXY header has 2049 octets, at most 2048 are read",
            ),
        ] {
            assert_eq!(read(&octets).await.unwrap_err(), told, "{octets:?}");
        }
    }
}
