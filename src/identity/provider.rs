//! How one CI provider's claims become a certificate: data, not code.
//!
//! A provider is a SAN template, a template per extension, default values, and the claims without
//! which a token of its is not what it seems. Adding one is writing such a table; those in
//! [`super::builtin`] go through the same constructor as an operator's own.

use std::borrow::Cow;

use super::Problem;
use super::template::{Absent, Failure, Template, TemplateError};
use super::values::{Values, check_text};
use super::{Extension, Purpose};
use crate::json::Object;

/// Longest text a template may produce, in bytes: what the certificate profile takes in one value.
pub const MAX_RENDERED_BYTES: usize = 1016;

/// A provider as it is written down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Definition<'a> {
    /// Values for claims that a token does not carry.
    pub defaults: &'a [(&'a str, &'a str)],
    /// Claims that have to be there and not be empty.
    pub required: &'a [&'a str],
    /// Claims that have few values, and which.
    pub one_of: &'a [(&'a str, &'a [&'a str])],
    /// Values that stand for nothing, as a runner numbered 0 does.
    pub not: &'a [(&'a str, &'a str)],
    /// Claims that are addresses of the issuer's own, and how one of these begins.
    pub begins: &'a [(&'a str, &'a str)],
    /// Template by last arc of the extension: 2–6 and 9–23.
    pub extensions: &'a [(u8, &'a str)],
    /// Template of the SAN, a URL.
    pub san: &'a str,
}

impl Definition<'_> {
    /// Nothing yet, to be added to in a constant.
    pub const EMPTY: Definition<'static> = Definition {
        defaults: &[],
        required: &[],
        one_of: &[],
        not: &[],
        begins: &[],
        extensions: &[],
        san: "",
    };
}

/// Why a definition is not a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The SAN template is blank.
    #[error("provider has no template for the subject alternative name")]
    NoSan,
    /// The SAN template is not one.
    #[error("template for the subject alternative name cannot be used")]
    San(#[source] TemplateError),
    /// An extension template is not one.
    #[error("template for extension .{arc} cannot be used")]
    Extension {
        /// Its last arc.
        arc: u8,
        /// What is wrong.
        source: TemplateError,
    },
    /// An extension that does not exist, or always comes from the token itself (.1, .8, .24).
    #[error("extension .{arc} has no template: only .2 to .6 and .9 to .23 do")]
    NotTemplated {
        /// Its last arc.
        arc: u8,
    },
    /// Two templates for one extension.
    #[error("extension .{arc} has two templates")]
    Twice {
        /// Its last arc.
        arc: u8,
    },
}

/// A provider, its templates parsed.
#[derive(Clone, Debug)]
pub struct Provider {
    defaults: Vec<(String, String)>,
    required: Vec<String>,
    one_of: Vec<(String, Vec<String>)>,
    not: Vec<(String, String)>,
    begins: Vec<(String, String)>,
    /// In the order of their arcs, which is the order of the certificate.
    extensions: Vec<(u8, Template)>,
    san: Template,
    /// The templates as they were parsed, for whoever asks what made a value.
    texts: Vec<(u8, String)>,
    san_text: String,
}

/// What kept a provider's templates from a result: the claim, and what it was for.
pub(super) struct Refusal {
    pub(super) purpose: Purpose,
    pub(super) failure: Failure,
}

impl Provider {
    /// Parses every template; whatever a token brings later, the templates are sound.
    pub fn new(definition: Definition<'_>) -> Result<Self, ProviderError> {
        Self::filled(definition, &str::to_owned)
    }

    /// The same after `fill` has seen the templates and the values a claim may have: a table can
    /// leave a place for what its issuer's URL says, and no claim can win over that.
    pub(super) fn filled(
        definition: Definition<'_>,
        fill: &dyn Fn(&str) -> String,
    ) -> Result<Self, ProviderError> {
        let san_text = fill(definition.san);
        let san = Template::parse(&san_text).map_err(ProviderError::San)?;
        let mut extensions: Vec<(u8, Template)> = Vec::new();
        let mut texts = Vec::new();
        for (arc, text) in definition.extensions.iter().copied() {
            if !matches!(arc, 2..=6 | 9..=23) {
                return Err(ProviderError::NotTemplated { arc });
            }
            if extensions.iter().any(|(other, _)| *other == arc) {
                return Err(ProviderError::Twice { arc });
            }
            let text = fill(text);
            let template = Template::parse(&text);
            let template = template.map_err(|source| ProviderError::Extension { arc, source })?;
            extensions.extend(template.map(|template| (arc, template)));
            texts.push((arc, text));
        }
        extensions.sort_by_key(|(arc, _)| *arc);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let choice = |(name, words): &(&str, &[&str])| {
            let words = words.iter().map(|word| fill(word)).collect();
            ((*name).to_owned(), words)
        };
        let beginning = |(name, text): &(&str, &str)| ((*name).to_owned(), fill(text));
        Ok(Self {
            defaults: definition.defaults.iter().map(owned).collect(),
            required: definition.required.iter().map(|&n| n.to_owned()).collect(),
            one_of: definition.one_of.iter().map(choice).collect(),
            not: definition.not.iter().map(owned).collect(),
            begins: definition.begins.iter().map(beginning).collect(),
            extensions,
            san: san.ok_or(ProviderError::NoSan)?,
            texts,
            san_text,
        })
    }

