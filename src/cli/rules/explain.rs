//! `rules explain`: a token is verified as the server verifies it; then every rule about its issuer,
//! line by line, and the decision. Uses of a token are counted by the server alone.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::claims;
use super::super::config::{ConfigArgs, unusable as unusable_config};
use super::super::exit::Exit;
use super::super::files;
use super::super::identity;
use super::super::issuer::ROOT_OF_ISSUER;
use super::super::output::{Failure, Output, chain};
use super::super::runtime;
use super::{Source, word};
use crate::client::is_untrusted;
use crate::config::IssuerSettings;
use crate::fault::Fault;
use crate::identity::{Error as NameError, San, preview};
use crate::instance::{parts, whom};
use crate::json::Object;
use crate::rules::{Decision, Differs, Effect, Explanation, Mode, RuleTrace, Trace};
use crate::system::SystemClock;
use crate::time::Clock;
use crate::token::{self, IssuerUrl, MAX_TOKEN_BYTES, RawToken};

#[derive(Args, Debug)]
pub(in crate::cli) struct ExplainArgs {
    /// A file with the token, or - for standard input; it is verified with its issuer's keys where
    /// a configuration says how to come by them
    #[arg(required_unless_present = "claims")]
    token: Option<PathBuf>,
    /// Claims instead of a token: a JSON file, - or the JSON itself
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    claims: Option<String>,
    /// Leave the token's signature unchecked and its issuer unasked
    #[arg(long, conflicts_with = "claims")]
    unverified: bool,
    /// The rule file [default: the configuration's identity.rules]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

const INSTEAD: &str = "--claims FILE explains claims without a token";
const OFFLINE: &str =
    "shortleaf issuer test URL shows why; --unverified leaves the signature unchecked";

/// Claims, and what is known of the token they are from.
struct Subject {
    issuer: IssuerUrl,
    claims: Object,
    proof: Proof,
    /// In words.
    checked: String,
}

/// Whether somebody vouches for claims.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Signed,
    Nobodys,
}

pub(super) fn run(args: &ExplainArgs, out: &Output) -> Result<(), Failure> {
    let source = Source::read(args.rules.as_deref(), &args.config)?;
    source.loads(out)?;
    let subject = match (&args.claims, &args.token) {
        (Some(word), _) => {
            let given = claims::read(word)?;
            Subject {
                issuer: claims::issuer(&given, "--claims")?,
                claims: given,
                proof: Proof::Nobodys,
                checked: "claims as given, nobody vouches for them".to_owned(),
            }
        }
        (None, Some(path)) => {
            let text = files::read_text_or_stdin(path, MAX_TOKEN_BYTES as u64 + 2)?;
            let raw = RawToken::parse(text.trim_end()).map_err(|e| unusable(&e))?;
            match (&source.issuers, args.unverified) {
                (Some(issuers), false) => verified(raw, issuers)?,
                (Some(issuers), true) => unverified(&raw, issuers)?,
                (None, _) => unknown(&raw)?,
            }
        }
        // clap asks for one of them.
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "neither TOKEN nor --claims").hint(INSTEAD));
        }
    };
    let named = named(&subject, source.issuers.as_deref().unwrap_or_default());
    let explanation = source.rules.explain(&subject.issuer, &subject.claims);
    if out.json {
        out.json(facts(&explanation, &subject, named.as_ref()))?;
    } else {
        print(&explanation, &subject, named.as_ref(), &source.path, out)?;
    }
    match (named, explanation.decision) {
        // The server looks for the name first.
        (Some(Err(error)), _) => Err(identity::nameless(&error)),
        (_, Decision::Allowed { .. }) => Ok(()),
        (_, Decision::Refused(refusal)) => Err(Failure::from_error(Exit::Refused, &refusal)
            .hint("docs/rules.md says how a rule's lines are compared")),
    }
}

/// The name a certificate would have, or why there is none; `None` where no configuration says how
/// this issuer's claims are read, and for claims without a subject, which no token is without.
fn named(subject: &Subject, issuers: &[IssuerSettings]) -> Option<Result<San, NameError>> {
    let found = whom::of(subject.issuer.as_str(), issuers)?;
    let claims = &subject.claims;
    let sub = claims.get("sub").and_then(|sub| sub.as_str())?;
    let preview = preview(&subject.issuer, sub, claims, &found.mapping);
    Some(preview.map(|preview| preview.san().clone()))
}

/// Verifies a token as the server does.
fn verified(raw: RawToken, issuers: &[IssuerSettings]) -> Result<Subject, Failure> {
    let found = configured(&raw, issuers)?;
    let keys = parts::keys(std::slice::from_ref(found)).map_err(|e| unusable_config(&e))?;
    let (policy, now) = (parts::policy_of(found), SystemClock.now().seconds());
    let token = runtime()?.block_on(token::verify(raw, &policy, &keys, now));
    let token = token.map_err(|e| unusable(&e))?;
    Ok(Subject {
        issuer: token.issuer().clone(),
        claims: token.claims().clone(),
        proof: Proof::Signed,
        checked: format!(
            "signature ok · audience ok · age {} s of {} s",
            now.since(token.issued_at()),
            policy.max_token_age_s
        ),
    })
}

