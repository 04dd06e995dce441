//! OAuth 2.0 with a real Dovecot, which looks at each token itself (a JSON Web Token, RFC 7519), and a token endpoint of ours.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;

use crate::servers::{Dovecot, USER, wait_for};
use crate::site::{Site, address, append, message};
use crate::support::config::{BASE, SPOOL};
use crate::support::http_server::{HttpServer, Reply, Request};
use crate::support::needs;

const KEY: &[u8] = b"the key with which Dovecot checks tokens";
const SECRET: &str = "correct-horse-battery";

/// A token that Dovecot takes until it expires, if it was made with its key.
fn token(key: &[u8], lifetime: u64) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = format!(
        r#"{{"sub":"{USER}","email":"{USER}","iat":{now},"nbf":{now},"exp":{},"jti":"{}","roles":["Mail.Read"]}}"#,
        now + lifetime,
        COUNT.fetch_add(1, Ordering::SeqCst)
    );
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT","kid":"default"}"#),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A Dovecot that knows one mechanism for tokens.
fn dovecot(mechanism: &str) -> Dovecot {
    let more = r#"
auth_mechanisms = plain {mechanism}
# No pause of its own after wrong tokens: what is counted is how often we come.
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
passdb {
  driver = oauth2
  mechanisms = {mechanism}
  args = {dir}/oauth2.conf
}
"#;
    Dovecot::start_with_files(&more.replace("{mechanism}", mechanism), |dir| {
        let keys = dir.join("keys/default/HS256");
        fs::create_dir_all(&keys).unwrap();
        fs::write(keys.join("default"), STANDARD.encode(KEY)).unwrap();
        let settings = format!(
            "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={}/keys/\nusername_attribute = email\n",
            dir.display()
        );
        fs::write(dir.join("oauth2.conf"), settings).unwrap();
    })
}

/// The fields of a form.
fn form(request: &Request) -> Vec<(String, String)> {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/token"));
    assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
    let mut fields: Vec<_> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    fields.sort();
    fields
}

