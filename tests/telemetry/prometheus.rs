//! The real Prometheus and its promtool.

use std::process::{Command, Output, Stdio};

use super::{Service, packaging};
use crate::support::needs;
use crate::support::process::{Process, run_with_input};
use crate::support::wait::wait_for;

fn promtool(arguments: &[&str], input: &str) -> Output {
    run_with_input(Command::new("promtool").args(arguments), input.as_bytes())
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
    let _prometheus = Process::start(&mut command);
    let expression = r#"mailhatch_messages_total{job="mailhatch",verdict="delivered",mailbox="incoming_email"}"#;
    let value = wait_for("Prometheus to scrape the service", || {
        query(&address, expression).and_then(|answer| answer[0]["value"][1].as_str().map(str::to_owned))
    });
    assert_eq!(value, "2");
    assert_eq!(query(&address, r#"up{job="mailhatch"}"#).unwrap_or_default()[0]["value"][1], "1");
}
