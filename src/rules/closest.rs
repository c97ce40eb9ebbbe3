//! Which allowing rule came closest, when none holds: that of which most claims hold.
//!
//! Anybody an issuer vouches for can have this worked out, as often as the rates allow. So no rule
//! is asked: what rules want of a claim is kept once, with all that want it, and each value of the
//! token counts for its rules. Conditions do not count, because each would have to be evaluated.

use std::collections::HashMap;

use super::claim::Claims;
use super::index::ByIssuer;
use super::{Glob, Rule, Want};
use crate::token::IssuerUrl;

/// The allowing rules by all that they want.
#[derive(Debug, Default)]
pub(super) struct Closest(ByIssuer<Lines>);

/// What the rules about one issuer want.
#[derive(Debug, Default)]
struct Lines {
    /// Their places in the file; below, a rule is its place in this.
    rules: Vec<usize>,
    /// By place of a claim.
    claims: HashMap<usize, Wanted>,
}

/// What they want of one claim, and which of them do.
#[derive(Debug, Default)]
struct Wanted {
    exactly: HashMap<String, Vec<usize>>,
    /// By the text of the pattern, of which many rules have the same.
    like: HashMap<String, (Glob, Vec<usize>)>,
}

/// How much of one rule holds.
#[derive(Clone, Default)]
struct Count {
    claims: usize,
    /// The claim that was counted last: a claim with several values counts once.
    last: Option<usize>,
}

impl Closest {
    pub(super) fn of(allow: &[Rule]) -> Self {
        let mut of = ByIssuer::default();
        for (at, rule) in allow.iter().enumerate() {
            let lines: &mut Lines = of.entry(&rule.issuer);
            let own = lines.rules.len();
            lines.rules.push(at);
            for (place, matcher) in &rule.claims {
                let wanted = lines.claims.entry(*place).or_default();
                for want in &matcher.0 {
                    wanted.of(want).push(own);
                }
            }
        }
        Self(of)
    }

    /// The place of the rule about this issuer of which most claims hold; of several, the first.
    pub(super) fn find(&self, issuer: &IssuerUrl, claims: &Claims<'_>) -> Option<usize> {
        let each = self.0.about(issuer).flat_map(|lines| lines.counted(claims));
        let closest = each.max_by_key(|(holding, rule)| (*holding, std::cmp::Reverse(*rule)));
        closest.map(|(_, rule)| rule)
    }
}

impl Lines {
    /// Every rule with how many of its claims hold.
    fn counted(&self, claims: &Claims<'_>) -> impl Iterator<Item = (usize, usize)> {
        let mut counts = vec![Count::default(); self.rules.len()];
        for (place, wanted) in &self.claims {
            for text in claims.texts(*place) {
                for rule in wanted.by(text) {
                    let count = &mut counts[*rule];
                    if count.last != Some(*place) {
                        count.last = Some(*place);
                        count.claims += 1;
                    }
                }
            }
        }
        let counts = counts.into_iter().map(|count| count.claims);
        counts.zip(self.rules.iter().copied())
    }
}

impl Wanted {
    fn of(&mut self, want: &Want) -> &mut Vec<usize> {
        match want {
            Want::Exactly(text) => self.exactly.entry(text.clone()).or_default(),
            Want::Like(glob) => {
                let entry = self.like.entry(glob.as_str().to_owned());
                &mut entry.or_insert_with(|| (glob.clone(), Vec::new())).1
            }
        }
    }

    /// The rules that want this text; one may come more than once.
    fn by<'w>(&'w self, text: &str) -> impl Iterator<Item = &'w usize> {
        let exactly = self.exactly.get(text).into_iter().flatten();
        let like = self
            .like
            .values()
            .filter(move |(glob, _)| glob.matches(text));
        exactly.chain(like.flat_map(|(_, rules)| rules))
    }
}
