//! A proven address: another type than an address that is not, and the rule that makes one.

use super::alignment::is_aligned;
use super::{AuthResult, DkimOutcome};
use crate::mail::{Address, Message, Sender, is_same_domain};

/// An address that SPF or DKIM proves. Only this module can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderProof {
    address: Address,
    by: String,
}

impl SenderProof {
    /// Only `auth` calls this, from the rule that proved the address.
    fn new(address: &Address, by: impl Into<String>) -> Self {
        Self { address: address.clone(), by: by.into() }
    }

    /// The address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What proved it, such as `spf=pass` or `dkim=pass d=example.org`.
    pub fn by(&self) -> &str {
        &self.by
    }
}

/// SPF as the proof rule sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpfEvidence {
    pub(super) result: AuthResult,
    /// The MAIL FROM domain that `result` is about; `None` where it is about HELO, which proves nothing.
    pub(super) domain: Option<String>,
    /// Why a pass proves nothing all the same, such as `passes everybody`.
    pub(super) but: Option<&'static str>,
}

impl SpfEvidence {
    pub(super) fn none() -> Self {
        Self { result: AuthResult::None, domain: None, but: None }
    }

    /// The domain that SPF proves.
    fn proven_domain(&self) -> Option<&str> {
        let proves = self.result == AuthResult::Pass && self.but.is_none();
        self.domain.as_deref().filter(|_| proves)
    }

    fn text(&self) -> String {
        match self.but {
            Some(but) => format!("spf={} ({but})", self.result),
            None => format!("spf={}", self.result),
        }
    }
}

/// All that can prove an address.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) spf: SpfEvidence,
    pub(super) dkim: Vec<DkimOutcome>,
    /// The From domain that our own MTA calls `dmarc=pass`; only where its results are believed.
    pub(super) dmarc_pass: Option<String>,
}

impl Evidence {
    /// SPF of MAIL FROM, or DKIM aligned with its domain. The null sender, and one that is unknown, cannot be proven.
    pub(super) fn envelope_sender(&self, sender: &Sender) -> Option<SenderProof> {
        let address = sender.address()?;
        if self.spf.proven_domain().is_some_and(|domain| is_same_domain(domain, address.domain())) {
            return Some(SenderProof::new(address, "spf=pass"));
        }
        self.aligned_dkim(address).map(|domain| SenderProof::new(address, format!("dkim=pass d={domain}")))
    }

    /// SPF of an aligned MAIL FROM, or aligned DKIM.
    pub(super) fn from(&self, from: Option<&Address>) -> Option<SenderProof> {
        let address = from?;
        if let Some(domain) = self.aligned_dkim(address) {
            return Some(SenderProof::new(address, format!("dkim=pass d={domain}")));
        }
        if let Some(domain) = self.spf.proven_domain().filter(|domain| is_aligned(domain, address.domain())) {
            return Some(SenderProof::new(address, format!("spf=pass for {domain}")));
        }
        let passed = self.dmarc_pass.as_deref().is_some_and(|d| is_same_domain(d, address.domain()));
        passed.then(|| SenderProof::new(address, "dmarc=pass"))
    }

    /// What proved the envelope sender, or why nothing does.
    pub(super) fn summary(&self, proof: Option<&SenderProof>) -> String {
        match proof {
            Some(proof) => proof.by().to_owned(),
            None => format!("{}, no aligned dkim", self.spf.text()),
        }
    }

    fn aligned_dkim(&self, address: &Address) -> Option<&str> {
        let passed = self.dkim.iter().filter(|signature| signature.result == AuthResult::Pass);
        passed.map(|signature| signature.domain.as_str()).find(|domain| is_aligned(domain, address.domain()))
    }
}

/// The one address of the one From field. With several, readers show one and checkers look at another: none counts
/// (RFC 9989 section 5.3.1 exempts such a message too).
pub(super) fn only_from(message: &Message) -> Option<Address> {
    let mut fields = message.all("From");
    let (field, second) = (fields.next()?, fields.next());
    let brackets = field.raw().iter().filter(|&&byte| byte == b'<').count();
    match (field.addresses().as_slice(), second) {
        ([only], None) if brackets <= 1 => only.address.clone(),
        _ => None,
    }
}
