//! A rule file, TOML, read strictly: a key that is not known is an error that names the nearest.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expression::Expression;
use super::{
    ClaimName, ClaimNameError, Effect, ExpressionError, Glob, GlobError, Issuers, Matcher, Mode,
    Rule, Want,
};
use crate::spelling::{self, did_you_mean};
use crate::token::{IssuerPattern, IssuerUrl, IssuerUrlError, PatternError};

/// Longest rule file, in bytes.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// Most rules of one file.
pub const MAX_RULES: usize = 20_000;
/// Most values a claim of a rule may have.
pub const MAX_VALUES: usize = 1000;
/// Longest name of a rule, in characters.
const MAX_NAME: usize = 100;
/// Shortest life a rule may leave a certificate, in seconds: a client needs time to use it.
const MIN_LIFETIME_S: u64 = 30;
/// Longest, in seconds: the life of a usual certificate. A rule only ever shortens.
const MAX_LIFETIME_S: u64 = 600;

const FILE_KEYS: &[&str] = &["mode", "explain_to_caller", "allow", "deny"];

impl Effect {
    /// The table its rules stand in.
    fn key(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// What such a rule can say.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Allow => &[
                "name",
                "issuer",
                "claims",
                "when",
                "names_only",
                "max_lifetime",
            ],
            Self::Deny => &["name", "issuer", "claims", "when"],
        }
    }
}

/// Why a text is no rule file. `line` counts from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Over [`MAX_FILE_BYTES`].
    #[error("rule file of {bytes} bytes is longer than {MAX_FILE_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not TOML.
    #[error("line {line}: {problem}")]
    Syntax {
        /// Where.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// A key that does not exist here.
    #[error("line {line}: there is no key {key:?} here{}", did_you_mean(*nearest))]
    UnknownKey {
        /// Where.
        line: usize,
        /// The key.
        key: String,
        /// One that exists and looks like it.
        nearest: Option<&'static str>,
    },
    /// A key of the file's in a rule, where TOML puts what stands below its head.
    #[error("line {line}: {key:?} is about the whole file: write it above the first rule")]
    Misplaced {
        /// Where.
        line: usize,
        /// The key.
        key: &'static str,
    },
    /// A key that has to be there.
    #[error("line {line}: this rule has no {key:?}: {why}")]
    Missing {
        /// Where the rule begins.
        line: usize,
        /// The key.
        key: &'static str,
        /// What it is for.
        why: &'static str,
    },
    /// A value of another type or outside of its bounds.
    #[error("line {line}: {key} is {got}; {want}")]
    Value {
        /// Where.
        line: usize,
        /// The key.
        key: String,
        /// What stands there.
        got: String,
        /// What to write.
        want: &'static str,
    },
    /// Two rules of one name.
    #[error("line {line}: rule {name:?} is on line {first} already")]
    Twice {
        /// The second.
        line: usize,
        /// Their name.
        name: String,
        /// The first.
        first: usize,
    },
    /// Over [`MAX_RULES`].
    #[error("{rules} rules, at most {MAX_RULES} are read")]
    TooMany {
        /// How many.
        rules: usize,
    },
    /// An issuer that can be none.
    #[error("line {line}: issuer cannot be used")]
    Issuer {
        /// Where.
        line: usize,
        /// Why.
        source: IssuerUrlError,
    },
    /// A pattern of issuers that is none.
    #[error("line {line}: issuer cannot be used")]
    Family {
        /// Where.
        line: usize,
        /// Why.
        source: PatternError,
    },
    /// A key of a rule below its `[….claims]`, where TOML takes it for a claim: a rule that asks for
    /// such a claim never holds, and one that was to refuse lets everybody pass.
    #[error(
        "line {line}: {key:?} is among the claims here: write it above them, or \"/{key}\" for a claim of that name"
    )]
    RuleKey {
        /// Where.
        line: usize,
        /// The key.
        key: String,
    },
    /// A name that no claim can have.
    #[error("line {line}: claims cannot be read")]
    ClaimName {
        /// Where.
        line: usize,
        /// Why.
        source: ClaimNameError,
    },
    /// A glob that is none.
    #[error("line {line}: claim {claim:?} cannot be matched")]
    Glob {
        /// Where.
        line: usize,
        /// Whose.
        claim: String,
        /// Why.
        source: GlobError,
    },
    /// A `when` that is none.
    #[error("line {line}: when cannot be used")]
    When {
        /// Where.
        line: usize,
        /// Why.
        source: ExpressionError,
    },
    /// A pattern on `sub`, which has no grammar: owners can reshape it.
    #[error(
        "line {line}: \"sub\" is a text that its issuer composes; write its claims, or the exact value"
    )]
    SubPattern {
        /// Where.
        line: usize,
    },
}

