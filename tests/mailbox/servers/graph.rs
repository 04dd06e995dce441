//! A Microsoft Graph for tests, after its documentation: it keeps state, and it is strict. What a request must not have, or
//! lacks, is a violation, and a violation fails the test.
//!
//! No real one can be had here; docs/set-up-graph.md says so.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use crate::site::Site;
use crate::support::http_server::{HttpServer, Reply, Request};

pub const TENANT: &str = "0f0f-tenant";
pub const CLIENT: &str = "app-id";
pub const SECRET: &str = "client-secret-value";
pub const MAILBOX: &str = "incoming@example.com";

/// Requests of an application for a mailbox (learn.microsoft.com/graph/throttling-limits).
const PER_TEN_MINUTES: usize = 10_000;

/// A message as the mailbox has it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub id: String,
    pub received: String,
    pub is_draft: bool,
    pub is_read: bool,
    pub folder: &'static str,
    pub bytes: Vec<u8>,
}

#[derive(Default)]
pub struct State {
    /// In the order of their coming.
    pub messages: Vec<Kept>,
    /// Removed so that nobody can bring them back.
    pub removed_for_ever: Vec<String>,
    pub violations: Vec<String>,
    /// Answers that are given once, to the first request whose method and address have this in them.
    pub next: VecDeque<(&'static str, Reply)>,
    pub tokens: usize,
    /// The only token that is good now.
    pub good_token: String,
    /// Links from before are not known any more.
    pub forgets_links: bool,
    /// A national cloud.
    pub knows_no_permanent_delete: bool,
    /// Tokens that it gives are good for nothing.
    pub gives_wrong_tokens: bool,
    /// PATCH says yes and does nothing.
    pub ignores_marks: bool,
    /// How long each request takes.
    pub takes: Duration,
    /// When requests of the last ten minutes came.
    times: VecDeque<Instant>,
    /// Requests over the limit of ten minutes.
    pub over_the_limit: usize,
    generation: usize,
}

pub struct Graph {
    pub server: HttpServer,
    pub state: Arc<Mutex<State>>,
    most_at_once: Arc<AtomicUsize>,
}

impl Graph {
    pub fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let (at_once, most_at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (inner, most) = (state.clone(), most_at_once.clone());
        let server = HttpServer::tls(move |request| {
            let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            let (reply, takes) = {
                let mut state = inner.lock().unwrap();
                (answer(&mut state, request), state.takes)
            };
            std::thread::sleep(takes);
            at_once.fetch_sub(1, Ordering::SeqCst);
            reply
        });
        Self { server, state, most_at_once }
    }

    /// The `[[inbox]]` of its mailbox.
    pub fn inbox(&self, more: &str) -> String {
        let url = self.server.url();
        format!(
            "[[inbox]]\nname = \"test\"\nkind = \"graph\"\nuser = \"{MAILBOX}\"\ntenant_id = \"{TENANT}\"\n\
             client_id = \"{CLIENT}\"\nclient_secret_file = \"{{dir}}/client-secret\"\nazure_ad_endpoint = \"{url}\"\n\
             graph_endpoint = \"{url}\"\nca_file = \"{{dir}}/ca.pem\"\npoll_interval = \"1s\"\n{more}\n"
        )
    }

    /// A place with this configuration, and what its `[[inbox]]` needs.
    pub fn site(&self, config: &str) -> Site {
        let site = Site::with(config);
        site.place.write_secret("client-secret", SECRET);
        std::fs::write(site.place.path().join("ca.pem"), self.server.certificate()).unwrap();
        site
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Puts a message into the Inbox.
    pub fn add(&self, bytes: Vec<u8>) -> String {
        let mut state = self.state();
        let id = format!("AAkALg{:08}=", state.messages.len());
        let received = "2026-11-22T10:00:00Z".to_owned();
        let folder = "inbox";
        state.messages.push(Kept { id: id.clone(), received, is_draft: false, is_read: false, folder, bytes });
        id
    }

    /// One answer of another kind to the next request whose method and address have this in them.
    pub fn once(&self, what: &'static str, reply: Reply) {
        self.state().next.push_back((what, reply));
    }

    /// How many requests had this in their method and address.
    pub fn asked(&self, what: &str) -> usize {
        let requests = self.server.requests();
        requests.iter().filter(|request| format!("{} {}", request.method, request.path).contains(what)).count()
    }

    /// Those of a folder.
    pub fn ids(&self, folder: &str) -> Vec<String> {
        self.state().messages.iter().filter(|kept| kept.folder == folder).map(|kept| kept.id.clone()).collect()
    }

    /// The most requests that it had at once, of its one mailbox.
    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// Nothing was asked that must not be, and no limit of the service was exceeded.
    #[track_caller]
    pub fn check(&self) {
        self.check_requests();
        assert_eq!(self.state().over_the_limit, 0, "more than {PER_TEN_MINUTES} requests in ten minutes");
    }

    /// The same where processes that know nothing of each other ask one after the other: one that has just been started does
    /// not know how much of ten minutes' share was used, and is told so with 429.
    #[track_caller]
    pub fn check_requests(&self) {
        assert!(self.state().violations.is_empty(), "{:#?}", self.state().violations);
        let most = self.most_at_once();
        assert!(most <= 2, "{most} requests at once for one mailbox");
    }
}

impl State {
    fn over_the_limit(&mut self) -> Option<Reply> {
        let now = Instant::now();
        while self.times.front().is_some_and(|first| now - *first > Duration::from_secs(600)) {
            self.times.pop_front();
        }
        if self.times.len() < PER_TEN_MINUTES {
            self.times.push_back(now);
            return None;
        }
        self.over_the_limit += 1;
        Some(refused(429, "ApplicationThrottled", "Application is over its limit.").with_header("Retry-After", "2"))
    }
}

pub fn refused(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "error": { "code": code, "message": message } }).to_string())
}

