//! `rules test`: claim sets, and what the rules are to say about each.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::super::claims;
use super::super::exit::Exit;
use super::super::files;
use super::super::output::{Failure, Output};
use crate::json::Object;
use crate::rules::{Decision, MAX_FILE_BYTES, Refusal, RuleSet};
use crate::token::MAX_TOKEN_BYTES;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    claims: Given,
    expect: Option<String>,
    expect_refused: Option<Refused>,
}

/// A file beside the cases, or the claims themselves.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    File(String),
    Here(toml::Table),
}

/// By any rule or none, or by this refusing rule.
#[derive(Deserialize)]
#[serde(untagged)]
enum Refused {
    Somehow(bool),
    By(String),
}

/// What a case is to come to.
enum Want {
    AllowedBy(String),
    Refused,
    RefusedBy(String),
}

pub(super) fn run(rules: &RuleSet, path: &Path, out: &Output) -> Result<(), Failure> {
    let text = files::read_text(path, MAX_FILE_BYTES as u64)?;
    let cases: Cases = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let problem = error.message();
        wrong(format!("{}:{line}: {problem}", path.display()))
    })?;
    let mut rows = Vec::new();
    let mut differ = 0;
    for case in &cases.case {
        let (name, want) = (&case.name, case.want()?);
        let given = case.claims(path)?;
        let decision = rules.decide(&claims::issuer(&given, &format!("case {name:?}"))?, &given);
        let (ok, got) = (want.is(&decision), told(&decision));
        if ok {
            out.tell(&format!("{}    {name:?}: {got}", out.ok()))?;
        } else {
            differ += 1;
            out.tell(&format!(
                "FAIL  {name:?}: wanted {}; it is {got}",
                want.told()
            ))?;
        }
        rows.push(json!({ "name": name, "ok": ok, "wanted": want.told(), "got": got }));
    }
    let all = rows.len();
    if out.json {
        out.json(json!({ "ok": differ == 0, "cases": rows }))?;
    }
    if differ > 0 {
        return Err(
            Failure::new(Exit::Refused, format!("{differ} of {all} case(s) differ"))
                .hint("shortleaf rules explain --claims shows how each rule stands to a case"),
        );
    }
    out.tell(&format!("{}    {all} case(s)", out.ok()))
}

impl Case {
    fn want(&self) -> Result<Want, Failure> {
        match (&self.expect, &self.expect_refused) {
            (Some(rule), None) => Ok(Want::AllowedBy(rule.clone())),
            (None, Some(Refused::Somehow(true))) => Ok(Want::Refused),
            (None, Some(Refused::By(rule))) => Ok(Want::RefusedBy(rule.clone())),
            (None, Some(Refused::Somehow(false)) | None) | (Some(_), Some(_)) => {
                let name = &self.name;
                Err(wrong(format!(
                    "case {name:?} wants one of expect = \"RULE\" and expect_refused = \"RULE\" or true"
                )))
            }
        }
    }

    /// Its claims; a file is looked for from the folder of the cases.
    fn claims(&self, cases: &Path) -> Result<Object, Failure> {
        match &self.claims {
            Given::File(name) => {
                let path = cases.parent().unwrap_or(Path::new("")).join(name);
                let bytes = files::read(&path, MAX_TOKEN_BYTES as u64)?;
                claims::parse(&bytes, &path.display().to_string())
            }
            Given::Here(table) => claims::parse(
                json!(table).to_string().as_bytes(),
                &format!("case {:?}", self.name),
            ),
        }
    }
}

impl Want {
    fn is(&self, decision: &Decision) -> bool {
        match (self, decision) {
            (Self::AllowedBy(want), Decision::Allowed { rule, .. }) => want == rule,
            (Self::Refused, Decision::Refused(_)) => true,
            // The closest of the allowing rules refuses nobody.
            (
                Self::RefusedBy(want),
                Decision::Refused(Refusal::Denied { rule } | Refusal::Undecided { rule, .. }),
            ) => want == rule,
            (Self::AllowedBy(_), Decision::Refused(_))
            | (Self::Refused, Decision::Allowed { .. })
            | (Self::RefusedBy(_), _) => false,
        }
    }

    fn told(&self) -> String {
        match self {
            Self::AllowedBy(rule) => format!("allowed by {rule:?}"),
            Self::Refused => "refused".to_owned(),
            Self::RefusedBy(rule) => format!("refused by {rule:?}"),
        }
    }
}

fn told(decision: &Decision) -> String {
    match decision {
        Decision::Allowed { rule, .. } => format!("allowed by {rule:?}"),
        Decision::Refused(refusal) => format!("refused: {refusal}"),
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(Exit::Usage, message).hint("docs/rules.md shows a file of cases")
}
