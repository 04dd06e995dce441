//! An answer, piece by piece or up to a limit; its connection is kept when it was read to the end.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderMap, RETRY_AFTER};
use tokio::time::timeout;

use super::{Client, Connection, SILENCE};
use crate::intake::mailbox::failure::{Cause, Failure};

/// The longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header.
    pub headers: HeaderMap,
    body: Incoming,
    client: Client,
    connection: Option<Connection>,
}

impl Answer {
    pub(super) fn new(client: Client, connection: Connection, response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let (status, headers) = (parts.status.as_u16(), parts.headers);
        Self { status, headers, body, client, connection: Some(connection) }
    }

    /// The next octets; `None` at the end, which a connection that only ended is not.
    ///
    /// # Errors
    /// The answer is not whole.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let body = &mut self.body;
            let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
            match timeout(SILENCE, frame).await {
                Err(_) => return Err(self.client.silent()),
                Ok(Some(Err(error))) => return Err(self.client.broken(&error)),
                Ok(Some(Ok(frame))) => {
                    if let Ok(octets) = frame.into_data()
                        && !octets.is_empty()
                    {
                        return Ok(Some(octets));
                    }
                }
                Ok(None) => {
                    if let Some(connection) = self.connection.take() {
                        self.client.keep(connection);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// All of it, if it is not longer than `limit` octets.
    ///
    /// # Errors
    /// It is longer, or not whole.
    pub async fn whole(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        while let Some(octets) = self.chunk().await? {
            if whole.len() + octets.len() > limit {
                let what = format!("{}: an answer of more than {limit} octets", self.client.host());
                return Err(Failure::new(Cause::Malformed, what));
            }
            whole.extend_from_slice(&octets);
        }
        Ok(whole)
    }

    /// How long the server asks to wait (RFC 9110 section 10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let at = mail_parser::DateTime::parse_rfc822(text)?.to_timestamp();
                let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(at).ok()?))?;
                at.duration_since(SystemTime::now()).unwrap_or_default()
            }
        };
        Some(wait.min(LONGEST_WAIT))
    }
}