fn answer(state: &mut State, request: &Request) -> Reply {
    let url = Url::parse(&format!("https://localhost{}", request.path)).unwrap();
    let place = format!("{} {}", request.method, request.path);
    let path = url.path().to_owned();
    if path == format!("/{TENANT}/oauth2/v2.0/token") {
        return token(state, request);
    }
    if let Some(reply) = state.over_the_limit() {
        return reply;
    }
    let prefer = request.header("prefer").to_owned();
    if !prefer.contains("IdType=\"ImmutableId\"") {
        state.violations.push(format!("{place}: no Prefer: IdType=\"ImmutableId\""));
    }
    if let Some(at) = state.next.iter().position(|(what, _)| place.contains(what)) {
        return state.next.remove(at).unwrap().1;
    }
    if request.header("authorization") != format!("Bearer {}", state.good_token) {
        return refused(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.");
    }
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let user = format!("/v1.0/users/{MAILBOX}/");
    let Some(rest) = path.strip_prefix(&user) else {
        state.violations.push(format!("{place}: not a place of the mailbox"));
        return refused(404, "ErrorInvalidUser", "The requested user is invalid.");
    };
    let parts: Vec<&str> = rest.split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["mailFolders", "inbox", "messages", "delta"]) => delta(state, &place, &prefer, &query, request),
        ("GET", ["mailFolders", "inbox", "messages"]) => {
            allow(state, &place, &query, &["$filter", "$select", "$top"]);
            let unread = state.messages.iter().filter(|kept| kept.folder == "inbox" && !kept.is_read);
            let value: Vec<Value> = unread.map(|kept| json!({ "id": kept.id })).collect();
            Reply::json(200, &json!({ "value": value }).to_string())
        }
        ("GET", ["mailFolders"]) => {
            allow(state, &place, &query, &["$filter", "$select"]);
            let is_done = query.iter().any(|(_, value)| value == "displayName eq 'Done'");
            let value = if is_done { json!([{ "id": "done-folder" }]) } else { json!([]) };
            Reply::json(200, &json!({ "value": value }).to_string())
        }
        ("GET", ["messages", id, "$value"]) => {
            allow(state, &place, &query, &[]);
            match find(state, id) {
                Some(kept) => Reply::Answer {
                    status: 200,
                    headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
                    body: kept.bytes.clone(),
                },
                None => not_found(),
            }
        }
        ("PATCH", ["messages", id]) => {
            let is_mark =
                serde_json::from_slice::<Value>(&request.body).is_ok_and(|body| body == json!({ "isRead": true }));
            if !is_mark || request.header("content-type") != "application/json" {
                state.violations.push(format!("{place}: not a mark"));
            }
            let ignores = state.ignores_marks;
            match find(state, id) {
                Some(kept) => {
                    kept.is_read |= !ignores;
                    Reply::json(200, &json!({ "id": kept.id, "isRead": kept.is_read }).to_string())
                }
                None => not_found(),
            }
        }
        ("DELETE", ["messages", id]) => match find(state, id) {
            Some(kept) => {
                kept.folder = "deleteditems";
                Reply::new(204, "text/plain", "")
            }
            None => not_found(),
        },
        ("POST", ["messages", _, "permanentDelete"]) if state.knows_no_permanent_delete => {
            refused(404, "ResourceNotFound", "Resource not found for the segment 'permanentDelete'.")
        }
        ("POST", ["messages", id, "permanentDelete"]) => match find(state, id) {
            Some(kept) => {
                kept.folder = "purges";
                let id = kept.id.clone();
                state.removed_for_ever.push(id);
                Reply::new(204, "text/plain", "")
            }
            None => not_found(),
        },
        ("POST", ["messages", id, "move"]) => {
            let target = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
            if target != json!({ "destinationId": "done-folder" }) {
                state.violations.push(format!("{place}: {target}"));
            }
            match find(state, id) {
                Some(kept) => {
                    kept.folder = "done";
                    Reply::json(201, &json!({ "id": kept.id }).to_string())
                }
                None => not_found(),
            }
        }
        _ => {
            state.violations.push(format!("{place}: no such request"));
            refused(400, "BadRequest", "no such request")
        }
    }
}

