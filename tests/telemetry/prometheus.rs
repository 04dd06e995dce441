//! The real Prometheus and its promtool.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{Service, packaging};
use crate::support::needs;

fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[needs(prometheus)]
#[test]
fn promtool_finds_nothing_to_say_about_a_scrape() {
    let scrape = Service::start().scrape();
    let output = promtool(&["check", "metrics"], &scrape);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "");
    // The test must be able to fail.
    let wrong = scrape.replace("mailhatch_deferred_total", "mailhatch_deferred");
    assert!(!promtool(&["check", "metrics"], &wrong).status.success());
}

#[needs(prometheus)]
#[test]
fn the_alert_rules_pass_their_tests() {
    let rules = packaging("prometheus/mailhatch.rules.test.yml");
    let output = promtool(&["test", "rules", rules.to_str().unwrap()], "");
    assert!(output.status.success() && said(&output).contains("SUCCESS"), "{}", said(&output));
    let text = std::fs::read_to_string(packaging("prometheus/mailhatch.rules.yml")).unwrap();
    let tests = std::fs::read_to_string(rules).unwrap();
    for alert in text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}

/// A Prometheus that ends with the test.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn query(address: &str, expression: &str) -> Option<serde_json::Value> {
    let output = promtool(&["query", "instant", "-o", "json", &format!("http://{address}"), expression], "");
    serde_json::from_slice(&output.stdout).ok()
}

#[needs(prometheus)]
#[test]
fn a_real_prometheus_scrapes_the_service() {
    let service = Service::start();
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("prometheus.yml");
    let rules = packaging("prometheus/mailhatch.rules.yml");
    let text = format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nrule_files: [\"{}\"]\nscrape_configs:\n  - job_name: mailhatch\n    static_configs: [{{targets: [\"{}\"]}}]\n",
        rules.display(),
        service.address,
    );
    std::fs::write(&configuration, text).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _prometheus = Prometheus(command.spawn().unwrap());
    let expression = r#"mailhatch_messages_total{job="mailhatch",verdict="delivered",mailbox="incoming_email"}"#;
    let limit = Instant::now() + Duration::from_secs(60);
    let value = loop {
        let answer = query(&address, expression).unwrap_or_default();
        if let Some(value) = answer[0]["value"][1].as_str() {
            break value.to_owned();
        }
        assert!(Instant::now() < limit, "Prometheus has not scraped the service: {answer}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(value, "2");
    assert_eq!(query(&address, r#"up{job="mailhatch"}"#).unwrap_or_default()[0]["value"][1], "1");
}
