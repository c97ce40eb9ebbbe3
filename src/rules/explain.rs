//! The same decision with its reasons: every rule, line by line.

use std::fmt;

use super::claim::Claims;
use super::{Decision, Effect, Evaluation, Matcher, Mode, Refusal, Rule, RuleSet, Want};
use crate::json::Object;
use crate::token::IssuerUrl;

/// Longest value of a claim that is repeated to anyone, in characters.
const MAX_SHOWN: usize = 200;
/// Claims that are only good for recognising a token; their values are nobody's business.
const PRIVATE: &[&str] = &["jti", "nonce", "at_hash", "c_hash", "s_hash", "sid"];

/// One line of a rule and how a token stands to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Whether the line holds.
    pub holds: bool,
    /// What it is about and what was found.
    pub line: Differs,
}

/// A line of a rule beside what the token has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Differs {
    /// A claim.
    Claim {
        /// Its name.
        name: String,
        /// What the rule wants, cut to a readable length.
        wanted: String,
        /// What the token has, cut to a readable length; `None` if there is no such claim.
        got: Option<String>,
    },
    /// The rule's `when`.
    When {
        /// The expression.
        expression: String,
        /// Why it could not be evaluated, if that is so.
        problem: Option<String>,
    },
}

impl Differs {
    /// The claim's name, or `when`.
    pub fn name(&self) -> &str {
        match self {
            Self::Claim { name, .. } => name,
            Self::When { .. } => "when",
        }
    }
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim { name, wanted, got } => match got {
                Some(got) => write!(f, "{name} wanted {wanted}, token has {got}"),
                None => write!(f, "{name} wanted {wanted}, token has none"),
            },
            Self::When {
                problem: None,
                expression,
            } => write!(f, "when {expression:?} does not hold"),
            Self::When {
                problem: Some(problem),
                expression,
            } => write!(f, "when {expression:?} cannot be evaluated: {problem}"),
        }
    }
}

/// One rule about this token's issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    /// Its name.
    pub name: String,
    /// Where it begins in its file, counted from 1.
    pub line: usize,
    /// What it does where it holds.
    pub effect: Effect,
    /// Its lines, in their order, `when` last.
    pub lines: Vec<Trace>,
}

impl RuleTrace {
    /// Whether every line holds.
    pub fn holds(&self) -> bool {
        self.lines.iter().all(|line| line.holds)
    }

    /// The first line that does not.
    pub fn first_difference(&self) -> Option<&Differs> {
        let first = self.lines.iter().find(|line| !line.holds);
        first.map(|trace| &trace.line)
    }
}

/// A decision and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What [`RuleSet::decide`] says.
    pub decision: Decision,
    /// Whether it counts.
    pub mode: Mode,
    /// Every rule about this issuer, refusing ones first.
    pub rules: Vec<RuleTrace>,
}

impl RuleSet {
    /// Decides as [`RuleSet::decide`] does, and says how each rule stood to it.
    pub fn explain(&self, issuer: &IssuerUrl, claims: &Object) -> Explanation {
        let looked_up = Claims::new(&self.names, claims);
        let about = |rules: &[Rule], effect| -> Vec<RuleTrace> {
            let rules = rules.iter().filter(|rule| rule.is_about(issuer));
            rules.map(|rule| rule.trace(effect, &looked_up)).collect()
        };
        let mut rules = about(&self.deny, Effect::Deny);
        rules.extend(about(&self.allow, Effect::Allow));
        Explanation {
            decision: self.decide(issuer, claims),
            mode: self.mode,
            rules,
        }
    }

    /// Why no allowing rule holds, when none does. Only the closest is put into words, and of that
    /// only the first line that differs.
    pub(super) fn none_holds(&self, issuer: &IssuerUrl, claims: &Claims<'_>) -> Refusal {
        let closest = self.closest.find(issuer, claims).map(|at| &self.allow[at]);
        let differs = closest.and_then(|rule| {
            let mut lines = rule.lines(claims);
            let first = lines.find(|line| !line.holds)?;
            Some((rule.name.clone(), first.line))
        });
        match differs {
            Some((rule, differs)) => Refusal::NoneHolds { rule, differs },
            None => Refusal::NoRule {
                issuer: issuer.clone(),
            },
        }
    }
}

impl Rule {
    /// Its claims, then its condition.
    fn lines<'a>(&'a self, claims: &'a Claims<'_>) -> impl Iterator<Item = Trace> + 'a {
        let of_claims = self.claims.iter().map(|(place, matcher)| Trace {
            holds: matcher.holds(*place, claims),
            line: Differs::Claim {
                name: claims.name(*place).as_str().to_owned(),
                wanted: cut(&matcher.to_string()),
                got: shown(claims, *place),
            },
        });
        let when = self.when.iter().map(|when| {
            let evaluation = self.condition(claims);
            Trace {
                holds: evaluation == Evaluation::True,
                line: Differs::When {
                    expression: when.as_str().to_owned(),
                    problem: match evaluation {
                        Evaluation::Failed(problem) => Some(problem),
                        Evaluation::True | Evaluation::False => None,
                    },
                },
            }
        });
        of_claims.chain(when)
    }

    fn trace(&self, effect: Effect, claims: &Claims<'_>) -> RuleTrace {
        RuleTrace {
            name: self.name.clone(),
            line: self.line,
            effect,
            lines: self.lines(claims).collect(),
        }
    }
}

/// The claim's texts, quoted, as many characters as someone reads.
fn shown(claims: &Claims<'_>, place: usize) -> Option<String> {
    let texts = claims.texts(place);
    let private = PRIVATE.contains(&claims.name(place).as_str());
    match texts {
        [] => None,
        _ if private => Some("a value that is not shown".to_owned()),
        [one] => Some(cut(&format!("{one:?}"))),
        several => Some(cut(&format!("{several:?}"))),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, want) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" or ")?;
            }
            match want {
                Want::Exactly(text) => write!(f, "{text:?}")?,
                Want::Like(glob) => f.write_str(glob.as_str())?,
            }
        }
        Ok(())
    }
}
