//! Asking for the fields of a credential: nothing secret is shown, and Ctrl-C leaves the terminal as it was.

use std::io::{self, IsTerminal, Read, Write};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::interrupt::Interrupt;
use crate::credential::{Contents, Field};

/// Asks at the terminal; without one, takes what is on standard input.
pub(super) async fn ask(user: Option<String>) -> Result<Contents, String> {
    let mut contents = if io::stdin().is_terminal() { ask_all(user.is_some()).await? } else { read_all()? };
    if let Some(user) = user {
        contents.set(Field::User, Zeroizing::new(user))?;
    }
    contents.check().map_err(|why| format!("{why}; nothing was changed"))?;
    Ok(contents)
}

async fn ask_all(user_is_known: bool) -> Result<Contents, String> {
    let mut interrupt = Interrupt::new().map_err(|error| format!("signals: {error}"))?;
    let mut contents = Contents::default();
    for field in Field::ALL {
        if field == Field::User && user_is_known {
            continue;
        }
        let hint = if field.is_secret() { "not shown; empty: none" } else { "empty: none" };
        let silence = if field.is_secret() { Some(Silence::new()?) } else { None };
        let _ = write!(io::stderr(), "{} ({hint}): ", field.name());
        let (sender, line) = oneshot::channel();
        // A read from a terminal cannot be broken off; the thread ends with the process.
        std::thread::spawn(move || sender.send(read_line()));
        let line = tokio::select! {
            line = line => line.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into())),
            () = interrupt.any() => Err(io::ErrorKind::Interrupted.into()),
        };
        drop(silence);
        let line = line.map_err(|error| format!("the terminal: {error}; nothing was changed"))?;
        if !line.is_empty() {
            contents.set(field, line)?;
        }
    }
    Ok(contents)
}

/// One line, without its end; empty at the end of input.
fn read_line() -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(4096));
    io::stdin().read_line(&mut line)?;
    let length = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(length);
    Ok(line)
}

/// The TOML of a credential, or one line that is not TOML: the password.
fn read_all() -> Result<Contents, String> {
    let mut text = Zeroizing::new(Vec::with_capacity(Contents::LONGEST + 1));
    let read = io::stdin().take(Contents::LONGEST as u64 + 1).read_to_end(&mut text);
    read.map_err(|error| format!("standard input: {error}"))?;
    Contents::parse(&text).or_else(|why| {
        let one_line = text.strip_suffix(b"\n").unwrap_or(&text);
        let is_toml = toml::de::DeTable::parse(std::str::from_utf8(&text).unwrap_or("=")).is_ok();
        match std::str::from_utf8(one_line) {
            Ok(line) if !is_toml && !line.contains('\n') => {
                let mut contents = Contents::default();
                contents.set(Field::Password, Zeroizing::new(line.to_owned()))?;
                Ok(contents)
            }
            _ => Err(format!("standard input: {why}; nothing was changed")),
        }
    })
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence(Termios);

impl Silence {
    fn new() -> Result<Self, String> {
        let failed = |error: nix::Error| format!("the terminal cannot be told not to show what is typed: {error}");
        let before = tcgetattr(io::stdin()).map_err(failed)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.insert(LocalFlags::ECHONL);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &silent).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}