    /// The template that makes the SAN.
    pub fn san_template(&self) -> &str {
        &self.san_text
    }

    /// The template that makes this extension, if one does.
    pub fn template(&self, arc: u8) -> Option<&str> {
        let found = self.texts.iter().find(|(other, _)| *other == arc);
        found.map(|(_, text)| text.as_str())
    }

    /// The text that becomes the SAN, and the extensions from templates.
    pub(super) fn render(&self, claims: &Object) -> Result<(String, Vec<Extension>), Refusal> {
        let values = Values {
            claims,
            defaults: &self.defaults,
        };
        self.check_required(&values)?;
        self.check_values(&values)?;
        let san = rendered(&self.san, &values, Absent::IsAnError, Purpose::San)?;
        // Three more come from the token itself.
        let mut extensions = Vec::with_capacity(self.extensions.len() + 3);
        for (arc, template) in &self.extensions {
            let purpose = Purpose::Extension(*arc);
            let value = rendered(template, &values, Absent::IsEmpty, purpose)?;
            if !value.is_empty() {
                let value = value.into_owned();
                extensions.push(Extension { arc: *arc, value });
            }
        }
        Ok((san.into_owned(), extensions))
    }

    fn check_required(&self, values: &Values<'_>) -> Result<(), Refusal> {
        for name in &self.required {
            let failure = match values.get(name) {
                Ok(Some(text)) if !text.is_empty() => continue,
                Ok(_) => Failure::Missing { name: name.clone() },
                Err(problem) => Failure::Invalid {
                    name: name.clone(),
                    problem,
                },
            };
            let purpose = self.first_purpose(name);
            return Err(Refusal { purpose, failure });
        }
        Ok(())
    }

    /// Values that a claim cannot have. Of a claim that is absent the templates judge.
    fn check_values(&self, values: &Values<'_>) -> Result<(), Refusal> {
        let refusal = |name: &str, problem| Refusal {
            purpose: self.first_purpose(name),
            failure: Failure::Invalid {
                name: name.to_owned(),
                problem,
            },
        };
        let get = |name: &str| values.get(name).map_err(|problem| refusal(name, problem));
        for (name, words) in &self.one_of {
            if get(name)?.is_some_and(|text| words.iter().all(|word| *word != text)) {
                return Err(refusal(name, Problem::NotAllowed));
            }
        }
        for (name, nothing) in &self.not {
            if get(name)?.is_some_and(|text| text == **nothing) {
                return Err(refusal(name, Problem::NotAllowed));
            }
        }
        for (name, beginning) in &self.begins {
            if get(name)?.is_some_and(|text| !text.starts_with(beginning.as_str())) {
                return Err(refusal(name, Problem::OtherInstance));
            }
        }
        Ok(())
    }

    /// The first thing in the certificate that `claim` goes into.
    fn first_purpose(&self, claim: &str) -> Purpose {
        let user = self
            .extensions
            .iter()
            .find(|(_, template)| template.names().contains(&claim));
        user.map_or(Purpose::San, |(arc, _)| Purpose::Extension(*arc))
    }

    /// The claim to name when the SAN as a whole cannot be used.
    pub(super) fn san_claim(&self) -> String {
        let names = self.san.names();
        names.last().copied().unwrap_or_default().to_owned()
    }
}

fn rendered<'a>(
    template: &'a Template,
    values: &Values<'a>,
    absent: Absent,
    purpose: Purpose,
) -> Result<Cow<'a, str>, Refusal> {
    let refusal = |failure| Refusal { purpose, failure };
    let text = template.render(values, absent).map_err(refusal)?;
    // Each claim was short; several together can still be too long.
    check_text(&text, MAX_RENDERED_BYTES).map_err(|problem: Problem| {
        let name = template.names().last().copied().unwrap_or_default().into();
        refusal(Failure::Invalid { name, problem })
    })?;
    Ok(text)
}
