//! What `mailhatch check` and the service ask Redis about itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;

use super::super::shared_store::{Nonce, NoticeLimits, StoreError, StoreFinding, StoreLevel};
use super::connection::{Connected, ask, info_field};
use super::script::{CLAIM, Call, LEASE, NOTICE, Naming, RECORD};
use super::{RedisStore, milliseconds};
use crate::config::SharedServer;
use crate::event_id::EventId;
use crate::ledger::delivery_log::NoticeRequest;

/// How far the clocks may differ. Nothing depends on it, but log lines of two hosts would not fit together.
const CLOCKS: Duration = Duration::from_secs(5);

/// What is written to try it is gone after this long, whatever happens.
const TRIAL: Duration = Duration::from_secs(10);

impl RedisStore {
    /// Whether it answers and evicts nothing.
    pub(super) async fn probe_now(&self) -> Result<(), StoreError> {
        let probe = async {
            let (connected, number, _) = self.exchange.connected().await?;
            let asked = async {
                let answer = ask::<String>(&connected, &redis::cmd("PING")).await;
                answer.map_err(|error| self.exchange.dialer.said(&self.exchange.dialer.explained(&error)))?;
                let memory = self.exchange.dialer.info(&connected, "memory").await?;
                match info_field(&memory, "maxmemory_policy").as_deref() {
                    Some("noeviction") => Ok(()),
                    policy => {
                        Err(self.exchange.dialer.said(&format!("maxmemory-policy {}", policy.unwrap_or("unknown"))))
                    }
                }
            };
            let asked = asked.await;
            if asked.is_err() {
                self.exchange.forget(number).await;
            }
            asked
        };
        timeout(self.config.timeout, probe).await.unwrap_or_else(|_| Err(self.exchange.too_late()))
    }

