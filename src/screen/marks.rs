//! Marks that forbid an automatic answer, but do not set a message aside: the notice module asks for them.

use crate::mail::Message;
use crate::mail::lexical::without_comments;

/// Whether the message came through a mailing list: any field `List-*` (RFC 2369, RFC 2919, RFC 8058).
pub fn is_list_mail(message: &Message) -> bool {
    let is_list = |name: &str| name.len() > 5 && name.as_bytes()[..5].eq_ignore_ascii_case(b"list-");
    message.fields().any(|field| is_list(field.name()))
}

/// The `Precedence` of mail that nobody is to answer: `bulk`, `junk`, `list` or `auto_reply`, in lower case (RFC 3834
/// section 3.1.8). Other values mean nothing.
pub fn precedence(message: &Message) -> Option<String> {
    let values = message.all("Precedence").map(|field| field.text().to_ascii_lowercase());
    values
        .into_iter()
        .find(|value| matches!(value.as_str(), "bulk" | "junk" | "list") || is_auto_reply_precedence(value))
}

pub(super) fn is_auto_reply_precedence(value: &str) -> bool {
    ["auto_reply", "auto-reply", "autoreply"].iter().any(|name| value.eq_ignore_ascii_case(name))
}

/// Whether `X-Auto-Response-Suppress` (MS-OXCMAIL section 2.2.3.2.14) asks for no answer of the kinds that a notice is: `All`,
/// `OOF`, `AutoReply`, `DR`, `NDR` or `RN`.
pub fn suppresses_auto_response(message: &Message) -> bool {
    let kinds = ["all", "oof", "autoreply", "dr", "ndr", "rn"];
    message.all("X-Auto-Response-Suppress").any(|field| {
        let value = field.text().to_ascii_lowercase();
        value.split([',', ';', ' ', '\t']).any(|kind| kinds.contains(&kind.trim()))
    })
}

/// Whether `Auto-Submitted` says that no person sent the message (RFC 3834 section 5).
pub fn is_auto_submitted(message: &Message) -> bool {
    message.all("Auto-Submitted").any(|field| !is_keyword(&field.text(), "no"))
}

/// Whether a local part is that of a role or a robot, so that no person waits for an answer there. A sub-address does not
/// change it. Lists and roles are those of RFC 3834 section 2, RFC 5230 section 4.6 and RFC 2142.
pub fn is_role_or_robot(local_part: &str) -> bool {
    let local = local_part.trim_matches('"').to_lowercase();
    let base = local.split('+').next().unwrap_or_default();
    // noreply, no-reply, no_reply and no.reply are one name.
    let letters: String = base.chars().filter(|c| c.is_alphanumeric()).collect();
    ROBOTS.contains(&letters.as_str())
        || ROBOT_BEGINNINGS.iter().any(|beginning| base.starts_with(beginning))
        || ROBOT_ENDS.iter().any(|end| base.ends_with(end))
}

/// Names of roles and robots, letters and digits only.
const ROBOTS: [&str; 41] = [
    "abuse",
    "amavis",
    "apache",
    "autoreply",
    "autoresponder",
    "bounce",
    "bounces",
    "cron",
    "daemon",
    "devnull",
    "dmarcreports",
    "donotreply",
    "dontreply",
    "ecartis",
    "ftp",
    "hostmaster",
    "listar",
    "listproc",
    "lists",
    "listserv",
    "maildaemon",
    "mailer",
    "mailerdaemon",
    "mailman",
    "majordomo",
    "mdaemon",
    "news",
    "newsletter",
    "nobody",
    "noc",
    "noreply",
    "notification",
    "notifications",
    "postmaster",
    "root",
    "smartlist",
    "sympa",
    "usenet",
    "uucp",
    "webmaster",
    "wwwdata",
];

/// Beginnings and ends of the addresses of lists, of their machinery, and of bounce handlers.
const ROBOT_BEGINNINGS: [&str; 11] = [
    "owner-",
    "bounce-",
    "bounces-",
    "bounce.",
    "bounces.",
    "bounce=",
    "bounces=",
    "noreply-",
    "no-reply-",
    "do-not-reply-",
    "msprvs1=",
];
const ROBOT_ENDS: [&str; 12] = [
    "-owner",
    "-request",
    "-bounce",
    "-bounces",
    "-errors",
    "-subscribe",
    "-unsubscribe",
    "-outgoing",
    "-relay",
    "-noreply",
    "-no-reply",
    "-daemon",
];

/// Whether a structured value is this keyword: without regard to case, comments removed, and parameters behind `;` passed
/// over (RFC 3834 section 5, with the comments of RFC 5322 section 3.2.2).
pub(super) fn is_keyword(value: &str, keyword: &str) -> bool {
    let bare = without_comments(value);
    let word = bare.split(';').next().unwrap_or_default();
    word.trim().eq_ignore_ascii_case(keyword)
}
