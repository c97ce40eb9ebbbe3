//! From a host's name to the addresses that may be connected to.
//!
//! A name is asked for once in a fetch, every address of the answer is checked, and the connection
//! goes to one of those very addresses: there is no second question whose answer could be another
//! one (DNS rebinding). One address out of reach refuses the whole answer; nobody honest mixes them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;
use url::{Host, Url};

use super::FETCH_BUDGET;
use super::address::{AddressRefused, Reach};

/// Most addresses of one host that are tried; all are checked.
const MAX_ADDRESSES: usize = 16;

/// Names to addresses.
///
/// Contract: one question, one answer, nothing remembered; the caller bounds the time and asks
/// only for hosts that the configuration names, itself or by a pattern.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// Every address of `host`, in the order to try them.
    async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// An [`AddressRefused`], or what the resolver said.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A resolver that answers with checked addresses only, for one [`Reach`].
#[derive(Clone)]
pub(super) struct Checked(Arc<Inner>);

struct Inner {
    names: Arc<dyn Resolve>,
    reach: Reach,
    /// The answers of fetches under way.
    answers: Mutex<HashMap<String, Answer>>,
}

struct Answer {
    at: Instant,
    addresses: Vec<SocketAddr>,
}

impl Checked {
    pub(super) fn new(names: Arc<dyn Resolve>, reach: Reach) -> Self {
        Self(Arc::new(Inner {
            names,
            reach,
            answers: Mutex::default(),
        }))
    }

    /// Checks a host that is an address: HTTP clients do not resolve those.
    pub(super) fn check_literal(&self, url: &Url) -> Result<(), AddressRefused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        let host = url.host_str().unwrap_or_default();
        self.0.reach.check(host, address)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, Failure> {
        if let Some(addresses) = self.0.remembered(host) {
            return Ok(addresses);
        }
        let mut found = self.0.names.addresses(host).await?;
        for address in &found {
            self.0.reach.check(host, *address)?;
        }
        found.truncate(MAX_ADDRESSES);
        // The port is the URL's.
        let addresses: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
        self.0.remember(host, &addresses);
        Ok(addresses)
    }
}

/// How the HTTP client comes to every address it connects to, but for literal ones.
impl reqwest::dns::Resolve for Checked {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let this = self.clone();
        Box::pin(async move {
            let addresses = this.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

impl Inner {
    fn remembered(&self, host: &str) -> Option<Vec<SocketAddr>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(host)?;
        (answer.at.elapsed() < FETCH_BUDGET).then(|| answer.addresses.clone())
    }

    fn remember(&self, host: &str, addresses: &[SocketAddr]) {
        let answer = Answer {
            at: Instant::now(),
            addresses: addresses.to_vec(),
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        // A family's hosts are anybody's: what no fetch can need any more goes.
        answers.retain(|_, old| old.at.elapsed() < FETCH_BUDGET);
        answers.insert(host.to_owned(), answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::discovery::tests::dns::Names;

    fn checked(answers: &[&[&str]], reach: Reach) -> (Checked, Arc<Names>) {
        let names = Arc::new(Names::new(answers));
        (Checked::new(names.clone(), reach), names)
    }

    async fn ask(checked: &Checked) -> Result<Vec<String>, String> {
        let found = checked.addresses("issuer.example").await;
        let found = found.map_err(|error| error.to_string())?;
        Ok(found
            .iter()
            .map(|address| address.ip().to_string())
            .collect())
    }

    #[tokio::test]
    async fn every_address_of_an_answer_is_checked() {
        for (answer, refused) in [
            (&["8.8.8.8", "2606:4700::1111"][..], None),
            (
                &["8.8.8.8", "10.0.0.1"],
                Some("10.0.0.1, a private address"),
            ),
            (
                &["169.254.169.254"],
                Some("169.254.169.254, a link-local address"),
            ),
            (&["8.8.8.8", "::1"], Some("::1, a loopback address")),
            (
                &["64:ff9b::7f00:1"],
                Some("64:ff9b::7f00:1, an IPv4 address in IPv6 clothes"),
            ),
        ] {
            let (checked, _) = checked(&[answer], Reach::Public);
            let told = ask(&checked).await;
            match refused {
                None => assert_eq!(told.unwrap(), answer),
                Some(what) => assert_eq!(
                    told.unwrap_err(),
                    format!("issuer.example has {what}, which is not allowed for this issuer")
                ),
            }
            let (private, _) = self::checked(&[answer], Reach::Private);
            assert_eq!(ask(&private).await.unwrap(), answer);
        }
    }

    /// A refused address behind more good ones than are ever tried is refused all the same.
    #[tokio::test]
    async fn an_answer_is_checked_whole_and_tried_in_part() {
        let mut answer = vec!["8.8.8.8"; MAX_ADDRESSES + 1];
        let (good, _) = checked(&[&answer], Reach::Public);
        assert_eq!(ask(&good).await.unwrap().len(), MAX_ADDRESSES);
        answer.push("127.0.0.1");
        let (bad, _) = checked(&[&answer], Reach::Public);
        assert!(ask(&bad).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn within_a_fetch_a_name_keeps_its_first_answer() {
        let (checked, names) = checked(&[&["8.8.8.8"], &["127.0.0.1"]], Reach::Public);
        assert_eq!(ask(&checked).await.unwrap(), ["8.8.8.8"]);
        assert_eq!(ask(&checked).await.unwrap(), ["8.8.8.8"]);
        assert_eq!(names.asked(), 1);
        // The next fetch asks again, and what was rebound meanwhile is refused.
        tokio::time::advance(FETCH_BUDGET).await;
        assert!(ask(&checked).await.unwrap_err().contains("127.0.0.1"));
        assert_eq!(names.asked(), 2);
    }

    #[test]
    fn a_host_that_is_an_address_is_checked_without_asking() {
        let (checked, names) = checked(&[], Reach::Public);
        for (url, refused) in [
            ("https://8.8.8.8/", false),
            ("https://issuer.example/", false),
            ("https://127.0.0.1/", true),
            ("https://2130706433/", true),
            ("https://0x7f.1/", true),
            ("https://[::1]/", true),
            ("https://[::ffff:10.0.0.1]/", true),
        ] {
            let told = checked.check_literal(&Url::parse(url).unwrap());
            assert_eq!(told.is_err(), refused, "{url}");
        }
        assert_eq!(names.asked(), 0);
    }
}
