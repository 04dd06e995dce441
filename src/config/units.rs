//! Durations and sizes as the configuration writes them.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// `"30s"`, `"24h"`, `"7d"`
#[derive(Clone, Copy, Debug)]
pub(super) struct Period(pub Duration);

/// `"50MiB"`, in octets
#[derive(Clone, Copy, Debug)]
pub(super) struct Size(pub u64);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let period = humantime::parse_duration(&text)
            .map_err(|_| D::Error::custom(format!("\"{text}\" is no duration: write \"30s\", \"24h\" or \"7d\"")))?;
        if period.is_zero() {
            return Err(D::Error::custom("a duration of zero would do nothing"));
        }
        Ok(Self(period))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size: bytesize::ByteSize = text
            .parse()
            .map_err(|_| D::Error::custom(format!("\"{text}\" is no size: write \"50MiB\" or \"1GiB\"")))?;
        if size.as_u64() == 0 {
            return Err(D::Error::custom("a size of zero would let nothing through"));
        }
        Ok(Self(size.as_u64()))
    }
}
