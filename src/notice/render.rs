//! What a notice says: a multipart/report of RFC 6522 with a text for people, a message/delivery-status (RFC 3464) and the header of
//! the message, never its body.

use std::path::PathBuf;

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as BuilderAddress;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};

use super::policy::MARK;
use super::rejected::Rejected;
use crate::auth::ProvenEnvelopeSender;
use crate::event_id::EventId;
use crate::mail::{Address, Message};

/// Octets of the message's header that go back at most: enough to know the message by, too little to send something with.
const HEADER_BACK: usize = 8 * 1024;
/// Octets of an id that a stranger wrote.
const LONGEST_ID: usize = 250;

/// Who writes a notice.
#[derive(Clone, Debug)]
pub(super) struct Mailer {
    name: Option<String>,
    address: Address,
}

impl Mailer {
    /// Reads `notice.from`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            "notice.from is an address, with or without a name: \"mailhatch <postmaster@mx.example.com>\"".to_owned()
        };
        let (name, address) = match text.split_once('<') {
            Some((name, rest)) => (Some(name.trim().trim_matches('"')), rest.strip_suffix('>').ok_or_else(wrong)?),
            None => (None, text),
        };
        let address = Address::parse(address.trim()).ok_or_else(wrong)?;
        let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(Self { name, address })
    }

    /// What notices come from.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// The administrator's own texts, by rule and language, before ours.
#[derive(Clone, Debug)]
pub(super) struct Templates {
    directory: Option<PathBuf>,
}

/// A subject and a text with `{reason}`, `{recipient}` and `{postmaster}` in it.
struct Template {
    subject: String,
    text: String,
}

/// The rules by which a message is rejected, and so gets a notice.
const RULES: [&str; 4] = ["unknown-address", "too-large", "app-reject", "app-refused"];

const SUBJECT: &str = "Auto: your message was not delivered";

const TEXT: &str = "\
Hello,

your message to

    {recipient}

was not delivered. The reason:

    {reason}

{advice}

If you think that this is a mistake, write to {postmaster}.

This message was written by a program. It is sent only where it is proven that
the message came from your address or your domain. The header of your message
is attached, its text is not.
";

impl Templates {
    /// Where the administrator's texts are: `RULE.txt`, `RULE.LANGUAGE.txt`, `default.txt`, `default.LANGUAGE.txt`.
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { directory }
    }

    /// What is wrong with the files, a sentence each; `None` where no directory is configured.
    pub fn faults(&self) -> Option<Vec<String>> {
        let directory = self.directory.as_ref()?;
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                return Some(vec![format!("{} (notice.templates) cannot be read: {error}", directory.display())]);
            }
        };
        let mut faults = Vec::new();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let mut words = name.split('.');
            let rule = words.next().unwrap_or_default();
            if !name.ends_with(".txt") || !(RULES.contains(&rule) || rule == "default") {
                faults.push(format!(
                    "{name} is never used: a file is named RULE.txt or RULE.LANGUAGE.txt, with one of {}, default",
                    RULES.join(", ")
                ));
                continue;
            }
            match std::fs::read_to_string(&path) {
                Ok(content) if Template::read(&content).is_none() => {
                    faults.push(format!("{name} has no text, so it is passed over"))
                }
                Ok(_) => {}
                Err(error) => faults.push(format!("{name} cannot be read, so it is passed over: {error}")),
            }
        }
        faults.sort();
        Some(faults)
    }

    /// The text for a rule. A file that is empty or no UTF-8 is passed over: a notice in our words is better than none.
    fn find(&self, rule: &str, language: Option<&str>) -> Template {
        let ours = || Template { subject: SUBJECT.to_owned(), text: TEXT.to_owned() };
        let Some(directory) = &self.directory else { return ours() };
        let mut names = [rule, "default"].into_iter().flat_map(|name| {
            let translated = language.map(|language| format!("{name}.{language}.txt"));
            translated.into_iter().chain([format!("{name}.txt")])
        });
        names.find_map(|name| Template::read(&std::fs::read_to_string(directory.join(name)).ok()?)).unwrap_or_else(ours)
    }
}

impl Template {
    /// A file's content: a first line `Subject: …`, if it likes, and the text.
    fn read(content: &str) -> Option<Self> {
        let content = content.strip_prefix('\u{feff}').unwrap_or(content);
        let template = match content.strip_prefix("Subject:").and_then(|rest| rest.split_once('\n')) {
            Some((subject, text)) => Self { subject: subject.trim().to_owned(), text: text.trim_start().to_owned() },
            None => Self { subject: SUBJECT.to_owned(), text: content.to_owned() },
        };
        (!template.text.trim().is_empty()).then_some(template)
    }
}

