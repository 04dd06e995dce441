//! Reads the forms that applications are sent, as strictly as a server would.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::http_server::Request;

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub has_filename: bool,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// The parts of a multipart/form-data request (RFC 7578).
pub fn parts(request: &Request) -> Vec<Part> {
    let boundary = request.header("content-type").strip_prefix("multipart/form-data; boundary=").expect("a form");
    assert!(boundary.len() == 32 && boundary.bytes().all(|b| b.is_ascii_hexdigit()), "{boundary}");
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    // The first delimiter has no line end before it.
    let body = [b"\r\n", request.body.as_slice()].concat();
    let mut pieces = split(&body, &delimiter);
    assert_eq!(pieces.first().map(Vec::as_slice), Some(b"".as_slice()), "nothing before the first part");
    assert_eq!(pieces.pop().as_deref(), Some(b"--\r\n".as_slice()), "nothing behind the last part");
    pieces.drain(1..).map(|piece| part(&piece)).collect()
}

fn part(piece: &[u8]) -> Part {
    let end = piece.windows(4).position(|window| window == b"\r\n\r\n").expect("a header");
    let header = std::str::from_utf8(&piece[..end]).expect("text").trim_start();
    let (mut name, mut has_filename, mut content_type) = (None, false, None);
    for line in header.split("\r\n") {
        let (field, value) = line.split_once(": ").expect("a field");
        match field {
            "Content-Disposition" => {
                let rest = value.strip_prefix("form-data; name=\"").expect("a form field");
                name = rest.split('"').next().map(str::to_owned);
                has_filename = value.contains("filename");
            }
            "Content-Type" => content_type = Some(value.to_owned()),
            other => panic!("{other}"),
        }
    }
    Part { name: name.expect("a name"), has_filename, content_type, body: piece[end + 4..].to_vec() }
}

fn split(body: &[u8], delimiter: &[u8]) -> Vec<Vec<u8>> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    while let Some(at) = body[start..].windows(delimiter.len()).position(|window| window == delimiter) {
        pieces.push(body[start..start + at].to_vec());
        start += at + delimiter.len();
    }
    pieces.push(body[start..].to_vec());
    pieces
}

/// Names and texts of the parts, but for the mail.
pub fn fields<'p>(parts: &'p [Part], mail: &str) -> Vec<(&'p str, &'p str)> {
    let fields = parts.iter().filter(|part| part.name != mail);
    fields.map(|part| (part.name.as_str(), std::str::from_utf8(&part.body).expect("text"))).collect()
}

/// The one field of an urlencoded form, decoded from base64 as strictly as Ruby's `Base64.strict_decode64`; `None` for anything
/// else.
pub fn base64_field(request: &Request, name: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(&request.body).ok()?.strip_prefix(name)?.strip_prefix('=')?;
    let text = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    // A plus sign would be a blank.
    STANDARD.decode(text.as_bytes()).ok().filter(|_| !request.body.contains(&b'+'))
}
