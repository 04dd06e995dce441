//! The same message on two hosts.

use crate::hosts::{application, handed_over, host, lines, send};
use crate::support::needs;
use crate::support::redis::Redis;

#[needs(redis)]
#[test]
fn what_one_host_has_delivered_is_a_duplicate_on_the_other() {
    let (redis, application) = (Redis::start(), application());
    let shared = format!("url = \"{}\"", redis.url());
    let (one, two) = (host("mx1", &application, &shared), host("mx2", &application, &shared));
    assert!(send(&one, 1).starts_with("250 2.0.0 delivered"), "{}", one.log());
    assert!(send(&two, 1).starts_with("250 2.0.0 duplicate"), "{}", two.log());
    assert!(send(&one, 1).starts_with("250 2.0.0 duplicate"), "{}", one.log());
    assert_eq!(handed_over(&application).into_values().collect::<Vec<_>>(), [1]);
    assert_eq!(lines(&one.log(), &["verdict=delivered", "shared=claimed"]).len(), 1, "{}", one.log());
    assert_eq!(lines(&two.log(), &["verdict=duplicate", "detail=\"delivered by mx1 at "]).len(), 1, "{}", two.log());
    assert_eq!(redis.keys("d").len(), 1);
}
