//! What one way of checking found, and two ways together.

use super::auth_result::AuthResult;
use super::dmarc::Judgement;
use super::proof::Evidence;
use crate::trail::Step;

/// What one way of checking found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) evidence: Evidence,
    pub(super) dmarc: Judgement,
    /// What was looked at, in order: for `explain`.
    pub(super) steps: Vec<Step>,
}

impl Findings {
    /// With what another way found as well: what either proves is proven, and what only one speaks of is what it says.
    pub(super) fn and(mut self, other: Self) -> Self {
        let Evidence { spf, dkim, dmarc_pass } = other.evidence;
        if self.evidence.spf.result == AuthResult::None {
            self.evidence.spf = spf;
        }
        self.evidence.dkim.extend(dkim);
        self.evidence.dmarc_pass = self.evidence.dmarc_pass.or(dmarc_pass);
        let is_silent = matches!(self.dmarc.result, AuthResult::None | AuthResult::PermError);
        if is_silent || other.dmarc.result == AuthResult::Pass {
            self.dmarc = other.dmarc;
        }
        self.steps.extend(other.steps);
        self
    }
}
