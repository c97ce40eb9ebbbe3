//! What an instance tells everybody about itself: its CAs, those that it had before included, its
//! logs, and whom it believes.

use super::PublishedLog;
use crate::ca::Authority;
use crate::config::IssuerSettings;
use crate::server::{IssuerName, OidcIssuer, Sight, TrustFiles};
use crate::time::UnixSeconds;
use crate::token::IssuerName as Name;
use crate::trust::{self, AuthorityEntry, LogEntry, TrustInputs};

/// How many CAs before the one in use are told of; of more, the first go.
const RETIRED_MAX: usize = 32;

/// For what begins while one CA follows another, and for clocks read a moment before.
const UNDER_WAY_S: i64 = 60;

/// What is told, but for whom it believes.
#[derive(Clone)]
pub(super) struct Told {
    public_url: String,
    logs: Vec<PublishedLog>,
    /// How long a certificate lives.
    lifetime_s: u32,
    /// The one in use first, then those before it, the latest first.
    authorities: Vec<AuthorityEntry>,
}

impl Told {
    pub(super) fn new(
        public_url: String,
        logs: Vec<PublishedLog>,
        lifetime_s: u32,
        authority: &Authority,
    ) -> Self {
        Self {
            authorities: vec![entry(&public_url, authority)],
            public_url,
            logs,
            lifetime_s,
        }
    }

    /// The same with this CA in use from `now` on. What the one before it certified stays good: it is
    /// told of with the end of its last certificate.
    pub(super) fn with(&self, authority: &Authority, now: UnixSeconds) -> Self {
        let new = entry(&self.public_url, authority);
        let mut told = self.clone();
        let [active, ..] = told.authorities.as_mut_slice() else {
            unreachable!("there is one from the beginning");
        };
        if active.chain == new.chain {
            return told;
        }
        active.valid_to = Some(now.plus(i64::from(self.lifetime_s) + UNDER_WAY_S));
        // It may be one that was in use before.
        told.authorities.retain(|one| one.chain != new.chain);
        told.authorities.insert(0, new);
        told.authorities.truncate(1 + RETIRED_MAX);
        told
    }

    /// The three files.
    pub(super) fn trust_files(&self) -> Result<TrustFiles, trust::Error> {
        files(&self.public_url, self.authorities.clone(), &self.logs)
    }

    /// All there is to see, for these issuers.
    pub(super) fn sight(&self, issuers: &[IssuerSettings]) -> Result<Sight, trust::Error> {
        let chains = self.authorities.iter().map(|one| one.chain.clone());
        Ok(Sight {
            chains: chains.collect(),
            issuers: issuers.iter().map(shown).collect(),
            trust: self.trust_files()?,
        })
    }
}

fn entry(public_url: &str, authority: &Authority) -> AuthorityEntry {
    AuthorityEntry {
        chain: authority.chain_der().to_vec(),
        uri: public_url.to_owned(),
        valid_from: authority.issuing().not_before(),
        valid_to: None,
    }
}

/// The three trust files for one chain and its logs.
pub(super) fn trust_files(
    public_url: &str,
    chain: Vec<Vec<u8>>,
    valid_from: UnixSeconds,
    logs: &[PublishedLog],
) -> Result<TrustFiles, trust::Error> {
    let authority = AuthorityEntry {
        chain,
        uri: public_url.to_owned(),
        valid_from,
        valid_to: None,
    };
    files(public_url, vec![authority], logs)
}

fn files(
    public_url: &str,
    authorities: Vec<AuthorityEntry>,
    logs: &[PublishedLog],
) -> Result<TrustFiles, trust::Error> {
    let inputs = TrustInputs {
        authorities,
        logs: logs
            .iter()
            .map(|log| LogEntry {
                base_url: log
                    .base_url
                    .clone()
                    .unwrap_or_else(|| format!("{public_url}/log")),
                spki: log.spki.clone(),
                valid_from: log.valid_from,
            })
            .collect(),
        base_url: public_url.to_owned(),
        operator: operator(public_url),
    };
    Ok(TrustFiles {
        trusted_root: trust::trusted_root(&inputs)?,
        signing_config: trust::signing_config(&inputs)?,
        client_trust_config: trust::client_trust_config(&inputs)?,
    })
}

/// Who runs the service, as signing configs name it: the host of its URL.
fn operator(public_url: &str) -> String {
    let host = url::Url::parse(public_url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| public_url.to_owned())
}

fn shown(issuer: &IssuerSettings) -> OidcIssuer {
    OidcIssuer {
        name: match &issuer.name {
            Name::One(one) => IssuerName::Url(one.as_str().to_owned()),
            Name::Family(family) => IssuerName::Wildcard(family.as_str().to_owned()),
        },
        audience: issuer.audiences.first().cloned().unwrap_or_default(),
        challenge_claim: issuer.kind.challenge_claim().to_owned(),
        spiffe_trust_domain: issuer.spiffe_trust_domain.clone().unwrap_or_default(),
        issuer_type: issuer.kind.as_str().to_owned(),
        subject_domain: issuer.subject_domain.clone().unwrap_or_default(),
        skip_email_verification: issuer.skip_email_verification,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::DevelopmentCa;
    use crate::system::SystemEntropy;
    use crate::x509::SignatureAlgorithm;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    fn ca() -> Authority {
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        let made = DevelopmentCa::new(algorithm, NOW, &SystemEntropy);
        made.unwrap().authority
    }

    fn told(told: &Told) -> Vec<(&[Vec<u8>], Option<i64>)> {
        let all = told.authorities.iter();
        all.map(|one| (&one.chain[..], one.valid_to.map(|end| end.0)))
            .collect()
    }

    #[test]
    fn a_ca_that_another_follows_is_told_of_until_its_last_certificate_ends() {
        let (one, other) = (ca(), ca());
        let (chain, next) = (one.chain_der(), other.chain_der());
        let first = Told::new("https://ca.example".into(), Vec::new(), 600, &one);
        assert_eq!(told(&first), [(&chain[..], None)]);
        assert_eq!(told(&first.with(&one, NOW)), [(&chain[..], None)]);
        let second = first.with(&other, NOW);
        let ended = Some(NOW.0 + 600 + 60);
        assert_eq!(told(&second), [(&next[..], None), (&chain[..], ended)]);
        let files = second.trust_files().unwrap();
        let read = trust::parse_trusted_root(files.trusted_root.as_bytes()).unwrap();
        assert_eq!(read.authorities.len(), 2);
        // And back.
        let third = second.with(&one, NOW.plus(5));
        let ended = Some(NOW.0 + 5 + 600 + 60);
        assert_eq!(told(&third), [(&chain[..], None), (&next[..], ended)]);
    }

    #[test]
    fn of_too_many_the_first_go() {
        let one = ca();
        let mut now = Told::new("https://ca.example".into(), Vec::new(), 600, &one);
        for _ in 0..RETIRED_MAX {
            now = now.with(&ca(), NOW);
        }
        let is_told = |told: &Told| {
            let mut all = told.authorities.iter();
            all.any(|entry| entry.chain[..] == one.chain_der()[..])
        };
        assert!(is_told(&now));
        let now = now.with(&ca(), NOW);
        assert!(!is_told(&now));
        assert_eq!(now.authorities.len(), 1 + RETIRED_MAX);
    }
}
