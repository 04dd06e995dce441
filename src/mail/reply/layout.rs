//! Which lines of a message are its own words, which are quoted, and which are a signature.
//!
//! The lines are walked once from the top. Where something says that all below is quoted, or forwarded, the walk ends. Each look at a
//! line costs the same whatever stands in it, so the whole costs what the number of lines and their length cost.

use super::attribution::{Attributions, Strength};
use super::lines::{Hint, Line};
use super::original::{self, Block, Divider};
use super::signature::{self, Mark};

/// What a line is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Quoted,
    Signature,
}

/// What a line is while the others are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Blank,
    /// Words of the writer, as far as is known.
    Text,
    /// Words of the writer or of whom the writer forwards: nothing in them is looked for.
    Kept,
    /// A line with a quotation mark.
    Marked,
    /// What introduces a quotation, and what something else than a mark says is quoted.
    Quoted,
    Signature,
}

/// What each line is. `is_forward` says that the message as a whole forwards another.
pub(super) fn kinds(lines: &[Line<'_>], is_forward: bool) -> Vec<Kind> {
    let mut layout = Layout { lines, roles: lines.iter().map(first_look).collect(), settled: lines.len() };
    layout.keep_code();
    layout.walk(is_forward);
    layout.find_signatures();
    layout.judge_marked();
    layout.kinds()
}

fn first_look(line: &Line<'_>) -> Role {
    match line.hint {
        _ if line.is_blank() => Role::Blank,
        Hint::Signature => Role::Signature,
        Hint::Quoted => Role::Quoted,
        _ if line.quotation_marks() > 0 => Role::Marked,
        _ => Role::Text,
    }
}

struct Layout<'l, 't> {
    lines: &'l [Line<'t>],
    roles: Vec<Role>,
    /// From here on all is of one role.
    settled: usize,
}