fn granted(token: &str, lifetime: u64, more: &str) -> Reply {
    Reply::json(200, &format!(r#"{{"token_type":"Bearer","expires_in":{lifetime},"access_token":"{token}"{more}}}"#))
}

/// A token endpoint for an application.
fn for_application(key: &'static [u8], lifetime: u64) -> HttpServer {
    HttpServer::tcp(move |request| {
        let expected = [
            ("client_id", "app"),
            ("client_secret", SECRET),
            ("grant_type", "client_credentials"),
            ("scope", "imap.all"),
        ];
        let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(form(request), expected);
        granted(&token(key, lifetime), lifetime, "")
    })
}

fn site(server: &Dovecot, tokens: &HttpServer, more: &str) -> Site {
    let inbox = format!(
        "[[inbox]]\nname = \"test\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\nport = {}\nssl = false\nuser = \"{USER}\"\n\
         since = \"all\"\nauth = \"oauth2\"\ntoken_url = \"{}/token\"\nclient_id = \"app\"\n{more}\n",
        server.imap(),
        tokens.url()
    );
    let site = Site::with(&format!("{BASE}{SPOOL}{inbox}"));
    site.place.write_secret("client-secret", SECRET);
    site
}

const FOR_APPLICATION: &str = "client_secret_file = \"{dir}/client-secret\"\nscope = \"imap.all\"";

#[needs(dovecot_imap, root)]
#[test]
fn dovecot_takes_our_tokens_by_both_mechanisms() {
    for mechanism in ["xoauth2", "oauthbearer"] {
        let server = dovecot(mechanism);
        append(&mut server.client(), [message(&address(1), "one")]);
        let tokens = for_application(KEY, 3600);
        let site = site(&server, &tokens, FOR_APPLICATION);
        let done = site.once().expect(0);
        assert_eq!(site.spooled(), ["one"], "{mechanism}: {}", done.err());
        assert_eq!(tokens.requests().len(), 1, "{mechanism}");
        assert!(!done.err().contains(SECRET), "{}", done.err());
    }
}

#[needs(dovecot_imap, root)]
#[test]
fn a_token_that_expires_in_a_session_is_renewed_before_the_next_one() {
    let server = dovecot("xoauth2");
    let tokens = for_application(KEY, 2);
    let site = site(&server, &tokens, FOR_APPLICATION);
    let fetch = site.fetch();
    let mut client = server.client();
    append(&mut client, [message(&address(1), "one")]);
    site.wait_spooled(1);
    let asked = tokens.requests().len();
    // What the session was opened with is worth nothing any more; then the session ends, as Exchange Online ends it.
    let first = SystemTime::now();
    wait_for("the end of the token", || (first.elapsed().unwrap().as_secs() >= 3).then_some(()));
    append(&mut client, [message(&address(2), "two")]);
    site.wait_spooled(2);
    server.kick();
    append(&mut server.client(), [message(&address(3), "three")]);
    site.wait_spooled(3);
    assert!(tokens.requests().len() > asked, "an old token was used again");
    assert!(!server.log().contains("expired"), "{}", server.log());
    fetch.stop();
}

#[needs(dovecot_imap, root)]
#[test]
fn a_wrong_token_is_no_storm_of_logins() {
    let server = dovecot("xoauth2");
    let tokens = for_application(b"another key", 3600);
    let site = site(&server, &tokens, FOR_APPLICATION);
    let done = site.once().expect(1);
    let text = done.err();
    assert!(text.contains("cause=oauth") && text.contains("refuses the token"), "{text}");
    assert!(text.contains("IMAP.AccessAsApp") && text.contains("it has: Mail.Read"), "{text}");
    let logins = || server.log().matches("auth failed").count();
    wait_for("the login in Dovecot's log", || (logins() > 0).then_some(()));
    assert!(logins() <= 2, "{}", server.log());
    // The service waits minutes after each: in the time of the first wait there is no second login.
    let before = logins();
    let fetch = site.fetch();
    fetch.wait_log("refuses the token");
    assert_eq!(logins().min(before + 1), logins(), "{}", server.log());
    assert!(fetch.log().contains("next_try=300.0s"), "{}", fetch.log());
    fetch.stop();
}

#[needs(dovecot_imap, root, crash_points)]
#[test]
fn ten_wrong_tokens_in_a_row_are_ten_logins_in_six_hours() {
    let server = dovecot("xoauth2");
    append(&mut server.client(), [message(&address(1), "one")]);
    let is_good = Arc::new(AtomicBool::new(false));
    let tokens = {
        let is_good = is_good.clone();
        HttpServer::tcp(move |_| {
            let key: &[u8] = if is_good.load(Ordering::SeqCst) { KEY } else { b"another key" };
            granted(&token(key, 3600), 3600, "")
        })
    };
    let site = site(&server, &tokens, FOR_APPLICATION);
    let fetch = site.fetch_with(&[("MAILHATCH_SECOND", "1")]);
    fetch.wait_told("auth-failed", 10);
    let logins = || server.log().matches("auth failed").count();
    wait_for("ten logins in Dovecot's log", || (logins() >= 10).then_some(()));
    assert_eq!((logins(), tokens.requests().len()), (10, 10), "{}", server.log());
    let (first, hourly) = (["0.3s", "0.6s", "1.2s", "2.4s"], ["3.6s"; 6]);
    assert_eq!(
        fetch.waits("auth-failed"),
        [&first[..], &hourly[..]].concat(),
        "in thousandths: 75 minutes, then hours"
    );
    is_good.store(true, Ordering::SeqCst);
    site.wait_spooled(1);
    fetch.stop();
}

#[needs(dovecot_imap, root)]
#[test]
fn a_refresh_token_that_is_replaced_goes_on_with_the_new_one() {
    let server = dovecot("oauthbearer");
    append(&mut server.client(), [message(&address(1), "one")]);
    let wanted = Arc::new(Mutex::new("first".to_owned()));
    let tokens = {
        let wanted = wanted.clone();
        HttpServer::tcp(move |request| {
            let fields = form(request);
            let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
            assert_eq!(field("grant_type").as_deref(), Some("refresh_token"));
            assert_eq!(field("client_secret"), None, "a public client");
            let mut wanted = wanted.lock().unwrap();
            if field("refresh_token").as_deref() != Some(wanted.as_str()) {
                return Reply::json(400, r#"{"error":"invalid_grant","error_description":"used"}"#);
            }
            *wanted = format!("{wanted}+");
            granted(&token(KEY, 1), 1, &format!(r#","refresh_token":"{wanted}""#))
        })
    };
    let site = site(&server, &tokens, "flow = \"refresh-token\"\nrefresh_token_file = \"{dir}/refresh\"");
    site.place.write_secret("refresh", "first");
    let fetch = site.fetch();
    site.wait_spooled(1);
    let first = SystemTime::now();
    wait_for("the end of the token", || (first.elapsed().unwrap().as_secs() >= 2).then_some(()));
    server.kick();
    append(&mut server.client(), [message(&address(2), "two")]);
    site.wait_spooled(2);
    assert!(wanted.lock().unwrap().len() > "first+".len());
    fetch.stop();
    // A new process has the one of the configuration alone, which was used.
    let text = site.once().expect(1).err();
    assert!(text.contains("log in once more and store the new one"), "{text}");
}

#[test]
fn a_token_endpoint_that_gives_no_token_is_told_of_with_what_to_do() {
    let server = crate::servers::free_ports::<1>();
    let rows: &[(&str, Reply, &str, &str)] = &[
        (
            "wrong secret",
            Reply::json(401, r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid."}"#),
            "cause=oauth",
            "the secret's value, not its id",
        ),
        ("no token", Reply::json(200, "{}"), "cause=oauth", "without a bearer token"),
        (
            "a token with a line end",
            Reply::json(200, r#"{"token_type":"Bearer","access_token":"a\r\nb"}"#),
            "cause=oauth",
            "without a bearer token",
        ),
        ("a redirect", Reply::new(302, "text/html", "").with_header("Location", "/x"), "cause=oauth", "answered 302"),
        ("overloaded", Reply::json(503, "").with_header("Retry-After", "7"), "cause=throttled", "answered 503"),
    ];
    for (name, reply, cause, words) in rows {
        let reply = reply.clone();
        let tokens = HttpServer::tcp(move |_| reply.clone());
        let inbox = format!(
            "[[inbox]]\nname = \"test\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\nport = {}\nssl = false\nuser = \"{USER}\"\n\
             auth = \"oauth2\"\ntoken_url = \"{}/token\"\nclient_id = \"app\"\nclient_secret_file = \"{{dir}}/secret\"\n",
            server[0],
            tokens.url()
        );
        let site = Site::with(&format!("{BASE}{SPOOL}{inbox}"));
        site.place.write_secret("secret", SECRET);
        let text = site.once().expect(1).err();
        assert!(text.contains(cause) && text.contains(words), "{name}: {text}");
        assert!(!text.contains(SECRET), "{name}: {text}");
        assert_eq!(tokens.requests().len(), 1, "{name}");
    }
}
