//! An application that answers at once: a thread a connection, which reads a request to its end and says 200.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// A running application; it ends with the program.
pub struct Application {
    path: PathBuf,
    requests: Arc<Mutex<Vec<Instant>>>,
}

impl Application {
    /// Listens on a Unix socket.
    pub fn start(path: &Path) -> Self {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        let requests: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(stream, &seen));
            }
        });
        crate::process::run("chmod", &["666", path.to_str().unwrap()]);
        Self { path: path.to_owned(), requests }
    }

    pub fn url(&self) -> String {
        format!("http+unix://{}:/hook", self.path.display())
    }

    /// The root for the kind `gitlab`.
    pub fn root(&self) -> String {
        format!("http+unix://{}", self.path.display())
    }

    /// When the requests so far came in; forgets them.
    pub fn requests(&self) -> Vec<Instant> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn serve(stream: UnixStream, seen: &Mutex<Vec<Instant>>) -> Option<()> {
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let (mut line, mut body) = (String::new(), vec![0; 64 * 1024]);
    loop {
        let (mut length, mut is_first) = (0_u64, true);
        loop {
            line.clear();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if std::mem::take(&mut is_first) {
                seen.lock().unwrap().push(Instant::now());
            }
            if line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        while length > 0 {
            let wanted = length.min(body.len() as u64) as usize;
            let read = stream.read(&mut body[..wanted]).ok()?;
            if read == 0 {
                return None;
            }
            length -= read as u64;
        }
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{\"success\":true}";
        stream.get_mut().write_all(answer).ok()?;
    }
}
