//! Why a preset cannot be used the way it was configured.

use crate::identity::{MappingError, ProviderError, Setting};
use crate::token::{IssuerUrlError, PatternError};

/// What is wrong with an issuer's entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresetError {
    /// Not the issuer this preset is about.
    #[error("preset {preset:?} cannot be used for issuer {got:?}: it is for {want}")]
    OtherIssuer {
        /// The preset.
        preset: &'static str,
        /// The issuer as it was written.
        got: String,
        /// What it has to look like.
        want: &'static str,
    },
    /// A pattern where the preset knows no such family.
    #[error(
        "preset {preset:?} cannot be used for the family {got:?}: {}",
        known(families)
    )]
    OtherFamily {
        /// The preset.
        preset: &'static str,
        /// The pattern as it was written.
        got: String,
        /// The families it is for.
        families: &'static [&'static str],
    },
    /// An issuer that can be none.
    #[error("preset {preset:?}: this issuer cannot be used")]
    Issuer {
        /// The preset.
        preset: &'static str,
        /// Why.
        source: IssuerUrlError,
    },
    /// A pattern that is none.
    #[error("preset {preset:?}: this family of issuers cannot be used")]
    Family {
        /// The preset.
        preset: &'static str,
        /// Why.
        source: PatternError,
    },
    /// A setting that would have no effect.
    #[error("preset {preset:?} has no use for {setting}")]
    Unused {
        /// The preset.
        preset: &'static str,
        /// The setting.
        setting: Setting,
    },
    /// Its settings mean nothing.
    #[error("preset {preset:?} cannot be used with these settings")]
    Mapping {
        /// The preset.
        preset: &'static str,
        /// Why.
        source: MappingError,
    },
    /// A table of ours that is unsound; a test makes each of them.
    #[error("preset {preset:?}: its templates cannot be used")]
    Table {
        /// The preset.
        preset: &'static str,
        /// Why.
        source: ProviderError,
    },
}

fn known(families: &[&str]) -> String {
    match families {
        [] => "name each issuer".to_owned(),
        families => format!("it is for {} and what is narrower", families.join(", ")),
    }
}

/// A word that is no preset's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is none of {}{}", words(), did_you_mean(nearest))]
pub struct UnknownPreset {
    /// The one that looks like it.
    pub nearest: Option<&'static str>,
}

fn did_you_mean(nearest: &Option<&str>) -> String {
    nearest
        .map(|nearest| format!("; did you mean {nearest:?}?"))
        .unwrap_or_default()
}

fn words() -> String {
    super::Preset::ALL.map(super::Preset::as_str).join(", ")
}
