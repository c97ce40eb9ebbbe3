//! J: tokens, and the issuers whose keys they are verified with.
//!
//! Every input is a whole request with a good key and proof, sent to a running server. The issuer
//! of most tokens counts the connections made to it: what can be refused from a token's bytes makes
//! none. Issuers that misbehave are [`provider::Provider`]s, each with its own entry in the
//! server's configuration; whom they point at is counted too.

mod families;
mod keys;
mod mint;
mod people;
mod places;
mod provider;
mod providers;
mod rules;
mod times;
mod tokens;

use std::time::Duration;

use serde_json::{Value, json};
use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;
use tokio::time::Instant;

use crate::ask::{Ask, Proof};
use crate::issuer::{Alg, Issuer, wall_clock};
use crate::keys::{TestKey, pem};
use crate::report::{Case, Report, Verdict, judge};
use crate::site::{PERSON, Site};

/// From the start until nobody waits any more for an issuer that never answered.
const BREAKERS_OPEN: Duration = Duration::from_secs(27);

/// What makes the inputs of a row.
type Cases = fn(&Kit) -> Vec<Case>;

/// Rows whose inputs are asked one after another.
const ROWS: &[(&str, Cases)] = &[
    ("J1", tokens::unsigned),
    ("J2", tokens::shared_secrets),
    ("J3", keys::other_algorithms),
    ("J4", keys::key_ids),
    ("J5", tokens::keys_brought_along),
    ("J6", tokens::other_tokens),
    ("J7", tokens::large),
    ("J8", tokens::spellings),
    ("J9", tokens::other_json),
    ("J10", places::issuers),
    ("J11", families::issuers),
    ("J13", tokens::parties),
    ("J14", times::times),
    ("J15", keys::mixed_up),
    ("J16", providers::documents),
    ("J17", places_and_families),
    ("J18", providers::redirects),
    ("J22", keys::bad_keys),
    ("J25", people::addresses),
    ("J26", people::claims_in_extensions),
];

/// J17: the same addresses of issuers by themselves, and of families.
fn places_and_families(kit: &Kit) -> Vec<Case> {
    let mut cases = places::addresses(kit);
    cases.extend(families::addresses(kit));
    cases
}

/// Runs these rows.
pub(crate) fn run(rows: &[String]) -> Vec<Report> {
    let is_wanted = |row: &str| rows.iter().any(|wanted| wanted == row);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let kit = Kit::new().await;
        let mut reports = Vec::new();
        // Begun early: what they wait for is half a minute of the server's.
        let back = is_wanted("J23").then(|| kit.provider("back").opens_again());
        if is_wanted("J21") {
            kit.provider("rotates").publish(&kit.rotated.jwks());
        }
        for (row, cases) in ROWS.iter().filter(|(row, _)| is_wanted(row)) {
            reports.push(judge(&kit.site, row, cases(&kit)).await);
        }
        for report in reports
            .iter_mut()
            .filter(|r| matches!(&*r.row, "J11" | "J17"))
        {
            places::nobody_was_reached(&kit, report);
        }
        for report in reports
            .iter_mut()
            .filter(|r| matches!(&*r.row, "J16" | "J18"))
        {
            providers::nobody_else_was_asked(&kit, report);
        }
        if let Some(report) = reports.iter_mut().find(|r| r.row == "J26") {
            report.join(people::exact_bytes(&kit).await);
        }
        if ["J12", "J27", "J28"].iter().any(|row| is_wanted(row)) {
            let ruled = rules::Ruled::start().await;
            for (row, cases) in rules::ROWS.iter().filter(|(row, _)| is_wanted(row)) {
                reports.push(judge(&ruled.site, row, cases(&ruled)).await);
            }
        }
        if is_wanted("J20") {
            reports.push(keys::flood(&kit).await);
        }
        if is_wanted("J21") {
            reports.push(keys::rotation(&kit).await);
        }
        if is_wanted("J23") {
            reports.push(providers::away(&kit, back).await);
        }
        if is_wanted("J19") {
            tokio::time::sleep_until(kit.started + BREAKERS_OPEN).await;
            reports.push(judge(&kit.site, "J19", providers::answers_of(&kit)).await);
        }
        if is_wanted("J24") {
            reports.push(people::replays(&kit).await);
        }
        reports
    })
}

