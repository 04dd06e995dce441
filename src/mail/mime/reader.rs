//! Finding the parts: one pass over the lines that could be a delimiter (RFC 2046 section 5.1).
//!
//! A delimiter counts only as a line of its own; of several open boundaries the longest that matches counts, and one of an
//! outer multipart ends all that are open inside it. A multipart without any delimiter is read as text, so that nothing of it
//! is lost.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use super::super::content_type::{ContentDisposition, ContentType};
use super::super::header::{Field, FieldSpan, Header, is_parameter, split_name};
use super::super::transfer::TransferEncoding;
use super::part::Part;

/// Parts of one message that are read.
const MOST_PARTS: usize = 1_000;

/// Multiparts in one another that are taken apart.
const DEEPEST: usize = 50;

/// How many times its own size all encoded multiparts of a message may come to: they can be nested.
const DECODED_TIMES: usize = 2;

/// The fields that say what a part is. Of doubled ones the first counts.
const CONTENT_TYPE: &str = "Content-Type";
const DISPOSITION: &str = "Content-Disposition";
const ENCODING: &str = "Content-Transfer-Encoding";
const ID: &str = "Content-ID";

/// What was found in a message.
#[derive(Debug)]
pub(super) struct Parts {
    /// What the parts stand in: the message, then what encoded multiparts hold.
    pub sources: Vec<Bytes>,
    /// The message first, then its parts in order.
    pub parts: Vec<Part>,
    /// Whether there are more parts, or deeper ones.
    pub is_truncated: bool,
}

/// Takes a message apart; any bytes will do.
pub(super) fn read(whole: &Bytes, header: &Header) -> Parts {
    let found = Parts { sources: vec![whole.clone()], parts: Vec::new(), is_truncated: false };
    let mut reader = Reader { found, decoded_left: whole.len().saturating_mul(DECODED_TIMES) };
    if !whole.is_empty() {
        let fields = Fields::of(whole, &header.fields);
        Scan::new(whole, 0).entity(&mut reader, fields, header.body_start, "text/plain", 0);
    }
    reader.found
}

struct Reader {
    found: Parts,
    /// Octets that encoded multiparts may still come to.
    decoded_left: usize,
}

impl Reader {
    /// Adds a part whose body is not known yet; without a type it has the default of its place.
    fn add(&mut self, fields: Fields, source: usize, default: &str) -> usize {
        let Fields { content_type, disposition, encoding, content_id } = fields;
        let default = || ContentType { kind: default.to_owned(), parameters: Vec::new() };
        self.found.parts.push(Part {
            content_type: content_type.unwrap_or_else(default),
            disposition,
            encoding,
            content_id,
            source,
            body: 0..0,
            children: Vec::new(),
        });
        self.found.parts.len() - 1
    }
}

impl Part {
    /// Without a delimiter there are no parts, whatever the type says: what there is can only be read as text.
    fn end(&mut self, body: Range<usize>, level: usize) {
        self.body = body;
        if self.children.is_empty() && self.content_type.main_type() == "multipart" && level < DEEPEST {
            self.content_type.kind = "text/plain".to_owned();
        }
    }
}

/// What a part's header says.
struct Fields {
    content_type: Option<ContentType>,
    disposition: ContentDisposition,
    encoding: TransferEncoding,
    content_id: Option<String>,
}

impl Fields {
    fn of(bytes: &[u8], spans: &[FieldSpan]) -> Self {
        let first = |name| spans.iter().map(|&span| Field::new(bytes, span)).find(|field| field.is(name));
        Self {
            content_type: first(CONTENT_TYPE).and_then(|field| field.content_type()),
            disposition: first(DISPOSITION).map(|field| field.content_disposition()).unwrap_or_default(),
            encoding: first(ENCODING).map(|field| field.transfer_encoding()).unwrap_or_default(),
            content_id: first(ID).and_then(|field| field.ids().into_iter().next()),
        }
    }
}

/// A walk over one source with the boundaries that are open.
struct Scan<'s> {
    bytes: &'s [u8],
    source: usize,
    line_end: u8,
    open: HashMap<Vec<u8>, Vec<usize>>,
    depth: usize,
}

/// Where a part ends.
struct Stop {
    /// The end of its body, without the line end that belongs to the delimiter.
    body_end: usize,
    delimiter: Option<Delimiter>,
}

