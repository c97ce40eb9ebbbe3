//! `rules explain`: every rule about a token's issuer, line by line, and the decision.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::claims;
use super::super::config::ConfigArgs;
use super::super::exit::Exit;
use super::super::files;
use super::super::output::{Failure, Output};
use super::{Source, word};
use crate::config::IssuerSettings;
use crate::instance::whom;
use crate::json::Object;
use crate::rules::{Decision, Differs, Effect, Explanation, Mode, RuleTrace, Trace};
use crate::system::SystemClock;
use crate::time::Clock;
use crate::token::{self, IssuerPolicy, IssuerUrl, MAX_TOKEN_BYTES, RawToken};

#[derive(Args, Debug)]
pub(in crate::cli) struct ExplainArgs {
    /// A file with the token, or - for standard input; its signature is not checked
    #[arg(required_unless_present = "claims")]
    token: Option<PathBuf>,
    /// Claims instead of a token: a JSON file, - or the JSON itself
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    claims: Option<String>,
    /// The rule file [default: the configuration's identity.rules]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

const INSTEAD: &str = "--claims FILE explains claims without a token";

/// Claims, and what is known of the token they are from.
struct Subject {
    issuer: IssuerUrl,
    claims: Object,
    checked: &'static str,
}

pub(super) fn run(args: &ExplainArgs, out: &Output) -> Result<(), Failure> {
    let source = Source::read(args.rules.as_deref(), &args.config)?;
    let subject = match (&args.claims, &args.token) {
        (Some(word), _) => {
            let given = claims::read(word)?;
            Subject {
                issuer: claims::issuer(&given, "--claims")?,
                claims: given,
                checked: "claims as given, nobody vouches for them",
            }
        }
        (None, Some(path)) => from_token(path, source.issuers.as_deref())?,
        // clap asks for one of them.
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "neither TOKEN nor --claims").hint(INSTEAD));
        }
    };
    let explanation = source.rules.explain(&subject.issuer, &subject.claims);
    if out.json {
        out.json(facts(&explanation, subject.checked))?;
    } else {
        print(&explanation, subject.checked, &source.path, out)?;
    }
    match explanation.decision {
        Decision::Allowed { .. } => Ok(()),
        Decision::Refused(refusal) => Err(Failure::from_error(Exit::Refused, &refusal)
            .hint("docs/rules.md says how a rule's lines are compared")),
    }
}

/// Reads a token as the server does, but for its signature; without a configuration also but for
/// its audience and times.
fn from_token(path: &Path, issuers: Option<&[IssuerSettings]>) -> Result<Subject, Failure> {
    let text = files::read_text_or_stdin(path, MAX_TOKEN_BYTES as u64 + 2)?;
    let raw = RawToken::parse(text.trim_end()).map_err(|e| unusable(&e))?;
    let issuer = IssuerUrl::new(raw.claimed_issuer())
        .map_err(|e| Failure::from_error(Exit::Credentials, &e).hint(INSTEAD))?;
    let checked = match issuers {
        None => "signature, audience and times not checked",
        Some(issuers) => {
            let policy = policy(&issuer, issuers).ok_or_else(|| {
                let text = format!("issuer {issuer} is not configured");
                Failure::new(Exit::Credentials, text).hint("shortleaf issuer list")
            })?;
            token::check_claims(&raw, &policy, SystemClock.now().seconds())
                .map_err(|e| unusable(&e))?;
            "signature not checked · audience ok · times ok"
        }
    };
    Ok(Subject {
        issuer,
        claims: raw.unproven_claims().clone(),
        checked,
    })
}

/// What the server demands of this issuer's tokens.
fn policy(issuer: &IssuerUrl, issuers: &[IssuerSettings]) -> Option<IssuerPolicy> {
    let found = whom::of(issuer.as_str(), issuers)?;
    Some(IssuerPolicy {
        issuer: found.name.clone(),
        audiences: found.audiences.clone(),
        max_token_age_s: found.max_token_age_s,
        max_token_lifetime_s: found.max_token_lifetime_s,
        leeway_s: token::MAX_LEEWAY_S,
        certificates_per_token: found.certificates_per_token,
    })
}

fn unusable(error: &token::Error) -> Failure {
    Failure::from_error(Exit::Credentials, error).hint(INSTEAD)
}

fn print(
    explanation: &Explanation,
    checked: &str,
    path: &Path,
    out: &Output,
) -> Result<(), Failure> {
    out.result(&format!("token    {checked}"))?;
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

fn facts(explanation: &Explanation, checked: &str) -> Value {
    let line = |trace: &Trace| json!({ "holds": trace.holds, "name": trace.line.name(), "text": told(trace) });
    let rule = |rule: &RuleTrace| {
        let effect = match rule.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let lines: Vec<Value> = rule.lines.iter().map(line).collect();
        json!({ "name": rule.name, "line": rule.line, "effect": effect, "holds": rule.holds(), "lines": lines })
    };
    let (allowed, by, reason) = match &explanation.decision {
        Decision::Allowed { rule, .. } => (true, Some(rule.as_str()), None),
        Decision::Refused(refusal) => (false, refusal.rule(), Some(refusal.to_string())),
    };
    let rules: Vec<Value> = explanation.rules.iter().map(rule).collect();
    json!({ "allowed": allowed, "rule": by, "reason": reason, "mode": word(explanation.mode), "token": checked, "rules": rules })
}