/// A site with all its issuers, and one good key.
pub(crate) struct Kit {
    started: Instant,
    site: Site,
    providers: Vec<provider::Provider>,
    /// Where nobody may be sent to.
    forbidden: provider::Witness,
    /// Speaks TLS, on an address that is not public; its issuer may have one.
    neighbour: provider::Neighbour,
    key: TestKey,
    /// What the provider "rotates" publishes after a while.
    rotated: mint::Key,
}

impl Kit {
    async fn new() -> Self {
        let forbidden = provider::Witness::start().await;
        let neighbour = provider::Neighbour::start().await;
        let rotated = mint::Key::new("k2");
        let mut providers = keys::providers().await;
        providers.extend(providers::providers(&forbidden).await);
        providers.extend(people::providers().await);
        let mut more: String = providers.iter().map(|p| p.settings()).collect();
        more += &places::settings(&forbidden);
        more += &families::settings(&forbidden);
        more += &neighbour.settings();
        Self {
            started: Instant::now(),
            site: Site::start_beside(&[], &more).await,
            providers,
            forbidden,
            neighbour,
            key: TestKey::generate(KeyKind::EcdsaP256),
            rotated,
        }
    }

    fn provider(&self, name: &str) -> &provider::Provider {
        let found = self.providers.iter().find(|provider| provider.name == name);
        found.unwrap_or_else(|| panic!("no provider {name}"))
    }

    /// This token, with proof of the good key over this challenge.
    fn ask_over(&self, token: String, key: &TestKey, challenge: &str) -> Ask {
        Ask {
            token,
            proof: Proof::Key {
                content: pem("PUBLIC KEY", &key.spki()).into_bytes(),
                signature: key.sign(challenge.as_bytes()),
            },
            san: challenge.to_owned(),
        }
    }

    fn ask(&self, token: String) -> Ask {
        self.ask_over(token, &self.key, PERSON)
    }

    /// This token is refused; that one, in which one thing is other, is not.
    fn refused(
        &self,
        what: impl Into<String>,
        token: String,
        reason: Reason,
        twin: String,
    ) -> Case {
        Case {
            what: what.into(),
            ask: self.ask(token),
            verdict: Verdict::Refused {
                reason,
                twin: self.ask(twin),
            },
        }
    }

    /// A token of the site's own issuer with these claims over the usual ones.
    fn good(&self, over: Value) -> String {
        minted(self.site.issuer(), over)
    }

    /// The site's own issuer, this header, these claims over the usual ones.
    fn header(&self, header: &str, over: Value) -> String {
        let issuer = self.site.issuer();
        issuer.sign(Alg::Rs256, header, &claims(issuer.url(), over).to_string())
    }

    /// One claim other than usual; the twin has the usual one.
    fn claim(&self, claim: &str, value: Value, reason: Reason) -> Case {
        let mut shown = value.to_string();
        shown.truncate(60);
        let mut claims = claims(self.site.issuer().url(), json!({}));
        claims[claim] = value;
        self.refused(
            format!("{claim} {shown}"),
            self.site
                .issuer()
                .sign(Alg::Rs256, HEADER, &claims.to_string()),
            reason,
            self.good(json!({})),
        )
    }

    /// A claim left out; the twin has it.
    fn without(&self, claim: &str, reason: Reason) -> Case {
        self.refused(
            format!("no {claim}"),
            self.good(json!({ claim: null })),
            reason,
            self.good(json!({})),
        )
    }
}

/// The header that issuers write.
const HEADER: &str = r#"{"alg":"RS256","typ":"JWT","kid":"RS256"}"#;

/// A token of `issuer`, RS256, for the person.
fn minted(issuer: &Issuer, over: Value) -> String {
    issuer.sign(Alg::Rs256, HEADER, &claims(issuer.url(), over).to_string())
}

/// Claims that pass, with others laid over them; null takes one away.
fn claims(issuer: &str, over: Value) -> Value {
    use std::sync::atomic::{AtomicU64, Ordering};
    static MINTED: AtomicU64 = AtomicU64::new(0);
    let now = wall_clock();
    let mut all = json!({
        "iss": issuer, "aud": "sigstore", "sub": PERSON, "email": PERSON, "email_verified": true,
        "iat": now, "nbf": now, "exp": now + 300,
        "jti": format!("j-{}", MINTED.fetch_add(1, Ordering::Relaxed)),
    });
    crate::issuer::merge(&mut all, over);
    all
}
