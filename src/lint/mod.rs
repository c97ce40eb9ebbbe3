//! A second reader of the exact bytes that are about to be signed.

/// What the rules found, worst first; never empty in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `c01` … `c20`.
    pub rule: &'static str,
    /// What was found, with the value.
    pub what: String,
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, finding) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{} {}", finding.rule, finding.what)?;
        }
        Ok(())
    }
}
