//! Why a request ended without a certificate: one stable word per cause, and whose fault it is.
//!
//! Every room's error names its [`Reason`]. HTTP status, gRPC code and public text follow from
//! it in one place, `server::problem`; the table people read is `docs/errors.md`.

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request itself: its shape, its key, its proof.
    Caller,
    /// The token: absent, invalid, or not enough.
    Credentials,
    /// A rule of the operator's says no.
    Policy,
    /// Too much, too fast: by one caller, or by all together.
    Throttle,
    /// Something we rely on is away: issuer keys, log, store, signer. Never the caller's fault.
    Dependency,
    /// Our own mistake.
    Ours,
}

/// An error and what led to it, outermost first, in one line: whoever shows only an error's own text
/// shows half of it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $fault:ident;)*) => {
        /// A stable word for each cause (`google.rpc.ErrorInfo.reason`). More may come; none is renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason, in the order of `docs/errors.md`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word as it stands in answers, logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Whose fault this is.
            pub fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }
        }
    };
}

reasons! {
    /// The request body does not parse.
    RequestMalformed = "REQUEST_MALFORMED", Caller;
    /// The request body is over its limit.
    RequestTooLarge = "REQUEST_TOO_LARGE", Caller;
    /// No such path (HTTP 404).
    RouteUnknown = "ROUTE_UNKNOWN", Caller;
    /// The path exists, the method does not.
    MethodUnknown = "METHOD_UNKNOWN", Caller;
    /// Neither body nor header carries a token.
    TokenMissing = "TOKEN_MISSING", Credentials;
    /// The token is not a strict JWS compact serialization of a JWT.
    TokenMalformed = "TOKEN_MALFORMED", Credentials;
    /// No configured issuer has this `iss`.
    TokenIssuerUnknown = "TOKEN_ISSUER_UNKNOWN", Credentials;
    /// The token's `alg` is not one this issuer may use.
    TokenAlgorithmRefused = "TOKEN_ALGORITHM_REFUSED", Credentials;
    /// The issuer's key set holds no key that fits.
    TokenKeyUnknown = "TOKEN_KEY_UNKNOWN", Credentials;
    /// The signature does not verify.
    TokenSignatureInvalid = "TOKEN_SIGNATURE_INVALID", Credentials;
    /// `aud` is not the one configured.
    TokenAudienceMismatch = "TOKEN_AUDIENCE_MISMATCH", Credentials;
    /// `exp` has passed.
    TokenExpired = "TOKEN_EXPIRED", Credentials;
    /// `nbf` or `iat` lies ahead.
    TokenNotYetValid = "TOKEN_NOT_YET_VALID", Credentials;
    /// `iat` is further back, or the lifetime longer, than this issuer allows.
    TokenTooOld = "TOKEN_TOO_OLD", Credentials;
    /// The token has bought all the certificates it may.
    TokenReplayed = "TOKEN_REPLAYED", Credentials;
    /// A claim the identity needs is absent.
    ClaimMissing = "CLAIM_MISSING", Credentials;
    /// A claim the identity needs cannot be used.
    ClaimInvalid = "CLAIM_INVALID", Credentials;
    /// The issuer does not vouch for the email address.
    EmailUnverified = "EMAIL_UNVERIFIED", Credentials;
    /// No public key, or one that does not parse.
    PublicKeyMalformed = "PUBLIC_KEY_MALFORMED", Caller;
    /// The key parses and is not safe to certify.
    PublicKeyInsecure = "PUBLIC_KEY_INSECURE", Caller;
    /// The certificate signing request does not parse.
    CsrMalformed = "CSR_MALFORMED", Caller;
    /// The proof of possession, or the request's own signature, does not verify.
    ProofInvalid = "PROOF_INVALID", Caller;
    /// Key and hash are a pair this instance does not certify.
    AlgorithmNotPermitted = "ALGORITHM_NOT_PERMITTED", Caller;
    /// A claim rule refused.
    RuleRefused = "RULE_REFUSED", Policy;
    /// A revocation statement blocks issuance.
    IssuanceBlocked = "ISSUANCE_BLOCKED", Policy;
    /// Over the rate limit.
    RateLimited = "RATE_LIMITED", Throttle;
    /// More is asked at once than this instance can do.
    Overloaded = "OVERLOADED", Throttle;
    /// No log answered with a usable SCT in time.
    CtLogUnavailable = "CT_LOG_UNAVAILABLE", Dependency;
    /// Every log refused the precertificate.
    CtLogRejected = "CT_LOG_REJECTED", Ours;
    /// The CA key cannot sign now.
    CaUnavailable = "CA_UNAVAILABLE", Dependency;
    /// The issuer's keys cannot be had now.
    IdentityProviderUnavailable = "IDENTITY_PROVIDER_UNAVAILABLE", Dependency;
    /// The store or the audit log cannot record now.
    StoreUnavailable = "STORE_UNAVAILABLE", Dependency;
    /// Our own mistake; the log has the cause.
    Internal = "INTERNAL", Ours;
}
