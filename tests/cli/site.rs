//! A whole site in a directory: configuration, secret, GitLab, name server, the service, and the configuration of a
//! Postfix that hands over to it.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::support::config::GITLAB_SECRET;
use crate::support::http_server::{HttpServer, Reply, unused_address};
use crate::support::name_server::{NameServer, Zone};
use crate::support::process::run;
use crate::support::service::{Place, Service};
use crate::support::wait::wait_for;

/// The site; the service ends with it.
pub struct Site {
    service: Service,
    pub gitlab: HttpServer,
    pub dns: NameServer,
    /// Seconds that GitLab's clock is ahead of ours.
    pub gitlab_clock: Arc<AtomicI64>,
}

impl Site {
    /// A site where all is well, and the service runs.
    pub fn healthy() -> Self {
        let gitlab_clock = Arc::new(AtomicI64::new(0));
        let clock = gitlab_clock.clone();
        let gitlab = HttpServer::tcp(move |_| {
            let now = OffsetDateTime::now_utc() + time::Duration::seconds(clock.load(Ordering::Relaxed));
            Reply::json(200, r#"{"success":true}"#).with_header("Date", &now.format(&Rfc2822).unwrap())
        });
        let dns = NameServer::start(Zone::new());
        let metrics = unused_address();
        let place = Place::new(&format!(
            r#"hostname = "mx.example.com"
state_dir = "{{dir}}/state"
[listen]
lmtp = ["unix:{{dir}}/lmtp.sock"]
metrics = "{metrics}"
[[mailbox]]
name = "incoming_email"
address = "incoming+%{{key}}@mail.example.com"
app = "gitlab"
[[app]]
name = "gitlab"
kind = "gitlab"
url = "{url}"
secret_file = "{{dir}}/gitlab.secret"
[auth]
nameservers = ["{dns}"]
[log]
to = "stderr"
"#,
            url = gitlab.url(),
            dns = dns.address(),
        ));
        place.write_secret("gitlab.secret", &format!("{GITLAB_SECRET}\n"));
        fs::create_dir(place.path().join("state")).unwrap();
        let postfix = place.path().join("postfix");
        fs::create_dir(&postfix).unwrap();
        let transport = format!("mailhatch-lmtp:unix:{}", place.socket().display());
        let lines = format!("mail.example.com {transport}\n@mail.example.com {transport}\n");
        fs::write(postfix.join("transport"), lines).unwrap();
        fs::write(postfix.join("main.cf"), MAIN_CF).unwrap();
        let pieces = Path::new(env!("CARGO_MANIFEST_DIR")).join("postfix");
        let [lmtp, pipe] =
            ["master.cf.lmtp", "master.cf.pipe"].map(|name| fs::read_to_string(pieces.join(name)).unwrap());
        fs::write(postfix.join("master.cf"), format!("{MASTER_CF}{lmtp}{pipe}")).unwrap();
        let service = Service::start_in(place, &[]);
        wait_for("the metrics socket", || TcpStream::connect(metrics).ok());
        Self { service, gitlab, dns, gitlab_clock }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.service.place.path().join(name)
    }

    /// Replaces text in a file; the text must be there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{from} is not in {file}");
        fs::write(self.path(file), text.replace(from, to)).unwrap();
    }

    /// Adds text at the end of a file.
    pub fn append(&self, file: &str, more: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        fs::write(self.path(file), text + more).unwrap();
    }

    /// Runs `mailhatch check`; gives its exit status and its output.
    pub fn check(&self) -> (i32, String) {
        let directory = self.path("postfix");
        let mut command = self.service.place.command(&["check", "--postfix-config"]);
        let output = run(command.arg(directory));
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Ends the service and takes its socket away.
    pub fn stop(&mut self) {
        self.service.kill();
        let _ = fs::remove_file(self.path("lmtp.sock"));
    }
}

const MAIN_CF: &str = "\
compatibility_level = 3.6
myhostname = mx.example.com
mydestination = localhost
transport_maps = texthash:$config_directory/transport
virtual_mailbox_domains = texthash:$config_directory/transport
recipient_delimiter = +
message_size_limit = 20971520
smtpd_discard_ehlo_keywords = dsn
mailhatch_destination_recipient_limit = 1
mailhatch_time_limit = 300s
";

const MASTER_CF: &str = "\
smtp       inet  n       -       n       -       -       smtpd
local      unix  -       n       n       -       -       local
virtual    unix  -       n       n       -       -       virtual
smtp       unix  -       -       n       -       -       smtp
";
