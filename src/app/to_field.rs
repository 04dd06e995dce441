//! One `To` field put into a message, for applications that look for their address there.
//!
//! The Ruby mail gem, with which they read, keeps only the last `To` (run, 2.7.1 and 2.8.1). So the field is put last in the header,
//! and it is the only thing that is changed.

use bytes::Bytes;

use crate::mail::Message;

/// The mail gem reads no more header fields than this.
pub(super) const MOST_FIELDS: usize = 1000;

/// The message with a `To` field of these addresses put last; as it came in where there are none.
pub(super) fn with_last_to(message: &Message, addresses: &[String]) -> [Bytes; 3] {
    let whole = message.bytes();
    if addresses.is_empty() {
        return [whole.clone(), Bytes::new(), Bytes::new()];
    }
    let place = Place::last(message);
    let end = place.line_end;
    let start = if place.is_on_new_line { "" } else { end };
    let stop = if place.ends_header { end } else { "" };
    let field = format!("{start}To: {}{end}{stop}", addresses.join(&format!(",{end} ")));
    [whole.slice(..place.offset), field.into(), whole.slice(place.offset..)]
}

/// Whether the `To` that the gem keeps names an address, without regard to case.
pub(super) fn names(message: &Message, address: &str) -> bool {
    let Some(field) = message.fields().take(MOST_FIELDS).rfind(|field| field.is("To")) else { return false };
    let (text, address) = (field.text().to_ascii_lowercase(), address.to_ascii_lowercase());
    let is_part = |c: char| is_atom(c) || c == '.' || c == '"';
    text.match_indices(&address)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + address.len()..].starts_with(is_part))
}

/// RFC 5322 section 3.2.3, and RFC 6532 for what is not ASCII.
pub(super) fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
}

/// Whether it is an address of the plainest form: `dot-atom@domain` (RFC 5322 section 3.4.1). In a local part the gem takes
/// dots anywhere.
pub(super) fn is_plain(address: &str) -> bool {
    let dotted = |text: &str| text.split('.').all(|part| !part.is_empty() && part.chars().all(is_atom));
    let is_local = |text: &str| text.contains(is_atom) && text.chars().all(|c| is_atom(c) || c == '.');
    address.split_once('@').is_some_and(|(local, domain)| is_local(local) && dotted(domain))
}

/// Where a field can be put in.
struct Place {
    offset: usize,
    line_end: &'static str,
    /// False if the header ends without a line end.
    is_on_new_line: bool,
    /// The empty line is missing, although a body follows.
    ends_header: bool,
}

impl Place {
    /// Behind the last field that the mail gem reads.
    fn last(message: &Message) -> Self {
        let header = message.header();
        let newline = if message.bytes().contains(&b'\n') { b'\n' } else { b'\r' };
        let line_end = match newline {
            b'\n' if header.contains(&b'\n') && !header.windows(2).any(|pair| pair == b"\r\n") => "\n",
            b'\r' if header.contains(&b'\r') => "\r",
            _ => "\r\n",
        };
        let (mut offset, mut unfolded, mut ends_header) = (0, 0, !message.body().is_empty());
        for line in header.split_inclusive(|&b| b == newline) {
            // Blank lines before the first field are tolerated: the header's end is the last one.
            let is_end = matches!(line, [b'\r' | b'\n'] | [b'\r', b'\n']) && offset + line.len() == header.len();
            // Lines that are no fields count for the gem, too.
            unfolded += usize::from(!matches!(line, [b' ' | b'\t', ..]));
            if is_end || unfolded == MOST_FIELDS {
                ends_header = false;
                break;
            }
            offset += line.len();
        }
        let is_on_new_line = offset == 0 || header.get(offset - 1) == Some(&newline);
        Self { offset, line_end, is_on_new_line, ends_header }
    }
}
