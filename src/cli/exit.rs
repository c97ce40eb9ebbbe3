//! Exit codes: one table, stable for ever, printed by `shortleaf help exit-codes`.

use std::process::ExitCode;

macro_rules! exits {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $word:literal, $meaning:literal;)*) => {
        /// How a command ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Exit { $($(#[$doc])* $variant,)* }

        impl Exit {
            /// Every exit code, in numeric order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number the shell sees.
            pub fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            /// Its name in JSON errors, where no server gave a reason.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What it means, for `help exit-codes`.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

exits! {
    /// Done.
    Ok = 0, "OK", "ok";
    /// A fault nobody foresaw.
    Unexpected = 1, "UNEXPECTED", "unexpected failure";
    /// The command line is wrong.
    Usage = 2, "USAGE", "usage: the command line, or a file it names, is wrong";
    /// The configuration is wrong.
    Configuration = 3, "CONFIGURATION", "configuration is wrong, or insecure without its switch";
    /// No token, or one that was refused.
    Credentials = 4, "CREDENTIALS", "credentials: no token, or the token was refused";
    /// Something is unreachable for now.
    Network = 5, "NETWORK", "network or server unavailable; try again later";
    /// Nothing is signed.
    NoSignature = 10, "NO_SIGNATURE", "no signature found";
    /// No such tag.
    TagNotFound = 11, "TAG_NOT_FOUND", "tag not found";
    /// Not who was wanted.
    IdentityMismatch = 12, "IDENTITY_MISMATCH", "none matched: the identity is not the one wanted";
    /// Nothing to check.
    NoCertificate = 13, "NO_CERTIFICATE", "no certificate found";
    /// Revoked.
    Revoked = 20, "REVOKED", "revoked";
    /// Cannot tell whether it is revoked.
    RevocationStale = 21, "REVOCATION_STALE", "revocation data stale or missing";
    /// The trust material does not cover it.
    Untrusted = 22, "UNTRUSTED", "not trusted: trust material expired, or an unknown CA, of a TLS certificate too";
    /// Nobody vouches for the time.
    NoTrustedTime = 23, "NO_TRUSTED_TIME", "no trusted time inside the certificate's validity";
    /// The log's promise is missing or bad.
    LogProof = 24, "LOG_PROOF", "log proof missing or bad, or the log refused";
    /// A rule or a block said no.
    Refused = 25, "REFUSED", "refused by policy, rule or block";
    /// Stopped from outside.
    Interrupted = 130, "INTERRUPTED", "interrupted";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_order() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|e| e.code()).collect();
        assert!(codes.windows(2).all(|w| w[0] < w[1]), "{codes:?}");
    }

    #[test]
    fn words_are_distinct() {
        let words: std::collections::BTreeSet<&str> = Exit::ALL.iter().map(|e| e.word()).collect();
        assert_eq!(words.len(), Exit::ALL.len());
    }
}