impl Layout<'_, '_> {
    /// Code between fences is the writer's, whatever it looks like.
    fn keep_code(&mut self) {
        let is_fence = |line: &Line<'_>| {
            let word = line.whole.trim_end().strip_prefix("```");
            word.is_some_and(|word| word.len() < 20 && word.chars().all(char::is_alphanumeric))
        };
        let mut opened = None;
        for (number, line) in self.lines.iter().enumerate().filter(|(_, line)| is_fence(line)) {
            match opened.take() {
                None => opened = Some(number),
                Some(start) if line.whole.trim_end() == "```" => self.roles[start..=number].fill(Role::Kept),
                Some(_) => opened = Some(number),
            }
        }
    }

    /// Finds what introduces quotations, and the place from which all is quoted or forwarded.
    fn walk(&mut self, is_forward: bool) {
        let mut attributions = Attributions::default();
        // The last line that is not blank; the first that an attribution may begin with; the first that a header may.
        let (mut above, mut free, mut header) = (None, 0, 0);
        for at in 0..self.lines.len() {
            match self.divider(at, above) {
                Some(Divider::ForwardedMessage) => return self.settle(at, Role::Kept),
                Some(Divider::OriginalMessage) => return self.settle_original(at, is_forward),
                None => {}
            }
            if self.roles[at] == Role::Text && at >= header {
                let found = original::header_block(self.lines, at, above.map(|above: usize| &self.lines[above]));
                // A form that is sent as mail begins with fields too, but hardly with all of them.
                if found.block == Some(Block::Full) || (found.block.is_some() && above.is_some()) {
                    return self.settle_original(at, is_forward);
                }
                header = found.end;
            }
            match self.take_attribution(&mut attributions, free, at) {
                Some(Quotation::ToTheEnd { from }) => return self.settle(from, Role::Quoted),
                Some(Quotation::Marked) | None => {}
            }
            match self.roles[at] {
                Role::Blank => {}
                Role::Text => above = Some(at),
                _ => (above, free) = (Some(at), at + 1),
            }
        }
    }

    /// What a line, or what its HTML said of it, says of all below.
    fn divider(&self, at: usize, above: Option<usize>) -> Option<Divider> {
        let line = &self.lines[at];
        match line.hint {
            Hint::ForwardedFromHere => return Some(Divider::ForwardedMessage),
            Hint::QuotedFromHere => return Some(Divider::OriginalMessage),
            _ => {}
        }
        match self.roles[at] {
            Role::Text => original::divider(line.content()),
            // Apple Mail puts marks before all that it forwards, Gmail its own element around it. In a quotation it is quoted
            // like the rest.
            Role::Marked | Role::Quoted if !above.is_some_and(|above| self.is_quotation(above)) => {
                original::divider(line.quoted_content()).filter(|divider| *divider == Divider::ForwardedMessage)
            }
            _ => None,
        }
    }

    fn settle(&mut self, from: usize, role: Role) {
        self.roles[from..].fill(role);
        self.settled = from;
    }

    fn settle_original(&mut self, at: usize, is_forward: bool) {
        if is_forward {
            self.settle(at, Role::Kept);
        } else {
            self.settle(self.above_rules(at), Role::Quoted);
        }
    }

    fn is_quotation(&self, number: usize) -> bool {
        matches!(self.roles[number], Role::Marked | Role::Quoted)
    }

    /// Where the lines begin that only divide what is above a line from it.
    fn above_rules(&self, at: usize) -> usize {
        let mut from = at;
        for number in (0..at).rev() {
            match self.roles[number] {
                Role::Blank => {}
                Role::Text if original::is_rule(self.lines[number].content()) => from = number,
                _ => break,
            }
        }
        from
    }

    /// Marks what introduces a quotation and ends with a line, if that is so.
    fn take_attribution(&mut self, attributions: &mut Attributions, free: usize, end: usize) -> Option<Quotation> {
        match self.roles[end] {
            Role::Text => {}
            // A line that an open bracket was folded into: "Jane <jane@example.org", "> wrote:".
            Role::Marked if end > free && self.goes_on(free, end) => {}
            _ => return None,
        }
        let attribution = attributions.ending_at(self.lines, free, end)?;
        let next = (end + 1..self.lines.len()).find(|&number| self.roles[number] != Role::Blank);
        let is_prompt = next.is_some_and(|next| self.roles[next] == Role::Marked && self.is_prompt(next));
        let is_above_quotation = next.is_some_and(|next| self.is_quotation(next) || self.mark_others(next));
        if is_above_quotation && (attribution.strength == Strength::Strong || !is_prompt) {
            self.roles[attribution.start..=end].fill(Role::Quoted);
            return Some(Quotation::Marked);
        }
        if attribution.strength < Strength::Strong {
            return None;
        }
        // With nothing above it, what stands below it may be the reply.
        let is_first = self.roles[..attribution.start].iter().all(|role| *role == Role::Blank);
        if is_first {
            self.roles[attribution.start..=end].fill(Role::Quoted);
            return Some(Quotation::Marked);
        }
        Some(Quotation::ToTheEnd { from: self.above_rules(attribution.start) })
    }

    /// Whether a marked line only looks so.
    fn goes_on(&self, free: usize, end: usize) -> bool {
        /// The longest such line, in octets.
        const LONGEST: usize = 60;
        let above = (free..end).rev().find(|&number| self.roles[number] != Role::Blank);
        let is_open = above.is_some_and(|above| {
            let content = self.lines[above].content();
            content.rfind('<') > content.rfind('>')
                || self.lines[free..above].iter().rev().take(3).any(|line| line.content().ends_with('<'))
        });
        is_open && self.lines[end].whole.len() <= LONGEST
    }

    /// Takes lines for quoted that begin, right below an attribution, with another mark: `|`, or the initials of whom they quote.
    fn mark_others(&mut self, next: usize) -> bool {
        let content = self.lines[next].content();
        let mark = match content.find(['>', '|']) {
            Some(place @ 0..=3) if content[..place].chars().all(char::is_uppercase) => content[..=place].to_owned(),
            _ => return false,
        };
        for number in next..self.lines.len() {
            match self.roles[number] {
                Role::Text if self.lines[number].content().starts_with(&mark) => self.roles[number] = Role::Marked,
                Role::Blank => {}
                _ => break,
            }
        }
        true
    }

    /// Finds the signatures, each at the end of words that are the writer's.
    fn find_signatures(&mut self) {
        let is_own = |role: Role| matches!(role, Role::Blank | Role::Text | Role::Kept);
        let mut start = 0;
        while start < self.settled {
            let length = self.roles[start..self.settled].iter().take_while(|role| is_own(**role)).count();
            let end = start + length;
            let signature = self.signature(start, end);
            self.roles[signature..end].fill(Role::Signature);
            self.take_armor_header(start, signature);
            start = end + 1;
        }
    }

    /// Where the signature in a region begins; at its end if it has none.
    fn signature(&self, start: usize, end: usize) -> usize {
        let (mut first, mut lines_below) = (end, 0);
        for number in (start..end).rev() {
            if self.roles[number] == Role::Blank {
                continue;
            }
            let mark = if self.roles[number] == Role::Text { Mark::of(self.lines[number].whole) } else { None };
            let is_below_blank = number == start || self.roles[number - 1] == Role::Blank;
            if mark.is_some_and(|mark| mark.holds(lines_below, is_below_blank)) {
                first = number;
            }
            lines_below += 1;
        }
        let is_text = |number: &usize| self.roles[*number] != Role::Blank;
        let mut above = (start..first).rev().filter(is_text).peekable();
        while let Some(number) = above.next_if(|number| signature::is_sent_from(self.lines[*number].content())) {
            first = number;
        }
        if let Some(number) = above.next_if(|number| signature::is_signed_name(self.lines[*number].content()))
            && above.peek().is_some_and(|above| *above + 1 < number)
        {
            first = number;
        }
        first
    }

    /// The lines that OpenPGP puts before a signed text belong to its signature.
    fn take_armor_header(&mut self, start: usize, end: usize) {
        let mut own = (start..end).skip_while(|&number| self.roles[number] == Role::Blank);
        let Some(first) = own.next() else { return };
        if self.lines[first].content() == "-----BEGIN PGP SIGNED MESSAGE-----" {
            let length = self.roles[first..end].iter().take_while(|role| **role != Role::Blank).count();
            self.roles[first..first + length].fill(Role::Signature);
        }
    }

    /// Marked lines that nothing introduces may be the writer's own: a citation, or what a program printed.
    fn judge_marked(&mut self) {
        let mut bare = Vec::new();
        let mut at = 0;
        while at < self.settled && self.roles[at] != Role::Quoted {
            if self.roles[at] != Role::Marked {
                at += 1;
                continue;
            }
            let is_within = |role: &&Role| matches!(role, Role::Marked | Role::Blank);
            let end = at + self.roles[at..self.settled].iter().take_while(is_within).count();
            if self.introduces_itself(at, end) {
                break;
            }
            bare.push((at, end));
            at = end;
        }
        let is_prompt = |&(start, end): &(usize, usize)| {
            (start..end).all(|number| self.roles[number] == Role::Blank || self.is_prompt(number))
        };
        let (prompts, bare): (Vec<_>, Vec<_>) = bare.into_iter().partition(is_prompt);
        // One alone, with something below it, is a citation. Of several the words between are a reply.
        let is_citation = |&(_, end): &(usize, usize)| {
            bare.len() == 1 && self.roles[end..].iter().any(|role| !matches!(role, Role::Blank | Role::Signature))
        };
        let citations: Vec<_> = bare.iter().copied().filter(is_citation).collect();
        for (start, end) in prompts.into_iter().chain(citations) {
            self.roles[start..end].fill(Role::Kept);
        }
    }

    /// Three marks at once are the prompt of Python and the like; mail programs begin with one.
    fn is_prompt(&self, number: usize) -> bool {
        self.lines[number].quotation_marks() >= 3
    }

    /// Whether marked lines begin with what introduces a quotation, behind the marks.
    fn introduces_itself(&self, start: usize, end: usize) -> bool {
        /// As far down it ends.
        const LINES: usize = 6;
        let mut attributions = Attributions::default();
        let last = end.min(start + LINES);
        original::header_block(self.lines, start, None).block.is_some()
            || original::divider(self.lines[start].quoted_content()).is_some()
            || (start..last).any(|number| attributions.ending_at(self.lines, start, number).is_some())
    }

    fn kinds(&self) -> Vec<Kind> {
        let kind = |role: &Role| match role {
            Role::Blank => None,
            Role::Text | Role::Kept => Some(Kind::Text),
            Role::Marked | Role::Quoted => Some(Kind::Quoted),
            Role::Signature => Some(Kind::Signature),
        };
        let first = self.roles.iter().find_map(kind).unwrap_or(Kind::Text);
        // A blank line belongs to what stands above it.
        let mut above = first;
        let mut kinds: Vec<Kind> = self
            .roles
            .iter()
            .map(|role| {
                above = kind(role).unwrap_or(above);
                above
            })
            .collect();
        // Those below the last words of the text belong to what follows, so that the text ends with its words.
        let is_words = |role: &Role| kind(role) == Some(Kind::Text);
        let behind = self.roles.iter().rposition(is_words).map_or(0, |last| last + 1);
        if let Some(next) = self.roles[behind..].iter().position(|role| *role != Role::Blank) {
            let following = kinds[behind + next];
            kinds[behind..behind + next].fill(following);
        }
        kinds
    }
}

/// How far what is introduced goes.
enum Quotation {
    /// As far as the lines have marks.
    Marked,
    ToTheEnd {
        from: usize,
    },
}
