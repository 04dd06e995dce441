//! A whole site in a directory: configuration, secret, GitLab, name server, the service, and the configuration of a
//! Postfix that hands over to it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::support::http_server::{HttpServer, Reply};
use crate::support::name_server::{NameServer, Zone};

/// The site; the service ends with it.
pub struct Site {
    directory: tempfile::TempDir,
    pub gitlab: HttpServer,
    pub dns: NameServer,
    /// Seconds that GitLab's clock is ahead of ours.
    pub gitlab_clock: Arc<AtomicI64>,
    service: Child,
}

impl Site {
    /// A site where all is well, and the service runs.
    pub fn healthy() -> Self {
        let directory = tempfile::Builder::new().prefix("mh").tempdir_in("/tmp").unwrap();
        let gitlab_clock = Arc::new(AtomicI64::new(0));
        let clock = gitlab_clock.clone();
        let gitlab = HttpServer::tcp(move |_| {
            let now = OffsetDateTime::now_utc() + time::Duration::seconds(clock.load(Ordering::Relaxed));
            Reply::json(200, r#"{"success":true}"#).with_header("Date", &now.format(&Rfc2822).unwrap())
        });
        let dns = NameServer::start(Zone::new());
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let path = directory.path();
        fs::create_dir_all(path.join("state")).unwrap();
        fs::create_dir_all(path.join("postfix")).unwrap();
        let secret = path.join("gitlab.secret");
        fs::write(&secret, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let base = path.display();
        let config = format!(
            r#"hostname = "mx.example.com"
state_dir = "{base}/state"
[listen]
lmtp = ["unix:{base}/lmtp.sock"]
metrics = "{metrics}"
[[mailbox]]
name = "incoming_email"
address = "incoming+%{{key}}@mail.example.com"
app = "gitlab"
[[app]]
name = "gitlab"
kind = "gitlab"
url = "{url}"
secret_file = "{base}/gitlab.secret"
[auth]
nameservers = ["{dns}"]
[log]
to = "stderr"
"#,
            url = gitlab.url(),
            dns = dns.address(),
        );
        fs::write(path.join("mailhatch.toml"), config).unwrap();
        let transport = format!("mailhatch-lmtp:unix:{base}/lmtp.sock");
        fs::write(
            path.join("postfix/transport"),
            format!("mail.example.com {transport}\n@mail.example.com {transport}\n"),
        )
        .unwrap();
        fs::write(path.join("postfix/main.cf"), MAIN_CF).unwrap();
        let pieces = Path::new(env!("CARGO_MANIFEST_DIR")).join("postfix");
        let [lmtp, pipe] =
            ["master.cf.lmtp", "master.cf.pipe"].map(|name| fs::read_to_string(pieces.join(name)).unwrap());
        fs::write(path.join("postfix/master.cf"), format!("{MASTER_CF}{lmtp}{pipe}")).unwrap();
        let service = Command::new(env!("CARGO_BIN_EXE_mailhatch"))
            .arg("--config")
            .arg(path.join("mailhatch.toml"))
            .arg("serve")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let site = Self { directory, gitlab, dns, gitlab_clock, service };
        let limit = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(site.path("lmtp.sock")).is_err() || TcpStream::connect(metrics).is_err() {
            assert!(Instant::now() < limit, "the service does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
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
        let output = Command::new(env!("CARGO_BIN_EXE_mailhatch"))
            .arg("--config")
            .arg(self.path("mailhatch.toml"))
            .arg("check")
            .arg("--postfix-config")
            .arg(self.path("postfix"))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Ends the service and takes its socket away.
    pub fn stop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
        let _ = fs::remove_file(self.path("lmtp.sock"));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
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
