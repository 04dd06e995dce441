//! A proven address: another type than an address that is not.

use crate::mail::Address;

/// An address that SPF or DKIM proves. Only this room can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderProof {
    address: Address,
    by: String,
}

impl SenderProof {
    /// Only `auth` calls this, from the rule that proved the address.
    #[allow(dead_code, reason = "filled by the SPF and DKIM rooms")]
    pub(super) fn new(address: Address, by: impl Into<String>) -> Self {
        Self { address, by: by.into() }
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