/// What a file holds.
pub(super) struct File {
    pub(super) mode: Mode,
    pub(super) explain_to_caller: bool,
    pub(super) deny: Vec<Rule>,
    pub(super) allow: Vec<Rule>,
    pub(super) names: Vec<ClaimName>,
}

/// Reads a file.
pub(super) fn file(text: &str) -> Result<File, Error> {
    if text.len() > MAX_FILE_BYTES {
        return Err(Error::TooLong { bytes: text.len() });
    }
    let lines = Lines::of(text);
    let table = DeTable::parse(text).map_err(|error| Error::Syntax {
        line: lines.number(error.span().map_or(0, |span| span.start)),
        problem: error.message().to_owned(),
    })?;
    let mut reader = Reader {
        text,
        lines,
        places: HashMap::new(),
        seen: HashMap::new(),
    };
    let table = table.get_ref();
    reader.known(table, FILE_KEYS)?;
    let mode = match reader.string(table, "mode")? {
        None => Mode::Enforce,
        Some((word, _)) if word == "enforce" => Mode::Enforce,
        Some((word, _)) if word == "shadow" => Mode::Shadow,
        Some((word, line)) => {
            let (key, got) = ("mode".to_owned(), format!("{word:?}"));
            let want = "write \"enforce\" or \"shadow\"";
            return Err(Error::Value {
                line,
                key,
                got,
                want,
            });
        }
    };
    let explain_to_caller = reader.flag(table, "explain_to_caller")?.unwrap_or(true);
    let deny = reader.rules(table, Effect::Deny)?;
    let allow = reader.rules(table, Effect::Allow)?;
    let rules = deny.len() + allow.len();
    if rules > MAX_RULES {
        return Err(Error::TooMany { rules });
    }
    let mut names: Vec<_> = reader.places.into_iter().collect();
    names.sort_unstable_by_key(|(_, place)| *place);
    Ok(File {
        mode,
        explain_to_caller,
        deny,
        allow,
        names: names.into_iter().map(|(name, _)| name).collect(),
    })
}

/// The text beside what was read so far.
struct Reader<'t> {
    text: &'t str,
    lines: Lines,
    /// Of each claim among those that rules look at.
    places: HashMap<ClaimName, usize>,
    /// Names of rules, with their lines.
    seen: HashMap<String, usize>,
}

