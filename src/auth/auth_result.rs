//! The words of RFC 8601 for what a check came to.

use std::fmt;

/// A result of RFC 8601 section 2.7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are RFC 8601's")]
pub enum AuthResult {
    Fail,
    Neutral,
    #[default]
    None,
    Pass,
    PermError,
    Policy,
    SoftFail,
    TempError,
}

impl AuthResult {
    /// The RFC's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::Pass => "pass",
            Self::PermError => "permerror",
            Self::Policy => "policy",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
        }
    }
}

impl fmt::Display for AuthResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The result for one DKIM signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimOutcome {
    /// d=
    pub domain: String,
    /// Its result.
    pub result: AuthResult,
}