    /// A line for each thing that matters.
    pub(super) async fn check_now(&self) -> Vec<StoreFinding> {
        // A person waits: whoever is slow is told so, but looked at all the same.
        let patience = self.config.timeout.max(Duration::from_secs(5));
        let started = tokio::time::Instant::now();
        let connected = match timeout(patience, self.exchange.dialer.connect_to_any()).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return vec![failed(error.to_string())],
            Err(_) => return vec![failed(self.exchange.dialer.said("no connection").to_string())],
        };
        let took = started.elapsed();
        let mut findings = Vec::new();
        if took > self.config.timeout {
            let text = format!(
                "connecting took {} ms, and shared.timeout is {}",
                took.as_millis(),
                humantime::format_duration(self.config.timeout)
            );
            findings.push(failed(self.exchange.dialer.said(&text).to_string()));
        }
        let looked = timeout(patience, async {
            findings.extend(self.server(&connected).await?);
            findings.push(self.clock(&connected).await?);
            findings.push(self.trial(&connected).await);
            Ok::<_, StoreError>(())
        });
        match looked.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => findings.push(failed(error.to_string())),
            Err(_) => findings.push(failed(self.exchange.dialer.said("no answer").to_string())),
        }
        findings
    }

    /// What it is, and what it keeps.
    async fn server(&self, connected: &Connected) -> Result<Vec<StoreFinding>, StoreError> {
        let all = format!(
            "{}\n{}\n{}\n{}",
            self.exchange.dialer.info(connected, "server").await?,
            self.exchange.dialer.info(connected, "memory").await?,
            self.exchange.dialer.info(connected, "persistence").await?,
            self.exchange.dialer.info(connected, "replication").await?
        );
        let field = |name: &str| info_field(&all, name).unwrap_or_default();
        let mut findings = Vec::new();
        let version = field("redis_version");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap_or(0);
        findings.push(match major {
            0..6 => failed(format!("{} is version {version}: 6 or later is needed", self.config.url.value)),
            _ => good(format!("{} is version {version}", self.config.url.value)),
        });
        let role = field("role");
        findings.push(match (role.as_str(), &self.config.url.value.server) {
            ("master", SharedServer::Sentinel { master, .. }) => good(format!("it is the master of \"{master}\"")),
            ("master", _) => good("it is a master".to_owned()),
            _ => failed(format!("it is a {role}, which takes no writes: shared.url must lead to the master")),
        });
        let policy = field("maxmemory_policy");
        findings.push(match policy.as_str() {
            "noeviction" => good("it evicts no keys (noeviction)".to_owned()),
            _ => failed(format!(
                "maxmemory-policy is {policy}: what it evicts would be delivered twice; set noeviction, or use another server"
            )),
        });
        findings.push(match field("aof_enabled").as_str() {
            "1" => good("what it is told survives its end (appendonly yes)".to_owned()),
            _ => warning(
                "appendonly is no: what it was told since its last snapshot is lost when it ends; set appendonly yes"
                    .to_owned(),
            ),
        });
        let replicas = (0..field("connected_slaves").parse().unwrap_or(0))
            .filter(|number| field(&format!("slave{number}")).contains("state=online"))
            .count();
        let wanted = self.config.replicas as usize;
        findings.push(match replicas {
            too_few if too_few < wanted => failed(format!(
                "{too_few} replicas are connected, and shared.replicas wants {wanted}: each record would be waited for in vain"
            )),
            replicas => good(format!("{replicas} replicas are connected, {wanted} are waited for")),
        });
        Ok(findings)
    }

    /// Its clock beside ours.
    async fn clock(&self, connected: &Connected) -> Result<StoreFinding, StoreError> {
        let answer = ask::<(u64, u64)>(connected, &redis::cmd("TIME")).await;
        let (seconds, _) =
            answer.map_err(|error| self.exchange.dialer.said(&self.exchange.dialer.explained(&error)))?;
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let apart = ours.abs_diff(Duration::from_secs(seconds)).as_secs();
        Ok(match apart > CLOCKS.as_secs() {
            true => {
                warning(format!("its clock and ours are {apart} s apart: log lines of two hosts do not fit together"))
            }
            false => good("its clock and ours agree".to_owned()),
        })
    }

    /// All that the ledger will ever ask of it, with an event that there is not.
    async fn trial(&self, connected: &Connected) -> StoreFinding {
        let tried = async {
            let nonce = Nonce::new()?;
            let id = EventId::parse(&format!("{:0<32}", nonce.as_str())).ok_or_else(|| StoreError::new("no id"))?;
            let request = NoticeRequest {
                id: id.clone(),
                canonical: format!("check-{}", nonce.as_str()),
                person: format!("check-{}", nonce.as_str()),
                domain: format!("check-{}", nonce.as_str()),
            };
            let limits = NoticeLimits { per_domain_per_hour: 1, total_per_hour: u32::MAX };
            let (delivery, notice) = (connected.keys.delivery(&id), connected.keys.notice(&request));
            let claim = self.claim_text(&nonce);
            let lease = milliseconds(TRIAL);
            let reservation = [request.id.to_string(), self.reservation_text(&nonce)];
            let reserve = [
                vec!["reserve".to_owned()],
                reservation.to_vec(),
                vec![lease.clone(), limits.per_domain_per_hour.to_string(), limits.total_per_hour.to_string()],
            ];
            let cancel = [vec!["cancel".to_owned()], reservation.to_vec()];
            let keep = TRIAL.as_secs().to_string();
            let calls = [
                Call { script: &CLAIM, keys: vec![delivery.clone()], arguments: vec![claim.clone(), lease.clone()] },
                Call { script: &LEASE, keys: vec![delivery.clone()], arguments: vec![claim.clone(), lease] },
                Call { script: &LEASE, keys: vec![delivery.clone()], arguments: vec![claim, "0".to_owned()] },
                Call {
                    script: &RECORD,
                    keys: vec![delivery.clone()],
                    arguments: vec![self.hostname.clone(), "0".to_owned(), keep],
                },
                Call { script: &NOTICE, keys: notice.clone(), arguments: reserve.concat() },
                Call { script: &NOTICE, keys: notice.clone(), arguments: cancel.concat() },
            ];
            for call in &calls {
                for naming in [Naming::Text, Naming::Hash] {
                    ask::<redis::Value>(connected, &call.command(naming)).await.map_err(|error| {
                        StoreError::new(format!("a key cannot be written: {}", self.exchange.dialer.explained(&error)))
                    })?;
                }
            }
            let mut clean = redis::cmd("DEL");
            clean.arg(&delivery).arg(&notice[2]);
            let mut wait = redis::cmd("WAIT");
            wait.arg(0).arg(1);
            for command in [clean, wait] {
                ask::<redis::Value>(connected, &command).await.map_err(|error| {
                    StoreError::new(format!("a key cannot be deleted: {}", self.exchange.dialer.explained(&error)))
                })?;
            }
            Ok::<_, StoreError>(())
        };
        match tried.await {
            Ok(()) => good("a claim, a record and a reservation were written and deleted".to_owned()),
            Err(error) => failed(error.to_string()),
        }
    }
}

fn good(text: String) -> StoreFinding {
    StoreFinding { level: StoreLevel::Good, text }
}

fn warning(text: String) -> StoreFinding {
    StoreFinding { level: StoreLevel::Warning, text }
}

fn failed(text: String) -> StoreFinding {
    StoreFinding { level: StoreLevel::Failed, text }
}
