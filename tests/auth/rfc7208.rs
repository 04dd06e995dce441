//! The test suite of RFC 7208 (openspf.org, 203 cases) against our SPF, through a real name server.

use std::net::IpAddr;

use yaml_rust2::{Yaml, YamlLoader};

use super::authenticator;
use crate::support::name_server::{Fault, NameServer, Zone};
use crate::support::needs;
use crate::support::parts::corpus;

#[needs(corpus)]
#[tokio::test]
async fn the_suite_of_rfc_7208_gives_the_expected_results() {
    let path = corpus().join("spf/rfc7208-tests.yml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let scenarios = YamlLoader::load_from_str(&text).unwrap();
    let (mut cases, mut wrong) = (0, Vec::new());
    for scenario in &scenarios {
        let server = NameServer::start(zone(&scenario["zonedata"]));
        let authenticator = authenticator(&server);
        for (name, case) in scenario["tests"].as_hash().unwrap() {
            let name = name.as_str().unwrap();
            let text = |key: &str| case[key].as_str().unwrap_or_default();
            let client: IpAddr = text("host").parse().unwrap();
            let found = authenticator.check_spf(client, text("helo"), text("mailfrom")).await.name();
            let expected: Vec<&str> = match &case["result"] {
                Yaml::Array(several) => several.iter().filter_map(Yaml::as_str).collect(),
                one => one.as_str().into_iter().collect(),
            };
            assert!(!expected.is_empty(), "{name} has no result");
            cases += 1;
            if !expected.contains(&found) {
                wrong.push(format!("{name}: {found}, expected {expected:?}"));
            }
        }
    }
    assert_eq!(cases, 203);
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// SPF entries stand for text records, unless the name has text records of its own; TIMEOUT is an answer that never
/// comes for what the name does not have. SERVFAIL stands for it: the resolver treats both alike, and no test waits.
fn zone(data: &Yaml) -> Zone {
    let mut zone = Zone::new();
    for (name, entries) in data.as_hash().unwrap() {
        let name = name.as_str().unwrap();
        let entries = entries.as_vec().unwrap();
        let has_text = entries.iter().any(|entry| !entry["TXT"].is_badvalue());
        for entry in entries {
            if entry.as_str() == Some("TIMEOUT") {
                zone = zone.fault_elsewhere(name, Fault::ServFail);
                continue;
            }
            let (kind, value) = entry.as_hash().unwrap().iter().next().unwrap();
            zone = match kind.as_str().unwrap() {
                "SPF" if has_text => zone,
                "TXT" if value.as_str() == Some("NONE") => zone,
                "SPF" | "TXT" => text(zone, name, value),
                "A" | "AAAA" => zone.a(name, value.as_str().unwrap()),
                "MX" => {
                    let preference = u16::try_from(value[0].as_i64().unwrap()).unwrap();
                    zone.mx(name, preference, value[1].as_str().unwrap())
                }
                "PTR" => zone.ptr(name, value.as_str().unwrap()),
                "CNAME" => zone.cname(name, value.as_str().unwrap()),
                other => panic!("{other}"),
            };
        }
    }
    zone
}

fn text(zone: Zone, name: &str, value: &Yaml) -> Zone {
    // The suite writes octets as \xNN: one character each.
    let octets = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<u8>>();
    let strings: Vec<Vec<u8>> = match value {
        Yaml::Array(strings) => strings.iter().map(|s| octets(s.as_str().unwrap())).collect(),
        one => vec![octets(one.as_str().unwrap())],
    };
    let strings: Vec<&[u8]> = strings.iter().flat_map(|s| s.chunks(255)).collect();
    if strings.is_empty() { zone } else { zone.txt_strings(name, &strings) }
}
