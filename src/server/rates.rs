//! How often an address may ask for certificates, before anything of its request is read.

use std::net::IpAddr;

use super::Problem;
use crate::fault::Reason;
use crate::rates::{Rates, Receipts, is_on_us};

/// Counts by the client's address, as trusted hops tell it.
pub(super) struct Addresses {
    rates: Rates,
}

impl Addresses {
    pub(super) fn new(rates: Rates) -> Self {
        Self { rates }
    }

    /// One request from there. Whose address nobody knows is not counted: there is no such caller
    /// on a listener of ours.
    pub(super) async fn counted(&self, client: Option<IpAddr>) -> Result<Receipts, Problem> {
        let taken = match client {
            Some(IpAddr::V4(address)) => self.rates.from_network(&address.octets()).await?,
            Some(IpAddr::V6(address)) => {
                let bits = u32::from(self.rates.limits.ipv6_prefix);
                let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
                let network = address.to_bits() & mask;
                self.rates.from_network(&network.to_be_bytes()).await?
            }
            None => Receipts::default(),
        };
        Ok(taken)
    }

    /// How the request ended without a certificate. If that is on us, it did not count; but where an
    /// issuer's keys are away nobody knows whether the token is one, and a stranger who names that
    /// issuer could ask without end.
    pub(super) async fn settled(&self, taken: Receipts, problem: Problem) -> Problem {
        let is_unproven = problem.reason() == Reason::IdentityProviderUnavailable;
        if is_on_us(problem.reason()) && !is_unproven {
            self.rates.give_back(taken).await;
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::rates::memory::MemoryCounter;
    use crate::rates::{Limit, Limits};

    /// One request for each address, and another in an hour.
    fn one_each(ipv6_prefix: u8) -> Addresses {
        let limit = Limit::new(1, Duration::from_secs(3600), 1).unwrap();
        let limits = Limits {
            per_address: Some(limit),
            ipv6_prefix,
            ..Limits::OFF
        };
        let counter = Arc::new(MemoryCounter::new(|| Duration::ZERO));
        Addresses::new(Rates { limits, counter })
    }

    async fn is_heard(addresses: &Addresses, text: &str) -> bool {
        let client = Some(text.parse().unwrap());
        addresses.counted(client).await.is_ok()
    }

    #[tokio::test]
    async fn an_ipv6_subscriber_is_one_client_and_each_ipv4_address_is() {
        for (prefix, first, same, other) in [
            (64, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"),
            (56, "2001:db8::1", "2001:db8:0:ff::", "2001:db8:0:100::"),
            (128, "2001:db8::1", "2001:db8::1", "2001:db8::2"),
            (64, "198.51.100.7", "198.51.100.7", "198.51.100.8"),
        ] {
            let addresses = one_each(prefix);
            assert!(is_heard(&addresses, first).await, "{first}");
            assert!(!is_heard(&addresses, same).await, "{same}");
            assert!(is_heard(&addresses, other).await, "{other}");
        }
    }

    #[tokio::test]
    async fn a_refusal_names_the_limit_and_when_to_come_back() {
        let addresses = one_each(64);
        assert!(is_heard(&addresses, "198.51.100.7").await);
        let client = Some("198.51.100.7".parse().unwrap());
        let problem = addresses.counted(client).await.unwrap_err();
        assert_eq!(problem.reason(), Reason::RateLimited);
        assert_eq!(problem.member("limit"), Some("address"));
        assert_eq!(
            problem.told(),
            ["this address is over its limit of 1 per 3600s in bursts of 1: come back in 3600 s"]
        );
    }

    #[tokio::test]
    async fn what_is_on_us_does_not_count_and_anything_else_does() {
        for reason in Reason::ALL {
            let addresses = one_each(64);
            let client = Some("198.51.100.7".parse().unwrap());
            let taken = addresses.counted(client).await.unwrap();
            addresses.settled(taken, Problem::new(*reason)).await;
            // 5xx, as the client sees it, unless nobody knows who that is.
            let is_on_us = Problem::new(*reason).status().is_server_error()
                && ![Reason::MethodUnknown, Reason::IdentityProviderUnavailable].contains(reason);
            let heard_again = addresses.counted(client).await.is_ok();
            assert_eq!(heard_again, is_on_us, "{reason:?}");
        }
    }
}