/// The same but for the signature.
fn unverified(raw: &RawToken, issuers: &[IssuerSettings]) -> Result<Subject, Failure> {
    let policy = parts::policy_of(configured(raw, issuers)?);
    let now = SystemClock.now().seconds();
    Ok(Subject {
        issuer: token::check_claims(raw, &policy, now).map_err(|e| unusable(&e))?,
        claims: raw.unproven_claims().clone(),
        proof: Proof::Nobodys,
        checked: "signature not checked · audience ok · times ok".to_owned(),
    })
}

/// A token of whose issuer nothing is known, without a configuration.
fn unknown(raw: &RawToken) -> Result<Subject, Failure> {
    let issuer = IssuerUrl::new(raw.claimed_issuer())
        .map_err(|e| Failure::from_error(Exit::Credentials, &e).hint(INSTEAD))?;
    Ok(Subject {
        issuer,
        claims: raw.unproven_claims().clone(),
        proof: Proof::Nobodys,
        checked: "signature, audience and times not checked: no configuration".to_owned(),
    })
}

/// The settings for a token's issuer.
fn configured<'a>(
    raw: &RawToken,
    issuers: &'a [IssuerSettings],
) -> Result<&'a IssuerSettings, Failure> {
    let claimed = raw.claimed_issuer();
    let found = whom::of(claimed, issuers);
    found.ok_or_else(|| unusable(&token::Error::unknown_issuer(claimed)))
}

/// A token that buys nothing, or one about which its issuer could not be asked.
fn unusable(error: &token::Error) -> Failure {
    let reason = error.reason();
    let (exit, hint) = match (reason.fault(), error) {
        (Fault::Dependency, _) if is_untrusted(error) => (Exit::Untrusted, ROOT_OF_ISSUER),
        (Fault::Dependency, _) => (Exit::Network, OFFLINE),
        (_, token::Error::UnknownIssuer { .. }) => (Exit::Credentials, "shortleaf issuer list"),
        _ => (Exit::Credentials, INSTEAD),
    };
    Failure {
        code: reason.as_str().to_owned(),
        ..Failure::from_error(exit, error).hint(hint)
    }
}

fn print(
    explanation: &Explanation,
    subject: &Subject,
    named: Option<&Result<San, NameError>>,
    path: &Path,
    out: &Output,
) -> Result<(), Failure> {
    out.result(&format!("token    {}", subject.checked))?;
    match named {
        None => {}
        Some(Ok(san)) => out.result(&format!("identity {} {}", identity::kind(san), san.name()))?,
        Some(Err(error)) => out.result(&format!("identity none: {}", chain(error)))?,
    }
    for (effect, name) in [(Effect::Deny, "deny "), (Effect::Allow, "allow")] {
        let mut none = true;
        for rule in explanation.rules.iter().filter(|r| r.effect == effect) {
            none = false;
            let holding = rule.lines.iter().filter(|line| line.holds).count();
            out.result(&format!(
                "{name}    {:?}  {}:{}  {}: {holding} of {} lines hold",
                rule.name,
                path.display(),
                rule.line,
                if rule.holds() { "yes" } else { "no" },
                rule.lines.len()
            ))?;
            for line in &rule.lines {
                let holds = if line.holds { "ok" } else { "no" };
                out.result(&format!("           {holds}  {}", told(line)))?;
            }
        }
        if none {
            out.result(&format!("{name}    no rule about this issuer"))?;
        }
    }
    let shadow = match explanation.mode {
        Mode::Enforce => "",
        Mode::Shadow => "   (shadow mode: a refusal is recorded, and the certificate made)",
    };
    if let Some(Err(error)) = named {
        let text = format!(
            "result   NO IDENTITY 4   {}, whatever the rules say",
            chain(error)
        );
        return out.result(&text);
    }
    out.result(&match &explanation.decision {
        Decision::Allowed { rule, .. } => format!("result   ALLOWED 0   by {rule:?}{shadow}"),
        Decision::Refused(refusal) => format!("result   REFUSED 25   {refusal}{shadow}"),
    })
}

fn told(trace: &Trace) -> String {
    if let (Differs::When { expression, .. }, true) = (&trace.line, trace.holds) {
        return format!("when {expression:?}");
    }
    trace.line.to_string()
}

fn facts(
    explanation: &Explanation,
    subject: &Subject,
    named: Option<&Result<San, NameError>>,
) -> Value {
    let line = |trace: &Trace| json!({ "holds": trace.holds, "name": trace.line.name(), "text": told(trace) });
    let rule = |rule: &RuleTrace| {
        let effect = match rule.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let lines: Vec<Value> = rule.lines.iter().map(line).collect();
        json!({ "name": rule.name, "line": rule.line, "effect": effect, "holds": rule.holds(), "lines": lines })
    };
    let (allowed, by, reason) = match (named, &explanation.decision) {
        (Some(Err(error)), _) => (false, None, Some(chain(error))),
        (_, Decision::Allowed { rule, .. }) => (true, Some(rule.as_str()), None),
        (_, Decision::Refused(refusal)) => (false, refusal.rule(), Some(refusal.to_string())),
    };
    let rules: Vec<Value> = explanation.rules.iter().map(rule).collect();
    let named = named.map(|named| match named {
        Ok(san) => json!({ "type": identity::kind(san), "value": san.name() }),
        Err(error) => json!({ "error": chain(error) }),
    });
    json!({ "identity": named, "allowed": allowed, "rule": by, "reason": reason, "mode": word(explanation.mode), "token": subject.checked, "verified": subject.proof == Proof::Signed, "rules": rules })
}