/// A message where a person or we can still reach it.
fn find<'s>(state: &'s mut State, id: &str) -> Option<&'s mut Kept> {
    state.messages.iter_mut().find(|kept| kept.id == id && kept.folder == "inbox")
}

fn not_found() -> Reply {
    refused(404, "ErrorItemNotFound", "The specified object was not found in the store.")
}

fn allow(state: &mut State, place: &str, query: &[(String, String)], names: &[&str]) {
    for (name, _) in query.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
        state.violations.push(format!("{place}: the query option {name} is not known here"));
    }
}

fn token(state: &mut State, request: &Request) -> Reply {
    let mut fields: Vec<_> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    fields.sort();
    let expected = [("client_id", CLIENT), ("client_secret", SECRET), ("grant_type", "client_credentials")];
    let scope = fields.pop().filter(|(name, value)| name == "scope" && value.ends_with("/.default"));
    let is_good = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected);
    if request.method != "POST" || !is_good || scope.is_none() {
        return Reply::json(
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret."}"#,
        );
    }
    state.tokens += 1;
    // Whose claims can be read: {"roles":["Mail.ReadWrite"]}
    let token = format!("e30.eyJyb2xlcyI6WyJNYWlsLlJlYWRXcml0ZSJdfQ.{}", state.tokens);
    if !state.gives_wrong_tokens {
        state.good_token.clone_from(&token);
    }
    let token = json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": token });
    Reply::json(200, &token.to_string())
}

fn delta(state: &mut State, place: &str, prefer: &str, query: &[(String, String)], request: &Request) -> Reply {
    const PAGE: usize = 50;
    if !prefer.contains("odata.maxpagesize=50") {
        state.violations.push(format!("{place}: no Prefer: odata.maxpagesize"));
    }
    let option = |name: &str| query.iter().find(|(option, _)| option == name).map(|(_, value)| value.as_str());
    let link = option("$skiptoken").or(option("$deltatoken"));
    let from = match link {
        Some(link) => {
            allow(state, place, query, &["$skiptoken", "$deltatoken"]);
            let (generation, from) = link.split_once('-').unwrap_or_default();
            if state.forgets_links {
                state.forgets_links = false;
                state.generation += 1;
                return refused(410, "syncStateNotFound", "The sync state generation is not found.");
            }
            if generation != state.generation.to_string() {
                return refused(410, "syncStateNotFound", "The sync state generation is not found.");
            }
            from.parse().unwrap_or(0)
        }
        None => {
            allow(state, place, query, &["changeType", "$select", "$filter"]);
            let select = option("$select") == Some("id,receivedDateTime,isDraft");
            let filter = option("$filter").is_none_or(|filter| filter.starts_with("receivedDateTime ge "));
            if option("changeType") != Some("created") || !select || !filter {
                state.violations.push(format!("{place}: not the list that is wanted"));
            }
            0_usize
        }
    };
    let to = (from + PAGE).min(state.messages.len());
    let on_page = &state.messages[from.min(to)..to];
    let value: Vec<Value> = on_page
        .iter()
        .filter(|kept| kept.folder == "inbox")
        .map(|kept| json!({ "@odata.type": "#microsoft.graph.message", "id": kept.id, "receivedDateTime": kept.received, "isDraft": kept.is_draft }))
        .collect();
    let host = request.header("host");
    let link = |name: &str, at: usize| {
        format!("https://{host}/v1.0/users/{MAILBOX}/mailFolders/inbox/messages/delta?{name}={}-{at}", state.generation)
    };
    let mut page = json!({ "@odata.context": "$metadata", "value": value });
    if to < state.messages.len() {
        page["@odata.nextLink"] = link("$skiptoken", to).into();
    } else {
        page["@odata.deltaLink"] = link("$deltatoken", to).into();
    }
    Reply::json(200, &page.to_string())
}