impl Reader<'_> {
    fn rules(&mut self, table: &DeTable<'_>, effect: Effect) -> Result<Vec<Rule>, Error> {
        let key = effect.key();
        let Some(value) = table.get(key) else {
            return Ok(Vec::new());
        };
        let want = "write each rule as a table of its own: [[allow]] or [[deny]]";
        let DeValue::Array(rules) = value.get_ref() else {
            return Err(self.wrong(value, key, want));
        };
        let each = rules.iter().map(|rule| {
            let DeValue::Table(table) = rule.get_ref() else {
                return Err(self.wrong(rule, key, want));
            };
            self.rule(table, self.line(rule.span()), effect)
        });
        each.collect()
    }

    fn rule(&mut self, table: &DeTable<'_>, line: usize, effect: Effect) -> Result<Rule, Error> {
        self.known(table, effect.keys())?;
        let name = self.name(table, line)?;
        let issuer = match self.string(table, "issuer")? {
            Some((text, line)) if text.contains('*') => {
                let family = IssuerPattern::new(&text);
                Issuers::Family(family.map_err(|source| Error::Family { line, source })?)
            }
            Some((text, line)) => {
                let one = IssuerUrl::new(&text);
                Issuers::One(one.map_err(|source| Error::Issuer { line, source })?)
            }
            None => match effect {
                Effect::Deny => Issuers::All,
                Effect::Allow => {
                    let why = "the `iss` of the tokens it is about, byte for byte";
                    let key = "issuer";
                    return Err(Error::Missing { line, key, why });
                }
            },
        };
        let claims = match table.get("claims") {
            None => Vec::new(),
            Some(value) => {
                let DeValue::Table(claims) = value.get_ref() else {
                    let want = "write a table: claims = { ref = \"…\" }";
                    return Err(self.wrong(value, "claims", want));
                };
                self.claims(claims)?
            }
        };
        let when = match self.string(table, "when")? {
            None => None,
            Some((text, line)) => {
                let when = Expression::parse(&text);
                Some(when.map_err(|source| Error::When { line, source })?)
            }
        };
        if claims.is_empty() && when.is_none() {
            let why = "a rule without any is about everybody of its issuer";
            let key = "claims";
            return Err(Error::Missing { line, key, why });
        }
        Ok(Rule {
            name,
            line,
            issuer,
            claims,
            when,
            names_only: self.flag(table, "names_only")?.unwrap_or(false),
            max_lifetime: self.lifetime(table)?,
        })
    }

    fn name(&mut self, table: &DeTable<'_>, line: usize) -> Result<String, Error> {
        let why = "decisions, records and refusals name their rule";
        let key = "name";
        let missing = Error::Missing { line, key, why };
        let (name, at) = self.string(table, key)?.ok_or(missing)?;
        let hidden = name.chars().any(char::is_control);
        if hidden || name.trim().is_empty() || name.chars().count() > MAX_NAME {
            let (line, key, got) = (at, key.to_owned(), format!("{name:?}"));
            let want = "write 1 to 100 characters";
            return Err(Error::Value {
                line,
                key,
                got,
                want,
            });
        }
        match self.seen.insert(name.clone(), line) {
            Some(first) => Err(Error::Twice { line, name, first }),
            None => Ok(name),
        }
    }

    fn claims(&mut self, table: &DeTable<'_>) -> Result<Vec<(usize, Matcher)>, Error> {
        let mut out = Vec::new();
        // In the order of the file, which the parser does not keep: the first line that differs is told.
        let mut lines: Vec<_> = table.iter().collect();
        lines.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in lines {
            let line = self.line(key.span());
            if Effect::Allow.keys().contains(&key.get_ref().as_ref()) {
                let key = key.get_ref().clone().into_owned();
                return Err(Error::RuleKey { line, key });
            }
            let name = ClaimName::parse(key.get_ref());
            let name = name.map_err(|source| Error::ClaimName { line, source })?;
            let mut wanted = Vec::new();
            self.wants(&name, value, &mut wanted)?;
            if !(1..=MAX_VALUES).contains(&wanted.len()) {
                let want = "write 1 to 1000 values";
                return Err(self.wrong(value, name.as_str(), want));
            }
            let like = wanted.iter().any(|want| matches!(want, Want::Like(_)));
            if like && matches!(name.as_str(), "sub" | "/sub") {
                return Err(Error::SubPattern { line });
            }
            let next = self.places.len();
            let place = *self.places.entry(name).or_insert(next);
            out.push((place, Matcher(wanted)));
        }
        Ok(out)
    }

    /// A value, a glob, or a list of either.
    fn wants(
        &self,
        name: &ClaimName,
        value: &Spanned<DeValue<'_>>,
        out: &mut Vec<Want>,
    ) -> Result<(), Error> {
        let want = "write a text, true, false or an integer, { glob = \"…\" }, or a list of these";
        match value.get_ref() {
            DeValue::String(text) => out.push(Want::Exactly(text.clone().into_owned())),
            DeValue::Boolean(truth) => out.push(Want::Exactly(truth.to_string())),
            DeValue::Integer(number) if number.radix() == 10 => {
                // Digits as written: `+7` and `1_000` are `7` and `1000` to TOML too.
                let digits = number.as_str().replace('_', "");
                let digits = digits.strip_prefix('+').unwrap_or(&digits);
                out.push(Want::Exactly(digits.to_owned()));
            }
            DeValue::Array(all) => {
                for one in all.iter() {
                    if matches!(one.get_ref(), DeValue::Array(_)) {
                        return Err(self.wrong(one, name.as_str(), want));
                    }
                    self.wants(name, one, out)?;
                }
            }
            DeValue::Table(table) => {
                self.known(table, &["glob"])?;
                let glob = table.get("glob");
                let glob = glob.ok_or_else(|| self.wrong(value, name.as_str(), want))?;
                let DeValue::String(text) = glob.get_ref() else {
                    return Err(self.wrong(glob, "glob", "write a text"));
                };
                let pattern = Glob::new(text).map_err(|source| Error::Glob {
                    line: self.line(glob.span()),
                    claim: name.as_str().to_owned(),
                    source,
                })?;
                out.push(Want::Like(pattern));
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => {
                return Err(self.wrong(value, name.as_str(), want));
            }
        }
        Ok(())
    }

    fn lifetime(&self, table: &DeTable<'_>) -> Result<Option<Duration>, Error> {
        let Some((text, line)) = self.string(table, "max_lifetime")? else {
            return Ok(None);
        };
        let span = seconds(&text).filter(|s| (MIN_LIFETIME_S..=MAX_LIFETIME_S).contains(s));
        let wrong = || Error::Value {
            line,
            key: "max_lifetime".to_owned(),
            got: format!("{text:?}"),
            want: "write a time between \"30s\" and \"10m\"",
        };
        span.map(|s| Some(Duration::from_secs(s))).ok_or_else(wrong)
    }

    fn flag(&self, table: &DeTable<'_>, key: &'static str) -> Result<Option<bool>, Error> {
        let Some(value) = table.get(key) else {
            return Ok(None);
        };
        let DeValue::Boolean(truth) = value.get_ref() else {
            return Err(self.wrong(value, key, "write true or false"));
        };
        Ok(Some(*truth))
    }

    /// A text, with the line it is on.
    fn string(
        &self,
        table: &DeTable<'_>,
        key: &'static str,
    ) -> Result<Option<(String, usize)>, Error> {
        let Some(value) = table.get(key) else {
            return Ok(None);
        };
        let DeValue::String(text) = value.get_ref() else {
            return Err(self.wrong(value, key, "write a text in quotation marks"));
        };
        Ok(Some((text.clone().into_owned(), self.line(value.span()))))
    }

    fn known(&self, table: &DeTable<'_>, keys: &'static [&'static str]) -> Result<(), Error> {
        let unknown = table
            .keys()
            .find(|key| !keys.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown else { return Ok(()) };
        let of_file = FILE_KEYS
            .iter()
            .find(|known| **known == key.get_ref().as_ref());
        if let Some(key_of_file) = of_file {
            return Err(Error::Misplaced {
                line: self.line(key.span()),
                key: key_of_file,
            });
        }
        Err(Error::UnknownKey {
            line: self.line(key.span()),
            key: key.get_ref().clone().into_owned(),
            nearest: spelling::nearest(key.get_ref(), keys.iter().copied()),
        })
    }

    fn wrong(&self, value: &Spanned<DeValue<'_>>, key: &str, want: &'static str) -> Error {
        let got = self.text.get(value.span()).unwrap_or_default();
        let mut got = got.lines().next().unwrap_or_default().to_owned();
        if let Some((at, _)) = got.char_indices().nth(80) {
            got.truncate(at);
            got.push('…');
        }
        Error::Value {
            line: self.line(value.span()),
            key: key.to_owned(),
            got,
            want,
        }
    }

    fn line(&self, span: Range<usize>) -> usize {
        self.lines.number(span.start)
    }
}

/// Where the lines of the text end: every rule and claim asks for its own, and a file has thousands.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line a place in the text is on, counted from 1.
    fn number(&self, at: usize) -> usize {
        1 + self.0.partition_point(|end| *end < at)
    }
}

/// `90s` or `5m`.
fn seconds(text: &str) -> Option<u64> {
    let unit = text.strip_suffix('m').map(|digits| (digits, 60));
    let (digits, unit) = unit.or_else(|| text.strip_suffix('s').map(|digits| (digits, 1)))?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits
        .parse::<u64>()
        .ok()
        .filter(|_| plain)?
        .checked_mul(unit)
}