/// The text with its placeholders filled in, in one go: a value that looks like a placeholder stays what it is.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len() + 256);
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        match values.iter().find(|(name, _)| rest[1..].strip_prefix(name).is_some_and(|after| after.starts_with('}'))) {
            Some((name, value)) => {
                filled.push_str(value);
                rest = &rest[name.len() + 2..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

/// What to do, as a paragraph.
fn advice(rule: &str) -> &'static str {
    match rule {
        "too-large" => "What to do: send it again without large attachments.",
        "app-refused" => {
            "What to do: if you know that you may write there, check which address you write from, or\n\
                          use the web interface instead."
        }
        "app-reject" => {
            "What to do: the reason comes from the application behind this address. If it names\n\
                         something that you can change, change it and write again."
        }
        _ => {
            "What to do: check the address for a typing mistake. If you replied to a message,\n\
             it may be too old, or its address was cut: use the web interface instead."
        }
    }
}

/// The enhanced status code that the report names (RFC 3463).
fn report_status(rule: &str) -> &'static str {
    match rule {
        "too-large" => "5.3.4",
        "unknown-address" => "5.1.1",
        _ => "5.7.1",
    }
}

/// The notice's bytes, with CRLF line ends; `id` is the notice's own.
pub(super) fn render(
    mailer: &Mailer,
    hostname: &str,
    templates: &Templates,
    rejected: Rejected<'_>,
    id: &EventId,
    proof: &ProvenEnvelopeSender,
) -> std::io::Result<Vec<u8>> {
    let Rejected { message, recipient, rejection, .. } = rejected;
    let template = templates.find(rejection.rule, language(rejected).as_deref());
    let values = [
        // Never its original form: ORCPT is any client's own words.
        ("recipient", &*printable(&recipient.address)),
        ("reason", &*printable(&rejection.reason)),
        ("advice", advice(rejection.rule)),
        ("postmaster", mailer.address.as_str()),
    ];
    let text = fill(&template.text, &values);
    let parts = vec![
        MimePart::new(ContentType::new("text/plain").attribute("charset", "utf-8"), BodyPart::Text(text.into())),
        status_part(hostname, rejected),
        header_part(message),
    ];
    let report = ContentType::new("multipart/report")
        .attribute("report-type", "delivery-status")
        .attribute("boundary", format!("=_{id}"));
    let mut builder = MessageBuilder::new()
        .from(BuilderAddress::new_address(mailer.name.as_deref(), mailer.address.as_str()))
        .to(BuilderAddress::new_address(None::<&str>, proof.address().as_str()))
        .subject(template.subject)
        // Derived from the event and the sender: a second try is the same mail.
        .message_id(format!("{id}.notice@{hostname}"))
        .header("Auto-Submitted", Raw::new("auto-replied"))
        .header("X-Auto-Response-Suppress", Raw::new("All"))
        .header(MARK, Raw::new(hostname.to_owned()));
    // mail-builder lets line ends through in ids, and these come from a stranger.
    if let Some(message_id) = message.message_id().filter(|id| is_safe_id(id)) {
        let mut references: Vec<_> =
            message.ids("References").entries.into_iter().filter(|id| is_safe_id(id)).collect();
        references.drain(..references.len().saturating_sub(20));
        references.push(message_id.clone());
        builder = builder.in_reply_to(message_id).references(MessageId::new_list(references.into_iter()));
    }
    builder.body(MimePart::new(report, BodyPart::Multipart(parts))).write_to_vec()
}

fn status_part<'a>(hostname: &str, rejected: Rejected<'_>) -> MimePart<'a> {
    let Rejected { recipient, rejection, .. } = rejected;
    let mut status = format!("Reporting-MTA: dns; {}\r\n\r\n", printable(hostname));
    let address = &recipient.address;
    let kind = if address.is_ascii() { "rfc822" } else { "utf-8" };
    status.push_str(&format!("Final-Recipient: {kind}; {}\r\n", printable(address)));
    status.push_str("Action: failed\r\n");
    status.push_str(&format!("Status: {}\r\n", report_status(rejection.rule)));
    status.push_str(&format!("Diagnostic-Code: x-mailhatch; {}\r\n", rejection.rule));
    // RFC 6533 section 3: an internationalised address needs the global form of the type.
    let content_type = if status.is_ascii() { "message/delivery-status" } else { "message/global-delivery-status" };
    let encoding = if status.is_ascii() { "7bit" } else { "8bit" };
    MimePart::new(ContentType::new(content_type), BodyPart::Text(status.into())).transfer_encoding(encoding)
}

/// RFC 6522 section 4: the header alone, field by field. What stands in the header and is no field may be text of the body
/// whose empty line got lost.
fn header_part<'a>(message: &Message) -> MimePart<'a> {
    let mut header = String::new();
    for field in message.fields() {
        let value =
            String::from_utf8_lossy(field.raw()).replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
        let before = header.len();
        if before + field.name().len() + value.len() > HEADER_BACK {
            continue;
        }
        header.push_str(field.name());
        header.push(':');
        for (number, line) in value.split('\n').enumerate() {
            if number > 0 {
                header.push_str(if line.starts_with([' ', '\t']) { "\r\n" } else { "\r\n " });
            }
            header.push_str(line);
        }
        header.push_str("\r\n");
        // With the line ends that were put in.
        if header.len() > HEADER_BACK {
            header.truncate(before);
        }
    }
    MimePart::new(ContentType::new("text/rfc822-headers"), BodyPart::Text(header.into()))
}

/// The first language the sender's program asks for (RFC 3282).
fn language(rejected: Rejected<'_>) -> Option<String> {
    let field = rejected.message.first("Accept-Language").or_else(|| rejected.message.first("Content-Language"))?;
    let text = field.text();
    let first = text.split([',', ';', '-']).next()?.trim().to_ascii_lowercase();
    // It becomes part of a file name.
    let good = (2..=8).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_lowercase());
    good.then_some(first)
}

fn is_safe_id(id: &str) -> bool {
    id.len() <= LONGEST_ID && id.bytes().all(|b| (b'!'..=b'~').contains(&b) && !matches!(b, b'<' | b'>'))
}

/// Text of a stranger on one line: without control characters, and short enough for a line of mail (RFC 5322 section 2.1.1)
/// with a field's name before it.
fn printable(text: &str) -> String {
    const MOST: usize = 900;
    let mut line = String::new();
    for c in text.chars() {
        if line.len() + c.len_utf8() > MOST {
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}