#[derive(Clone, Copy)]
struct Delimiter {
    /// Which of the open multiparts it is of.
    depth: usize,
    is_last: bool,
    /// Behind its line.
    end: usize,
}

impl<'s> Scan<'s> {
    fn new(bytes: &'s [u8], source: usize) -> Self {
        let line_end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
        Self { bytes, source, line_end, open: HashMap::new(), depth: 0 }
    }

    /// Reads a part whose header has been read, from its body on.
    fn entity(&mut self, reader: &mut Reader, fields: Fields, start: usize, default: &str, level: usize) -> Stop {
        let place = reader.add(fields, self.source, default);
        let content_type = &reader.found.parts[place].content_type;
        let boundary = boundary(content_type);
        let default = if content_type.kind == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        let stop = match boundary {
            Some(_) if level >= DEEPEST => {
                reader.found.is_truncated = true;
                self.next_delimiter(start)
            }
            Some(boundary) => self.multipart(reader, place, &boundary, start, default, level),
            None => self.next_delimiter(start),
        };
        reader.found.parts[place].end(start..stop.body_end.max(start), level);
        stop
    }

    fn multipart(
        &mut self,
        reader: &mut Reader,
        place: usize,
        boundary: &[u8],
        start: usize,
        default: &str,
        level: usize,
    ) -> Stop {
        let depth = self.begin(boundary);
        let mut stop = self.next_delimiter(start);
        if stop.delimiter.is_none_or(|delimiter| delimiter.depth != depth) {
            self.end(boundary);
            self.encoded_multipart(reader, place, boundary, start..stop.body_end, default, level);
            return stop;
        }
        while let Some(delimiter) = stop.delimiter.filter(|delimiter| delimiter.depth == depth) {
            if delimiter.is_last {
                self.end(boundary);
                return self.next_delimiter(delimiter.end);
            }
            if reader.found.parts.len() >= MOST_PARTS {
                reader.found.is_truncated = true;
                break;
            }
            let child = reader.found.parts.len();
            reader.found.parts[place].children.push(child);
            stop = self.part(reader, delimiter.end, default, level + 1);
        }
        self.end(boundary);
        match stop.delimiter {
            // The limit is reached: what follows is passed over.
            Some(delimiter) if delimiter.depth == depth => self.next_delimiter(delimiter.end),
            _ => stop,
        }
    }

    /// A multipart that is encoded as a whole, which RFC 2045 section 6.4 forbids and programs do.
    fn encoded_multipart(
        &self,
        reader: &mut Reader,
        place: usize,
        boundary: &[u8],
        body: Range<usize>,
        default: &str,
        level: usize,
    ) {
        let encoding = reader.found.parts[place].encoding;
        if !matches!(encoding, TransferEncoding::Base64 | TransferEncoding::QuotedPrintable) {
            return;
        }
        let size = if encoding == TransferEncoding::Base64 { body.len() / 4 * 3 } else { body.len() };
        let Some(left) = reader.decoded_left.checked_sub(size) else {
            reader.found.is_truncated = true;
            return;
        };
        reader.decoded_left = left;
        let decoded = Bytes::from(encoding.decode(&self.bytes[body]).into_owned());
        reader.found.sources.push(decoded.clone());
        Scan::new(&decoded, reader.found.sources.len() - 1).multipart_decoded(reader, place, boundary, default, level);
        if reader.found.parts[place].children.is_empty() {
            reader.found.sources.pop();
        }
    }

    fn multipart_decoded(&mut self, reader: &mut Reader, place: usize, boundary: &[u8], default: &str, level: usize) {
        let encoding = std::mem::take(&mut reader.found.parts[place].encoding);
        self.multipart(reader, place, boundary, 0, default, level);
        reader.found.parts[place].encoding = encoding;
    }

    /// Reads a part from its header on.
    fn part(&mut self, reader: &mut Reader, start: usize, default: &str, level: usize) -> Stop {
        let (spans, body_start, delimiter) = self.header(start);
        let fields = Fields::of(self.bytes, &spans);
        if delimiter.is_some() {
            let place = reader.add(fields, self.source, default);
            reader.found.parts[place].end(body_start..body_start, level);
            return Stop { body_end: body_start, delimiter };
        }
        self.entity(reader, fields, body_start, default, level)
    }

