//! Questions to DNS and what comes back, as this module and its cache keep them: bounded and without what nobody here reads.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsResponse, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// Octets of an answer on the wire. What is larger proves nothing: records of senders fit in a tenth of it.
const LARGEST_ANSWER: usize = 16 * 1024;
/// A TTL above this is cut, so that a corrected record is seen the same day.
const LONGEST_KEPT: Duration = Duration::from_secs(3600);

/// A name and a type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: RecordType,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Datum {
    Address(IpAddr),
    /// A host of MX or PTR, in lower case, without the dot at the end.
    Host(Box<str>),
    /// A text record, its strings put together.
    Text(Box<[u8]>),
}

/// What DNS says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// At least one record, those of MX in the order of their preference.
    Records(Arc<[Datum]>),
    /// No such name, or no such record: a void look-up (RFC 7208 section 4.6.4).
    Nothing {
        /// The name exists, with other records.
        has_name: bool,
    },
    /// Nobody answered, or with an error: it may be another answer the next time.
    Fault(Arc<str>),
    /// More than we read or ask; it will be so the next time, too.
    TooMuch(&'static str),
}

impl Question {
    /// `None` for what is not a name that DNS can carry (RFC 1035 section 2.3.4).
    pub(super) fn new(name: &str, kind: RecordType) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let fits = (1..=253).contains(&name.len()) && name.split('.').all(|label| (1..=63).contains(&label.len()));
        // By its labels, because a text would be read with escapes.
        let mut name = fits.then(|| Name::from_labels(name.split('.').map(str::as_bytes)).ok())??;
        name.set_fqdn(true);
        Some(Self { name: name.to_lowercase(), kind })
    }

    /// The question for the names of an address.
    pub(super) fn reverse(address: IpAddr) -> Self {
        Self { name: Name::from(address), kind: RecordType::PTR }
    }
}

impl Answer {
    /// Reads a response, and until when it may be kept; `None` for what must not be kept.
    pub(super) fn read(kind: RecordType, response: Result<DnsResponse, NetError>) -> (Self, Option<Instant>) {
        match response {
            Ok(response) => Self::of_response(kind, &response),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let has_name = none.response_code != ResponseCode::NXDomain;
                (Self::Nothing { has_name }, none.negative_ttl.and_then(kept_until))
            }
            Err(error) => (Self::Fault(error.to_string().into()), None),
        }
    }

    fn of_response(kind: RecordType, response: &DnsResponse) -> (Self, Option<Instant>) {
        let code = response.response_code;
        if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return (Self::Fault(code.to_string().into()), None);
        }
        let answers = response.answers.iter();
        let until = answers.clone().map(|record| record.ttl).min().and_then(kept_until);
        if response.as_buffer().len() > LARGEST_ANSWER {
            return (Self::TooMuch("an answer of DNS is over 16 KiB"), until);
        }
        // A CNAME before the records is followed by the name server, which gives the whole chain.
        let mut records: Vec<_> = answers.filter(|record| record.record_type() == kind).map(|r| &r.data).collect();
        records.sort_by_key(|data| if let RData::MX(mx) = data { mx.preference } else { 0 });
        let data: Vec<Datum> = records.into_iter().filter_map(Datum::of).collect();
        if data.is_empty() {
            return (Self::Nothing { has_name: code == ResponseCode::NoError }, until);
        }
        (Self::Records(data.into()), until)
    }

    /// The records; none for every other answer.
    pub(super) fn records(&self) -> &[Datum] {
        match self {
            Self::Records(records) => records,
            _ => &[],
        }
    }

    /// The texts among the records.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.records().iter().filter_map(|datum| if let Datum::Text(text) = datum { Some(&**text) } else { None })
    }

    /// The addresses among the records.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.records()
            .iter()
            .filter_map(|datum| if let Datum::Address(address) = datum { Some(*address) } else { None })
    }

    /// The hosts among the records.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.records().iter().filter_map(|datum| if let Datum::Host(host) = datum { Some(&**host) } else { None })
    }

    /// What it costs to keep, in octets; with what a record costs besides its content.
    pub(super) fn cost(&self) -> usize {
        const RECORD: usize = 64;
        let content = |datum: &Datum| match datum {
            Datum::Address(_) => 0,
            Datum::Host(host) => host.len(),
            Datum::Text(text) => text.len(),
        };
        self.records().iter().map(|datum| RECORD + content(datum)).sum()
    }
}

impl Datum {
    fn of(data: &RData) -> Option<Self> {
        // By its labels as they are: a text would have escapes. A host whose label has a dot in it is not a host.
        let host = |name: &Name| {
            let labels: Option<Vec<_>> = name.iter().map(|label| std::str::from_utf8(label).ok()).collect();
            let labels =
                labels.filter(|labels| !labels.is_empty() && labels.iter().all(|label| !label.contains('.')))?;
            Some(Self::Host(labels.join(".").to_ascii_lowercase().into()))
        };
        match data {
            RData::A(a) => Some(Self::Address(a.0.into())),
            RData::AAAA(aaaa) => Some(Self::Address(aaaa.0.into())),
            RData::MX(mx) => host(&mx.exchange),
            RData::PTR(ptr) => host(&ptr.0),
            RData::TXT(txt) => Some(Self::Text(txt.txt_data.concat().into())),
            _ => None,
        }
    }
}

fn kept_until(seconds: u32) -> Option<Instant> {
    let ttl = Duration::from_secs(u64::from(seconds)).min(LONGEST_KEPT);
    (!ttl.is_zero()).then(|| Instant::now() + ttl)
}
