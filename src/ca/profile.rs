//! Certificate profiles: what a leaf may contain and how long it lives.

use crate::hash::sha256;
use crate::hex;
use crate::time::UnixSeconds;

/// SHA-256 over the profile's canonical description; stands in every audit line and record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProfileHash(pub [u8; 32]);

/// Lower-case hex.
impl std::fmt::Display for ProfileHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// The profile of the leaves this instance issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafProfile {
    name: String,
    lifetime_s: u32,
    backdate_s: u32,
    crl_url: Option<String>,
    hash: ProfileHash,
}

/// Why a profile cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The name does not fit on an audit line.
    #[error("profile name {got:?} is not 1 to 64 letters, digits, '.', '_' or '-'")]
    Name {
        /// The name.
        got: String,
    },
    /// The lifetime is out of bounds.
    #[error(
        "lifetime is {got} s, allowed are {} to {} s",
        LeafProfile::LIFETIME_MIN_S,
        LeafProfile::MAX_LIFETIME_S
    )]
    Lifetime {
        /// The lifetime.
        got: u32,
    },
    /// The back-dating is out of bounds.
    #[error(
        "back-dating is {got} s, at most {} s are allowed",
        LeafProfile::MAX_BACKDATE_S
    )]
    Backdate {
        /// The back-dating.
        got: u32,
    },
    /// The URL of the revocation list cannot stand in a certificate.
    #[error("CRL URL {got:?} is not a printable http URL with a host, of up to {MAX_URL} octets")]
    CrlUrl {
        /// The URL.
        got: String,
    },
}

/// The longest CRL URL, in octets.
const MAX_URL: usize = 512;

/// What every profile has in common, as part of its hash: a change here is a change of profile.
const EXTENSIONS: &str = "keyUsage extKeyUsage ski aki san fulcio.1-6 fulcio.8 fulcio.9-23 \
                          fulcio.24 crldp? poison|sctlist?";

impl LeafProfile {
    /// The usual lifetime, ten minutes.
    pub const LIFETIME_S: u32 = 600;
    /// The shortest lifetime.
    pub const LIFETIME_MIN_S: u32 = 60;
    /// The longest lifetime.
    pub const MAX_LIFETIME_S: u32 = 86_400;
    /// The most a certificate may be dated back.
    pub const MAX_BACKDATE_S: u32 = 30;

    /// A checked profile. A changed profile is a new name.
    pub fn new(
        name: &str,
        lifetime_s: u32,
        backdate_s: u32,
        crl_url: Option<&str>,
    ) -> Result<Self, ProfileError> {
        let in_names = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(in_names) {
            return Err(ProfileError::Name { got: name.into() });
        }
        if !(Self::LIFETIME_MIN_S..=Self::MAX_LIFETIME_S).contains(&lifetime_s) {
            return Err(ProfileError::Lifetime { got: lifetime_s });
        }
        if backdate_s > Self::MAX_BACKDATE_S {
            return Err(ProfileError::Backdate { got: backdate_s });
        }
        if let Some(url) = crl_url.filter(|url| !is_crl_url(url)) {
            return Err(ProfileError::CrlUrl { got: url.into() });
        }
        Ok(Self {
            hash: hash(name, lifetime_s, backdate_s, crl_url),
            name: name.into(),
            lifetime_s,
            backdate_s,
            crl_url: crl_url.map(Into::into),
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seconds of validity, both ends counted: notAfter = notBefore + lifetime − 1.
    pub fn lifetime_s(&self) -> u32 {
        self.lifetime_s
    }

    /// The most seconds between notBefore and the answer, 0 to 30.
    pub fn backdate_s(&self) -> u32 {
        self.backdate_s
    }

    /// `http` URL of the leaf CRL, if there is one.
    pub fn crl_url(&self) -> Option<&str> {
        self.crl_url.as_deref()
    }

    /// notBefore of a certificate asked for at `now`: never ahead, and only nine tenths of the
    /// back-dating, so that the whole way to the answer stays inside it.
    pub fn not_before(&self, now: UnixSeconds) -> UnixSeconds {
        now.plus(-i64::from(self.backdate_s * 9 / 10))
    }

    /// The hash of every field above and of the extension order.
    pub fn hash(&self) -> ProfileHash {
        self.hash
    }
}

/// Made once: every issuance compares it and writes it down.
fn hash(name: &str, lifetime_s: u32, backdate_s: u32, crl_url: Option<&str>) -> ProfileHash {
    // No field can hold a line end, so the text has one reading.
    let text = format!(
        "shortleaf leaf profile 1\nname {name}\nlifetime_s {lifetime_s}\nbackdate_s {backdate_s}\ncrl_url {}\n{EXTENSIONS}\n",
        crl_url.unwrap_or("-"),
    );
    ProfileHash(sha256(&[text.as_bytes()]))
}

/// http, because a list is fetched while a path is being built and carries its own signature.
pub(crate) fn is_crl_url(url: &str) -> bool {
    let host = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| !host.is_empty())
        && url.len() <= MAX_URL
        && url.bytes().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept_at_both_ends() {
        let new = |lifetime, backdate| LeafProfile::new("p", lifetime, backdate, None);
        assert!(new(60, 0).is_ok() && new(86_400, 30).is_ok());
        assert_eq!(new(59, 0), Err(ProfileError::Lifetime { got: 59 }));
        assert_eq!(new(86_401, 0), Err(ProfileError::Lifetime { got: 86_401 }));
        assert_eq!(new(600, 31), Err(ProfileError::Backdate { got: 31 }));
    }

    #[test]
    fn names_and_urls_cannot_break_a_line() {
        let name = |got: &str| LeafProfile::new(got, 600, 0, None).err();
        assert_eq!(name("leaf-10m_v1.2"), None);
        for got in ["", "a b", "a\nb", "ü", &"x".repeat(65)] {
            assert_eq!(name(got), Some(ProfileError::Name { got: got.into() }));
        }
        let url = |got: &str| LeafProfile::new("p", 600, 0, Some(got)).err();
        assert_eq!(url("http://crl.example.com/crl/leaf.crl"), None);
        for got in [
            "https://a/x",
            "http:///x",
            "ftp://a",
            "http://a/ü",
            "http://a/\n",
        ] {
            assert_eq!(url(got), Some(ProfileError::CrlUrl { got: got.into() }));
        }
    }

    #[test]
    fn each_field_changes_the_hash() {
        let hash = |name, lifetime, backdate, url| {
            LeafProfile::new(name, lifetime, backdate, url)
                .unwrap()
                .hash()
        };
        let base = hash("a", 600, 0, None);
        assert_eq!(base, hash("a", 600, 0, None));
        for other in [
            hash("b", 600, 0, None),
            hash("a", 601, 0, None),
            hash("a", 600, 1, None),
            hash("a", 600, 0, Some("http://a/")),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn back_dating_leaves_a_tenth_for_the_way_to_the_answer() {
        let at = |backdate| {
            let profile = LeafProfile::new("p", 600, backdate, None).unwrap();
            profile.not_before(UnixSeconds(1000))
        };
        assert_eq!(at(0), UnixSeconds(1000));
        assert_eq!(at(30), UnixSeconds(973));
    }
}
