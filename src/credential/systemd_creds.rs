//! `systemd-creds` through pipes.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use zeroize::Zeroizing;

use super::{Contents, CredentialName};

/// What an encrypted one may have more than its contents: base64 and what is around it.
const ENCRYPTED_LONGEST: u64 = 4 * Contents::LONGEST as u64;

/// Encrypts for this host: with its TPM 2.0, if it has one, and the key of the host.
pub(super) fn encrypt(name: &CredentialName, plain: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let name = format!("--name={}", name.id());
    run(&["encrypt", "--with-key=auto", &name, "-", "-"], plain)
}

/// Decrypts the file at `path`.
pub(super) fn decrypt(name: &CredentialName, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut encrypted = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(ENCRYPTED_LONGEST).read_to_end(&mut encrypted));
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    let name = format!("--name={}", name.id());
    run(&["decrypt", &name, "-", "-"], &encrypted)
}

fn run(arguments: &[&str], input: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut command = Command::new("systemd-creds");
    // Nothing that could make it write more than it must.
    command.args(arguments).env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no systemd-creds here (it comes with systemd 250): write the secret to a file \
                                    of mode 0640 and name it in password_file, secret_file or client_secret_file"
                .to_owned()
        }
        _ => format!("systemd-creds cannot be started: {error}"),
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (output, said) = thread::scope(|scope| {
        scope.spawn(|| {
            if let Some(mut stdin) = stdin {
                // One that ends without reading has an exit status that says why.
                let _ = stdin.write_all(input);
            }
        });
        let said = scope.spawn(|| {
            let mut said = String::new();
            if let Some(stderr) = stderr {
                let _ = stderr.take(4096).read_to_string(&mut said);
            }
            said
        });
        let mut output = Zeroizing::new(Vec::with_capacity(2 * Contents::LONGEST));
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(ENCRYPTED_LONGEST).read_to_end(&mut output));
        (read.map(|_| output), said.join().unwrap_or_default())
    });
    let status = child.wait().map_err(|error| format!("systemd-creds: {error}"))?;
    let output = output.map_err(|error| format!("systemd-creds: {error}"))?;
    match status.success() {
        true => Ok(output),
        // It speaks of names and keys, never of what is encrypted.
        false => Err(format!("systemd-creds: {}", said.trim().lines().last().unwrap_or("it failed without a word"))),
    }
}
