//! The eleven kinds of issuer, by the words Fulcio's configuration has for them.

/// How an issuer's claims become an identity.
///
/// The four code types (`github-workflow`, `gitlab-pipeline`, `buildkite-job`,
/// `codefresh-workflow`) are Fulcio's older way to say what `ci-provider` says with templates; both
/// are templates here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssuerType {
    /// The address in `email`.
    Email,
    /// A URI in `sub`, on a host that belongs to the issuer.
    Uri,
    /// A name in `sub`, made unique by a domain.
    Username,
    /// A SPIFFE ID in `sub`.
    Spiffe,
    /// A service account of a cluster.
    Kubernetes,
    /// GitHub Actions.
    GithubWorkflow,
    /// GitLab CI, as gitlab.com.
    GitlabPipeline,
    /// Buildkite, the pipeline's name only.
    BuildkiteJob,
    /// Codefresh.
    CodefreshWorkflow,
    /// Chainguard's own identities.
    ChainguardIdentity,
    /// Whatever its templates say.
    CiProvider,
}

impl IssuerType {
    /// Every type, in the order of Fulcio's documentation.
    pub const ALL: [Self; 11] = [
        Self::Email,
        Self::Uri,
        Self::Username,
        Self::Spiffe,
        Self::Kubernetes,
        Self::GithubWorkflow,
        Self::GitlabPipeline,
        Self::BuildkiteJob,
        Self::CodefreshWorkflow,
        Self::ChainguardIdentity,
        Self::CiProvider,
    ];

    /// The word in configuration files and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Username => "username",
            Self::Spiffe => "spiffe",
            Self::Kubernetes => "kubernetes",
            Self::GithubWorkflow => "github-workflow",
            Self::GitlabPipeline => "gitlab-pipeline",
            Self::BuildkiteJob => "buildkite-job",
            Self::CodefreshWorkflow => "codefresh-workflow",
            Self::ChainguardIdentity => "chainguard-identity",
            Self::CiProvider => "ci-provider",
        }
    }

    /// The type of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The claim whose value the proof of possession signs, as `GET /api/v2/configuration` tells it.
    /// Chainguard's tokens sign `email` where they carry one, and clients know that by themselves.
    pub fn challenge_claim(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Uri
            | Self::Username
            | Self::Spiffe
            | Self::Kubernetes
            | Self::GithubWorkflow
            | Self::GitlabPipeline
            | Self::BuildkiteJob
            | Self::CodefreshWorkflow
            | Self::ChainguardIdentity
            | Self::CiProvider => "sub",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_word_and_by_no_other() {
        for kind in IssuerType::ALL {
            assert_eq!(IssuerType::from_word(kind.as_str()), Some(kind));
        }
        for word in ["", "Email", "email ", "github", "ci_provider"] {
            assert_eq!(IssuerType::from_word(word), None, "{word:?}");
        }
    }
}
