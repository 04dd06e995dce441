//! Where an application is: its URL, and the Unix socket where the URL names one.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::Url;

/// A URL that events can be sent to.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    url: Url,
    socket: Option<PathBuf>,
}

/// Where to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'e> {
    Tcp { host: &'e str, port: u16 },
    Unix(&'e Path),
}

impl Endpoint {
    /// Reads `https://…`, `http://…`, and for a Unix socket `http+unix:///run/app.sock`,
    /// `http+unix:///run/app.sock:/path` (nginx's form) or `http+unix://%2Frun%2Fapp.sock/path`.
    /// The error says what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (url, socket) = match text.strip_prefix("http+unix://") {
            Some(rest) => {
                let (socket, path) = split_socket(rest)?;
                (format!("http://localhost{path}"), Some(socket))
            }
            None => (text.to_owned(), None),
        };
        let url = Url::parse(&url).map_err(|error| format!("\"{text}\" is not a valid URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the URL of an application begins with https://, http:// or http+unix://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a password does not belong into the URL: requests are signed with secret_file".to_owned());
        }
        if url.fragment().is_some() {
            return Err("the URL of an application has no part behind a #".to_owned());
        }
        Ok(Self { url, socket })
    }

    /// The URL to ask; for a Unix socket its host is `localhost`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where to connect.
    pub fn place(&self) -> Place<'_> {
        match &self.socket {
            Some(socket) => Place::Unix(socket),
            None => Place::Tcp {
                // An IPv6 address stands in brackets in a URL alone.
                host: self.url.host_str().unwrap_or_default().trim_matches(['[', ']']),
                port: self.url.port_or_known_default().unwrap_or_default(),
            },
        }
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The URL with more path segments behind the path that it has (a relative root is kept). `None` for a URL with a
    /// query, behind which nothing can stand.
    pub fn join(&self, segments: &[&str]) -> Option<Url> {
        let mut url = self.url.clone();
        if url.query().is_some() {
            return None;
        }
        url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
        Some(url)
    }
}

/// The place for log lines: never the path, which may hold a token.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "unix:{}", socket.display()),
            None => write!(f, "{}", self.url.origin().ascii_serialization()),
        }
    }
}

fn split_socket(rest: &str) -> Result<(PathBuf, String), String> {
    let (socket, path) = if rest.starts_with('/') {
        match rest.find(":/") {
            Some(colon) => (rest[..colon].to_owned(), rest[colon + 1..].to_owned()),
            None => (rest.to_owned(), String::new()),
        }
    } else {
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let socket = percent_decode_str(host).decode_utf8().map_err(|error| error.to_string())?;
        (socket.into_owned(), path.to_owned())
    };
    if !socket.starts_with('/') || socket.len() < 2 {
        return Err("a Unix socket is written http+unix:///run/app.sock, with an absolute path".to_owned());
    }
    Ok((PathBuf::from(socket), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_the_socket_and_the_path() {
        let unix = |path: &'static str| Place::Unix(Path::new(path));
        let tcp = |host: &'static str, port: u16| Place::Tcp { host, port };
        let rows: &[(&str, &str, Place<'_>, &str)] = &[
            ("http+unix:///run/gitlab.sock", "http://localhost/", unix("/run/gitlab.sock"), "unix:/run/gitlab.sock"),
            ("http+unix:///run/a.sock:/hook?x=1", "http://localhost/hook?x=1", unix("/run/a.sock"), "unix:/run/a.sock"),
            ("http+unix://%2Frun%2Fa.sock/hook", "http://localhost/hook", unix("/run/a.sock"), "unix:/run/a.sock"),
            (
                "https://a.example.com/hook",
                "https://a.example.com/hook",
                tcp("a.example.com", 443),
                "https://a.example.com",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/", tcp("127.0.0.1", 8080), "http://127.0.0.1:8080"),
            ("http://[::1]/", "http://[::1]/", tcp("::1", 80), "http://[::1]"),
        ];
        for (text, url, place, shown) in rows {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!(endpoint.url().as_str(), *url, "{text}");
            assert_eq!(endpoint.place(), *place, "{text}");
            assert_eq!(endpoint.to_string(), *shown, "{text}");
        }
    }

    #[test]
    fn a_relative_root_is_kept() {
        let rows: &[(&str, Option<&str>)] = &[
            ("https://h", Some("https://h/api/v4/a%20b")),
            ("https://h/", Some("https://h/api/v4/a%20b")),
            ("https://h/gitlab", Some("https://h/gitlab/api/v4/a%20b")),
            ("https://h/gitlab/", Some("https://h/gitlab/api/v4/a%20b")),
            ("http+unix:///run/g.sock:/gitlab", Some("http://localhost/gitlab/api/v4/a%20b")),
            ("https://h/?x", None),
        ];
        for (text, joined) in rows {
            let endpoint = Endpoint::parse(text).expect(text);
            let url = endpoint.join(&["api", "v4", "a b"]);
            assert_eq!(url.as_ref().map(Url::as_str), *joined, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_an_application_is_refused() {
        for text in [
            "",
            "/run/gitlab.sock",
            "unix:/run/gitlab.sock",
            "ftp://h/",
            "https://",
            "https://user:password@h/",
            "https://h/#x",
            "http+unix://",
            "http+unix:///",
            "http+unix://run/gitlab.sock",
        ] {
            Endpoint::parse(text).expect_err(text);
        }
    }
}
