//! Values as the configuration writes them: durations, sizes, numbers that must not be zero. For `deserialize_with`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// `"30s"`, `"24h"`, `"7d"`; not zero.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = humantime::parse_duration(&text).map_err(|_| {
        D::Error::custom(format!("\"{text}\" is not a valid duration: write \"30s\", \"24h\" or \"7d\""))
    })?;
    if duration.is_zero() {
        return Err(D::Error::custom("a duration of zero would do nothing"));
    }
    Ok(duration)
}

/// The same for a key that may be absent.
pub(crate) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// `"50MiB"`, in octets; not zero.
pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let size: bytesize::ByteSize = text
        .parse()
        .map_err(|_| D::Error::custom(format!("\"{text}\" is not a valid size: write \"50MiB\" or \"1GiB\"")))?;
    if size.as_u64() == 0 {
        return Err(D::Error::custom("a size of zero would let nothing through"));
    }
    Ok(size.as_u64())
}

/// A number of things of which at least one is needed.
pub(crate) fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(D::Error::custom("with zero of them nothing would be handed over: write at least 1")),
        number => Ok(number),
    }
}