    /// The fields of a part's header that say what it is, where its body begins, and the delimiter if it ends the header.
    ///
    /// A line that is not a field ends the header and is the first of the body, unless it continues a parameter list that
    /// was folded without a blank.
    fn header(&self, start: usize) -> (Vec<FieldSpan>, usize, Option<Delimiter>) {
        let mut spans: Vec<FieldSpan> = Vec::new();
        let mut position = start;
        while position < self.bytes.len() {
            let end = self.end_of_line(position);
            let line = &self.bytes[position..end];
            match line {
                [b'\n' | b'\r'] | [b'\r', b'\n'] => return (spans, end, None),
                [b'-', b'-', ..] if let Some(delimiter) = self.delimiter(position, end) => {
                    return (spans, position, Some(delimiter));
                }
                [b' ' | b'\t', ..] if position > start => {
                    if let Some(last) = spans.last_mut().filter(|last| last.end == position) {
                        last.end = end;
                    }
                }
                _ => match split_name(line) {
                    Some((name_end, value_start)) => {
                        let name = &line[..name_end];
                        let is_ours = [CONTENT_TYPE, DISPOSITION, ENCODING, ID]
                            .iter()
                            .any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()));
                        let is_first =
                            !spans.iter().any(|span| self.bytes[span.start..span.name_end].eq_ignore_ascii_case(name));
                        if is_ours && is_first {
                            spans.push(FieldSpan {
                                start: position,
                                name_end: position + name_end,
                                value_start: position + value_start,
                                end,
                            });
                        }
                    }
                    None => match spans.last_mut().filter(|last| last.end == position && is_parameter(line)) {
                        Some(last) => last.end = end,
                        None => return (spans, position, None),
                    },
                },
            }
            position = end;
        }
        (spans, position, None)
    }

    fn begin(&mut self, boundary: &[u8]) -> usize {
        self.depth += 1;
        self.open.entry(boundary.to_vec()).or_default().push(self.depth);
        self.depth
    }

    fn end(&mut self, boundary: &[u8]) {
        self.depth -= 1;
        if let Some(depths) = self.open.get_mut(boundary) {
            depths.pop();
        }
    }

    /// The next delimiter of an open multipart at or behind the beginning of a line.
    fn next_delimiter(&self, start: usize) -> Stop {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let needle = [self.line_end, b'-', b'-'];
        let first = rest.starts_with(b"--").then_some(start);
        let found = memchr::memmem::find_iter(rest, &needle).map(|place| start + place + 1);
        let mut candidates = first.into_iter().chain(found);
        if self.depth == 0 {
            return Stop { body_end: self.bytes.len(), delimiter: None };
        }
        let found = candidates.find_map(|line| Some((line, self.delimiter(line, self.end_of_line(line))?)));
        let Some((line, delimiter)) = found else { return Stop { body_end: self.bytes.len(), delimiter: None } };
        let body = &self.bytes[start..line];
        let without_end = body.strip_suffix(&[self.line_end]).unwrap_or(body);
        let without_end = without_end.strip_suffix(b"\r").unwrap_or(without_end);
        Stop { body_end: start + without_end.len(), delimiter: Some(delimiter) }
    }

    /// The line as a delimiter: `--boundary` or `--boundary--`, with blanks behind.
    fn delimiter(&self, start: usize, end: usize) -> Option<Delimiter> {
        let name = self.bytes.get(start..end)?.trim_ascii_end().strip_prefix(b"--")?;
        let depth = |name: &[u8]| self.open.get(name).and_then(|depths| depths.last().copied());
        let last = || depth(name.strip_suffix(b"--")?.trim_ascii_end()).map(|depth| (depth, true));
        let (depth, is_last) = depth(name).map(|depth| (depth, false)).or_else(last)?;
        Some(Delimiter { depth, is_last, end })
    }

    fn end_of_line(&self, start: usize) -> usize {
        memchr::memchr(self.line_end, &self.bytes[start..]).map_or(self.bytes.len(), |length| start + length + 1)
    }
}

/// The boundary of a multipart. It ends in no blank (RFC 2046 section 5.1.1).
fn boundary(content_type: &ContentType) -> Option<Vec<u8>> {
    let boundary = content_type.parameter("boundary").filter(|_| content_type.main_type() == "multipart")?;
    let boundary = boundary.trim_end();
    (!boundary.is_empty()).then(|| boundary.as_bytes().to_vec())
}
